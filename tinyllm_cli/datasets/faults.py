"""What is likely to be a mistake in a data set, counted while its questions are read. Pure; nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tinyllm_cli.datasets.question import Question

T5_LACKS = frozenset("<\\^`{}~×÷√≤≥αβπµ½→\t\n")
"""Characters without a piece in T5's vocabulary (spiece.model of T5 v1.1), among those that questions use."""


def unwritable(text: str) -> set[str]:
    """The characters of `text` that a T5 student can't write."""
    return set(T5_LACKS.intersection(text))


def same_options(question: Question) -> bool:
    """Whether two options read the same but for white space: no text tells them apart."""
    return len({" ".join(option.split()) for option in question.options}) < len(question.options)


@dataclass(kw_only=True)
class OptionFaults:
    """Counts over the questions that were read. `first` is the id of the first question with each fault."""

    same: int = 0
    same_gold: int = 0
    """Those among them whose right answer is one of the equal options."""

    unwritable: int = 0
    characters: set[str] = field(default_factory=set)
    first: dict[str, str] = field(default_factory=dict)

    def counted(self, questions: Iterator[Question]) -> Iterator[Question]:
        """The same questions, counted as they pass."""
        for question in questions:
            self._count(question)
            yield question

    def warnings(self, dataset: str) -> list[str]:
        """A sentence for each fault."""
        found = []
        if self.same:
            gold = f", in {self.same_gold} of them the right one" if self.same_gold else ""
            found.append(
                f"In {self.same} questions of {dataset}, such as {self.first['same']}, two options have the same text"
                f"{gold}: ranking always takes the first."
            )
        if self.unwritable:
            shown = " ".join(sorted(map(repr, self.characters)))
            found.append(
                f"The options of {self.unwritable} questions of {dataset}, such as {self.first['unwritable']}, hold"
                f" characters that a T5 student can't write ({shown}): score such students with --scoring rank."
            )
        return found

    def _count(self, question: Question) -> None:
        if same_options(question):
            self.same += 1
            self.first.setdefault("same", question.key)
            gold = " ".join(question.gold.split())
            self.same_gold += sum(" ".join(option.split()) == gold for option in question.options) > 1
        characters = unwritable("".join(question.options))
        if characters:
            self.unwritable += 1
            self.characters |= characters
            self.first.setdefault("unwritable", question.key)
