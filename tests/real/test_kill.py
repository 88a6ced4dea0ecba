"""What a kill, a Ctrl-C, a second process and a full disk leave behind: every finished reply, each of them once."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Command, environment, start, write_dataset

pytestmark = pytest.mark.real
ELICIT = ("elicit", "--teacher", "slow", "--dataset", "toy")


def configure(folder: Path, *, delay: float, questions: int, words: int = 5) -> None:
    replies = [" ".join([f"reason{number}"] * words) for number in range(3)]
    settings = f'[teachers.slow]\nbackend = "scripted"\nreplies = {replies}\ndelay = {delay}\nlog = "asked.log"\n'
    (folder / "tinyllm.toml").write_text(settings, encoding="utf-8")
    write_dataset(folder / "toy", train=questions)


def asked(folder: Path) -> Counter[str]:
    """How often each (split, key, sample) was asked."""
    log = folder / "asked.log"
    return Counter(log.read_text(encoding="utf-8").splitlines() if log.exists() else [])


def wait_for(folder: Path, process: subprocess.Popen[str], lines: int) -> None:
    """Until so many requests were made in all."""
    while asked(folder).total() < lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def rows(folder: Path) -> Counter[tuple[object, ...]]:
    """How many rationales each identity has; the file must be whole."""
    with closing(sqlite3.connect(folder / "tinyllm.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return Counter()
        return Counter(db.execute("SELECT question, teacher, prompt, sampling, sample FROM rationales").fetchall())


def complete(folder: Path, wanted: int) -> None:
    """There is exactly one row for each rationale that was wanted, and one question for each of `wanted`."""
    found = rows(folder)
    assert set(found.values()) == {1}
    assert len(found) == wanted


def test_twenty_kills_lose_nothing_and_ask_nothing_twice_but_what_was_in_flight(
    tinyllm: Command, tmp_path: Path
) -> None:
    configure(tmp_path, delay=0.01, questions=160)
    sampled = (*ELICIT, "--samples", "2", "--temperature", "0.7")
    moments = random.Random()
    for kill in range(1, 21):
        before = rows(tmp_path) if (tmp_path / "tinyllm.db").exists() else Counter()
        process = start(tmp_path, *sampled)
        if kill % 5:
            wait_for(tmp_path, process, asked(tmp_path).total() + moments.randrange(1, 16))
            time.sleep(moments.uniform(0, 0.012))
        else:
            time.sleep(moments.uniform(0, 0.6))  # while it starts, or opens the file
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        after = rows(tmp_path)
        assert before <= after
        assert asked(tmp_path).total() - after.total() <= kill
    done = tinyllm(*sampled)
    assert done.returncode == 0, done.stderr
    complete(tmp_path, 320)
    assert len(asked(tmp_path)) == 320
    assert asked(tmp_path).total() <= 320 + 20
    assert "0 new rationales, 320 already stored" in tinyllm(*sampled).stdout
    assert asked(tmp_path).total() <= 320 + 20


def test_a_kill_during_the_import_leaves_the_whole_data_set_or_none(tinyllm: Command, tmp_path: Path) -> None:
    configure(tmp_path, delay=0, questions=20_000)
    for _ in range(4):
        process = start(tmp_path, "import", "toy")
        wal = tmp_path / "tinyllm.db-wal"
        while process.poll() is None and not (wal.exists() and wal.stat().st_size > 500_000):
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.3))
        process.kill()
        process.communicate()
        with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as db:
            found = [db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("dataset_questions", "datasets")]
        assert found in ([0, 0], [20_000, 1])
    assert tinyllm("import", "toy").returncode == 0
    assert "toy: train 20000 (unchanged)" in tinyllm("import", "toy").stdout


def test_two_processes_fill_one_file_together(tmp_path: Path) -> None:
    configure(tmp_path, delay=0.002, questions=400)
    for process in [start(tmp_path, *ELICIT), start(tmp_path, *ELICIT)]:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, out + error
    complete(tmp_path, 400)


def test_two_teachers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    configure(tmp_path, delay=0.002, questions=200)
    with (tmp_path / "tinyllm.toml").open("a", encoding="utf-8") as settings:
        settings.write('[teachers.quick]\nbackend = "scripted"\nreplies = ["because"]\n')
    quick = ("elicit", "--teacher", "quick", "--dataset", "toy")
    for process in [start(tmp_path, *ELICIT), start(tmp_path, *quick)]:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    complete(tmp_path, 400)
    assert set(asked(tmp_path).values()) == {1}


def test_ctrl_c_says_what_is_kept_and_the_same_command_continues(tinyllm: Command, tmp_path: Path) -> None:
    configure(tmp_path, delay=0.01, questions=60)
    for stop in (1, 2, 3):
        process = start(tmp_path, *ELICIT)
        wait_for(tmp_path, process, asked(tmp_path).total() + 9)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        kept = rows(tmp_path).total()
        assert f"Stopped: {kept} rationales of slow are stored for toy/train." in error
        assert "Run the same command to continue." in error
        assert "Traceback" not in error
        assert asked(tmp_path).total() - kept <= stop
    assert tinyllm(*ELICIT).returncode == 0
    complete(tmp_path, 60)


def test_a_full_disk_ends_in_a_message_and_a_rerun_completes(tinyllm: Command, tmp_path: Path) -> None:
    configure(tmp_path, delay=0, questions=300, words=60)
    assert tinyllm("import", "toy").returncode == 0
    process = start(tmp_path, *ELICIT, file_size=400_000)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert "tinyllm.db can't be written" in error
    assert "Free some space" in error
    assert "Traceback" not in error
    kept = rows(tmp_path).total()
    assert 0 < kept < 300
    assert asked(tmp_path).total() == kept + 1
    assert tinyllm(*ELICIT).returncode == 0
    complete(tmp_path, 300)
    assert asked(tmp_path).total() == 301


PEAK = """
import re, sys
from pathlib import Path
from tinyllm_cli.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak(folder: Path, *arguments: str) -> int:
    """The most memory that the command ever held, in KiB."""
    command = [sys.executable, "-c", PEAK, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    return int(re.findall(r"\d+", done.stdout)[-1])


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.quick]\nbackend = "scripted"\nreplies = ["because"]\n'
        '[teachers.noted]\nbackend = "recorded"\npath = "noted.jsonl"\n',
        encoding="utf-8",
    )
    write_dataset(tmp_path / "small", train=2_000)
    write_dataset(tmp_path / "large", train=20_000)
    with (tmp_path / "noted.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f'{{"id": "train-{number}", "rationale": "{"because " * 9}"}}\n' for number in range(20_000))
    for command in (("import",), ("elicit", "-t", "quick", "--dataset"), ("elicit", "-t", "noted", "--dataset")):
        small = peak(tmp_path, *command, "small", "--db", "small.db")
        large = peak(tmp_path, *command, "large", "--db", "large.db")
        assert large - small < 6 * 1024, command
