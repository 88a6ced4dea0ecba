"""The report's section on rationale quality: by teacher, shared questions of splits, agreement of teachers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyllm_cli.audit.checks import CheckResult, findings
from tinyllm_cli.audit.question_view import ReplyView, question_view
from tinyllm_cli.audit.sampling import Reading, opened, sample_sizes
from tinyllm_cli.audit.summary import OnAudited, Survey, Surveyor
from tinyllm_cli.audit.teacher_stats import TeacherQuality
from tinyllm_cli.currency import with_currency
from tinyllm_cli.datasets.duplicates import Repeats, repeats
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.report.collect import SAMPLE
from tinyllm_cli.report.scope import WHOLE, Scope
from tinyllm_cli.report.table_model import Group, Sheet, TableCell, TableRow, money, number, slug
from tinyllm_cli.store import Store
from tinyllm_cli.store import rationale_stats as stored_surveys

COMPARED = 20_000
"""Questions of each split that a report compares with each other, drawn at random."""


@dataclass(frozen=True, kw_only=True)
class AuditExample:
    """A real rationale in which a gate found something, with its question."""

    gate: str
    dataset: str
    key: str
    question: str
    reply_view: ReplyView


@dataclass(frozen=True, kw_only=True)
class AuditSection:
    """`surveys` are of the data sets that have training rationales, `copies` (data set, shared questions) of all data
    sets. `compared`: by data set, the number of questions of each split among which copies were looked for, where
    these were a sample."""

    copies: tuple[tuple[str, Repeats], ...]
    compared: dict[str, dict[str, int]]
    surveys: tuple[Survey, ...]
    findings: tuple[CheckResult, ...]
    examples: tuple[AuditExample, ...]


def audit_section(
    store: Store, gates: GateSettings | None = None, watch: OnAudited = lambda _what: None, scope: Scope = WHOLE,
    sets: KnownSets | None = None,
) -> AuditSection:  # fmt: skip
    """Verdicts that the store lacks are computed and stored. Lengths are in characters: a report loads no student.

    Of a large split a sample is read; `tinyllm audit` reads more, and compares all questions. `sets` are the rationale
    sets that are counted already."""
    sets = sets or KnownSets(store)
    reading = Reading(texts=SAMPLE, questions=COMPARED, verdicts=False)
    surveyor = Surveyor(store=store, sets=sets, gates=gates, reading=reading, watch=watch)
    names = sorted(filter(scope.has_dataset, store.rationales.datasets_with_rationales()))
    surveys = tuple(surveyor.survey(name) for name in names)
    copied = {one.dataset: one.repeats for one in surveys}
    compared = {one.dataset: one.compared for one in surveys}
    for name in filter(scope.has_dataset, store.questions.names()):
        if name not in copied:
            copied[name] = tuple(repeats(opened(store, name, COMPARED)))
            compared[name] = sample_sizes(store, name, COMPARED)
    return AuditSection(
        copies=tuple((name, shared) for name in sorted(copied) for shared in copied[name]),
        compared={name: sizes for name, sizes in sorted(compared.items()) if sizes},
        surveys=surveys,
        findings=tuple(finding for one in surveys for finding in findings(one, None)),
        examples=tuple(example for name in names for example in _examples(store, name, gates, sets)) if gates else (),
    )


def _examples(store: Store, dataset: str, gates: GateSettings, sets: KnownSets) -> Iterator[AuditExample]:
    """One for each gate, from the rationales that `distill` trains on."""
    shown: dict[str, stored_surveys.Faulty] = {}
    bound = store.samples.bound(dataset, "train", SAMPLE)
    for variant in sets.chosen(dataset, "train"):
        for faulty in store.rationale_stats.one_by_gate(dataset, variant, gates.hash, bound):
            shown.setdefault(faulty.gate, faulty)
    for faulty in shown.values():
        [place] = store.lookup.places(faulty.key, dataset, "train")
        for reply_view in question_view(store, place, gates).reply_views:
            if reply_view.reply.id == faulty.rationale:
                yield AuditExample(
                    gate=faulty.gate, dataset=dataset, key=faulty.key, question=place.text, reply_view=reply_view
                )


def audit_sheets(found: Survey, currency: str | None) -> Iterator[Sheet]:
    """Rationale quality by teacher; overlap and agreement where there are several teachers or samples."""
    if found.teachers:
        yield Sheet(
            name=f"quality-{slug(found.dataset)}",
            title=f"Rationales for {found.dataset}",
            head=("teacher", "split", "prompt", ">questions", ">failed", ">kept", ">repaired", ">rejected", ">usable",
                  ">characters", with_currency(">cost", currency), "gate findings"),
            groups=(Group(rows=tuple(map(_quality_row, found.teachers))),),
            notes=(
                "In percent: usable, the questions with a rationale that passes the gates; gate findings, the"
                " rationales with a finding, in brackets those rejected. Characters: mean length after the gates.",
                *_partly(found),
            ),
        )  # fmt: skip
    rows = tuple(_agreement_rows(found))
    if rows:
        yield Sheet(
            name=f"agreement-{slug(found.dataset)}",
            title=f"Overlap and agreement of the teachers of {found.dataset}",
            head=("teachers", "split", ">overlap", ">by chance", ">alpha", ">all agree", ">questions"),
            groups=(Group(rows=rows),),
            notes=(
                "Overlap: word overlap of two rationales (1: all words of one are in the other), for the same question"
                " and for different ones. Alpha: Krippendorff's, of answers given without the gold answer (0: chance,"
                " 1: full agreement), below it the 95 % bootstrap interval.",
            ),
        )


def _partly(found: Survey) -> Iterator[str]:
    if found.sampled:
        parts = [f"{read:,} of {found.splits[split]:,} {split} questions" for split, read in found.sampled.items()]
        yield (
            f"Verdicts, characters and checks: of {', '.join(parts)}, drawn at random; tinyllm audit reads more."
            " Questions, failed and cost: of all."
        )


def _quality_row(one: TeacherQuality) -> TableRow:
    gates = sorted(one.gates.items(), key=lambda item: -item[1])
    texts = (
        one.split,
        one.recipe,
        f"{one.covered} of {one.questions}",
        str(one.failed),
        str(one.kept),
        str(one.repaired),
        str(one.rejected),
        _part(one.usable, one.judged_questions),
        "–" if one.characters is None else f"{one.characters:.0f}",
        money(one.cost, one.partly),
        ", ".join(_found_by(gate, count, one) for gate, count in gates) or "–",
    )
    return TableRow(label=one.teacher, cells=tuple(TableCell(text=text) for text in texts))


def _found_by(gate: str, count: int, one: TeacherQuality) -> str:
    rejected = f" ({_part(one.against[gate], one.judged)})" if gate in one.against else ""
    return f"{gate} {_part(count, one.judged)}{rejected}"


def _part(count: int, whole: int) -> str:
    return number(count / whole) if whole else "–"


def _agreement_rows(found: Survey) -> Iterator[TableRow]:
    blank = TableCell(text="")
    for one in found.overlaps:
        names = f"{one.first}, several samples" if one.first == one.second else f"{one.first}, {one.second}"
        by_chance = "–" if one.elsewhere is None else f"{one.elsewhere:.2f}"
        cells = (TableCell(text=one.split), TableCell(text=f"{one.same:.2f}"), TableCell(text=by_chance), blank, blank,
                 TableCell(text=f"{one.questions:,}"))  # fmt: skip
        yield TableRow(label=names, cells=cells)
    for own in found.own_answers:
        names = ", ".join(own.teachers) + (", several samples" if len(own.teachers) == 1 else "")
        agreed = own.agreement
        alpha = TableCell(text=f"{agreed.alpha:.2f}", under=f"{agreed.low:.2f} to {agreed.high:.2f}")
        cells = (TableCell(text=own.split), blank, blank, alpha, TableCell(text=number(agreed.same)),
                 TableCell(text=f"{agreed.questions:,}"))  # fmt: skip
        yield TableRow(label=names, cells=cells)


def _compared(audit: AuditSection) -> Iterator[str]:
    for name, sizes in audit.compared.items():
        parts = [f"{read:,} {split} questions" for split, read in sizes.items()]
        yield f"{name}: among {', '.join(parts)}, drawn at random; tinyllm audit compares all questions."


def copies_sheet(audit: AuditSection) -> Sheet:
    rows = [
        TableRow(
            label=name,
            cells=(
                TableCell(text=shared.second),
                TableCell(text=shared.first),
                *(TableCell(text=f"{count:,}") for count in (shared.same, shared.answer, shared.near)),
                TableCell(text=", ".join(f"{pair.second} ({pair.first})" for pair in shared.pairs[:5])),
            ),
        )
        for name, shared in audit.copies
    ]
    return Sheet(
        name="copies",
        title="Questions in two splits",
        head=("data set", "questions of", "also in", ">identical", ">another answer", ">nearly", "examples"),
        groups=(Group(rows=tuple(rows)),),
        notes=(
            "Whatever the order of their options. Another answer: identical, with another gold answer. Nearly: 80 % of"
            " the words are the same.",
            *_compared(audit),
        ),
    )
