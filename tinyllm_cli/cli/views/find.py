"""Terminal output of `tinyllm find`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from tinyllm_cli.audit.question_search import QuestionSearch
    from tinyllm_cli.store.question_search import FoundQuestion


def show_found(console: Console, found: QuestionSearch) -> None:
    """The questions, and the choices that narrow the search."""
    if found.questions:
        head = ["where", "id", "question", "rationales", ">right"]
        total = "many" if found.total is None else f"{found.total:,}"
        caption = f"{len(found.questions)} of {total} questions." if found.more else ""
        console.show(plain_table(f"{total} questions", head, map(_row, found.questions), caption=caption))
    else:
        console.say("No question fits.")
    for facet in found.facets:
        values = ", ".join(
            one.value if one.questions is None else f"{one.value} {one.questions:,}" for one in facet.values[:12]
        )
        if facet.chosen is None and values:
            console.say(f"{facet.name}: {values}")


def _row(one: FoundQuestion) -> tuple[str, ...]:
    verdicts = Counter(verdict for _, verdict, _ in one.rationales)
    return (
        f"{one.dataset}/{one.split}", one.key, one.text,
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "-",
        f"{one.right} of {one.answers}" if one.answers else "-",
    )  # fmt: skip
