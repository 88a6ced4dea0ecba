"""Recipes, prompts, rationales and elicitations, as the store holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from backends.base import Message, PaceChange, Sampling
from tinyllm_cli.datasets.question import canonical

TEMPLATE = "v1"
"""Version of the prompt's wording: another wording gets another version."""

_RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How prompts are made. `icl` in-context examples are drawn with `seed` (None where there are none). `icl` is None
    for recordings, whose prompts are unknown."""

    template: str = TEMPLATE
    icl: int | None = 2
    seed: int | None = 0
    teacher_forcing: bool = True
    """Whether the prompt contains the gold answer."""

    def __post_init__(self) -> None:
        if not self.icl:
            object.__setattr__(self, "seed", None)

    @classmethod
    def recorded(cls, *, teacher_forcing: bool) -> Recipe:
        """That of a recorded rationale."""
        return cls(template=_RECORDED, icl=None, teacher_forcing=teacher_forcing)

    @property
    def is_recorded(self) -> bool:
        return self.template == _RECORDED

    @cached_property
    def name(self) -> str:
        """For display, and as the key of its row."""
        if self.icl is None:
            return self.template if self.teacher_forcing else f"{self.template} free"
        mode = "forced" if self.teacher_forcing else "free"
        return f"{self.template} {mode} icl={self.icl}" + (f" seed={self.seed}" if self.icl else "")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a teacher is asked about one question. `question` and `examples` are question hashes; `messages` is empty
    for a recorded rationale, whose prompt is unknown."""

    question: str
    recipe: Recipe
    messages: tuple[Message, ...]
    examples: tuple[str, ...] = ()
    content_hash: str = ""
    """For a recorded or edited rationale, whose prompt is unknown: changes with its text."""

    @cached_property
    def hash(self) -> str:
        messages = [[message.role, message.content] for message in self.messages]
        content = [self.question, self.recipe.name, messages, self.content_hash]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class ElicitationConfig:
    """A teacher's model, and how it samples. With the prompt and the sample number this is a rationale's identity, so
    a changed model or temperature makes new rows beside the old ones."""

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
class RationaleSet:
    """The rationales of one teacher with one sampling and one recipe, counted within a data set. `latest` is the row ID
    of the newest one."""

    teacher: str
    sampling: str
    recipe: Recipe
    model: str
    revision: str
    rationales: int
    questions: int
    samples: int
    """The greatest number of rationales of one question."""

    latest: int

    @property
    def teacher_forcing(self) -> bool:
        return self.recipe.teacher_forcing

    @property
    def address(self) -> tuple[str, str, str]:
        """(teacher, sampling, name of the recipe)."""
        return self.teacher, self.sampling, self.recipe.name

    @property
    def source(self) -> dict[str, str]:
        """For the record of a run that uses these rationales."""
        return {"model": self.model, "revision": self.revision, "recipe": self.recipe.name, "sampling": self.sampling}


@dataclass(frozen=True, kw_only=True)
class Rationale:
    """A stored reply to one question of a split. `text` is raw; `answer` is the option index that a recording
    states."""

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
    """Repeated questions of a split. `again` counts the positions after the first one, `disagree` the questions whose
    positions have different answers. `key` is an example, of those that disagree if there are any."""

    split: str
    again: int
    disagree: int
    key: str


@dataclass(frozen=True, kw_only=True)
class TeacherCosts:
    """What one teacher's rationales for one split cost. `recipe` is its name. `cost` is None when unknown; `partly`: it
    is known for some calls only, so it is a lower bound. `mean_characters`, `cut_off` and `seconds` are of `read`
    rationales, those of a random sample in a large split."""

    teacher: str
    model: str
    dataset: str
    split: str
    recipe: str
    rationales: int
    failures: int
    read: int
    mean_characters: float
    cut_off: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    cost: float | None
    partly: bool


@dataclass(frozen=True, kw_only=True)
class Elicitation:
    """One process that requested replies for one split. `recipe` is its name. Tokens and cost include failures and
    retries; None when unknown. The next process sets the `state` 'killed'."""

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
    concurrency: tuple[PaceChange, ...]
    started: str
    finished: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Requests at an endpoint's batch API. `id` is the endpoint's ID, None until it is known; `token` is ours. `state`
    is 'uploading', 'submitting', then the endpoint's; the batch is open while `finished` is None."""

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
