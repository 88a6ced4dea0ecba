"""What `omit` and `extra` change is recorded as it was sent, on every way to an endpoint, and asks nothing again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.base import Sampling
from backends.sampling import sent_sampling
from tests.batch_endpoint import serving_batches
from tests.conftest import Command, write_dataset, write_host
from tests.endpoint import Answer, Body, Endpoint, serving
from tinyllm_cli.elicitation.replies import STOP
from tinyllm_cli.store import open_store

ELICIT = ("elicit", "-t", "host", "-d", "toy", "--yes")
COMPLETION = {"choices": [{"text": "It is light.", "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}


def answer(_number: int, body: Body) -> Answer:
    return Answer(body=json.dumps(COMPLETION) if "prompt" in body else None)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    write_dataset(tmp_path / "toy", train=2)
    with serving(answer) as endpoint:
        yield endpoint


def recorded(folder: Path) -> list[dict[str, Any]]:
    with open_store(folder / "tinyllm.db") as store:
        rows = list(store.rows("SELECT temperature, top_p, stop, engine FROM samplings ORDER BY rowid"))
    return [{**row, "stop": json.loads(row["stop"]), "engine": json.loads(row["engine"])} for row in rows]


def sampled(body: Body) -> Body:
    return {name: body[name] for name in ("temperature", "top_p", "stop", "seed") if name in body}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_temperature_that_is_left_out_is_recorded_as_unset(
    inside: Command, tmp_path: Path, endpoint: Endpoint, api: str
) -> None:
    write_host(tmp_path, endpoint.url, api=api, temperature=0.7, omit=["temperature"])
    done = inside(*ELICIT)
    assert "host: its settings omit and extra apply: no temperature.\n" in done.stderr
    assert [sampled(body) for body in endpoint.bodies] == [{"stop": list(STOP), "seed": 0}] * 2
    [row] = recorded(tmp_path)
    assert (row["temperature"], row["top_p"], row["stop"]) == (None, None, list(STOP))
    assert (row["engine"]["api"], row["engine"]["omit"]) == (api, ["temperature"])
    assert "sampled with the endpoint's defaults" in inside("inspect", "train-0", "-d", "toy").stdout
    for temperature in ("0.7", "1"):  # neither is sent
        assert "0 new rationales, 2 already stored" in inside(*ELICIT, "--temperature", temperature).stdout
    assert "2 new rationales, 2 already stored" in inside(*ELICIT, "--samples", "2").stdout
    assert sorted(body["seed"] for body in endpoint.bodies) == [0, 0, 1, 1]


def test_batches_record_the_same(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    with serving_batches() as server:
        write_host(tmp_path, server.url, temperature=0.7, omit=["temperature", "stop"], batch_poll=0.05)
        done = inside(*ELICIT, "--batch")
        assert "2 new rationales" in done.stdout, done.stderr
        assert [sampled(one["body"]) for batch in server.batches.values() for one in batch.requests] == [
            {"seed": 0}
        ] * 2
        [row] = recorded(tmp_path)
        assert (row["temperature"], row["top_p"], row["stop"]) == (None, None, [])
        assert "0 new rationales, 2 already stored" in inside(*ELICIT, "--batch").stdout
        assert "0 new rationales, 2 already stored" in inside(*ELICIT).stdout


def test_what_is_added_is_recorded(inside: Command, tmp_path: Path, endpoint: Endpoint) -> None:
    write_host(tmp_path, endpoint.url)
    with (tmp_path / "tinyllm.toml").open("a") as file:
        file.write("extra = {temperature = 1, stop = '###'}\n")
    done = inside(*ELICIT)
    assert 'host: its settings omit and extra apply: temperature 1.0, stop ["###"].' in done.stderr
    [row] = recorded(tmp_path)
    assert (row["temperature"], row["stop"]) == (1.0, ["###"])
    assert sampled(endpoint.bodies[0]) == {"temperature": 1, "stop": "###"}


@pytest.mark.parametrize("batch", [(), ("--batch",)])
def test_a_set_that_was_recorded_otherwise_is_continued(
    inside: Command, tmp_path: Path, endpoint: Endpoint, batch: tuple[str, ...]
) -> None:
    """An earlier version recorded what was set. Its rationales count, and none is paid for again."""
    write_host(tmp_path, endpoint.url, temperature=0.7)
    assert inside(*ELICIT, "--limit", "1").returncode == 0
    (tmp_path / "tinyllm.toml").unlink()
    write_host(tmp_path, endpoint.url, temperature=0.7, omit=["temperature"])
    done = inside(*ELICIT, *batch, "--limit", "1")
    assert "0 new rationales, 1 already stored" in done.stdout, done.stderr
    assert (
        "1 rationales for toy/train are recorded with temperature 0.7. They are continued under this record: nothing is"
        " asked again." in done.stderr
    )
    if not batch:
        assert "1 new rationales, 1 already stored" in inside(*ELICIT).stdout
        assert ["temperature" in body for body in endpoint.bodies] == [True, False]
    assert [row["temperature"] for row in recorded(tmp_path)] == [0.7]
    with open_store(tmp_path / "tinyllm.db") as store:
        assert len(store.rationales.variants("toy", "train")) == 1, "distill trains on all of them"


@pytest.mark.parametrize(
    ("sampling", "omit", "extra"),
    [
        (Sampling(), ["top_p"], {}),
        (Sampling(temperature=None, top_p=None), ["temperature", "top_p", "stop"], {}),
        (Sampling(temperature=0.5), ["seed", "messages"], {"temperature": 0.5, "user": "me"}),
        (Sampling(stop=("a",)), [], {"stop": ["a"]}),
    ],
)
def test_what_changes_nothing_keeps_the_identity(sampling: Sampling, omit: list[str], extra: dict[str, Any]) -> None:
    assert sent_sampling(sampling, omit, extra) is sampling


@pytest.mark.parametrize(
    ("omit", "extra", "sent"),
    [
        (["temperature"], {}, (None, None, ("a",))),
        (["stop"], {}, (0.0, None, ())),
        ([], {"temperature": True, "stop": None}, (None, None, ())),
        ([], {"top_p": 0.5, "stop": ["b", "c"]}, (0.0, 0.5, ("b", "c"))),
    ],
)
def test_greedy_decoding_that_is_changed(omit: list[str], extra: dict[str, Any], sent: tuple[object, ...]) -> None:
    found = sent_sampling(Sampling(stop=("a",)), omit, extra)
    assert (found.temperature, found.top_p, found.stop) == sent
