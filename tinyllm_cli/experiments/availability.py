"""What the store has for a plan: each data set's questions and teachers, by what they wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from tinyllm_cli.config import Settings
from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.experiments.grid import Coverage
from tinyllm_cli.rationales.gates import gate_settings
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store
from tinyllm_cli.training.alpha import prefix_of

RationaleSets = Mapping[str, Sequence[RationaleSet]]
"""By split."""


def coverage_of(
    store: Store, dataset: str, settings: Settings, *, limit: int | None = None, test_limit: int | None = None
) -> Coverage:
    """`limit` and `test_limit` are how many questions of train and valid, and of test, an experiment uses."""
    sizes = store.questions.splits(dataset)
    variants = {split: store.rationales.variants(dataset, split) for split in sizes}
    writers = frozenset(variant.teacher for variant in variants.get("train", ()))

    def asked(split: str, most: int | None) -> frozenset[str]:
        unforced = {variant.teacher for variant in variants.get(split, ()) if not variant.teacher_forcing}
        return frozenset(name for name in unforced if _asked_all(store, name, dataset, split, most))

    return Coverage(
        dataset=dataset,
        questions=sizes.get("train", 0),
        valid=sizes.get("valid", 0),
        test=sizes.get("test", 0),
        writers=writers,
        unforced={"train": asked("train", limit), "valid": asked("valid", limit), "test": asked("test", test_limit)},
        without_icl=frozenset(name for name in writers if _with_and_without_icl(variants["train"], name, dataset)),
        edition=_edition(store, dataset, variants, settings),
    )


def edition_of(store: Store, dataset: str, settings: Settings) -> str:
    """Changes with everything of a data set that a plan's results depend on."""
    splits = store.questions.splits(dataset)
    return _edition(store, dataset, {split: store.rationales.variants(dataset, split) for split in splits}, settings)


def _asked_all(store: Store, teacher: str, dataset: str, split: str, limit: int | None) -> bool:
    own = load_teacher_answers(store, teacher, dataset, split)
    return all(own.asked(question) for question in store.questions.iterate(dataset, split, limit))


def _with_and_without_icl(variants: Sequence[RationaleSet], teacher: str, dataset: str) -> bool:
    """Whether the teacher was asked without in-context examples as well as in its main configuration with them."""
    own = [variant for variant in variants if variant.teacher == teacher]
    main = best_covered(own, teacher, dataset).recipe.icl
    return main != 0 and any(variant.recipe.icl == 0 for variant in own)


def _edition(store: Store, dataset: str, variants: RationaleSets, settings: Settings) -> str:
    """Changes with the questions, the rationales, their scores and human verdicts, the prefixes and the gates."""
    known = store.questions.find(dataset)
    learned = store.learnability.scored(dataset)
    content = [
        known.fingerprint if known else "",
        store.questions.splits(dataset),
        {split: sorted(map(_facts, those)) for split, those in variants.items()},
        [(one.scorer.name, one.rationales, one.latest) for one in store.usefulness.scored(dataset)],
        {variant.teacher: prefix_of(variant.teacher, settings) for those in variants.values() for variant in those},
        gate_settings(settings.gates).hash,
        *([[(one.scorer.name, one.rationales, one.latest) for one in learned]] if learned else []),
    ]
    reviewed = store.human_verdicts.digest(dataset)
    content += [reviewed] if reviewed else []  # a database without human verdicts keeps its identities
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]


def _facts(one: RationaleSet) -> tuple[str | int | bool, ...]:
    """The order and the values are part of stored identities."""
    return (one.teacher, one.sampling, one.recipe.name, one.model, one.revision, one.teacher_forcing, one.rationales,
            one.questions, one.latest)  # fmt: skip
