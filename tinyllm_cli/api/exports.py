"""`export`: a run's student in another runtime's format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.events import Notice, OnEvent, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.export.export import Exported


class ExportOptions(TypedDict, total=False):
    """Keywords of `export`."""

    run: int | None
    """Default: the latest finished run."""

    quantize: Literal["int8"] | None
    """int8: smaller, and faster on a CPU, at some cost in accuracy; default: None."""

    questions: int
    """How many questions the export is checked on; default: 50."""


def export(
    project: Project, to: str, out: str | Path, *, on_event: OnEvent = ignore_events, **options: Unpack[ExportOptions]
) -> Exported:
    """Write the student as onnx, ctranslate2 or gguf to the folder `out`, and compare its answers with the student's.

    Raises UsageProblem for an unknown format or an existing folder, and WorldProblem when the answers differ."""
    from tinyllm_cli.export.export import ExportConfig, find_format
    from tinyllm_cli.export.export import export as run_export
    from tinyllm_cli.training.run_lookup import run_with_student

    find_format(to)
    run = run_with_student(project.store, options.get("run"))
    config = ExportConfig(
        format=to, out=Path(out).expanduser(), int8=options.get("quantize") == "int8",
        questions=options.get("questions", 50),
    )  # fmt: skip
    return run_export(project.store, run, config, lambda text: on_event(Notice(message=text)))
