"""What the tests share: the command as a subprocess, small data sets, tiny models, the folder of real data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from backends.base import Answer, Outcome, Request, Sampling, Teacher
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records import Asking, Prompt
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.store.rationales import Settled

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
Command = Callable[..., subprocess.CompletedProcess[str]]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command under test: offline, without the developer's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TINYLLM_DB", "TINYLLM_CONFIG"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200", **extra}


@pytest.fixture
def tinyllm(tmp_path: Path) -> Command:
    """Run `tinyllm ARGUMENTS` in tmp_path; keyword arguments are environment variables."""

    def run(*arguments: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinyllm_cli", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(**extra), capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "tinyllm.db") as opened:
        yield opened


def make_questions(count: int, *, dataset: str = "toy", split: str = "train", options: int = 4) -> list[Question]:
    """Questions with distinct content, answers spread over the positions."""
    return [
        Question(
            dataset=dataset,
            split=split,
            key=f"{split}-{number}",
            text=f"Which of these is number {number} of {split}?",
            options=tuple(f"thing {number} {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:options]),
            answer=number % options,
        )
        for number in range(count)
    ]


def ring(pool: Sequence[Question]) -> Callable[[str], Question | None]:
    """What the store gives for drawing in-context examples: the question whose hash comes next, round the end."""
    ordered = sorted(pool, key=lambda question: question.hash)

    def after(point: str) -> Question | None:
        return next((question for question in ordered if question.hash > point), ordered[0] if ordered else None)

    return after


def write_dataset(folder: Path, **sizes: int) -> Path:
    """A folder with a JSONL file for each split, such as `write_dataset(tmp_path / "toy", train=8, test=4)`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in sizes.items():
        rows = [
            {"id": q.key, "question": q.text, "options": list(q.options), "answer_index": q.answer}
            for q in make_questions(count, dataset=folder.name, split=split)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def answers(teacher: Teacher, requests: Iterable[Request], sampling: Sampling = Sampling()) -> list[Answer]:  # noqa: B008 - frozen
    """All that `teacher` answers, in the order in which it comes."""
    return [answer for together in teacher.generate(requests, sampling) for answer in together]


def keep(store: Store, asking: Asking, prompt: Prompt, sample: int, outcome: Outcome) -> None:
    """Put one outcome into the store, as a run that asked before would."""
    stored_rationales.add(store, asking, [Settled(prompt=prompt, sample=sample, outcome=outcome, failed_before=True)])


SCRIPTED = """
[teachers.parrot]
backend = "scripted"
replies = ["It follows from what the thing is for.", "Only this one fits the number.", "The others are plainly wrong."]
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """tinyllm.toml in tmp_path with the scripted teacher `parrot`."""
    path = tmp_path / "tinyllm.toml"
    path.write_text(SCRIPTED, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real questions and rationales beside the project."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not here")
    return folder
