"""The training methods of the paper, by the names that runs record: what each is called, and what it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.errors import UsageProblem

TeacherInput = Literal["nothing", "rationales", "answers", "context"]
"""What a method takes from the teachers: nothing; rationales as targets; their own answers, by weighted majority,
instead of the gold ones (standard distillation); or what they wrote without the gold answer as extra context of every
question, in training and in evaluation (PINTO)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """`title` is the paper's name."""

    title: str
    learns: str
    takes: TeacherInput


METHODS: Mapping[str, Method] = {
    "pinto": Method(
        title="PINTO",
        learns="the answers, with what teachers wrote without the gold answer as context of each question (PINTO)",
        takes="context",
    ),
    "lora": Method(
        title="LoRA", learns="the answers alone, as low-rank updates that are merged into the weights (LoRA)",
        takes="nothing",
    ),
    "finetune": Method(
        title="Full fine-tuning", learns="the answers alone, all its weights (full fine-tuning)", takes="nothing"
    ),
    "standard-kd": Method(
        title="Standard KD",
        learns="the answers that the teachers gave, instead of the gold answers (standard distillation)",
        takes="answers",
    ),
    "distill-step-by-step": Method(
        title="Distill-step-by-step",
        learns="the answers and the rationales of one teacher (distilling step by step)",
        takes="rationales",
    ),
    "tinyllm": Method(
        title="TinyLLM", learns="the answers and the rationales of several teachers (TinyLLM)", takes="rationales"
    ),
}  # fmt: skip
"""In the order of the paper's Table 1."""

TITLES: Mapping[str, str] = {"inference": "Inference"} | {name: one.title for name, one in METHODS.items()}
"""With the untrained student."""

ON_GOLD = frozenset(name for name, one in METHODS.items() if one.takes in ("nothing", "rationales"))
"""The methods whose answers are the gold ones, and whose inputs are the questions alone."""

ON_RATIONALES = frozenset(name for name, one in METHODS.items() if one.takes == "rationales")


def method_for(requested: str | None, teachers: int, lora_rank: int) -> str:
    """The method of a training with this number of teachers that have an alpha above 0; `requested` may be None.

    Raises UsageProblem if the requested method does not fit."""
    if requested is not None and METHODS[requested].takes in ("answers", "context"):
        return requested
    if teachers:
        fitting = "distill-step-by-step" if teachers == 1 else "tinyllm"
    else:
        fitting = "lora" if lora_rank else "finetune"
    if requested not in (None, fitting):
        raise UsageProblem(
            f"This is {fitting}, not {requested}: {teachers} teachers have an alpha above 0.",
            "Set --alpha and --lora-rank to what the method needs, or remove --method.",
        )
    return fitting
