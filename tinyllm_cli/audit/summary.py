"""Everything that the store tells about a data set's rationales and questions before training, as one object.

Collects figures, so that the audit and the report show the same ones; `checks` decides which of them are findings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.audit.question_stats import InputLengths, SameOptions, input_lengths, same_options
from tinyllm_cli.audit.sampling import WHOLE_SPLITS, Opened, Reading, opened, sample_sizes
from tinyllm_cli.audit.teacher_overlap import Overlap, OwnAnswers, overlaps, own_answers
from tinyllm_cli.audit.teacher_stats import Judged, TeacherQuality, TeacherSet, quality, stored_verdicts
from tinyllm_cli.datasets.duplicates import Repeats, repeats
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.rationales.teacher_answers import unforced_sets
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import Repeated
from tinyllm_cli.store import Store

OnAudited = Callable[[str], None]
"""Called with what is being read."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """`inputs` is empty if no student's tokens were counted. `silent`: by split, the teachers that gave no reply.

    `sampled`: of a split whose rationales were not all read, the number of questions whose rationales were, which were
    drawn at random. `compared`: the same of the questions that were compared with each other (`same_options`,
    `repeats`); where it names a split, `repeated` is not known."""

    dataset: str
    splits: dict[str, int]
    sampled: dict[str, int]
    compared: dict[str, int]
    teachers: tuple[TeacherQuality, ...]
    silent: dict[str, list[str]]
    inputs: tuple[InputLengths, ...]
    same_options: tuple[SameOptions, ...]
    repeated: tuple[Repeated, ...]
    repeats: tuple[Repeats, ...]
    overlaps: tuple[Overlap, ...]
    own_answers: tuple[OwnAnswers, ...]


@dataclass(frozen=True, kw_only=True)
class Surveyor:
    """What a survey reads, and with what: `sets` counts rationales, `measure` counts a student's tokens, `watch` is
    called with what is being read."""

    store: Store
    sets: KnownSets
    gates: GateSettings | None = None
    measure: Measure | None = None
    reading: Reading = WHOLE_SPLITS
    watch: OnAudited = lambda _what: None

    def survey(self, dataset: str) -> Survey:
        """Read the rationales that `distill` would learn from, or those of the sampled questions, a few times."""
        store, measure = self.store, self.measure
        sizes = store.questions.splits(dataset)
        texts = opened(store, dataset, self.reading.texts)
        questions = opened(store, dataset, self.reading.questions)
        sampled = sample_sizes(store, dataset, self.reading.texts)
        compared = sample_sizes(store, dataset, self.reading.questions)
        teachers: list[TeacherQuality] = []
        pairs: list[Overlap] = []
        answers: list[OwnAnswers] = []
        for split, size in sizes.items():
            sources = self.sets.chosen(dataset, split)
            for source in sources:
                self.watch(f"{source.teacher} on {dataset}/{split}")
                read = sampled.get(split, size)
                own = TeacherSet(dataset=dataset, split=split, questions=size, read=read, source=source)
                teachers.append(self._quality(own, texts[split]))
            self.watch(f"teachers side by side on {dataset}/{split}")
            pairs += overlaps(store, split, texts[split], sources)
            answers += own_answers(store, split, texts[split], unforced_sets(self.sets.of(dataset, split)))
        self.watch(f"questions of {dataset}")
        return Survey(
            dataset=dataset,
            splits=sizes,
            sampled=sampled,
            compared=compared,
            teachers=tuple(teachers),
            silent={split: store.rationale_stats.silent(dataset, split) for split in sizes},
            inputs=tuple(input_lengths(split, texts[split](), measure) for split in sizes) if measure else (),
            same_options=tuple(
                found for split in sizes if (found := same_options(split, questions[split]())) is not None
            ),
            repeated=() if compared else tuple(store.questions.repeated(dataset)),
            repeats=tuple(repeats(questions)),
            overlaps=tuple(pairs),
            own_answers=tuple(answers),
        )  # fmt: skip

    def _quality(self, own: TeacherSet, questions: Opened) -> TeacherQuality:
        """With the verdicts on all rationales, where the store has them and not all are read."""
        verdicts = None
        if self.gates is not None and self.reading.verdicts and own.sampled:
            verdicts = stored_verdicts(self.store, own, self.gates)
        read = judged(self.store, questions(), own.source, self.gates)
        bound = self.store.samples.bound(own.dataset, own.split, None if self.reading.verdicts else self.reading.texts)
        return quality(self.store, own, Judged(read=read, counted=verdicts, bound=bound), self.measure)


def survey(store: Store, dataset: str, *, gates: GateSettings | None = None, measure: Measure | None = None) -> Survey:
    """The survey of one data set that reads everything."""
    return Surveyor(store=store, sets=KnownSets(store), gates=gates, measure=measure).survey(dataset)
