"""Batches against a real server on loopback: the same rows as an ordinary run, whatever the endpoint does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.batch_endpoint import (
    BATCH,
    KEY,
    ORDINARY,
    Body,
    Ending,
    Reply,
    configure,
    good,
    result_of,
    serving_batches,
    settled,
)
from tests.conftest import Command
from tests.files import rows

pytestmark = pytest.mark.usefixtures("key")
PRICES = {"price_prompt": 2.0, "price_completion": 10.0}


def fussy(body: Body) -> Reply:
    """Some questions come to nothing, each for another reason, and some replies are odd."""
    status, reply = good(body)
    text, choice = json.dumps(body), reply["choices"][0]
    if "number 1 of" in text:
        return 400, {"error": {"message": "too long"}}
    if "number 2 of" in text:
        choice["finish_reason"] = "content_filter"
    if "number 3 of" in text:
        choice["finish_reason"] = "length"
    if "number 4 of" in text:
        choice.get("message", choice)["content" if "messages" in body else "text"] = "  "
    if "number 5 of" in text and "messages" in body:
        choice["message"] |= {"content": None, "refusal": "I can't."}
    if "number 6 of" in text:
        del reply["usage"]
    return status, reply


RATIONALES = (
    "SELECT question, teacher, prompt, sampling, sample, text, finish_reason, answer, prompt_tokens,"
    " completion_tokens, reasoning, attempts, last_error, raised_max_tokens FROM rationales ORDER BY prompt, sample"
)
FAILURES = "SELECT question, teacher, prompt, sampling, sample, attempts, cost FROM failures ORDER BY prompt, sample"
REASONS = "SELECT reason FROM failures ORDER BY reason"


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_batch_brings_the_rows_of_an_ordinary_run(inside: Command, tmp_path: Path, api: str) -> None:
    sampled = ("--samples", "2", "--temperature", "0.5")
    with serving_batches(answer=fussy) as server:
        configure(tmp_path, server.url, questions=12, api=api, length_retry_factor=1.0)
        done = result_of(inside(*BATCH, *sampled, "--json"))
        ordinary = result_of(inside(*ORDINARY, *sampled, "--db", "ordinary.db", "--json"))
    assert len(server.requests()) == len(server.asked) == 24
    assert sorted(map(json.dumps, server.asked)) == sorted(json.dumps(one["body"]) for one in server.requests())
    for query in (RATIONALES, FAILURES):
        assert rows(tmp_path, query) == rows(tmp_path, query, "ordinary.db")
    reasons = rows(tmp_path, REASONS)
    assert ("HTTP 400: too long",) in reasons
    assert ("stopped by the content filter",) in reasons
    assert len(reasons) == done["failed"] == ordinary["failed"] == (8 if api == "chat" else 6)
    assert done["cut_off"] == ordinary["cut_off"] == 2
    assert rows(tmp_path, "SELECT state, requests, error FROM batches") == [("completed", 24, None)]
    assert rows(tmp_path, "SELECT state, replies, failures FROM elicitations") == rows(
        tmp_path, "SELECT state, replies, failures FROM elicitations", "ordinary.db"
    )


def test_a_cut_reply_is_kept_and_never_asked_again(inside: Command, tmp_path: Path) -> None:
    def cut(body: Body) -> Reply:
        status, reply = good(body)
        reply["choices"][0]["finish_reason"] = "length"
        return status, reply

    with serving_batches(answer=cut) as server:
        configure(tmp_path, server.url, questions=3)
        assert result_of(inside(*BATCH, "--json"))["cut_off"] == 3
        assert result_of(inside(*BATCH, "--json"))["already"] == 3
        assert result_of(inside(*ORDINARY, "--json"))["already"] == 3
    assert len(server.requests()) == 3
    assert server.asked == []


def test_a_batch_costs_half_after_five_ordinary_questions(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=12, **PRICES)
        refused = inside(*BATCH)
        assert refused.returncode == 2
        assert "there is no terminal to confirm it" in refused.stderr
        assert server.calls == []
        done = result_of(inside(*BATCH, "--yes", "--json"))
    each = (100 * 2.0 + 10 * 10.0) / 1e6
    assert (len(server.asked), len(server.requests())) == (5, 7)
    assert (done["pilot_replies"], done["new"]) == (5, 7)
    assert done["cost"] == pytest.approx(7 * each / 2)
    assert done["rest"]["cost"] == pytest.approx(7 * each / 2)
    costs = rows(tmp_path, "SELECT cost, count(*) FROM rationales GROUP BY cost ORDER BY cost")
    assert costs == [(pytest.approx(each / 2), 7), (pytest.approx(each), 5)]
    settled(tmp_path, 12)


def test_a_budget_holds_for_what_is_submitted_and_not_answered(inside: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=12)
        done = inside(*BATCH, "--no-wait", "--max-tokens-total", "2000", "--max-tokens", "200")
        submitted = len(server.requests())
        assert 0 < submitted < 12
        assert f"{12 - submitted} requests were not asked" in done.stdout
        assert "kept for what is pending" in done.stdout
        server.held = False
        again = result_of(inside(*BATCH, "--max-tokens-total", "200000", "--max-tokens", "200", "--json"))
    assert again["new"] == 12
    assert max(len(batch.requests) for batch in server.batches.values()) <= 12
    settled(tmp_path, 12)


def test_teachers_that_are_asked_the_same_share_a_budget(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=4)
        settings = (tmp_path / "tinyllm.toml").read_text(encoding="utf-8")
        (tmp_path / "tinyllm.toml").write_text(settings + settings.replace(".gpt]", ".other]"), encoding="utf-8")
        done = inside(*BATCH, "--teacher", "other", "--max-tokens-total", "3000")
    submitted = len(server.requests())
    assert 4 < submitted < 8
    assert f"{110 * submitted} of 3,000 tokens taken, {3000 - 110 * submitted:,} left" in done.stdout, done.stdout


def test_submitting_ends_at_once_and_a_new_process_collects(tinyllm: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=12)
        first = tinyllm(*BATCH, "--no-wait", OPENAI_API_KEY=KEY)
        assert first.returncode == 0, first.stderr
        assert "0 new rationales, 0 already stored, 12 are pending in batches." in first.stdout
        assert f"Next: tinyllm {' '.join(BATCH)} --no-wait" in first.stderr
        again = tinyllm(*BATCH, "--no-wait", OPENAI_API_KEY=KEY)
        assert "12 are pending in batches" in again.stdout
        server.held = False
        last = tinyllm(*BATCH, OPENAI_API_KEY=KEY)
        assert "12 new rationales, 0 already stored." in last.stdout
        assert "Next: tinyllm distill" in last.stderr
    assert len(server.batches) == 1
    settled(tmp_path, 12)


def test_what_lies_in_a_batch_is_asked_by_nobody_else(inside: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=12)
        inside(*BATCH, "--no-wait", "--limit", "7")
        assert result_of(inside(*ORDINARY, "--limit", "9", "--json"))["pending"] == 7
        assert len(server.asked) == 2
        assert "Would ask gpt (m) 3 times" in inside(*BATCH, "--dry-run").stdout
        assert result_of(inside(*BATCH, "--no-wait", "--json"))["pending"] == 10
        server.held = False
        assert result_of(inside(*BATCH, "--json"))["new"] == 10
    assert [len(batch.requests) for batch in server.batches.values()] == [7, 3]
    settled(tmp_path, 12)


def test_many_requests_make_several_batches(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=25, batch_requests=10)
        assert len(result_of(inside(*BATCH, "--json"))["batches"]) == 3
    assert [len(batch.requests) for batch in server.batches.values()] == [10, 10, 5]
    names = [request["custom_id"] for request in server.requests()]
    assert len(set(names)) == 25
    assert all(re.fullmatch(r"[0-9a-f]{32}-0", name) for name in names)
    settled(tmp_path, 25)


def test_a_content_in_two_places_is_in_one_batch(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=5, batch_requests=3)
        lines = (tmp_path / "toy" / "train.jsonl").read_text(encoding="utf-8")
        copies = "".join(lines.replace("train-", f"copy {number} ") for number in range(60))
        (tmp_path / "toy" / "train.jsonl").write_text(lines + copies, encoding="utf-8")
        early = inside(*BATCH, "--no-wait", "--json")
        assert result_of(early)["left"] == 0
        assert "no answer yet" not in early.stderr
        last = inside(*BATCH, "--json")
        assert "no answer yet" not in last.stderr
        found = result_of(last)
        assert (found["new"] + found["already"], found["pending"], found["left"]) == (305, 0, 0)
    assert len(server.requests()) == 5
    settled(tmp_path, 5)


def test_what_an_expired_batch_has_is_kept_and_the_rest_is_asked_next_time(inside: Command, tmp_path: Path) -> None:
    endings = [Ending(status="expired", worked_on=5), Ending(status="cancelled", worked_on=2), Ending()]
    with serving_batches(ending=lambda _batch: endings.pop(0)) as server:
        configure(tmp_path, server.url, questions=12)
        first = inside(*BATCH)
        assert "7 requests have no answer and are asked again next time" in first.stderr
        assert "5 new rationales" in first.stdout
        assert rows(tmp_path, "SELECT count(*) FROM failures") == [(0,)]
        assert result_of(inside(*BATCH, "--json"))["new"] == 2
        assert result_of(inside(*BATCH, "--json"))["new"] == 5
    assert [len(batch.requests) for batch in server.batches.values()] == [12, 7, 5]
    settled(tmp_path, 12)


def test_a_failed_batch_says_why_and_is_submitted_again_next_time(inside: Command, tmp_path: Path) -> None:
    endings = [Ending(status="failed", errors=("The model does not exist.",)), Ending()]
    with serving_batches(ending=lambda _batch: endings.pop(0)) as server:
        configure(tmp_path, server.url, questions=4)
        first = inside(*BATCH)
        assert "failed; The model does not exist. (line 1)" in first.stderr
        assert rows(tmp_path, "SELECT state FROM elicitations") == [("failed",)]
        assert result_of(inside(*BATCH, "--json"))["new"] == 4
    settled(tmp_path, 4)


def test_what_failed_in_a_batch_is_not_submitted_by_the_run_that_learns_of_it(inside: Command, tmp_path: Path) -> None:
    with serving_batches(held=True, answer=fussy) as server:
        configure(tmp_path, server.url, questions=12)
        inside(*BATCH, "--no-wait")
        server.held = False
        found = result_of(inside(*BATCH, "--json"))
        assert (found["failed"], found["left"]) == (4, 0)
        assert len(server.batches) == 1
        again = inside(*BATCH)
    assert "no answer yet" not in again.stderr
    assert [len(batch.requests) for batch in server.batches.values()] == [12, 4]
    assert "The same command asks the failed ones again." in again.stderr
    assert rows(tmp_path, "SELECT attempts FROM failures") == [(2,)] * 4
