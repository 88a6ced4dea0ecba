"""Requests a second through the hosted teacher, against a loopback server with 50 ms latency and 256 in flight.

    python benchmarks/hosted_throughput.py FOLDER          # ratios; about two minutes
    python benchmarks/hosted_throughput.py FOLDER memory   # peak memory as questions grow; minutes

`memory` also has 10,000 in flight, for which the limit of open files (`ulimit -n`) must be higher than that.

Each way runs in a process of its own. FOLDER gets the databases.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

IN_FLIGHT, COUNT, WARM_UP = 256, 8000, 600
MANY = 10_000
PROMPT = "Explain in one to three sentences why the given answer to the last question is right. " * 14


@contextmanager
def server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("loopback.py"))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


async def pace(send: Callable[[], Awaitable[object]], count: int) -> float:
    """How often a second `send` is done, with IN_FLIGHT at once and after WARM_UP."""

    async def work(numbers: Iterator[int]) -> None:
        for _ in numbers:
            await send()

    async def ask(count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*(work(numbers) for _ in range(IN_FLIGHT)))

    await ask(WARM_UP)
    started = time.perf_counter()
    await ask(count)
    return count / (time.perf_counter() - started)


def bare(url: str, *, aiohttp: bool) -> float:
    """The plain openai client, with the default transport or with aiohttp: requests a second."""
    from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpxClient

    async def drive() -> float:
        http = DefaultAioHttpClient() if aiohttp else DefaultAsyncHttpxClient()
        async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=http) as client:

            async def send() -> None:
                await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": PROMPT}], max_tokens=256
                )

            return await pace(send, COUNT if aiohttp else COUNT // 8)

    return asyncio.run(drive())


def plain_aiohttp(url: str) -> float:
    """The same requests without `openai`: what the HTTP library alone can do."""
    from aiohttp import ClientSession, TCPConnector

    body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 256}

    async def drive() -> float:
        async with ClientSession(connector=TCPConnector(limit=0)) as session:

            async def send() -> None:
                async with session.post(f"{url}/chat/completions", json=body) as answer:
                    json.loads(await answer.read())

            return await pace(send, COUNT)

    return asyncio.run(drive())


def teacher_alone(url: str) -> float:
    """Our adapter, nothing stored."""
    from backends.base import Message, Request, Sampling
    from backends.openai_compatible import OpenAICompatibleTeacher

    def requests(count: int) -> Iterator[Request]:
        for number in range(count):
            yield Request(split="train", key=str(number), messages=(Message(role="user", content=PROMPT),))

    teacher = OpenAICompatibleTeacher({"model": "m", "base_url": url, "max_in_flight": IN_FLIGHT})
    sampling = Sampling()
    sum(len(answers) for answers in teacher.generate(requests(WARM_UP), sampling))
    started = time.perf_counter()
    done = sum(len(answers) for answers in teacher.generate(requests(COUNT), sampling))
    return done / (time.perf_counter() - started)


def elicited(url: str, path: Path, count: int, *, keep: bool = True, in_flight: int = IN_FLIGHT) -> float:
    """The elicitation stage: prompts made from the store, every reply committed to it, or none when not `keep`."""
    from backends.base import Sampling
    from backends.openai_compatible import OpenAICompatibleTeacher
    from tinyllm_cli.config import TeacherSpec
    from tinyllm_cli.datasets.question import Question
    from tinyllm_cli.elicitation.elicit import elicit
    from tinyllm_cli.elicitation.requests import Job
    from tinyllm_cli.records.elicitation import Recipe
    from tinyllm_cli.store import open_store
    from tinyllm_cli.store.elicitations import Worker

    def made() -> Iterator[Question]:
        for n in range(count):
            options = tuple(f"thing {n} of {letter}, which is for something" for letter in "abcd")
            yield Question(
                dataset="b", split="train", key=str(n), text=f"Which is {n}? " * 8, options=options, answer=0
            )

    job = Job(
        dataset="b", split="train", spec=TeacherSpec(name="t", backend="openai"), recipe=Recipe(), sampling=Sampling()
    )
    path.unlink(missing_ok=True)
    with open_store(path) as store:
        store.questions.replace("b", "benchmark", "1", made())
        teacher = OpenAICompatibleTeacher({"model": "m", "base_url": url, "max_in_flight": in_flight})
        warm = elicit(store, job, teacher, lambda tally: None, most=WARM_UP).done
        if not keep:
            Worker.settle = lambda *_: None  # type: ignore[method-assign]
        started = time.perf_counter()
        done = elicit(store, job, teacher, lambda tally: None).done
        seconds = time.perf_counter() - started
        row = store.one("SELECT count(*) AS n FROM rationales")
    assert row is not None
    assert row["n"] == (warm + done if keep else warm)
    assert warm + done == count
    assert "torch" not in sys.modules
    return done / seconds


def measured(folder: Path, way: str, count: int = COUNT) -> tuple[float, float]:
    """(requests a second, peak MB) of one way, in a process of its own."""
    command = [sys.executable, __file__, str(folder), way, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate, peak = json.loads(done.stdout)
    return rate, peak


WAYS = {
    "openai by default, bare": lambda url, _folder, _count: bare(url, aiohttp=False),
    "openai on aiohttp, bare": lambda url, _folder, _count: bare(url, aiohttp=True),
    "aiohttp without openai": lambda url, _folder, _count: plain_aiohttp(url),
    "our adapter, nothing stored": lambda url, _folder, _count: teacher_alone(url),
    "tinyllm elicit, nothing committed": lambda url, folder, count: elicited(
        url, folder / "throughput.db", count, keep=False
    ),
    "tinyllm elicit, every row committed": lambda url, folder, count: elicited(url, folder / "throughput.db", count),
}
LAST = list(WAYS)[-1]
WITH_MANY = {
    "tinyllm elicit, 10,000 in flight": lambda url, folder, count: elicited(
        url, folder / "throughput.db", count, in_flight=MANY
    ),
}


def main(folder: Path, *rest: str) -> None:
    if len(rest) == 2:  # one way, in this process
        with server() as url:
            rate = {**WAYS, **WITH_MANY}[rest[0]](url, folder, int(rest[1]))
        print(json.dumps([rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    if rest == ("memory",):
        for way, counts in ((LAST, (1_000, 200_000)), (next(iter(WITH_MANY)), (40_000, 120_000))):
            for count in counts:
                rate, peak = measured(folder, way, count)
                print(f"{way:36} {count:>7} questions: {rate:.0f} requests/s, peak {peak:.0f} MB")
        return
    rates = {way: max(measured(folder, way)[0] for _ in range(3)) for way in WAYS}
    for way, rate in rates.items():
        print(f"{way:36} {rate:6.0f} requests/s   {rate / rates['openai on aiohttp, bare']:.2f}")
    print(f"what committing adds: {rates['tinyllm elicit, nothing committed'] / rates[LAST] - 1:.1%}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main(Path(sys.argv[1]), *sys.argv[2:])
