"""The parts of a teacher on a cluster that need no cluster: requests, one replica, settings."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import backends
from backends.base import BadTeacherConfig, Completion, Failure, Message, Request, Sampling
from backends.cluster.messages import Hello, Orders, Report
from backends.cluster.replica import Replica
from backends.cluster.requests import Outgoing
from backends.cluster.settings import ClusterSettings
from backends.cluster.versions import differing, versions_here
from tests.conftest import Command, environment, write_dataset
from tests.models import make_folder

REPLIES = {"replies": ["So it is.", "Because."]}


def requests(count: int) -> list[Request]:
    message = (Message(role="user", content="Why?"),)
    return [Request(split="train", key=str(number), messages=message) for number in range(count)]


def orders(*numbered: tuple[int, Request], **changes: Any) -> Orders:
    values = {"sampling": Sampling(max_tokens=4), "last": False, "more": True, "drop": False, "wait": 30, "linger": 0}
    return Orders(requests=numbered, **{**values, **changes})


def numbers(taken: list[Any]) -> list[int]:
    return [one.number for one in taken]


def test_requests_are_taken_from_the_source_only_as_there_is_room() -> None:
    seen = []

    def source() -> Iterator[Request]:
        for request in requests(10):
            seen.append(request.key)
            yield request

    outgoing = Outgoing(source())
    assert numbers(outgoing.take(3, idle=True)) == [0, 1, 2]
    assert len(seen) == 3
    assert outgoing.left is None, "the source may have more"
    assert outgoing.more
    assert len(seen) == 4, "one is looked at to know"


def test_what_came_back_goes_first_and_counts_its_calls() -> None:
    outgoing = Outgoing(iter(requests(6)))
    taken = outgoing.take(4, idle=True)
    assert list(outgoing.lost(taken[:2], "the node is gone", died=False)) == []
    outgoing.give_back(taken[2:])
    again = outgoing.take(4, idle=False)
    assert numbers(again) == [0, 1, 2, 3]
    assert [one.calls for one in again] == [2, 2, 1, 1], "what no engine has seen was not asked"
    assert numbers(outgoing.take(6, idle=False)) == [4, 5]
    assert outgoing.empty


def test_a_request_that_replicas_die_of_is_sent_alone_and_then_given_up() -> None:
    outgoing = Outgoing(iter(requests(3)))
    for _ in range(2):
        assert list(outgoing.lost(outgoing.take(3, idle=True), "its process died", died=True)) == []
    assert not outgoing.more, "nothing that is sent with others"
    assert not outgoing.empty
    assert outgoing.take(3, idle=False) == []
    alone = outgoing.take(3, idle=True)
    assert numbers(alone) == [2]
    assert list(outgoing.lost(alone, "its process died", died=True)) == []
    others = [*outgoing.take(3, idle=True), *outgoing.take(3, idle=True)]
    assert numbers(others) == [1, 0]
    given_up = list(outgoing.lost(outgoing.take(3, idle=True), "its process died", died=True))
    assert [request.key for request, _ in given_up] == ["2"]
    [(_, failure)] = given_up
    assert failure == Failure(reason="4 replicas died while they had it: its process died", attempts=4)
    assert outgoing.empty


def test_a_replica_answers_what_it_gets_and_reports_that_its_engine_waits() -> None:
    replica = Replica("scripted", REPLIES)
    hello = replica.hello("node")
    assert hello == Hello(
        node="node", versions=versions_here(), identity=backends.create("scripted", REPLIES).identity(), trouble=None
    )
    asked = list(enumerate(requests(5)))
    found: dict[int, Any] = {}
    report = replica.exchange(orders(*asked[:3]))
    while True:
        found.update(report.answers)
        assert report.trouble is None
        if len(found) == 3 and report.hungry:
            break
        report = replica.exchange(orders())
    report = replica.exchange(orders(*asked[3:], last=True, more=False))
    found.update(report.answers)
    while len(found) < 5:
        found.update(replica.exchange(orders(last=True, more=False)).answers)
    direct = backends.create("scripted", REPLIES).generate(requests(5), Sampling(max_tokens=4))
    assert [found[number] for number in range(5)] == [outcome for [(_, outcome)] in direct]
    assert all(isinstance(outcome, Completion) for outcome in found.values())
    replica.stop()


def test_an_engine_that_reads_ahead_gets_the_end_of_the_requests(tmp_path: Path) -> None:
    """The huggingface adapter takes 128 requests before it answers one."""
    replica = Replica("huggingface", {"model": str(make_folder(tmp_path / "tiny", "causal"))})
    assert replica.hello("node").trouble is None
    report = replica.exchange(orders(*enumerate(requests(3))))
    assert (report.hungry, report.answers) == (True, ())
    answered: list[int] = []
    while len(answered) < 3:
        report = replica.exchange(orders(last=True, more=False))
        assert report.trouble is None
        answered += [number for number, _ in report.answers]
        if report.engine:
            assert report.engine["device"] == "cpu"
    assert sorted(answered) == [0, 1, 2]


def test_a_replica_gives_back_what_its_engine_has_not_taken() -> None:
    replica = Replica("scripted", {**REPLIES, "delay": 0.2})
    replica.hello("node")
    reports: list[Report] = []
    asking = threading.Thread(target=lambda: reports.append(replica.exchange(orders(*enumerate(requests(9))))))
    asking.start()
    asking.join()
    report = replica.exchange(orders(drop=True))
    seen = {number for one in (*reports, report) for number, _ in one.answers}
    assert report.waiting == 0
    assert 5 <= len(report.dropped) <= 8
    assert not seen & set(report.dropped)


def test_what_an_adapter_raises_is_reported_with_what_it_answered_before(tmp_path: Path) -> None:
    replica = Replica("scripted", {**REPLIES, "log": str(tmp_path)})
    replica.hello("node")
    report = replica.exchange(orders(*enumerate(requests(2))))
    assert report.trouble is not None
    assert report.trouble.message.startswith("IsADirectoryError: ")
    assert not report.trouble.lasting
    wrong = Replica("scripted", {}).hello("node").trouble
    assert wrong is not None
    assert wrong.lasting
    assert "needs replies" in wrong.message


def test_versions_differ_by_name() -> None:
    assert differing(versions_here()) == ""
    assert differing({**versions_here(), "Python": "3.9.1"}) == "Python 3.9.1"
    assert differing({"tinyllm": "not installed"}) == "Ray unknown, Python unknown, tinyllm not installed"


def test_settings_of_the_cluster() -> None:
    assert ClusterSettings.of({}) == ClusterSettings()
    found = ClusterSettings.of({"replicas": [1, 8], "num_gpus": 2, "resources": {"big": 1}, "address": "head:6379"})
    assert (found.least, found.most, found.num_gpus, found.address) == (1, 8, 2, "head:6379")
    assert (found.with_replicas(3).least, found.with_replicas(3).most) == (3, 3)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"replica": 1}, "unknown setting 'replica'"),
        ({"replicas": 0}, "replicas can't be 0"),
        ({"replicas": True}, "replicas can't be True"),
        ({"replicas": [3, 2]}, r"replicas can't be \[3, 2\]"),
        ({"num_gpus": -1}, "num_gpus can't be -1"),
        ({"timeout": 0}, "timeout can't be 0"),
        ({"address": "ray://head:10001"}, "address can't be 'ray://head:10001'"),
        ({"resources": {"big": "much"}}, "resources can't be"),
        ({"runtime_env": {"env_vars": {"HF_TOKEN": "hf_0123456789abcdef0123"}}}, "holds a secret"),
    ],
)
def test_wrong_settings_of_the_cluster(table: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadTeacherConfig, match=expected):
        ClusterSettings.of(table)


def test_hosted_and_recorded_teachers_have_no_engine_for_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "1", "rationale": "because"}\n', encoding="utf-8")
    hosted = {"model": "m", "base_url": "http://127.0.0.1:1/v1"}
    for backend, settings in (("openai", hosted), ("recorded", {"path": str(tmp_path / "r.jsonl")})):
        with pytest.raises(BadTeacherConfig, match="no engine to run on a cluster"):
            backends.create_on_cluster(backend, settings, ClusterSettings())


WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from tinyllm_cli.cli import main; main()"


def test_without_the_extra_only_the_cluster_is_missing(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=3)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_RAY, "elicit", "--teacher", "parrot", "--dataset", "toy", *more]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    missing = run("--on", "ray")
    assert missing.returncode == 2
    assert missing.stderr.splitlines()[-2:] == [
        "Error: Work on a cluster needs Ray.",
        "Install it: pip install 'tinyllm-cli[cluster]'",
    ]
    assert "3 new rationales" in run().stdout


def test_ray_is_imported_only_on_request(scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=3)
    code = "import sys\nfrom tinyllm_cli.cli import main\ntry:\n    main()\nfinally:\n    print('ray' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "elicit", "--teacher", "parrot", "--dataset", "toy"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"
