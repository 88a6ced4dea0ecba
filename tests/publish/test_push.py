"""`tinyllm push`: what arrives at a hub, what it says, and what never leaves the machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Command, make_questions, write_dataset
from tests.hub_server import TOKEN, HubServer, Repository, serving_hub
from tests.models import make_folder, record_run
from tinyllm_cli.publish.facts import public
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.store import open_store
from tinyllm_cli.store.evaluations import EvaluatedQuestions

# huggingface_hub passes files to its HTTP client in a way that this will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
TO = ("push", "--to", "hub:me/toy")


@pytest.fixture
def hub(inside: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    from huggingface_hub import constants

    # The library reads these when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serving_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """Run 1 of a database, evaluated, with files in its folder that belong to nobody else."""
    folder = make_folder(tmp_path / "tinyllm-runs" / "1-tiny", "causal")
    for name in (".env", "optimizer.pt", "notes.txt"):
        (folder / name).write_text(TOKEN)
    (folder / "linked.safetensors").symlink_to("/etc/hostname")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/alice/secret/tiny"}))
    with open_store(tmp_path / "tinyllm.db") as store:
        questions = make_questions(20, split="test")
        store.questions.replace("toy", "/home/alice/secret/toy.csv", "", questions)
        run = record_run(store, folder)
        subject = Subject(kind="run", name="run 1", run=run.id, step=1)
        asked = EvaluatedQuestions(dataset="toy", split="test", count=20, chance=0.25, majority=0.3)
        one = store.evaluations.open(subject, "rank", asked)
        store.evaluations.add_predictions(
            one.id,
            [
                Prediction(key=q.key, question=q.hash, option=q.answer if number < 15 else -1, correct=number < 15)
                for number, q in enumerate(questions)
            ],
        )
        store.evaluations.complete(one.id, 1.0)
    return folder


def test_a_student_arrives_with_its_card_and_nothing_else(
    inside: Command, hub: HubServer, student: Path, tmp_path: Path
) -> None:
    done = inside(*TO, "--yes", "--license", "Apache-2.0", "--source-license", "toy=cc-by-4.0")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["model", "me/toy"]
    assert repository.private, "unless --public is given"
    safe = {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert set(repository.files) == safe | {"README.md"}
    assert repository.files["model.safetensors"] == (student / "model.safetensors").read_bytes()
    assert len(repository.commits) == 1
    shown = done.stdout
    assert f"a new private repository {hub.url}/me/toy, as me" in shown
    assert all(name in shown for name in safe)
    assert "Not uploaded: .env, linked.safetensors, notes.txt, optimizer.pt" in shown
    assert "Sources without a licence on the card (--source-license): tiny" in shown
    card = repository.files["README.md"].decode()
    assert "\nlicense: apache-2.0\n" in card
    assert "| data set | toy | toy.csv | cc-by-4.0 |" in card
    assert "| run 1 | toy/test | rank | 20 | 75.0% | 53.1% to 88.8% | 25.0% |" in card
    everything = b"".join(repository.files.values()) + done.stdout.encode() + done.stderr.encode()
    assert b"alice" not in everything
    assert TOKEN.encode() not in everything
    assert TOKEN.encode() not in (tmp_path / "tinyllm.db").read_bytes()
    assert not list(Path(os.environ["HF_HOME"]).rglob("token")), "where a login would store it"
    # What was uploaded is a student.
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "downloaded"
    folder.mkdir()
    for name, content in repository.files.items():
        (folder / name).write_bytes(content)
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type


def test_rationales_arrive_as_files_that_import_reads(inside: Command, hub: HubServer, tmp_path: Path) -> None:
    replies = ["It is in the list, as one sees at once.", "Because.", "All others are in another list."]
    (tmp_path / "tinyllm.toml").write_text(
        f'[teachers.mixed]\nbackend = "scripted"\nreplies = {json.dumps(replies)}\n', encoding="utf-8"
    )
    write_dataset(tmp_path / "toy", train=12)
    assert inside("elicit", "-t", "mixed", "-d", "toy").returncode == 0
    push = (*TO, "--what", "rationales", "--public", "--json", "--source-license", "mixed=mit")
    done = inside(*push, "--yes")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    repository = hub.repositories["dataset", "me/toy"]
    assert (result["url"], result["private"], repository.private) == (f"{hub.url}/datasets/me/toy", False, False)
    card = repository.files["README.md"].decode()
    assert "| teacher | mixed | scripted | mit |" in card
    assert "too-short 4" in card, "what the gates rejected"
    assert '"min_words": 5' in card
    assert "Not evaluated." in card
    rows = [json.loads(line) for line in repository.files["mixed.train.jsonl"].decode().splitlines()]
    assert {row["rationale"] for row in rows} == {replies[0], replies[2]}
    other = tmp_path / "other"
    other.mkdir()
    (other / "mixed.train.jsonl").write_bytes(repository.files["mixed.train.jsonl"])
    there = ("--db", str(other / "tinyllm.db"))
    assert inside("import", "toy", *there).returncode == 0
    read = inside("import", "other/mixed.train.jsonl", "--teacher", "mixed", "--dataset", "toy", *there)
    assert (read.returncode, "8 new" in read.stdout) == (0, True), (read.stdout, read.stderr)
    again = inside(*TO, "--what", "rationales", "--yes")
    assert "the existing public repository" in again.stdout
    refused = inside(*TO, "--what", "rationales", "--yes", "--private")
    assert (refused.returncode, "exists and is public" in refused.stderr) == (2, True)


def test_nothing_is_written_without_a_confirmation(inside: Command, hub: HubServer, student: Path) -> None:
    done = inside(*TO)
    assert (done.returncode, "Add --yes" in done.stderr) == (2, True)
    assert "model.safetensors" in done.stdout
    assert hub.repositories == {}
    assert {method for method, _ in hub.requests} == {"GET"}


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"HF_TOKEN": "hf_wrong"}, 2, "does not accept HF_TOKEN"),
        ({"HF_TOKEN": ""}, 2, "Publishing needs a token"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, 1, "http://127.0.0.1:9 can't be used"),
        ({"HF_ENDPOINT": "hub.example.org"}, 2, "HF_ENDPOINT is no URL"),
    ],
)
def test_a_hub_that_refuses_is_a_sentence(
    inside: Command, hub: HubServer, student: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str],
    code: int, expected: str,
) -> None:  # fmt: skip
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    done = inside(*TO, "--yes")
    assert (done.returncode, expected in done.stderr) == (code, True), done.stderr
    assert "hf_" not in done.stdout + done.stderr
    assert hub.repositories == {}


def test_another_account_and_a_failing_hub(inside: Command, hub: HubServer, student: Path) -> None:
    done = inside("push", "--to", "hub:them/toy", "--yes")
    assert (done.returncode, "may not write to them/toy" in done.stderr) == (2, True), done.stderr
    hub.repositories["model", "me/toy"] = Repository(private=True)
    hub.fail["/commit/"] = (413, f"too large, {TOKEN}")
    done = inside(*TO, "--yes")
    assert (done.returncode, "HTTP 413" in done.stderr, TOKEN in done.stderr) == (1, True, False), done.stderr
    assert hub.repositories["model", "me/toy"].files == {}


def test_a_folder_cannot_send_the_users_token_elsewhere(
    inside: Command, hub: HubServer, student: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"HF_ENDPOINT={hub.url}\n")
    done = inside(*TO, "--yes")
    assert (done.returncode, ".env sends uploads to" in done.stderr) == (2, True)
    assert hub.requests == []
    (tmp_path / ".env").write_text(f"HF_ENDPOINT={hub.url}\nHF_TOKEN={TOKEN}\n")
    assert inside(*TO, "--yes").returncode == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google/flan-t5-small", "google/flan-t5-small"),
        ("/home/alice/models/tiny/", "tiny"),
        ("~/tiny", "tiny"),
        ("../models/tiny", "tiny"),
        ("a/b/c.jsonl", "c.jsonl"),
        (r"C:\Users\alice\toy.csv", "toy.csv"),
        ("embedded", "embedded"),
        ("https://example.org/a/b/c", "https://example.org/a/b/c"),
    ],
)
def test_paths_of_this_machine_are_not_published(name: str, expected: str) -> None:
    assert public(name) == expected
