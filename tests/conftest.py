"""What the tests share: the command as a subprocess, small data sets, tiny models."""

from __future__ import annotations

import asyncio
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import settings

from backends.base import Answer, Outcome, Request, Sampling, Teacher
from tests import unit
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.rationales import Settled

# Tests run side by side: threads that wait for each other's cores cost more than they bring.
# Those that a command starts all the same sleep while they wait, so that they leave the cores to the tests beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Nothing outside the repository decides a test: neither the developer's keys, endpoints and proxies, nor models in the
# hub's cache. Set before transformers is imported.
_HUB = tempfile.TemporaryDirectory(prefix="tinyllm-tests-")
_FOREIGN = re.compile(r"(?i)TINYLLM_(DB|CONFIG|LOG)|OPENAI_.*|HF_.*|.*_PROXY")
for _name in [name for name in os.environ if _FOREIGN.fullmatch(name)]:
    del os.environ[_name]
os.environ.update(HF_HOME=_HUB.name, HF_HUB_OFFLINE="1")
settings.register_profile("tinyllm", deadline=None)  # a busy machine fails no test
settings.register_profile("unit", deadline=None, max_examples=15, stateful_step_count=12)  # for `make unit`
settings.load_profile("tinyllm")
pytest.register_assert_rewrite("tests.batch_endpoint")  # what a helper found is printed, too

ROOT = Path(__file__).parent.parent
os.environ.setdefault("TINYLLM_CACHE", str(ROOT / ".pytest_cache" / "models"))  # the embedded model, converted once
Command = Callable[..., subprocess.CompletedProcess[str]]


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = ("maintenance", "test_bad_inputs.py", "test_packaging.py", "view")
"""Folders and files whose tests share what takes long to make: one worker runs all of them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="Only the quick tests, with few random examples.")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--unit"):
        settings.load_profile("unit")
        unit.watch()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --unit, slow files are not even imported."""
    parts = collection_path.relative_to(ROOT / "tests").parts
    return True if parts and config.getoption("--unit") and unit.is_slow(parts) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as slow what trains, loads models, or starts the command as a process: --unit leaves it out."""
    for item in items:
        parts = item.path.relative_to(ROOT / "tests").parts
        if unit.is_slow(parts, tuple(getattr(item, "fixturenames", ()))):
            item.add_marker(pytest.mark.slow)
        if parts[0] in SHARED:
            item.add_marker(pytest.mark.xdist_group(parts[0]))
    if config.getoption("--unit"):
        left_out = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("real")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """With fixtures."""
    with unit.watched() if item.config.getoption("--unit") else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """What a module imports."""
    with unit.watched() if collector.config.getoption("--unit") else nullcontext():
        return (yield)


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command under test: offline, without the developer's own settings."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200", **extra}


@pytest.fixture
def tinyllm(tmp_path: Path) -> Command:
    """Run `tinyllm ARGUMENTS` in tmp_path; keyword arguments are environment variables."""

    def run(*arguments: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinyllm_cli", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(**extra),
            stdin=subprocess.DEVNULL,  # a terminal could be asked whether to continue
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def start(
    folder: Path, *arguments: str, file_size: int | None = None, background: bool = False, **extra: str
) -> subprocess.Popen[str]:
    """Start `tinyllm ARGUMENTS` in a folder; with `file_size`, no file of it may grow beyond so many bytes, as on a
    full disk; in the `background` it ignores Ctrl-C, as what a shell starts with `&`."""
    command = [sys.executable, "-m", "tinyllm_cli", *arguments]
    if background:
        command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    if file_size is not None:
        limited = (
            "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1));"
            " os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [sys.executable, "-c", limited, str(file_size), *command]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=folder, env=environment(**extra), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )
    _started.append(process)
    return process


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _end_what_was_started() -> Iterator[None]:
    """A test that fails leaves no process behind to disturb the next one."""
    yield
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`tinyllm ARGUMENTS` in tmp_path without a process of its own, which is quicker; there is no terminal."""
    from typer.testing import CliRunner

    from tinyllm_cli.cli import app

    monkeypatch.chdir(tmp_path)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    for name in ("TINYLLM_DB", "TINYLLM_CONFIG", "TINYLLM_LOG"):
        monkeypatch.setenv(name, "")  # so that what a command reads from .env goes with the test
        monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = list(map(str, arguments))
        done = CliRunner().invoke(app, command)
        return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "tinyllm.db") as opened:
        yield opened


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a hosted teacher is set, and no endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-a-secret-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def make_questions(count: int, *, dataset: str = "toy", split: str = "train", options: int = 4) -> list[Question]:
    """Questions with distinct content, answers spread over the positions."""
    return [
        Question(
            dataset=dataset,
            split=split,
            key=f"{split}-{number}",
            text=f"Which of these is number {number} of {split}?",
            options=tuple(f"thing {number} {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:options]),
            answer=number % options,
        )
        for number in range(count)
    ]


def ring(pool: Sequence[Question]) -> Callable[[str], Question | None]:
    """What the store gives for drawing in-context examples: the question whose hash comes next, round the end."""
    ordered = sorted(pool, key=lambda question: question.hash)

    def after(point: str) -> Question | None:
        return next((question for question in ordered if question.hash > point), ordered[0] if ordered else None)

    return after


def write_dataset(folder: Path, **sizes: int) -> Path:
    """A folder with a JSONL file for each split, such as `write_dataset(tmp_path / "toy", train=8, test=4)`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in sizes.items():
        rows = [
            {"id": q.key, "question": q.text, "options": list(q.options), "answer_index": q.answer}
            for q in make_questions(count, dataset=folder.name, split=split)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def answers(teacher: Teacher, requests: Iterable[Request], sampling: Sampling = Sampling()) -> list[Answer]:  # noqa: B008 - frozen
    """All that `teacher` answers, in the order in which it comes."""
    return [answer for together in teacher.generate(requests, sampling) for answer in together]


def keep(store: Store, asking: ElicitationConfig, prompt: Prompt, sample: int, outcome: Outcome) -> None:
    """Put one outcome into the store, as a run that asked before would."""
    store.rationales.add(asking, [Settled(prompt=prompt, sample=sample, outcome=outcome, failed_before=True)])


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: where another would sleep, its clock moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        loop = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                ready = super().select(0)
                if ready:
                    return ready
                assert timeout is not None, "everybody waits, and nothing will ever happen"
                loop.now += max(timeout, 1e-9)  # as with a real clock, no turn takes no time
                return []

        super().__init__(Selector())

    def time(self) -> float:
        return self.now

    def close(self) -> None:
        """Cancels what is left."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.run_until_complete(asyncio.sleep(0))
        super().close()


SCRIPTED = """
[teachers.parrot]
backend = "scripted"
replies = ["It follows from what the thing is for.", "Only this one fits the number.", "The others are plainly wrong."]
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """tinyllm.toml in tmp_path with the scripted teacher `parrot`."""
    path = tmp_path / "tinyllm.toml"
    path.write_text(SCRIPTED, encoding="utf-8")
    return path


def write_host(folder: Path, url: str, name: str = "host", **options: object) -> None:
    """Add a teacher behind the endpoint `url` to tinyllm.toml in `folder`."""
    settings = {"backend": "openai", "model": "m", "base_url": url, **options}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    with (folder / "tinyllm.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[teachers.{name}]\n{lines}")
