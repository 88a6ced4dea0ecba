"""A running `tinyllm view` for tests, and a store for it to show."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.base import Completion, Sampling
from tests.conftest import environment, keep, make_questions
from tests.report.test_arms import first
from tests.report.test_report_sections import trained
from tinyllm_cli import api
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.store import open_store

SCRIPT = "<script>document.title = 'taken'; fetch('http://127.0.0.1:9/')</script>"
IMAGE = "<img src=http://127.0.0.1:9/x.png onerror=\"document.title = 'taken'\">"
GOOD = "It is {gold}, since its number is the one that the question asks for."
REFUSAL = "I'm sorry, but I can't assist with that."
RUN_ON = f"Let's think step by step. {SCRIPT} The number decides, so it is {{gold}}.\n\nQuestion: What is red?"


@dataclass(frozen=True, kw_only=True)
class App:
    """`base` is the address without the token, `url` the one with it."""

    base: str
    url: str

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]

    @property
    def port(self) -> int:
        return urlsplit(self.base).port or 0

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        return self.ask("GET", path, None, headers)

    def ask(self, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read().decode()
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, *options: str, port: str = "0") -> Iterator[App]:
    """`tinyllm view` on the database of a folder, until the block ends."""
    command = [sys.executable, "-m", "tinyllm_cli", "view", "--no-open", "--port", port, "--json", *options]
    log = (folder / "view.log").open("a", encoding="utf-8")
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1].strip() != "}":
            lines.append(process.stdout.readline())
            assert lines[-1], (folder / "view.log").read_text(encoding="utf-8")
        url = json.loads("".join(lines))["url"]
        yield App(base=url.split("/?")[0], url=url)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0, "Ctrl-C is how it ends"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        log.close()


def fill(folder: Path, *, questions: int = 12) -> Path:
    """A database with a data set, two hostile teachers, verdicts of the gates, and four runs with their answers."""
    path = folder / "tinyllm.db"
    with open_store(path) as store:
        train = make_questions(questions)
        store.questions.replace("toy", IMAGE, "1", [*train, *make_questions(40, split="test")])
        for teacher, texts in (("ann", (GOOD, RUN_ON)), (IMAGE, (REFUSAL, GOOD))):
            config = ElicitationConfig(
                teacher=teacher, backend="openai", model=SCRIPT, revision="1", sampling=Sampling()
            )
            store.rationales.add_asking(config)
            for number, question in enumerate(train):
                text = texts[number % 2].format(gold=question.gold)
                reply = Completion(text=text, finish_reason="stop", prompt_tokens=90, completion_tokens=20, cost=0.001)
                keep(store, config, build_prompt(question, Recipe(icl=0), []), 0, reply)
        curve = [{"step": step, "answer": 4 / step, "ann": 5 / step} for step in (1, 2, 3)]
        valid = [{"step": step, "accuracy": step / 4} for step in (1, 2, 3)]
        for seed in range(2):
            for method, right in (("tinyllm", first(20 + seed)), ("finetune", set(range(5, 21)))):
                trained(
                    store, "toy", right, seconds=50, seed=seed, method=method, curve=curve, valid=valid, best_step=3,
                    steps=3, total_steps=3, tokens=9000, tasks={"answer": 12}, inputs_cut=0, targets_cut=0,
                )  # fmt: skip
    with api.open_store(path) as project:
        api.gate(project, dataset="toy")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the database that `app` shows."""
    made = tmp_path_factory.mktemp("view")
    fill(made)
    return made


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[App]:
    """A running app that proposes the reviewer ann."""
    with serving(folder, "--reviewer", "ann") as running:
        yield running
