"""`evaluate`, `predict` and `predict_file`: accuracy of students and teachers, and answers to new questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.events import OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.datasets.question import Question
    from tinyllm_cli.evaluation.evaluate import QuestionSlice
    from tinyllm_cli.evaluation.predict import FileCheck, PredictedAnswer, PredictionSummary, PredictorConfig
    from tinyllm_cli.evaluation.targets import EvaluationTarget
    from tinyllm_cli.records.evaluations import Scoring
    from tinyllm_cli.report.collect import Result
    from tinyllm_cli.students.base import Student


_MAX_INPUT = 1024


class EvaluateOptions(TypedDict, total=False):
    """Keywords of `evaluate`. At most one of run, model and teacher; default: the latest run."""

    run: int | None
    model: str | None
    """Any model: a hub name, a folder, a .gguf file, or smollm2."""

    teacher: str | None
    """A teacher, by its replies without teacher-forcing."""

    dataset: str | None
    """Default: the run's, or the only one."""

    split: Literal["train", "valid", "test"]
    """Default: test."""

    scoring: Literal["rank", "generate", "both", "explain"] | None
    """rank: the most likely option; generate: greedy text; both: these two; explain: a text that explains and answers.
    Default: explain for a student that explains before it answers, else both."""

    explain_as: str | None
    """With "explain": the teacher in whose style it explains; default: the one with the highest alpha."""

    votes: int
    """With "explain": sampled rationales for each question, of whose answers the most frequent one counts; default: 1,
    one greedy text."""

    limit: int | None
    """Only the first N questions; default: all."""

    max_input: int | None
    """Longest input in tokens, for a model; default: 1024. A run has its own."""

    trust_remote_code: bool
    """Run code that comes with the model; default: False."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """One scoring of one evaluation; `id` is its row. `result` has accuracy, interval, chance and majority class."""

    id: int
    inputs_cut: int
    result: Result


def evaluate(
    project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[EvaluateOptions]
) -> list[EvaluationResult]:
    """Accuracy on a split, one result for each scoring. Every prediction is stored; an interrupted evaluation resumes.

    Raises UsageProblem when there is nothing to evaluate, and WorldProblem when a student's scores are not finite."""
    from tinyllm_cli.evaluation.evaluate import evaluate as stage
    from tinyllm_cli.evaluation.targets import scorings_of
    from tinyllm_cli.report.collect import result
    from tinyllm_cli.students.model_names import loaded_once

    if sum(options.get(name) is not None for name in ("run", "model", "teacher")) > 1:
        raise UsageProblem(
            "--run, --model and --teacher exclude each other.", "Give one of them, or none for the latest run."
        )
    if options.get("model") is None and options.get("teacher") is None:
        _check_run_options(options.get("max_input"))
    target, questions = _target(project, options)
    scorings = scorings_of(target, options.get("scoring"))
    target = _explaining(project, target, options) if "explain" in scorings else _not_explaining(target, options)
    load = loaded_once(
        target.model, revision=target.revision, trust_remote_code=options.get("trust_remote_code", False)
    )
    done = []
    for scoring in scorings:
        watch = _watch(on_event, f"{target.subject.name} on {questions.dataset}/{questions.split}, {scoring}")
        done += stage(project.store, target, questions, [scoring], load, watch)
    runs = {run.id: run for run in project.store.runs.everything()}
    return [EvaluationResult(id=one.id, inputs_cut=one.truncated_inputs or 0, result=result(one, runs)) for one in done]


def _explaining(project: Project, target: EvaluationTarget, options: EvaluateOptions) -> EvaluationTarget:
    from tinyllm_cli.evaluation.targets import explaining_model, explaining_run

    run = None if target.subject.run is None else project.store.runs.find(target.subject.run)
    style, votes = options.get("explain_as"), options.get("votes", 1)
    if run is None:
        prefixes = {name: spec.prefix for name, spec in project.settings.teachers.items()}
        return target.explains(*explaining_model(prefixes, style, votes))
    return target.explains(*explaining_run(run, style, votes))


def _not_explaining(target: EvaluationTarget, options: EvaluateOptions) -> EvaluationTarget:
    if options.get("explain_as") is not None or options.get("votes", 1) != 1:
        raise UsageProblem("--explain-as and --votes are about explained answers.", "Add --scoring explain.")
    return target


def _check_run_options(max_input: int | None) -> None:
    if max_input is not None:
        raise UsageProblem(
            "--max-input is for --model and --teacher: a run's student keeps the longest input of its training.",
            "Remove --max-input, or train again with distill --max-input N.",
        )


def _watch(on_event: OnEvent, label: str) -> Callable[[str, int, int], None]:
    return lambda _scoring, done, total: on_event(Progress(label=label, done=done, total=total))


def _target(project: Project, options: EvaluateOptions) -> tuple[EvaluationTarget, QuestionSlice]:
    from tinyllm_cli.evaluation.evaluate import QuestionSlice
    from tinyllm_cli.evaluation.targets import model_target, only_dataset, run_target, teacher_target
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.students.model_names import absolute
    from tinyllm_cli.training.model_card import read_beside
    from tinyllm_cli.training.pinto import load_extra_context
    from tinyllm_cli.training.run_lookup import run_with_student

    store, split, limit = project.store, options.get("split", "test"), options.get("limit")
    dataset = options.get("dataset")
    if dataset is not None:
        dataset = ingest_named(store, dataset, project.settings).name
    model, teacher, max_input = options.get("model"), options.get("teacher"), options.get("max_input") or _MAX_INPUT
    if model is None and teacher is None:
        run = run_with_student(store, options.get("run"))
        questions = QuestionSlice(dataset=dataset or run.dataset, split=split, limit=limit)
        target, teachers = run_target(run), read_beside(run)
        if teachers:  # a PINTO student reads their rationales beside each question
            found = load_extra_context(store, teachers, questions.dataset, split, limit)
            target = target.with_context(found.extra_context, found.digest)
        return target, questions
    questions = QuestionSlice(dataset=dataset or only_dataset(store), split=split, limit=limit)
    if model is not None:
        return model_target(absolute(model), max_input), questions
    return teacher_target(store, project.settings, teacher or "", questions.dataset, max_input), questions


class PredictOptions(TypedDict, total=False):
    """Keywords of `predictor`. At most one of run and model; default: the latest run."""

    run: int | None
    model: str | None
    """Any model: a hub name, a folder, a .gguf file, or smollm2."""

    explain_as: Sequence[str]
    """Teachers in whose style a rationale is written too; ["all"]: every teacher."""

    scoring: Literal["rank", "generate", "explain"] | None
    """Default: explain for a student that explains before it answers, else rank."""

    votes: int
    """With "explain": sampled rationales for each question; default: 1, one greedy text."""

    max_input: int | None
    """Longest input in tokens, for a model; default: 1024. A run has its own."""

    prefixes: Mapping[str, str]
    """For a model: teacher -> instruction prefix; default: those of the project's settings."""

    trust_remote_code: bool
    """Run code that comes with the model; default: False."""


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A student that answers. `teachers` are those whose style it has; the student is loaded on first use."""

    config: PredictorConfig
    teachers: list[str]
    load: Callable[[], Student]

    def ask(self, question: Question) -> PredictedAnswer:
        from tinyllm_cli.evaluation.predict import answer

        return answer(self.load(), [question], self.config)[0]


def predictor(project: Project | None, **options: Unpack[PredictOptions]) -> Predictor:
    """The student of a run, or any model. `project` may be None for a model. With "explain" and one style in
    `explain_as`, the answer is explained in this style.

    Raises UsageProblem for a PINTO run, which reads teachers' rationales, and for an unknown teacher."""
    from tinyllm_cli.evaluation.predict import PredictorConfig, choose_prefixes
    from tinyllm_cli.evaluation.targets import explaining_model, explaining_run, run_target, scorings_of
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.students.explain import ANSWERS_ALONE
    from tinyllm_cli.students.model_names import absolute, loaded_once
    from tinyllm_cli.training.run_lookup import run_with_student

    model, styles, votes = options.get("model"), options.get("explain_as", ()), options.get("votes", 1)
    style = styles[0] if len(styles) == 1 and styles[0] != "all" else None
    scoring = options.get("scoring")
    explaining = ANSWERS_ALONE
    prefixes: dict[str, str]
    if model is not None:
        name = folder = absolute(model)
        owner, limits = model, Limits(input=options.get("max_input") or _MAX_INPUT)
        configured = project.settings.teachers if project else {}
        prefixes = dict(options.get("prefixes") or {name: spec.prefix for name, spec in configured.items()})
        if scoring == "explain":
            explaining, _ = explaining_model(prefixes, style, votes)
    else:
        if project is None:
            raise UsageProblem("A run needs its database.", "Pass the open project, or name a model.")
        _check_run_options(options.get("max_input"))
        run = run_with_student(project.store, options.get("run"))
        if run.method == "pinto":
            raise UsageProblem(
                f"Run {run.id} reads teachers' rationales beside each question (PINTO), and a new question has none.",
                f"Its accuracy: {command_text('eval', '--run', run.id)}",
            )
        name, folder, owner, prefixes = f"run {run.id}", run.folder, f"Run {run.id}", dict(run.settings.prefixes)
        limits = Limits.of(run.settings.train)
        if styles and run.explains != "multitask":
            explaining_run(run, styles[0])  # refuses: what it writes is one text for all teachers, or an answer
        target = run_target(run)
        usual: Scoring = "explain" if target.explaining.target == "rationale-first" else "rank"
        [scoring] = scorings_of(target, scoring or usual)
        explaining = explaining_run(run, style, votes)[0] if scoring == "explain" else target.explaining
    if votes != 1 and scoring != "explain":
        raise UsageProblem("--votes is about explained answers.", "Add --scoring explain.")
    config = PredictorConfig(
        name=name, model=folder, scoring=scoring or "rank", limits=limits, explaining=explaining,
        prefixes=choose_prefixes(styles, prefixes, owner),
    )  # fmt: skip
    load = loaded_once(folder, trust_remote_code=options.get("trust_remote_code", False))
    return Predictor(config=config, teachers=sorted(prefixes), load=load)


def predict(
    project: Project, question: str, choices: Sequence[str], *, context: str | None = None,
    **options: Unpack[PredictOptions],
) -> PredictedAnswer:  # fmt: skip
    """Answer one question with its answer choices.

    Raises UsageProblem for fewer than two choices, or two equal ones."""
    from tinyllm_cli.evaluation.predict import typed_question

    return predictor(project, **options).ask(typed_question(question, choices, context))


def predict_file(
    one: Predictor, questions: str | Path, out: str | Path, *, columns: Mapping[str, str] | None = None,
    on_event: OnEvent = ignore_events,
) -> tuple[FileCheck, PredictionSummary]:  # fmt: skip
    """Answer a file of questions into a file of JSON lines; what it holds already is kept. The first result names the
    rows that could not be used.

    Raises UsageProblem when another process writes `out`, or `out` holds another student's answers."""
    from tinyllm_cli.evaluation.predict import PredictionFiles, answer_file, check_file

    path = Path(questions)
    files = PredictionFiles(questions=path, out=Path(out), columns=columns or {})
    found = check_file(path, files.columns)
    label = f"{one.config.name} on {path.name}"
    summary = answer_file(
        one.load, files, one.config, found,
        lambda done, total: on_event(Progress(label=label, done=done, total=total)),
    )  # fmt: skip
    return found, summary
