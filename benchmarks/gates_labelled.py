"""Precision and recall of the gates on real rationales that two readers labelled (benchmarks/labels).

.venv/bin/python benchmarks/gates_labelled.py FOLDER OF DATA SETS
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.rationales.gates import GATES, GateSettings, Verdict, judge

LABELS = Path(__file__).parent / "labels" / "rationales.jsonl"
REJECTING = {"empty", "echo", "wrong-answer", "letter-only", "wrong-language", "too-short"}


@cache
def questions(data: Path, dataset: str) -> Mapping[Any, Question]:
    [path] = (data / dataset).glob("train.jsonl*")
    return {
        row["id"]: Question(
            dataset=dataset, split="train", key=str(row["id"]), text=row["question"], options=tuple(row["options"]),
            answer=row["answer_index"], context=row.get("context"),
        )
        for row in read_rows(path)
    }  # fmt: skip


def judged(data: Path, dataset: str, teacher: str) -> Iterator[tuple[Mapping[str, Any], Question, Verdict]]:
    """Each training rationale of a teacher with its question and its verdict."""
    for row in read_rows(data / dataset / "rationales" / f"{teacher}.train.jsonl.gz"):
        question = questions(data, dataset)[row["id"]]
        yield row, question, judge(row["rationale"], question, GateSettings())


def counted(data: Path, parts: Collection[str]) -> dict[str, Counter[str]]:
    """For each gate, and for rejection, how often gate and readers agree, and how often only one side has a defect.
    Texts on which the readers disagree don't count."""
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    labels = {(one["dataset"], one["teacher"], one["id"]): one for one in rows if one["part"] in parts}
    counts: dict[str, Counter[str]] = {gate: Counter() for gate in (*GATES, "rejected")}
    for dataset, teacher in sorted({(dataset, teacher) for dataset, teacher, _ in labels}):
        for row, _, verdict in judged(data, dataset, teacher):
            label = labels.get((dataset, teacher, row["id"]))
            if label is None:
                continue
            defects, doubtful = set(label["defects"]), set(label["doubtful"])
            raised = {finding.gate for finding in verdict.findings}
            raised |= {"rejected"} if verdict.verdict == "rejected" else set()
            if defects & REJECTING:
                defects.add("rejected")
            elif doubtful & REJECTING:
                doubtful.add("rejected")
            for gate in (raised | defects) - doubtful:
                counts[gate][("both" if gate in defects else "gate") if gate in raised else "label"] += 1
    return counts


def wrong_answers(data: Path) -> Counter[str]:
    """The gate wrong-answer against the answers that PaLM's rationales were recorded with."""
    counts: Counter[str] = Counter()
    for row, question, verdict in judged(data, "cqa_dss", "palm"):
        raised = any(finding.gate == "wrong-answer" for finding in verdict.findings)
        wrong = row["answer_index"] != question.answer
        if raised or wrong:
            counts[("both" if wrong else "gate") if raised else "label"] += 1
    return counts


def show(name: str, counts: Counter[str]) -> None:
    both, gate, label = (counts[who] for who in ("both", "gate", "label"))
    precision = f"{both / (both + gate):.2f}" if both + gate else "-"
    recall = f"{both / (both + label):.2f}" if both + label else "-"
    print(f"  {name:15} precision {precision:>5}  recall {recall:>5}  (both {both}, gate {gate}, label {label})")


def main() -> None:
    data = Path(sys.argv[1])
    first = ("the first 652", ("tuned", "fresh"))
    parts = (first, ("the 160 fresh ones", ("fresh",)), ("with a context", ("context",)))
    for title, part in parts:
        print(title)
        for name, counts in counted(data, part).items():
            show(name, counts)
    print("PaLM's recorded answers")
    show("wrong-answer", wrong_answers(data))


if __name__ == "__main__":
    main()
