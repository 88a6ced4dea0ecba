"""Hosted teachers against a real server on loopback: well-behaved, hostile, and refusing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import backends
from backends.base import BadTeacherConfig, Completion, Failure, Message, Outcome, Request, Sampling, TeacherError
from tests.conftest import Command, write_dataset
from tests.endpoint import Answer, Behaviour, Body, Endpoint, completion, serving

KEY = "sk-this-is-a-secret-0123456789"
SAMPLING = Sampling(max_tokens=50, stop=("\nQuestion:",))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def ask(count: int) -> Iterator[Request]:
    for number in range(count):
        yield Request(split="train", key=str(number), messages=(Message(role="user", content=f"Why {number}?"),))


def asked(behaviour: Behaviour, count: int = 1, **settings: object) -> tuple[dict[str, Outcome], Endpoint]:
    """The outcome of each request by key, and what the server saw."""
    with serving(behaviour) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, **settings})
        found = [answer for answers in teacher.generate(ask(count), SAMPLING) for answer in answers]
        teacher.close()
    assert len({request.key for request, _ in found}) == len(found) == count
    return {request.key: outcome for request, outcome in found}, endpoint


def text_of(outcome: Outcome) -> str:
    return outcome.text if isinstance(outcome, Completion) else f"({outcome.reason})"


def test_every_request_is_answered_once_with_its_tokens_and_cost() -> None:
    found, endpoint = asked(lambda _n, _b: Answer(), 40, price_prompt=2.0, price_completion=10.0)
    assert {text_of(outcome) for outcome in found.values()} == {"It follows."}
    reply = found["0"]
    assert isinstance(reply, Completion)
    assert (reply.prompt_tokens, reply.completion_tokens) == (100, 10)
    assert reply.cost == pytest.approx((100 * 2 + 10 * 10) / 1e6)
    assert len(endpoint.bodies) == 40
    assert endpoint.bodies[0]["stop"] == ["\nQuestion:"]
    assert endpoint.keys == {f"Bearer {KEY}"}


def test_an_unknown_price_is_no_cost() -> None:
    reply = asked(lambda _n, _b: Answer())[0]["0"]
    assert isinstance(reply, Completion)
    assert reply.cost is None


def test_no_more_is_in_flight_or_pulled_than_allowed() -> None:
    pulled: list[str] = []

    def requests() -> Iterator[Request]:
        for request in ask(30):
            pulled.append(request.key)
            yield request

    with serving(lambda _n, _b: Answer(delay=0.02)) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 4})
        done = 0
        for answers in teacher.generate(requests(), SAMPLING):
            assert len(pulled) <= done + 4
            done += len(answers)
    assert len(pulled) == 30
    assert 2 <= endpoint.most_at_once <= 4


PASSING = {
    "429 that says when": Answer(status=429, body="{}", headers={"Retry-After": "0"}),
    "429": Answer(status=429, body="{}"),
    "500": Answer(status=500, body="oops"),
    "503": Answer(status=503, body="{}"),
    "a cut body": Answer(cut=True),
    "invalid JSON": Answer(body='{"choices": [', kind="application/json"),
    "HTML": Answer(body="<html>Bad gateway</html>", kind="text/html"),
    "no choices": Answer(body=json.dumps({"choices": []})),
    "another schema": Answer(body=json.dumps({"result": "fine"})),
}


@pytest.mark.parametrize("trouble", PASSING)
def test_what_passes_is_tried_again(trouble: str) -> None:
    found, endpoint = asked(lambda number, _b: PASSING[trouble] if number == 0 else Answer())
    assert text_of(found["0"]) == "It follows."
    assert len(endpoint.bodies) == 2


def test_what_does_not_pass_is_given_up_after_so_many_attempts() -> None:
    trouble = Answer(status=503, body="{}", headers={"Retry-After": "0"})
    found, endpoint = asked(lambda _n, _b: trouble, max_attempts=3)
    outcome = found["0"]
    assert isinstance(outcome, Failure)
    assert outcome.attempts == len(endpoint.bodies) == 3
    assert "503" in outcome.reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=400, body=json.dumps({"error": {"message": "too long"}})), "too long"),
        (Answer(body=completion("", finish_reason="stop")), "empty reply"),
        (Answer(body=completion(None, finish_reason="stop")), "empty reply"),
        (Answer(body=completion("x", finish_reason="content_filter")), "content filter"),
        (Answer(body=completion(None, refusal="I can't help with that.")), "refused: I can't"),
    ],
)
def test_what_is_wrong_with_one_question_fails_that_one(answer: Answer, reason: str) -> None:
    found, endpoint = asked(lambda _n, body: answer if "Why 1?" in str(body) else Answer(), 3)
    assert reason in text_of(found["1"])
    assert isinstance(found["1"], Failure)
    assert text_of(found["0"]) == text_of(found["2"]) == "It follows."
    assert len(endpoint.bodies) == 3


def test_a_reply_that_was_cut_off_is_marked() -> None:
    reply = asked(lambda _n, _b: Answer(body=completion("It foll", finish_reason="length")))[0]["0"]
    assert isinstance(reply, Completion)
    assert reply.finish_reason == "length"


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, {"message": f"Incorrect API key provided: {KEY}"}, "refuses the key"),
        (403, {"message": "no"}, "refuses the key"),
        (404, {"message": "no such model"}, "knows no model 'm'"),
        (429, {"message": "pay", "code": "insufficient_quota"}, "no money left"),
    ],
)
def test_what_no_request_can_get_past_ends_the_run(status: int, error: Body, said: str) -> None:
    with pytest.raises(TeacherError, match=said) as caught:
        asked(lambda _n, _b: Answer(status=status, body=json.dumps({"error": error})), 5)
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r}"


def test_a_hostile_server_loses_nothing_and_doubles_nothing() -> None:
    draw = random.Random(0)
    troubles = [*PASSING.values(), Answer(delay=0.05)]
    troubles = [Answer(**{**vars(answer), "headers": {"Retry-After": "0"}}) for answer in troubles]

    def behaviour(_number: int, body: Body) -> Answer:
        if draw.random() < 0.3:
            return draw.choice(troubles)
        return Answer(body=completion(f"About {body['messages'][0]['content']}"))

    found, _ = asked(behaviour, 400, max_attempts=12)
    said = {key: text_of(outcome) for key, outcome in found.items()}
    wrong = {key: text for key, text in said.items() if text not in (f"About Why {key}?", "It follows.")}
    assert not wrong


def test_settings_that_make_no_sense_are_told() -> None:
    for settings in ({}, {"model": "m", "api": "soap"}, {"model": "m", "max_in_flight": 0}, {"model": "m", "key": "x"}):
        with pytest.raises(BadTeacherConfig):
            backends.create("openai", settings)


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    teacher = backends.create("openai", {"model": "m", "api_key_env": "MY_KEY"})
    with pytest.raises(BadTeacherConfig, match="MY_KEY"):
        list(teacher.generate(ask(1), SAMPLING))


def test_the_command_keeps_replies_and_costs_and_never_the_key(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12)
    quota = Answer(status=401, body=json.dumps({"error": {"message": f"bad key {KEY}"}}))
    with serving(lambda number, _b: quota if number >= 6 else Answer()) as endpoint:
        settings = (
            f'[teachers.host]\nbackend = "openai"\nmodel = "m"\nbase_url = "{endpoint.url}"\nmax_in_flight = 1\n'
            "price_prompt = 1.0\nprice_completion = 1.0\n"
        )
        (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
        done = tinyllm("elicit", "-t", "host", "-d", "toy", "--debug", OPENAI_API_KEY=KEY)
    assert done.returncode == 1
    assert "refuses the key" in done.stderr
    report = tinyllm("report", "--json", "--html", "page.html").stdout
    assert json.loads(report)["teachers"][0]["rationales"] == 6
    assert json.loads(report)["teachers"][0]["cost"] == pytest.approx(6 * 110 / 1e6)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in (*written, done.stdout.encode(), done.stderr.encode()))
