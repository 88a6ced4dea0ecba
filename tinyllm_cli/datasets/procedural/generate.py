"""From a family and a seed to questions with the rationales of rule-based teachers. Knows nothing of the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from tinyllm_cli.datasets.catalogue import Source
from tinyllm_cli.datasets.procedural.coin_flip import COIN_FLIP
from tinyllm_cli.datasets.procedural.date_understanding import DATE_UNDERSTANDING
from tinyllm_cli.datasets.procedural.last_letters import LAST_LETTERS
from tinyllm_cli.datasets.procedural.problem import Family, Problem
from tinyllm_cli.datasets.procedural.shuffled_objects import SHUFFLED_OBJECTS
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.errors import UsageProblem, choices

FAMILIES: Mapping[str, Family] = {
    family.name: family for family in (COIN_FLIP, LAST_LETTERS, SHUFFLED_OBJECTS, DATE_UNDERSTANDING)
}
TEACHERS = ("stepwise", "first-half", "second-half", "one-in-ten-wrong")
VERSION = 1
"""Of the generator: another wording or another order of drawing gets another version."""

_WRONG_OF = 10  # one-in-ten-wrong is wrong once in so many consecutive questions
_ATTEMPTS = 1000  # repeated problems in a row after which a family has too few
_MOST = 1_000_000  # questions of a split
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What determines the questions and rationales. `counts`: split -> number of questions."""

    family: Family
    size: int
    counts: Mapping[str, int]
    seed: int

    def __str__(self) -> str:
        """As options of `tinyllm import`."""
        counts = " ".join(f"--{split} {self.counts[split]}" for split in SPLITS)
        return f"--procedural {self.family.name} --size {self.size} {counts} --seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A question and what every teacher writes about it. `claims`: teacher -> index of the option that it states;
    teachers that state none are left out."""

    question: Question
    rationales: Mapping[str, str]
    claims: Mapping[str, int]


def parameters(family: str, counts: Mapping[str, int], *, size: int | None = None, seed: int = 0) -> Parameters:
    """Raises UsageProblem for an unknown family, a size that it lacks, or a wrong number of questions."""
    if family not in FAMILIES:
        raise UsageProblem(f"There is no procedural family '{family}'.", f"Families: {choices(FAMILIES)}.")
    found = FAMILIES[family]
    size = found.default_size if size is None else size
    if size not in found.sizes:
        raise UsageProblem(
            f"{family} has no questions with {size} {found.unit}.", f"Sizes: {', '.join(map(str, found.sizes))}."
        )
    if any(count < 0 for count in counts.values()) or not any(counts.values()):
        raise UsageProblem("A procedural data set needs one question or more, and no negative number of them.")
    if max(counts.values()) > _MOST:
        raise UsageProblem(f"A split of a procedural data set has at most {_MOST:,} questions.", "Ask for fewer.")
    return Parameters(family=found, size=size, counts={split: counts.get(split, 0) for split in SPLITS}, seed=seed)


def generate(parameters: Parameters, dataset: str) -> Iterator[Generated]:
    """The questions of all splits. No two have the same text. Test comes first and train last: with another number of
    training questions, the other splits stay the same.

    Raises UsageProblem when there are not enough different problems."""
    seen: set[bytes] = set()
    for split in reversed(SPLITS):
        rng = Random(f"{parameters.family.name} {parameters.size} {parameters.seed} {split}")
        golds, wrong = _balanced(rng, parameters.family.golds or ("",)), _balanced(rng, range(_WRONG_OF))
        positions: Iterator[int] | None = None
        for number in range(parameters.counts[split]):
            problem = _new(rng, parameters, next(golds), seen)
            positions = positions or _balanced(rng, range(1 + len(problem.distractors)))
            question = _question(rng, problem, next(positions), dataset=dataset, split=split, number=number)
            yield _written(problem, question, is_wrong=next(wrong) == 0)


def source(parameters: Parameters, name: str | None) -> Source:
    """The data set with its recorded rationales. The parameters are its origin."""
    dataset = parameters.family.name if name is None else name
    fingerprint = f"{parameters} (generator {VERSION})"
    return Source(
        name=dataset,
        origin=str(parameters),
        fingerprint=hashlib.sha256(fingerprint.encode()).hexdigest()[:16],
        read=lambda: (one.question for one in generate(parameters, dataset)),
        write_rationales=lambda folder: _write(parameters, dataset, folder),
    )


def _balanced(rng: Random, values: Sequence[T]) -> Iterator[T]:
    """The values in random order, each equally often: all of them before any comes again."""
    while True:
        yield from rng.sample(values, len(values))


def _new(rng: Random, parameters: Parameters, gold: str, seen: set[bytes]) -> Problem:
    """A problem whose text is not among the `seen` digests."""
    for _ in range(_ATTEMPTS):
        problem = parameters.family.make(rng, parameters.size, gold)
        digest = hashlib.sha256(problem.text.encode()).digest()[:16]
        if digest not in seen:
            seen.add(digest)
            return problem
    raise UsageProblem(
        f"There are not enough different {parameters.family.name} questions with {parameters.size}"
        f" {parameters.family.unit}: {len(seen)} were found.",
        "Use a larger --size, or fewer questions.",
    )


def _question(rng: Random, problem: Problem, answer: int, *, dataset: str, split: str, number: int) -> Question:
    options = rng.sample(problem.distractors, len(problem.distractors))
    options.insert(answer, problem.gold)
    return Question(
        dataset=dataset, split=split, key=f"{split}-{number}", text=problem.text, options=tuple(options), answer=answer
    )


def _written(problem: Problem, question: Question, *, is_wrong: bool) -> Generated:
    """What the teachers write: `one-in-ten-wrong` the mistaken text if `is_wrong`, otherwise that of `stepwise`."""
    stated = problem.mistake if is_wrong else problem.gold
    texts = (problem.stepwise, problem.first_half, problem.second_half)
    return Generated(
        question=question,
        rationales=dict(zip(TEACHERS, (*texts, problem.mistaken if is_wrong else problem.stepwise), strict=True)),
        claims={"stepwise": question.answer, "one-in-ten-wrong": question.options.index(stated)},
    )


def _write(parameters: Parameters, dataset: str, folder: Path) -> Mapping[str, list[Path]]:
    """Write the rationales as files of recorded rationales: teacher -> its file."""
    paths = {teacher: folder / f"{teacher}.jsonl" for teacher in TEACHERS}
    with ExitStack() as files:
        targets = {teacher: files.enter_context(path.open("w", encoding="utf-8")) for teacher, path in paths.items()}
        for one in generate(parameters, dataset):
            for teacher, text in one.rationales.items():
                row = {"id": one.question.key, "split": one.question.split, "rationale": text}
                if teacher in one.claims:
                    row |= {"answer_index": str(one.claims[teacher])}
                targets[teacher].write(json.dumps(row) + "\n")
    return {teacher: [path] for teacher, path in paths.items()}
