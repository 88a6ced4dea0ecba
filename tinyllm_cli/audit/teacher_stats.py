"""One teacher's rationales for a split: how many there are, what the gates do to them, their length and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.errors import command_text
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates import GateSettings, Verdict
from tinyllm_cli.rationales.gates.topic import off_topic
from tinyllm_cli.rationales.stored_outcomes import outcomes
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.records.elicitation import TEMPLATE, RationaleSet, Recipe
from tinyllm_cli.store import Store

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class TeacherSet:
    """The rationales of one teacher for one split of `questions` questions; those of `read` questions are read."""

    dataset: str
    split: str
    questions: int
    read: int
    source: RationaleSet

    @property
    def sampled(self) -> bool:
        return self.read < self.questions


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Rationales of a set with their verdicts: those that are `read`, and the `counted` verdicts on all, where the
    store has them. `bound`: the greatest hash of the questions by which costs are known; None: of all."""

    read: Iterable[JudgedRationale]
    counted: VerdictCount | None = None
    bound: str | None = None


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
    """In the split. `covered` have a rationale, `failed` a failure and no reply."""

    covered: int
    failed: int
    rationales: int
    samples: int
    """The largest number of rationales of one question."""

    sampled: int | None
    """The number of questions, drawn at random, whose `texts` rationales were read; None: all. Lengths and `off_topic`
    are of them."""

    texts: int
    passed: int
    """Of the `texts`, those that pass the gates."""

    judged: int
    """The rationales whose verdicts are counted: all, or those that were read if the store lacks a verdict on others.
    `usable`: of their `judged_questions`, those that keep one."""

    judged_questions: int
    usable: int
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


def stored_verdicts(store: Store, own: TeacherSet, gates: GateSettings) -> VerdictCount | None:
    """The verdicts on all rationales of a set, counted from the store; None where it lacks one."""
    count = VerdictCount(questions=own.questions)
    for one in outcomes(store, own.dataset, own.split, own.source, gates):
        if one.verdict is None:
            return None
        count.add(one.position, one.verdict)
    return count


def quality(store: Store, own: TeacherSet, judged: Judged, measure: Measure | None) -> TeacherQuality:
    """Reads `judged.read`, rationales of `own`, to their end."""
    texts, read = TextCount(measure=measure), VerdictCount(questions=own.read)
    for page in batched(judged.read, _PAGE):
        texts.add(page)
        for one in page:
            read.add(one.rationale.position, one.verdict)
    verdicts, source = judged.counted or read, own.source
    usage = store.rationale_stats.spent(own.dataset, own.split, source.address, judged.bound)
    passed = texts.passed
    return TeacherQuality(
        dataset=own.dataset, split=own.split, teacher=source.teacher, model=source.model, recipe=source.recipe.name,
        saw_answers=source.teacher_forcing, questions=own.questions, covered=source.questions,
        failed=store.rationale_stats.unanswered(own.dataset, own.split, source),
        rationales=store.rationale_stats.distinct(own.dataset, own.split, source) if own.sampled else read.rationales,
        samples=source.samples, sampled=own.read if own.sampled else None, texts=read.rationales, passed=passed,
        judged=verdicts.rationales, judged_questions=verdicts.questions, usable=verdicts.usable,
        kept=verdicts.verdicts["kept"], repaired=verdicts.verdicts["repaired"], rejected=verdicts.verdicts["rejected"],
        gates=dict(verdicts.gates), against=dict(verdicts.against), rejected_by=dict(verdicts.rejected_by),
        off_topic=texts.off_topic,
        characters=texts.characters / passed if passed else None,
        tokens=texts.tokens / passed if passed and measure else None,
        longest=texts.longest if passed and measure else None,
        targets_cut=texts.cut if measure else None,
        prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
        cost=usage.cost, partly=usage.partly,
        command=elicit_command(store, own, source.samples),
    )  # fmt: skip


@dataclass(kw_only=True)
class VerdictCount:
    """Verdicts on the rationales of `questions` questions, in the order of their questions."""

    questions: int
    verdicts: Counter[str] = field(default_factory=Counter)
    gates: Counter[str] = field(default_factory=Counter)
    against: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    usable: int = 0
    _usable_position: int = field(default=-1, compare=False)

    @property
    def rationales(self) -> int:
        return self.verdicts.total()

    def add(self, position: int, verdict: Verdict) -> None:
        self.verdicts[verdict.verdict] += 1
        if verdict.findings:
            rejecting = [finding.gate for finding in verdict.findings if not finding.repaired]
            self.gates.update(finding.gate for finding in verdict.findings)
            self.against.update(rejecting)
            self.rejected_by.update(rejecting[:1])
        if verdict.verdict != "rejected":
            self.usable += position != self._usable_position
            self._usable_position = position


@dataclass(kw_only=True)
class TextCount:
    """Lengths of the texts that pass, and how many of them are about something else."""

    measure: Measure | None
    passed: int = 0
    off_topic: int = 0
    characters: int = 0
    tokens: int = 0
    longest: int = 0
    cut: int = 0

    def add(self, page: Sequence[JudgedRationale]) -> None:
        passed = [one for one in page if one.passed]
        texts = [one.text for one in passed]
        self.passed += len(passed)
        self.characters += sum(map(len, texts))
        self.off_topic += sum(off_topic(one.text, one.question) is not None for one in passed)
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
