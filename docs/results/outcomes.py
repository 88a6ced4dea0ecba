"""The outcome of every test question in the runs behind docs/results.md, and the comparisons that follow from them.

    python docs/results/outcomes.py add tinyllm.db     # add a database's finished runs of SmolLM2 to outcomes.json
    python docs/results/outcomes.py table              # print the tables of docs/results.md

A few bytes per question are enough to repeat the paired tests without the databases.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from common_seeds import compare

from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.gates.settings import CODE
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.labels import label_of
from tinyllm_cli.stats import holm, paired, smallest_difference, wilson
from tinyllm_cli.store import open_store

_AS_BEFORE = {4: 3}
"""Versions of the gates with the same verdicts on every rationale of the trial as an earlier version."""

_VERSIONS = sorted(set(range(1, CODE + 1)) - set(_AS_BEFORE))
_GATED = {version: f"tinyllm (gates {version}, first 1000)" for version in _VERSIONS}
_WEIGHTED = {version: f"tinyllm (gates {version}, weight, first 1000)" for version in _VERSIONS}
FINETUNE, RAW = "finetune (first 1000)", "tinyllm (raw, first 1000)"

ARMS = {
    FINETUNE: "finetune",
    RAW: "tinyllm, raw",
    **{_GATED[version]: f"tinyllm, gates {version}" for version in _VERSIONS},
    **{_WEIGHTED[version]: f"tinyllm, gates {version} and weights" for version in _VERSIONS},
}
"""The trial's arms, by their label in the report. `gates 1` are version 1 of the gates."""

PLANNED = (
    (RAW, FINETUNE),
    *(
        pair
        for gated, weighted in zip(_GATED.values(), _WEIGHTED.values(), strict=True)
        for pair in ((gated, FINETUNE), (weighted, FINETUNE), (gated, RAW), (weighted, gated))
    ),
)
"""The planned comparisons. Holm's correction covers all of them."""

SETS = {"arc": "ARC", "obqa": "OpenBookQA"}

STUDENT = "smollm2"

TRIAL = {
    "limit": 1000, "epochs": 1, "batch_size": 8, "lr": 5e-05, "schedule": "linear", "warmup_steps": 0,
    "optimizer": "adamw_torch_fused", "weight_decay": 0.0, "lora_rank": 0, "max_input": 1024, "max_target": 256,
    "reading": "example", "evals_per_epoch": 1,
}  # fmt: skip
"""The settings of all its runs."""

FILE = Path(__file__).with_name("outcomes.json")


def add(database: Path) -> None:
    """Add the finished runs of `database`, identified by arm, data set and seed.

    Raises SystemExit if a run is already stored with another outcome: that is another trial."""
    known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    with open_store(database, create=False) as store:
        by_id = {run.id: run for run in store.runs.everything()}
        for evaluation in store.evaluations.everything():
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
            found = list(store.evaluations.predictions(evaluation.id))
            questions = known.setdefault(evaluation.dataset, {"keys": [one.key for one in found], "runs": {}})
            if questions["keys"] != [one.key for one in found]:
                raise SystemExit(f"{label}: evaluation {evaluation.id} has other questions than the stored ones.")
            outcome = {
                "label": label,
                "seed": seed,
                "valid": run.valid_accuracy if run else None,
                "seconds": run.metrics["training_seconds"] if run else None,
                "versions": dict(run.versions) if run else {},
                "correct": "".join(str(int(one.correct)) for one in found),
            }
            earlier = questions["runs"].setdefault(f"{label} seed {seed}", outcome)
            if earlier["correct"] != outcome["correct"]:
                raise SystemExit(f"{label} seed {seed} on {evaluation.dataset} is stored with another outcome.")
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _label(run: Run) -> str:
    """The run's arm. Raises LookupError if its settings differ from the trial's, or its gates from the defaults of
    every version."""
    settings = run.settings.to_json()
    other = [name for name, value in TRIAL.items() if settings.get(name, value) != value]
    if other:
        raise LookupError(f"Run {run.id} was trained with another {', '.join(other)}: skipped.")
    gates = settings.get("gates")
    if not gates:
        return label_of(run)
    defaults = GateSettings(max_tokens=run.settings.train.max_target)
    for version in range(1, CODE + 1):
        if defaults.hash_under(version) == gates:
            return label_of(run).replace("gated", f"gates {_AS_BEFORE.get(version, version)}")
    raise LookupError(f"Run {run.id} was trained with other gates than the defaults: skipped.")


Outcomes = dict[tuple[str, str], dict[int, list[int]]]
"""(arm, data set) -> seed -> 1 for each test question answered right, else 0."""


def table() -> None:
    outcomes: Outcomes = defaultdict(dict)
    valid: dict[tuple[str, str, int], float] = {}
    for dataset, questions in json.loads(FILE.read_text(encoding="utf-8")).items():
        for run in questions["runs"].values():
            outcomes[run["label"], dataset][run["seed"]] = [int(mark) for mark in run["correct"]]
            valid[run["label"], dataset, run["seed"]] = run["valid"]
    print("| data set | arm | seed | valid | test | 95 % interval |\n| --- | --- | --- | --- | --- | --- |")
    for dataset, name in SETS.items():
        runs_there = [(arm, seed) for arm in ARMS for seed in sorted(outcomes[arm, dataset])]
        for place, (arm, seed) in enumerate(runs_there):
            correct = outcomes[arm, dataset][seed]
            low, high = (100 * limit for limit in wilson(sum(correct), len(correct)))
            print(
                f"|{'' if place else f' {name}, n = {len(correct)}'} | {ARMS[arm]} | {seed}"
                f" | {100 * valid[arm, dataset, seed]:.1f} % | {100 * sum(correct) / len(correct):.1f} %"
                f" | {low:.1f} to {high:.1f} % |"
            )
    print("\n| arm | against | data | seeds | points | 95 % interval | p | p, Holm | minimum detectable difference |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    drafts = [
        draft
        for one, other in PLANNED
        for datasets in (*([name] for name in SETS), list(SETS))
        if (draft := _compared(outcomes, one, other, datasets))
    ]
    before = ""
    for (arms, row, p, smallest), adjusted in zip(drafts, holm([p for _, _, p, _ in drafts]), strict=True):
        shown = "–" if smallest is None else f"{100 * smallest:.1f}"
        print(f"| {'| |' if arms == before else arms} {row} {p:.3f} | {adjusted:.3f} | {shown} |")
        before = arms


def _compared(
    outcomes: Outcomes, one: str, other: str, datasets: list[str]
) -> tuple[str, str, float, float | None] | None:
    """The arms, the rest of a row, its p and the minimum detectable difference; None if the two arms share no seed on
    one of the data sets."""
    differences: list[float] = []
    discordant: list[float] = []
    seeds: list[int] = []
    for dataset in datasets:
        there = compare(outcomes[one, dataset], outcomes[other, dataset])
        if there is None:
            return None
        seeds.append(there.seeds)
        differences += there.differences
        discordant += there.discordant
    found = paired(differences)
    where = SETS[datasets[0]] if len(datasets) == 1 else f"both, n = {len(differences)}"
    many = str(seeds[0]) if len(set(seeds)) == 1 else " and ".join(map(str, seeds))
    row = f"{where} | {many} | {_points(found.mean)} | {_points(found.low)} to {_points(found.high)} |"
    spread = sum(one**2 for one in differences) / len(differences)
    smallest = smallest_difference(len(differences), spread, sum(discordant) / len(discordant))
    return f"{_short(one)} | {_short(other)} |", row, found.p, smallest


def _short(arm: str) -> str:
    return ARMS[arm].removeprefix("tinyllm, ")


def _points(share: float) -> str:
    points = round(100 * share, 1)
    return f"{points:+.1f}" if points else "0.0"


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]))
    else:
        table()
