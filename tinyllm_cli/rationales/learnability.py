"""Learnability: how likely a rationale is for a student that has not learned it yet."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.students.base import Example, Limits, Ranker
from tinyllm_cli.students.groups import in_groups
from tinyllm_cli.students.inputs import Task, student_input
from tinyllm_cli.students.predict import RANKED, ScoresNotFinite

_LIMITS = Limits(target=1024)
"""Texts are scored whole, as far as the student can read them, whatever a training's limits are."""


def learnability_hash(text: str, prefix: str) -> str:
    """Identifies what a learnability is of, beside the rationale's question."""
    return hashlib.sha256(f"{prefix}\0{text}".encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Learnability:
    """The mean log-likelihood per token of a text as the target after its prefix and question: the negative of the
    example's loss before training."""

    teacher: str
    prefix: str

    def hash(self, one: JudgedRationale) -> str:
        return learnability_hash(one.text, self.prefix)

    def compute(self, ranker: Ranker, chunk: Sequence[JudgedRationale]) -> dict[int, tuple[float, bool]]:
        """Raises ScoresNotFinite where a score is not finite."""
        tasks = [Task.single(self.teacher, student_input(self.prefix, one.question), one.text) for one in chunk]
        examples = ranker.encode(tasks, _LIMITS)
        pairs = list(zip(chunk, examples, strict=True))
        found: dict[int, tuple[float, bool]] = {}

        def scored(group: list[tuple[JudgedRationale, Example]]) -> list[list[float]]:
            return ranker.option_scores([read.input for _, read in group], [[read.target] for _, read in group])

        sizes = [example.size for example in examples]
        for (one, example), [value] in in_groups(ranker, pairs, sizes, RANKED, scored):
            if not math.isfinite(value):
                raise ScoresNotFinite("The scores of the student are not finite: its weights are damaged.")
            found[one.rationale.id] = value, example.input_cut or example.target_cut
        return found
