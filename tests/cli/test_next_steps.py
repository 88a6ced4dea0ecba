"""What a command names as the next one works when it is typed; and a command that came to nothing says so."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset, write_host
from tests.endpoint import Answer, Body, completion, serving

NOTES = "notes.jsonl"


@pytest.fixture(autouse=True)
def toy(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "toy", train=4, valid=2)


def record(tmp_path: Path, *keys: str, text: str = "A cork is lighter than the water it pushes away.") -> str:
    (tmp_path / NOTES).write_text("".join(json.dumps({"id": key, "rationale": text}) + "\n" for key in keys))
    return NOTES


def configure(tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(f'[teachers.notes]\nbackend = "recorded"\npath = "{NOTES}"\n')


def next_words(stderr: str) -> list[str]:
    line = next(line for line in stderr.splitlines() if line.startswith("Next: "))
    return shlex.split(line.removeprefix("Next: ").split(", or ")[0])


def test_no_reply_at_all_is_no_success(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _number, _body: Answer(body=completion(""))) as endpoint:
        write_host(tmp_path, endpoint.url)
        done = inside("elicit", "-t", "host", "-d", "toy", "--yes", "--json")
    assert done.returncode == 1
    assert "No request returned a rationale: empty reply." in done.stderr
    assert "Next:" not in done.stderr
    assert json.loads(done.stdout)["teachers"][0]["failed"] == 4


def test_after_a_pilot_the_command_without_it_is_named_and_asks_only_the_rest(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.par]\nbackend = "scripted"\nreplies = ["It follows from the list, as one sees."]\n'
    )
    write_dataset(tmp_path / "eight", train=8)
    done = tinyllm("elicit", "-t", "par", "-d", "eight", "--pilot", "--db", "other.db")
    assert next_words(done.stderr) == ["tinyllm", "elicit", "-t", "par", "-d", "eight", "--db", "other.db"]
    again = tinyllm(*next_words(done.stderr)[1:])
    assert "par on eight/train: 3 new rationales, 5 already stored" in again.stdout
    assert "--- Prompt" in done.stdout
    assert "--- Prompt" not in again.stdout, "the pilot's answers are not printed again"


def test_some_replies_are_one(inside: Command, tmp_path: Path) -> None:
    def answer(number: int, _body: Body) -> Answer:
        return Answer(body=completion("It floats because it is light." if number == 1 else ""))

    with serving(answer) as endpoint:
        write_host(tmp_path, endpoint.url, max_in_flight=1)
        done = inside("elicit", "-t", "host", "-d", "toy", "--yes")
    assert (done.returncode, next_words(done.stderr)) == (0, ["tinyllm", "distill", "--alpha", "host=1"])


def test_a_recording_of_other_questions_is_reported(inside: Command, tmp_path: Path) -> None:
    record(tmp_path, "elsewhere-1")
    configure(tmp_path)
    done = inside("elicit", "-t", "notes", "-d", "toy")
    assert (done.returncode, "None of these rationales belongs" in done.stderr) == (2, True)


def test_samples_that_a_recording_lacks_are_not_left_to_ask(inside: Command, tmp_path: Path) -> None:
    record(tmp_path, "train-0", "train-1")
    configure(tmp_path)
    found = json.loads(inside("elicit", "-t", "notes", "-d", "toy", "--samples", "3", "--json").stdout)["teachers"][0]
    assert (found["new"], found["absent"], found["left"]) == (2, 2, 0)


def test_the_next_command_goes_where_this_one_went(inside: Command, tmp_path: Path) -> None:
    """To another database, with a name that the shell would split, through import, audit and gate."""
    (tmp_path / "my db").mkdir()
    at = ("--db", "my db/one.db")
    keys = (f"train-{number}" for number in range(4))
    notes = record(tmp_path, *keys, text="Let's think step by step. A cork is lighter than the water it pushes away.")
    assert inside("import", "toy", "--name", "our toy", *at).returncode == 0
    assert inside("import", "toy", *at).returncode == 0  # a second one: which is meant has to be said
    done = inside("import", notes, "--teacher", "ann", "--dataset", "our toy", *at)
    assert next_words(done.stderr) == ["tinyllm", "audit", "--dataset", "our toy", *at]
    done = inside(*next_words(done.stderr)[1:])
    assert done.returncode == 0, done.stderr
    done = inside("gate", "--dataset", "our toy", "--teacher", "ann", *at)
    assert next_words(done.stderr)[:4] == ["tinyllm", "gate", "--dataset", "our toy"]
    done = inside(*next_words(done.stderr)[1:])
    assert done.returncode == 0, done.stderr
    assert next_words(done.stderr) == ["tinyllm", "distill", "--dataset", "our toy", *at]


def test_a_database_that_the_environment_names_is_not_named_again(
    inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYLLM_DB", str(tmp_path / "env.db"))
    assert next_words(inside("import", "toy").stderr) == [
        "tinyllm", "elicit", "--teacher", "NAME", "--dataset", "toy",
    ]  # fmt: skip


def test_a_report_without_runs_leads_to_the_first_one(inside: Command, tmp_path: Path) -> None:
    inside("import", "toy")
    assert next_words(inside("report").stderr)[1] == "elicit"
    record(tmp_path, "train-0")
    inside("import", NOTES, "--teacher", "ann", "--dataset", "toy")
    assert next_words(inside("report").stderr) == ["tinyllm", "distill"]


def test_nothing_to_score_is_reported(inside: Command, tmp_path: Path) -> None:
    inside("import", "toy")
    record(tmp_path, "train-0", text="No.")
    inside("import", NOTES, "--teacher", "ann", "--dataset", "toy")
    done = inside("usefulness", "--dataset", "toy")
    assert (done.returncode, "The gates reject every rationale of ann" in done.stderr) == (2, True)


def test_labels_that_are_likely_shifted_or_contradictory_are_reported(inside: Command, tmp_path: Path) -> None:
    rows = [f"{n},Which is number {n}?,one,two,three,{1 + n % 2}\n" for n in range(15)]
    (tmp_path / "train.csv").write_text("id,question,a,b,c,answer\n" + "".join(rows))
    done = inside("import", "train.csv", "--name", "shifted", "--map", "options=a,b,c")
    assert (done.returncode, "the first option is never the right one" in done.stderr) == (0, True)
    row = {"question": "What floats?", "options": ["cork", "iron"]}
    places = [(1, 0), (2, 0), (3, 1), (4, 1)]
    text = "".join(json.dumps({**row, "id": n, "answer": answer}) + "\n" for n, answer in places[:3])
    (tmp_path / "train.jsonl").write_text(text)
    done = inside("import", "train.jsonl", "--name", "odd")
    assert "1 train questions of odd are there with two right options: 1." in done.stderr
    found = json.loads(inside("audit", "--dataset", "odd", "--json").stdout)["findings"]
    kinds = {one["kind"]: (one["severity"] == "error", one["text"].split()[0]) for one in found}
    assert kinds["contradictions"] == (True, "1")
    assert kinds["repeated"] == (False, "1")


def test_an_answer_that_names_two_options_or_none_is_refused(inside: Command, tmp_path: Path) -> None:
    row = {"id": "1", "question": "What floats?", "options": ["cork", "cork", "iron"]}
    for answer, said in (("cork", "more than one option"), ("7", "not an index from 0 to 2"), (None, "it is empty")):
        (tmp_path / "train.jsonl").write_text(json.dumps({**row, "answer": answer}))
        done = inside("import", "train.jsonl", "--name", "odd")
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_than_commas_are_seen(inside: Command, tmp_path: Path, separator: str) -> None:
    lines = [["id", "question", "a", "b", "answer"], ["1", "Which, if any, floats?", "cork", "iron", "cork"]]
    (tmp_path / "train.csv").write_text("\n".join(map(separator.join, lines)))
    done = inside("import", "train.csv", "--name", "toy2", "--map", "options=a,b", "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 1}


@pytest.mark.parametrize("name", ["../x", "a\\b", " ", "a\nb"])
def test_a_name_that_is_no_folders_is_refused(inside: Command, name: str) -> None:
    done = inside("import", "toy", "--name", name)
    assert (done.returncode, "can't be called" in done.stderr) == (2, True)


def test_an_env_file_in_another_encoding_is_reported(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("OPENAI_API_KEY=k\n".encode("utf-16"))
    done = tinyllm("report")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "Error: .env can't be read: it is not UTF-8 (byte 0)."
    (tmp_path / ".env").write_bytes("TINYLLM_DB=mine.db\n".encode("utf-8-sig"))
    assert "mine.db" in tinyllm("report").stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('api_key = "sk-123"', "a key doesn't belong here"),
        ("prefix = 3", "prefix must be a text"),
        ("temperature = -1", "It takes a number from 0 to 100."),
        ("max_token = 3", "for every teacher temperature, top_p, max_tokens"),
    ],
)
def test_a_wrong_setting_says_what_is_right(inside: Command, tmp_path: Path, setting: str, said: str) -> None:
    table = f'[teachers.host]\nbackend = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n{setting}\n'
    (tmp_path / "tinyllm.toml").write_text(table)
    done = inside("elicit", "-t", "host", "-d", "toy", "--dry-run")
    assert (done.returncode, said in done.stderr, "sk-123" in done.stderr) == (2, True, False), done.stderr


def test_a_reply_in_parts_is_one_text(inside: Command, tmp_path: Path) -> None:
    parts = [
        {"type": "text", "text": "It floats "},
        {"type": "image"},
        {"type": "text", "text": "because it is light."},
    ]
    with serving(lambda _number, _body: Answer(body=completion(content=parts))) as endpoint:
        write_host(tmp_path, endpoint.url)
        assert inside("elicit", "-t", "host", "-d", "toy", "--yes").returncode == 0
    found = json.loads(inside("inspect", "train-0", "--dataset", "toy", "--json").stdout)
    assert "It floats because it is light." in json.dumps(found)
