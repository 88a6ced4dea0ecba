"""The file of answers: whole lines survive any kill, and a file of something else is never touched."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files import write_rows
from tests.models import make_folder
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.evaluation.predict import PredictionFiles, PredictorConfig, answer_file, check_file
from tinyllm_cli.evaluation.predictions_file import append, resume
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.loading import load_student

STAMP = {"by": "run 1", "scoring": "rank", "config": "abc"}


def row(key: str, **extra: Any) -> dict[str, Any]:
    return {"id": key, "option": 0, "correct": None, "text": "é\n\u2028", **STAMP, "question_hash": f"h{key}", **extra}


@given(keys=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6, unique=True), data=st.data())
def test_after_a_cut_anywhere_all_whole_lines_are_there_and_nothing_else(keys: list[str], data: st.DataObject) -> None:
    keys = [key for key in keys if key.isprintable()] or ["a"]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "answers.jsonl"
        append(path, [row(key) for key in keys])
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = whole[: whole[:cut].rfind(b"\n") + 1]
        found = resume(path, STAMP)
        assert path.read_bytes() == kept
        assert list(found) == keys[: kept.count(b"\n")]
        append(path, [row(key) for key in keys[len(found) :]])
        assert path.read_bytes() == whole


def test_a_long_torn_line_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    append(path, [row("a")])
    before = path.read_bytes()
    path.write_bytes(before + b'{"id": "b", "text": "' + b"x" * 200_000)
    assert list(resume(path, STAMP)) == ["a"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"notes to myself",
        b'{"id": 1, "mine": true}',
        b"notes to myself\n",
        b'{"id": "a"}\n',
        b"[1]\n",
        b'"text"\n',
        b"\n",
        b"\xff\xfe\n",
        b"[]",
    ],
)
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageProblem, match="this is not a file of answers"):
        resume(path, STAMP)
    assert path.read_bytes() == content


def test_a_torn_line_below_other_peoples_lines_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    content = json.dumps(row("a", by="run 2")).encode() + b'\n{"id": "b'
    path.write_bytes(content)
    with pytest.raises(UsageProblem, match="answers by run 2"):
        resume(path, STAMP)
    assert path.read_bytes() == content


def test_of_several_lines_with_one_id_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    append(path, [row("a", option=1), row("a", option=2)])
    assert resume(path, STAMP)["a"].option == 2


def test_questions_are_never_overwritten_by_their_answers(tmp_path: Path) -> None:
    student = load_student(str(make_folder(tmp_path / "student", "causal")))
    path = write_rows(tmp_path / "q.jsonl", [{"question": "Which?", "options": ["this", "that"]}])
    before = path.read_bytes()
    how = PredictorConfig(name="run 1", model="tiny", scoring="rank", limits=Limits())
    with pytest.raises(UsageProblem, match="file of questions itself"):
        answer_file(
            lambda: student,
            PredictionFiles(questions=path, out=path),
            how,
            check_file(path, {}),
            lambda done, total: None,
        )
    assert path.read_bytes() == before
