"""What scripts rely on: structured logs, exit codes by command, and `tinyllm info`."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command, write_dataset
from tinyllm_cli.cli import app
from tinyllm_cli.cli.exit_codes import COMMON, OWN, exit_codes
from tinyllm_cli.cli.views.progress import ProgressLines

PAGE = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")


def logged(stderr: str) -> list[dict[str, object]]:
    """The lines of a structured log; every line is one."""
    lines = [json.loads(line) for line in stderr.splitlines()]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
        assert f"`{line['event']}`" in PAGE
        assert all(f"`{name}`" in PAGE for name in line)
    return lines


@pytest.fixture
def structured(monkeypatch: pytest.MonkeyPatch, inside: Command) -> Command:
    monkeypatch.setenv("TINYLLM_LOG", "json")
    return inside


def test_every_line_on_stderr_is_an_object(structured: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    assert {line["event"] for line in logged(structured("import", "toy").stderr)} <= {"notice", "progress", "next"}
    done = structured("elicit", "--teacher", "parrot", "--dataset", "toy")
    assert done.returncode == 0
    lines = logged(done.stderr)
    following = next(line for line in lines if line["event"] == "next")
    assert str(following["message"]).startswith("tinyllm ")
    assert [line["total"] for line in lines if line["event"] == "progress" and line["done"] == 4] == [4]
    assert done.stdout  # results are not logs


def test_a_quiet_command_logs_no_notice(structured: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    assert logged(structured("import", "toy", "--quiet").stderr) == []


@pytest.mark.parametrize("json_result", [(), ("--json",)])
def test_an_error_is_the_last_line(structured: Command, json_result: tuple[str, ...]) -> None:
    done = structured("report", "--debug", *json_result)
    traceback, error = logged(done.stderr)
    assert "Traceback" in str(traceback["traceback"])
    assert (error["level"], error["exit_code"]) == ("error", done.returncode)
    assert error["error"]
    assert error["hint"]


def test_a_usage_error_is_an_object_too(structured: Command) -> None:
    (error,) = logged(structured("eval", "--scoring", "vibes").stderr)
    assert error["exit_code"] == 2


def test_an_unknown_format_is_refused(inside: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLLM_LOG", "xml")
    done = inside("info")
    assert done.returncode == 2
    assert "TINYLLM_LOG can't be 'xml': it is text or json." in done.stderr


def test_the_format_can_come_from_env_file_and_its_errors_follow_json(tinyllm: Command, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TINYLLM_LOG=json\n", encoding="utf-8")
    assert logged(tinyllm("report").stderr)[-1]["exit_code"] == 1
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    done = tinyllm("report", "--json")
    assert json.loads(done.stderr)["exit_code"] == done.returncode == 2


def test_progress_without_a_total(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLLM_LOG", "json")
    monkeypatch.setattr("tinyllm_cli.cli.views.progress._LINE_EVERY", 0.0)
    meter = ProgressLines("work")
    meter(1, 0)
    meter(3, 0, "half")
    lines = logged(capsys.readouterr().err)
    assert [(line["done"], line["total"], line["detail"]) for line in lines] == [(1, None, ""), (3, None, "half")]


def test_the_codes_of_every_command_are_documented() -> None:
    reference = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(OWN) <= {command.name for command in app.registered_commands}
    for command in app.registered_commands:
        section = reference.split(f"\n## tinyllm {command.name}\n")[1].split("\n## ")[0]
        codes = [int(code) for code in re.findall(r"^\| (\d+) \| .", section, re.MULTILINE)]
        assert codes == [code for code, _ in exit_codes(command.name or "")]
        assert set(codes) >= set(COMMON)
        assert "With `--json`: [" in section
    assert all(f"\n| {code} |" in PAGE for code in {*COMMON, 75})


def test_info_shows_versions_devices_and_paths_and_no_key(inside: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host.invalid/v1")
    found = json.loads(inside("info", "--json", "--db", "some.db").stdout)
    assert {"OPENAI_API_KEY", "OPENAI_BASE_URL"} <= set(found["variables"])
    assert found["devices"][-1]["kind"] == "cpu"
    assert found["devices"][-1]["memory"] > 2**28
    assert found["packages"]["torch"]
    assert found["paths"]["database"] == {"path": str(Path.cwd() / "some.db"), "exists": False, "bytes": None}
    text = inside("info").stdout
    assert found["packages"]["torch"] in text
    for shown in (text, json.dumps(found)):
        assert "sk-secret" not in shown
        assert "host.invalid" not in shown
    assert not Path("some.db").exists()


def test_info_works_where_torch_does_not(tinyllm: Command, tmp_path: Path) -> None:
    """A broken torch is what a bug report is about."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise OSError('libcudart.so.13: no such file')\n", encoding="utf-8")
    done = tinyllm("info", "--json", PYTHONPATH=f"{broken}:{ROOT}")
    found = json.loads(done.stdout)
    assert (found["devices"], found["cpu_threads"]) == ([], None)
    assert found["torch_error"] == "OSError: libcudart.so.13: no such file"
    assert "libcudart.so.13" in tinyllm("info", PYTHONPATH=f"{broken}:{ROOT}").stdout
