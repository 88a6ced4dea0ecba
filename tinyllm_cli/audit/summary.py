"""Everything that the store tells about a data set's rationales and questions before training, as one object.

Collects figures, so that the audit and the report show the same ones; `checks` decides which of them are findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.audit.question_stats import InputLengths, SameOptions, input_lengths, same_options
from tinyllm_cli.audit.teacher_overlap import Overlap, OwnAnswers, overlaps, own_answers
from tinyllm_cli.audit.teacher_stats import TeacherQuality, TeacherSet, chosen_variants, quality
from tinyllm_cli.datasets.duplicates import Repeats, repeats
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import Repeated
from tinyllm_cli.store import Store

OnAudited = Callable[[str], None]
"""Called with what is being read."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """`inputs` is empty if no student's tokens were counted. `silent`: by split, the teachers that gave no reply.
    `first`: the figures on rationales are of so many questions of each split; None: of all."""

    dataset: str
    first: int | None
    splits: dict[str, int]
    teachers: tuple[TeacherQuality, ...]
    silent: dict[str, list[str]]
    inputs: tuple[InputLengths, ...]
    same_options: tuple[SameOptions, ...]
    repeated: tuple[Repeated, ...]
    repeats: tuple[Repeats, ...]
    overlaps: tuple[Overlap, ...]
    own_answers: tuple[OwnAnswers, ...]


def survey(
    store: Store, dataset: str, *, gates: GateSettings | None = None, measure: Measure | None = None,
    watch: OnAudited = lambda _what: None, first: int | None = None,
) -> Survey:  # fmt: skip
    """Streams every rationale that `distill` would learn from a few times; with `first`, those of so many questions of
    each split."""
    sizes = store.questions.splits(dataset)
    streams = opened(store, dataset)
    teachers: list[TeacherQuality] = []
    pairs: list[Overlap] = []
    answers: list[OwnAnswers] = []
    for split, questions in sizes.items():
        sources = chosen_variants(store, dataset, split)
        for source in sources:
            watch(f"{source.teacher} on {dataset}/{split}")
            read = questions if first is None else min(questions, first)
            own = TeacherSet(dataset=dataset, split=split, questions=read, source=source)
            rationales = judged(store, islice(streams[split](), first), source, gates)
            teachers.append(quality(store, own, rationales, measure))
        watch(f"teachers side by side on {dataset}/{split}")
        pairs += overlaps(store, dataset, split, sources, first)
        answers += own_answers(store, dataset, split, first)
    watch(f"questions of {dataset}")
    return Survey(
        dataset=dataset,
        first=first,
        splits=sizes,
        teachers=tuple(teachers),
        silent={split: store.rationale_stats.silent(dataset, split) for split in sizes},
        inputs=tuple(input_lengths(split, streams[split](), measure) for split in sizes) if measure else (),
        same_options=tuple(
            found for split in sizes if (found := same_options(split, streams[split]())) is not None
        ),
        repeated=tuple(store.questions.repeated(dataset)),
        repeats=tuple(repeats(streams)),
        overlaps=tuple(pairs),
        own_answers=tuple(answers),
    )  # fmt: skip


def opened(store: Store, dataset: str) -> dict[str, Callable[[], Iterator[Question]]]:
    """By split, a function that starts to read its questions."""
    return {split: partial(store.questions.iterate, dataset, split) for split in store.questions.splits(dataset)}
