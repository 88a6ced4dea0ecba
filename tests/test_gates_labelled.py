"""The gates against real rationales that were labelled by hand, and against a teacher's own recorded answers."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.gates import GATES, GateSettings, judge

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


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, Counter[str]]:
    """For each gate, how often it and the label agree that there is something, and how often only one says so."""
    labels = {(one["dataset"], one["teacher"], one["id"]): set(one["defects"]) for one in LABELS}
    counts: dict[str, Counter[str]] = {gate: Counter() for gate in GATES}
    seen = 0
    for dataset, teacher in sorted({(dataset, teacher) for dataset, teacher, _ in labels}):
        for row in recorded(shared_data, dataset, teacher):
            label = labels.get((dataset, teacher, row["id"]))
            if label is None:
                continue
            seen += 1
            verdict = judge(row["rationale"], questions(shared_data, dataset)[row["id"]], GateSettings())
            raised = {finding.gate for finding in verdict.findings}
            for gate in raised | label:
                counts[gate][("both" if gate in label else "gate") if gate in raised else "label"] += 1
    assert seen == len(LABELS) >= 200
    return counts


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "too-long"])
def test_a_gate_is_precise_and_misses_little(found: dict[str, Counter[str]], gate: str) -> None:
    both, only_gate, only_label = (found[gate][who] for who in ("both", "gate", "label"))
    print(f"{gate}: {both} agreed, {only_gate} false alarms, {only_label} missed")
    assert both >= 5
    assert both / (both + only_gate) >= 0.95
    assert both / (both + only_label) >= 0.90


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
