"""The gates against labelled rationales: precision and recall of each."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import GATES, GateSettings, Verdict, judge
from tinyllm_cli.rationales.gates.settings import CODE

LABELS = ROOT / "tests" / "labels" / "rationales.jsonl"
FLOORS = {
    "empty": (1.0, 1.0),
    "boilerplate": (0.95, 0.95),
    "run-on": (0.95, 0.95),
    "refusal": (0.95, 0.90),
    "echo": (0.90, 0.90),
    "repetition": (0.90, 0.70),
    "cut-off": (0.95, 0.95),
    "wrong-answer": (0.95, 0.85),
    "letter-only": (0.95, 0.60),
    "wrong-language": (0.95, 0.95),
    "too-short": (0.85, 0.85),
}
"""Precision and recall that a gate must keep on these texts."""

REJECTING = {"empty", "refusal", "echo", "off-topic", "wrong-answer", "letter-only", "wrong-language", "too-short"}


def labelled(settings: GateSettings) -> Iterator[tuple[str, set[str], Verdict]]:
    """Each text with its labelled defects and the verdict of the gates."""
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        question = Question(
            dataset="labels", split="train", key=row["id"], text=row["question"], options=tuple(row["options"]),
            answer=row["answer_index"], context=row.get("context"),
        )  # fmt: skip
        for one in row["rationales"]:
            yield one["text"], set(one["defects"]), judge(one["text"], question, settings)


@pytest.fixture(scope="module")
def found() -> dict[str, Counter[str]]:
    """For each gate, and for rejection, how often gate and label agree on a defect, and how often only one has it."""
    counts: dict[str, Counter[str]] = {gate: Counter() for gate in (*GATES, "rejected")}
    for text, defects, verdict in labelled(GateSettings()):
        defects.discard("off-topic")  # kept by default
        raised = {finding.gate for finding in verdict.findings}
        raised |= {"rejected"} if verdict.verdict == "rejected" else set()
        defects |= {"rejected"} if defects & REJECTING else set()
        for gate in raised | defects:
            who = ("both" if gate in defects else "gate") if gate in raised else "label"
            counts[gate][who] += 1
            if who != "both":
                print(f"{gate}, {who} only: {text!r}")
    return counts


@pytest.mark.parametrize(("gate", "floors"), [*FLOORS.items(), ("rejected", (0.95, 0.95))])
def test_a_gate_is_precise_and_misses_little(
    found: dict[str, Counter[str]], gate: str, floors: tuple[float, float]
) -> None:
    both, only_gate, only_label = (found[gate][who] for who in ("both", "gate", "label"))
    print(f"{gate}: {both} agreed, {only_gate} false alarms, {only_label} missed")
    assert both >= 4
    assert both / (both + only_gate) >= floors[0]
    assert both / (both + only_label) >= floors[1]


def test_every_gate_but_too_long_has_labels() -> None:
    assert FLOORS.keys() == set(GATES) - {"too-long", "off-topic"}


def test_texts_about_something_else_are_found_on_request() -> None:
    """So are some good explanations in words of their own, which is why such texts are kept by default."""
    found = list(labelled(GateSettings(off_topic="reject")))
    raised = {text for text, _, verdict in found if any(one.gate == "off-topic" for one in verdict.findings)}
    wrong = {text for text, defects, _ in found if "off-topic" in defects}
    assert len(raised & wrong) >= 0.8 * len(wrong) >= 8
    assert not any(one.gate == "off-topic" for _, _, verdict in labelled(GateSettings()) for one in verdict.findings)


def test_every_label_is_a_gate() -> None:
    assert {defect for _, defects, _ in labelled(GateSettings()) for defect in defects} <= set(GATES)


DIGESTS = {6: "1d76e7d0830ef256"}
"""Of the verdicts on the labelled texts, by the gates' CODE."""


def test_gates_that_decide_differently_have_another_version() -> None:
    """Stored verdicts are found by that number: with the old one, databases would keep the old verdicts."""
    digest = hashlib.sha256()
    for text, _, verdict in labelled(GateSettings()):
        findings = [(one.gate, one.reason, one.repaired) for one in verdict.findings]
        digest.update(repr((text, verdict.verdict, verdict.text, findings)).encode())
    assert DIGESTS.get(CODE) == digest.hexdigest()[:16], "raise CODE in gates/settings.py, and write its digest here"
