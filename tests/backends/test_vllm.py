"""The vllm teacher without an engine: settings to command line, and each way in which a start can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import backends
from backends.base import BadTeacherConfig, Message, ModelUnavailable, Request, Sampling, TeacherError
from backends.vllm import VLLMTeacher
from backends.vllm_server import command as vllm_command
from backends.vllm_server.log import cause, engine_facts, usage_error
from tests.conftest import ROOT, Command, environment, write_dataset
from tests.models import make_folder
from tests.processes import MARK, gone, kill_all, new_mark

TRUE = ["/bin/true"]
installed = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What a test starts is found by it."""
    value = new_mark()
    monkeypatch.setenv(MARK, value)
    yield value
    kill_all(value)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that temporary files go into, with a path that leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="tl", dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def teacher(**settings: Any) -> VLLMTeacher:
    made = backends.create("vllm", {"model": "org/model", **settings})
    assert isinstance(made, VLLMTeacher)
    return made


def line(**settings: Any) -> list[str]:
    """The command line that these settings make."""
    options: Mapping[str, Any] = teacher(command=TRUE, **settings)._options
    return vllm_command.command_line(options, "served")


def ask(of: VLLMTeacher) -> list[Any]:
    request = Request(split="train", key="1", messages=(Message(role="user", content="Why?"),))
    return list(of.generate(iter([request]), Sampling()))


def program(folder: Path, code: str) -> list[str]:
    """A command of the user's, which does what `code` says whatever its arguments are."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    return [sys.executable, str(path)]


def test_engine_options_become_flags() -> None:
    engine = {
        "max_model_len": 4096,
        "tensor-parallel-size": 2,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "gpu_memory_utilization": 0.5,
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
        "allowed_origins": ["a", "b"],
    }
    found = line(engine=engine)
    assert found[:3] == ["/bin/true", "org/model", "--served-model-name=served"]
    assert found[found.index("--max-model-len=4096") :] == [
        "--max-model-len=4096",
        "--tensor-parallel-size=2",
        "--enforce-eager",
        "--no-enable-prefix-caching",
        "--gpu-memory-utilization=0.5",
        '--speculative-config={"method": "ngram", "num_speculative_tokens": 3}',
        "--allowed-origins",
        "a",
        "b",
    ]


def test_weights_come_from_safetensors_and_code_only_when_asked_for() -> None:
    found = line()
    assert "--load-format=safetensors" in found
    assert "--generation-config=vllm" in found
    assert "--trust-remote-code" not in found
    assert "--trust-remote-code" in line(trust_remote_code=True)
    assert "--revision=abc" in line(revision="abc")
    assert line(engine={"load_format": "runai_streamer"}).count("--load-format=runai_streamer") == 1


@pytest.mark.parametrize("settings", [
    {"model": ""},
    {"model": "weights.gguf"},
    {"max_in_flight": 0},
    {"max_in_flight": True},
    {"timeout": 0},
    {"start_timeout": -1},
    {"engine": {"load_format": "pt"}},
    {"engine": {"load_format": "auto"}},
    {"engine": {"host": "0.0.0.0"}},
    {"engine": {"api-key": "mine"}},
    {"engine": {"ssl_keyfile": "key"}},
    {"engine": {"trust_remote_code": True}},
    {"engine": "fast"},
    {"temperature": 1},
])  # fmt: skip
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(BadTeacherConfig):
        teacher(**settings)


@pytest.mark.parametrize("command", [[], "", ["/nowhere/vllm", "serve"], [1], {"a": 1}])
def test_a_command_that_cannot_be_run_is_refused(command: Any) -> None:
    with pytest.raises(BadTeacherConfig, match=r"command|program"):
        vllm_command.command_line(teacher(command=command)._options, "served")


def test_a_command_may_be_a_line() -> None:
    assert line() == vllm_command.command_line(teacher(command="/bin/true")._options, "served")


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, 1024),
    ({"engine": {"max_num_seqs": 256}}, 321),
    ({"engine": {"max-num-seqs": 1}}, 2),
    ({"engine": {"max_num_seqs": 8, "data_parallel_size": 2}}, 22),
    ({"engine": {"max_num_seqs": 256}, "max_in_flight": 7}, 7),
])  # fmt: skip
def test_more_requests_are_in_flight_than_the_engine_runs(settings: dict[str, Any], expected: int) -> None:
    assert vllm_command.in_flight(teacher(**settings)._options) == expected


def test_identity_needs_no_engine_and_is_by_content_for_local_models(tmp_path: Path) -> None:
    assert teacher(revision="r").identity() == {"model": "org/model", "revision": "r"}
    assert teacher(model="smollm2").identity() == {"model": "smollm2", "revision": ""}
    folder = make_folder(tmp_path / "model", "causal")
    same = backends.create("huggingface", {"model": str(folder)})
    assert teacher(model=str(folder)).identity() == same.identity()
    assert teacher().describe() == {}


def test_nothing_starts_when_nothing_is_asked() -> None:
    found = teacher(command=["/nowhere"])
    assert list(found.generate(iter([]), Sampling())) == []
    found.close()
    found.close()


def test_vllm_that_is_not_installed_is_named_with_the_way_to_install_it(tmp_path: Path) -> None:
    """In an interpreter that sees the project and the standard library, and no installed package."""
    code = (
        "import sys; sys.path = [path for path in sys.path if 'site-packages' not in path] + [sys.argv[1]];"
        "from backends.vllm_server import command;"
        "command.command_line({'model': 'm', 'command': None}, 'm')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "BadTeacherConfig: vLLM is not installed." in done.stderr


def test_a_local_model_that_asks_for_foreign_code_is_not_served(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "causal")
    assert line(model=str(folder))[1] == str(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"_attn_implementation": "owner/kernel"}))
    with pytest.raises(ModelUnavailable, match="can download code"):
        line(model=str(folder))


@installed
def test_a_model_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no model at"):
        ask(teacher(model=str(tmp_path / "none")))


@installed
def test_a_hub_model_that_is_neither_here_nor_there_is_said_before_anything_starts(
    tinyllm: Command, tmp_path: Path
) -> None:
    settings = '[teachers.far]\nbackend = "vllm"\nmodel = "no-such-owner/no-such-model"\n'
    (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=2)
    done = tinyllm("elicit", "--teacher", "far", "--dataset", "toy", "--icl", "0")
    assert done.returncode == 1
    assert "is not on this machine and the hub can't be reached" in done.stderr


def test_a_command_that_exits_at_once_is_reported_with_its_last_error(tmp_path: Path, logs: Path, mark: str) -> None:
    command = program(tmp_path, """
        import sys
        print("(EngineCore pid=7) ERROR 11-24 14:17:07 [core.py:1] ValueError: no room for the cache. Free some.")
        print("RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)
    """)  # fmt: skip
    with pytest.raises(TeacherError, match="did not start: ValueError: no room for the cache") as caught:
        ask(teacher(command=command))
    [folder] = logs.iterdir()
    assert str(folder / "vllm.log") in caught.value.hint
    assert "no room" in (folder / "vllm.log").read_text(encoding="utf-8")
    gone(mark)


def test_a_command_that_exits_silently_is_reported_with_its_exit_code(tmp_path: Path, logs: Path, mark: str) -> None:
    with pytest.raises(TeacherError, match="exit code 3"):
        ask(teacher(command=program(tmp_path, "raise SystemExit(3)")))
    gone(mark)


def test_an_option_that_the_engine_does_not_know_is_a_wrong_setting(tmp_path: Path, logs: Path, mark: str) -> None:
    command = program(tmp_path, """
        import argparse
        parser = argparse.ArgumentParser(prog="vllm serve")
        parser.add_argument("model")
        for known in ("served-model-name", "load-format", "generation-config", "uds"):
            parser.add_argument(f"--{known}")
        parser.add_argument("--disable-uvicorn-access-log", action="store_true")
        parser.parse_args()
    """)  # fmt: skip
    with pytest.raises(BadTeacherConfig, match="unrecognized arguments: --no-such-thing=1"):
        ask(teacher(command=command, engine={"no_such_thing": 1}))
    gone(mark)


def test_a_server_that_never_gets_ready_is_ended_after_the_start_timeout(tmp_path: Path, logs: Path, mark: str) -> None:
    command = program(tmp_path, """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    """)  # fmt: skip
    with pytest.raises(TeacherError, match="not ready after 1 seconds") as caught:
        ask(teacher(command=command, start_timeout=1.0))
    assert "start_timeout" in caught.value.hint
    gone(mark)


def test_the_key_is_in_the_environment_and_not_on_the_command_line(tmp_path: Path, logs: Path, mark: str) -> None:
    command = program(tmp_path, f"""
        import json, os, sys
        open({str(tmp_path / "seen.json")!r}, "w").write(json.dumps([os.environ["VLLM_API_KEY"], sys.argv]))
    """)  # fmt: skip
    keys = set()
    for _ in range(2):
        with pytest.raises(TeacherError):
            ask(teacher(command=command))
        key, arguments = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
        assert len(key) > 30
        assert not any(key in argument for argument in arguments)
        assert not any(argument.startswith(("--host", "--port")) for argument in arguments)
        keys.add(key)
    assert len(keys) == 2
    assert not any(name.startswith("TINYLLM_VLLM") for name in os.environ)


SERVER = """
    import json, os, socketserver, sys
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self):
            return "unix"

        def do_GET(self):
            self.answer(200, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers["authorization"] != "Bearer " + os.environ["VLLM_API_KEY"]:
                self.answer(401, {})
            elif self.path == "/tokenize":
                self.answer(200, {"tokens": [1]})
            else:
                message = {"content": "You asked: " + body["messages"][0]["content"]}
                self.answer(200, {"choices": [{"message": message, "finish_reason": "stop"}]})

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    open(sys.argv[1], "w").write(json.dumps(dict(os.environ)))
    place = next(argument for argument in sys.argv if argument.startswith("--uds="))
    Server(place.removeprefix("--uds="), Handler).serve_forever()
"""


@pytest.fixture
def engine(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[VLLMTeacher]:
    """A teacher on a server that speaks vLLM's protocol and writes its environment to variables.json."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-engine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the engine")
    monkeypatch.setenv("HF_TOKEN", "for the download")
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1")
    made = teacher(command=[*program(tmp_path, SERVER), str(tmp_path / "variables.json")])
    yield made
    made.close()
    gone(mark)


def test_the_server_listens_where_no_other_user_can_enter(engine: VLLMTeacher, tmp_path: Path) -> None:
    """A port could be taken by another user while the engine loads; that user would get key and prompts."""
    [[(_, outcome)]] = ask(engine)
    assert outcome.text == "You asked: Why?"
    server = engine._server
    assert server is not None
    assert server.socket is not None
    assert Path(server.socket).is_socket()
    assert Path(server.socket).parent.stat().st_mode & 0o077 == 0
    folder = Path(server.socket).parent
    engine.close()
    assert not folder.exists()


def test_the_engine_gets_no_key_that_it_does_not_need(engine: VLLMTeacher, tmp_path: Path) -> None:
    ask(engine)
    seen = json.loads((tmp_path / "variables.json").read_text(encoding="utf-8"))
    assert "OPENAI_API_KEY" not in seen
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["HF_TOKEN"] == "for the download"
    assert seen["PATH"] == os.environ["PATH"]


def test_an_engine_that_loads_from_a_bucket_gets_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "for the bucket")
    options = teacher(model="s3://bucket/model", engine={"load_format": "runai_streamer"})._options
    assert vllm_command.environment(options)["AWS_SECRET_ACCESS_KEY"] == "for the bucket"


def test_a_long_path_for_temporary_files_leaves_room_for_the_socket(
    engine: VLLMTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert ask(engine)
    assert list(long.iterdir()) == []


def test_a_container_that_sees_other_folders_gets_a_port(tmp_path: Path, logs: Path, mark: str) -> None:
    seen = tmp_path / "seen.json"
    docker = tmp_path / "docker"
    docker.write_text(f"#!{sys.executable}\nimport json, sys\nopen({str(seen)!r}, 'w').write(json.dumps(sys.argv))\n")
    docker.chmod(0o755)
    with pytest.raises(TeacherError):
        ask(teacher(command=[str(docker), "run", "vllm"]))
    arguments = json.loads(seen.read_text())
    assert "--host=127.0.0.1" in arguments
    assert any(argument.startswith("--port=") for argument in arguments)


def test_quotes_that_do_not_end_are_a_wrong_command() -> None:
    with pytest.raises(BadTeacherConfig, match="command can't be"):
        vllm_command.command_line(teacher(command="vllm 'serve")._options, "served")


def test_this_path_imports_neither_vllm_nor_torch(tmp_path: Path, mark: str) -> None:
    code = (
        "import sys, backends\n"
        "from backends.base import Message, Request, Sampling, TeacherError\n"
        "teacher = backends.create('vllm', {'model': sys.argv[1], 'command': ['/bin/false']})\n"
        "request = Request(split='train', key='1', messages=(Message(role='user', content='Why?'),))\n"
        "try:\n"
        "    list(teacher.generate(iter([request]), Sampling()))\n"
        "except TeacherError as error:\n"
        "    print(error)\n"
        "print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))\n"
    )
    folder = make_folder(tmp_path / "model", "causal")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment(TMPDIR=str(tmp_path)), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["vLLM did not start: it ended with exit code 1.", "[]"]
    gone(mark)


def test_the_log_says_what_happened_first_and_what_the_engine_is() -> None:
    log = (
        "(EngineCore pid=1) INFO 11-24 14:18:43 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config:"
        " model='m', dtype=torch.bfloat16, quantization=None, device_config=cpu, enable_prefix_caching=True\n"
        "(EngineCore pid=1) ERROR 11-24 14:18:44 [core.py:9] torch.OutOfMemoryError: CUDA out of memory.\n"
        "(APIServer pid=2) RuntimeError: Engine core initialization failed. See root cause above.\n"
        "resource_tracker: leaked\n"
    )
    assert cause(log) == "torch.OutOfMemoryError: CUDA out of memory"
    assert (
        cause(
            "pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "  Value error, max_model_len (9) is greater than 8. [type=value_error, input_value=1]\n"
        )
        == "max_model_len (9) is greater than 8"
    )
    assert (
        cause(
            "(APIServer pid=2) ERROR 11-24 15:00:01 [async_llm.py:906] AsyncLLM output_handler failed.\n"
            "(APIServer pid=2) ERROR 11-24 15:00:01 [async_llm.py:906] vllm.EngineDeadError: EngineCore encountered an"
            " issue. See stack trace (above) for the root cause.\n"
            "INFO:     Application shutdown complete.\n"
            "resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked\n"
        )
        == "vllm.EngineDeadError: EngineCore encountered an issue"
    )
    assert cause("nothing to see\n\n") == "nothing to see"
    assert cause("") == ""
    assert engine_facts(log) == {"vllm": "0.32.0", "dtype": "bfloat16", "device": "cpu", "prefix_caching": "True"}
    assert engine_facts("") == {}
    assert usage_error("x: error: argument --dtype: invalid choice: 'f' (choose from a)\n").startswith("argument --dty")
    assert usage_error(log) == ""
