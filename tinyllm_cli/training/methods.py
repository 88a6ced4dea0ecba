"""The paper's methods that train a student, by the names that runs carry: what each is called, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """`title` is the paper's name. `gold`: the answers are the questions' own, and the input is the question alone;
    `rationales`: it learns what teachers wrote as well."""

    title: str
    learns: str
    gold: bool = True
    rationales: bool = False


METHODS: Mapping[str, Method] = {
    "pinto": Method(
        title="PINTO",
        learns="the answers, with what teachers wrote without the gold answer to read beside each question (PINTO)",
        gold=False,
    ),
    "lora": Method(
        title="LoRA", learns="the answers alone, by low-rank additions that are merged into the weights (LoRA)"
    ),
    "finetune": Method(title="Full fine-tuning", learns="the answers alone, all its weights (full fine-tuning)"),
    "standard-kd": Method(
        title="Standard KD",
        learns="the answers that the teachers gave, instead of the gold answers (standard distillation)",
        gold=False,
    ),
    "distill-step-by-step": Method(
        title="Distill-step-by-step",
        learns="the answers and the rationales of one teacher (distilling step by step)",
        rationales=True,
    ),
    "tinyllm": Method(
        title="TinyLLM", learns="the answers and the rationales of several teachers (TinyLLM)", rationales=True
    ),
}
"""In the order of the paper's Table 1."""

TITLES: Mapping[str, str] = {"inference": "Inference"} | {name: one.title for name, one in METHODS.items()}
"""With the student that wasn't trained."""

ON_GOLD = frozenset(name for name, one in METHODS.items() if one.gold)
ON_RATIONALES = frozenset(name for name, one in METHODS.items() if one.rationales)
