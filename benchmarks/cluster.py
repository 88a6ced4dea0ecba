"""Teachers on a Ray cluster: what the driver commits per second, and what a replica costs against the backend alone.

    python benchmarks/cluster.py FOLDER scale [QUESTIONS [REPLICAS [SHARED]]]   # answers/s and peak memory; minutes
    python benchmarks/cluster.py FOLDER replicas                       # one and two replicas of sleeping engines
    python benchmarks/cluster.py FOLDER model                          # the embedded model with and without Ray

A cluster of two nodes runs on this machine. Each way runs in a process of its own; FOLDER gets the databases.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PEAK = """
import re, sys
from pathlib import Path
from tinyllm_cli.cli import main
try:
    main()
finally:
    print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
REPLY = " ".join(["because"] * 60)


@contextmanager
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes, with as many CPUs as anybody asks for."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})  # without Ray it is 0 as well
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 500, "object_store_memory": 80_000_000, "include_dashboard": False}
    running = Cluster(initialize_head=True, head_node_args=head)
    running.add_node(num_cpus=500, object_store_memory=80_000_000)
    try:
        yield str(running.address)
    finally:
        running.shutdown()


def configure(folder: Path, address: str, replicas: int, delay: float) -> None:
    lines = f'[teachers.t]\nbackend = "scripted"\nreplies = ["{REPLY}"]\ndelay = {delay}\n'
    if replicas:
        lines += f'[teachers.t.cluster]\naddress = "{address}"\nreplicas = {replicas}\nnum_cpus = 1\n'
    (folder / "tinyllm.toml").write_text(lines, encoding="utf-8")


def write_questions(folder: Path, count: int) -> None:
    """Questions of an ordinary length."""
    target = folder / f"q{count}"
    if target.exists():
        return
    target.mkdir()
    with (target / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            text = f"Question {number}: which of these things belongs to the kitchen of a house in the country?"
            row = {"id": str(number), "question": text, "options": [f"thing {number} {c}" for c in "abcd"]}
            file.write(json.dumps({**row, "answer_index": number % 4}) + "\n")


def elicit(folder: Path, count: int, shared: int = 0) -> tuple[float, float, int]:
    """Seconds from the first answer to the last, answers per second between them, and the peak memory in MB. `shared`
    replicas are in one process of Ray, unless 0."""
    import sqlite3

    db = folder / "t.db"
    for path in folder.glob("t.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parent), "TINYLLM_SHARED": str(shared)}
    base = [sys.executable, "-c", PEAK]
    where = ["--db", str(db), "--quiet"]
    subprocess.run([*base, "import", f"q{count}", *where], cwd=folder, env=environment, check=True, capture_output=True)
    asking = [sys.executable, str(here / "shared_processes.py")] if shared else base
    done = subprocess.run(
        [*asking, "elicit", "-t", "t", "-d", f"q{count}", *where], cwd=folder, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    with sqlite3.connect(db) as opened:
        stored, seconds = opened.execute(
            "SELECT count(*), (julianday(max(created)) - julianday(min(created))) * 86400 FROM rationales"
        ).fetchone()
    assert stored == count
    return seconds, count / max(seconds, 1), int(re.findall(r"peak (\d+)", done.stdout)[-1]) // 1024


def scale(folder: Path, count: int, replicas: int, shared: int) -> None:
    """`replicas` that answer 10,000 questions a second together, and the same teacher without Ray and without delay."""
    for size in (count // 5, count):
        write_questions(folder, size)
    configure(folder, "", 0, 0.0)
    seconds, rate, peak = elicit(folder, count // 5)
    print(f"without Ray, {count // 5:,} questions: {seconds:.0f} s, {rate:,.0f} answers/s, peak {peak} MB", flush=True)
    with cluster() as address:
        for size in (count // 5, count):
            configure(folder, address, replicas, replicas / 10_000)
            seconds, rate, peak = elicit(folder, size, shared)
            print(
                f"{replicas} replicas, {size:,} questions: {seconds:.0f} s, {rate:,.0f} answers/s, peak {peak} MB",
                flush=True,
            )


def replicas_of_sleepers(folder: Path) -> None:
    """Engines that answer 20 questions a second, so that cores don't matter."""
    count = 600
    write_questions(folder, count)
    rates = {}
    configure(folder, "", 0, 0.05)
    rates[0] = elicit(folder, count)[1]
    print(f"without Ray: {rates[0]:.1f} answers/s", flush=True)
    with cluster() as address:
        for replicas in (1, 2, 4):
            configure(folder, address, replicas, 0.05)
            rates[replicas] = elicit(folder, count)[1]
            print(f"{replicas} replicas: {rates[replicas]:.1f} answers/s, {rates[replicas] / rates[0]:.2f}", flush=True)


def model() -> None:
    """Tokens per second of the embedded model, in turns."""
    from backends import create, create_on_cluster
    from backends.base import Message, Request, Sampling, Teacher
    from backends.cluster.settings import ClusterSettings

    def requests(count: int) -> list[Request]:
        prompt = "Explain in one sentence why the sky is blue, and why it is red in the evening."
        messages = (Message(role="user", content=prompt),)
        return [Request(split="train", key=str(number), messages=messages) for number in range(count)]

    def speed(teacher: Teacher) -> float:
        sampling = Sampling(max_tokens=48)
        list(teacher.generate(requests(8), sampling))  # loads the model
        started, tokens = time.perf_counter(), 0
        for answers in teacher.generate(requests(96), sampling):
            tokens += sum(outcome.completion_tokens or 0 for _, outcome in answers)
        return tokens / (time.perf_counter() - started)

    settings: dict[str, Any] = {"model": "smollm2", "batch_size": 8}
    with cluster() as address:
        here = create("huggingface", settings)
        there = create_on_cluster("huggingface", settings, ClusterSettings(address=address))
        found: dict[str, list[float]] = {"alone": [], "one replica": []}
        for _ in range(3):
            found["alone"].append(speed(here))
            found["one replica"].append(speed(there))
            print({name: [round(one, 1) for one in rates] for name, rates in found.items()}, flush=True)
        there.close()
        best = {name: max(rates) for name, rates in found.items()}
        print(f"ratio of the best: {best['one replica'] / best['alone']:.3f}")


if __name__ == "__main__":
    where, what, *rest = Path(sys.argv[1]).resolve(), *sys.argv[2:]
    where.mkdir(parents=True, exist_ok=True)
    if what == "scale":
        scale(where, *(int(given) for given in [*rest, *("50000", "20", "0")[len(rest) :]]))
    elif what == "replicas":
        replicas_of_sleepers(where)
    else:
        model()
