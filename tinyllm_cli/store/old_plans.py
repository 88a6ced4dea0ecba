"""Plans of experiments as version 0.1 stored them: each cell as two lists of command-line words."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell, OptionValue

_RENAMED = {"lora": "lora_rank", "fresh": "restart"}
_FLAGS = {"shuffle_rationales", "gradient_checkpointing", "trust_remote_code"}
_TEXTS = {"alpha", "dataset", "student", "model", "teacher"}
"""Values that stay text, whatever they look like."""


def typed_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with typed cells and their identities, under the present names of options; one that has no cells, or
    typed ones, unchanged. Words are JSON arrays at `$.cells[*].distill` and `$.cells[*].evaluate`."""
    cells = [_typed_cell(cell) if _has_words(cell) else cell for cell in plan.get("cells", ())]
    return {**plan, **({"cells": cells} if "cells" in plan else {})}


def _has_words(cell: Mapping[str, Any]) -> bool:
    return isinstance(cell.get("distill"), list) or isinstance(cell.get("evaluate"), list)


def _typed_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    distill, evaluate = cell.get("distill"), cell.get("evaluate")
    return ExperimentCell(
        label=cell["label"],
        distill=None if distill is None else _training(_values(distill)),
        evaluate=None if evaluate is None else CellEvaluation(**_values(evaluate)),
        edition=cell.get("edition", ""),
    ).as_json()


def _training(values: dict[str, Any]) -> CellTraining:
    alpha = str(values.pop("alpha", "0"))
    weights = [item.partition("=") for item in alpha.split(",") if "=" in item]
    if values.get("gates") in ("none", "default"):
        values["gates"] = values["gates"] == "default"
        if values["gates"]:
            del values["gates"]
    own = {
        name: values.pop(name) for name in ("dataset", "student", "seed", "limit", "method", "icl") if name in values
    }
    return CellTraining(
        **own,
        alpha={name: float(weight) for name, _, weight in weights},
        shuffle_rationales=bool(values.pop("shuffle_rationales", False)),
        options=values,
    )


def _values(words: Sequence[str]) -> dict[str, Any]:
    """Options by parameter name; of one that is repeated the last value, as the command reads them."""
    parts = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    values: dict[str, Any] = {}
    place = 0
    while place < len(parts):
        name = parts[place].removeprefix("--").replace("-", "_")
        name = _RENAMED.get(name, name)
        if name in _FLAGS or name.startswith("no_"):
            values[name.removeprefix("no_")] = not name.startswith("no_")
            place += 1
        else:
            values[name] = _value(parts[place + 1]) if name not in _TEXTS else parts[place + 1]
            place += 2
    return values


def _value(text: str) -> OptionValue:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
