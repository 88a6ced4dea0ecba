"""Labels of runs: what distinguishes one from another, in words."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.records.runs import Run
from tinyllm_cli.training.methods import ON_RATIONALES

NO_EFFECT = {"token_budget", "gradient_checkpointing", "compile_layers", "environment"}
"""Settings that change speed and memory but not the result, but for the precision within the environment."""


def label_of(run: Run) -> str:
    """The method, and which of its settings differ from the paper's: `tinyllm (raw)`, `tinyllm (gated, weight)`."""
    settings = run.settings.to_json()
    parts = []
    if run.method in ON_RATIONALES:
        weights = set(run.alpha.values())
        names = ", ".join(f"{name}={alpha:g}" for name, alpha in run.alpha.items())
        parts += [names] if len(run.alpha) == 1 or weights != {1.0} else []
        parts.append("gated" if settings.get("gates") else "raw")
        parts += [str(settings["rationales"])] if settings.get("rationales") else []
        parts += [str(settings["usefulness"])] if settings.get("usefulness") else []
        parts += ["shuffled"] if settings.get("shuffled") else []
        parts += [f"icl={settings['icl']}"] if settings.get("icl") is not None else []
        parts += [f"best {settings['samples']}"] if settings.get("samples") else []
        parts += [_per_question(settings)] if settings.get("per_question") else []
    parts += [f"first {settings['limit']}"] if settings.get("limit") else []
    return run.method + (f" ({', '.join(parts)})" if parts else "")


_IN_LABELS = {
    "seed", "limit", "usefulness", "samples", "icl", "shuffled", "rationales", "per_question", "choose",
} | NO_EFFECT  # fmt: skip


def _per_question(settings: Mapping[str, Any]) -> str:
    by = "at random" if settings.get("choose") == "random" else f"by {settings.get('choose')}"
    return f"{settings['per_question']} per question {by}"


def run_labels(runs: Iterable[Run]) -> dict[int, str]:
    """Each run's label by its id, with the settings in which runs of one student and data set differ although the
    method's label is the same. Runs that differ in their seed alone share a label."""
    alike: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        alike[run.student, run.dataset, label_of(run)].append(run)
    return {
        run.id: "; ".join([label, *differing])
        for (_, _, label), own in alike.items()
        for run, differing in zip(own, _differences([_settings(run) for run in own]), strict=True)
    }


def _settings(run: Run) -> dict[str, Any]:
    """What of a run can differ behind one label."""
    rest = {name: value for name, value in run.settings.to_json().items() if name not in _IN_LABELS}
    texts = [value for value in training_texts(run).values() if value is not None]
    return rest | {
        "precision": precision_of(run),
        "teachers": ", ".join(run.alpha),
        **({"rationales": _digest(texts)} if texts else {}),
    }


def precision_of(run: Run) -> str:
    """The one that was used, where the run recorded it."""
    environment = run.settings.environment
    return environment.precision if environment else run.settings.train.precision


def _differences(found: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """For each settings what distinguishes them from the others: `lr=0.001`."""
    names = sorted({name for settings in found for name in settings})
    differing = [name for name in names if len({canonical(settings.get(name)) for settings in found}) > 1]
    for settings in found:
        yield [f"{name}={_brief(settings.get(name))}" for name in differing]


def _brief(value: Any) -> str:
    """A digest or a table by its first letters."""
    if value is None or value == "":
        return "none"
    if isinstance(value, (dict, list)):
        return _digest(value)
    return value[:6] if isinstance(value, str) and _DIGEST.fullmatch(value) else str(value)


_DIGEST = re.compile(r"[0-9a-f]{16,}")


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:6]


def treatment_of(settings: Mapping[str, Any]) -> str:
    """How raw rationales were processed before training; empty is the paper's way."""
    parts = [f"{settings['rationales']} rationales"] if settings.get("rationales") else []
    parts += ["gates"] if settings.get("gates") else []
    if usefulness := settings.get("usefulness"):
        parts.append({"weight": "usefulness weights", "filter": "usefulness filter"}.get(usefulness, str(usefulness)))
    if samples := settings.get("samples"):
        parts.append(f"best {samples} of several")
    if settings.get("per_question"):
        parts.append(_per_question(settings))
    return " + ".join(parts)


def training_texts(run: Run) -> dict[str, Any]:
    """Digest of the training texts, by teacher."""
    return {teacher: record.get("digest") for teacher, record in run.sources.items()}
