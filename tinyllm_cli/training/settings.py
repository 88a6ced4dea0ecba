"""How to train: the settings of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.students.base import Limits
from tinyllm_cli.training.objective import Reading

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train. The defaults are the paper's where it gives one."""

    epochs: int = 1
    batch_size: int = 8
    """Questions in an optimizer step; each brings its answer and its rationales."""

    lr: float = 5e-5
    schedule: str = "linear"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optimizer: str = "adamw_torch_fused"
    """A name that transformers gives to an optimizer."""

    gradient_checkpointing: bool = False
    """Compute layers anew in the backward pass: half the speed, a fraction of the memory."""

    patience: int = 0
    """Evaluations without a better valid accuracy after which the training ends; 0 never ends it."""

    lora_rank: int = 0
    """Train low-rank additions of this rank to the linear layers instead of the weights; 0 trains the weights."""

    lora_alpha: float = 0.0
    """The additions are multiplied by this over the rank; 0 is twice the rank."""

    max_input: int = 1024
    max_target: int = 256
    reading: Reading = "example"
    precision: Precision = "auto"
    token_budget: int = 0
    """Tokens in a micro-batch: memory against speed, with no effect on the gradient. 0 is what suits the device."""

    evals_per_epoch: int = 2
    seed: int = 0

    @property
    def limits(self) -> Limits:
        return Limits(input=self.max_input, target=self.max_target)

    def budget_on(self, device: str) -> int:
        """Tokens in a micro-batch: by default what a CPU's caches hold, or what keeps a GPU busy."""
        return self.token_budget or (3000 if device == "cpu" else 16_000)

    def steps(self, training_questions: int) -> int:
        return self.epochs * math.ceil(training_questions / self.batch_size)
