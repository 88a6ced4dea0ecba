"""What of a survey a person should know before training, in plain words, with the way to mend it.

Pure. The thresholds say from where on a finding is grave enough to fail `tinyllm audit --strict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.audit.summary import InputLengths, Measure, Survey
from tinyllm_cli.audit.teacher_stats import TeacherQuality
from tinyllm_cli.datasets.duplicates import DuplicatePair, Repeats
from tinyllm_cli.records.elicitation import Repeated

KINDS = (
    "no-rationales", "missing", "failed", "rejected", "cut-off", "inputs-cut", "targets-cut",
    "unreadable", "duplicates", "near-duplicates", "contradictions", "repeated", "alike", "disagree",
)  # fmt: skip
MEASURED = frozenset({"inputs-cut", "targets-cut", "unreadable"})
"""Those that only a student's tokenizer tells."""

Severity = Literal["error", "warning"]

_LEARNED = "train"
_SHOWN = 5
_ENOUGH = 10  # questions, before teachers are called alike or at odds
_MOSTLY = 0.8  # of answers the same: where one option is nearly always right, chance alone comes to that


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Shares above which a finding is grave; 0 makes every one grave."""

    missing: float = 0.01
    failed: float = 0.01
    rejected: float = 0.2
    cut_off: float = 0.5
    inputs_cut: float = 0.01
    unreadable: float = 0.01
    targets_cut: float = 0.05
    duplicates: float = 0.0
    near_duplicates: float = 0.01
    alike: float = 0.9
    """Overlap of two teachers above which the second one says little that is new."""

    disagree: float = 0.2
    """Krippendorff's alpha below which the answers are close to guesses."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """`severity` is "error" beyond the check's threshold, else "warning". `hint` says what to do; it may be empty."""

    kind: str
    dataset: str
    severity: Severity
    text: str
    hint: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


def findings(survey: Survey, measure: Measure | None, thresholds: Thresholds | None = None) -> list[CheckResult]:
    """The grave ones first, else in the order of KINDS."""
    limits = thresholds or Thresholds()
    found = [*_of_teachers(survey, measure, limits), *_of_questions(survey, measure, limits)]
    found += [*_of_likeness(survey, limits)]
    return sorted(found, key=lambda one: (not one.is_error, KINDS.index(one.kind)))


def _of_teachers(survey: Survey, measure: Measure | None, limits: Thresholds) -> Iterator[CheckResult]:
    name = survey.dataset
    learned = [one for one in survey.teachers if one.split == _LEARNED]
    if not learned and _LEARNED in survey.splits:
        yield CheckResult(kind="no-rationales", dataset=name, severity="error",
                      text=f"No teacher has written a rationale for {name}, split {_LEARNED}.",
                      hint=f"Run: tinyllm elicit --teacher NAME --dataset {name}")  # fmt: skip
    for teacher in survey.silent.get(_LEARNED, ()):
        yield CheckResult(kind="no-rationales", dataset=name, severity="error",
                      text=f"{teacher} was asked about {name}, split {_LEARNED}, and gave no usable reply.",
                      hint="tinyllm inspect shows the reason; tinyllm elicit asks it again.")  # fmt: skip
    for one in learned:
        yield from _of_coverage(one, limits)
        yield from _of_gates(one, limits)
        if one.targets_cut and measure is not None:
            texts = one.kept + one.repaired
            yield CheckResult(
                kind="targets-cut", dataset=name, severity=_severity(one.targets_cut > limits.targets_cut * texts),
                text=f"{_of(one.targets_cut, texts)} rationales of {one.teacher} for {name} are longer than"
                f" --max-target {measure.max_target} and lose their end (longest: {one.longest} tokens).",
                hint=f"Train with --max-target {one.longest}, or more, to keep them whole.",
            )  # fmt: skip


def _of_coverage(one: TeacherQuality, limits: Thresholds) -> Iterator[CheckResult]:
    where = f"{one.dataset}, split {one.split}"
    bring = f"Run: {one.mend}" if one.mend else "They were recorded: bring the others in as these came."
    if one.missing:
        yield CheckResult(
            kind="missing", dataset=one.dataset, severity=_severity(one.missing > limits.missing * one.questions),
            text=f"{_of(one.missing, one.questions)} questions of {where} have no rationale of {one.teacher}.",
            hint=bring,
        )  # fmt: skip
    if one.failed:
        yield CheckResult(
            kind="failed", dataset=one.dataset, severity=_severity(one.failed > limits.failed * one.questions),
            text=f"{_of(one.failed, one.questions)} questions of {where} were asked, and {one.teacher} gave no usable"
            " reply.",
            hint="tinyllm inspect shows the reason." + (f" To ask again: {one.mend}" if one.mend else ""),
        )  # fmt: skip
    if lacking := one.wanted - one.rationales:
        yield CheckResult(
            kind="missing", dataset=one.dataset, severity=_severity(lacking > limits.missing * one.wanted),
            text=f"{_of(lacking, one.wanted)} samples of {one.teacher} for {where} are missing: not every question has"
            f" {one.samples}.",
            hint=bring,
        )  # fmt: skip


def _of_gates(one: TeacherQuality, limits: Thresholds) -> Iterator[CheckResult]:
    if one.rejected:
        gates = sorted(one.against, key=lambda gate: -one.against[gate])[:3]
        most = ", ".join(f"{gate} {one.against[gate]}" for gate in gates)
        yield CheckResult(
            kind="rejected", dataset=one.dataset, severity=_severity(one.rejected > limits.rejected * one.rationales),
            text=f"{_of(one.rejected, one.rationales)} rationales of {one.teacher} for {one.dataset}, split"
            f" {one.split}, are unfit to learn from ({most}).",
            hint=f"{one.usable} of {one.questions} questions keep one.",
        )  # fmt: skip
    cut_off = one.gates.get("cut-off", 0)
    if cut_off > limits.cut_off * one.rationales:
        yield CheckResult(
            kind="cut-off", dataset=one.dataset, severity="warning",
            text=f"{_of(cut_off, one.rationales)} rationales of {one.teacher} for {one.dataset}, split {one.split},"
            " break off in mid-sentence.",
            hint="It was allowed too few tokens: ask again with a higher --max-tokens." if one.mend else "",
        )  # fmt: skip


def _of_questions(survey: Survey, measure: Measure | None, limits: Thresholds) -> Iterator[CheckResult]:
    for lengths in survey.inputs:
        if lengths.cut and measure is not None:
            yield _cut_inputs(survey.dataset, lengths, measure, limits)
        if lengths.alike and measure is not None:
            yield CheckResult(
                kind="unreadable", dataset=survey.dataset,
                severity=_severity(lengths.alike > limits.unreadable * lengths.questions),
                text=f"{_of(lengths.alike, lengths.questions)} {lengths.split} questions of {survey.dataset} have"
                f" options that are the same to {measure.student}: its vocabulary lacks what tells them apart.",
                hint="Of such options it always takes the first. Choose a student that knows their script and signs.",
            )  # fmt: skip
    for one in survey.repeated:
        yield from _within(survey.dataset, one)
    for shared in survey.repeats:
        yield from _shared(survey, shared, limits)


def _cut_inputs(dataset: str, lengths: InputLengths, measure: Measure, limits: Thresholds) -> CheckResult:
    return CheckResult(
        kind="inputs-cut", dataset=dataset, severity=_severity(lengths.cut > limits.inputs_cut * lengths.questions),
        text=f"{_of(lengths.cut, lengths.questions)} {lengths.split} questions of {dataset} are longer than"
        f" --max-input {measure.max_input} and lose their end (longest: {lengths.longest} tokens).",
        hint=f"Train and evaluate with --max-input {lengths.longest}.",
    )  # fmt: skip


def _within(dataset: str, one: Repeated) -> Iterator[CheckResult]:
    if one.disagree:
        yield CheckResult(
            kind="contradictions", dataset=dataset, severity="error",
            text=f"{one.disagree} {one.split} {_questions(one.disagree)} in {dataset} twice, with another option as the"
            " right one.",
            hint=f"Such as {one.key}.",
        )  # fmt: skip
    if one.again:
        yield CheckResult(
            kind="repeated", dataset=dataset, severity="warning",
            text=f"{one.again} {one.split} {_questions(one.again)} in {dataset} once more, answer and all: teachers are"
            " asked about them once, and students learn them as often as they stand there.",
            hint="" if one.disagree else f"Such as {one.key}.",
        )  # fmt: skip


def _questions(count: int) -> str:
    return "question stands" if count == 1 else "questions stand"


def _shared(survey: Survey, shared: Repeats, limits: Thresholds) -> Iterator[CheckResult]:
    size = survey.splits[shared.second]
    keys = {kind: [pair for pair in shared.pairs if pair.kind == kind] for kind in ("same", "answer", "near")}
    if whole := shared.same - shared.answer:
        yield CheckResult(
            kind="duplicates", dataset=survey.dataset, severity=_severity(shared.same > limits.duplicates * size),
            text=f"{_are(whole, shared, survey)} also in {shared.first}, answer and all.",
            hint=_named(keys["same"], shared.first),
        )  # fmt: skip
    if shared.answer:
        yield CheckResult(
            kind="contradictions", dataset=survey.dataset, severity="error",
            text=f"{_are(shared.answer, shared, survey)} also in {shared.first} with another option as the right one.",
            hint=_named(keys["answer"], shared.first),
        )  # fmt: skip
    if shared.near:
        yield CheckResult(
            kind="near-duplicates", dataset=survey.dataset,
            severity=_severity(shared.near > limits.near_duplicates * size),
            text=f"{_are(shared.near, shared, survey)} nearly word for word in {shared.first}.",
            hint=_named(keys["near"], shared.first),
        )  # fmt: skip


def _are(count: int, shared: Repeats, survey: Survey) -> str:
    noun = "question" if count == 1 else "questions"
    return f"{count} {shared.second} {noun} of {survey.dataset} {'is' if count == 1 else 'are'}"


def _of_likeness(survey: Survey, limits: Thresholds) -> Iterator[CheckResult]:
    for one in survey.overlaps:
        if one.same > limits.alike and one.questions >= _ENOUGH:
            who = f"{one.first} and {one.second}" if one.first != one.second else f"Several samples of {one.first}"
            yield CheckResult(
                kind="alike", dataset=survey.dataset, severity="error",
                text=f"{who} write nearly the same for {survey.dataset}, split {one.split} (overlap {one.same:.2f}).",
                hint="One of them teaches as much as all, for less.",
            )  # fmt: skip
    for own in survey.own_answers:
        found = own.agreement
        if found.alpha < limits.disagree and found.questions >= _ENOUGH:
            yield CheckResult(
                kind="disagree", dataset=survey.dataset, severity=_severity(found.same < _MOSTLY),
                text=f"The own answers of {' and '.join(own.teachers)} to {survey.dataset}, split {own.split}, hardly"
                f" agree beyond chance (alpha {found.alpha:.2f}; the same to {100 * found.same:.0f} %).",
                hint="Don't learn labels from them before you know who is right: tinyllm eval --teacher NAME",
            )  # fmt: skip


def _named(pairs: Sequence[DuplicatePair], first: str) -> str:
    if not pairs:
        return ""
    named = ", ".join(f"{pair.second} ({first} {pair.first})" for pair in pairs[:_SHOWN])
    return f"Look with tinyllm inspect at: {named}{', …' if len(pairs) > _SHOWN else ''}"


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def _severity(beyond: bool) -> Severity:
    return "error" if beyond else "warning"


def errors_of(found: Iterable[CheckResult], allowed: Iterable[str]) -> list[CheckResult]:
    """Those that fail a strict audit."""
    tolerated = set(allowed)
    return [one for one in found if one.is_error and one.kind not in tolerated]
