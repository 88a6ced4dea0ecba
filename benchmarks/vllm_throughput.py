"""Tokens a second of `elicit` through the vllm teacher, against vLLM's own offline `LLM.chat` on the same prompts.

.venv/bin/python benchmarks/vllm_throughput.py [--model smollm2] [--prompts 256] [--tokens 96] [--rounds 2]
    [--engine '{"max_model_len": 1024}'] [--reference-engine '{...}']

Each side runs in a process of its own: it starts its engine, warms it up on other prompts, and then times only the
work. The reference gets all the prompts in one call; ours makes them from the questions in SQLite, sends them over
HTTP and commits every reply. Every reply has exactly `--tokens` tokens, so that both write the same amount.
A wall-clock ratio means something only on an otherwise idle machine: with other work on the same cores, compare the CPU
seconds, and read a ratio over 1 as noise. `--reference-engine` gives the reference other options than ours; by default
they are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from backends.base import Answer, Message, Request, Sampling
from backends.vllm import VLLMTeacher
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.requests import Job
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import open_store

WARM_UP = 8
THINGS = ("kettle", "river", "ladder", "magnet", "candle", "glacier", "compass", "lantern", "tunnel", "garden")
USES = ("boiling water", "reaching a shelf", "finding the north", "crossing a valley", "giving light at night")


class Listening(VLLMTeacher):
    """The teacher as it is; notes what it was asked."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.asked: list[list[dict[str, str]]] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        return super().generate(map(self._note, requests), sampling)

    def _note(self, request: Request) -> Request:
        self.asked.append([{"role": message.role, "content": message.content} for message in request.messages])
        return request


def cpu_seconds() -> float:
    """CPU time of this process and all below it, the engine's among them: it tells work from waiting for a core."""
    total, this = 0.0, psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def make(count: int) -> list[Question]:
    return [
        Question(
            dataset="bench",
            split="train",
            key=str(number),
            text=f"Case {number}: somebody has a {THINGS[number % 10]} and wants {USES[number % 5]}. Does it help?",
            options=("yes, on its own", "no, never", f"only with a {THINGS[(number + 3) % 10]}", "nobody can tell"),
            answer=number % 4,
        )
        for number in range(count)
    ]


def ours(options: argparse.Namespace) -> dict[str, Any]:
    settings = {
        "model": options.model,
        "engine": json.loads(options.engine),
        "length_retry_factor": 1,  # every reply is cut on purpose
        "extra": {"ignore_eos": True},
    }
    if options.in_flight:
        settings["max_in_flight"] = options.in_flight
    teacher = Listening(settings)
    spec = TeacherSpec(name="bench", backend="vllm", options=settings)
    sampling = Sampling(max_tokens=options.tokens)
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "bench.db") as store:
        store.questions.replace("bench", "benchmark", "1", make(options.prompts))
        job = Job(dataset="bench", split="train", spec=spec, recipe=Recipe(icl=1), sampling=sampling)
        warm = [
            Request(split="train", key=str(n), messages=(Message(role="user", content=f"{n} Say something."),))
            for n in range(WARM_UP)
        ]
        started = time.perf_counter()
        list(teacher.generate(iter(warm), sampling))
        loading = time.perf_counter() - started
        teacher.asked.clear()
        before, started = cpu_seconds(), time.perf_counter()
        tally = elicit(store, job, teacher, lambda _tally: None)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - before
        teacher.close()
    assert (tally.done, tally.failed) == (options.prompts, 0), tally
    Path(options.prompts_file).write_text(json.dumps(teacher.asked), encoding="utf-8")
    return {
        "tokens": tally.completion_tokens,
        "prompt_tokens": tally.prompt_tokens,
        "seconds": seconds,
        "cpu": cpu,
        "loading": loading,
    }


def reference(options: argparse.Namespace) -> dict[str, Any]:
    from vllm import LLM, SamplingParams

    from backends.checkpoints import resolve

    conversations = json.loads(Path(options.prompts_file).read_text(encoding="utf-8"))
    engine = json.loads(options.reference_engine or options.engine)
    sampling = SamplingParams(temperature=0, max_tokens=options.tokens, ignore_eos=True)
    started = time.perf_counter()
    llm = LLM(
        resolve(options.model), load_format="safetensors", generation_config="vllm",
        disable_log_stats=True, enable_prefix_caching=True, **engine,
    )  # fmt: skip
    llm.chat([[{"role": "user", "content": f"{n} Say something."}] for n in range(WARM_UP)], sampling, use_tqdm=False)
    loading = time.perf_counter() - started
    before, started = cpu_seconds(), time.perf_counter()
    replies = llm.chat(conversations, sampling, use_tqdm=False)
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - before
    return {
        "tokens": sum(len(reply.outputs[0].token_ids) for reply in replies),
        "prompt_tokens": sum(len(reply.prompt_token_ids) for reply in replies),
        "seconds": seconds,
        "cpu": cpu,
        "loading": loading,
    }


def measure(side: str, arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    result = folder / side
    files = ["--prompts-file", str(folder / "prompts"), "--result-file", str(result)]
    command = [sys.executable, __file__, *arguments, "--side", side, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    rate = found["tokens"] / found["seconds"]
    print(
        f"{side}: {found['prompt_tokens']} tokens read and {found['tokens']} written in {found['seconds']:.1f} s,"
        f" {rate:.1f} tokens/s, {found['cpu']:.1f} CPU seconds"
        f" (ready after {found['loading']:.0f} s; load average {os.getloadavg()[0]:.1f})",
        flush=True,
    )
    return {**found, "rate": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=96, help="of each reply")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--in-flight", type=int, default=0, help="max_in_flight; 0: the teacher's default")
    parser.add_argument("--engine", default='{"max_model_len": 1024, "kv_cache_memory_bytes": 2000000000}')
    parser.add_argument("--reference-engine", default="")
    parser.add_argument("--side", choices=("ours", "reference"), help=argparse.SUPPRESS)
    parser.add_argument("--prompts-file", help=argparse.SUPPRESS)
    parser.add_argument("--result-file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        found = ours(options) if options.side == "ours" else reference(options)
        Path(options.result_file).write_text(json.dumps(found), encoding="utf-8")
        return
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            mine, theirs = (measure(side, sys.argv[1:], Path(folder)) for side in ("ours", "reference"))
            for same in ("tokens", "prompt_tokens"):
                assert mine[same] == theirs[same], (same, mine[same], theirs[same])
            ratios.append(mine["rate"] / theirs["rate"])
            print(f"ratio {ratios[-1]:.3f}; of tokens a CPU second {theirs['cpu'] / mine['cpu']:.3f}", flush=True)
    print(f"ratios {', '.join(f'{ratio:.3f}' for ratio in ratios)}; mean {sum(ratios) / len(ratios):.3f}")


if __name__ == "__main__":
    main()
