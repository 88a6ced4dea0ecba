"""Teachers on a Ray cluster of several nodes on this machine: what they write is stored once, whatever dies."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backends import create, create_on_cluster
from backends.base import Completion, Message, Replicated, Request, Sampling
from backends.cluster.session import Session
from backends.cluster.settings import ClusterSettings
from tests.conftest import ROOT, Command, answers, environment, start, write_dataset
from tests.processes import MARK, VISIBLE, gone, kill_all, marked, new_mark, wait_until
from tests.real.clusters import start_node

pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("engine"),
]
ROUNDS = int(os.environ.get("TINYLLM_SOAK_ROUNDS", "4"))
ELICIT = ("elicit", "--teacher", "slow", "--dataset", "toy")


PLUGIN = {
    "moody.py": """
import os, time
from pathlib import Path
from backends.base import Completion

class Moody:
    def __init__(self, settings):
        self._folder = Path(settings["folder"])
    def identity(self):
        return {"model": "moody", "revision": ""}
    def describe(self):
        return {}
    def generate(self, requests, sampling):
        number = 0
        while True:
            try:
                os.mkdir(self._folder / f"replica-{number}")
                break
            except FileExistsError:
                number += 1
        if number:
            time.sleep(1)
            raise RuntimeError("not today")
        for request in requests:
            (self._folder / f"taken-{request.key.partition('-')[2]}").touch()
            time.sleep(0.2)
            yield [(request, Completion(text="so", finish_reason="stop"))]
    def close(self):
        pass
""",
    "moody-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n",
    "moody-1.0.dist-info/entry_points.txt": "[tinyllm.backends]\nmoody = moody:Moody\n",
}
"""A package with a backend, of which only the first replica works."""


class Nodes:
    """A cluster whose head has no CPUs, and nodes with two each."""

    def __init__(self, mark: str, environment: dict[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self.environment = {**environment, MARK: mark}
        self.mark = mark
        self._cluster = Cluster()
        start_node(self._cluster, num_cpus=0, include_dashboard=False)
        self.address = str(self._cluster.address)
        self.workers: list[Any] = []

    def at_least(self, count: int) -> None:
        while len(self.workers) < count:
            self.workers.append(self.start())

    def start(self) -> Any:
        """One more node, which is not counted."""
        return start_node(self._cluster, num_cpus=2)

    def remove(self, node: Any) -> None:
        """As if its machine had lost power."""
        if node in self.workers:
            self.workers.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def actors(self) -> list[int]:
        """The processes of replicas."""
        return [pid for pid, line in marked(self.mark).items() if line.startswith("ray::") and "Actor" in line]

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of nodes and drivers."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "moody-1.0.dist-info").mkdir()
    for name, text in PLUGIN.items():
        (folder / name).write_text(text, encoding="utf-8")
    own = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    return environment(**own, **VISIBLE)


@pytest.fixture(scope="module")
def nodes(settings: dict[str, str]) -> Iterator[Nodes]:
    mark = new_mark()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, MARK: mark}.items():
            patch.setenv(name, value)
        running = Nodes(mark, settings)
        running.at_least(2)
        yield running
        running.shutdown()
    try:
        gone(mark)
    finally:
        kill_all(mark)


def configure(folder: Path, address: str, *, delay: float = 0.02, questions: int = 40, **cluster: object) -> None:
    table = {"address": address, "replicas": 4, "num_cpus": 1, "start_timeout": 120, **cluster}
    lines = "".join(f"{name} = {value!r}\n" for name, value in table.items())
    (folder / "tinyllm.toml").write_text(
        '[teachers.slow]\nbackend = "scripted"\nreplies = ["one two three", "four five"]\n'
        f"delay = {delay}\nlog = {str(folder / 'asked.log')!r}\n[teachers.slow.cluster]\n{lines}",
        encoding="utf-8",
    )
    write_dataset(folder / "toy", train=questions)


def begin(folder: Path, nodes: Nodes, *arguments: str) -> subprocess.Popen[str]:
    """The command, whose output goes to files."""
    with (folder / "out.log").open("a") as out, (folder / "error.log").open("a") as error:
        return subprocess.Popen(
            [sys.executable, "-m", "tinyllm_cli", *(arguments or ELICIT)], cwd=folder, stdin=subprocess.DEVNULL,
            env=nodes.environment, stdout=out, stderr=error, text=True,
        )  # fmt: skip


def asked(folder: Path) -> Counter[str]:
    """How often engines took each (split, key, sample)."""
    log = folder / "asked.log"
    return Counter(log.read_text(encoding="utf-8").splitlines() if log.exists() else [])


def select(folder: Path, query: str) -> list[Any]:
    if not (folder / "tinyllm.db").exists():
        return []
    with closing(sqlite3.connect(folder / "tinyllm.db", timeout=30)) as db:
        return db.execute(query).fetchall()


def stored(folder: Path) -> int:
    tables = select(folder, "SELECT count(*) FROM sqlite_master WHERE name = 'rationales'")
    return int(select(folder, "SELECT count(*) FROM rationales")[0][0]) if tables and tables[0][0] else 0


def complete(folder: Path, questions: int) -> None:
    """Every question is answered once, by a node, and no claim is left."""
    assert select(folder, "SELECT count(*), count(DISTINCT question), count(node) FROM rationales") == [
        (questions,) * 3
    ]
    assert select(folder, "SELECT count(*) FROM failures") == [(0,)]
    assert select(folder, "SELECT count(*) FROM claims") == [(0,)]


def errors(folder: Path) -> str:
    return (folder / "error.log").read_text(encoding="utf-8")


def ask(count: int, prompt: str = "Why is the sky blue?") -> list[Request]:
    return [
        Request(split="train", key=str(number), messages=(Message(role="user", content=f"{number}. {prompt}"),))
        for number in range(count)
    ]


def test_replicas_on_all_nodes_answer_each_question_once(nodes: Nodes, tmp_path: Path) -> None:
    configure(tmp_path, nodes.address, questions=120)
    process = begin(tmp_path, nodes)
    assert process.wait(timeout=300) == 0, errors(tmp_path)
    complete(tmp_path, 120)
    assert set(asked(tmp_path).values()) == {1}
    by_node = dict(select(tmp_path, "SELECT node, count(*) FROM rationales GROUP BY node"))
    assert len(by_node) == 2
    assert select(tmp_path, "SELECT sum(attempts), sum(last_error IS NOT NULL) FROM rationales") == [(120, 0)]
    assert re.search(r"slow on toy/train: 120/120, .* of 4 replicas on \d node", errors(tmp_path))
    wait_until(lambda: not nodes.actors())
    again = begin(tmp_path, nodes, *ELICIT, "--replicas", "2")
    assert again.wait(timeout=120) == 0
    assert "0 new rationales, 120 already stored" in (tmp_path / "out.log").read_text(encoding="utf-8")


def test_deaths_at_random_moments_cost_what_was_in_flight(nodes: Nodes, tmp_path: Path) -> None:
    """TINYLLM_SOAK_ROUNDS=20 for a longer run. Each round kills the driver, a node or a replica."""
    nodes.at_least(2)
    questions = 160 * ROUNDS
    configure(tmp_path, nodes.address, questions=questions)
    moments, flying, process = random.Random(), 0, None
    for number in range(ROUNDS):
        if process is None or process.poll() is not None:
            process = begin(tmp_path, nodes)
        seen, wanted, running = asked(tmp_path).total(), moments.randrange(1, 60), process
        wait_until(lambda: asked(tmp_path).total() > seen + wanted or running.poll() is not None, 120)  # noqa: B023
        time.sleep(moments.uniform(0, 0.3))
        kind = ("driver", "node", "replica", "replica")[number % 4]
        if kind == "driver":
            process.kill()
            process.wait()
        elif kind == "node":
            nodes.remove(moments.choice(nodes.workers))
            nodes.at_least(2)
        else:
            for pid in nodes.actors()[:1]:
                os.kill(pid, signal.SIGKILL)
        flying = asked(tmp_path).total() - stored(tmp_path)
        assert flying >= 0
    assert process is not None
    process.wait(timeout=300)
    if stored(tmp_path) < questions:
        assert begin(tmp_path, nodes).wait(timeout=300) == 0, errors(tmp_path)
    complete(tmp_path, questions)
    counts = asked(tmp_path)
    assert len(counts) == questions
    assert counts.total() - questions <= ROUNDS * 4 * 8, "more was asked twice than replicas had in flight"
    assert max(counts.values()) <= 3
    wait_until(lambda: not nodes.actors())


def test_a_replica_that_hangs_is_replaced(nodes: Nodes, tmp_path: Path) -> None:
    nodes.at_least(2)
    configure(tmp_path, nodes.address, questions=200, replicas=2, timeout=4)
    process = begin(tmp_path, nodes)
    wait_until(lambda: stored(tmp_path) > 20 or process.poll() is not None, 120)
    os.kill(nodes.actors()[0], signal.SIGSTOP)
    assert process.wait(timeout=300) == 0, errors(tmp_path)
    complete(tmp_path, 200)
    assert "ended: no answer for 4 seconds (timeout)" in errors(tmp_path)
    wait_until(lambda: not nodes.actors())


def test_a_replica_that_fails_everywhere_ends_the_run_with_its_reason(nodes: Nodes, tmp_path: Path) -> None:
    nodes.at_least(2)
    configure(tmp_path, nodes.address, replicas=1)
    (tmp_path / "asked.log").mkdir()
    process = begin(tmp_path, nodes)
    assert process.wait(timeout=300) == 1
    print(errors(tmp_path))
    last = errors(tmp_path).splitlines()[-2:]
    assert last[0].startswith("Error: The teacher's replicas fail: ")
    assert last[0].count("IsADirectoryError") == 2, "on both nodes"
    assert last[1] == "Ray's logs on these nodes say more."
    assert errors(tmp_path).count("ended: IsADirectoryError") == 3
    assert stored(tmp_path) == 0


def test_nodes_with_other_versions_are_named_before_anything_is_asked(nodes: Nodes, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(ROOT / "backends", old / "backends", ignore=shutil.ignore_patterns("__pycache__"))
    (old / "backends" / "recorded.py").write_text('"""Of another version."""\n', encoding="utf-8")
    configure(tmp_path, nodes.address, replicas=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(old))
        other = nodes.start()
    process = begin(tmp_path, nodes)
    code = process.wait(timeout=300)
    nodes.remove(other)
    assert code == 2
    message, hint = errors(tmp_path).splitlines()[-2:]
    assert re.fullmatch(r"Error: 1 of \d nodes don't have the versions of this machine: \S+: tinyllm .*\.", message)
    assert hint.startswith("Install there what is here: Ray ")
    assert asked(tmp_path).total() == 0


def test_a_cluster_without_room_says_so(nodes: Nodes, tmp_path: Path) -> None:
    configure(tmp_path, nodes.address, replicas=1, num_gpus=1, start_timeout=3)
    process = begin(tmp_path, nodes)
    assert process.wait(timeout=120) == 1
    message, hint = errors(tmp_path).splitlines()[-2:]
    assert message == (
        "Error: The cluster has room for 0 of 1 replicas; more did not start within 3 seconds (start_timeout)."
        " Each needs num_cpus = 1, num_gpus = 1."
    )
    assert hint == "Ask for fewer replicas, or add nodes."


@pytest.fixture
def connected(nodes: Nodes) -> Iterator[Nodes]:
    """This process is a driver."""
    nodes.at_least(2)
    with Session.connect(nodes.address):
        yield nodes


def test_the_embedded_model_writes_on_a_node_what_it_writes_here(connected: Nodes) -> None:
    settings = {"model": "smollm2", "batch_size": 2}
    cluster = ClusterSettings(num_cpus=1)
    sampling = Sampling(max_tokens=8)
    remote, local = create_on_cluster("huggingface", settings, cluster), create("huggingface", settings)
    try:
        found = dict(answers(remote, ask(4), sampling))
        assert isinstance(remote, Replicated)
        assert (remote.replicas().ready, remote.replicas().nodes) == (1, 1)
        assert remote.describe()["device"] == "cpu"
        assert "ray" in remote.describe()
        prompt = remote.render(ask(1)[0])  # type: ignore[attr-defined]
        assert prompt == local.render(ask(1)[0])  # type: ignore[attr-defined]
    finally:
        remote.close()
    expected = dict(answers(local, ask(4), sampling))
    texts: Callable[[Any], str] = lambda one: one.text  # noqa: E731
    assert {request: texts(one) for request, one in found.items()} == {r: texts(one) for r, one in expected.items()}
    assert all(isinstance(one, Completion) and one.node for one in found.values())
    assert remote.identity() == local.identity()


def test_a_backend_of_another_package_runs_as_replicas_and_what_they_took_is_kept(nodes: Nodes, tmp_path: Path) -> None:
    """The second, third and fourth replica fail: the run ends, after the first one has answered what it had taken."""
    nodes.at_least(2)
    write_dataset(tmp_path / "toy", train=400)
    (tmp_path / "tinyllm.toml").write_text(
        f'[teachers.slow]\nbackend = "moody"\nfolder = {str(tmp_path)!r}\n'
        f"[teachers.slow.cluster]\naddress = {nodes.address!r}\nreplicas = 2\nstart_timeout = 120\n",
        encoding="utf-8",
    )
    process = begin(tmp_path, nodes)
    assert process.wait(timeout=300) == 1
    assert "replicas fail" in errors(tmp_path).splitlines()[-2]
    assert "RuntimeError: not today" in errors(tmp_path).splitlines()[-2]
    taken = [int(path.name.partition("-")[2]) for path in tmp_path.glob("taken-*")]
    assert stored(tmp_path) == len(taken) > 0
    assert stored(tmp_path) < 400


def test_the_command_starts_a_cluster_and_leaves_nothing_of_it(tinyllm: Command, tmp_path: Path) -> None:
    configure(tmp_path, "local", questions=30, replicas=2, num_cpus=0.5)
    mark = new_mark()
    try:
        done = tinyllm(*ELICIT, **{MARK: mark, **VISIBLE, "TMPDIR": "/tmp"})
        assert done.returncode == 0, done.stderr
        complete(tmp_path, 30)
        gone(mark)
        process = start(tmp_path, *ELICIT, "--samples", "9", "--temperature", "1", **{MARK: mark, **VISIBLE})
        wait_until(lambda: stored(tmp_path) > 40 or process.poll() is not None, 120)
        process.kill()
        process.communicate()
        gone(mark)
    finally:
        kill_all(mark)
