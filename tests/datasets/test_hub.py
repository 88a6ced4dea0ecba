"""The hub's data sets, served by a hub of our own on the loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.conftest import Command
from tests.files import write_rows
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.hub import HubDataset
from tinyllm_cli.datasets.hub_presets import HUB_DATASETS, halves, hub_dataset, pubmedqa_split, valid_tenth
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.store import open_store

LABELS = "ABCDE"
NAMES = (*HUB_DATASETS, "mmlu:anatomy")
Rows = Callable[[int], list[dict[str, Any]]]
Read = Callable[[str], list[Question]]
Elicit = Callable[[str], subprocess.CompletedProcess[str]]


def preset(name: str) -> HubDataset:
    found = hub_dataset(name)
    assert found is not None
    return found


class Hub:
    """Plays the hub's resolve endpoint for data sets: the files of a folder, by repository and path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.cuts_short = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def _answer(self, *, with_body: bool) -> None:
                hub.asked.append(f"{self.command} {unquote(self.path)}")
                content = hub.content(unquote(self.path))
                if content is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if with_body and hub.cuts_short:
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                elif with_body:
                    self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def content(self, path: str) -> bytes | None:
        """The file behind `/datasets/OWNER/NAME/resolve/refs/convert/parquet/FILE`."""
        repository, sign, file = path.removeprefix("/datasets/").partition("/resolve/refs/convert/parquet/")
        found = self.folder / repository / file
        return found.read_bytes() if sign and found.is_file() else None

    def add(self, name: str, **splits: list[dict[str, Any]]) -> None:
        dataset = preset(name)
        for split, rows in splits.items():
            write_rows(self.folder / dataset.repository / dataset.config / split / "0000.parquet", rows)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    running = Hub(tmp_path / "hub")
    yield running
    running.stop()


@pytest.fixture
def read(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Read:
    """All questions of a data set, with the hub of this test."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return lambda name: list(preset(name).questions())


@pytest.fixture
def elicit(tinyllm: Command, tmp_path: Path, hub: Hub) -> Elicit:
    """Name a data set in a command, with the hub of this test; the finished process."""
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.parrot]\nbackend = "scripted"\nreplies = ["It follows from the question."]\n', encoding="utf-8"
    )

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return tinyllm(
            "elicit", "--teacher", "parrot", "--dataset", name, "--limit", "1", HF_ENDPOINT=hub.endpoint,
            HF_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1",
        )  # fmt: skip

    return run


def choices(number: int, count: int = 4) -> dict[str, list[str]]:
    return {"text": [f"thing {number} {label}" for label in LABELS[:count]], "label": list(LABELS[:count])}


def obqa_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"7-{n}", "question_stem": f"The sun {n}", "choices": choices(n), "answerKey": LABELS[n % 4]}
        for n in range(count)
    ]


def arc_rows(count: int, options: int = 4) -> list[dict[str, Any]]:
    return [
        {"id": f"Mercury_{options}_{n}", "question": f"Why {n}?", "choices": choices(n, options), "answerKey": "B"}
        for n in range(count)
    ]


def piqa_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"goal": f"How to open jar {n}?", "sol1": f"twist {n}", "sol2": f"shout {n}", "label": n % 2}
        for n in range(count)
    ]


def riddle_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"What has {n} keys?", "choices": choices(n, 5), "answerKey": LABELS[n % 5]} for n in range(count)
    ]


def pubmedqa_rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "pubid": 10_000 + n,
            "question": f"Does {n} help?",
            "context": {"contexts": [f"Background {n}.", "Methods."], "labels": ["B", "M"]},
            "long_answer": "It may.",
            "final_decision": ["yes", "no", "maybe"][n % 3],
        }
        for n in range(count)
    ]


def csqa_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{n:032x}", "question": f"Where is {n}?", "question_concept": "place", "choices": choices(n, 5),
         "answerKey": LABELS[n % 5]}
        for n in range(count)
    ]  # fmt: skip


def strategyqa_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"qid": f"q{n}", "term": "Owl", "description": "a bird", "question": f"Can an owl fly {n} miles?",
         "answer": n % 3 == 0, "facts": "Owls fly."}
        for n in range(count)
    ]  # fmt: skip


def sciq_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"What has {n} protons?", "distractor3": f"water {n}", "distractor1": f"iron {n}",
         "distractor2": f"salt {n}", "correct_answer": f"gold {n}", "support": f"Gold {n} is dense." if n % 2 else ""}
        for n in range(count)
    ]  # fmt: skip


def mmlu_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"Which bone is number {n}?", "subject": "anatomy",
         "choices": [f"bone {n} {label}" for label in LABELS[:4]], "answer": n % 4}
        for n in range(count)
    ]  # fmt: skip


def keys_of(questions: list[Question]) -> dict[str, list[str]]:
    return {split: [q.key for q in questions if q.split == split] for split in SPLITS}


def sizes_of(questions: list[Question]) -> tuple[int, ...]:
    return tuple(len(keys) for keys in keys_of(questions).values())


def test_openbookqa_keeps_the_hubs_splits(hub: Hub, read: Read) -> None:
    hub.add("obqa", train=obqa_rows(6), validation=obqa_rows(3), test=obqa_rows(2))
    questions = read("obqa")
    assert sizes_of(questions) == (6, 3, 2)
    assert (questions[2].key, questions[2].text, questions[2].gold) == ("7-2", "The sun 2", "thing 2 C")


def test_all_files_are_there_before_the_first_question_comes(hub: Hub, read: Read) -> None:
    """Whoever stores them would hold the store while the next one is fetched."""
    hub.add("obqa", train=obqa_rows(2), validation=obqa_rows(2))
    rows = HUB_DATASETS["obqa"].questions()
    with pytest.raises(WorldProblem):
        next(rows)


def test_arc_is_its_questions_with_four_options(hub: Hub, read: Read) -> None:
    mixed = [*arc_rows(2, 3), *arc_rows(4), *arc_rows(1, 5)]
    numbered = [{**row, "choices": {**row["choices"], "label": list("1234")}, "answerKey": "3"} for row in arc_rows(2)]
    hub.add("arc", train=mixed, validation=arc_rows(3), test=numbered)
    questions = read("arc")
    assert sizes_of(questions) == (4, 3, 2)
    assert {len(question.options) for question in questions} == {4}
    assert questions[0].gold == "thing 0 B"
    assert questions[-1].gold == "thing 1 C"


@pytest.mark.parametrize(("name", "rows"), [("piqa", piqa_rows), ("riddle", riddle_rows)])
def test_where_test_labels_are_secret_valid_is_halved(hub: Hub, read: Read, name: str, rows: Rows) -> None:
    hub.add(name, train=rows(5), validation=rows(11))
    questions = read(name)
    keys = keys_of(questions)
    assert sizes_of(questions) == (5, 6, 5)
    assert keys["train"] == [f"train-{n}" for n in range(5)]
    assert sorted(keys["valid"] + keys["test"]) == sorted(f"dev-{n}" for n in range(11))
    assert questions[1].gold == ("shout 1" if name == "piqa" else "thing 1 B")


def test_pubmedqa_is_divided_as_in_the_paper(hub: Hub, read: Read) -> None:
    hub.add("pubmedqa", train=pubmedqa_rows(30))
    questions = read("pubmedqa")
    assert sizes_of(questions) == (15, 3, 12)
    for question in questions:
        number = int(question.key) - 10_000
        assert question.gold == ["yes", "no", "maybe"][number % 3]
        assert question.context == f"Background {number}.\nMethods."


def test_commonsenseqa_halves_valid_as_its_test_labels_are_secret(hub: Hub, read: Read) -> None:
    hub.add("csqa", train=csqa_rows(7), validation=csqa_rows(11), test=[{**csqa_rows(1)[0], "answerKey": ""}])
    questions = read("csqa")
    assert sizes_of(questions) == (7, 6, 5)
    assert (questions[3].key, questions[3].gold, len(questions[3].options)) == (f"{3:032x}", "thing 3 D", 5)


def test_strategyqa_is_yes_or_no_without_its_facts_and_draws_its_valid_split(hub: Hub, read: Read) -> None:
    hub.add("strategyqa", train=strategyqa_rows(30), test=strategyqa_rows(8))
    questions = read("strategyqa")
    assert sizes_of(questions) == (27, 3, 8)
    assert {question.options for question in questions} == {("yes", "no")}
    assert all(question.gold == ("no" if int(question.key[1:]) % 3 else "yes") for question in questions)
    assert {question.context for question in questions} == {None}, "the facts are the way to the answer"
    hub.add("strategyqa", train=[{**strategyqa_rows(1)[0], "answer": "maybe"}])
    with pytest.raises(UsageProblem, match="row 1: this is not a row of strategyqa"):
        list(preset("strategyqa").read({"train": [hub.folder / "ChilleD/StrategyQA/default/train/0000.parquet"]}, "x"))


def test_the_right_option_of_sciq_is_at_every_position(hub: Hub, read: Read) -> None:
    hub.add("sciq", train=sciq_rows(80), validation=sciq_rows(4), test=sciq_rows(4))
    questions = read("sciq")
    assert sizes_of(questions) == (80, 4, 4)
    for question in questions:
        number = question.key.partition("-")[2]
        assert question.gold == f"gold {number}"
        assert sorted(question.options) == [f"{what} {number}" for what in ("gold", "iron", "salt", "water")]
        assert question.context == (f"Gold {number} is dense." if int(number) % 2 else None)
    counts = [sum(question.answer == place for question in questions) for place in range(4)]
    assert min(counts) > 10, "the file has the right answer in a column of its own"


def test_a_subject_of_mmlu_has_its_own_name(hub: Hub, read: Read, inside: Command) -> None:
    for name in ("mmlu", "mmlu:anatomy"):
        hub.add(name, dev=mmlu_rows(5), validation=mmlu_rows(3), test=mmlu_rows(9))
        questions = read(name)
        assert sizes_of(questions) == (5, 3, 9)
        assert {question.dataset for question in questions} == {name}
        assert [question.key for question in questions[4:6]] == ["dev-4", "validation-0"]
        assert all(question.gold == f"bone {n} {LABELS[n % 4]}" for n, question in enumerate(questions[:5]))
    unknown = inside("elicit", "--teacher", "expert", "--dataset", "mmlu:anatomi")
    assert unknown.returncode == 2
    assert "MMLU has no subject 'anatomi'." in unknown.stderr
    assert "Subjects: anatomy" in unknown.stderr


def test_a_file_of_a_copy_of_mmlu_is_the_split_that_it_is_called(inside: Command, tmp_path: Path) -> None:
    write_rows(tmp_path / "dev.parquet", mmlu_rows(5))
    done = inside("import", "dev.parquet", "--name", "mmlu:anatomy", "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 5}


def test_a_row_that_the_hub_changed_is_named(hub: Hub, read: Read) -> None:
    wrong = {**obqa_rows(3)[2], "answerKey": "Z"}
    hub.add("obqa", train=[*obqa_rows(2), wrong], validation=obqa_rows(1), test=obqa_rows(1))
    with pytest.raises(UsageProblem, match="allenai/openbookqa, train, row 3, field 'answer': 'Z' is not among"):
        read("obqa")


def imported(database: Path, name: str) -> dict[str, int]:
    with open_store(database, create=False) as store:
        return store.questions.splits(name)


def test_the_second_run_needs_no_hub(hub: Hub, elicit: Elicit, tmp_path: Path) -> None:
    hub.add("obqa", train=obqa_rows(3), validation=obqa_rows(2), test=obqa_rows(2))
    assert elicit("obqa").returncode == 0
    hub.stop()
    asked = len(hub.asked)
    assert elicit("obqa").returncode == 0
    (tmp_path / "tinyllm.db").unlink()
    from_cache = elicit("obqa")
    assert from_cache.returncode == 0, from_cache.stderr
    assert imported(tmp_path / "tinyllm.db", "obqa") == {"train": 3, "valid": 2, "test": 2}
    assert len(hub.asked) == asked


WAYS_ON = ("tinyllm import FOLDER --name", "--dataset everyday", "HF_ENDPOINT")


@pytest.mark.parametrize("name", NAMES)
def test_a_hub_out_of_reach_is_reported_with_the_data_set_and_three_alternatives(
    read: Read, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WorldProblem) as caught:
        read(name)
    assert f"The data set {name} ({preset(name).repository})" in str(caught.value)
    assert [way for way in WAYS_ON if way not in caught.value.hint] == []


def test_a_hub_without_the_file_is_reported_likewise(read: Read) -> None:
    with pytest.raises(WorldProblem, match=r"data set obqa \(allenai/openbookqa\)"):
        read("obqa")


def test_an_interrupted_download_is_reported_and_continued(hub: Hub, elicit: Elicit, tmp_path: Path) -> None:
    hub.add("obqa", train=obqa_rows(3), validation=obqa_rows(2), test=obqa_rows(2))
    hub.cuts_short = True
    done = elicit("obqa")
    assert done.returncode == 1
    assert "The data set obqa (allenai/openbookqa)" in done.stderr
    assert [way for way in WAYS_ON if way not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    hub.cuts_short = False
    done = elicit("obqa")
    assert done.returncode == 0, done.stderr
    assert imported(tmp_path / "tinyllm.db", "obqa") == {"train": 3, "valid": 2, "test": 2}


def test_the_rules_for_splits_have_the_papers_sizes() -> None:
    parts = [pubmedqa_split("train", 1000)(number) for number in range(1000)]
    assert (parts.count("train"), parts.count("valid"), parts.count("test")) == (500, 100, 400)
    riddle = [halves("validation", 1021)(number) for number in range(1021)]
    assert (riddle.count("valid"), riddle.count("test")) == (511, 510)
    assert {halves("train", 10)(number) for number in range(10)} == {"train"}
    strategyqa = [valid_tenth("train", 1603)(number) for number in range(1603)]
    assert (strategyqa.count("train"), strategyqa.count("valid")) == (1443, 160)
    assert {valid_tenth("test", 10)(number) for number in range(10)} == {"test"}


ROWS_OF: dict[str, Rows] = {
    "obqa": obqa_rows, "arc": arc_rows, "piqa": piqa_rows, "riddle": riddle_rows, "pubmedqa": pubmedqa_rows,
    "arc-easy": arc_rows, "csqa": csqa_rows, "strategyqa": strategyqa_rows, "sciq": sciq_rows, "mmlu": mmlu_rows,
    "mmlu:anatomy": mmlu_rows,
}  # fmt: skip
LAYOUTS = (
    "{split}/0000.parquet",
    "{config}/{split}/0000.parquet",
    "data/{split}-00000-of-00001.parquet",
    "{split}.parquet",
    "{split}.jsonl",
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_local_copy_gives_the_same_questions(hub: Hub, read: Read, tmp_path: Path, name: str, layout: str) -> None:
    dataset = preset(name)
    rows = {split: ROWS_OF[name](9 if split == "validation" else 12) for split in dataset.files}
    if name in ("arc", "arc-easy"):
        rows["train"] += arc_rows(2, 5)
    hub.add(name, **rows)
    for split, some in rows.items():
        write_rows(tmp_path / "copy" / layout.format(split=split, config=dataset.config), some)
    source = from_path(tmp_path / "copy", name=name)
    copied = list(source.read())
    assert copied == read(name)
    assert source.notes() == ()


def test_a_copy_leaves_other_configurations_and_unlabelled_splits_out(tmp_path: Path) -> None:
    write_rows(tmp_path / "arc" / "ARC-Easy" / "train-00000-of-00001.parquet", arc_rows(5))
    write_rows(tmp_path / "arc" / "ARC-Challenge" / "train-00000-of-00001.parquet", arc_rows(3))
    source = from_path(tmp_path / "arc")
    assert sizes_of(list(source.read())) == (3, 0, 0)
    assert source.notes() == ("The copy of arc has no file for: validation, test.",)
    hidden = [{**row, "label": -1} for row in piqa_rows(4)]
    for split, rows in (("train", piqa_rows(6)), ("validation", piqa_rows(4)), ("test", hidden)):
        write_rows(tmp_path / "piqa" / f"{split}.parquet", rows)
    assert sizes_of(list(from_path(tmp_path / "piqa").read())) == (6, 2, 2)


def test_the_users_own_layout_under_a_hub_name_is_read_as_it_is(tmp_path: Path) -> None:
    rows = [{"id": n, "question": f"Why {n}?", "choices": ["a", "b", "c"], "answer": 0} for n in range(3)]
    write_rows(tmp_path / "arc" / "train.jsonl", rows)
    assert sizes_of(list(from_path(tmp_path / "arc").read())) == (3, 0, 0)


def test_a_single_file_of_a_copy_is_enough(inside: Command, tmp_path: Path) -> None:
    write_rows(tmp_path / "validation.parquet", piqa_rows(8))
    done = inside("import", "validation.parquet", "--name", "piqa", "--json")
    assert json.loads(done.stdout)["splits"] == {"valid": 4, "test": 4}
    assert "no file for: train" in done.stderr


def test_a_row_of_another_layout_in_a_copy_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "piqa" / "train.jsonl", [*piqa_rows(2), {"goal": "?"}])
    with pytest.raises(UsageProblem, match=r"piqa, train, row 3: this is not a row of piqa"):
        list(from_path(tmp_path / "piqa").read())
    write_rows(tmp_path / "piqa" / "train.jsonl", [{**piqa_rows(1)[0], "label": "x"}])
    with pytest.raises(UsageProblem, match="row 1: this is not a row of piqa"):
        list(from_path(tmp_path / "piqa").read())
