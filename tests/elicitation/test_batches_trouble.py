"""Batches at an endpoint that fails, forgets, mixes up or has none: told, survived, and nothing asked twice."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.batch_endpoint import BATCH, KEY, ORDINARY, Ending, configure, result_of, serving_batches, settled
from tests.conftest import Command
from tests.files import rows

pytestmark = pytest.mark.usefixtures("key")


def spoil(lines: list[bytes]) -> list[bytes]:
    """The results of ten requests, of which the first two can't be had, and two more came to nothing."""
    stranger = lines[2].replace(json.loads(lines[2])["custom_id"].encode(), b"0" * 32 + b"-0")
    named = [json.loads(line) for line in lines]
    named[3]["response"]["body"] = {"choices": []}
    named[4]["response"] = None
    odd = [json.dumps(one).encode() for one in named]
    nameless = json.dumps({**named[5], "custom_id": 7}).encode()
    return [
        b"{ not JSON",
        odd[0][:40],
        b"[]",
        b"",
        nameless,
        stranger,
        stranger.replace(b"-0", b"-99999999999999999999"),
        stranger.replace(b"00000-0", b"\\ud800"),
        b'{"custom_id": "' + b"x" * (9 * 2**20) + b'"}',
        *odd[2:],
        odd[2],
        odd[3],
    ]


def test_hostile_results_are_counted_and_reported_and_stop_nothing(inside: Command, tmp_path: Path) -> None:
    with serving_batches(lines=spoil) as server:
        configure(tmp_path, server.url, questions=10)
        first = inside(*BATCH)
        assert first.returncode == 0, first.stderr
        assert "5 lines can't be read" in first.stderr
        assert "3 answers belong to none of its requests" in first.stderr
        assert "2 answers arrived twice" in first.stderr
        assert "2 requests have no answer" in first.stderr
        assert "6 new rationales, 0 already stored, 2 failed" in first.stdout
        reasons = rows(tmp_path, "SELECT reason FROM failures ORDER BY reason")
        assert reasons == [
            ("not a completion: the answer has no choices",),
            ("not a completion: the result has no response",),
        ]
        server.lines = lambda lines: lines
        assert result_of(inside(*BATCH, "--json"))["new"] == 4
    settled(tmp_path, 10)


def test_an_endpoint_without_batches_is_distinguished(inside: Command, tmp_path: Path) -> None:
    with serving_batches(trouble=lambda _method, path: None if "completions" in path else 404) as server:
        configure(tmp_path, server.url, questions=4)
        done = inside(*BATCH)
        assert done.returncode == 1
        assert f"{server.url} has no Batch API (HTTP 404" in done.stderr
        assert inside(*ORDINARY).returncode == 0
    settled(tmp_path, 4)


def test_a_teacher_without_batches_is_a_problem_of_usage(inside: Command, tmp_path: Path, scripted: Path) -> None:
    for arguments, said in [
        (("-t", "parrot", "-d", "everyday", "--batch"), "parrot has no batch API: its backend is 'scripted'."),
        (("-t", "parrot", "-d", "everyday", "--no-wait"), "--no-wait needs --batch."),
    ]:
        done = inside("elicit", *arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_refused_key_ends_the_run_and_is_written_nowhere(inside: Command, tmp_path: Path) -> None:
    refused = {"POST /files": 401, "GET /batches": 403}
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=4)
        outputs = []
        for call in refused:
            server.trouble = lambda method, path, call=call: (
                refused[call] if f"{method} {path}".startswith(call) else None
            )
            done = inside(*BATCH, "--no-wait", "--debug")
            assert done.returncode == 1
            assert "refuses the key" in done.stderr
            outputs.append(done.stdout + done.stderr)
            server.trouble = lambda _method, _path: None
            inside(*BATCH, "--no-wait")
    assert server.keys == {f"Bearer {KEY}"}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in [*files, *map(str.encode, outputs)])


@pytest.mark.parametrize("trouble", [500, 429, 503, "cut"])
def test_what_passes_is_tried_again_and_nothing_doubles(inside: Command, tmp_path: Path, trouble: int | str) -> None:
    seen: dict[str, int] = {}

    def every_first(method: str, path: str) -> int | str | None:
        call = f"{method} {path}"
        seen[call] = seen.get(call, 0) + 1
        return trouble if seen[call] == 1 and call != "POST /batches" else None

    with serving_batches(trouble=every_first) as server:
        configure(tmp_path, server.url, questions=4)
        assert result_of(inside(*BATCH, "--json"))["new"] == 4
    assert len(server.batches) == 1
    settled(tmp_path, 4)


@pytest.mark.parametrize("trouble", [500, 429, 400, "cut"])
def test_a_batch_is_never_created_twice(inside: Command, tmp_path: Path, trouble: int | str) -> None:
    """The first answer to a creation is lost; where it can have arrived, it had arrived."""
    answers: list[int | str | None] = [trouble]

    def lost(method: str, path: str) -> int | str | None:
        if f"{method} {path}" != "POST /batches" or not answers:
            return None
        if trouble in (500, "cut"):
            upload = list(server.files)[-1]
            token = rows(tmp_path, "SELECT token FROM batches WHERE state = 'submitting'")[0][0]
            body = {"input_file_id": upload, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            server.create({**body, "metadata": {"tinyllm": token}})
        return answers.pop()

    with serving_batches(trouble=lost) as server:
        configure(tmp_path, server.url, questions=4)
        done = inside(*BATCH)
        if trouble == 400:
            assert done.returncode == 1
            assert "refuses the batch (HTTP 400" in done.stderr
            assert rows(tmp_path, "SELECT count(*) FROM claims") == [(0,)]
            done = inside(*BATCH)
        assert done.returncode == 0, done.stderr
    assert len(server.batches) == 1
    settled(tmp_path, 4)


@pytest.mark.parametrize("trouble", [500, "cut"])
def test_an_endpoint_that_lists_no_batches_is_not_asked_for_a_second_one(
    inside: Command, tmp_path: Path, trouble: int | str
) -> None:
    """Nobody can find a batch there whose creation was not answered; what it may cost to ask again is told before."""
    lost: list[int | str] = [trouble]

    def blind(method: str, path: str) -> int | str | None:
        if f"{method} {path}" == "POST /batches":
            return lost.pop() if lost else None
        return 404 if f"{method} {path}" == "GET /batches" else None

    with serving_batches(trouble=blind) as server:
        configure(tmp_path, server.url, questions=4)
        first = inside(*BATCH, "--no-wait")
        assert server.calls.count("POST /batches") == 1
        assert "lists no batches, so it is unknown whether the batch arrived" in first.stderr
        assert "pays for them twice" in first.stderr
        second = inside(*BATCH)
        assert second.returncode == 0, second.stderr
    assert rows(tmp_path, "SELECT state FROM batches ORDER BY number") == [("failed",), ("completed",)]
    settled(tmp_path, 4)


def test_a_lost_batch_is_searched_for_through_many_pages(inside: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=14, batch_requests=2)
        inside(*BATCH, "--no-wait")
        forget(tmp_path, "id = NULL, state = 'submitting'", "number = 1")
        server.held = False
        assert result_of(inside(*BATCH, "--json"))["new"] == 14
    assert len(server.batches) == 7
    assert server.calls.count("GET /batches") == 4
    settled(tmp_path, 14)


def forget(folder: Path, change: str, where: str = "1") -> None:
    """Change what the database knows of batches, as a crash or the passing of days would."""
    with closing(sqlite3.connect(folder / "tinyllm.db")) as connection, connection:
        assert connection.execute(f"UPDATE batches SET {change} WHERE {where}").rowcount


def test_a_batch_that_never_arrived_is_free_after_a_while(inside: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=4)
        inside(*BATCH, "--no-wait")
        server.batches.clear()
        forget(tmp_path, "id = NULL, state = 'submitting'")
        soon = inside(*BATCH, "--no-wait")
        assert "it may still appear at the endpoint" in soon.stderr
        assert "4 are pending in batches" in soon.stdout
        forget(tmp_path, "submitted = '2020-01-01T00:00:00.000+00:00'")
        server.held = False
        late = inside(*BATCH)
        assert "it never reached the endpoint" in late.stderr
        assert "4 new rationales" in late.stdout
    settled(tmp_path, 4)


def test_a_command_that_waits_submits_again_what_never_arrived(
    inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyllm_cli.elicitation.batch_collect._UNDER_WAY", timedelta(seconds=4))
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=4, batch_requests=2)
        inside(*BATCH, "--no-wait")
        server.batches.pop(next(iter(server.batches)))
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        forget(tmp_path, f"id = NULL, state = 'submitting', submitted = '{moment}'", "number = 1")
        server.held = False
        done = inside(*BATCH)
    assert done.returncode == 0, done.stderr
    assert done.stderr.index("may still appear") < done.stderr.index("it never reached the endpoint")
    assert "4 new rationales, 0 already stored" in done.stdout
    assert rows(tmp_path, "SELECT state FROM batches ORDER BY number") == [("failed",), ("completed",), ("completed",)]
    settled(tmp_path, 4)


def test_what_never_arrived_leaves_its_room_in_the_budget(
    inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The four requests, submitted twice, come to once what they may take."""
    monkeypatch.setattr("tinyllm_cli.elicitation.batch_collect._UNDER_WAY", timedelta(seconds=4))
    creations = iter(["cut"])

    def once(method: str, path: str) -> str | None:
        return next(creations, None) if (method, path) == ("POST", "/batches") else None

    with serving_batches(trouble=once) as server:
        configure(tmp_path, server.url, questions=4)
        most = inside(*BATCH, "--dry-run", "--json")
        estimate = json.loads(most.stdout)["teachers"][0]["estimate"]
        tokens = estimate["prompt_tokens"] + estimate["completion_tokens"]
        done = inside(*BATCH, "--max-tokens-total", str(tokens * 19 // 10))
    assert done.returncode == 0, done.stderr
    assert "it never reached the endpoint" in done.stderr
    assert "4 new rationales, 0 already stored" in done.stdout
    assert len(server.requests()) == 4
    settled(tmp_path, 4)


def test_what_has_no_answer_yet_is_reported(inside: Command, tmp_path: Path) -> None:
    with serving_batches(ending=lambda _batch: Ending(status="expired", worked_on=3)) as server:
        configure(tmp_path, server.url, questions=4)
        done = inside(*BATCH)
    assert "1 have no answer yet; the same command asks them." in done.stderr


def test_a_batch_of_another_account_or_endpoint_is_left_alone(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as other, serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=4)
        inside(*BATCH, "--no-wait")
        configure(tmp_path, other.url)
        elsewhere = inside(*BATCH)
        assert elsewhere.returncode == 0
        assert f"it is at {server.url}, which is not the base_url of gpt now" in elsewhere.stderr
        assert other.calls == []
        configure(tmp_path, server.url)
        kept = dict(server.batches)
        server.batches.clear()
        assert "is it the account that submitted it?" in inside(*BATCH).stderr
        server.batches |= kept
        server.held = False
        assert result_of(inside(*BATCH, "--json"))["new"] == 4
    settled(tmp_path, 4)


def test_results_that_are_gone_are_asked_again_when_nobody_can_have_them_any_more(
    inside: Command, tmp_path: Path
) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=4)
        server.trouble = lambda _method, path: 404 if path.endswith("/content") else None
        first = inside(*BATCH)
        assert f"its results are not at {server.url} now" in first.stderr
        assert "4 are pending in batches" in first.stdout
        forget(tmp_path, "submitted = '2020-01-01T00:00:00.000+00:00'")
        last = inside(*BATCH)
        assert "the endpoint no longer has its results" in last.stderr
        assert len(server.batches) == 2
        server.trouble = lambda _method, _path: None
        assert result_of(inside(*BATCH, "--json"))["new"] == 4
    settled(tmp_path, 4)


def test_waiting_outlasts_an_endpoint_that_is_out_of_reach(inside: Command, tmp_path: Path) -> None:
    left = [6]

    def away(method: str, path: str) -> int | None:
        if method == "GET" and path.startswith("/batches/") and server.calls.count(f"GET {path}") > 1 and left[0]:
            left[0] -= 1
            return 503
        return None

    with serving_batches(trouble=away) as server:
        configure(tmp_path, server.url, questions=4, max_attempts=2)
        done = inside(*BATCH)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("does not answer as it should (HTTP 503") == 1
        assert "Trying again every 0.02 s." in done.stderr
    settled(tmp_path, 4)
