"""How long commands make a person wait: --help of each, import of real data, report on 100,000 rationales.

.venv/bin/python benchmarks/commands.py [FOLDER WITH QUESTIONS AND RATIONALES]
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backends.base import Completion, Sampling
from tinyllm_cli.cli.commands import COMMANDS
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.store import open_store
from tinyllm_cli.store.rationales import Settled

REPEATS = 5


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """The best of several runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def command(*arguments: str, cwd: Path) -> None:
    tinyllm = Path(sys.executable).parent / "tinyllm"
    subprocess.run([tinyllm, *arguments], cwd=cwd, capture_output=True, check=True)


def show(what: str, ours: float, reference: str, theirs: float) -> None:
    print(f"{what}: {ours:.3f} s; {reference}: {theirs:.3f} s; ratio {ours / theirs:.1f}")


BARE = """
import typer
app = typer.Typer(rich_markup_mode="markdown")
@app.command()
def one(name: str = typer.Option("x", help="A name.")):
    "Help."
@app.command()
def two(name: str = typer.Option("x", help="A name.")):
    "Help."
app()
"""


def processor(words: Sequence[str | Path], folder: Path) -> float:
    """The processor time of a process: wall time depends on what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def help_times(folder: Path) -> None:
    """--help of every command against that of a bare Typer app, in turns: its list, and a command with one option."""
    tinyllm = Path(sys.executable).parent / "tinyllm"
    for name in ("", *COMMANDS):
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(REPEATS):
            ours.append(processor([tinyllm, *filter(None, [name]), "--help"], folder))
            bare.append(processor([sys.executable, "-c", BARE, *(["one"] if name else []), "--help"], folder))
        show(f"tinyllm {name} --help (processor)", min(ours), "a bare app's", min(bare))


def import_time(folder: Path, data: Path) -> None:
    def ours() -> None:
        (folder / "import.db").unlink(missing_ok=True)
        command("import", str(data), "--name", "bench", "--db", "import.db", cwd=folder)

    def bare() -> None:
        (folder / "bare.db").unlink(missing_ok=True)
        files = [*data.glob("*.jsonl*"), *data.glob("rationales/*")]
        with sqlite3.connect(folder / "bare.db") as connection:
            connection.execute("CREATE TABLE rows (id TEXT, row TEXT)")
            for file in files:
                rows = ((str(row["id"]), json.dumps(row)) for row in read_rows(file))
                connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)

    show(f"tinyllm import {data.name}", seconds(ours, 3), "the same rows parsed and inserted bare", seconds(bare, 3))


def report_time(folder: Path, count: int = 100_000) -> None:
    path = folder / "report.db"
    asked = [
        Question(dataset="b", split="train", key=str(n), text=f"Question {n}?", options=("yes", "no"), answer=n % 2)
        for n in range(count)
    ]
    with open_store(path) as store:
        store.questions.replace("b", "benchmark", "1", asked)
        asking = ElicitationConfig(teacher="t", backend="scripted", model="m", revision="", sampling=Sampling())
        store.rationales.add_asking(asking)
        reply = Completion(text="It follows from what it is for. " * 5, finish_reason="stop", completion_tokens=40)
        with store.atomic():
            prompts = [recorded_prompt(question, teacher_forcing=True) for question in asked]
            store.rationales.add(asking, [Settled(prompt=one, sample=0, outcome=reply) for one in prompts])

    def bare() -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(
                "SELECT teacher, count(*), sum(length(text)) FROM rationales GROUP BY teacher"
            ).fetchall()

    ours = seconds(lambda: command("report", "--db", "report.db", "--html", "report.html", cwd=folder))
    show(f"tinyllm report --html on {count:,} rationales", ours, "one bare GROUP BY over them", seconds(bare))


def main() -> None:
    os.environ.pop("TINYLLM_DB", None)
    with tempfile.TemporaryDirectory() as name:
        help_times(Path(name))
        if len(sys.argv) > 1:
            import_time(Path(name), Path(sys.argv[1]).resolve())
        report_time(Path(name))


if __name__ == "__main__":
    main()
