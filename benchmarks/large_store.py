"""How quickly `tinyllm view` opens a store with a million rationales, and answers its other pages.

    python benchmarks/large_store.py FOLDER [--rationales 1000000]

Makes the store in FOLDER unless it is there: a data set with a quarter as many questions, four teachers, verdicts of
the gates for one of them. Then it starts `tinyllm view` and asks for each page three times: the first time counts, and
the fastest one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from backends.base import Completion, Sampling
from tinyllm_cli import api
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.store import open_store
from tinyllm_cli.store.rationales import Settled

TEACHERS = ("ann", "bob", "eve", "joe")
PAGES = ("/", "/now.json", "/questions", "/questions?words=cork+991", "/questions?teacher=bob&verdict=rejected",
         "/question?in=large&of=train&id=77777", "/review", "/review/queue.json?reviewer=ann", "/runs", "/store",
         "/store/rationales")  # fmt: skip


def questions(count: int) -> Iterator[Question]:
    for number in range(count):
        yield Question(
            dataset="large", split="train", key=str(number), answer=number % 4,
            text=f"Of these four things, which one floats on water when it is thrown in, number {number}?",
            options=(f"cork {number}", f"iron {number}", f"lead {number}", f"stone {number}"),
        )  # fmt: skip


def make(path: Path, rationales: int) -> None:
    count = rationales // len(TEACHERS)
    with open_store(path) as store:
        store.questions.replace("large", "made by benchmarks/large_store.py", "1", questions(count))
        configs = [
            ElicitationConfig(teacher=name, backend="openai", model=f"model-{name}", revision="1", sampling=Sampling())
            for name in TEACHERS
        ]
        for config in configs:
            store.rationales.add_asking(config)
        recipe = Recipe(icl=0)
        for page in batched(questions(count), 5000):
            prompts = [(one, build_prompt(one, recipe, [])) for one in page]
            with store.writing():
                for config in configs:
                    text = "It is {}, since it is lighter than the water that it pushes aside, so it stays above."
                    store.rationales.add(
                        config,
                        [
                            Settled(
                                prompt=prompt, sample=0,
                                outcome=Completion(
                                    text=text.format(one.gold), finish_reason="stop", prompt_tokens=120,
                                    completion_tokens=25, seconds=0.5, cost=0.0001,
                                ),
                            )
                            for one, prompt in prompts
                        ],
                    )  # fmt: skip
        for config in configs:
            with store.elicitations.working(config, "large", "train", recipe) as worker:
                worker.finish("done", [])
    with api.open_store(path) as project:
        api.gate(project, dataset="large", teachers=["ann"], limit=5_000)


def timed(port: int, path: str) -> float:
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    assert reply.status == 200, (path, reply.status)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rationales", type=int, default=1_000_000)
    options = parser.parse_args()
    path = options.folder / "large.db"
    if not path.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        make(path, options.rationales)
        print(f"made in {time.monotonic() - started:.0f} s")
    print(f"{path.stat().st_size / 1e9:.2f} GB")
    command = [sys.executable, "-m", "tinyllm_cli", "view", "--db", str(path), "--no-open", "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1].strip() != "}":
            lines.append(process.stdout.readline())
        port = json.loads("".join(lines))["port"]
        for page in PAGES:
            times = [timed(port, page) for _ in range(3)]
            print(f"{page:45} first {times[0]:.3f} s, fastest {min(times):.3f} s")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
