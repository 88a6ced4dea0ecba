"""What there is to make a plan of: each data set's teachers, by what they wrote, as the store has it."""

from __future__ import annotations

from tinyllm_cli.experiments.plans import Material
from tinyllm_cli.prompts import recipe_icl
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales


def material_of(store: Store, dataset: str, limit: int | None = None) -> Material:
    """`limit`: only the first so many training questions count."""
    sizes = stored_questions.splits(store, dataset)
    variants = {split: stored_rationales.variants(store, dataset, split) for split in sizes}
    wanted = min(sizes.get("train", 0), limit or sizes.get("train", 0))

    def answered(split: str, count: int) -> frozenset[str]:
        return frozenset(v.teacher for v in variants.get(split, ()) if not v.teacher_forcing and v.questions >= count)

    free = answered("train", wanted)
    if "valid" in sizes:
        free &= answered("valid", sizes["valid"])
    return Material(
        dataset=dataset,
        questions=sizes.get("train", 0),
        forced=frozenset(variant.teacher for variant in variants.get("train", ())),
        free=free,
        tested=answered("test", sizes.get("test", 1)),
        without_icl=frozenset(v.teacher for v in variants.get("train", ()) if recipe_icl(v.recipe) == 0),
    )
