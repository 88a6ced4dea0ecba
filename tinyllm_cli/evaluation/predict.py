"""The prediction stage: a student answers questions outside data sets, and writes rationales in the style of teachers.

Knows files and students, no terminal and no store: predictions made here are not an evaluation.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tinyllm_cli.config.names import match_name
from tinyllm_cli.datasets.layout import ROW_NUMBER, Layout
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import MAX_OPTIONS, MIN_OPTIONS, UNKNOWN, Question, canonical
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.errors import Busy, UsageProblem
from tinyllm_cli.evaluation.predictions_file import PredictionLine, append, resume
from tinyllm_cli.evaluation.scoring import StudentScoring, chunk_size, predictions_of
from tinyllm_cli.files import exclusive
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.explain import ANSWERS_ALONE, Explaining
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.students.predict import explain

OnPredicted = Callable[[int, int], None]
"""Called with (questions answered, questions in all)."""


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Who answers, and how. `prefixes` maps each teacher in whose style rationales are written to its instruction
    prefix."""

    name: str
    model: str
    scoring: Scoring
    limits: Limits
    explaining: Explaining = ANSWERS_ALONE
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes with everything that answers depend on, the model's files included."""
        limits, explaining = self.limits, [asdict(self.explaining)] if self.scoring == "explain" else []
        model = model_fingerprint(self.model) or self.model
        content = [model, self.scoring, limits.input, limits.target, dict(self.prefixes), *explaining]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class PredictedAnswer:
    """The answer to one question. `probabilities` has one for each option where options were ranked, else none."""

    question: Question
    prediction: Prediction
    probabilities: tuple[float, ...] = ()
    rationales: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str | None:
        """The text of the chosen option; None where the generated text is not an option."""
        option = self.prediction.option
        return None if option is None else self.question.options[option]

    @property
    def correct(self) -> bool | None:
        """None where the question has no gold answer."""
        return None if self.question.answer == UNKNOWN else self.prediction.correct


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """The number of usable questions in a file, and a problem for each other row."""

    questions: int
    problems: tuple[UsageProblem, ...]


@dataclass(frozen=True, kw_only=True)
class PredictionFiles:
    """Where questions come from and answers go. `columns` maps fields to the file's columns."""

    questions: Path
    out: Path
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class PredictionSummary:
    """The state of a file's questions after a run."""

    questions: int
    before: int = 0
    """Answered by an earlier run of the command."""

    changed: int = 0
    """Answered before under the same id, but with other content."""

    lines: dict[str, PredictionLine] = field(default_factory=dict)

    @property
    def unparseable(self) -> int:
        return sum(line.option is None for line in self.lines.values())

    @property
    def graded(self) -> int:
        """Questions with a gold answer."""
        return sum(line.correct is not None for line in self.lines.values())

    @property
    def correct(self) -> int:
        return sum(line.correct is True for line in self.lines.values())


def choose_prefixes(wanted: Sequence[str], prefixes: Mapping[str, str], owner: str) -> dict[str, str]:
    """The prefixes of the wanted teachers, by name or its beginning; "all" means every teacher.

    Raises UsageProblem that lists the teachers when one is unknown."""
    if wanted and not prefixes:
        raise UsageProblem(f"{owner} writes no rationales: it was trained on answers alone.", "Leave out --explain-as.")
    if "all" in wanted:
        return dict(prefixes)
    names = [match_name(name, prefixes, "teacher") for name in wanted]
    return {name: prefixes[name] for name in names}


def typed_question(text: str, options: Sequence[str], context: str | None) -> Question:
    """A question that the user typed.

    Raises UsageProblem when it can't be answered."""
    options = tuple(option.strip() for option in options)
    if not text.strip():
        raise UsageProblem("The question is empty.")
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise UsageProblem(
            f"A question needs {MIN_OPTIONS} to {MAX_OPTIONS} options; this one has {len(options)}.",
            "Each is an --option of its own: --option A --option B",
        )
    if "" in options:
        raise UsageProblem("One of the options is empty.")
    repeated = next((option for place, option in enumerate(options) if option in options[:place]), None)
    if repeated is not None:
        raise UsageProblem(f"Two options have the same text: '{repeated}'.", "Each option needs a text of its own.")
    try:
        "".join([text, *options, context or ""]).encode()
    except UnicodeEncodeError as error:
        raise UsageProblem("The question has an incomplete Unicode character (half of a surrogate pair).") from error
    return Question(
        dataset="typed",
        split="test",
        key="1",
        text=text.strip(),
        options=options,
        answer=UNKNOWN,
        context=context or None,
    )


def answer(student: Student, questions: Sequence[Question], config: PredictorConfig) -> list[PredictedAnswer]:
    """Answers in the order of the questions, whose keys must differ.

    Raises WorldProblem when a score of the student is not finite."""
    how = StudentScoring(scoring=config.scoring, limits=config.limits, explaining=config.explaining)
    predictions = {one.key: one for one in predictions_of(student, questions, how, config.name)}
    rationales = {
        teacher: explain(student, questions, teacher, prefix, config.limits)
        for teacher, prefix in config.prefixes.items()
    }
    return [
        PredictedAnswer(
            question=question,
            prediction=predictions[question.key],
            probabilities=probabilities(predictions[question.key].scores or ()),
            rationales={teacher: texts[question.key] for teacher, texts in rationales.items()},
        )
        for question in questions
    ]


def probabilities(scores: Sequence[float]) -> tuple[float, ...]:
    """The softmax of scores, which are mean log-likelihoods per token: one probability for each option."""
    if not scores:
        return ()
    weights = [math.exp(score - max(scores)) for score in scores]
    return tuple(weight / sum(weights) for weight in weights)


def check_file(path: Path, columns: Mapping[str, str]) -> FileCheck:
    """Read the whole file once, so that its problems are known before the student is loaded.

    Raises UsageProblem or WorldProblem when the file can't be read as rows, or has none."""
    problems, count = [], 0
    for row in _rows(path, columns):
        if isinstance(row, UsageProblem):
            problems.append(row)
        else:
            count += 1
    if not count and not problems:
        raise UsageProblem(f"{path.name} has no questions.", "Each row is an object, or a line below the column names.")
    return FileCheck(questions=count, problems=tuple(problems))


def answer_file(
    load: Callable[[], Student], files: PredictionFiles, config: PredictorConfig, found: FileCheck, watch: OnPredicted
) -> PredictionSummary:
    """Append the answers of the file's questions to `files.out`, a line each, some lines at a time. Lines that it has
    are kept, and `load` is called only when some are missing.

    Raises UsageProblem when `files.out` is not a file of such answers, Busy when another process writes to it, and
    WorldProblem when a score of the student is not finite."""
    out = files.out
    if out.exists() and out.samefile(files.questions):
        raise UsageProblem("--out is the file of questions itself.", "Choose another name for the answers.")
    if str(out) == "-" or (out.exists() and not out.is_file()):
        raise UsageProblem(
            f"--out is {out}, but answers need a regular file, from which an interrupted run resumes.",
            "Name a file: --out answers.jsonl",
        )
    with exclusive(out) as ours:
        if not ours:
            raise Busy(f"Another process writes answers to {out}.", "Wait until it has ended, or choose another --out.")
        return _answer_missing(load, files, config, found, watch)


def _answer_missing(
    load: Callable[[], Student], files: PredictionFiles, config: PredictorConfig, found: FileCheck, watch: OnPredicted
) -> PredictionSummary:
    stamp = {"by": config.name, "scoring": config.scoring, "config": config.digest}
    stored = resume(files.out, stamp)
    summary = PredictionSummary(questions=found.questions)
    missing = (
        question for question in _questions(files.questions, files.columns) if not _answered(question, stored, summary)
    )
    for first in missing:  # where none is, nothing is loaded; the loop below takes all the others
        student = load()
        for chunk in batched(chain([first], missing), chunk_size(student.device, on_cpu=32)):
            summary.lines.update(append(files.out, [_row(one, stamp) for one in answer(student, chunk, config)]))
            watch(len(summary.lines), found.questions)
    return summary


def _answered(question: Question, stored: Mapping[str, PredictionLine], summary: PredictionSummary) -> bool:
    """Whether the file of answers has this question with this content; counted in `summary`."""
    line = stored.get(question.key)
    if line is None:
        return False
    if line.question_hash != question.hash:
        summary.changed += 1
        return False
    summary.before += 1
    summary.lines[question.key] = line
    return True


def _row(one: PredictedAnswer, stamp: Mapping[str, str]) -> dict[str, Any]:
    known = one.question.answer != UNKNOWN
    return {
        "id": one.question.key,
        "answer": one.text,
        "option": one.prediction.option,
        "probabilities": [round(share, 6) for share in one.probabilities] or None,
        "text": one.prediction.text,
        "gold": one.question.answer if known else None,
        "correct": one.correct,
        "rationales": dict(one.rationales),
        "input_cut": one.prediction.input_truncated,
        **stamp,
        "question_hash": one.question.hash,
    }


def _questions(path: Path, columns: Mapping[str, str]) -> Iterator[Question]:
    return (row for row in _rows(path, columns) if isinstance(row, Question))


def _rows(path: Path, columns: Mapping[str, str]) -> Iterator[Question | UsageProblem]:
    """Each row as a question, or as the problem with it. Rows without a column for ids are numbered."""
    keys: set[str] = set()
    for number, row in enumerate(read_rows(path), start=1):
        where = Where(file=path.name, row=number)
        layout = Layout(columns=columns)
        own = layout if layout.has(row, "id") else Layout(columns={**columns, "id": ROW_NUMBER})
        try:
            question = parse_row(row, where, own, dataset=path.name, split="test", answer_required=False)
        except UsageProblem as problem:
            yield problem
            continue
        if question.key in keys:
            yield where.problem("id", f"'{question.key}' is the id of an earlier row.")
            continue
        keys.add(question.key)
        yield question
