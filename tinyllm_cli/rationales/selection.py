"""Which rationales of a teacher a student learns: the settings, the set they come from, and the types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import Use
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.records.settings import RationaleKind, TextChoice
from tinyllm_cli.records.usefulness import Scorer, TextScore


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The defaults take every rationale of the set that covers most questions, unjudged."""

    gates: GateSettings | None = None
    """Learn the rationales that pass these gates, as repaired; None: all that have a text."""

    usefulness: Use = "none"
    """Weight a teacher's rationales by usefulness, or drop those with a gain of 0 or less."""

    usefulness_model: str | None = None
    """The model whose scores count, or the beginning of its name; None: the only model that scored."""

    samples: int | None = None
    """The number of samples per question to learn, the most useful first if they were scored; None: all."""

    icl: int | None = None
    """Only rationales whose prompts had this number of in-context examples."""

    shuffled: bool = False
    """A control: each question gets the rationales of another."""

    rationales: RationaleKind = "forced"
    """Those of teachers that saw the gold answer, or correct ones of teachers that did not."""

    per_question: int | None = None
    """The number of texts per question to learn, of all teachers together; None: all."""

    choose: TextChoice | None = None
    """By what these are chosen; None without `per_question`."""

    @property
    def chooses(self) -> bool:
        """Whether it takes other rationales than all of the forced ones."""
        return self.rationales != "forced" or self.per_question is not None

    @property
    def needs_usefulness(self) -> bool:
        """Whether every text needs a usefulness score."""
        return self.usefulness != "none" or self.choose == "usefulness"

    @property
    def reads_scores(self) -> bool:
        return self.needs_usefulness or self.samples is not None

    def identity(self) -> dict[str, Any]:
        """The settings that differ from the defaults, for a run's record. The model that scored is recorded by its full
        name in the run's lineage."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "usefulness_model"}
        values["gates"] = self.gates.hash if self.gates else None
        return {one.name: values[one.name] for one in fields(self) if values.get(one.name, one.default) != one.default}


EVERY_RATIONALE = Selection()


@dataclass(frozen=True, kw_only=True)
class TeacherRationales:
    """What the store holds of one teacher's rationales for the first `questions` training questions; `limited`: these
    may not be all. `fallback` is the set of the rationales that are a fallback, None without any.

    `scores` are the stored gains by model, the model that scored last first; empty if the selection reads none.
    `learnability`: by rationale id, the mean log-likelihood of those texts that `student` has scored."""

    dataset: str
    source: RationaleSet
    questions: int
    limited: bool
    rationales: Sequence[JudgedRationale]
    scores: Mapping[Scorer, Sequence[TextScore]]
    student: Scorer
    fallback: RationaleSet | None = None
    learnability: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedRationale:
    """A text to learn, and its weight among those of its teacher."""

    text: str
    weight: float = 1.0


def best_covered(
    variants: Sequence[RationaleSet], teacher: str, dataset: str, icl: int | None = None, split: str = "train"
) -> RationaleSet:
    """The set of `teacher` that `distill` learns from.

    Sets whose teacher saw the gold answer come first, then the one that covers most questions, then one with in-context
    examples (eliciting without them for an ablation changes nothing else), then the newest. With `icl`, only sets with
    that number of in-context examples.

    Raises UsageProblem if there is none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    asking = ["elicit", "--teacher", teacher, "--dataset", dataset, *([] if split == "train" else ["--split", split])]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split {split}.",
            f"Run: {command_text(*asking)}",
        )
    fitting = [variant for variant in own if icl is None or variant.recipe.icl == icl]
    if not fitting and all(variant.recipe.is_recorded for variant in own):
        raise UsageProblem(
            f"The prompts of {teacher}'s recorded rationales are unknown, so --icl selects none of them.",
            "Remove --icl.",
        )
    if not fitting:
        raise UsageProblem(
            f"{teacher} has no rationales for {dataset} that were elicited with {icl} in-context examples.",
            f"Run: {command_text(*asking, '--icl', icl)}",
        )
    return max(fitting, key=lambda one: (one.teacher_forcing, one.questions, one.recipe.icl != 0, one.latest))
