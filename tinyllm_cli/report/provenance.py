"""Provenance of the figures, as sheets: data sets and truncation, teachers, trainings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tinyllm_cli.currency import with_currency
from tinyllm_cli.records.elicitation import Elicitation, TeacherCosts
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.collect import DatasetSummary, Report
from tinyllm_cli.report.labels import run_labels
from tinyllm_cli.report.table_model import Group, Sheet, TableCell, TableRow, arm_cell, money, number, short
from tinyllm_cli.report.terminal import alpha_text
from tinyllm_cli.store.questions import SplitProfile


def data_sheets(report: Report) -> list[Sheet]:
    """Lengths and answers by split, and truncation by the students' limits."""
    made = [_splits(report.datasets)] if report.datasets else []
    return [*made, *_truncation(report.runs, report)]


def _splits(datasets: Sequence[DatasetSummary]) -> Sheet:
    return Sheet(
        name="data-sets",
        title="Questions by split",
        head=("split", ">questions", ">words, mean", ">longest", ">options", ">right answer at A, B, ..."),
        groups=tuple(
            Group(title=f"{data.name}, from {data.source}", rows=tuple(map(_split, data.profiles)))
            for data in datasets
        ),
        notes=(
            "Words with context and options. Right answers by the position of their option, in percent.",
            *_read(datasets),
        ),
    )  # fmt: skip


def _read(datasets: Sequence[DatasetSummary]) -> Iterator[str]:
    parts = [
        f"{one.read:,} of {one.questions:,} {one.split} questions of {data.name}"
        for data in datasets
        for one in data.profiles
        if one.read < one.questions
    ]
    if parts:
        yield f"Words, options and right answers: of {', '.join(parts)}, drawn at random."


def _split(one: SplitProfile) -> TableRow:
    options = str(one.most_options)
    texts = (
        f"{one.questions:,}",
        f"{one.words:.1f}",
        f"{one.longest:,}",
        options if one.fewest_options == one.most_options else f"{one.fewest_options} to {options}",
        " / ".join(number(count / one.read, 0) for count in one.gold),
    )
    return TableRow(label=one.split, cells=tuple(TableCell(text=text) for text in texts))


def _truncation(runs: Sequence[Run], report: Report) -> Iterator[Sheet]:
    """By data set, student and limits: of the runs there the one with the most examples represents all."""
    by_place: dict[tuple[str, str, int, int], list[Run]] = defaultdict(list)
    for run in runs:
        if "tasks" in run.metrics:
            limits = run.settings.train.max_input, run.settings.train.max_target
            by_place[run.dataset, run.student, *limits].append(run)
    rows = []
    for (dataset, student, longest_input, longest_target), own in by_place.items():
        most = max(own, key=lambda run: sum(run.metrics["tasks"].values()))
        examples = sum(most.metrics["tasks"].values())
        numbers = {f"run {run.id}" for run in own}
        evaluated = [one for one in report.results if one.subject in numbers and one.inputs_cut is not None]
        cut = max(evaluated, key=lambda one: (one.inputs_cut or 0) / one.n, default=None)
        cells = (
            TableCell(text=f"{longest_input:,}"),
            _of(most.metrics["inputs_cut"], examples),
            TableCell(text=f"{longest_target:,}"),
            _of(most.metrics["targets_cut"], examples),
            _of(cut.inputs_cut or 0, cut.n, f"{cut.dataset}/{cut.split}") if cut else TableCell(),
        )
        rows.append(TableRow(label=dataset, note=short(student), cells=cells))
    if rows:
        yield Sheet(
            name="truncation",
            title="Truncation by the students' limits",
            head=(
                "data set", ">input limit", ">examples with a cut input", ">target limit",
                ">examples with a cut target", ">evaluated questions cut",
            ),
            groups=(Group(rows=tuple(rows)),),
            notes=("Limits in the student's tokens. Where several runs differ, the one with the most examples.",),
        )  # fmt: skip


def _of(count: int, whole: int, under: str = "") -> TableCell:
    return TableCell(text=f"{count:,} of {whole:,}", under=under, strong=count > 0)


def teacher_sheets(report: Report) -> list[Sheet]:
    """Rationales and their cost by teacher, the teachers' own accuracy, and every elicitation."""
    made = [_written(report.teachers, report.currency)] if report.teachers else []
    own = [arm for arm in report.arms if arm.method == "teacher"]
    if own:
        rows = tuple(
            TableRow(
                label=arm.label,
                cells=(
                    TableCell(text=f"{arm.dataset}/{arm.split}, {arm.scoring}"),
                    TableCell(text=f"{arm.n:,}"),
                    arm_cell(arm),
                ),
            )
            for arm in own
        )
        made.append(
            Sheet(
                name="teachers-accuracy",
                title="Accuracy of the teachers",
                head=("teacher", "questions", ">n", ">accuracy"),
                groups=(Group(rows=rows),),
                notes=("In percent, with 95 % Wilson intervals; answered without seeing the gold answer.",),
            )
        )
    return [*made, asked_sheet(report.asked, report.currency)] if report.asked else made


def asked_sheet(asked: Sequence[Elicitation], currency: str | None) -> Sheet:
    """Every elicitation, with what all of its calls took."""
    return Sheet(
        name="elicitations",
        title="Elicitations",
        head=("teacher", "questions", "started", "state", ">replies", ">failed", ">calls", ">tokens in", ">tokens out",
              with_currency(">cost", currency), ">in flight"),
        groups=(Group(rows=tuple(map(_asked, asked))),),
        notes=("Tokens and cost are those of every call, failed and repeated ones included. In flight: requests at"
               " once, from the fewest to the most.",),
    )  # fmt: skip


def _asked(one: Elicitation) -> TableRow:
    limits = [change.in_flight for change in one.concurrency]
    texts = (
        f"{one.dataset}/{one.split}",
        one.started[:16].replace("T", " "),
        one.state + (f": {one.error}" if one.error else ""),
        f"{one.replies:,}",
        f"{one.failures:,}",
        f"{one.calls:,}",
        _count(one.prompt_tokens),
        _count(one.completion_tokens),
        money(one.cost),
        "–" if not limits else f"{min(limits)} to {max(limits)}" if min(limits) < max(limits) else str(limits[0]),
    )
    return TableRow(label=one.teacher, cells=tuple(TableCell(text=text) for text in texts))


def _written(teachers: Sequence[TeacherCosts], currency: str | None) -> Sheet:
    return Sheet(
        name="teachers",
        title="Rationales by teacher",
        head=("teacher", "questions", "prompt", ">rationales", ">failed", ">cut off", ">characters",
              ">tokens in", ">tokens out", ">seconds", with_currency(">cost", currency)),
        groups=(Group(rows=tuple(map(_teacher, teachers))),),
        notes=("Cut off: truncated at the token limit. Characters: the mean length of a rationale.", *_texts(teachers)),
    )  # fmt: skip


def _texts(teachers: Iterable[TeacherCosts]) -> Iterator[str]:
    sampled = [one for one in teachers if one.read < one.rationales]
    if sampled:
        parts = [f"{one.read:,} of {one.rationales:,} of {one.teacher}" for one in sampled]
        yield f"Cut off, characters and seconds: of a random sample of the rationales, {', '.join(parts)}."


def _teacher(one: TeacherCosts) -> TableRow:
    texts = (
        f"{one.dataset}/{one.split}",
        one.recipe,
        f"{one.rationales:,}",
        f"{one.failures:,}",
        _count(one.cut_off),
        f"{one.mean_characters:.0f}",
        _count(one.prompt_tokens),
        _count(one.completion_tokens),
        "–" if one.seconds is None else f"{one.seconds:.0f}",
        money(one.cost, one.partly),
    )
    return TableRow(label=one.teacher, note=one.model, cells=tuple(TableCell(text=text) for text in texts))


def _count(tokens: int | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"


def run_sheet(runs: Sequence[Run]) -> Sheet:
    labels = run_labels(runs)
    head = (">run", "settings", "data set", "alpha", ">seed", "state", ">seconds", ">questions/s", ">GB", "data digest")
    return Sheet(
        name="runs",
        title="Trainings",
        head=("student", *head),
        groups=(Group(rows=tuple(_run(run, labels[run.id]) for run in runs)),),
        notes=(
            "GB: peak memory of a training, of the GPU where there was one.",
            "The digest changes with the training questions and their order.",
        ),
    )


def _run(run: Run, label: str) -> TableRow:
    seconds, speed = run.metrics.get("training_seconds"), run.metrics.get("questions_per_second")
    peak = run.metrics.get("peak_memory")
    texts = (
        str(run.id),
        label,
        run.dataset,
        alpha_text(run) or "–",
        str(run.seed),
        run.state + (f": {run.error}" if run.error else ""),
        "–" if seconds is None else f"{seconds:.0f}",
        "–" if speed is None else f"{speed:.1f}",
        f"{(peak.get('gpu') or peak['host']) / 1e9:.1f}" if peak else "–",
        run.settings.data or "–",
    )
    return TableRow(label=short(run.student), cells=tuple(TableCell(text=text) for text in texts))
