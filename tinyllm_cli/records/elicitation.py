"""Prompts, rationales and elicitations, as the store holds them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from backends.base import Message, PaceChange, Sampling
from tinyllm_cli.datasets.question import canonical


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
    """For a recorded or edited rationale, whose prompt is unknown: changes with its text."""

    @cached_property
    def hash(self) -> str:
        content = [self.question, self.recipe, [[m.role, m.content] for m in self.messages], self.edition]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class ElicitationConfig:
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
class RationaleSet:
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
    """Row id of the newest rationale: identifies the latest set."""

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


TEMPLATE = "v1"


RECORDED_RECIPE = "recorded"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How prompts are made. `icl` in-context examples, drawn with `seed`."""

    icl: int = 2
    seed: int = 0
    teacher_forcing: bool = True

    @property
    def name(self) -> str:
        mode = "forced" if self.teacher_forcing else "free"
        return f"{TEMPLATE} {mode} icl={self.icl}" + (f" seed={self.seed}" if self.icl else "")


_NAMED = re.compile(rf"{TEMPLATE} (forced|free) icl=(\d+)(?: seed=(-?\d+))?")


def recipe_named(name: str) -> Recipe | None:
    """The recipe of this name; None for one of another template, or of a recording."""
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    return Recipe(icl=int(match[2]), seed=int(match[3] or 0), teacher_forcing=match[1] == "forced")


_ICL = re.compile(r"\bicl=(\d+)")


def recipe_icl(name: str) -> int | None:
    """How many in-context examples the prompts of a recipe hold; None where that is unknown, as for a recording."""
    found = _ICL.search(name)
    return int(found[1]) if found else None
