"""Export one run's student: write it under a temporary name, check it, and only then rename it to the wanted name."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

from tinyllm_cli import __version__
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import Busy, UsageProblem, WorldProblem, choices, command_text
from tinyllm_cli.export.check import AnswerAgreement, Asked, Format, answers_of, compare
from tinyllm_cli.export.leftovers import remove_leftovers, temporary_folder
from tinyllm_cli.files import exclusive
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.training.model_card import input_lines, read_beside
from tinyllm_cli.training.pinto import load_extra_context

FORMATS = {"onnx": "to_onnx", "ctranslate2": "to_ctranslate2", "gguf": "to_gguf"}
OnExported = Callable[[str], None]
"""Called with a sentence for each step."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What to write where. `questions` of the run's data set check the export; with `int8` it may differ from the
    student."""

    format: str
    out: Path
    int8: bool = False
    questions: int = 50


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A checked export. `split` is where its questions are from; sizes are in megabytes."""

    run: int
    folder: Path
    split: str
    megabytes_before: float
    megabytes: float
    agreements: tuple[AnswerAgreement, ...]


def find_format(name: str) -> Format:
    """The module of a format.

    Raises UsageProblem when there is none, or when what it needs is not installed."""
    if name not in FORMATS:
        raise UsageProblem(f"tinyllm can't export to '{name}'.", f"Formats: {choices(FORMATS)}.")
    module = cast(Format, importlib.import_module(f"tinyllm_cli.export.{FORMATS[name]}"))
    missing = [requirement for requirement in module.NEEDS if not _installed(requirement)]
    if missing:
        quoted = " ".join(f"'{requirement}'" for requirement in module.NEEDS)
        packages = ", ".join(requirement.partition(">=")[0] for requirement in missing)
        raise UsageProblem(f"Exporting to {name} needs {packages}.", f"Run: pip install {quoted}")
    return module


def export(store: Store, run: Run, config: ExportConfig, watch: OnExported) -> Exported:
    """Write the run's student in another format, after checking that it answers as the student does.

    Raises UsageProblem when the folder exists, Busy when another process exports to it, and WorldProblem when the
    student's scores are not finite or a lossless export answers differently; that export is kept beside `out`."""
    out = config.out
    find_format(config.format)
    if any("\ud800" <= character <= "\udfff" for character in str(out)):
        raise UsageProblem(f"{str(out)!a} is not valid UTF-8.", "Choose another --out: the formats' libraries need it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(out) as ours:
        if not ours:
            raise Busy(f"Another process exports to {out}.", "Wait until it has ended, or choose another --out.")
        if os.path.lexists(out):
            raise UsageProblem(f"{out} exists already.", "Choose another --out, or move it away.")
        remove_leftovers(out, watch)
        with temporary_folder(out) as temporary:
            exported = _write_and_check(store, run, config, temporary, watch)
            temporary.chmod(0o755)
            if not config.int8 and not all(agreement.lossless for agreement in exported.agreements):
                _reject(temporary, out, exported.agreements)
            temporary.rename(out)
    return exported


def _write_and_check(store: Store, run: Run, config: ExportConfig, temporary: Path, watch: OnExported) -> Exported:
    module = find_format(config.format)
    split, asked = _questions(store, run, config.questions)
    teachers = read_beside(run)
    extra_context = (
        load_extra_context(store, teachers, run.dataset, split, config.questions).extra_context
        if teachers
        else NO_EXTRA_CONTEXT
    )
    answered = Asked(
        questions=asked, limits=Limits.of(run.settings.train), extra_context=extra_context, student=f"run {run.id}"
    )
    student = load_student(run.folder, device="cpu")
    watch(f"Asking the student {len(asked)} questions of {run.dataset}, split {split}.")
    before = answers_of(student, answered, text=module.WRITES_TEXT)
    watch(f"Writing {config.format}.")
    module.write(student, run.folder, temporary, config.int8)
    watch("Asking the export the same questions.")
    agreements = tuple(compare(before, module.load(temporary, student), answered))
    if config.format != "gguf":  # a GGUF file contains its tokenizer
        student.tokenizer.save_pretrained(temporary)
    exported = Exported(
        run=run.id,
        folder=config.out,
        split=split,
        megabytes_before=_megabytes(Path(run.folder)),
        megabytes=_megabytes(temporary),
        agreements=agreements,
    )
    (temporary / "README.md").write_text(_readme(run, config, module, exported), encoding="utf-8")
    return exported


def _installed(requirement: str) -> bool:
    try:
        importlib.metadata.version(requirement.partition(">=")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _questions(store: Store, run: Run, number: int) -> tuple[str, list[Question]]:
    """Questions of the run's data set: valid, so that test is used by `eval` alone; else test; else train."""
    sizes = store.questions.splits(run.dataset)
    split = next((split for split in ("valid", "test", "train") if sizes.get(split)), None)
    if split is None:
        raise UsageProblem(
            f"The data set {run.dataset} has no questions in the database any more, so the export can't be checked.",
            f"Import them again: {command_text('import', 'FILE', '--name', run.dataset)}",
        )
    return split, list(store.questions.iterate(run.dataset, split, number))


def _reject(temporary: Path, out: Path, agreements: Sequence[AnswerAgreement]) -> None:
    names = (f"{out.name}-rejected{f'-{number}' if number > 1 else ''}" for number in count(1))
    aside = next(out.with_name(name) for name in names if not out.with_name(name).exists())
    temporary.rename(aside)
    worst = min(agreements, key=lambda agreement: agreement.same)
    far = max(agreement.largest_difference or 0.0 for agreement in agreements)
    raise WorldProblem(
        f"The export answers differently from the student: {worst.same} of {worst.questions} equal ({worst.scoring}),"
        f" scores up to {far:.2g} apart.",
        f"It is kept at {aside}, not at {out}. Please report it with the versions that `pip list` shows.",
    )


def _readme(run: Run, config: ExportConfig, module: Format, exported: Exported) -> str:
    lines = [
        f"# Run {run.id}, {run.student} on {run.dataset}, as {config.format}",
        "",
        f"Exported by tinyllm {__version__}{' with int8 weights' if config.int8 else ''}. Compared with the student on"
        f" {exported.agreements[0].questions} questions ({run.dataset}, split {exported.split}):",
        "",
        "| scoring | equal answers | correct before | correct after |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.scoring} | {one.same} | {one.correct_before} | {one.correct_after} |" for one in exported.agreements
    ]
    lines += [
        "",
        "INPUT has the form that the student was trained on:",
        "",
        *input_lines(run),
        "    Context: TEXT",
        "",
        "Without a context the last line is left out. For a causal student add a line `Answer:`, which it continues.",
        "",
        module.USAGE.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
