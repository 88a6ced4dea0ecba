"""The outcome of every test question in the runs behind docs/results.md, and the comparisons that follow from them.

    python docs/results/outcomes.py add tinyllm.db     # put a database's finished runs of SmolLM2 into outcomes.json
    python docs/results/outcomes.py table              # print the tables of docs/results.md

Databases are large and come and go; these few bytes a question let anyone repeat the paired tests.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tinyllm_cli.gates import GateSettings
from tinyllm_cli.gates.settings import CODE
from tinyllm_cli.records import Run
from tinyllm_cli.reporting.arms import label_of
from tinyllm_cli.stats import holm, paired, smallest_difference, wilson
from tinyllm_cli.store import open_store, runs

FINETUNE, RAW = "finetune (first 1000)", "tinyllm (raw, first 1000)"
PLANNED = (
    (RAW, FINETUNE),
    *(
        pair
        for version in range(1, CODE + 1)
        for gated, weighted in [(f"tinyllm (gates {version}, {more}first 1000)" for more in ("", "weight, "))]
        for pair in ((gated, FINETUNE), (weighted, FINETUNE), (gated, RAW), (weighted, gated))
    ),
)
"""The comparisons that the trial was made for, which Holm's correction is over. `gates 1` are those of version 1."""

STUDENT = "smollm2"

TRIAL = {
    "limit": 1000, "epochs": 1, "batch_size": 8, "lr": 5e-05, "schedule": "linear", "warmup_steps": 0,
    "optimizer": "adamw_torch_fused", "weight_decay": 0.0, "lora_rank": 0, "max_input": 1024, "max_target": 256,
    "reading": "example", "evals_per_epoch": 1,
}  # fmt: skip
"""How all of its runs were trained."""

FILE = Path(__file__).with_name("outcomes.json")


def add(database: Path) -> None:
    """Runs are told apart by arm, data set and seed. One that is there already must have come out the same: anything
    else is another trial, and ends this one."""
    known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    with open_store(database, create=False) as store:
        by_id = {run.id: run for run in runs.everything(store)}
        for evaluation in runs.evaluations(store):
            run = by_id.get(evaluation.subject.run or 0)
            if (evaluation.split, evaluation.scoring) != ("test", "rank") or evaluation.correct is None:
                continue
            if evaluation.subject.kind == "teacher":
                continue
            if run is None and evaluation.subject.name != STUDENT:
                continue
            if run and (run.state, run.student, run.dataset) != ("done", STUDENT, evaluation.dataset):
                continue
            try:
                label, seed = (_label(run), run.seed) if run else ("inference", 0)
            except LookupError as other:
                print(*other.args, file=sys.stderr)
                continue
            found = list(runs.predictions(store, evaluation.id))
            questions = known.setdefault(evaluation.dataset, {"keys": [one.key for one in found], "runs": {}})
            if questions["keys"] != [one.key for one in found]:
                raise SystemExit(f"{label}: evaluation {evaluation.id} is of other questions than those known before.")
            outcome = {
                "label": label,
                "seed": seed,
                "valid": run.valid_accuracy if run else None,
                "seconds": run.figures["training_seconds"] if run else None,
                "versions": dict(run.versions) if run else {},
                "correct": "".join(str(int(one.correct)) for one in found),
            }
            earlier = questions["runs"].setdefault(f"{label} seed {seed}", outcome)
            if earlier["correct"] != outcome["correct"]:
                raise SystemExit(f"{label} seed {seed} on {evaluation.dataset} is there with another outcome.")
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _label(run: Run) -> str:
    """Raises LookupError where the run was trained in another way than the trial's, or learnt by other gates than the
    default ones of any version."""
    other = [name for name, value in TRIAL.items() if run.settings.get(name, value) != value]
    if other:
        raise LookupError(f"Run {run.id} was trained with another {', '.join(other)}: it is left out.")
    gates = run.settings.get("gates")
    if not gates:
        return label_of(run)
    settings = GateSettings(max_tokens=run.settings["max_target"])
    for version in range(1, CODE + 1):
        if settings.hash_under(version) == gates:
            return label_of(run).replace("gated", f"gates {version}")
    raise LookupError(f"Run {run.id} learnt by other gates than the default ones: it is left out.")


def table() -> None:
    known = json.loads(FILE.read_text(encoding="utf-8"))
    print("| data set | arm | seed | valid | test | 95 % interval |\n| --- | --- | --- | --- | --- | --- |")
    outcomes: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(dict)
    for dataset, questions in known.items():
        for run in sorted(questions["runs"].values(), key=lambda run: (run["label"], run["seed"])):
            correct = [int(mark) for mark in run["correct"]]
            outcomes[run["label"], dataset][run["seed"]] = correct
            low, high = wilson(sum(correct), len(correct))
            valid = "-" if run["valid"] is None else f"{run['valid']:.1%}"
            share = f"{sum(correct) / len(correct):.1%}"
            print(f"| {dataset} | {run['label']} | {run['seed']} | {valid} | {share} | {low:.1%} to {high:.1%} |")
    print("\n| arm | against | questions | seeds | points | 95 % interval | p | p, Holm | smallest |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    drafts = [
        draft
        for one, other in PLANNED
        for datasets in (*([name] for name in known), *([list(known)] if len(known) > 1 else []))
        if (draft := _compared(outcomes, one, other, datasets))
    ]
    for (row, p, smallest), adjusted in zip(drafts, holm([p for _, p, _ in drafts]), strict=True):
        shown = "–" if smallest is None else f"{100 * smallest:.1f}"
        print(f"{row} {p:.3f} | {adjusted:.3f} | {shown} |")


def _compared(
    outcomes: dict[tuple[str, str], dict[int, list[int]]], one: str, other: str, datasets: list[str]
) -> tuple[str, float, float | None] | None:
    """A row, its p and the smallest difference that so many questions show; None where the two share no seed."""
    differences: list[float] = []
    discordant: list[float] = []
    seeds: set[int] = set()
    for dataset in datasets:
        ours, theirs = outcomes[one, dataset], outcomes[other, dataset]
        common = sorted(set(ours) & set(theirs))
        if not common:
            return None
        seeds |= set(common)
        columns = list(zip(*(zip(ours[seed], theirs[seed], strict=True) for seed in common), strict=True))
        differences += [sum(own - their for own, their in column) / len(common) for column in columns]
        discordant += [sum(own != their for own, their in column) / len(common) for column in columns]
    found = paired(differences)
    row = (
        f"| {one} | {other} | {' + '.join(datasets)}, n = {len(differences)} | {len(seeds)} | {100 * found.mean:+.1f}"
        f" | {100 * found.low:+.1f} to {100 * found.high:+.1f} |"
    )
    spread = sum(one**2 for one in differences) / len(differences)
    return row, found.p, smallest_difference(len(differences), spread, sum(discordant) / len(discordant))


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]))
    else:
        table()
