"""What commands cost as the store grows: import, gate, audit, resumed elicit, report, the start of a training.

.venv/bin/python benchmarks/growth.py [--sizes 10000,100000] [--rationales 3] [--keep FOLDER]

Every size is a data set of its own in a database of its own: synthetic questions of four options, and recorded
rationales of 10 to 120 words, as real teachers write. A command is a process; its processor time (with its children)
and its peak memory are compared, since wall time depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TINYLLM = Path(sys.executable).parent / "tinyllm"
WORDS = (Path(__file__).parent / "README.md").read_text(encoding="utf-8").split()
CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command took. `memory` in bytes, of the process that had most."""

    seconds: float
    processor: float
    memory: int


def cost(command: Sequence[object], folder: Path) -> Cost:
    """Run a command. A process between counts its children, and no others."""
    script = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))\n"
        "done.returncode and sys.exit(done.stderr)\n"
    )
    words = [sys.executable, "-c", script, *map(str, command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    seconds, processor, memory = json.loads(done.stdout)
    return Cost(seconds=seconds, processor=processor, memory=memory)


def text(rng: random.Random, least: int, most: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most))) + "."


def write(folder: Path, count: int, teachers: int) -> None:
    """A data set and the rationales that `teachers` wrote for its training questions."""
    rng = random.Random(count)
    (folder / "rationales").mkdir(parents=True)
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            options = [f"{text(rng, 1, 3)} {place}" for place in range(4)]
            row = {"id": number, "question": f"{text(rng, 8, 25)} {number}?", "options": options, "answer_index": 0}
            file.write(json.dumps(row) + "\n")
    for teacher in range(teachers):
        path = folder / "rationales" / f"teacher{teacher}.train.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number in range(count):
                row = {"id": number, "split": "train", "teacher": f"teacher{teacher}", "rationale": text(rng, 10, 120)}
                file.write(json.dumps(row) + "\n")


def measure(folder: Path, count: int, teachers: int) -> dict[str, Cost]:
    write(folder / "questions", count, 0)
    write(folder / "data", count, teachers)
    (folder / "tinyllm.toml").write_text(
        '[teachers.written]\nbackend = "scripted"\nreplies = ["It follows from what it is for."]\n', encoding="utf-8"
    )
    teacher = ("--teacher", "written", "--dataset", "data", "--icl", "0")
    found = {"import, questions only": cost([TINYLLM, "import", "questions", "--db", "bare.db"], folder)}
    found["import"] = cost([TINYLLM, "import", "data"], folder)
    found["gate"] = cost([TINYLLM, "gate", "--dataset", "data"], folder)
    found["audit"] = cost([TINYLLM, "audit", "--dataset", "data"], folder)
    found["elicit, all answers new"] = cost([TINYLLM, "elicit", *teacher], folder)
    found["elicit, no answer missing"] = cost([TINYLLM, "elicit", *teacher], folder)
    found["report --html"] = cost([TINYLLM, "report", "--html", "report.html"], folder)
    found["list"] = cost([TINYLLM, "list"], folder)
    found["inspect one question"] = cost([TINYLLM, "inspect", "7", "--dataset", "data"], folder)
    start = ("distill", "--dataset", "data", "--limit", str(min(count, 10_000)), "--dry-run", "--alpha", "teacher0=1")
    found["distill --limit 10000 --dry-run"] = cost([TINYLLM, *start], folder)
    size = (folder / "tinyllm.db").stat().st_size
    print(f"{count:,} questions, {count * teachers:,} rationales: database {size / 1e6:.0f} MB,", end=" ")
    print(f"report {(folder / 'report.html').stat().st_size / 1e6:.2f} MB")
    return found


def show(sizes: Sequence[int], results: Sequence[dict[str, Cost]]) -> None:
    """A row for each command: processor seconds and peak memory at each size, and how much more the largest took."""
    print("| command | " + " | ".join(f"{size:,}: s, MB" for size in sizes) + " | growth, times the questions |")
    print("| --- |" + " --- |" * (len(sizes) + 1))
    more = sizes[-1] / sizes[0]
    for name in results[0]:
        costs = [result[name] for result in results]
        cells = [f"{one.processor:.1f} (wall {one.seconds:.1f}), {one.memory / 1e6:.0f}" for one in costs]
        growth = costs[-1].processor / costs[0].processor / more
        print(f"| {name} | " + " | ".join(cells) + f" | {growth:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="questions, from few to many")
    parser.add_argument("--rationales", type=int, default=3, help="teachers, each with a rationale per question")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, which are removed otherwise")
    asked = parser.parse_args()
    os.environ.pop("TINYLLM_DB", None)
    sizes = [int(size) for size in asked.sizes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        parent = asked.keep or Path(name)
        results = []
        for size in sizes:
            folder = parent / str(size)
            folder.mkdir(parents=True)
            started = time.perf_counter()
            results.append(measure(folder, size, asked.rationales))
            print(f"measured in {time.perf_counter() - started:.0f} s", flush=True)
    show(sizes, results)
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
