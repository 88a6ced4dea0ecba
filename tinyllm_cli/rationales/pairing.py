"""Rationales with their questions, as a stream in the order of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store


def rationales_by_question(
    store: Store, questions: Iterable[Question], source: RationaleSet
) -> Iterator[tuple[Question, list[Rationale]]]:
    """Each question with its rationales of a set, also a question that has none.

    `questions` are the first ones of a split, in its order."""
    stream = iter(questions)
    first = next(stream, None)
    if first is None:
        return
    rationales = store.rationales.iterate(first.dataset, first.split, source)
    following = next(rationales, None)
    for position, question in enumerate(chain((first,), stream)):
        own = []
        while following is not None and following.position == position:
            own.append(following)
            following = next(rationales, None)
        yield question, own
