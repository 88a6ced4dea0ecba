"""Hosted teachers against a server that does everything wrong: what passes is asked again, the rest ends the run."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from itertools import chain
from random import Random

import pytest

import backends
from backends.base import Answer as Answered
from backends.base import Completion, Failure, Message, Request, TeacherError
from backends.hosted.client import ApiKey
from backends.hosted.concurrency import ConcurrencyLimit
from backends.hosted.endpoints import Endpoint as Place
from backends.hosted.scheduler import Scheduler
from tests.conftest import answers
from tests.endpoint import KEY, SAMPLING, Answer, Behaviour, Body, ask, asked, completion, serving, text_of

pytestmark = pytest.mark.usefixtures("key")
FLOOD = 50 * 2**20
AGES = 1000.0  # seconds that nobody waits for

PASSING = {
    "429": (Answer(status=429, body="{}"), "HTTP 429"),
    "429 that says when": (Answer(status=429, body="{}", headers={"Retry-After": "0.01"}), "HTTP 429"),
    "429 with a date in the past": (
        Answer(status=429, body="{}", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        "HTTP 429",
    ),
    "408": (Answer(status=408, body="{}"), "HTTP 408"),
    "500": (Answer(status=500, body="oops"), "HTTP 500"),
    "502 in HTML": (Answer(status=502, body="<html>Bad gateway</html>", kind="text/html"), "HTTP 502"),
    "503": (Answer(status=503, body="{}"), "HTTP 503"),
    "503 that says when": (Answer(status=503, body="{}", headers={"Retry-After": "0.01"}), "HTTP 503"),
    "a cut body": (Answer(cut=True), "no connection"),
    "a cut chunked body": (Answer(cut=True, chunked=True), "no connection"),
    "no answer": (Answer(silent=True), "no connection"),
    "invalid JSON": (Answer(body='{"choices": ['), "not a completion: the answer is not JSON"),
    "no body": (Answer(body=""), "not a completion"),
    "HTML": (Answer(body="<html>Hi</html>", kind="text/html"), "not a completion: the answer is not JSON"),
    "no choices": (Answer(body=json.dumps({"choices": []})), "not a completion: the answer has no choices"),
    "another schema": (Answer(body=json.dumps({"result": "fine"})), "not a completion: the answer has no choices"),
    "50 MB": (Answer(flood=FLOOD), "not a completion: the answer has 52,428,800 bytes"),
    "50 MB in chunks": (Answer(flood=FLOOD, chunked=True), "not a completion: the answer has no end"),
    "50 MB of an error": (Answer(status=500, flood=FLOOD, chunked=True), "not a completion: the answer has no end"),
    "no reply in time": (Answer(delay=AGES), "no reply within 0.5 s"),
    "a byte a second": (Answer(drip=1.0), "no reply within 0.5 s"),
    "an error, a byte a second": (Answer(status=500, drip=1.0), "no reply within 0.5 s"),
}


@pytest.mark.parametrize("trouble", PASSING)
def test_a_temporary_error_is_retried_and_reported(trouble: str) -> None:
    answer, said = PASSING[trouble]
    found, endpoint = asked(lambda number, _b: answer if number == 0 else Answer(), timeout=0.5)
    reply = found["0"]
    assert isinstance(reply, Completion)
    assert (reply.text, reply.attempts) == ("It follows.", 2)
    assert str(reply.last_error).startswith(said)
    assert len(endpoint.bodies) == 2
    assert endpoint.flooded < FLOOD / 2, "a flood is not read to its end"


IN_TWO_HOURS = str(int((time.time() + 7200) * 1000))
FINAL = {
    "401": (
        Answer(status=401, body=json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}})),
        "refuses the key",
    ),
    "403": (Answer(status=403, body="{}"), "refuses the key"),
    "404": (Answer(status=404, body="{}"), "or no model 'm'"),
    "no money": (
        Answer(status=429, body=json.dumps({"error": {"message": "pay", "code": "insufficient_quota"}})),
        "no money left",
    ),
    "402": (Answer(status=402, body=json.dumps({"error": {"message": "Insufficient Balance"}})), "no money left.*402"),
    "400": (Answer(status=400, body=json.dumps({"error": {"message": "no stop, please"}})), "every request.*no stop"),
    "a long pause in milliseconds since 1970": (
        Answer(status=429, body="{}", headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": IN_TWO_HOURS}),
        r"come back in 1\d\d minutes \(at 20\d\d-",
    ),
    "a long pause in the body": (
        Answer(status=429, body=json.dumps([{"error": {"details": [{"retryDelay": "7200s"}]}}])),
        "come back in 120 minutes",
    ),
    "402 in the body": (
        Answer(body=json.dumps({"error": {"message": "Insufficient credits", "code": 402}})),
        "no money left.*Insufficient credits",
    ),
    "401 in the body": (
        Answer(body=json.dumps({"error": {"message": "Who are you?", "code": "invalid_api_key"}})),
        "refuses the key.*Who are you",
    ),
    "an error in a list": (Answer(status=400, body='[{"error": {"message": "API key not valid"}}]'), "key not valid"),
    "an error that is a text": (Answer(body='{"error": "Unexpected endpoint or method."}'), "Unexpected endpoint"),
    "an unknown finish reason": (Answer(body=completion(finish_reason="abort")), "finish reason 'abort'"),
    "a long pause": (Answer(status=429, body="{}", headers={"Retry-After": "7200"}), "come back in 120 minutes"),
    "500": (Answer(status=500, body="oops"), "does not answer as it should.*HTTP 500"),
    "HTML": (Answer(body="<html>Hi</html>", kind="text/html"), "does not answer as it should.*not JSON"),
    "no answer": (Answer(silent=True), "does not answer as it should.*no connection"),
    "no reply in time": (Answer(delay=AGES), "does not answer as it should.*no reply within 0.5 s"),
    "50 MB": (Answer(flood=FLOOD), "does not answer as it should.*bytes"),
}


@pytest.mark.parametrize("trouble", FINAL)
def test_an_error_of_every_request_ends_the_run(trouble: str) -> None:
    answer, said = FINAL[trouble]
    with pytest.raises(TeacherError, match=said) as caught:
        asked(lambda _n, _b: answer, 40, timeout=0.5, give_up_after=0.5)
    assert caught.value.hint
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_a_long_pause_ends_the_run_after_few_calls() -> None:
    seen = []

    def limited(number: int, _body: Body) -> Answer:
        seen.append(number)
        return Answer(status=429, body="{}", headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": IN_TWO_HOURS})

    with pytest.raises(TeacherError, match="asks to come back in") as caught:
        asked(limited, 24)
    assert "resume" in caught.value.hint
    assert len(seen) <= 24


def test_a_server_that_reports_no_money_is_not_called_again() -> None:
    seen = []

    def poor(number: int, _body: Body) -> Answer:
        seen.append(number)
        return Answer(body=json.dumps({"error": {"message": "Insufficient credits", "code": 402}}))

    with pytest.raises(TeacherError, match="Insufficient credits"):
        asked(poor, 13, max_in_flight=1)
    assert len(seen) == 1


def test_a_reply_that_the_server_aborted_is_requested_again() -> None:
    broken = {"finish_reason": "error", "error": {"code": 502}, "message": {"content": "The correct answer is ra"}}
    found, endpoint = asked(lambda number, _b: Answer(body=json.dumps({"choices": [broken]}) if number == 0 else None))
    assert text_of(found["0"]) == "It follows."
    assert len(endpoint.bodies) == 2


def test_a_servers_message_is_shown_in_200_characters() -> None:
    words = "no such thing " * 100
    with pytest.raises(TeacherError) as caught:
        asked(lambda _n, _b: Answer(status=404, body=json.dumps({"error": {"message": words}})))
    assert words[:180] in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_run_ends_after_ten_refused_requests() -> None:
    seen = []

    def refuse(number: int, _body: Body) -> Answer:
        seen.append(number)
        return Answer(status=400, body="{}")

    with pytest.raises(TeacherError, match="refuses every request"):
        asked(refuse, 40, max_in_flight=1)
    assert len(seen) == 10


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://nowhere.invalid/v1"])
def test_an_unreachable_endpoint_ends_short_and_long_runs(url: str, count: int) -> None:
    teacher = backends.create("openai", {"model": "m", "base_url": url, "give_up_after": 0.5, "max_attempts": 6})
    with pytest.raises(TeacherError, match=r"does not answer as it should \(no connection: Cannot connect"):
        answers(teacher, ask(count), SAMPLING)


def mostly_good(seed: int, share: float, troubles: dict[str, float]) -> Behaviour:
    """`share` of the answers are troubles, drawn by weight for each question and attempt; three in a row at most, so
    that nobody waits for the longest pauses between attempts."""
    attempts = Counter[str]()

    def behave(_number: int, body: Body) -> Answer:
        question = body["messages"][-1]["content"]
        attempts[question] += 1
        draw = Random(f"{seed} {question} {attempts[question]}")
        if attempts[question] > 3 or draw.random() >= share:
            return Answer(body=completion(f"About {question}"))
        [trouble] = draw.choices(list(troubles), list(troubles.values()))
        return PASSING[trouble][0]

    return behave


@pytest.mark.real
def test_two_thousand_questions_are_answered_although_three_in_ten_attempts_fail() -> None:
    rare = [name for name in PASSING if any(part in name for part in ("429", "when", "50 MB", "time", "second"))]
    weights = {name: 0.05 if name in rare else 1.0 for name in PASSING}
    found, endpoint = asked(mostly_good(1, 0.3, weights), 2000, timeout=0.5)
    assert {key: text_of(outcome) for key, outcome in found.items()} == {
        str(number): f"About Why {number}?" for number in range(2000)
    }
    assert 0.25 < 1 - 2000 / len(endpoint.bodies) < 0.35
    assert set(Counter(endpoint.asked())) == {f"Why {number}?" for number in range(2000)}


def test_a_request_fails_after_max_attempts() -> None:
    def behave(_number: int, body: Body) -> Answer:
        return Answer(status=503, body="{}") if "Why 1?" in str(body) else Answer()

    found, endpoint = asked(behave, 3, max_attempts=3)
    assert found["1"] == Failure(reason="HTTP 503", attempts=3)
    assert text_of(found["0"]) == text_of(found["2"]) == "It follows."
    assert endpoint.asked().count("Why 1?") == 3


OPTIONS = {
    "model": "m",
    "api": "chat",
    "timeout": 60.0,
    "give_up_after": 60.0,
    "max_attempts": 3,
    "length_retry_factor": 1.0,
    "max_tokens_field": "max_tokens",
    "omit": [],
    "extra": {},
    "requests_per_minute": None,
    "tokens_per_minute": None,
}
"""Of a scheduler that a test drives itself."""


def test_replies_that_arrive_with_a_fatal_error_are_returned() -> None:
    async def run(url: str) -> tuple[list[Answered], Scheduler]:
        loop = asyncio.get_running_loop()
        place = Place(url=url, concurrency=ConcurrencyLimit(8))
        scheduler = Scheduler(OPTIONS, [place], SAMPLING, key=ApiKey(name="K"), prices=None, clock=loop.time)
        try:
            for request in ask(5):
                scheduler.start(loop, request)
            while len(endpoint.bodies) < 5 or place.in_flight:
                await asyncio.sleep(0.01)
            found = await scheduler.finished()
            assert scheduler.room == 0
            with pytest.raises(TeacherError, match="refuses the key"):
                await scheduler.finished()
            return found, scheduler
        finally:
            await scheduler.close()

    def behave(_number: int, body: Body) -> Answer:
        return Answer(status=401, body="{}") if "Why 2?" in str(body) else Answer(delay=0.2)

    with serving(behave) as endpoint:
        found, _ = asyncio.run(run(endpoint.url))
    assert sorted(request.key for request, _ in found) == ["0", "1", "3", "4"]


def test_replies_behind_many_fatal_errors_are_returned() -> None:
    async def run(url: str) -> list[str]:
        loop = asyncio.get_running_loop()
        place = Place(url=url, concurrency=ConcurrencyLimit(200))
        scheduler = Scheduler(OPTIONS, [place], SAMPLING, key=ApiKey(name="K"), prices=None, clock=loop.time)
        found: list[str] = []
        try:
            for request in ask(200):
                scheduler.start(loop, request)
            while len(endpoint.bodies) < 200 or place.in_flight:
                await asyncio.sleep(0.01)
            while not found:
                found.extend(request.key for request, _ in await scheduler.finished())
            with pytest.raises(TeacherError, match="refuses the key"):
                await scheduler.finished()
        finally:
            await scheduler.close()
        return found

    with serving(
        lambda _, body: Answer(delay=0.5) if "Why 7?" in str(body) else Answer(status=401, body="{}")
    ) as endpoint:
        assert asyncio.run(run(endpoint.url)) == ["7"]


def test_requests_in_flight_finish_when_the_run_ends() -> None:
    """It is paid for. What waits for its next attempt is not asked again."""
    poor = Answer(status=429, body=json.dumps({"error": {"message": "pay", "code": "insufficient_quota"}}))

    def behave(_number: int, body: Body) -> Answer:
        if "Why 2?" in str(body):
            return poor
        return Answer(status=500, body="{}") if "Why 3?" in str(body) else Answer(delay=1.0)

    kept: list[Answered] = []
    with serving(behave) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 8})
        with pytest.raises(TeacherError, match="no money left"):
            kept.extend(answer for answers in teacher.generate(ask(8), SAMPLING) for answer in answers)
        assert len(endpoint.bodies) <= 9
    assert sorted(request.key for request, _ in kept) == ["0", "1", "4", "5", "6", "7"]


def test_finished_replies_are_returned_before_slow_ones_when_the_run_ends() -> None:
    """Ctrl-C while the rest is waited for must not lose it."""

    async def run(url: str) -> list[list[str]]:
        loop = asyncio.get_running_loop()
        place = Place(url=url, concurrency=ConcurrencyLimit(8))
        scheduler = Scheduler(OPTIONS, [place], SAMPLING, key=ApiKey(name="K"), prices=None, clock=loop.time)
        for request in ask(4):
            scheduler.start(loop, request)
        while len(endpoint.bodies) < 4 or place.in_flight > 1:
            await asyncio.sleep(0.01)
        found = [[request.key for request, _ in await scheduler.finished()] for _ in range(2)]
        with pytest.raises(TeacherError, match="refuses the key"):
            await scheduler.finished()
        await scheduler.close()
        return found

    def behave(_number: int, body: Body) -> Answer:
        if "Why 2?" in str(body):
            return Answer(status=401, body="{}")
        return Answer(delay=2.0 if "Why 3?" in str(body) else 0.0)

    with serving(behave) as endpoint:
        found = asyncio.run(run(endpoint.url))
    assert [sorted(keys) for keys in found] == [["0", "1"], ["3"]]


def test_a_question_that_moderation_flags_does_not_end_the_run() -> None:
    flagged = Answer(status=403, body=json.dumps({"error": {"message": "Your input was flagged"}}))
    found, _ = asked(lambda _n, body: flagged if "Why 0?" in str(body) else Answer(), 3, max_in_flight=1)
    assert "flagged" in str(found["0"])
    assert text_of(found["1"]) == text_of(found["2"]) == "It follows."


def test_a_key_that_is_revoked_during_the_run_ends_it() -> None:
    """Ten times 403 without a reply in between are not ten odd questions."""
    with pytest.raises(TeacherError, match="refuses the key"):
        asked(lambda number, _b: Answer() if number < 3 else Answer(status=403, body="{}"), 40, max_in_flight=1)


def test_a_reply_is_kept_although_its_headers_end_the_run() -> None:
    stop = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h0m0s"}
    with serving(lambda number, _b: Answer(headers=stop if number == 4 else {})) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 1})
        found: list[Answered] = []
        stream = teacher.generate(ask(40), SAMPLING)
        with pytest.raises(TeacherError, match="come back in 1440 minutes"):
            found.extend(chain.from_iterable(stream))
    assert len(found) == len(endpoint.bodies) == 5


def test_an_unexpected_error_ends_the_run_instead_of_hanging() -> None:
    half = Request(split="train", key="x", messages=(Message(role="user", content="Why \ud83d?"),))
    with serving(lambda _n, _b: Answer()) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url})
        with pytest.raises(UnicodeEncodeError):
            answers(teacher, [*ask(3), half], SAMPLING)


def test_a_requested_pause_applies_to_all_requests() -> None:
    came: list[float] = []

    def behave(number: int, _body: Body) -> Answer:
        came.append(time.monotonic())
        return Answer(status=429, body="{}", headers={"Retry-After": "1"}) if number == 3 else Answer()

    found, _ = asked(behave, 12, max_in_flight=1)
    assert {text_of(outcome) for outcome in found.values()} == {"It follows."}
    assert came[4] - came[3] >= 0.99


def test_the_key_does_not_follow_a_redirect_to_another_host() -> None:
    with serving(lambda _n, _b: Answer()) as other:
        away = Answer(status=307, body="", headers={"Location": f"{other.url}/chat/completions"})
        with serving(lambda _n, _b: away) as endpoint:
            teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "give_up_after": 0.5})
            answers(teacher, ask(1), SAMPLING)
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert other.keys == {""}
