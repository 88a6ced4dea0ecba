"""What the store holds, as types: a prompt, a rationale, a run, an evaluation, a prediction. No SQL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from backends.base import Message, PaceChange, Sampling
from tinyllm_cli.datasets.question import canonical

RunState = Literal["running", "done", "stopped", "failed"]
Scoring = Literal["rank", "generate"]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a teacher is asked about one question. `recipe` names how it was made (template version, in-context
    examples, teacher-forcing): all prompts of one recipe belong together. `examples` are question hashes."""

    question: str
    recipe: str
    messages: tuple[Message, ...]
    teacher_forcing: bool
    examples: tuple[str, ...] = ()
    edition: str = ""
    """For a recorded rationale, whose prompt is unknown: changes with its text."""

    @cached_property
    def hash(self) -> str:
        content = [self.question, self.recipe, [[m.role, m.content] for m in self.messages], self.edition]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a teacher is asked: the model behind its name, and the sampling. With the prompt and the sample number,
    this is a rationale's identity, so that a changed model or temperature makes new rows beside the old ones."""

    teacher: str
    backend: str
    model: str
    revision: str
    sampling: Sampling

    @cached_property
    def hash(self) -> str:
        s = self.sampling
        content = [
            self.backend,
            self.model,
            self.revision,
            s.temperature,
            s.top_p,
            s.max_tokens,
            list(s.stop),
            s.seed,
        ]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The rationales of one teacher that were made in one way (sampling and recipe), counted within a data set."""

    teacher: str
    sampling: str
    recipe: str
    model: str
    revision: str
    teacher_forcing: bool
    rationales: int
    questions: int
    latest: int
    """The newest rationale's row id: how 'the latest variant' is told."""

    @property
    def source(self) -> dict[str, str]:
        """Which way of asking it is, for the record of a run."""
        return {"model": self.model, "revision": self.revision, "recipe": self.recipe, "sampling": self.sampling}


@dataclass(frozen=True, kw_only=True)
class Rationale:
    """A stored reply to one question of a split: the raw text and what the source said beside it."""

    id: int
    position: int
    key: str
    question: str
    sample: int
    text: str
    finish_reason: str
    answer: int | None


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Questions of a split that stand there more than once: `again` counts their places after the first, `disagree` the
    questions of which another place names another option. `key` is one of these, else one of those."""

    split: str
    again: int
    disagree: int
    key: str


@dataclass(frozen=True, kw_only=True)
class TeacherCosts:
    """What one teacher's rationales for one split of a data set came to. `cost` is None when unknown; `partly`: some of
    it is, and the cost is at least this."""

    teacher: str
    model: str
    dataset: str
    split: str
    recipe: str
    rationales: int
    failures: int
    mean_characters: float
    cut_off: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    cost: float | None
    partly: bool


@dataclass(frozen=True, kw_only=True)
class Elicitation:
    """One time that a teacher was asked about one split. Tokens and cost are those of every call, failures and
    repeated ones included; None when unknown. `state` 'killed' is found out by the next process."""

    id: int
    teacher: str
    model: str
    backend: str
    sampling: str
    dataset: str
    split: str
    recipe: str
    state: str
    replies: int
    failures: int
    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    pace: tuple[PaceChange, ...]
    started: str
    finished: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Requests that lie at an endpoint. `id` is the endpoint's name for it, None until that is known; `token` is ours.
    `state` is 'uploading', 'submitting', then the endpoint's own word; it is open while `finished` is None."""

    number: int
    id: str | None
    token: str
    elicitation: int
    teacher: str
    sampling: str
    url: str
    state: str
    requests: int
    submitted: str
    finished: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one student. `alpha` maps teacher to weight; `lineage` says which rationales were used."""

    id: int
    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    settings: Mapping[str, Any]
    lineage: Mapping[str, Any]
    state: RunState
    figures: Mapping[str, Any]
    folder: str
    command: str
    versions: Mapping[str, str]
    started: str
    finished: str | None = None
    error: str | None = None

    @property
    def checkpoint(self) -> str | None:
        """What tells its student from an earlier one in the same folder; None where none is named yet."""
        step = self.figures.get("best_step") if self.state != "running" else None
        return None if step is None else f"step {step}"

    @property
    def valid_accuracy(self) -> float | None:
        """Of the student that was kept, also while the training goes on; None where no valid split chose it."""
        best = self.figures.get("best_step")
        return next((point["accuracy"] for point in self.figures.get("valid", ()) if point["step"] == best), None)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who answers the questions: a run's student, a model that was not trained here, or a teacher."""

    kind: Literal["run", "model", "teacher"]
    name: str
    fingerprint: str = ""
    """Tells two states of one name apart (a folder that changed, a teacher asked differently)."""

    run: int | None = None

    @classmethod
    def asked(cls, teacher: str, sampling: str, recipe: str) -> Subject:
        """A teacher by what it wrote when it was asked in this way."""
        return cls(kind="teacher", name=teacher, fingerprint=f"{sampling} {recipe}")

    @property
    def way(self) -> tuple[str, str] | None:
        """(sampling, recipe) of a teacher by what it wrote; None for one whose model answers here."""
        told = _ASKED.fullmatch(self.fingerprint) if self.kind == "teacher" else None
        return (told[1], told[2]) if told else None

    def reading(self, digest: str) -> Subject:
        """The same, with hints beside the questions."""
        return replace(self, fingerprint=f"{self.fingerprint}{_READS}{digest}")

    @property
    def state(self) -> str:
        """The fingerprint without the hints."""
        return self.fingerprint.partition(_READS)[0]


_READS = " reads "
_ASKED = re.compile(r"([0-9a-f]{32}) (.+)")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts over one split. `correct` and `unparseable` are None until it is complete."""

    id: int
    subject: Subject
    dataset: str
    split: str
    scoring: Scoring
    questions: int
    chance: float
    majority: float
    correct: int | None
    unparseable: int | None
    inputs_cut: int | None
    seconds: float | None
    created: str


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer: an option index, or None when the text names no option. `scores` are mean log-likelihoods
    (nats per token) by option."""

    key: str
    question: str
    option: int | None
    correct: bool
    scores: tuple[float, ...] | None = None
    text: str | None = None
    input_cut: bool = False
