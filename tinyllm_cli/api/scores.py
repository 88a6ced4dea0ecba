"""`usefulness`, `learnability` and `leakage`: what a model makes of rationales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.api.rationales import dataset_of
from tinyllm_cli.config.ranges import check_icl
from tinyllm_cli.events import OnEvent, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.rationales.leakage_summary import LeakageResult
    from tinyllm_cli.rationales.score import Scoring
    from tinyllm_cli.rationales.score_summary import LearnabilityResult, TextQuery, UsefulnessResult
    from tinyllm_cli.records.settings import RationaleKind


class UsefulnessOptions(TypedDict, total=False):
    """Keywords of `usefulness`, `learnability` and `leakage`."""

    dataset: str | None
    """Default: the only data set with rationales for the split."""

    split: str
    """train, valid or test; default: train."""

    teachers: Sequence[str]
    """Names or unambiguous beginnings; default: all."""

    model: str
    """The model that reads: a hub name, a folder, a .gguf file, or smollm2 (default)."""

    limit: int | None
    """Only the first N questions; default: all."""

    gates: bool
    """Only texts that the gates keep; default: True."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""

    icl: int | None
    """Only rationales elicited with this number of in-context examples."""

    rationales: RationaleKind
    """As for `distill`: forced, correct or correct-or-forced; default: forced."""

    mask_answer: bool
    """Mask the answer's name in what the model reads; default: True. `distill` uses masked scores. For usefulness."""

    trust_remote_code: bool
    """Run code that comes with the model; default: False."""


def usefulness(
    project: Project, *, examples: int = 0, on_event: OnEvent = ignore_events, **options: Unpack[UsefulnessOptions]
) -> UsefulnessResult:
    """How much each rationale raises a model's log-probability of the gold answer, for `distill`'s weights and filter.
    Scores are stored; existing ones are reused. `examples`: return the N most and least useful texts.

    Raises UsageProblem when there is nothing to score."""
    from tinyllm_cli.rationales.score_summary import usefulness as run

    query, scoring = _scoring(project, options, on_event)
    mask = options.get("mask_answer", True)
    return run(project.store, query, scoring, mask=mask, shown=examples, on_event=on_event)


def learnability(
    project: Project, *, examples: int = 0, on_event: OnEvent = ignore_events, **options: Unpack[UsefulnessOptions]
) -> LearnabilityResult:
    """How likely each rationale is for a student before training, in nats per token, for `distill`'s choice of texts.
    Scores are stored; existing ones are reused. `examples`: return the N most and least likely texts.

    Raises UsageProblem when there is nothing to score."""
    from tinyllm_cli.rationales.score_summary import learnability as run
    from tinyllm_cli.training.alpha import prefix_of

    query, scoring = _scoring(project, options, on_event)
    prefixes = {teacher: prefix_of(teacher, project.settings) for teacher in query.sources}
    return run(project.store, query, scoring, prefixes, shown=examples, on_event=on_event)


def leakage(
    project: Project, *, count: int, on_event: OnEvent = ignore_events, **options: Unpack[UsefulnessOptions]
) -> LeakageResult:
    """What a model answers with and without the first `count` rationales of each teacher: whether they explain, or
    only name the answer.

    Raises UsageProblem when a teacher has no rationale to probe."""
    from tinyllm_cli.rationales.leakage_summary import leakage as run

    query, scoring = _scoring(project, options, on_event)
    return run(project.store, query, scoring.load, count=count, on_event=on_event)


def _scoring(project: Project, options: UsefulnessOptions, on_event: OnEvent) -> tuple[TextQuery, Scoring]:
    from tinyllm_cli.rationales.rationale_sets import teacher_sources
    from tinyllm_cli.rationales.score import Scoring
    from tinyllm_cli.rationales.score_summary import TextQuery
    from tinyllm_cli.records.usefulness import Scorer
    from tinyllm_cli.students.loading import model_fingerprint
    from tinyllm_cli.students.model_names import absolute, loaded_once

    split, kind = options.get("split", "train"), options.get("rationales", "forced")
    check_icl(options.get("icl"))
    dataset = dataset_of(project, split, options.get("dataset"), on_event)
    query = TextQuery(
        dataset=dataset, split=split, limit=options.get("limit"),
        gates=project.gates(options.get("gates", True), options.get("max_target", 256)),
        sources=teacher_sources(
            project.store, (dataset, split), options.get("teachers", ()), kind, options.get("icl")
        ),
    )  # fmt: skip
    model = absolute(options.get("model", "smollm2"))
    scoring = Scoring(
        scorer=Scorer(model=model, fingerprint=model_fingerprint(model)),
        load=loaded_once(model, trust_remote_code=options.get("trust_remote_code", False)),
    )
    return query, scoring
