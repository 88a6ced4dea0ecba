"""Questions a second of `tinyllm eval`, against plain scoring and plain writing, on real questions.

.venv/bin/python benchmarks/evaluation.py FOLDER [--dataset openbookqa] [--questions 128] [--student smollm2|t5]
.venv/bin/python benchmarks/evaluation.py FOLDER --dataset coin-flip --scoring explain --trained RUN_FOLDER

FOLDER holds data sets in the layout that `tinyllm import` reads, and `t5_tokenizer`. The references use transformers
alone, as it comes, in fp32, on batches of 32 in the order of the data, padded to the batch:

- rank: each pair of a question and an option is a sequence of its own.
- generate: `model.generate` with at most 64 new tokens.
- explain: `model.generate` with at most 256 new tokens, for a student that was trained with `--target rationale-first`.

The two sides take turns, chunk by chunk, and their answers are compared. The T5 has FLAN-T5-small's architecture and
random weights: it ranks like any other, but never writes an end token, so all its texts reach the limit.
`--trained` names the folder of a student that ends its answers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import training

from backends.checkpoints import load
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.evaluations import Prediction
from tinyllm_cli.students.base import Example, Limits, Student, mask, pad
from tinyllm_cli.students.explain import RATIONALE, Explaining, explain_and_answer
from tinyllm_cli.students.inputs import ANSWER, ANSWER_PREFIX, EXPLAIN_PREFIX, Task, student_input
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.predict import MAX_ANSWER_TOKENS, generate, rank

BATCH = 32
CHUNK = 64  # questions that `tinyllm eval` answers between two commits
LIMITS = Limits()


@dataclass
class Side:
    """What one way took, and what it found."""

    seconds: float = 0.0
    processor: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)

    def take(self, work: Callable[[], dict[str, Any]]) -> None:
        started, used = time.perf_counter(), time.process_time()
        self.found |= work()
        self.seconds += time.perf_counter() - started
        self.processor += time.process_time() - used


def random_t5(tokenizer: Path, attention: str) -> Student:
    made = training.student(tokenizer, "small", "cpu", attention)
    made.model.eval()
    return made


def batches(items: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def encoded(
    student: Student, question: Question, targets: Sequence[str], prefix: str = ANSWER_PREFIX, name: str = ANSWER
) -> list[Example]:
    """`name` is that of what is written first: the end of the input asks for it."""
    text = student_input(prefix, question)
    return student.encode([Task.single(name, text, target) for target in targets], LIMITS)


def plain_rank(
    student: Student, model: Any, questions: Sequence[Question], _limits: Limits = LIMITS
) -> dict[str, list[float]]:
    """Every option's mean log-likelihood; only the texts' own tokens count, without the end token."""
    import torch

    scores: dict[str, list[float]] = {question.key: [] for question in questions}
    pairs = [(q.key, example) for q in questions for example in encoded(student, q, q.options)]
    filler = student.tokenizer.pad_token_id
    for batch in batches(pairs):
        inputs = [example.input for _, example in batch]
        targets = [example.target[:-1] for _, example in batch]
        if student.kind == "causal":
            inputs = [(*read, *target) for read, target in zip(inputs, targets, strict=True)]
        arguments = {
            "input_ids": pad(inputs, filler, left=False, device=student.device),
            "attention_mask": mask(inputs, left=False, device=student.device),
        }
        if student.kind == "seq2seq":
            start = model.config.decoder_start_token_id
            shifted = [(start, *target[:-1]) for target in targets]
            arguments["decoder_input_ids"] = pad(shifted, filler, left=False, device=student.device)
        with torch.inference_mode():
            known = model(**arguments).logits.log_softmax(-1)
        firsts = [len(example.input) - 1 if student.kind == "causal" else 0 for _, example in batch]
        longest = max(map(len, targets))
        places = [[min(first + at, known.shape[1] - 1) for at in range(longest)] for first in firsts]
        rows, real = torch.arange(len(batch), device=student.device), mask(targets, left=False, device=student.device)
        labels = pad(targets, filler, left=False, device=student.device)
        own = known[rows[:, None], torch.tensor(places, device=student.device), labels]
        for (key, _), mean in zip(batch, ((own * real).sum(1) / real.sum(1)).tolist(), strict=True):
            scores[key].append(mean)
    return scores


def plain_generate(
    student: Student, model: Any, questions: Sequence[Question], _limits: Limits = LIMITS
) -> dict[str, str]:
    return plain_texts(student, model, [(one, encoded(student, one, [""])) for one in questions], MAX_ANSWER_TOKENS)


def plain_explain(
    student: Student, model: Any, questions: Sequence[Question], limits: Limits = LIMITS
) -> dict[str, str]:
    inputs = [(one, encoded(student, one, [""], EXPLAIN_PREFIX, RATIONALE)) for one in questions]
    return plain_texts(student, model, inputs, limits.target)


def explain(student: Student, questions: Sequence[Question], limits: Limits) -> Iterator[Prediction]:
    return explain_and_answer(student, questions, Explaining(target="rationale-first"), limits)


def plain_texts(
    student: Student, model: Any, questions: Sequence[tuple[Question, list[Example]]], most: int
) -> dict[str, str]:
    """The texts behind these inputs."""
    import torch

    texts: dict[str, str] = {}
    left = student.kind == "causal"
    for batch in batches(questions):
        inputs = [example.input for _, [example] in batch]
        ids = pad(inputs, student.tokenizer.pad_token_id, left=left, device=student.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask(inputs, left=left, device=student.device),
                max_new_tokens=most,
                do_sample=False,
                pad_token_id=student.tokenizer.pad_token_id,
            )
        written = student.tokenizer.batch_decode(output[:, ids.shape[1] if left else 0 :], skip_special_tokens=True)
        texts |= {question.key: text.strip() for (question, _), text in zip(batch, written, strict=True)}
    return texts


def ours(
    answer: Callable[..., Iterator[Prediction]], student: Student, questions: Sequence[Question],
    limits: Limits = LIMITS,
) -> dict[str, Any]:  # fmt: skip
    found = answer(student, questions, limits)
    return {p.key: (p.text or "").strip() if p.scores is None else p.scores for p in found}


def agreement(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    if all(isinstance(found, str) for found in theirs.values()):
        same = sum(mine[key] == text for key, text in theirs.items())
        return f"{same} of {len(theirs)} texts the same"
    same = sum(scores.index(max(scores)) == mine[key].index(max(mine[key])) for key, scores in theirs.items())
    widest = max(abs(a - b) for key, scores in theirs.items() for a, b in zip(mine[key], scores, strict=True))
    return f"{same} of {len(theirs)} answers the same, scores within {widest:.1e}"


def compare(
    name: str, student: Student, model: Any, questions: Sequence[Question], way: tuple[Callable[..., Any], ...]
) -> None:
    answer, plain = way
    mine, theirs = Side(), Side()
    ours(answer, student, questions[:2])
    plain(student, model, questions[:2])
    for start in range(0, len(questions), CHUNK):
        chunk = questions[start : start + CHUNK]
        mine.take(lambda chunk=chunk: ours(answer, student, chunk))
        theirs.take(lambda chunk=chunk: plain(student, model, chunk))
    print(
        f"{name}, {answer.__name__}: {len(questions) / mine.seconds:.1f} questions/s;"
        f" plain: {len(questions) / theirs.seconds:.1f}; ratio {theirs.seconds / mine.seconds:.2f}"
        f" (by processor time {theirs.processor / mine.processor:.2f}); {agreement(mine.found, theirs.found)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", default="openbookqa")
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--student", choices=("smollm2", "t5"), action="append")
    parser.add_argument("--trained", help="a folder or name of a student that ends its answers")
    parser.add_argument("--scoring", choices=("rank", "generate", "explain"), action="append")
    asked = parser.parse_args()
    source = from_path(asked.folder / asked.dataset)
    questions = list(islice((question for question in source.read() if question.split == "test"), asked.questions))
    scorings = asked.scoring or ["rank", "generate"]
    ways = {
        "rank": (rank, plain_rank),
        "generate": (generate, plain_generate),
        "explain": (explain, plain_explain),
    }
    for name in [asked.trained] if asked.trained else asked.student or ["smollm2", "t5"]:
        if name == "t5":
            student = random_t5(asked.folder / "t5_tokenizer", "eager")
            plain = random_t5(asked.folder / "t5_tokenizer", "sdpa").model
        else:
            student, plain = load_student(name), load(name, device="cpu").model
        for scoring in scorings:
            compare(f"{Path(name).name} on {asked.dataset}", student, plain, questions, ways[scoring])


if __name__ == "__main__":
    main()
