"""Evaluation and elicitation on a GPU, a part of gpu.py: tinyllm and plain transformers in turns, for a time.

`rank`, `generate` and `explain` are what `tinyllm eval` does with the questions of one commit; the reference is that of
evaluation.py. `teacher` is the huggingface teacher; its reference is `model.generate` on batches of 32 in the order of
the data, padded to the longest, in bfloat16 on a GPU, as the teacher itself.

SmolLM2 is the embedded model. The T5 has random weights, which hardly ever write the one end token: every 16th token is
one, so that texts end after different numbers of tokens.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import evaluation
import shapes

import backends
from backends.base import Completion, Request, Sampling
from backends.checkpoints import load
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.evaluation.scoring import chunk_size
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.predict import generate, rank

PARTS = ("rank", "generate", "explain", "teacher")
PLAIN_QUESTIONS = 64
"""Of the reference in a turn: it takes several times as long."""

NEW_TOKENS = 128
"""Of rationales, at most."""

TEACHER_QUESTIONS = 128  # in a turn: what the teacher sorts by length
END_TOKENS = 16  # every so many-th token is one

Way = Callable[[Sequence[Question]], dict[str, Any]]
"""Questions -> what is found for each, by key."""


def measure(part: str, shape: str, until: float, database: Path, device: str, tiny: bool) -> dict[str, Any]:
    """Until that point in time, but at least one turn. The first, of two questions, is not counted."""
    with open_store(database) as store:
        questions = list(store.questions.iterate(shapes.DATASET, "train"))
    tokens = 8 if tiny else NEW_TOKENS
    with tempfile.TemporaryDirectory() as folder:
        model = named_model(shape, Path(folder, "model"), device, tiny)
        if part == "teacher":
            ours, plain = teacher_ways(model, device, tokens, questions)
            turn = TEACHER_QUESTIONS
        else:
            ours, plain = student_ways(part, model, device, tokens)
            turn = chunk_size(device)
        size = min(4, turn) if tiny else turn
        mine, theirs, asked = evaluation.Side(), evaluation.Side(), [0, 0]
        ours(questions[:2])
        plain(questions[:2])
        for chunk in chunks(questions, size):
            mine.take(partial(ours, chunk))
            theirs.take(partial(plain, chunk[:PLAIN_QUESTIONS]))
            asked = [asked[0] + len(chunk), asked[1] + len(chunk[:PLAIN_QUESTIONS])]
            if time.time() >= until:
                break
    rates = asked[0] / mine.seconds, asked[1] / theirs.seconds
    return {
        "tinyllm": rates[0],
        "plain": rates[1],
        "ratio": rates[0] / rates[1],
        "questions": asked[0],
        "used": evaluation.agreement(mine.found, theirs.found),
    }


def named_model(shape: str, folder: Path, device: str, tiny: bool) -> str:
    """What loads it. A model with random weights hardly ever writes the one end token, so it gets others."""
    if shape == "smollm2-135m" and not tiny:
        return "smollm2"
    made = shapes.student(shape, device, tiny)
    made.model.generation_config.eos_token_id = [*range(0, made.model.config.vocab_size, END_TOKENS)]
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return str(folder)


def chunks(questions: Sequence[Question], size: int) -> Iterator[list[Question]]:
    """The questions in turn, again and again; no chunk has one twice."""
    size = min(size, len(questions))
    rest = cycle(questions)
    while True:
        yield list(islice(rest, size))


def student_ways(part: str, model: str, device: str, tokens: int) -> tuple[Way, Way]:
    answer, plain = {
        "rank": (rank, evaluation.plain_rank),
        "generate": (generate, evaluation.plain_generate),
        "explain": (evaluation.explain, evaluation.plain_explain),
    }[part]
    student, limits = load_student(model, device=device), Limits(target=tokens)
    reference = load(model, device=device).model
    return (
        lambda questions: evaluation.ours(answer, student, questions, limits),
        lambda questions: plain(student, reference, questions, limits),
    )


def teacher_ways(model: str, device: str, tokens: int, questions: Sequence[Question]) -> tuple[Way, Way]:
    teacher: Any = backends.create("huggingface", {"model": model, "device": device})
    sampling = Sampling(max_tokens=tokens)
    plain = load(model, dtype="bfloat16" if device == "cuda" else "float32", device=device)
    examples = questions[-2:]

    def request(question: Question) -> Request:
        prompt = build_prompt(question, Recipe(), examples)
        return Request(split=question.split, key=question.key, messages=prompt.messages)

    def ours(asked: Sequence[Question]) -> dict[str, Any]:
        answers = (one for together in teacher.generate(map(request, asked), sampling) for one in together)
        return {one.key: found.text.strip() if isinstance(found, Completion) else "" for one, found in answers}

    def padded_batches(asked: Sequence[Question]) -> dict[str, Any]:
        return plain_replies(plain, {one.key: teacher.render(request(one)) for one in asked}, tokens)

    return ours, padded_batches


def plain_replies(checkpoint: Any, prompts: dict[str, str], tokens: int) -> dict[str, str]:
    import torch

    tokenizer, causal = checkpoint.tokenizer, checkpoint.kind == "causal"
    end = checkpoint.model.generation_config.eos_token_id
    ends = {*end} if isinstance(end, list) else {end}
    replies: dict[str, str] = {}
    for batch in evaluation.batches(list(prompts.items())):
        texts = [text for _, text in batch]
        padded = tokenizer(
            texts, add_special_tokens=not tokenizer.chat_template, padding=True, padding_side="left",
            return_tensors="pt",
        ).to(checkpoint.device)  # fmt: skip
        arguments = {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"]}
        with torch.inference_mode():
            output = checkpoint.model.generate(**arguments, max_new_tokens=tokens, do_sample=False)
        new = [until_end(row, ends) for row in output[:, padded["input_ids"].shape[1] if causal else 1 :].tolist()]
        written = tokenizer.batch_decode(new, skip_special_tokens=True)
        replies |= {key: text.strip() for (key, _), text in zip(batch, written, strict=True)}
    return replies


def until_end(row: Sequence[int], ends: set[int]) -> list[int]:
    return list(row[: next((at for at, token in enumerate(row) if token in ends), len(row))])
