"""The prediction stage: a student answers questions that no data set has, and explains itself in its teachers' voices.

Knows files and students, nothing of terminals and nothing of the store: what is answered here is not an evaluation.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tinyllm_cli.config import match_name
from tinyllm_cli.datasets.parse import ROW_NUMBER, Where, has_column, parse_row
from tinyllm_cli.datasets.question import MAX_OPTIONS, MIN_OPTIONS, UNKNOWN, Question, canonical
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.evaluation.predictions_file import PredictionLine, append, resume
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.students.predict import explain, generate, rank

OnPredicted = Callable[[int, int], None]
"""Called with (questions answered, questions in all)."""

_CHUNK = 32  # questions whose answers are written together: what a kill can lose


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Who answers, and how. `voices` maps a teacher to the prefix that calls up its voice."""

    name: str
    model: str
    scoring: Scoring
    limits: Limits
    voices: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes with anything that answers depend on, the model's files included."""
        content = [
            model_fingerprint(self.model) or self.model, self.scoring, self.limits.input, self.limits.target,
            dict(self.voices),
        ]  # fmt: skip
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class PredictedAnswer:
    """What came out for one question. `probabilities` has one for each option, where options were ranked."""

    question: Question
    prediction: Prediction
    probabilities: tuple[float, ...] = ()
    rationales: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str | None:
        """The chosen option, or None: what was written is no option."""
        option = self.prediction.option
        return None if option is None else self.question.options[option]

    @property
    def correct(self) -> bool | None:
        """None where nobody has said what is right."""
        return None if self.question.answer == UNKNOWN else self.prediction.correct


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """What a file holds: usable questions, and a problem for each row that is not one."""

    questions: int
    problems: tuple[UsageProblem, ...]


@dataclass(kw_only=True)
class PredictionSummary:
    """What became of a file's questions."""

    questions: int
    before: int = 0
    """Answered by an earlier run of the command."""

    changed: int = 0
    """Answered before under the same id, but with another content."""

    lines: dict[str, PredictionLine] = field(default_factory=dict)

    @property
    def unparseable(self) -> int:
        return sum(line.option is None for line in self.lines.values())

    @property
    def graded(self) -> int:
        """Questions that came with the right answer."""
        return sum(line.correct is not None for line in self.lines.values())

    @property
    def correct(self) -> int:
        return sum(line.correct is True for line in self.lines.values())


def choose_voices(wanted: Sequence[str], prefixes: Mapping[str, str], owner: str) -> dict[str, str]:
    """The wanted voices with their prefixes; "all" stands for every one.

    Raises UsageProblem that lists the voices when one is not among them."""
    if wanted and not prefixes:
        raise UsageProblem(f"{owner} learned no teacher's voice.", "It was trained on answers alone.")
    if "all" in wanted:
        return dict(prefixes)
    names = [match_name(name, prefixes, "voice") for name in wanted]
    return {name: prefixes[name] for name in names}


def typed(text: str, options: Sequence[str], context: str | None) -> Question:
    """A question as somebody typed it.

    Raises UsageProblem when it can't be asked."""
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
    try:
        "".join([text, *options, context or ""]).encode()
    except UnicodeEncodeError as error:
        raise UsageProblem("The question holds half of a character, whose other half is missing.") from error
    return Question(
        dataset="typed",
        split="test",
        key="1",
        text=text.strip(),
        options=options,
        answer=UNKNOWN,
        context=context or None,
    )


def answer(student: Student, questions: Sequence[Question], manner: PredictorConfig) -> list[PredictedAnswer]:
    """Answers in the order of the questions, whose keys must differ."""
    ways = {"rank": rank, "generate": generate}
    predictions = {one.key: one for one in ways[manner.scoring](student, questions, manner.limits)}
    rationales = {
        teacher: explain(student, questions, teacher, prefix, manner.limits)
        for teacher, prefix in manner.voices.items()
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
    """Scores as shares of the options: the softmax of the mean log-likelihoods per token."""
    if not scores:
        return ()
    weights = [math.exp(score - max(scores)) for score in scores]
    return tuple(weight / sum(weights) for weight in weights)


def check_file(path: Path, columns: Mapping[str, str]) -> FileCheck:
    """Read the whole file once, so that its faults are known before any time is spent.

    Raises UsageProblem or WorldProblem when it is no file of rows at all, or has none."""
    problems, count = [], 0
    for row in _rows(path, columns):
        if isinstance(row, UsageProblem):
            problems.append(row)
        else:
            count += 1
    if not count and not problems:
        raise UsageProblem(f"{path.name} has no questions.", "Each is a row: an object, or a line below the names.")
    return FileCheck(questions=count, problems=tuple(problems))


def answer_file(
    load: Callable[[], Student],
    path: Path,
    columns: Mapping[str, str],
    out: Path,
    manner: PredictorConfig,
    found: FileCheck,
    watch: OnPredicted,
) -> PredictionSummary:
    """Answer the file's questions into `out`, a line each, some lines at a time. What `out` has already is kept, and
    `load` is called only when something is missing.

    Raises UsageProblem when `out` is not a file of such answers."""
    if out.exists() and out.samefile(path):
        raise UsageProblem("--out is the file of questions itself.", "Choose another name for the answers.")
    if str(out) == "-" or (out.exists() and not out.is_file()):
        raise UsageProblem(
            f"--out is {out}, and answers go into a file, which a killed run goes on with.",
            "Name a file: --out answers.jsonl",
        )
    stamp = {"by": manner.name, "scoring": manner.scoring, "manner": manner.digest}
    stored = resume(out, stamp)
    report = PredictionSummary(questions=found.questions)
    student: Student | None = None
    missing = (question for question in _questions(path, columns) if not _answered(question, stored, report))
    while chunk := list(islice(missing, _CHUNK)):
        student = student or load()
        report.lines.update(append(out, [_row(one, stamp) for one in answer(student, chunk, manner)]))
        watch(len(report.lines), found.questions)
    return report


def _answered(question: Question, stored: Mapping[str, PredictionLine], report: PredictionSummary) -> bool:
    """Whether the file of answers has this very question; counted in `report`."""
    line = stored.get(question.key)
    if line is None:
        return False
    if line.question_hash != question.hash:
        report.changed += 1
        return False
    report.before += 1
    report.lines[question.key] = line
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
    """Each row as a question, or as the problem that names it. Rows without a column for ids are numbered."""
    keys: set[str] = set()
    for number, row in enumerate(read_rows(path), start=1):
        where = Where(file=path.name, row=number)
        own = columns if has_column(row, "id", columns) else {**columns, "id": ROW_NUMBER}
        try:
            question = parse_row(row, where, own, dataset=path.name, split="test", answer_required=False)
        except UsageProblem as problem:
            yield problem
            continue
        if question.key in keys:
            yield where.problem("id", f"'{question.key}' is there already.")
            continue
        keys.add(question.key)
        yield question
