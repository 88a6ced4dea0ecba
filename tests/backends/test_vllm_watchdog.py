"""The watchdog with real processes: however it, its parent or its command ends, no process is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.vllm_server import watchdog
from tests.processes import MARK, gone, kill_all, marked, new_mark, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")

# A command with a child in its own session: what stays behind when only a process group is killed.
FAMILY = """
    import os, signal, subprocess, sys, time
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.Popen(sleeper)
    subprocess.Popen(sleeper, start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""
DEAF = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        time.sleep(600)
"""
CLEAN = """
    import signal, sys, time
    def stop(*_):
        print("cleaned up", flush=True)
        sys.exit(7)
    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    value = new_mark()
    yield value
    kill_all(value)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def start(mark: str, command: list[str], *options: str, grace: float = 5.0) -> subprocess.Popen[str]:
    """A watchdog, when its command has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-I", watchdog.__file__, "--grace", str(grace), *options, "--", *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, MARK: mark},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """(exit code, the rest of the output) of a watchdog that ends without a signal."""
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


def test_the_end_of_its_input_ends_the_command_and_all_that_it_started(mark: str) -> None:
    process = start(mark, python(FAMILY))
    assert len(marked(mark)) == 4
    assert finish(process)[0] == 128 + signal.SIGTERM
    assert not marked(mark)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_watchdog_ends_the_command(mark: str, number: signal.Signals) -> None:
    process = start(mark, python(FAMILY))
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not marked(mark)
    finish(process)


def test_the_command_may_clean_up_and_its_exit_code_is_passed_on(mark: str) -> None:
    assert finish(start(mark, python(CLEAN))) == (7, "cleaned up\n")


def test_a_command_that_is_deaf_to_sigterm_is_killed_after_the_grace_period(mark: str) -> None:
    assert finish(start(mark, python(DEAF), grace=0.5))[0] == 128 + signal.SIGKILL
    assert not marked(mark)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_children_of_a_command_that_crashed_are_ended(mark: str, number: signal.Signals) -> None:
    process = start(mark, python(FAMILY))
    [command] = [
        pid for pid, line in marked(mark).items() if "ready" in line and pid != process.pid and "-I" not in line
    ]
    os.kill(command, number)
    assert process.wait(timeout=30) == 128 + number
    assert not marked(mark)
    finish(process)


def test_a_command_that_ends_ends_the_watchdog(mark: str) -> None:
    process = start(mark, python("import sys; print('ready', flush=True); sys.exit(3)"))
    assert process.wait(timeout=30) == 3
    assert not marked(mark)
    finish(process)


def test_a_command_that_ends_at_once_is_not_missed(mark: str) -> None:
    for _ in range(20):
        command = [sys.executable, "-I", watchdog.__file__, "--", "/bin/false"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, MARK: mark})
        assert process.wait(timeout=30) == 1
        process.communicate()


def test_a_command_that_is_not_there_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-I", watchdog.__file__, "--", "/nowhere/to/be/found"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 127
    assert "/nowhere/to/be/found" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_the_parent_ends_everything(mark: str, number: signal.Signals) -> None:
    """The parent dies without a word to the watchdog; the pipe that it held closes."""
    parent = f"""
        import subprocess, sys, time
        guarded = [sys.executable, "-I", {watchdog.__file__!r}, "--", *{python(FAMILY)!r}]
        subprocess.Popen(guarded, stdin=subprocess.PIPE, start_new_session=True)
        time.sleep(600)
    """
    process = subprocess.Popen(python(parent), env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(marked(mark)) == 5
    process.send_signal(number)
    process.wait()
    gone(mark)
    process.stdout.close()


def test_the_death_of_the_watchdog_itself_ends_the_command(mark: str) -> None:
    process = start(mark, python(CLEAN))
    process.kill()
    process.wait()
    gone(mark)
    finish(process)


def test_ctrl_c_in_the_terminal_does_not_reach_the_command(mark: str) -> None:
    """The terminal sends SIGINT to the foreground process group; the command is in a session of its own."""
    process = start(mark, python(FAMILY))
    pids = [pid for pid in marked(mark) if pid != process.pid]
    assert all(os.getsid(pid) not in (os.getsid(0), os.getsid(process.pid)) for pid in pids)
    finish(process)


def test_the_command_reads_no_input_and_the_watchdog_ignores_what_is_written_to_it(mark: str) -> None:
    process = start(
        mark, python("import sys, time; assert not sys.stdin.read(); print('ready', flush=True); time.sleep(600)")
    )
    assert process.stdin is not None
    process.stdin.write("anything")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    wait_until(lambda: len(marked(mark)) == 2)
    finish(process)
    assert not marked(mark)


@pytest.mark.parametrize(("word", "stays"), [("", False), ("keep", True)])
def test_the_scratch_folder_goes_with_the_parent_unless_it_says_otherwise(
    mark: str, tmp_path: Path, word: str, stays: bool
) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    folder.joinpath("log").write_text("all is well", encoding="utf-8")
    process = start(mark, python(FAMILY), "--scratch", str(folder))
    process.communicate(word, timeout=30)
    assert folder.exists() == stays


def test_the_scratch_folder_stays_when_the_command_crashed(mark: str, tmp_path: Path) -> None:
    process = start(mark, python("import os; print('ready', flush=True); os.abort()"), "--scratch", str(tmp_path))
    process.wait(timeout=30)
    assert tmp_path.exists()
    finish(process)
