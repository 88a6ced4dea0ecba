"""The contract of teacher adapters, held against those that need no model; and how backends are found."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backends
from backends.base import (
    BadTeacherConfig,
    Completion,
    Failure,
    Message,
    Outcome,
    Request,
    Sampling,
    Selective,
    Teacher,
)
from tests.conftest import answers

ROWS = [{"id": f"q{number}", "rationale": f"because of {number}"} for number in range(40)]
MAKERS = ["scripted", "recorded"]
Maker = Callable[[str], Teacher]


def ask(key: str, *, split: str = "train", sample: int = 0) -> Request:
    messages = (Message(role="user", content=f"Why {key}?"),)
    return Request(split=split, key=key, messages=messages, sample=sample)


def outcomes(teacher: Teacher, *requests: Request, sampling: Sampling = Sampling()) -> list[Outcome]:  # noqa: B008 - frozen
    return [outcome for _, outcome in answers(teacher, requests, sampling)]


def texts(found: Sequence[Outcome]) -> list[str]:
    return [outcome.text if isinstance(outcome, Completion) else f"({outcome.reason})" for outcome in found]


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    def maker(backend: str) -> Teacher:
        if backend == "recorded":
            return backends.create(backend, {"path": str(jsonl(tmp_path / "rows.jsonl", ROWS))})
        return backends.create(backend, {"replies": ["One reason.", "Another reason.", "A third."]})

    return maker


@pytest.mark.parametrize("backend", MAKERS)
def test_each_request_is_answered_once_with_its_own_request(make: Maker, backend: str) -> None:
    requests = [ask(f"q{number}") for number in range(40)]
    answered = answers(make(backend), iter(requests))
    assert sorted(request.key for request, _ in answered) == sorted(request.key for request in requests)
    assert all(isinstance(outcome, Completion) and outcome.text for _, outcome in answered)


@pytest.mark.parametrize(("backend", "ahead"), [("scripted", 1), ("recorded", 100)])
def test_what_was_taken_is_answered_before_more_is_taken(make: Maker, backend: str, ahead: int) -> None:
    taken = answered = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield ask(f"q{taken % 40}")

    for together in islice(make(backend).generate(endless(), Sampling()), 5):
        assert taken - answered == len(together) == ahead
        answered += len(together)


@pytest.mark.parametrize("backend", MAKERS)
def test_a_teacher_may_be_asked_again_and_says_the_same(make: Maker, backend: str) -> None:
    teacher = make(backend)
    requests = [ask(f"q{number}") for number in range(20)]
    first = dict(zip(requests, outcomes(teacher, *requests), strict=True))
    assert dict(answers(teacher, reversed(requests))) == first


@pytest.mark.parametrize("backend", MAKERS)
def test_closing_twice_or_unused_is_safe_and_ends_nothing(make: Maker, backend: str) -> None:
    unused = make(backend)
    unused.close()
    teacher = make(backend)
    before = outcomes(teacher, ask("q1"))
    teacher.close()
    teacher.close()
    assert outcomes(teacher, ask("q1")) == before


@pytest.mark.parametrize("backend", MAKERS)
def test_no_requests_make_no_replies(make: Maker, backend: str) -> None:
    assert outcomes(make(backend)) == []


@pytest.mark.parametrize("backend", MAKERS)
def test_identity_is_known_before_anything_is_asked_and_does_not_change(make: Maker, backend: str) -> None:
    teacher = make(backend)
    before = teacher.identity()
    outcomes(teacher, ask("q1"))
    assert teacher.identity() == before == make(backend).identity()
    assert set(before) == {"model", "revision"}
    json.dumps(teacher.describe())


def edition(path: Path, key: str) -> str | None:
    teacher = backends.create("recorded", {"path": str(path)})
    assert isinstance(teacher, Selective)
    with closing(teacher):
        return teacher.edition(ask(key))


def test_a_changed_rationale_is_another_edition_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    before = {key: edition(path, key) for key in ("q38", "q39", "q99")}
    jsonl(path, [*ROWS[:-1], {"id": "q39", "rationale": "because of 40"}])
    after = {key: edition(path, key) for key in ("q38", "q39", "q99")}
    assert before["q38"] == after["q38"] is not None
    assert before["q39"] != after["q39"]
    assert before["q99"] is after["q99"] is None


def test_other_replies_make_another_identity() -> None:
    scripted = [backends.create("scripted", {"replies": replies}).identity() for replies in (["a"], ["b"])]
    assert scripted[0] != scripted[1]


def test_a_scripted_reply_depends_on_the_request_alone_and_samples_differ() -> None:
    teacher = backends.create("scripted", {"replies": [f"reason {number}" for number in range(50)]})
    drawn = texts(outcomes(teacher, *[ask("q1", sample=sample) for sample in range(8)]))
    assert len(set(drawn)) > 4
    assert drawn == texts(outcomes(teacher, *[ask("q1", sample=sample) for sample in range(8)]))


def test_a_scripted_reply_is_cut_at_the_longest_and_says_so() -> None:
    teacher = backends.create("scripted", {"replies": ["one two three four"]})
    [cut] = outcomes(teacher, ask("q"), sampling=Sampling(max_tokens=3))
    assert cut == Completion(
        text="one two three", finish_reason="length", completion_tokens=3, prompt_tokens=2, seconds=0
    )
    [whole] = outcomes(teacher, ask("q"), sampling=Sampling(max_tokens=4))
    assert isinstance(whole, Completion)
    assert (whole.text, whole.finish_reason) == ("one two three four", "stop")


def test_scripted_replies_from_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("Weil es größer ist.\n\n", encoding="utf-8")
    found = outcomes(backends.create("scripted", {"path": str(path)}), *[ask(f"q{number}") for number in range(20)])
    assert set(texts(found)) == {"Weil es größer ist.", "(empty reply)"}


def test_the_scripted_log_has_a_line_for_each_request_taken(tmp_path: Path) -> None:
    teacher = backends.create("scripted", {"replies": ["x"], "log": str(tmp_path / "log")})
    outcomes(teacher, ask("q1"), ask("q2", split="test", sample=3))
    assert (tmp_path / "log").read_text(encoding="utf-8") == "train\tq1\t0\ntest\tq2\t3\n"


anything = st.text().filter(lambda text: bool(text.strip()))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.dictionaries(st.text(min_size=1), anything, max_size=6), kind=st.sampled_from(["jsonl", "jsonl.gz"]))
def test_recorded_rationales_come_back_as_they_are_in_the_file(tmp_path: Path, rows: dict[str, str], kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    content = "".join(json.dumps({"id": key, "rationale": text}) + "\n" for key, text in rows.items()).encode()
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    teacher = backends.create("recorded", {"path": str(path)})
    assert texts(outcomes(teacher, *map(ask, rows))) == list(rows.values())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "ROWS.CSV"])
def test_recorded_csv_with_quotes_and_line_breaks(tmp_path: Path, name: str, separator: str) -> None:
    plain = tmp_path / "plain"
    with plain.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(
            [["id", "rationale", "answer_index"], ["7", 'It "is",\nas é shows.', "2.0"], ["8", "So.", ""]]
        )
    (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()) if name.endswith("gz") else plain.read_bytes())
    found = outcomes(backends.create("recorded", {"path": str(tmp_path / name)}), ask("7"), ask("8"))
    assert found == [
        Completion(text='It "is",\nas é shows.', answer=2, finish_reason="recorded"),
        Completion(text="So.", finish_reason="recorded"),
    ]


def test_recorded_rows_join_by_split_where_they_name_one(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "split": "test", "rationale": "of test"},
        {"id": "1", "split": "train", "rationale": "of train"},
        {"id": "2", "split": None, "rationale": "of any"},
        {"id": "3", "split": "valid", "rationale": "of valid"},
    ]
    teacher = backends.create("recorded", {"path": str(jsonl(tmp_path / "rows.jsonl", rows))})
    asked = [ask(key, split=split) for key in "123" for split in ("train", "test")]
    missing = "(no recorded rationale for this question)"
    assert texts(outcomes(teacher, *asked)) == ["of train", "of test", "of any", "of any", missing, missing]


def test_a_row_of_the_split_goes_before_a_row_of_any(tmp_path: Path) -> None:
    rows = [{"id": "1", "rationale": "of any"}, {"id": "1", "split": "train", "rationale": "of train"}]
    teacher = backends.create("recorded", {"path": str(jsonl(tmp_path / "rows.jsonl", rows))})
    assert texts(outcomes(teacher, ask("1"), ask("1", split="test"))) == ["of train", "of any"]


def test_several_rows_of_one_question_are_its_samples_across_files(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [{"id": 1, "rationale": "one"}, {"id": 2, "rationale": "other"}])
    second = jsonl(tmp_path / "b.jsonl", [{"id": 1, "rationale": "two"}, {"id": 1, "rationale": "three"}])
    teacher = backends.create("recorded", {"path": [str(first), str(second)]})
    found = texts(outcomes(teacher, *[ask("1", sample=sample) for sample in range(4)]))
    assert found == ["one", "two", "three", "(no recorded rationale for this question)"]


def test_an_empty_recorded_rationale_fails_alone(tmp_path: Path) -> None:
    rows = [{"id": "1", "rationale": " \n"}, {"id": "2", "rationale": "fine"}]
    teacher = backends.create("recorded", {"path": str(jsonl(tmp_path / "rows.jsonl", rows))})
    assert outcomes(teacher, ask("1"))[0] == Failure(reason="the recorded rationale is empty")
    assert texts(outcomes(teacher, ask("2"))) == ["fine"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "rows.jsonl",
            b'{"id": 1, "rationale": "a"}\n\n{"id": 2, "rationale"\n',
            "rows.jsonl can't be read: line 3: this is not JSON",
        ),
        ("rows.jsonl", b'{"id": 1, "rationale": "a"}\n["b"]\n', "rows.jsonl, row 2: expected an object"),
        ("rows.jsonl", b'{"id": 1, "why": "a"}\n', "rows.jsonl, row 1: there is no field 'rationale'"),
        ("rows.jsonl", b'{"rationale": "a"}\n', "rows.jsonl, row 1: there is no field 'id'"),
        ("rows.jsonl", b'{"id": null, "rationale": "a"}\n', "rows.jsonl, row 1: its id is empty"),
        (
            "rows.jsonl",
            b'{"id": 1, "rationale": ' + b"[" * 100_000,
            "rows.jsonl can't be read: line 1 is nested too deeply",
        ),
        ("rows.jsonl", b'{"id": 1, "rationale": "a", "answer_index": 1e30}\n', "the answer index 1e+30 is not"),
        ("rows.jsonl", b'{"id": 1, "rationale": "a", "answer_index": true}\n', "the answer index True is not"),
        (
            "rows.jsonl",
            b'{"id": 1, "rationale": "a", "answer_index": "b"}\n',
            "row 1: the answer index 'b' is not an option",
        ),
        (
            "rows.jsonl",
            b'{"id": 1, "rationale": "a", "answer_index": 1.5}\n',
            "row 1: the answer index 1.5 is not an option",
        ),
        ("rows.jsonl", b'{"id": 1, "rationale": "a\\ud83d"}\n', "rows.jsonl, row 1"),
        ("rows.jsonl", b'{"id": 1, "rationale": "\xff"}\n', "rows.jsonl can't be read"),
        ("rows.jsonl.gz", b"not gzip", "rows.jsonl.gz can't be read"),
        (
            "rows.jsonl.gz",
            gzip.compress(b'{"id": 1, "rationale": "a"}\n' * 9, mtime=0)[:-9],
            "rows.jsonl.gz can't be read",
        ),
        ("rows.csv", b"id,text\n1,a\n", "rows.csv, row 1: there is no field 'rationale'"),
    ],
)
def test_a_bad_recorded_file_names_the_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadTeacherConfig) as raised:
        outcomes(backends.create("recorded", {"path": str(tmp_path / name)}), ask("1"))
    assert said in str(raised.value)


def test_a_recorded_row_without_a_text_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,rationale\n1,a\n2\n")
    found = outcomes(backends.create("recorded", {"path": str(tmp_path / "rows.csv")}), ask("1"), ask("2"))
    assert texts(found[:1]) == ["a"]
    assert found[1] == Failure(reason="the recorded rationale is empty")


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"qid": 5, "why": "so", "part": "test", "label": 1}])
    names = {"id_field": "qid", "rationale_field": "why", "split_field": "part", "answer_field": "label"}
    teacher = backends.create("recorded", {"path": str(path), **names})
    assert outcomes(teacher, ask("5", split="test")) == [Completion(text="so", answer=1, finish_reason="recorded")]


@pytest.mark.parametrize(
    ("backend", "options", "said"),
    [
        ("scripted", {"replys": ["a"]}, "The scripted backend has no setting 'replys'"),
        ("recorded", {"path": "x", "ids": "y"}, "The recorded backend has no setting 'ids'"),
        ("huggingface", {"model": "x", "batchsize": 3}, "The huggingface backend has no setting 'batchsize'"),
        ("scripted", {"replies": "Because."}, "setting 'replies' can't be 'Because.'"),
        ("scripted", {"replies": [1]}, "are texts"),
        ("scripted", {"replies": ["a"], "delay": -1}, "a number of seconds"),
        ("recorded", {"path": 5}, "setting 'path' can't be 5"),
        ("huggingface", {"model": 5}, "setting 'model' can't be 5"),
        ("huggingface", {"model": "x", "max_input_tokens": 0}, "max_input_tokens must be 1 or more"),
        ("scripted", {}, "needs replies"),
        ("recorded", {}, "needs the file"),
        ("huggingface", {}, "needs a model"),
        ("scripted", {"path": "nowhere.txt"}, "nowhere.txt can't be read"),
        ("vllm", {"model": "x", "engine": {"since": date(2026, 1, 1)}}, "setting 'engine' can't be used"),
        ("openai", {"model": "x", "extra": {"since": date(2026, 1, 1)}}, "setting 'extra' can't be used"),
        (
            "huggingface",
            {"model": "x", "chat_template_kwargs": {"a": date(2026, 1, 1)}},
            "can't be used: Object of type",
        ),
        ("oracle", {}, "There is no backend called 'oracle'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_there_is(backend: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadTeacherConfig, match=said) as raised:
        backends.create(backend, options)
    assert raised.value.hint or not said.startswith("needs")


def test_a_missing_recorded_file_is_reported_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(BadTeacherConfig, match="There is no file"):
        edition(tmp_path / "nowhere.jsonl", "q1")


def test_an_installed_package_brings_a_backend_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "oracle-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oracle\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[tinyllm.backends]\noracle = oracle_of_the_test:Oracle\n", encoding="utf-8")
    (tmp_path / "oracle_of_the_test.py").write_text(
        "class Oracle:\n    def __init__(self, settings):\n        self.settings = settings\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert backends.backend_names() == ["huggingface", "openai", "oracle", "recorded", "scripted", "vllm"]
    teacher: Any = backends.create("oracle", {"temper": "mild"})
    assert teacher.settings == {"temper": "mild"}
