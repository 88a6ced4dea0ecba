"""Rationales with their questions, as streams in the order of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store


def by_question(
    questions: Iterable[Question], *streams: Iterable[Rationale]
) -> Iterator[tuple[Question, tuple[list[Rationale], ...]]]:
    """Each question with its rationales from each stream, also a question that has none.

    `questions` begin with the first of the split, and all streams have the order of the split."""
    readers = [_Reader(iter(stream)) for stream in streams]
    for position, question in enumerate(questions):
        yield question, tuple(reader.at(position) for reader in readers)


def rationales_by_question(
    store: Store, questions: Iterable[Question], source: RationaleSet
) -> Iterator[tuple[Question, list[Rationale]]]:
    """Each of the first questions of a split with its rationales of a set; edits that are newer replace them."""
    stream = iter(questions)
    first = next(stream, None)
    if first is None:
        return
    sets = [source] if source.edits is None else [source, source.edits]
    streams = [store.rationales.iterate(first.dataset, first.split, one) for one in sets]
    for question, found in by_question(chain((first,), stream), *streams):
        yield question, _newest(found)


def _newest(found: Sequence[list[Rationale]]) -> list[Rationale]:
    """The rationales of the set that was written last: of a teacher's own and the edited ones."""
    return max(found, key=lambda own: max((one.id for one in own), default=0))


def with_edits(source: RationaleSet, known: Iterable[RationaleSet]) -> RationaleSet:
    """The set together with rationales of its teacher that were recorded, such as corrections by hand."""
    if source.recipe.is_recorded:
        return source
    edits = (
        one
        for one in known
        if one.teacher == source.teacher and one.teacher_forcing == source.teacher_forcing and one.recipe.is_recorded
    )
    return replace(source, edits=next(edits, None))


class _Reader:
    """A stream of rationales, read one ahead."""

    def __init__(self, stream: Iterator[Rationale]) -> None:
        self._stream = stream
        self._next = next(stream, None)

    def at(self, position: int) -> list[Rationale]:
        """The rationales of the question at `position`; positions only rise."""
        found = []
        while self._next is not None and self._next.position <= position:
            if self._next.position == position:
                found.append(self._next)
            self._next = next(self._stream, None)
        return found
