"""Correct rationales: written without the gold answer, and right. Forced ones where a question has none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby, repeat, tee

from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.elicitation.replies import own_answer
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.rationales.teacher_answers import unforced_command
from tinyllm_cli.rationales.verdicts import JudgedRationale, judged
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.records.settings import RationaleKind
from tinyllm_cli.store import Store

INCORRECT = "incorrect"
"""The reason for which a rationale is left out whose answer is not the gold one, beside the names of the gates."""


@dataclass(frozen=True, kw_only=True)
class RationaleSources:
    """The sets of one teacher that a kind of rationales comes from: `answered` holds its own answers, `forced` its
    explanations of the gold answer. One of them may be None."""

    kind: RationaleKind
    answered: RationaleSet | None
    forced: RationaleSet | None

    @property
    def main(self) -> RationaleSet:
        """The set that a run records first."""
        found = self.answered or self.forced
        assert found is not None
        return found

    @property
    def fallback(self) -> RationaleSet | None:
        return self.forced if self.answered is not None else None


def rationale_sources(
    known: Sequence[RationaleSet],
    teacher: str,
    place: tuple[str, str],
    kind: RationaleKind,
    icl: int | None = None,
) -> RationaleSources:
    """The sets of `find_sources`. Raises UsageProblem if there is none."""
    found = find_sources(known, teacher, place, kind, icl)
    if found is None:
        dataset, split = place
        raise UsageProblem(
            f"{teacher} has not answered {dataset}, split {split}, without the gold answer.",
            f"Run: {sampling_command(teacher, dataset, split)}. Or leave the teacher out with --alpha.",
        )
    return found


def find_sources(
    known: Sequence[RationaleSet],
    teacher: str,
    place: tuple[str, str],
    kind: RationaleKind,
    icl: int | None = None,
) -> RationaleSources | None:
    """Of the `known` sets of a `place` (data set, split), those of this teacher for this kind; with `icl`, among those
    with this number of in-context examples. None if the teacher has none of this kind.

    A recorded set may hold answers also if its authors saw the gold one. Of several sets the one that covers most
    questions is used, then the one with most rationales, then the newest.

    Raises UsageProblem if the teacher has no rationales at all."""
    dataset, split = place
    forced = best_covered(known, teacher, dataset, icl, split)
    if kind == "forced":
        return RationaleSources(kind=kind, answered=None, forced=forced)
    own = [one for one in known if one.teacher == teacher and (icl is None or one.recipe.icl == icl)]
    answered = [one for one in own if not one.teacher_forcing or one.recipe.is_recorded]
    best = max(
        answered, key=lambda one: (not one.teacher_forcing, one.questions, one.rationales, one.latest), default=None
    )
    falls_back = kind == "correct-or-forced" and forced.teacher_forcing
    if best is None and not falls_back:
        return None
    return RationaleSources(kind=kind, answered=best, forced=forced if falls_back else None)


def sampling_command(teacher: str, dataset: str, split: str = "train") -> str:
    """The command that elicits replies to choose the correct ones from."""
    return f"{unforced_command(teacher, dataset, split)} --samples 8 --temperature 0.8"


def is_correct(question: Question, rationale: Rationale, *, saw_answer: bool) -> bool:
    """Whether the answer recorded with a rationale, or else the one that it states, is the gold one. Where the teacher
    saw the gold answer (`saw_answer`), only a recorded one counts."""
    if saw_answer and _recorded(question, rationale) is None:
        return False
    return own_answer(rationale.answer, rationale.text, question.options) == question.answer


def candidates(
    store: Store, questions: Iterable[Question], sources: RationaleSources, gates: GateSettings | None
) -> Iterator[JudgedRationale]:
    """The rationales of this kind for the first questions of a split, in their order, with their verdicts. Incorrect
    ones are rejected as such."""
    for by_kind in by_question(store, questions, sources, gates):
        yield from of_kind(sources.kind, *by_kind)


def passed_rationales(
    store: Store, questions: Iterable[Question], sources: RationaleSources, gates: GateSettings | None
) -> Iterator[JudgedRationale]:
    """Those of the candidates that a student may learn from."""
    return (one for one in candidates(store, questions, sources, gates) if one.passed)


def by_question(
    store: Store, questions: Iterable[Question], sources: RationaleSources, gates: GateSettings | None
) -> Iterator[tuple[list[JudgedRationale], list[JudgedRationale]]]:
    """For each question with any, the teacher's answers, judged by what they explain, and its forced rationales."""
    answered, forced = sources.answered, sources.forced
    first, second = tee(questions) if answered and forced else (questions, questions)
    streams: list[Iterable[JudgedRationale]] = [
        () if answered is None else _checked(judged(store, first, answered, gates, explanations=True), answered),
        () if forced is None else judged(store, second, forced, gates),
    ]
    numbered = (zip(stream, repeat(number)) for number, stream in enumerate(streams))
    for _, group in groupby(merge(*numbered, key=_position), key=_position):
        own: tuple[list[JudgedRationale], list[JudgedRationale]] = ([], [])
        for one, number in group:
            own[number].append(one)
        yield own


def of_kind(
    kind: RationaleKind, answered: Sequence[JudgedRationale], forced: Sequence[JudgedRationale]
) -> list[JudgedRationale]:
    """What to learn of one question's rationales, with those that are rejected. Pure.

    A forced rationale is a fallback only where no correct one passes the gates, and never one that is recorded with
    another answer than the gold one."""
    if kind == "forced":
        return list(forced)
    if kind == "correct" or not forced or any(one.passed for one in answered):
        return list(answered)
    fallback = [replace(one, fallback=True) for one in forced if _recorded(one.question, one.rationale) in
                (None, one.question.answer)]  # fmt: skip
    again = {one.rationale.id for one in fallback}
    return [*(one for one in answered if one.rationale.id not in again), *fallback]


def _position(numbered: tuple[JudgedRationale, int]) -> int:
    return numbered[0].rationale.position


def _checked(rationales: Iterable[JudgedRationale], source: RationaleSet) -> Iterator[JudgedRationale]:
    for one in rationales:
        correct = is_correct(one.question, one.rationale, saw_answer=source.teacher_forcing)
        yield one if correct else replace(one, verdict=_incorrect(one))


def _incorrect(one: JudgedRationale) -> Verdict:
    answer = own_answer(one.rationale.answer, one.rationale.text, one.question.options)
    stated = "states no option" if answer is None else f"states ({LETTERS[answer]})"
    reason = f"{stated}; the gold answer is ({LETTERS[one.question.answer]})"
    finding = GateFinding(gate=INCORRECT, reason=reason, repaired=False)
    return Verdict(verdict="rejected", text=one.verdict.text, findings=(finding,))


def _recorded(question: Question, rationale: Rationale) -> int | None:
    """The option that a recording states beside the text; None without one, or where it is no option's index."""
    answer = rationale.answer
    return answer if answer is not None and 0 <= answer < len(question.options) else None
