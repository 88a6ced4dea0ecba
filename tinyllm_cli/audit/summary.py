"""All that can be said of a data set's rationales before a student learns from them, as one object.

Puts `quality`, `likeness` and `duplicates` together, so that the audit and the report say the same. Judges nothing:
what is worth a warning is `findings`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

from tinyllm_cli.audit.teacher_overlap import Overlap, OwnAnswers, overlaps, own_answers
from tinyllm_cli.audit.teacher_stats import TeacherQuality, chosen_variants, quality
from tinyllm_cli.datasets.duplicates import Repeats, repeats
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import Repeated
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ANSWER_PREFIX, student_input

_PAGE = 500
OnAudited = Callable[[str], None]
"""Called with what is being read."""


class TokenLengths(Protocol):
    """Counts tokens as a student does."""

    def inputs(self, texts: Sequence[str]) -> list[int]: ...

    def targets(self, texts: Sequence[str]) -> list[int]: ...

    def alike(self, groups: Sequence[Sequence[str]]) -> list[bool]:
        """Of each group, whether different texts in it are the same to it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A student's limits, and what counts its tokens."""

    student: str
    ruler: TokenLengths
    max_input: int
    max_target: int


@dataclass(frozen=True, kw_only=True)
class InputLengths:
    """A split's questions as a student reads them, in its tokens; `cut` are longer than its limit, and `alike` have
    options that it can't tell apart."""

    split: str
    questions: int
    mean: float
    longest: int
    cut: int
    alike: int


@dataclass(frozen=True, kw_only=True)
class Survey:
    """`inputs` is empty where no student's tokens were counted. `silent`: by split, the teachers that gave no reply."""

    dataset: str
    splits: dict[str, int]
    teachers: tuple[TeacherQuality, ...]
    silent: dict[str, list[str]]
    inputs: tuple[InputLengths, ...]
    repeated: tuple[Repeated, ...]
    repeats: tuple[Repeats, ...]
    overlaps: tuple[Overlap, ...]
    own_answers: tuple[OwnAnswers, ...]


def survey(
    store: Store, dataset: str, *, gates: GateSettings | None = None, measure: Measure | None = None,
    watch: OnAudited = lambda _what: None,
) -> Survey:  # fmt: skip
    """Reads every rationale that `distill` would learn from a few times over, never all of them at once."""
    sizes = store.questions.splits(dataset)
    teachers: list[TeacherQuality] = []
    alike: list[Overlap] = []
    answers: list[OwnAnswers] = []
    for split, questions in sizes.items():
        variants = chosen_variants(store, dataset, split)
        for variant in variants:
            watch(f"{variant.teacher} on {dataset}/{split}")
            teachers.append(
                quality(
                    store, dataset, split, variant, questions, judged(store, dataset, split, variant, gates),
                    lengths=measure.ruler.targets if measure else None,
                    max_target=measure.max_target if measure else 0,
                )
            )  # fmt: skip
        watch(f"teachers side by side on {dataset}/{split}")
        alike += overlaps(store, dataset, split, variants)
        answers += own_answers(store, dataset, split)
    watch(f"questions of {dataset}")
    streams = opened(store, dataset)
    return Survey(
        dataset=dataset,
        splits=sizes,
        teachers=tuple(teachers),
        silent={split: store.rationale_stats.silent(dataset, split) for split in sizes},
        inputs=tuple(_inputs(split, streams[split](), measure) for split in sizes) if measure else (),
        repeated=tuple(store.questions.repeated(dataset)),
        repeats=tuple(repeats(streams)),
        overlaps=tuple(alike),
        own_answers=tuple(answers),
    )


def opened(store: Store, dataset: str) -> dict[str, Callable[[], Iterator[Question]]]:
    """What begins to read each split's questions."""
    return {split: partial(store.questions.iterate, dataset, split) for split in store.questions.splits(dataset)}


def _inputs(split: str, questions: Iterator[Question], measure: Measure) -> InputLengths:
    count = total = longest = cut = alike = 0
    while page := list(islice(questions, _PAGE)):
        alike += sum(measure.ruler.alike([question.options for question in page]))
        for length in measure.ruler.inputs([student_input(ANSWER_PREFIX, question) for question in page]):
            count += 1
            total += length
            longest = max(longest, length)
            cut += length > measure.max_input
    return InputLengths(split=split, questions=count, mean=total / count, longest=longest, cut=cut, alike=alike)
