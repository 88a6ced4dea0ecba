"""A state on disk: whatever breaks off the writing of the next one, at whatever line, one of the two is whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.models import make_folder
from tests.training.test_trainer import taught
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.training import checkpoint
from tinyllm_cli.training.checkpoint import restore_state, save_state
from tinyllm_cli.training.steps import Training

ON_DISK = (checkpoint.__file__, shutil.__file__)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    student = load_student(str(make_folder(tmp_path_factory.mktemp("student"), "causal")))
    training = Training(student, taught(student), TrainSettings(epochs=1, batch_size=4, precision="float32"))
    list(training.steps())
    return training


def interrupted_training(work: Callable[[], None], line: int, end: Callable[[], None]) -> bool:
    """Do `work`, and call `end` before its so manieth line that touches the disk. Whether it came so far."""
    left = line

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in ON_DISK or frame.f_code.co_name == "_optimizer_state":
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                end()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except (KeyboardInterrupt, OSError):  # shutil closes a folder twice when it is interrupted just after
        pass
    finally:
        sys.settrace(before)
    return left <= 0


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os._exit(1)


@pytest.mark.parametrize(("end", "same_step"), [(interrupt, False), (interrupt, True), (kill, True)])
def test_what_ends_a_save_at_any_line_leaves_a_whole_state(
    training: Training, tmp_path: Path, end: Callable[[], None], same_step: bool
) -> None:
    """Of the same step again as well: that is what Ctrl-C saves where the step's state is there already."""
    steps, attempt, interrupted = training.done, 0, True
    save_state(tmp_path / "before", training, {"attempt": 0})
    while interrupted:
        attempt += 1
        folder = tmp_path / str(attempt)
        shutil.copytree(tmp_path / "before", folder)
        training.done = steps if same_step else steps + 1
        child = os.fork() if end is kill else 0
        if not child:
            interrupted = interrupted_training(
                partial(save_state, folder, training, {"attempt": attempt}), attempt, end
            )
            if end is kill:
                os._exit(int(interrupted))
        else:
            interrupted = bool(os.waitpid(child, 0)[1])
        training.done = steps
        notes = restore_state(folder, training)
        assert notes is not None
        assert notes["attempt"] in (0, attempt)
    assert attempt > 20
    assert notes["attempt"] == attempt
    assert len(list(folder.iterdir())) == 1
