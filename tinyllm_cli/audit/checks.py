"""Checks of a survey: findings that a person should know before training, each with what to do. Pure.

A finding beyond its threshold is an error, which fails `tinyllm audit --strict`; else it is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.audit.question_stats import InputLengths, SameOptions
from tinyllm_cli.audit.summary import Survey
from tinyllm_cli.audit.teacher_stats import TeacherQuality
from tinyllm_cli.audit.thresholds import Thresholds
from tinyllm_cli.datasets.duplicates import DuplicatePair, Repeats
from tinyllm_cli.errors import command_text
from tinyllm_cli.records.elicitation import Repeated

KINDS = (
    "no-rationales", "missing", "failed", "rejected", "cut-off", "inputs-cut", "targets-cut", "unreadable",
    "unwritable", "off-topic", "same-options", "duplicates", "near-duplicates", "contradictions", "repeated", "alike",
    "disagree",
)  # fmt: skip
MEASURED = frozenset({"inputs-cut", "targets-cut", "unreadable", "unwritable"})
"""The kinds that need a student's tokenizer."""

Severity = Literal["error", "warning"]

_LEARNED = "train"
_SHOWN = 5
_ENOUGH = 10
"""Questions below which two teachers are not compared."""

_MOSTLY = 0.8
"""Share of equal answers from which low agreement is a warning: if one option is nearly always right, chance alone has
that share."""


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
    """Errors first, then in the order of KINDS."""
    limits = thresholds or Thresholds()
    found = [*_of_teachers(survey, measure, limits), *_of_questions(survey, measure, limits)]
    found += [*_of_similarity(survey, limits)]
    return sorted(found, key=lambda one: (not one.is_error, KINDS.index(one.kind)))


def _of_teachers(survey: Survey, measure: Measure | None, limits: Thresholds) -> Iterator[CheckResult]:
    name = survey.dataset
    learned = [one for one in survey.teachers if one.split == _LEARNED]
    if not learned and _LEARNED in survey.splits:
        yield CheckResult(kind="no-rationales", dataset=name, severity="error",
                      text=f"No teacher has a rationale for {name}, split {_LEARNED}.",
                      hint=f"Run: {command_text('elicit', '--teacher', 'NAME', '--dataset', name)}")  # fmt: skip
    for teacher in survey.silent.get(_LEARNED, ()):
        again = command_text("elicit", "--teacher", teacher, "--dataset", name)
        yield CheckResult(kind="no-rationales", dataset=name, severity="error",
                      text=f"{teacher} was asked about {name}, split {_LEARNED}, and gave no usable reply.",
                      hint=f"To ask again: {again}")  # fmt: skip
    for one in learned:
        yield from _of_coverage(one, limits)
        yield from _of_gates(one, limits)
        if one.targets_cut and measure is not None:
            texts = one.passed
            yield CheckResult(
                kind="targets-cut", dataset=name, severity=_severity(one.targets_cut > limits.targets_cut * texts),
                text=f"{_of(one.targets_cut, texts, one.sampled)} rationales of {one.teacher} for {name} are longer"
                f" than --max-target {measure.max_target} and are truncated (longest: {one.longest} tokens).",
                hint=f"Train with --max-target {one.longest}, or more, to keep them whole.",
            )  # fmt: skip


def _of_coverage(one: TeacherQuality, limits: Thresholds) -> Iterator[CheckResult]:
    where = f"{one.dataset}, split {one.split}"
    fill = f"Run: {one.command}" if one.command else "They were recorded: import the missing ones the same way."
    if one.missing:
        yield CheckResult(
            kind="missing", dataset=one.dataset, severity=_severity(one.missing > limits.missing * one.questions),
            text=f"{_of(one.missing, one.questions)} questions of {where} have no rationale of {one.teacher}.",
            hint=fill,
        )  # fmt: skip
    if one.failed:
        yield CheckResult(
            kind="failed", dataset=one.dataset, severity=_severity(one.failed > limits.failed * one.questions),
            text=f"{_of(one.failed, one.questions)} questions of {where} were asked, and {one.teacher} gave no usable"
            " reply.",
            hint="tinyllm inspect shows the reason." + (f" To ask again: {one.command}" if one.command else ""),
        )  # fmt: skip
    if (lacking := one.wanted - one.rationales) > 0:
        yield CheckResult(
            kind="missing", dataset=one.dataset, severity=_severity(lacking > limits.missing * one.wanted),
            text=f"{_of(lacking, one.wanted)} samples of {one.teacher} for {where} are missing: not every question has"
            f" {one.samples}.",
            hint=fill,
        )  # fmt: skip


def _of_gates(one: TeacherQuality, limits: Thresholds) -> Iterator[CheckResult]:
    judged = one.sampled if one.judged_questions < one.questions else None
    if one.rejected:
        gates = sorted(one.rejected_by, key=lambda gate: -one.rejected_by[gate])[:3]
        most = ", ".join(f"{gate} {one.rejected_by[gate]}" for gate in gates)
        yield CheckResult(
            kind="rejected", dataset=one.dataset, severity=_severity(one.rejected > limits.rejected * one.judged),
            text=f"The gates reject {_of(one.rejected, one.judged, judged)} rationales of {one.teacher} for"
            f" {one.dataset}, split {one.split} (first reason: {most}).",
            hint=f"{one.usable} of {one.judged_questions} questions keep one.",
        )  # fmt: skip
    if one.off_topic > limits.off_topic * one.texts:
        yield CheckResult(
            kind="off-topic", dataset=one.dataset, severity="warning",
            text=f"{_of(one.off_topic, one.texts, one.sampled)} rationales of {one.teacher} for {one.dataset}, split"
            f" {one.split}, pass the gates and share no word with their question.",
            hint='Read some with tinyllm inspect; to reject them, set off_topic = "reject" under [gates].',
        )  # fmt: skip
    cut_off = one.gates.get("cut-off", 0)
    if cut_off > limits.cut_off * one.judged:
        yield CheckResult(
            kind="cut-off", dataset=one.dataset, severity="warning",
            text=f"{_of(cut_off, one.judged, judged)} rationales of {one.teacher} for {one.dataset}, split {one.split},"
            " stop in mid-sentence.",
            hint="The token limit was too low: elicit again with a higher --max-tokens." if one.command else "",
        )  # fmt: skip


def _of_questions(survey: Survey, measure: Measure | None, limits: Thresholds) -> Iterator[CheckResult]:
    if measure is not None:
        for lengths in survey.inputs:
            yield from _of_inputs(survey, lengths, measure, limits)
    for same in survey.same_options:
        yield _same_options(survey, same)
    for one in survey.repeated:
        yield from _within(survey.dataset, one)
    for shared in survey.repeats:
        yield from _shared(survey, shared, limits)


def _of_inputs(survey: Survey, lengths: InputLengths, measure: Measure, limits: Thresholds) -> Iterator[CheckResult]:
    dataset = survey.dataset
    where = f"{'sampled ' if lengths.split in survey.sampled else ''}{lengths.split} questions of {dataset}"
    if lengths.cut:
        yield CheckResult(
            kind="inputs-cut", dataset=dataset, severity=_severity(lengths.cut > limits.inputs_cut * lengths.questions),
            text=f"{_of(lengths.cut, lengths.questions)} {where} are longer than --max-input {measure.max_input} and"
            f" are truncated (longest: {lengths.longest} tokens).",
            hint=f"Train with --max-input {lengths.longest}.",
        )  # fmt: skip
    if lengths.alike:
        yield CheckResult(
            kind="unreadable", dataset=dataset,
            severity=_severity(lengths.alike > limits.unreadable * lengths.questions),
            text=f"{_of(lengths.alike, lengths.questions)} {where} have options that are the same to"
            f" {measure.student}: its vocabulary lacks the characters in which they differ.",
            hint="Of such options it always takes the first. Choose a student whose vocabulary has these characters.",
        )  # fmt: skip
    if lengths.unknown:
        yield CheckResult(
            kind="unwritable", dataset=dataset,
            severity=_severity(lengths.unknown > limits.unwritable * lengths.questions),
            text=f"{_of(lengths.unknown, lengths.questions)} {where} have an option with characters that the vocabulary"
            f" of {measure.student} lacks: it can't write this option.",
            hint="Evaluate with --scoring rank (generate counts it as unparseable), or choose another student.",
        )  # fmt: skip


def _same_options(survey: Survey, same: SameOptions) -> CheckResult:
    read = survey.compared.get(same.split)
    gold = f", {same.gold} of them the right option" if same.gold else ""
    return CheckResult(
        kind="same-options", dataset=survey.dataset, severity="error",
        text=f"{_of(same.questions, read or survey.splits[same.split], read)} {same.split} questions of"
        f" {survey.dataset} have the same option twice{gold}: only the first of them can be answered.",
        hint=f"Correct the file and import it again; the first one is {same.key}.",
    )  # fmt: skip


def _within(dataset: str, one: Repeated) -> Iterator[CheckResult]:
    if one.disagree:
        yield CheckResult(
            kind="contradictions", dataset=dataset, severity="error",
            text=f"{one.disagree} {one.split} {_questions(one.disagree)} in {dataset} twice, with another answer.",
            hint=f"For example {one.key}.",
        )  # fmt: skip
    if one.again:
        yield CheckResult(
            kind="repeated", dataset=dataset, severity="warning",
            text=f"{one.again} {one.split} {_questions(one.again)} in {dataset} more than once with the same answer:"
            " teachers are asked once, and students learn every copy.",
            hint="" if one.disagree else f"For example {one.key}.",
        )  # fmt: skip


def _questions(count: int) -> str:
    return "question is" if count == 1 else "questions are"


def _shared(survey: Survey, shared: Repeats, limits: Thresholds) -> Iterator[CheckResult]:
    size = survey.compared.get(shared.second, survey.splits[shared.second])
    keys = {kind: [pair for pair in shared.pairs if pair.kind == kind] for kind in ("same", "answer", "near")}
    if whole := shared.same - shared.answer:
        yield CheckResult(
            kind="duplicates", dataset=survey.dataset, severity=_severity(shared.same > limits.duplicates * size),
            text=f"{_are(whole, shared, survey)} also in {shared.first}, with the same answer.",
            hint=_examples(keys["same"], shared.first),
        )  # fmt: skip
    if shared.answer:
        yield CheckResult(
            kind="contradictions", dataset=survey.dataset, severity="error",
            text=f"{_are(shared.answer, shared, survey)} also in {shared.first}, with another answer.",
            hint=_examples(keys["answer"], shared.first),
        )  # fmt: skip
    if shared.near:
        yield CheckResult(
            kind="near-duplicates", dataset=survey.dataset,
            severity=_severity(shared.near > limits.near_duplicates * size),
            text=f"{_are(shared.near, shared, survey)} nearly word for word in {shared.first}.",
            hint=_examples(keys["near"], shared.first),
        )  # fmt: skip


def _are(count: int, shared: Repeats, survey: Survey) -> str:
    noun = "question" if count == 1 else "questions"
    sampled = "sampled " if shared.second in survey.compared else ""
    return f"{count} {sampled}{shared.second} {noun} of {survey.dataset} {'is' if count == 1 else 'are'}"


def _of_similarity(survey: Survey, limits: Thresholds) -> Iterator[CheckResult]:
    for one in survey.overlaps:
        if one.same > limits.alike and one.questions >= _ENOUGH:
            who = f"{one.first} and {one.second}" if one.first != one.second else f"Several samples of {one.first}"
            yield CheckResult(
                kind="alike", dataset=survey.dataset, severity="error",
                text=f"The texts of {who} for {survey.dataset}, split {one.split}, are nearly the same (overlap"
                f" {one.same:.2f}).",
                hint="One of them teaches as much as all, and costs less.",
            )  # fmt: skip
    for own in survey.own_answers:
        found = own.agreement
        if found.alpha < limits.disagree and found.questions >= _ENOUGH:
            yield CheckResult(
                kind="disagree", dataset=survey.dataset, severity=_severity(found.same < _MOSTLY),
                text=f"The own answers of {' and '.join(own.teachers)} to {survey.dataset}, split {own.split}, agree"
                f" little beyond chance (alpha {found.alpha:.2f}; the same to {100 * found.same:.0f} %).",
                hint="Before learning labels from them, see who is right:"
                f" {command_text('eval', '--teacher', 'NAME', '--dataset', survey.dataset)}",
            )  # fmt: skip


def _examples(pairs: Sequence[DuplicatePair], first: str) -> str:
    if not pairs:
        return ""
    named = ", ".join(f"{pair.second} ({first} {pair.first})" for pair in pairs[:_SHOWN])
    return f"Look with tinyllm inspect at: {named}{', …' if len(pairs) > _SHOWN else ''}"


def _of(part: int, whole: int, sampled: int | None = None) -> str:
    """`sampled` is None where all of a split was read."""
    return f"{part} of {whole}" if sampled is None else f"{part} of {whole} sampled"


def _severity(beyond: bool) -> Severity:
    return "error" if beyond else "warning"


def errors_of(found: Iterable[CheckResult], allowed: Iterable[str]) -> list[CheckResult]:
    """The findings that fail a strict audit."""
    tolerated = set(allowed)
    return [one for one in found if one.is_error and one.kind not in tolerated]
