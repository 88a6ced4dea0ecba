"""The curves of a training in TensorBoard, W&B, Trackio or MLflow, through accelerate's own integrations."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.training.progress import Progress

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")


class Tracker:
    """Sends the new part of a run's progress to one of `TRACKERS`. Files, where it writes any, go to `folder`."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        """Raises UsageProblem when the tracker's package is missing."""
        if importlib.util.find_spec(name) is None:
            raise UsageProblem(f"--track {name} needs the package {name}.", f"Install it: pip install {name}")
        self._name, self._folder, self._settings = name, folder, settings
        self._tracker: Any = None
        self._step = 0
        self._valid = 0

    def __call__(self, progress: Progress) -> None:
        if self._tracker is None:
            self._tracker = self._started(progress)
        report = progress.report
        if report is not None and report.step > self._step:  # an evaluation repeats its step
            self._step = report.step
            values = {f"loss/{task}": loss for task, loss in report.losses.items()}
            self._tracker.log({**values, "tokens per second": report.tokens / report.seconds}, step=report.step)
        for point in progress.valid[self._valid :]:
            self._tracker.log({"valid accuracy": point.accuracy, "valid loss": point.loss}, step=point.step)
        self._valid = len(progress.valid)

    def finish(self) -> None:
        if self._tracker is not None:
            self._tracker.finish()

    def _started(self, progress: Progress) -> Any:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # the integrations ask it which process they are in
        kind = LOGGER_TYPE_TO_CLASS[self._name]
        run = Path(progress.run.folder).name
        arguments = {"logging_dir": str(self._folder)} if kind.requires_logging_directory else {}
        tracker = kind(run, **arguments)
        tracker.start()
        tracker.store_init_configuration({name: str(value) for name, value in self._settings.items()})
        return tracker
