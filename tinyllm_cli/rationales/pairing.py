"""Rationales with their questions, as a stream in the order of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store

_PAGE = 500


def rationales_by_question(
    store: Store, questions: Iterable[Question], source: RationaleSet
) -> Iterator[tuple[Question, list[Rationale]]]:
    """Each question with its rationales of a set, also a question that has none. `questions` are of one split."""
    for page in batched(questions, _PAGE):
        by_key: dict[str, list[Rationale]] = {question.key: [] for question in page}
        for rationale in store.rationales.of(page, source):
            by_key[rationale.key].append(rationale)
        for question in page:
            yield question, by_key[question.key]
