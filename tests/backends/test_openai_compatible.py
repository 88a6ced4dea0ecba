"""The adapter for hosted endpoints where all goes well: what it sends, what it keeps, which settings it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import backends
from backends.base import BadTeacherConfig, Completion, Failure, Hosted, Message, Request, Sampling
from tests.conftest import answers
from tests.endpoint import KEY, SAMPLING, Answer, ask, asked, completion, serving, text_of

pytestmark = pytest.mark.usefixtures("key")


def test_every_request_is_answered_once_with_its_tokens_and_cost() -> None:
    found, endpoint = asked(lambda _n, _b: Answer(), 40, price_prompt=2.0, price_completion=10.0)
    assert {text_of(outcome) for outcome in found.values()} == {"It follows."}
    reply = found["0"]
    assert isinstance(reply, Completion)
    assert (reply.prompt_tokens, reply.completion_tokens) == (100, 10)
    assert reply.cost == pytest.approx((100 * 2 + 10 * 10) / 1e6)
    assert (reply.finish_reason, reply.attempts, reply.last_error, reply.cap) == ("stop", 1, None, None)
    assert len(endpoint.bodies) == 40
    assert endpoint.keys == {f"Bearer {KEY}"}


def test_the_body_asks_for_the_sampling_and_nothing_else() -> None:
    _, endpoint = asked(lambda _n, _b: Answer(), sampling=Sampling(max_tokens=50, top_p=0.9, stop=("\nQ:",), seed=7))
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Why 0?"}],
            "temperature": 0.0,
            "top_p": 0.9,
            "max_tokens": 50,
            "stop": ["\nQ:"],
        }
    ]


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        (Sampling(temperature=None, top_p=None, seed=7), {}),
        (Sampling(temperature=0.7, top_p=None, seed=7), {"temperature": 0.7, "seed": 7}),
        (Sampling(temperature=0.7, top_p=1.0, seed=7), {"temperature": 0.7, "top_p": 1.0, "seed": 7}),
        (Sampling(temperature=None, top_p=0.9), {"top_p": 0.9}),
        (Sampling(temperature=None, top_p=1.0), {"top_p": 1.0}),
        (Sampling(temperature=0.0, top_p=None), {"temperature": 0.0}),
    ],
)
def test_what_is_not_set_is_not_sent(sampling: Sampling, sent: dict[str, Any]) -> None:
    _, endpoint = asked(lambda _n, _b: Answer(), sampling=sampling)
    [body] = endpoint.bodies
    assert {name: body[name] for name in ("temperature", "top_p", "seed") if name in body} == sent


def test_samples_of_one_question_are_different_draws() -> None:
    message = Message(role="user", content="Why?")
    requests = [Request(split="train", key="1", messages=(message,), sample=sample) for sample in range(3)]
    with serving(lambda _n, _b: Answer()) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url})
        answers(teacher, requests, Sampling(temperature=0.7, seed=40))
    assert sorted(body["seed"] for body in endpoint.bodies) == [40, 41, 42]


def test_fields_of_the_body_can_be_renamed_omitted_and_added() -> None:
    settings: dict[str, Any] = {
        "max_tokens_field": "max_completion_tokens",
        "omit": ["temperature", "top_p", "stop"],
        "extra": {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}},
    }
    _, endpoint = asked(lambda _n, _b: Answer(), **settings)
    assert endpoint.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Why 0?"}],
            "max_completion_tokens": 50,
            "reasoning_effort": "low",
            "chat_template_kwargs": {"enable_thinking": False},
        }
    ]


def test_the_completions_api_gets_the_messages_as_one_text() -> None:
    reply = {"choices": [{"text": " So.", "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="Why?"))
    with serving(lambda _n, _b: Answer(body=json.dumps(reply))) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "api": "completions"})
        [(_, found)] = answers(teacher, [Request(split="train", key="1", messages=messages)], SAMPLING)
    assert endpoint.paths == ["/v1/completions"]
    assert endpoint.bodies[0]["prompt"] == "Be brief.\n\nWhy?"
    assert "messages" not in endpoint.bodies[0]
    assert isinstance(found, Completion)
    assert (found.text, found.prompt_tokens, found.completion_tokens, found.cost) == (" So.", 3, None, None)


def test_no_more_is_in_flight_or_pulled_than_allowed() -> None:
    pulled: list[str] = []

    def requests() -> Iterator[Request]:
        for request in ask(30):
            pulled.append(request.key)
            yield request

    with serving(lambda _n, _b: Answer(delay=0.02)) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 4})
        done = 0
        for together in teacher.generate(requests(), SAMPLING):
            assert len(pulled) <= done + 4
            done += len(together)
    assert len(pulled) == 30
    assert 2 <= endpoint.most_at_once <= 4


def test_a_request_that_waits_for_a_retry_does_not_block_others() -> None:
    with serving(lambda number, _b: Answer(status=500) if number == 0 else Answer()) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 1})
        found = answers(teacher, ask(10), SAMPLING)
    assert endpoint.asked()[:2] == ["Why 0?", "Why 1?"]
    assert endpoint.most_at_once == 1
    assert sorted(int(request.key) for request, _ in found) == list(range(10))


def test_several_endpoints_share_the_load() -> None:
    def busy(_number: int, _body: object) -> Answer:
        return Answer(delay=0.01)

    with serving(busy) as one, serving(busy) as other:
        teacher = backends.create("openai", {"model": "m", "base_urls": [f"{one.url}/", other.url]})
        assert isinstance(teacher, Hosted)
        found = answers(teacher, ask(120), SAMPLING)
    assert len(found) == len(one.bodies) + len(other.bodies) == 120
    assert min(len(one.bodies), len(other.bodies)) > 30
    assert teacher.describe() == {"endpoints": [one.url, other.url], "api": "chat"}
    assert {change.endpoint for change in teacher.pace()} == {one.url, other.url}


def test_a_second_generate_keeps_the_concurrency_limit() -> None:
    with serving(lambda _n, _b: Answer(delay=0.01)) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url})
        assert isinstance(teacher, Hosted)
        assert len(answers(teacher, ask(100), SAMPLING)) == 100
        before = teacher.pace()
        assert answers(teacher, []) == []
        assert len(answers(teacher, ask(3), SAMPLING)) == 3
    assert len(before) > 1
    assert teacher.pace() == before
    teacher.close()
    teacher.close()


def test_a_reply_states_the_number_of_attempts_and_the_last_error() -> None:
    trouble = Answer(status=503, body=json.dumps({"error": {"message": "busy\nnow"}}))
    found, _ = asked(lambda number, _b: trouble if number < 2 else Answer())
    reply = found["0"]
    assert isinstance(reply, Completion)
    assert reply.attempts == 3
    assert str(reply.last_error).startswith("HTTP 503")
    assert "busy now" in str(reply.last_error).replace("\\n", " ")


def test_reasoning_is_kept_beside_the_text() -> None:
    reply = asked(lambda _n, _b: Answer(body=completion("So.", reasoning_content="First I thought.")))[0]["0"]
    assert isinstance(reply, Completion)
    assert (reply.text, reply.reasoning) == ("So.", "First I thought.")


@pytest.mark.parametrize(
    ("answer", "reason", "paid"),
    [
        (Answer(status=400, body=json.dumps({"error": {"message": "too long"}})), "too long", False),
        (Answer(status=413, body="{}"), "HTTP 413", False),
        (Answer(body=completion("", finish_reason="stop")), "empty reply", True),
        (Answer(body=completion(None, finish_reason="stop")), "empty reply", True),
        (Answer(body=completion("x", finish_reason="content_filter")), "content filter", True),
        (Answer(body=completion(None, refusal="I can't help with that.")), "refused: I can't", True),
    ],
)
def test_an_error_of_one_request_fails_only_that_request(answer: Answer, reason: str, paid: bool) -> None:
    prices = {"price_prompt": 1.0, "price_completion": 10.0}
    found, endpoint = asked(lambda _n, body: answer if "Why 1?" in str(body) else Answer(), 3, **prices)
    failure = found["1"]
    assert isinstance(failure, Failure)
    assert reason in failure.reason
    assert (failure.prompt_tokens, failure.completion_tokens) == ((100, 10) if paid else (None, None))
    assert failure.cost == (pytest.approx(200 / 1e6) if paid else None)
    assert text_of(found["0"]) == text_of(found["2"]) == "It follows."
    assert len(endpoint.bodies) == 3


def test_lone_surrogates_in_replies_and_errors_are_replaced() -> None:
    half = completion("So.").replace("So.", "So \\ud83d.")
    trouble = Answer(status=500, body='{"error": {"message": "no \\ud83d"}}')
    reply = asked(lambda number, _b: trouble if number == 0 else Answer(body=half))[0]["0"]
    assert isinstance(reply, Completion)
    assert reply.text == "So \N{REPLACEMENT CHARACTER}."
    assert str(reply.last_error).encode()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "needs a model"),
    ({"model": "m", "api": "soap"}, "api can't be 'soap'"),
    ({"model": "m", "base_url": "http://a/v1", "base_urls": ["http://b/v1"]}, "exclude each other"),
    ({"model": "m", "base_url": ""}, "base_url is empty"),
    ({"model": "m", "base_urls": []}, "base_urls is empty"),
    ({"model": "m", "base_url": "localhost:8000/v1"}, "'localhost:8000/v1' is no URL"),
    ({"model": "m", "base_url": "http://[::1/v1"}, "is no URL"),
    ({"model": "m", "base_urls": ["http://a/v1", "http://a:99999/v1"]}, "'http://a:99999/v1' is no URL"),
    ({"model": "m", "max_in_flight": 0}, "max_in_flight"),
    ({"model": "m", "requests_per_minute": True}, "requests_per_minute"),
    ({"model": "m", "tokens_per_minute": 1.5}, "tokens_per_minute"),
    ({"model": "m", "timeout": 0}, "timeout"),
    ({"model": "m", "give_up_after": float("nan")}, "give_up_after"),
    ({"model": "m", "max_attempts": 0}, "max_attempts"),
    ({"model": "m", "length_retry_factor": 0.5}, "length_retry_factor"),
    ({"model": "m", "length_retry_factor": float("inf")}, "length_retry_factor"),
    ({"model": "m", "price_prompt": -1, "price_completion": 1}, "price_prompt"),
    ({"model": "m", "price_prompt": 1, "price_completion": float("nan")}, "price_completion"),
    ({"model": "m", "price_prompt": 1.0}, "price_prompt and price_completion go together"),
    ({"model": "m", "extra": {"since": {1, 2}}}, "extra"),
    ({"model": "m", "extra": {"max_completion_tokens": 4000}}, "can't change max_completion_tokens"),
    ({"model": "m", "extra": {"n": 4}}, "can't change n"),
    ({"model": "m", "omit": ["max_tokens"]}, "can't change max_tokens"),
    ({"model": "m", "modell": "x"}, "no setting 'modell'"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG, ids=[said for _, said in WRONG])
def test_invalid_settings_are_reported(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(BadTeacherConfig) as caught:
        backends.create("openai", settings)
    assert said in str(caught.value)


def test_the_endpoint_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1/")
    assert backends.create("openai", {"model": "m"}).describe()["endpoints"] == ["http://localhost:8000/v1"]
    own = backends.create("openai", {"model": "m", "base_url": "http://localhost:9000/v1"})
    assert own.describe()["endpoints"] == ["http://localhost:9000/v1"]
    assert own.identity() == {"model": "m", "revision": ""}


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    teacher = backends.create("openai", {"model": "m", "api_key_env": "MY_KEY"})
    with pytest.raises(BadTeacherConfig, match="MY_KEY"):
        answers(teacher, ask(1), SAMPLING)


def test_a_named_key_variable_must_be_set() -> None:
    """Else the requests would go out without the key, and be refused for that."""
    with pytest.raises(BadTeacherConfig, match="MY_KEY is not set"):
        asked(lambda _n, _b: Answer(), api_key_env="MY_KEY")


def test_a_key_in_the_place_of_its_variable_is_not_shown() -> None:
    with pytest.raises(BadTeacherConfig, match="the name of a variable") as caught:
        backends.create("openai", {"model": "m", "api_key_env": KEY})
    assert "sk-" not in f"{caught.value} {caught.value.hint}"


def test_a_local_endpoint_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    found, endpoint = asked(lambda _n, _b: Answer())
    assert text_of(found["0"]) == "It follows."
    assert endpoint.keys == {"Bearer none"}


def test_white_space_around_a_key_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    _, endpoint = asked(lambda _n, _b: Answer(), api_key_env="MY_KEY")
    assert endpoint.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize("wrong", ["sk-\u00fcber", "sk-1\nsk-2"])
def test_an_invalid_key_is_reported_without_showing_it(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    with pytest.raises(BadTeacherConfig, match="OPENAI_API_KEY") as caught:
        asked(lambda _n, _b: Answer())
    assert "sk-" not in f"{caught.value} {caught.value.hint}"
