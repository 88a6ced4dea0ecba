"""A reply that was cut off is asked for once more under a higher cap, then kept and marked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends.base import Completion, Failure
from tests.endpoint import Answer, Behaviour, Body, asked, completion

pytestmark = pytest.mark.usefixtures("key")
PRICES = {"price_prompt": 1.0, "price_completion": 10.0}


def talkative(length: int, *, honest: bool = True) -> Behaviour:
    """A model that has `length` tokens to say; `honest`: it says so when it was cut."""

    def behave(_number: int, body: Body) -> Answer:
        said = min(length, body["max_tokens"])
        reason = "length" if honest and said < length else "stop"
        return Answer(body=completion(f"{said} words", finish_reason=reason, tokens=(100, said)))

    return behave


def reply_to(behaviour: Behaviour, **settings: Any) -> tuple[Completion, list[int]]:
    """The reply, and the caps that it was asked under."""
    found, endpoint = asked(behaviour, **{**PRICES, **settings})
    reply = found["0"]
    assert isinstance(reply, Completion)
    return reply, [body["max_tokens"] for body in endpoint.bodies]


@pytest.mark.parametrize("honest", [True, False])
def test_a_truncated_reply_is_requested_again_with_twice_the_limit(honest: bool) -> None:
    reply, caps = reply_to(talkative(80, honest=honest))
    assert caps == [50, 100]
    assert (reply.text, reply.finish_reason, reply.cap) == ("80 words", "stop", 100)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.attempts) == (200, 130, 2)
    assert reply.cost == pytest.approx((200 + 10 * 130) / 1e6)
    assert reply.last_error is None


@pytest.mark.parametrize("honest", [True, False])
def test_a_reply_that_is_truncated_twice_is_kept_and_marked(honest: bool) -> None:
    reply, caps = reply_to(talkative(1000, honest=honest))
    assert caps == [50, 100]
    assert (reply.text, reply.finish_reason, reply.cap) == ("100 words", "length", 100)
    assert reply.completion_tokens == 150


def test_a_reply_just_under_the_limit_is_not_requested_again() -> None:
    reply, caps = reply_to(talkative(49))
    assert caps == [50]
    assert (reply.finish_reason, reply.cap) == ("stop", None)


def test_length_retry_factor_of_one_disables_the_second_call() -> None:
    reply, caps = reply_to(talkative(1000), length_retry_factor=4)
    assert (caps, reply.cap) == ([50, 200], 200)
    reply, caps = reply_to(talkative(1000), length_retry_factor=1)
    assert (caps, reply.text, reply.finish_reason, reply.cap) == ([50], "50 words", "length", None)


def test_the_shorter_reply_is_kept_when_the_second_call_fails() -> None:
    refusal = Answer(status=400, body=json.dumps({"error": {"message": "max_tokens is too large"}}))
    model = talkative(80)
    reply, caps = reply_to(lambda number, body: model(number, body) if body["max_tokens"] == 50 else refusal)
    assert caps == [50, 100]
    assert (reply.text, reply.finish_reason, reply.cap) == ("50 words", "length", None)
    assert (reply.completion_tokens, reply.attempts) == (50, 2)
    assert "max_tokens is too large" in str(reply.last_error)


def test_the_shorter_reply_is_kept_when_the_second_call_ends_the_run() -> None:
    poor = Answer(status=402, body=json.dumps({"error": {"message": "Insufficient Balance"}}))
    model = talkative(80)
    found, _ = asked(lambda number, body: model(number, body) if body["max_tokens"] == 50 else poor, **PRICES)
    assert isinstance(found["0"], Completion)
    assert (found["0"].text, found["0"].finish_reason, found["0"].attempts) == ("50 words", "length", 2)


def test_an_empty_truncated_reply_is_requested_again() -> None:
    """A reasoning model may use the whole cap for its thoughts."""

    def thinker(_number: int, body: Body) -> Answer:
        done = body["max_tokens"] >= 100
        tokens = (100, 70 if done else 50)
        reason = "stop" if done else "length"
        text = completion("So." if done else "", finish_reason=reason, tokens=tokens, reasoning_content="Hm")
        return Answer(body=text)

    reply, caps = reply_to(thinker)
    assert caps == [50, 100]
    assert (reply.text, reply.completion_tokens, reply.reasoning) == ("So.", 120, "Hm")


def test_a_refusal_is_not_requested_again() -> None:
    refusal = Answer(body=completion(None, finish_reason="length", tokens=(100, 50), refusal="No."))
    found, endpoint = asked(lambda _n, _b: refusal)
    assert found["0"] == Failure(reason="refused: No.", prompt_tokens=100, completion_tokens=50)
    assert len(endpoint.bodies) == 1


def test_of_two_failures_the_second_is_reported() -> None:
    mute = Answer(body=completion("", finish_reason="length", reasoning_content="Hm"))
    limit = Answer(status=400, body=json.dumps({"error": {"message": "max_tokens is too large"}}))
    failure = asked(lambda number, _b: mute if number == 0 else limit)[0]["0"]
    assert isinstance(failure, Failure)
    assert "max_tokens is too large" in failure.reason
    assert (failure.attempts, failure.completion_tokens) == (2, 10)


def test_a_failure_after_a_second_call_counts_both() -> None:
    mute = Answer(body=completion("", finish_reason="length", tokens=(100, 50), reasoning_content="Hm"))
    found, endpoint = asked(lambda _n, _b: mute, **PRICES)
    failure = found["0"]
    assert isinstance(failure, Failure)
    assert "reasoning" in failure.reason
    assert [body["max_tokens"] for body in endpoint.bodies] == [50, 100]
    assert (failure.attempts, failure.prompt_tokens, failure.completion_tokens) == (2, 200, 100)
    assert failure.cost == pytest.approx((200 + 10 * 100) / 1e6)


def test_errors_between_the_calls_are_counted() -> None:
    model = talkative(80)
    trouble = Answer(status=500, body="oops")
    reply, caps = reply_to(lambda number, body: trouble if number in (0, 2) else model(number, body))
    assert caps == [50, 50, 100, 100]
    assert (reply.text, reply.attempts, reply.completion_tokens) == ("80 words", 4, 130)
    assert str(reply.last_error).startswith("HTTP 500")


def test_tokens_that_are_not_stated_are_unknown_and_so_is_the_cost() -> None:
    silent = {"choices": [{"message": {"content": "So."}, "finish_reason": "length"}]}
    reply, _ = reply_to(lambda _n, _b: Answer(body=json.dumps(silent)))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost, reply.finish_reason) == (
        None,
        None,
        None,
        "length",
    )
