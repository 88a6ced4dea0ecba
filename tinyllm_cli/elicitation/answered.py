"""Which questions of a job have all their replies, without building their prompts.

A prompt is determined by its recipe, its question and its in-context examples. The hashes of a data set's training
questions are a ring in memory, so what a prompt's examples would be is known without a look-up in the database, and is
compared with those of the stored prompts. So a job of a million questions with nothing missing ends soon.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cached_property

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.job import Job
from tinyllm_cli.elicitation.prompts import draw_hashes
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt
from tinyllm_cli.store import Store
from tinyllm_cli.store.questions import Place

_BYTES = 16
"""Of a question's hash."""


class HashRing:
    """`hashes` (hexadecimal), sorted."""

    def __init__(self, hashes: Iterable[str]) -> None:
        self._all = b"".join(map(bytes.fromhex, hashes))
        self._places = range(len(self._all) // _BYTES)

    def after(self, point: str) -> str | None:
        """The next hash after `point` (hexadecimal), or the first one when there is none; None when there are no
        hashes."""
        if not self._places:
            return None
        place = bisect_right(self._places, bytes.fromhex(point), key=self._at)
        return self._at(place % len(self._places)).hex()

    def _at(self, place: int) -> bytes:
        return self._all[place * _BYTES : (place + 1) * _BYTES]


class AnsweredPrompts:
    """The prompts of a job that have replies to all its samples. `prompt` builds one."""

    def __init__(self, store: Store, job: Job, config: ElicitationConfig, prompt: Callable[[Question], Prompt]) -> None:
        self._store, self._job, self._config, self._prompt = store, job, config, prompt
        self._same_words: bool | None = None

    def among(self, places: Sequence[Place]) -> frozenset[str]:
        """The hashes of those of these questions that have all replies. Of the others some may have them, too: those
        with an in-context example that can't be recognised by its hash."""
        hashes = [place.hash for place in places]
        samples: dict[tuple[str, str, tuple[str, ...]], set[int]] = defaultdict(set)
        for one in self._store.rationales.replies_by_recipe(self._config, hashes, self._job.recipe.name):
            samples[one.question, one.prompt, one.examples].add(one.sample)
        wanted = set(range(self._job.samples))
        found: dict[str, set[str]] = defaultdict(set)
        for (question, prompt, examples), have in samples.items():
            if wanted <= have and list(examples) == draw_hashes(question, self._job.recipe, self._after):
                found[question].add(prompt)
        return frozenset(found) if found and self._builds_one_of(found, places) else frozenset()

    def _after(self, point: str) -> str | None:
        return self._ring.after(point)

    @cached_property
    def _ring(self) -> HashRing:
        return HashRing(self._store.questions.hashes(self._job.dataset, "train"))

    def _builds_one_of(self, found: Mapping[str, Set[str]], places: Sequence[Place]) -> bool:
        """Whether this version words prompts as the one that asked; the first question that was found shows it."""
        if self._same_words is None:
            place = next(place for place in places if place.hash in found)
            there = self._store.questions.at_places(self._job.dataset, self._job.split, [place])
            # Another question, or none, where another process has imported the data set again.
            self._same_words = any(self._prompt(one).hash in found.get(one.hash, ()) for one in there)
        return self._same_words
