"""Export one run's student: write it under a temporary name, check it, and only then call it what was asked for."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

from tinyllm_cli import __version__
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem, WorldProblem, choices
from tinyllm_cli.export.check import AnswerAgreement, Format, compare, predictions_of
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.training.model_card import input_lines, read_beside
from tinyllm_cli.training.pinto import load_extra_context

FORMATS = {"onnx": "to_onnx", "ctranslate2": "to_ctranslate2", "gguf": "to_gguf"}
OnExported = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    folder: Path
    split: str
    megabytes_before: float
    megabytes: float
    agreements: tuple[AnswerAgreement, ...]


def find_format(name: str) -> Format:
    """The module that knows this format.

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


def export(
    store: Store, run: Run, format_name: str, out: Path, *, int8: bool, questions: int, watch: OnExported
) -> Exported:
    """Write the run's student to `out` in another format, once it has answered as the student does.

    Raises WorldProblem when a lossless export answers otherwise; it is kept beside `out` then."""
    module = find_format(format_name)
    if os.path.lexists(out):
        raise UsageProblem(f"{out} is there already.", "Choose another --out, or move it away.")
    split, asked = _questions(store, run, questions)
    beside = read_beside(run)
    extra_context = (
        load_extra_context(store, beside, run.dataset, split, questions).extra_context if beside else NO_EXTRA_CONTEXT
    )
    limits = Limits.of(run.settings.train)
    student = load_student(run.folder, device="cpu")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        watch(f"Asking the student {len(asked)} questions of {run.dataset}, split {split}.")
        before = predictions_of(student, asked, limits, extra_context, text=module.WRITES_TEXT)
        watch(f"Writing {format_name}.")
        module.write(student, run.folder, temporary, int8)
        watch("Asking what was written the same questions.")
        agreements = tuple(compare(before, module.load(temporary, student), asked, limits, extra_context))
        if format_name != "gguf":  # a GGUF file carries its tokenizer
            student.tokenizer.save_pretrained(temporary)
        exported = Exported(
            folder=out,
            split=split,
            megabytes_before=_megabytes(Path(run.folder)),
            megabytes=_megabytes(temporary),
            agreements=agreements,
        )
        (temporary / "README.md").write_text(_readme(run, format_name, module, exported, int8), encoding="utf-8")
        temporary.chmod(0o755)
        if not int8 and not all(agreement.lossless for agreement in agreements):
            _reject(temporary, out, agreements)
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return exported


def _installed(requirement: str) -> bool:
    try:
        importlib.metadata.version(requirement.partition(">=")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _questions(store: Store, run: Run, number: int) -> tuple[str, list[Question]]:
    """Of the run's own data set: valid, so that test is left to `eval`; else test; else train."""
    sizes = store.questions.splits(run.dataset)
    split = next((split for split in ("valid", "test", "train") if sizes.get(split)), None)
    if split is None:
        raise UsageProblem(
            f"The data set {run.dataset} has no questions in the database any more, so the export can't be checked.",
            f"Bring them back: tinyllm import FILE --name {run.dataset}",
        )
    return split, list(store.questions.iterate(run.dataset, split, number))


def _reject(temporary: Path, out: Path, agreements: Sequence[AnswerAgreement]) -> None:
    names = (f"{out.name}-rejected{f'-{number}' if number > 1 else ''}" for number in count(1))
    aside = next(out.with_name(name) for name in names if not out.with_name(name).exists())
    temporary.rename(aside)
    worst = min(agreements, key=lambda agreement: agreement.same)
    far = max(agreement.largest_difference or 0.0 for agreement in agreements)
    raise WorldProblem(
        f"The export answers otherwise than the student: {worst.same} of {worst.questions} alike ({worst.scoring}),"
        f" scores up to {far:.2g} apart.",
        f"It is kept at {aside}, not at {out}. Please report it with the versions that `pip list` shows.",
    )


def _readme(run: Run, format_name: str, module: Format, exported: Exported, int8: bool) -> str:
    lines = [
        f"# Run {run.id}, {run.student} on {run.dataset}, as {format_name}",
        "",
        f"Exported by tinyllm {__version__}{' with int8 weights' if int8 else ''}. Compared with the student on"
        f" {exported.agreements[0].questions} questions ({run.dataset}, split {exported.split}):",
        "",
        "| scoring | answered alike | right before | right after |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.scoring} | {one.same} | {one.correct_before} | {one.correct_after} |" for one in exported.agreements
    ]
    lines += [
        "",
        "INPUT is written as the student learned it:",
        "",
        *input_lines(run),
        "    Context: TEXT",
        "",
        "The last line is left out where a question has no context. A causal student continues after a further line"
        " `Answer:`.",
        "",
        module.USAGE.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
