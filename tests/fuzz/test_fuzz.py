"""Properties of everything that reads what others wrote: no exception but the project's own, and round trips.

In the ordinary test run each property is tried on a few examples. `make fuzz SECONDS=600` tries new ones for so long.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backends
from backends.base import TeacherError
from backends.recorded import RecordedTeacher
from backends.reply_text import is_refusal, text_span, visible_text
from tinyllm_cli.config import load_settings
from tinyllm_cli.config.env_file import apply_env_file
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.matching import match_option, stated_option
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import own_answer, rationale_text, without_thinking
from tinyllm_cli.errors import TinyLLMError, UsageProblem
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict, judge
from tinyllm_cli.rationales.review_sheet import SheetRow, read_sheet, sheet_text
from tinyllm_cli.rationales.verdicts import decode, encode
from tinyllm_cli.records.elicitation import Rationale
from tinyllm_cli.records.human_verdicts import ReviewableRationale
from tinyllm_cli.records.settings import Environment, RunSettings, SelectionRecord, TrainSettings
from tinyllm_cli.store.verdicts import StoredVerdict

SECONDS = float(os.environ.get("TINYLLM_FUZZ_SECONDS", "0"))
few = settings(
    max_examples=200 if SECONDS else 40, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)

FILES = ("q.jsonl", "q.json", "q.csv", "q.tsv", "q.jsonl.gz", "q.csv.gz", "train.jsonl")
FIELDS = ("id", "question", "options", "answer", "answer_index", "context", "split", "rationale", "choices", "label")
PIECES = (
    "<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>",
    "<|end|>", "<|im_end|>", "<|im_start|>user\n", "<|start|>assistant", "Answer:", "The answer is", "(a)", "(b)", " B",
    ".", " not", "\nQuestion:", "\n", " ", "\\boxed{", "}", "**", "'", "rain", "sand", "I'm sorry, but", "### User:",
)  # fmt: skip

words = st.text(max_size=30) | st.sampled_from(
    ["", " ", "a", "0", "1", "1.0", "nan", "true", "\u202e", "\x1b[31m", "\0"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
rows = st.dictionaries(st.sampled_from(FIELDS), values, max_size=7) | values
good_rows = st.builds(
    lambda row, changes: row | changes,
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1, max_size=3),
            "question": st.just("What floats?"),
            "options": st.just(["cork", "iron"]),
            "answer_index": st.integers(-1, 2),
            "rationale": words,
        }
    ),
    st.just({}) | st.dictionaries(st.sampled_from(FIELDS), values, max_size=1),
)
tables = st.lists(st.lists(words, max_size=6), max_size=5).map(lambda table: "\n".join(map(",".join, table)))
texts = (
    st.lists(rows | good_rows, max_size=5).map(lambda all_: "".join(json.dumps(row) + "\n" for row in all_))
    | st.lists(rows | good_rows, max_size=5).map(json.dumps)
    | tables.map(lambda table: f"id,question,a,b,answer\n{table}")
    | tables
    | st.text(alphabet='[]{}":,\\ \n\t0aeE+-.ntf', max_size=60)
)
contents = st.binary(max_size=80) | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
replies = st.text(max_size=80) | st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=9).map("".join)
options = st.lists(st.sampled_from(["rain", "sand", "C major", "B", "a", "not rain"]) | st.text(min_size=1, max_size=9),
                   min_size=2, max_size=6)  # fmt: skip


def written(folder: str, name: str, content: bytes, cut: int = 0) -> Path:
    path = Path(folder, name)
    packed = gzip.compress(content) if name.endswith(".gz") else content
    path.write_bytes(packed[: len(packed) - cut])
    return path


@few
@given(st.sampled_from(FILES), contents, st.sampled_from([0, 0, 0, 3]))
def question_files(name: str, content: bytes, cut: int) -> None:
    with TemporaryDirectory() as folder, suppress(TinyLLMError):
        for question in from_path(written(folder, name, content, cut), name="new").read():
            assert question.text.strip()
            assert 2 <= len(question.options) <= 26
            assert 0 <= question.answer < len(question.options)
            question.text.encode()


@few
@given(st.sampled_from(FILES), contents, st.sampled_from([0, 0, 0, 3]))
def recorded_rationales(name: str, content: bytes, cut: int) -> None:
    with TemporaryDirectory() as folder, suppress(TeacherError):
        with closing(RecordedTeacher({"path": str(written(folder, name, content, cut))})) as teacher:
            found = teacher.contents()
        assert all(one.questions <= one.rows and one.samples <= one.rows for one in found.values())


SETTINGS = st.sampled_from(
    ["backend", "model", "path", "replies", "prefix", "temperature", "top_p", "max_tokens", "seed", "stop", "base_url",
     "command", "engine", "extra", "timeout", "max_in_flight", "train", "columns", "options", "answers_from"]
)  # fmt: skip
toml_scalars = (
    st.booleans().map(lambda value: str(value).lower())
    | st.integers(-(2**70), 2**70).map(str)
    | st.floats().map(lambda value: str(value) if math.isfinite(value) else str(value).replace("infinity", "inf"))
    | st.sampled_from(
        ["scripted", "openai", "recorded", "huggingface", "vllm", "http://[::1", "http://a/v1", "a\0b"]
    ).map(json.dumps)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=9).map(json.dumps)
    | st.just("1979-05-27")
)
toml_values = st.recursive(
    toml_scalars, lambda inner: st.lists(inner, max_size=3).map(lambda all_: f"[{', '.join(all_)}]")
)
sections = st.sampled_from(
    ["[teachers.t]", "[teachers]", "[datasets.d]", "[gates]", "[teachers.gpt-4.1]", "[x]", '[teachers."a=b"]']
)
documents = st.lists(
    st.tuples(sections, st.dictionaries(SETTINGS, toml_values, max_size=5)), max_size=3, unique_by=lambda part: part[0]
).map(lambda parts: "".join(f"{head}\n" + "".join(f"{k} = {v}\n" for k, v in body.items()) for head, body in parts))


@few
@given(documents | st.text(max_size=60))
def toml_settings(text: str) -> None:
    with TemporaryDirectory() as folder, suppress(UsageProblem):
        found = load_settings(written(folder, "tinyllm.toml", text.encode("utf-8", "surrogatepass")))
        for spec in found.teachers.values():
            json.dumps([spec.options, spec.sampling], allow_nan=False)
            with suppress(TeacherError):
                backends.create(spec.backend, spec.options).close()


names = st.sampled_from(["A_KEY", "HF_TOKEN", "PATH", "TINYLLM_DB", "a b", "", "=", "export X_KEY"])
assignments = st.lists(st.builds("{}={}".format, names, words), max_size=4).map("\n".join)


@few
@given(st.binary(max_size=60) | assignments.map(lambda text: text.encode("utf-8", "surrogatepass")))
def env_files(content: bytes) -> None:
    environment: dict[str, str] = {}
    with TemporaryDirectory() as folder, suppress(UsageProblem):
        apply_env_file(environment, written(folder, ".env", content))
    assert "PATH" not in environment
    assert not any("\0" in value for value in environment.values())


@few
@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.", min_size=1, max_size=40))
def env_round_trip(value: str) -> None:
    environment: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        apply_env_file(environment, written(folder, ".env", f"MY_KEY={value}\n".encode()))
    assert environment == {"MY_KEY": value}


@few
@given(replies, options, st.none() | st.integers(-3, 9))
def reply_parts(raw: str, choices: list[str], recorded: int | None) -> None:
    begin, end = text_span(raw)
    assert 0 <= begin <= end <= len(raw)
    assert without_thinking(raw) == raw[begin:end]
    assert rationale_text(raw) in raw
    assert isinstance(is_refusal(raw), bool)
    for found in (stated_option(raw, choices), match_option(raw, choices), own_answer(recorded, raw, choices)):
        assert found is None or 0 <= found < len(choices)


plain = st.text("abcdefghij ,", max_size=20)


@few
@given(
    st.sampled_from(
        [("<think>", "</think>"), ("[THINK]", "[/THINK]"),
         ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")]
    ),
    plain, plain.filter(str.strip), st.sampled_from(["", "<|im_end|>", "<|end|>", "<|im_end|>\n<|im_start|>user\n"]),
)  # fmt: skip
def chat_markers(markers: tuple[str, str], reasoning: str, text: str, end: str) -> None:
    assert visible_text(f"{markers[0]}{reasoning}{markers[1]}{text}{end}") == text.strip()


QUESTION = Question(dataset="d", split="train", key="1", text="What is wet?", options=("rain", "sand"), answer=0)


def rationale(text: str) -> Rationale:
    return Rationale(
        id=1, position=0, key="1", question=QUESTION.hash, sample=0, text=text, finish_reason="stop", answer=None
    )


def through_json(stored: StoredVerdict) -> StoredVerdict:
    return StoredVerdict(
        rationale=stored.rationale,
        verdict=stored.verdict,
        text=stored.text,
        findings=json.loads(json.dumps(stored.findings)),
    )


findings = st.builds(GateFinding, gate=words, reason=words, repaired=st.booleans())


@few
@given(replies, st.builds(Verdict, verdict=st.sampled_from(["kept", "repaired", "rejected"]), text=words,
                          findings=st.lists(findings, max_size=3).map(tuple)))  # fmt: skip
def verdict_codec(raw: str, verdict: Verdict) -> None:
    assert decode(raw, through_json(encode(rationale(raw), verdict))) == verdict


@few
@given(replies)
def gate_verdicts(raw: str) -> None:
    verdict = judge(without_thinking(raw), QUESTION, GateSettings())
    assert decode(raw, through_json(encode(rationale(raw), verdict))) == verdict
    assert verdict.verdict == "rejected" or verdict.text.strip()


positive = st.floats(0, 1e6)
train_settings = st.builds(
    TrainSettings,
    epochs=st.integers(1, 9),
    lr=positive,
    schedule=words,
    weight_decay=positive,
    max_grad_norm=positive,
    lora_alpha=positive,
    reading=st.sampled_from(["example", "token"]),
    seed=st.integers(-(2**63), 2**63 - 1),
    gradient_checkpointing=st.booleans(),
)
selections = st.builds(
    SelectionRecord, gates=st.none() | words, samples=st.none() | st.integers(1, 9), shuffled=st.booleans()
)
precisions = st.sampled_from(["float32", "bfloat16"])
run_settings = st.builds(
    RunSettings,
    train=train_settings,
    limit=st.none() | st.integers(1, 99),
    prefixes=st.dictionaries(words, words, max_size=3),
    selection=selections,
    fingerprint=words,
    data=words,
    environment=st.none() | st.builds(Environment, device=words, precision=precisions, threads=st.integers(1, 99)),
)


@few
@given(run_settings)
def stored_settings_round_trip(chosen: RunSettings) -> None:
    assert RunSettings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


NAMES = [one.name for kind in (RunSettings, TrainSettings, SelectionRecord) for one in fields(kind)]


@few
@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=5), st.booleans())
def stored_settings(row: dict[str, Any], complete: bool) -> None:
    whole = {**RunSettings().to_json(), **row} if complete else row
    with suppress(ValueError, UsageProblem):  # the store names the database in a WorldProblem
        found = RunSettings.from_json(whole)
        json.dumps(found.to_json())


REVIEWED = ReviewableRationale(
    id=7, teacher="ann", text="It is so.",
    question=Question(dataset="d", split="train", key="k", text="Why?", options=("a", "b"), answer=0),
)  # fmt: skip
SHEET = sheet_text([SheetRow(rationale=REVIEWED, text="It is so.", gates="kept", findings="")], blind=True)
cells = words | st.sampled_from(["accept", "reject", "edit", "7", "ann", "2026-01-01", "2026-01-01T25:00", "=1", "'=1"])
sheet_changes = st.dictionaries(st.sampled_from(SHEET.splitlines()[0].split(",")), cells, max_size=4)


@few
@given(st.lists(sheet_changes, max_size=3), contents, st.booleans())
def review_sheets(changes: list[dict[str, str]], content: bytes, ours: bool) -> None:
    with TemporaryDirectory() as folder, suppress(TinyLLMError):
        if ours:
            [row] = csv.DictReader(io.StringIO(SHEET, newline=""))
            out = io.StringIO()
            writer = csv.DictWriter(out, list(row))
            writer.writeheader()
            writer.writerows({**row, **one} for one in changes)
            content = out.getvalue().encode("utf-8", "surrogatepass")
        found = read_sheet(written(folder, "s.csv", content), lambda ids: {7: REVIEWED} if 7 in ids else {})
        for one in found.verdicts:
            assert (one.text is None) == (one.verdict == "reject") == (one.text is None and bool(one.reason))
            assert one.verdict != "accept" or one.text == "It is so."
            assert (one.rationale, one.at[-6:]) == (7, "+00:00")


PROPERTIES: list[Callable[[], None]] = [
    question_files, recorded_rationales, toml_settings, env_files, env_round_trip, reply_parts, chat_markers,
    verdict_codec, gate_verdicts, stored_settings_round_trip, stored_settings, review_sheets,
]  # fmt: skip


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda one: one.__name__)
def test_a_reader_of_foreign_text_raises_only_our_errors(holds: Callable[[], None]) -> None:
    end = time.monotonic() + SECONDS / len(PROPERTIES)
    holds()
    while time.monotonic() < end:
        holds()
