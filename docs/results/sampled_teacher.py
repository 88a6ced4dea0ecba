"""Four samples of a rule-based teacher that loses its place in one of three, as files of recorded rationales.

    tinyllm import --procedural coin-flip --size 4 --train 3200 --valid 0 --test 500
    PYTHONPATH=. python docs/results/sampled_teacher.py 3200 500     # writes four-samples.jsonl and one-sample.jsonl
    tinyllm import four-samples.jsonl --teacher four-samples --dataset coin-flip
    tinyllm import one-sample.jsonl --teacher one-sample --dataset coin-flip

The rationales are those of `stepwise`. In a wrong sample every side from some turn on is the other one, also in the
answer. The first sample of each question is the one of `one-sample`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from random import Random

from tinyllm_cli.datasets.procedural.generate import generate, parameters

SAMPLES, WRONG = 4, 1 / 3
OTHER = {"heads": "tails", "tails": "heads"}


def sample(rng: Random, text: str) -> tuple[str, bool]:
    """A rationale of `stepwise` as the teacher writes it, and whether it is right."""
    if rng.random() >= WRONG:
        return text, True
    sentences = re.findall(r"[^.]+\.", text)
    turn = rng.randrange(1, len(sentences) - 1)  # the first sentence is the question's, the last one the answer
    lost = [re.sub("heads|tails", lambda side: OTHER[side[0]], one) for one in sentences[turn:]]
    return "".join([*sentences[:turn], *lost]), False


def main(train: int, test: int) -> None:
    rng = Random("samples")
    with Path("four-samples.jsonl").open("w") as four, Path("one-sample.jsonl").open("w") as first:
        for one in generate(parameters("coin-flip", {"train": train, "test": test}, size=4), "coin-flip"):
            if one.question.split != "train":
                continue
            for number in range(SAMPLES):
                text, right = sample(rng, one.rationales["stepwise"])
                answer = one.question.answer if right else 1 - one.question.answer
                row = {"id": one.question.key, "split": "train", "rationale": text, "answer_index": answer}
                for file in (four, first) if number == 0 else (four,):
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
