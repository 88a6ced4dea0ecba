"""The outcome of every test question in the runs of showcase.sh and of the recipe `best`, and the tables of
docs/results.md that follow.

    python docs/results/arms.py add tinyllm.db   # add a database's evaluated runs to arms.json
    python docs/results/arms.py table            # print the tables of docs/results.md

A run is one of its student, data set, teachers, target, scoring and seed.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

from common_seeds import compare

from tinyllm_cli.records.runs import Run
from tinyllm_cli.stats import holm, paired, wilson
from tinyllm_cli.store import open_store

FILE = Path(__file__).with_name("arms.json")
Arm = tuple[str, str, str, int | str]
"""(teachers, target, scoring, optimizer steps, or the learning rate of a training that patience ends)"""

REFERENCES = (("first-half and second-half", "rationale-first", "explain"), ("none", "answers only", "rank"))
"""What the other arms of a data set are compared with: the first of these that it has, with most seeds or else fewest
steps."""

COLUMNS = (
    "teachers", "target", "scoring", "steps", "accuracy by seed", "mean", "95 % interval", "points to the reference",
    "p, Holm",
)  # fmt: skip


def add(database: Path) -> None:
    """Raises SystemExit if a run is already stored with another outcome."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    known = {_key(one): one for one in stored}
    with open_store(database, create=False) as store:
        runs = {run.id: run for run in store.runs.everything() if run.state == "done"}
        for evaluation in store.evaluations.everything():
            run = runs.get(evaluation.subject.run or 0)
            if run is None or evaluation.split != "test" or evaluation.correct is None:
                continue
            if run.settings.train.patience and evaluation.scoring != "rank":
                continue  # the checkpoint was chosen by its accuracy with rank
            found = {
                "student": Path(run.student).name, "dataset": run.dataset, "teachers": _teachers(run),
                "target": "answers only" if run.method == "finetune" else run.settings.train.target,
                "scoring": evaluation.scoring, "seed": run.seed, "steps": _steps(run),
                "seconds": round(run.metrics["training_seconds"]), "versions": dict(run.versions),
                "correct": "".join(str(int(one.correct)) for one in store.evaluations.predictions(evaluation.id)),
            }  # fmt: skip
            if known.setdefault(_key(found), found)["correct"] != found["correct"]:
                raise SystemExit(f"{_key(found)} is stored with another outcome.")
    rows = sorted(known.values(), key=_key)
    FILE.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _steps(run: Run) -> int | str:
    train = run.settings.train
    return f"patience, lr {train.lr:g}" if train.patience else run.metrics["steps"]


def _teachers(run: Run) -> str:
    names = " and ".join(sorted(teacher for teacher, alpha in run.alpha.items() if alpha > 0)) or "none"
    chosen = run.settings.selection
    gated = " without gates" if run.alpha and not chosen.gates else ""
    kind = ", correct ones" if chosen.rationales == "correct" else ""
    fewer = f", {chosen.per_question} per question" if chosen.per_question else ""
    return names + gated + kind + fewer + (", shuffled" if chosen.shuffled else "")


def _key(one: dict[str, object]) -> tuple[str, ...]:
    return tuple(str(one[name]) for name in ("student", "dataset", "teachers", "target", "scoring", "seed", "steps"))


def table() -> None:
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    blocks = []
    for _, group in groupby(rows, key=lambda one: (one["student"], one["dataset"])):
        outcomes: dict[Arm, dict[int, list[int]]] = defaultdict(dict)
        for one in group:
            arm = (one["teachers"], one["target"], one["scoring"], one["steps"])
            outcomes[arm][one["seed"]] = [int(mark) for mark in one["correct"]]
        known = [name for name in REFERENCES if any(arm[:3] == name for arm in outcomes)]
        if known:
            blocks.append("\n".join(_table(outcomes, known[0])))
    print("\n\n".join(blocks))


def _table(outcomes: dict[Arm, dict[int, list[int]]], known: tuple[str, str, str]) -> list[str]:
    """The arms of one student and data set, the best one first; differences from `known` with the same seeds."""
    arms = sorted(outcomes, key=lambda arm: -_mean(outcomes[arm]))
    like = [arm for arm in arms if arm[:3] == known]
    reference = min(like, key=lambda arm: (-len(outcomes[arm]), arm[3] if isinstance(arm[3], int) else 0))
    best = outcomes[reference]
    compared = {arm: compare(outcomes[arm], best) for arm in arms if arm != reference}
    pairs = {arm: paired(one.differences) for arm, one in compared.items() if one is not None}
    adjusted = dict(zip(pairs, holm([one.p for one in pairs.values()]), strict=True))
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
    ]
    for arm in arms:
        seeds = [outcomes[arm][seed] for seed in sorted(outcomes[arm])]
        size, mean = len(seeds[0]), _mean(outcomes[arm])
        low, high = (100 * limit for limit in wilson(mean * size, size))
        each = ", ".join(f"{100 * sum(one) / size:.1f}" for one in seeds)
        gap, p = "reference" if arm == reference else "–", "–"
        if arm in pairs:
            one = pairs[arm]
            gap = f"{100 * one.mean:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
            p = "< 0.001" if adjusted[arm] < 0.001 else f"{adjusted[arm]:.3f}"
        names = " | ".join((_code(arm[0]), f"`{arm[1]}`" if "-" in arm[1] or arm[1] == "multitask" else arm[1]))
        cells = (names, arm[2], str(arm[3]), f"{each} %", f"{100 * mean:.1f} %", f"{low:.1f} to {high:.1f} %", gap, p)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _code(teachers: str) -> str:
    """With the names as code."""
    names, comma, rest = teachers.partition(",")
    names, without, gates = names.partition(" without")
    marked = names if names == "none" else " and ".join(f"`{name}`" for name in names.split(" and "))
    return marked + without + gates + comma + rest


def _mean(by_seed: dict[int, list[int]]) -> float:
    return sum(sum(one) / len(one) for one in by_seed.values()) / len(by_seed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]))
    else:
        table()
