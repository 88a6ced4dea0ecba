"""What an audit found, as tables and lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.currency import with_currency
from tinyllm_cli.report.table_model import money
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from tinyllm_cli.audit.audit import Audit
    from tinyllm_cli.audit.choices import Left, RationaleChoices
    from tinyllm_cli.audit.summary import Survey
    from tinyllm_cli.audit.teacher_overlap import Overlap, OwnAnswers
    from tinyllm_cli.audit.teacher_stats import TeacherQuality


def audit_tables(audit: Audit) -> Iterator[Table]:
    """The tables of each data set; those with nothing to show are left out."""
    for survey in audit.surveys:
        if survey.teachers:
            yield _quality_table(survey, audit)
        if survey.teachers and audit.gates:
            yield _verdicts_table(survey)
            if any(one.gates for one in survey.teachers if one.split == "train"):
                yield _gates_table(survey, "train")
        if survey.inputs and audit.measure is not None:
            yield _inputs_table(survey, audit.measure.max_input)
        if survey.overlaps or survey.own_answers:
            yield _likeness_table(survey)
    for choices in audit.choices:
        if choices.per_question or any(one.by_kind["correct"].rationales for one in choices.teachers):
            yield _choices_table(choices)


def _quality_table(survey: Survey, audit: Audit) -> Table:
    cost = with_currency(">cost", audit.currency)
    head = ["teacher", "split", ">questions", ">failed", ">characters", cost]
    caption = ""
    if audit.measure is not None:
        head[-2:] = [">tokens", ">longest", ">cut", cost]
        caption = f"Tokens of what is left to learn, by {audit.measure.student}; cut: over {audit.measure.max_target}."
    caption = " ".join(filter(None, (caption, _sampled("Texts", survey))))
    return plain_table(f"Rationales for {survey.dataset}", head, map(_quality_row, survey.teachers), caption)


def _quality_row(one: TeacherQuality) -> list[str]:
    length = one.characters if one.tokens is None else one.tokens
    return [
        one.teacher,
        one.split,
        f"{one.covered}/{one.questions}",
        str(one.failed),
        "-" if length is None else f"{length:.0f}",
        *([] if one.targets_cut is None else ["-" if one.longest is None else str(one.longest), str(one.targets_cut)]),
        money(one.cost, one.partly) or "-",
    ]


def _verdicts_table(survey: Survey) -> Table:
    rows = [
        [
            one.teacher,
            one.split,
            str(one.kept),
            str(one.repaired),
            str(one.rejected),
            share(one.usable, one.judged_questions),
        ]
        for one in survey.teachers
    ]
    return plain_table(
        f"What the gates made of the rationales for {survey.dataset}",
        ["teacher", "split", ">kept", ">repaired", ">rejected", ">usable"], rows,
        " ".join(["usable: share of questions that keep a rationale.", *_judged(survey)]),
    )  # fmt: skip


def _gates_table(survey: Survey, split: str) -> Table:
    from tinyllm_cli.rationales.gates.settings import GATES, HUMAN  # its package compiles every gate's patterns

    teachers = [one for one in survey.teachers if one.split == split]
    rows = [
        [gate, *(_found(one, gate) for one in teachers)]
        for gate in (*GATES, HUMAN)
        if any(gate in one.gates for one in teachers)
    ]
    return plain_table(
        f"What they found, {survey.dataset}/{split}", ["gate", *(f">{one.teacher}" for one in teachers)], rows,
        " ".join(["Share of rationales in which a gate found a fault, and in brackets, that it rejected for it.",
                  *_judged(survey)]),
    )  # fmt: skip


def _found(one: TeacherQuality, gate: str) -> str:
    found, against = one.gates.get(gate, 0), one.against.get(gate, 0)
    return f"{share(found, one.judged)} ({share(against, one.judged)})" if found else "-"


def _inputs_table(survey: Survey, limit: int) -> Table:
    rows = [[one.split, str(one.questions), f"{one.mean:.0f}", str(one.longest), str(one.cut)] for one in survey.inputs]
    head = ["split", ">questions", ">tokens", ">longest", f">over {limit}"]
    return plain_table(
        f"Questions of {survey.dataset} as the student reads them", head, rows, _sampled("Questions", survey)
    )


def _choices_table(choices: RationaleChoices) -> Table:
    """Rationales, and in brackets the questions that they cover."""
    kinds = list(choices.teachers[0].by_kind)
    head, caption = ["teacher", *(f">{kind}" for kind in kinds)], "Rationales that pass the gates (questions covered)."
    if choices.per_question:
        head.append(f">{choices.per_question} per question")
        caption += f" {head[-1][1:]}: of {choices.rationales} rationales, by {choices.choose}."
    rows = [
        [
            one.teacher,
            *(_left(one.by_kind[kind]) for kind in kinds),
            *([_left(one.chosen) if one.chosen else "-"] if choices.per_question else []),
        ]
        for one in choices.teachers
    ]
    if any(left.sampled is not None for one in choices.teachers for left in one.by_kind.values()):
        caption += ' "of N": counted on N sampled questions.'
    title = f"What --rationales leaves for {choices.dataset}/train, {choices.questions} questions"
    return plain_table(title, head, rows, caption)


def _left(one: Left) -> str:
    left = f"{one.rationales} ({one.questions})" if one.rationales else "0"
    return left if one.sampled is None else f"{left} of {one.sampled}"


def _sampled(what: str, survey: Survey) -> str:
    """Of how many questions something is that was not read of all."""
    parts = [f"{read:,} of {survey.splits[split]:,} {split} questions" for split, read in survey.sampled.items()]
    return f"{what}: of {', '.join(parts)}, sampled." if parts else ""


def _judged(survey: Survey) -> Iterator[str]:
    """Where not all verdicts are counted, since the store lacks some."""
    if any(one.judged_questions < one.questions for one in survey.teachers):
        yield f"{_sampled('Verdicts', survey)} After tinyllm gate, all are counted."


def _likeness_table(survey: Survey) -> Table:
    rows = [_overlap_row(one) for one in survey.overlaps] + [_answers_row(one) for one in survey.own_answers]
    return plain_table(
        f"Teachers side by side on {survey.dataset}",
        ["split", "teachers", "what", ">alike", "by chance", ">questions"], rows,
        "rationales: overlap of their words, and that of rationales for different questions;"
        " answers: Krippendorff's alpha (0 is chance) with its 95 % interval."
        + ("" if not survey.sampled else f" {_sampled('Texts', survey)}"),
    )  # fmt: skip


def _overlap_row(one: Overlap) -> list[str]:
    who = f"{one.first}, {one.second}" if one.first != one.second else f"{one.first}, several samples"
    elsewhere = "-" if one.elsewhere is None else f"{one.elsewhere:.2f}"
    return [one.split, who, "rationales", f"{one.same:.2f}", elsewhere, str(one.questions)]


def _answers_row(own: OwnAnswers) -> list[str]:
    who = ", ".join(own.teachers) if len(own.teachers) > 1 else f"{own.teachers[0]}, several samples"
    found = own.agreement
    interval = f"{found.low:.2f} to {found.high:.2f}"
    return [
        own.split,
        who,
        f"own answers, {100 * found.same:.0f} % the same",
        f"{found.alpha:.2f}",
        interval,
        str(found.questions),
    ]


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def show_audit(console: Console, audit: Audit) -> None:
    """Tables, then each finding with what to do about it; an error is marked with an exclamation mark."""
    for table in audit_tables(audit):
        console.show(table)
    for finding in audit.findings:
        console.say(f"{'!' if finding.is_error else '-'} {finding.text}")
        if finding.hint:
            console.say(f"  {finding.hint}")
    if not audit.findings:
        console.say("No findings.")
    elif audit.errors:
        console.say(f"{len(audit.errors)} of {len(audit.findings)} findings are errors (!).")
