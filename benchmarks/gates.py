"""100,000 real rationales through all text gates on one core, against a bare fuzzy comparison with their questions.

.venv/bin/python benchmarks/gates.py FOLDER OF DATA SETS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from rapidfuzz import fuzz

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.rationales.gates import GateSettings, judge

COUNT = 100_000
SETS = ("openbookqa", "arc_challenge", "pubmedqa")
TEACHERS = ("flan-t5-xl", "llama-2-7b-chat")

Pair = tuple[str, Question]


def pairs(data: Path) -> list[Pair]:
    """Every training rationale of the TinyLLM authors, with its question."""
    found: list[Pair] = []
    for name in SETS:
        [split] = (data / name).glob("train.jsonl*")
        rows = {row["id"]: row for row in read_rows(split)}
        for teacher in TEACHERS:
            for row in read_rows(data / name / "rationales" / f"{teacher}.train.jsonl.gz"):
                asked = rows[row["id"]]
                question = Question(
                    dataset=name, split="train", key=str(row["id"]), text=asked["question"],
                    options=tuple(asked["options"]), answer=asked["answer_index"],
                )  # fmt: skip
                found.append((row["rationale"], question))
    return found


def seconds(work: Callable[[Pair], object], found: list[Pair]) -> float:
    """Processor time for 100,000 rationales; each text is made new, so that nothing is remembered between rounds."""
    started = time.process_time()
    for number, (text, question) in enumerate(islice(cycle(found), COUNT)):
        work((f"{text} " if number >= len(found) else text, question))
    return time.process_time() - started


def main() -> None:
    data = Path(sys.argv[1])
    found = pairs(data)
    settings = GateSettings(max_tokens=256)
    bare = seconds(lambda pair: fuzz.partial_ratio(pair[0], pair[1].text), found)
    ours = seconds(lambda pair: judge(*pair, settings), found)
    print(f"{COUNT} rationales ({len(found)} different): all gates {ours:.1f} s;")
    print(f"rapidfuzz.partial_ratio with the question {bare:.1f} s; ratio {ours / bare:.2f}")


if __name__ == "__main__":
    main()
