"""The gates against real rationales that two readers judged without knowing the gates, and against recorded answers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import GATES, GateSettings, Verdict, judge
from tinyllm_cli.rationales.gates.settings import CODE

LABELS = [json.loads(line) for line in (ROOT / "tests" / "labels" / "rationales.jsonl").read_text("utf-8").splitlines()]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    packed = path.with_name(path.name + ".gz")
    with gzip.open(packed, "rt", encoding="utf-8") if packed.exists() else path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@cache
def questions(data: Path, dataset: str) -> dict[str, Question]:
    return {
        row["id"]: Question(
            dataset=dataset, split="train", key=str(row["id"]), text=row["question"], options=tuple(row["options"]),
            answer=row["answer_index"],
        )
        for row in rows(data / dataset / "train.jsonl")
    }  # fmt: skip


def recorded(data: Path, dataset: str, teacher: str) -> Iterator[dict[str, Any]]:
    return rows(data / dataset / "rationales" / f"{teacher}.train.jsonl")


FLOORS = {
    "empty": (0.95, 0.95),
    "boilerplate": (0.95, 0.95),
    "run-on": (0.95, 0.95),
    "cut-off": (0.95, 0.95),
    "wrong-language": (0.95, 0.85),
    "too-short": (0.90, 0.90),
    "wrong-answer": (0.95, 0.60),
    "echo": (0.85, 0.75),
    "repetition": (0.85, 0.70),
    "letter-only": (0.95, 0.25),
}
"""Precision and recall that a gate must keep. What the lower ones miss stands in labels/README.md."""

REJECTING = {"empty", "echo", "wrong-answer", "letter-only", "wrong-language", "too-short"}


def labelled(data: Path) -> Iterator[tuple[dict[str, Any], Verdict]]:
    """Each label with what the gates make of its text."""
    labels = {(one["dataset"], one["teacher"], one["id"]): one for one in LABELS}
    for dataset, teacher in sorted({(dataset, teacher) for dataset, teacher, _ in labels}):
        for row in recorded(data, dataset, teacher):
            label = labels.get((dataset, teacher, row["id"]))
            if label is not None:
                yield label, judge(row["rationale"], questions(data, dataset)[row["id"]], GateSettings())


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, Counter[str]]:
    """For each gate, and for rejecting at all, how often it and both readers say that there is something, and how often
    only one side does. Where the readers disagree, neither counts."""
    counts: dict[str, Counter[str]] = {gate: Counter() for gate in (*GATES, "rejected")}
    seen = 0
    for label, verdict in labelled(shared_data):
        seen += 1
        said, doubtful = set(label["defects"]), set(label["doubtful"])
        raised = {finding.gate for finding in verdict.findings}
        if verdict.verdict == "rejected":
            raised.add("rejected")
        if said & REJECTING:
            said.add("rejected")
        elif doubtful & REJECTING:
            doubtful.add("rejected")
        for gate in (raised | said) - doubtful:
            counts[gate][("both" if gate in said else "gate") if gate in raised else "label"] += 1
    assert seen == len(LABELS) >= 200
    return counts


@pytest.mark.parametrize(("gate", "floors"), [*FLOORS.items(), ("rejected", (0.90, 0.80))])
def test_a_gate_is_precise_and_misses_little(
    found: dict[str, Counter[str]], gate: str, floors: tuple[float, float]
) -> None:
    both, only_gate, only_label = (found[gate][who] for who in ("both", "gate", "label"))
    print(f"{gate}: {both} agreed, {only_gate} false alarms, {only_label} missed")
    assert both >= 4
    assert both / (both + only_gate) >= floors[0]
    assert both / (both + only_label) >= floors[1]


def test_every_gate_but_the_one_of_length_is_held_against_labels() -> None:
    assert FLOORS.keys() == set(GATES) - {"too-long"}


DIGESTS = {4: "8cebc178be1daf25"}
"""Of the verdicts on the labelled texts, by the gates' CODE."""


def test_gates_that_decide_otherwise_have_another_number(shared_data: Path) -> None:
    """Stored verdicts are found by that number: with the old one, databases would keep what the old gates said."""
    digest = hashlib.sha256()
    for label, verdict in labelled(shared_data):
        findings = [(one.gate, one.reason, one.repaired) for one in verdict.findings]
        digest.update(repr((label["id"], verdict.verdict, verdict.text, findings)).encode())
    assert DIGESTS.get(CODE) == digest.hexdigest()[:16], "raise CODE in gates/settings.py, and write its digest here"


def test_a_wrong_answer_is_found_where_the_teacher_recorded_one(shared_data: Path) -> None:
    asked = questions(shared_data, "cqa_dss")
    counts: Counter[tuple[bool, bool]] = Counter()
    for row in recorded(shared_data, "cqa_dss", "palm"):
        question = asked[row["id"]]
        raised = {finding.gate for finding in judge(row["rationale"], question, GateSettings()).findings}
        counts["wrong-answer" in raised, row["answer_index"] != question.answer] += 1
    both, false_alarms, missed = counts[True, True], counts[True, False], counts[False, True]
    assert both / (both + false_alarms) >= 0.97
    assert both / (both + missed) >= 0.88
