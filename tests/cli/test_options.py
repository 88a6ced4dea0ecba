"""What a user's mistake or a broken world looks like: a line or two, the right exit code, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from tests.conftest import Command, write_dataset


def failed(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """The command ended with `code` and a message that holds every one of `said`, in few lines."""
    assert done.returncode == code, done.stderr
    for text in said:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert len([line for line in done.stderr.splitlines() if line.strip()]) <= 9


def test_an_unknown_teacher_lists_the_known_ones(tinyllm: Command) -> None:
    failed(tinyllm("elicit", "--teacher", "gpt9", "--dataset", "everyday"), 2, "'gpt9'", "expert, llama2, smollm2, t5")


def test_an_unknown_dataset_lists_the_known_ones(tinyllm: Command) -> None:
    failed(tinyllm("elicit", "--teacher", "expert", "--dataset", "nope"), 2, "'nope'", "everyday", "riddle")


def test_an_unknown_split_lists_the_splits(tinyllm: Command) -> None:
    done = tinyllm("elicit", "--teacher", "expert", "--dataset", "everyday", "--split", "tests")
    failed(done, 2, "'tests' is not one of 'train', 'valid', 'test'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["distill", "--loss", "mean"], "Invalid value for '--loss'"),
        (["distill", "--precision", "float16"], "Invalid value for '--precision'"),
        (["distill", "--schedule", "exponential"], "There is no schedule 'exponential'"),
        (["distill", "--epochs", "0"], "--epochs"),
        (["eval", "--scoring", "vibes"], "Invalid value for '--scoring'"),
        (["elicit", "--teacher", "expert", "--dataset", "everyday", "--icl", "-1"], "--icl"),
        (["elicit", "--dataset", "everyday"], "--teacher"),
        (["eval", "--run", "one"], "--run"),
    ],
)
def test_a_wrong_option_value_says_what_is_right(tinyllm: Command, arguments: list[str], said: str) -> None:
    failed(tinyllm(*arguments), 2, said)


@pytest.mark.parametrize("alpha", ["parrot=-1", "parrot=nan", "parrot=inf", "parrot=x", "=1", "parrot", "-0.5"])
def test_a_wrong_alpha_is_a_usage_error(tinyllm: Command, scripted: Path, tmp_path: Path, alpha: str) -> None:
    write_dataset(tmp_path / "toy", train=4)
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    failed(tinyllm("distill", f"--alpha={alpha}", "--student", "nowhere"), 2, "--alpha")


def test_an_alpha_for_an_unknown_teacher_lists_teachers(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    failed(tinyllm("distill", "--alpha", "gpt=1"), 2, "'gpt'", "parrot")


def test_a_dataset_without_rationales_says_how_to_get_them(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    assert tinyllm("import", "toy").returncode == 0
    failed(tinyllm("distill", "--dataset", "toy"), 2, "no rationales", "tinyllm elicit --teacher NAME --dataset toy")
    failed(tinyllm("distill", "--alpha", "t5=1", "--dataset", "toy"), 2, "no rationales of t5")


def test_commands_without_a_database_say_where_to_begin(tinyllm: Command) -> None:
    for command in ("distill", "eval", "report"):
        failed(tinyllm(command), 1, "no database", "tinyllm elicit")


def test_an_unreachable_hub_names_the_model_and_three_ways_on(tinyllm: Command) -> None:
    done = tinyllm("elicit", "--teacher", "t5", "--dataset", "everyday", "--limit", "2")
    failed(done, 1, "google/flan-t5-xl", "hub can't be reached", "local folder", "smollm2", "endpoint")


def test_an_unreachable_hub_names_the_dataset_and_three_ways_on(tinyllm: Command, tmp_path: Path) -> None:
    done = tinyllm("elicit", "--teacher", "t5", "--dataset", "riddle", HF_HOME=str(tmp_path / "empty"))
    failed(done, 1, "riddle", "INK-USC/riddle_sense", "tinyllm import", "everyday", "HF_ENDPOINT")


def test_an_unreachable_student_is_reported_before_anything_is_trained(tinyllm: Command) -> None:
    assert tinyllm("elicit", "--teacher", "expert", "--dataset", "everyday").returncode == 0
    failed(tinyllm("distill"), 1, "google/flan-t5-small", "hub can't be reached")


def test_pickle_weights_are_refused(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    config = {
        "model_type": "llama",
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 8,
    }
    (tmp_path / "old" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "old")
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    done = tinyllm("eval", "--model", "./old", "--dataset", "everyday", "--scoring", "rank")
    failed(done, 1, "/old", "no safetensors weights, and pickle files are not loaded")


def test_a_run_that_is_not_there(tinyllm: Command) -> None:
    assert tinyllm("elicit", "--teacher", "expert", "--dataset", "everyday").returncode == 0
    failed(tinyllm("eval", "--run", "7"), 2, "no run 7")
    failed(tinyllm("eval"), 2, "no finished run", "tinyllm distill")


def test_a_file_that_is_no_database(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.db").write_text("not a database, but long enough to look like a file of some kind\n" * 20)
    failed(tinyllm("report"), 1, "not a SQLite database", "--db")


def test_debug_shows_the_traceback(tinyllm: Command) -> None:
    done = tinyllm("report", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "no database" in done.stderr


def test_a_terminal_of_another_encoding_shows_what_it_lacks_as_an_escape(tinyllm: Command, tmp_path: Path) -> None:
    row = {"id": "1", "question": "Où?", "options": ["à", "é"], "answer_index": 0}
    (tmp_path / "train.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert tinyllm("import", "train.jsonl", "--name", "toy").returncode == 0
    done = tinyllm("inspect", "1", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "O\\xf9?" in done.stdout


def test_debug_shows_no_control_characters(inside: Command, tmp_path: Path) -> None:
    done = inside("distill", "--alpha", "0", "--dataset", "no\x1b[2Jbody", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_number_that_no_database_holds_is_a_user_s_mistake(inside: Command, tmp_path: Path) -> None:
    assert inside("import", write_dataset(tmp_path / "toy", train=4)).returncode == 0
    done = inside("eval", "--run", str(10**20))
    assert done.returncode == 2
    assert "larger than the database can hold" in done.stderr


def test_a_broken_settings_file(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text("[teachers.x\n", encoding="utf-8")
    failed(tinyllm("elicit", "--teacher", "x", "--dataset", "everyday"), 2, "tinyllm.toml")


def test_a_misspelt_backend_setting(tinyllm: Command, tmp_path: Path) -> None:
    text = '[teachers.x]\nbackend = "scripted"\nreplys = ["a"]\n'
    (tmp_path / "tinyllm.toml").write_text(text, encoding="utf-8")
    failed(tinyllm("elicit", "--teacher", "x", "--dataset", "everyday"), 2, "'replys'", "replies")


def test_empty_rationales_are_failures_and_teach_nothing(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text('[teachers.mute]\nbackend = "scripted"\nreplies = [" "]\n', encoding="utf-8")
    write_dataset(tmp_path / "toy", train=4)
    done = tinyllm("elicit", "--teacher", "mute", "--dataset", "toy")
    assert "0 new rationales" in done.stdout
    assert "4 failed" in done.stdout
    assert "empty reply" in done.stderr
    failed(tinyllm("distill", "--alpha", "mute=1", "--dataset", "toy"), 2, "no rationales of mute")


def test_json_is_one_object_and_nothing_else(tinyllm: Command) -> None:
    done = tinyllm("elicit", "--teacher", "expert", "--dataset", "everyday", "--json", "--quiet")
    assert json.loads(done.stdout)["teachers"][0]["new"] == 240
    assert done.stderr == ""
    report = json.loads(tinyllm("report", "--json", "--quiet").stdout)
    assert report["datasets"][0]["splits"] == {"train": 240, "valid": 60, "test": 100}


def test_the_dry_run_shows_a_prompt_in_full_and_asks_nothing(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    first = tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy", "--dry-run")
    second = tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy", "--dry-run")
    assert first.stdout == second.stdout
    assert first.stdout.count("Question: ") == 3
    assert "Answer: (a) thing 0 a\nRationale: Let's think step by step." in first.stdout
    assert "Would ask parrot (scripted) 8 times" in first.stdout
    assert tinyllm("report", "--json").stdout.count('"teacher"') == 0


def test_ctrl_c_while_the_command_line_loads_ends_without_a_traceback() -> None:
    program = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from tinyllm_cli.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "Stopped before anything was done. Run the same command to begin.\n"
