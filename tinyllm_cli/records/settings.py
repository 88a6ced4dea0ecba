"""The settings of a training, and all that its run's row says of them. Read and written as JSON here alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tinyllm_cli.errors import UsageProblem

Reading = Literal["example", "token"]
"""Two readings of the cross-entropy l. "example" (the paper): the mean over a task's examples of each example's mean
over its target tokens. "token" (the authors' code): the mean over all of a task's target tokens."""

Target = Literal["multitask", "rationale-first", "answer-first"]
"""What the student learns to write of a question: the answer and each rationale as tasks of their own (the paper), or
both in one sequence, in either order."""

RationaleKind = Literal["forced", "correct", "correct-or-forced"]
"""Which rationales to train on. "forced" (the paper): written with the gold answer in the prompt. "correct": written
without it, and right. "correct-or-forced": the former where a question has none of the latter."""

TextChoice = Literal["learnability", "usefulness", "agreement", "random"]
"""By what the best texts of a question are chosen, of all teachers."""

Precision = Literal["auto", "float32", "bfloat16"]
SelectBy = Literal["accuracy", "loss"]
SaveDtype = Literal["float32", "bfloat16"]


def check_seed(seed: int) -> None:
    """Raises UsageProblem for a seed that the database and torch can't hold."""
    if not -(2**63) <= seed < 2**63:
        raise UsageProblem("A seed has at most 64 bits.", "Give one from -9223372036854775808 to 9223372036854775807.")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train. The defaults are the paper's where it gives one; `training.recipes` has others.

    Raises UsageProblem for a number that is not finite, and for a seed of more than 64 bits."""

    epochs: int = 1
    max_steps: int = 0
    """Optimizer steps, instead of epochs (0: as many as the epochs have)."""

    batch_size: int = 8
    """Questions in an optimizer step; each brings its answer and its rationales."""

    lr: float = 5e-5
    schedule: str = "linear"
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    """The warm-up as a fraction of all steps, where `warmup_steps` is 0."""

    weight_decay: float = 0.0
    """Of matrices; norms and biases do not decay."""

    max_grad_norm: float = 1.0
    optimizer: str = "adamw_torch_fused"
    """A name that transformers gives to an optimizer."""

    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass: half the speed, a fraction of the memory."""

    compile_layers: bool = False
    """On a GPU, the layers that read packed rows are compiled functions: faster steps, rounded in another way."""

    patience: int = 0
    """Early stopping: evaluations without improvement (0: off)."""

    lora_rank: int = 0
    """Train low-rank additions of this rank to the linear layers instead of the weights; 0 trains the weights."""

    lora_alpha: float = 0.0
    """The additions are multiplied by this over the rank; 0 is twice the rank."""

    max_input: int = 1024
    max_target: int = 256
    target: Target = "multitask"
    reading: Reading = "example"
    precision: Precision = "auto"
    token_budget: int = 0
    """Tokens in a micro-batch: memory against speed, with no effect on the gradient. 0 is what suits the device."""

    evals_per_epoch: int = 2
    eval_every: int = 0
    """Steps between two evaluations, instead of evaluations per epoch (0: these)."""

    select_by: SelectBy = "accuracy"
    """What of the valid split chooses the checkpoint; the other one decides between equals."""

    seed: int = 0
    save_dtype: SaveDtype = "float32"
    """Of the weights in the run's folder; the training itself keeps float32 weights. A student in bfloat16 is another
    one than in float32, so it is part of a run's identity."""

    def __post_init__(self) -> None:
        for name in ("lr", "weight_decay", "lora_alpha", "max_grad_norm", "warmup_ratio"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                option = f"--{name.replace('_', '-')}"
                raise UsageProblem(f"{option} can't be {value:g}.", "It must be a finite number, 0 or more.")

        if self.warmup_ratio > 1:
            raise UsageProblem(f"--warmup-ratio can't be {self.warmup_ratio:g}.", "It is a fraction of all steps.")
        if self.compile_layers and self.gradient_checkpointing:
            raise UsageProblem(
                "--compile-layers is for packed rows, and with --gradient-checkpointing a GPU pads them.",
                "Give one of them.",
            )
        check_seed(self.seed)

    def budget_on(self, device: str) -> int:
        """Tokens in a micro-batch: by default what a CPU's caches hold, or what keeps a GPU busy."""
        return self.token_budget or (3000 if device == "cpu" else 16_000)

    def steps(self, training_questions: int) -> int:
        """Optimizer steps of the whole training, without early stopping."""
        return self.max_steps or self.epochs * self.steps_per_epoch(training_questions)

    def steps_per_epoch(self, training_questions: int) -> int:
        return math.ceil(training_questions / self.batch_size)

    def warmup(self, steps: int) -> int:
        """Steps of the warm-up in a training of `steps`."""
        return self.warmup_steps or round(self.warmup_ratio * steps)

    def evaluations(self, training_questions: int) -> int:
        """Evaluations on valid in the whole training; at most one for each step."""
        steps = self.steps(training_questions)
        if self.eval_every:
            return math.ceil(steps / self.eval_every)
        wanted = self.evals_per_epoch * steps / self.steps_per_epoch(training_questions)
        return min(steps, max(1, round(wanted)))

    def questions_after(self, steps: int, training_questions: int) -> int:
        """Questions that so many steps have seen; the last step of an epoch may have fewer than the others."""
        epochs, rest = divmod(steps, self.steps_per_epoch(training_questions))
        return epochs * training_questions + min(rest * self.batch_size, training_questions)


@dataclass(frozen=True, kw_only=True)
class SelectionRecord:
    """Which rationales were taught. `gates` is a hash of the gates' settings, None for raw rationales; `rationales` a
    RationaleKind, `choose` a TextChoice, None without a limit of texts `per_question`."""

    gates: str | None = None
    usefulness: str = "none"
    samples: int | None = None
    icl: int | None = None
    shuffled: bool = False
    rationales: str = "forced"
    per_question: int | None = None
    choose: str | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What of a machine can change the weights that a training ends with. `device` names the processor's instruction
    set or the GPU's model, `precision` is the one that was used, where the settings say "auto"."""

    device: str
    precision: Literal["float32", "bfloat16"]
    threads: int


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that makes two trainings of one method, student, data set, alpha and seed the same.

    `limit`: only the first questions of train. `prefixes`: of the teachers whose rationales are taught. `fingerprint`
    changes with the files of a local student, `data` with the questions of train and valid. `environment` is None in
    rows that do not say."""

    train: TrainSettings = field(default_factory=TrainSettings)
    limit: int | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    selection: SelectionRecord = field(default_factory=SelectionRecord)
    fingerprint: str = ""
    data: str = ""
    environment: Environment | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat object, as the row holds it; of the selection only what differs from the defaults."""
        chosen = {one.name: getattr(self.selection, one.name) for one in fields(SelectionRecord)}
        return {
            **asdict(self.train),
            "limit": self.limit,
            "prefixes": dict(self.prefixes),
            **{one.name: chosen[one.name] for one in fields(SelectionRecord) if chosen[one.name] != one.default},
            "fingerprint": self.fingerprint,
            "data": self.data,
            "environment": asdict(self.environment) if self.environment else None,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> RunSettings:
        """What `to_json` wrote; the default for whatever is missing.

        Raises ValueError for a value of the wrong type, UsageProblem for one that no training can have."""
        environment = row.get("environment")
        if environment is not None and not isinstance(environment, Mapping):
            raise ValueError("environment is not an object")
        if environment and not {one.name for one in fields(Environment)} <= set(environment):
            raise ValueError("environment is incomplete")
        return cls(
            **_part(RunSettings, row),
            train=TrainSettings(**_part(TrainSettings, row)),
            selection=SelectionRecord(**_part(SelectionRecord, row)),
            environment=Environment(**_part(Environment, environment)) if environment else None,
        )


def _part(kind: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that a row holds. Raises ValueError for a value of another type."""
    hints = get_type_hints(kind)
    found = {one.name: row[one.name] for one in fields(kind) if one.name in row and one.name not in _NESTED}
    for name, value in found.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    return found


_NESTED = frozenset({"train", "selection", "environment"})


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has the type of a field."""
    if isinstance(hint, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return isinstance(value, str)
    if get_origin(hint) is Mapping:
        return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
    if hint is float:
        return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)
    return type(value) is hint
