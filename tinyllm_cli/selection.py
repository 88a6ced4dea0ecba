"""Which of a teacher's rationales a student learns: of which way of asking, and which of those that are there."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.prompts import rationale_text, recipe_icl
from tinyllm_cli.records import Variant
from tinyllm_cli.store import Store
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.tasks import Taught


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The defaults take every rationale of the way of asking that covers most questions."""

    icl: int | None = None
    """Only rationales whose prompts held so many in-context examples."""

    shuffled: bool = False
    """A control: each question gets the rationales of another."""

    def identity(self) -> dict[str, Any]:
        """What of it differs from the defaults, for a run's settings."""
        values = asdict(self)
        return {one.name: values[one.name] for one in fields(self) if values[one.name] != one.default}


EVERY_RATIONALE = Selection()


def fullest(variants: Sequence[Variant], teacher: str, dataset: str, icl: int | None = None) -> Variant:
    """The way of asking `teacher` that covers most questions, of those that saw the gold answer if any did; of
    several the newest. With `icl`, among those with so many in-context examples.

    Raises UsageProblem when there are none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split train.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    fitting = [variant for variant in own if icl is None or recipe_icl(variant.recipe) == icl]
    if not fitting:
        raise UsageProblem(
            f"{teacher} has no rationales for {dataset} that were asked for with {icl} in-context examples.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset} --icl {icl}",
        )
    return max(fitting, key=lambda variant: (variant.teacher_forcing, variant.questions, variant.latest))


def selected(
    store: Store, dataset: str, variant: Variant, selection: Selection, *, limit: int, seed: int
) -> tuple[dict[str, list[Taught]], dict[str, Any]]:
    """What to learn of one teacher, by question key, for the first `limit` training questions; and the record of
    which rationales these are.

    Raises UsageProblem when none is left."""
    taught: dict[str, list[Taught]] = {}
    digest = hashlib.sha256()
    empty = 0
    for rationale in stored_rationales.iterate(store, dataset, "train", variant):
        if rationale.position >= limit:
            break
        text = rationale_text(rationale.text)
        if not text:
            empty += 1
            continue
        taught.setdefault(rationale.key, []).append(Taught(text=text))
        digest.update(f"{rationale.question}\0{rationale.sample}\0{text}\0".encode())
    if not taught:
        raise UsageProblem(
            f"None of {variant.teacher}'s rationales for {dataset} has any text.",
            f"Ask again, in another way: tinyllm elicit --teacher {variant.teacher} --dataset {dataset}",
        )
    record = {
        **variant.source,
        "questions": len(taught),
        "rationales": sum(map(len, taught.values())),
        "empty": empty,
        "digest": digest.hexdigest()[:16],
    }
    return _shuffled(taught, f"{seed}:{variant.teacher}") if selection.shuffled else taught, record


def _shuffled(taught: dict[str, list[Taught]], seed: str) -> dict[str, list[Taught]]:
    """Every question's rationales at another question: along a circle of random order, each moves on by one."""
    order = list(taught)
    random.Random(seed).shuffle(order)
    return {key: taught[order[index - 1]] for index, key in enumerate(order)}
