"""What endpoints write into batches' files and states: anything may stand there, and nothing of it is fatal."""

from __future__ import annotations

import json
import sqlite3
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import BatchAnswer, Completion, Failure, Prices
from backends.hosted.batch_files import lines, read_answer, read_state
from backends.hosted.client import LARGEST_REPLY
from backends.hosted.responses import well_formed
from backends.hosted.retries import Malformed
from tinyllm_cli.elicitation.requests import format_request_id, parse_request_id

PRICES = Prices(prompt=1.0, completion=2.0, source="test")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def shaped(*names: str) -> st.SearchStrategy[Any]:
    """Objects with some of these fields, and anything in them."""
    return st.dictionaries(st.sampled_from(names), JSON, max_size=len(names))


MESSAGES = shaped("content", "refusal", "reasoning_content", "reasoning")
CHOICES = st.lists(st.fixed_dictionaries({"message": MESSAGES | JSON, "finish_reason": JSON}), max_size=2)
BODIES = st.fixed_dictionaries(
    {"choices": CHOICES | JSON, "usage": shaped("prompt_tokens", "completion_tokens"), "error": JSON}
)
RESPONSES = st.fixed_dictionaries({"status_code": st.sampled_from([200, 400, None, "200"]), "body": BODIES | JSON})
ANSWERS = st.fixed_dictionaries(
    {"custom_id": st.text(), "response": RESPONSES | JSON, "error": st.none() | shaped("code", "message") | JSON}
)


def read(line: bytes) -> BatchAnswer | None:
    return read_answer(line, "chat", 50, PRICES, well_formed)


@given(ANSWERS | JSON)
def test_any_line_gives_an_outcome_that_can_be_stored_or_none(found: Any) -> None:
    answer = read(json.dumps(found).encode())
    if answer is None:
        assert not isinstance(found, dict) or not isinstance(found.get("custom_id"), str)
        return
    outcome = answer.outcome
    if isinstance(outcome, Completion):
        assert outcome.text.strip()
    texts = (
        [outcome.text, outcome.reasoning] if isinstance(outcome, Completion) else [outcome.reason] if outcome else []
    )
    with sqlite3.connect(":memory:") as database:
        for value in (*texts, *((outcome.prompt_tokens, outcome.completion_tokens) if outcome else ())):
            database.execute("SELECT ?", (value,))
    database.close()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_no_answer(line: bytes) -> None:
    answer = read(line)
    assert answer is None or isinstance(answer, BatchAnswer)


@given(shaped("id", "status", "endpoint", "request_counts", "errors", "output_file_id", "error_file_id"))
def test_any_state_is_read_or_refused(found: dict[str, Any]) -> None:
    try:
        state = read_state(found, well_formed)
    except Malformed:
        return
    assert state.id
    assert all(state.files)
    json.dumps([state.id, state.status, state.trouble, state.files], ensure_ascii=False).encode()


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled"])
def test_a_batch_is_over_in_four_states(status: str) -> None:
    assert read_state({"id": "b", "status": status}, well_formed).over


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "something_new"])
def test_a_batch_in_any_other_state_continues(status: str) -> None:
    assert not read_state({"id": "b", "status": status}, well_formed).over


def test_the_reasons_of_a_failed_batch_are_shortened() -> None:
    data = [{"code": "bad_line", "message": f"Wrong {number}.", "line": number} for number in range(1, 9)]
    state = read_state({"id": "b", "status": "failed", "errors": {"data": [*data, "odd"]}}, well_formed)
    assert state.trouble == "Wrong 1. (line 1); Wrong 2. (line 2); Wrong 3. (line 3); and 5 more"


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_a_request_that_was_never_worked_on_is_no_failure(code: str) -> None:
    line = {"custom_id": "x-0", "response": None, "error": {"code": code, "message": "too late"}}
    assert read(json.dumps(line).encode()) == BatchAnswer(name="x-0", outcome=None)


def test_an_error_is_a_failure_in_the_endpoint_s_words() -> None:
    line = {"custom_id": "x-0", "response": None, "error": {"code": "server_error", "message": "We broke."}}
    assert read(json.dumps(line).encode()) == BatchAnswer(name="x-0", outcome=Failure(reason="server_error: We broke."))


@given(st.lists(st.integers(0, 3 * LARGEST_REPLY // 2), max_size=3), st.booleans())
def test_lines_are_split_and_never_longer_than_a_reply(sizes: list[int], ends: bool) -> None:
    content = b"\n".join(b"x" * size for size in sizes) + (b"\n" if ends else b"")
    found = [len(line.strip()) for line in lines(BytesIO(content))]
    assert found == [min(size, LARGEST_REPLY) for size in sizes if size]


@given(st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(0, 999_999_999))
def test_a_request_s_name_leads_back_to_it(prompt: str, sample: int) -> None:
    assert parse_request_id(format_request_id((prompt, sample))) == (prompt, sample)


@pytest.mark.parametrize(
    "name", ["", "0-0", "g" * 32 + "-0", "0" * 32, "0" * 32 + "-", "0" * 32 + "-01", "0" * 32 + "-\u0661"]
)
def test_any_other_name_leads_nowhere(name: str) -> None:
    assert parse_request_id(name) is None
    assert parse_request_id("0" * 32 + "-0\n") is None
