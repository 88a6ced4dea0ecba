"""One teacher's rationales for a split: how many there are, what the gates do to them, their length and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.errors import command_text
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates.topic import off_topic
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.records.elicitation import TEMPLATE, RationaleSet, Recipe
from tinyllm_cli.store import Store

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class TeacherSet:
    """The rationales of one teacher for one split of `questions` questions."""

    dataset: str
    split: str
    questions: int
    source: RationaleSet


@dataclass(frozen=True, kw_only=True)
class TeacherQuality:
    """The rationales of one teacher for one split that `distill` would learn from."""

    dataset: str
    split: str
    teacher: str
    model: str
    recipe: str
    saw_answers: bool
    questions: int
    """In the split. `covered` have a rationale, `usable` one that passes the gates, `failed` a failure and no reply."""

    covered: int
    usable: int
    failed: int
    rationales: int
    samples: int
    """The largest number of rationales of one question."""

    kept: int
    repaired: int
    rejected: int
    gates: Mapping[str, int]
    """Rationales with a finding of each gate; `against`: those that each gate rejects."""

    against: Mapping[str, int]
    rejected_by: Mapping[str, int]
    """Rejected rationales by the first gate that rejects them: the counts add up to `rejected`."""

    off_topic: int
    """Texts that pass and share no word with their question: many of them are about something else."""

    characters: float | None
    """Mean length of the texts that pass; `tokens` by the student's tokenizer."""

    tokens: float | None
    longest: int | None
    targets_cut: int | None
    """Texts longer than the student's limit."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    partly: bool
    """The cost is a lower bound: some of it is unknown."""

    command: str | None
    """The command that elicits what is missing; None for recorded rationales."""

    @property
    def missing(self) -> int:
        return self.questions - self.covered

    @property
    def wanted(self) -> int:
        """The number of rationales if every covered question had `samples` of them."""
        return self.covered * self.samples


def chosen_variants(store: Store, dataset: str, split: str) -> list[RationaleSet]:
    """The set of each teacher that `distill` would learn from."""
    known = store.rationales.variants(dataset, split)
    return [best_covered(known, teacher, dataset) for teacher in sorted({variant.teacher for variant in known})]


def quality(store: Store, own: TeacherSet, rationales: Iterable[JudgedRationale], measure: Measure | None
            ) -> TeacherQuality:  # fmt: skip
    """Reads `rationales`, those of `own` with their verdicts, to their end."""
    count = _Count(measure=measure)
    for page in batched(rationales, _PAGE):
        count.add(page)
    source = own.source
    usage = store.rationale_stats.spent(own.dataset, own.split, (source.teacher, source.sampling, source.recipe.name))
    texts = count.verdicts["kept"] + count.verdicts["repaired"]
    return TeacherQuality(
        dataset=own.dataset, split=own.split, teacher=source.teacher, model=source.model, recipe=source.recipe.name,
        saw_answers=source.teacher_forcing, questions=own.questions, covered=count.covered, usable=count.usable,
        failed=store.rationale_stats.unanswered(own.dataset, own.split, source), rationales=count.verdicts.total(),
        samples=count.samples, kept=count.verdicts["kept"], repaired=count.verdicts["repaired"],
        rejected=count.verdicts["rejected"], gates=dict(count.gates), against=dict(count.against),
        rejected_by=dict(count.rejected_by), off_topic=count.off_topic,
        characters=count.characters / texts if texts else None,
        tokens=count.tokens / texts if texts and measure else None,
        longest=count.longest if texts and measure else None,
        targets_cut=count.cut if measure else None,
        prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
        cost=usage.cost, partly=usage.partly,
        command=elicit_command(store, own, count.samples),
    )  # fmt: skip


@dataclass(kw_only=True)
class _Count:
    """Sums over rationales, in the order of their questions."""

    measure: Measure | None
    verdicts: Counter[str] = field(default_factory=Counter)
    gates: Counter[str] = field(default_factory=Counter)
    against: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    off_topic: int = 0
    covered: int = 0
    usable: int = 0
    samples: int = 0
    characters: int = 0
    tokens: int = 0
    longest: int = 0
    cut: int = 0
    _position: int = -1
    _usable_position: int = -1

    def add(self, page: Sequence[JudgedRationale]) -> None:
        texts = [one.text for one in page if one.passed]
        self.characters += sum(map(len, texts))
        for one in page:
            position, findings = one.rationale.position, one.verdict.findings
            rejecting = [finding.gate for finding in findings if not finding.repaired]
            self.verdicts[one.verdict.verdict] += 1
            self.gates.update(finding.gate for finding in findings)
            self.against.update(rejecting)
            self.rejected_by.update(rejecting[:1])
            self.samples = max(self.samples, one.rationale.sample + 1)
            self.covered += position != self._position
            self._position = position
            if one.passed:
                self.off_topic += off_topic(one.text, one.question) is not None
                self.usable += position != self._usable_position
                self._usable_position = position
        if self.measure is not None:
            for length in self.measure.ruler.targets(texts):
                self.tokens += length
                self.longest = max(self.longest, length)
                self.cut += length > self.measure.max_target


def elicit_command(store: Store, own: TeacherSet, samples: int) -> str | None:
    """The `elicit` command with exactly the configuration of a set; None for recorded rationales.

    It states the defaults as well: an omitted option would come from tinyllm.toml, and another configuration is
    elicited, and paid for, from the beginning."""
    backend, sampling = store.rationale_stats.sampling_of(own.source)
    recipe = own.source.recipe
    if recipe.template != TEMPLATE or recipe.icl is None or backend == "recorded":
        return None
    words: list[object] = ["elicit", "--teacher", own.source.teacher, "--dataset", own.dataset, "--split", own.split]
    words += ["--icl", recipe.icl] if recipe.icl != Recipe().icl else []
    words += [] if recipe.teacher_forcing else ["--no-teacher-forcing"]
    words += ["--samples", samples] if samples > 1 else []
    words += ["--temperature", sampling.temperature] if sampling.temperature is not None else []
    words += ["--top-p", sampling.top_p] if sampling.top_p is not None else []
    words += ["--max-tokens", sampling.max_tokens]
    if recipe.icl == 0 or recipe.seed == sampling.seed:  # else it came from tinyllm.toml, which seeds no examples
        words += ["--seed", sampling.seed]
    return command_text(*words)
