"""`export_data`: questions with the rationales that `distill` would learn, for other trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.api.training import DistillOptions, plan_distillation
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import OnEvent, ignore_events
from tinyllm_cli.export.data_files import FileKind
from tinyllm_cli.export.data_rows import RowFormat


@dataclass(frozen=True, kw_only=True)
class DataExportResult:
    """Exported training data: rows by split, and which rationales they have, by teacher, as a run records it. `tasks`
    are the lm-evaluation-harness tasks in the folder's `lm-eval`, for decoder-only and for encoder-decoder models; none
    without a test split."""

    folder: str
    dataset: str
    format: RowFormat
    files: FileKind
    rows: dict[str, int]
    rationales: Mapping[str, Mapping[str, Any]]
    tasks: tuple[str, ...]


def export_data(
    project: Project, out: Path, *, form: RowFormat = "messages", files: FileKind = "jsonl",
    on_event: OnEvent = ignore_events, **options: Unpack[DistillOptions],
) -> DataExportResult:  # fmt: skip
    """Write the training data of `distill` with these options to the new folder `out`: the same questions, gates, human
    verdicts, selection and splits. Valid and test have the answers alone; the test split is an lm-evaluation-harness
    task as well.

    Raises UsageProblem for a method that trains on no rationales, and an existing folder."""
    from tinyllm_cli.export.data_files import DataFolder, data_card, write_data
    from tinyllm_cli.export.data_rows import answer_rows, training_rows
    from tinyllm_cli.export.lm_eval_task import task_names

    if options.get("method") in ("standard-kd", "pinto"):
        raise UsageProblem(f"--method {options['method']} trains on no rationales.", "Leave it out.")
    planned = plan_distillation(project, on_event=on_event, **options)
    dataset, data = planned.plan.dataset, planned.data
    test = list(project.store.questions.iterate(dataset, "test"))
    rows = {
        "train": list(
            training_rows(data.training_questions, form, {one.teacher: one.alpha for one in planned.plan.active})
        ),
        "valid": list(answer_rows(data.valid, form)),
        "test": list(answer_rows(test, form)),
    }
    counts = {split: len(own) for split, own in rows.items() if own}
    card = data_card(dataset, counts, files, data.lineage)
    write_data(out.expanduser(), DataFolder(name=dataset, form=form, kind=files, splits=rows, card=card, test=test))
    return DataExportResult(
        folder=str(out), dataset=dataset, format=form, files=files, rows=counts, rationales=data.lineage,
        tasks=task_names(dataset) if test else (),
    )  # fmt: skip
