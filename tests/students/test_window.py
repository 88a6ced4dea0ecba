"""A model with absolute positions reads no more than it has: what is longer is cut and counted, or fails by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Failure, Message, Request, Sampling
from backends.huggingface import HuggingFaceTeacher
from tests.conftest import make_questions
from tests.models import tiny_tokenizer
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.inputs import ANSWER, Task
from tinyllm_cli.students.loading import load_ruler, load_student
from tinyllm_cli.students.predict import MAX_ANSWER_TOKENS, explain, generate, rank

POSITIONS = 160


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's or BART's shape, with learnt positions."""
    from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("student")
    tokenizer = tiny_tokenizer(ends=request.param == "seq2seq")
    own = {"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    model: Any
    if request.param == "causal":
        model = GPT2LMHeadModel(GPT2Config(n_positions=POSITIONS, n_embd=32, n_layer=2, n_head=2, **own))
    else:
        config = BartConfig(
            max_position_embeddings=POSITIONS, d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32,
            decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, decoder_start_token_id=1,
            forced_eos_token_id=None, **own,
        )  # fmt: skip
        model = BartForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_question_beyond_the_window_is_cut_and_answered(folder: Path) -> None:
    student = load_student(str(folder))
    long, short = make_questions(2)
    questions = [type(long)(**{**vars(long), "context": "word " * 3 * POSITIONS}), short]
    for answer in (rank, generate):
        for limits in (Limits(), Limits(target=1)):
            cut = {one.key: one.input_truncated for one in answer(student, questions, limits)}
            assert cut == {long.key: True, short.key: False}
    assert set(explain(student, questions, "ann", "explain: ", Limits())) == {long.key, short.key}
    assert MAX_ANSWER_TOKENS < POSITIONS


def test_what_is_trained_on_fits_the_window_and_is_counted_as_cut(folder: Path) -> None:
    student = load_student(str(folder))
    limits = Limits(input=TrainSettings().max_input, target=TrainSettings().max_target)
    task = Task.single(ANSWER, "number " * POSITIONS, "thing " * POSITIONS)
    [example] = student.encode([task], limits)
    assert (example.input_cut, example.target_cut) == (True, True)
    assert torch.isfinite(student.target_logits([example])[0]).all()


def test_lengths_are_measured_against_the_window_before_any_weights_are_loaded(folder: Path) -> None:
    ruler, student = load_ruler(str(folder)), load_student(str(folder))
    limits = ruler.limits(Limits())
    [example] = student.encode([Task.single(ANSWER, "number " * POSITIONS, "thing " * POSITIONS)], Limits())
    assert (limits.input, limits.target) == (len(example.input), len(example.target))


@given(window=st.integers(2, 4000), wanted=st.integers(1, 4000), target=st.integers(1, 4000), shared=st.booleans())
def test_limits_within_a_window_fit_it(window: int, wanted: int, target: int, shared: bool) -> None:
    limits = Limits(input=wanted, target=target)
    found = limits.within(window, shared=shared)
    assert 0 < found.input <= wanted
    assert 0 < found.target <= target
    assert max(found.input, found.target) <= window
    assert not shared or found.input + found.target <= window
    assert wanted + target > window or found == limits
    assert limits.within(None, shared=shared) == limits


def test_a_prompt_beyond_a_teachers_window_fails_alone(folder: Path) -> None:
    teacher = HuggingFaceTeacher({"model": str(folder)})
    asked = [
        Request(split="train", key=key, messages=(Message(role="user", content=text),))
        for key, text in (("long", "word " * 3 * POSITIONS), ("short", "Why?"))
    ]
    answers = [pair for pairs in teacher.generate(asked, Sampling(max_tokens=8)) for pair in pairs]
    found = {request.key: answer for request, answer in answers}
    assert isinstance(found["long"], Failure)
    assert f"{POSITIONS} positions" in found["long"].reason
    assert isinstance(found["short"], Completion | Failure)
    assert found["short"] != found["long"]
