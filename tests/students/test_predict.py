"""Answers are found faster than the plain way, and are the same: text as transformers' own loop writes it, scores as of
whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import KINDS, make_student, tiny_tokenizer
from tests.students.test_models import naive_score
from tinyllm_cli.students.base import Student, mask, pad
from tinyllm_cli.students.loading import load_student

NEW_TOKENS = 12


@pytest.fixture(scope="module", params=[*KINDS, "sliding"])
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    """Rows end at different steps, since half of the vocabulary ends a text."""
    folder = tmp_path_factory.mktemp("student")
    student = sliding_student(folder) if request.param == "sliding" else make_student(folder, request.param)
    student.model.generation_config.eos_token_id = list(range(1, 400, 6))
    return student


def sliding_student(folder: Path) -> Student:
    """A model whose cache keeps the last few keys and values alone."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = tiny_tokenizer(ends=False)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=6, initializer_range=0.1, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_student(str(folder))


def plain(student: Student, inputs: Sequence[Sequence[int]]) -> list[str]:
    """What `model.generate` writes by itself."""
    left = student.kind == "causal"
    ids = pad(inputs, student.tokenizer.pad_token_id, left=left, device="cpu")
    arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": mask(inputs, left=left, device="cpu")}
    output = student.model.generate(
        **arguments, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=student.tokenizer.pad_token_id
    )
    texts = student.tokenizer.batch_decode(output[:, ids.shape[1] if left else 0 :], skip_special_tokens=True)
    return [text.strip() for text in texts]


INPUT = st.lists(st.integers(2, 360), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(inputs=st.lists(INPUT, min_size=1, max_size=9))
def test_texts_are_those_of_the_plain_way(student: Student, inputs: list[list[int]]) -> None:
    assert student.generate(inputs, NEW_TOKENS) == plain(student, inputs)


def test_rows_that_end_at_different_steps_are_read_in_several_passes(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyllm_cli.students.base.READ_BUDGET", 40)
    inputs = [[(7 * row + 3 * at) % 350 + 2 for at in range(2 + 3 * (row % 5))] for row in range(12)]
    written = student.generate(inputs, NEW_TOKENS)
    assert written == plain(student, inputs)
    assert len({len(text) for text in written}) > 2


def test_what_the_settings_of_a_model_ask_of_its_texts_holds(student: Student) -> None:
    """The loop is ours, the rules for the next token are transformers'."""
    inputs = [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
    free = student.generate(inputs, NEW_TOKENS)
    student.model.generation_config.min_new_tokens = NEW_TOKENS
    try:
        forced = student.generate(inputs, NEW_TOKENS)
        assert forced == plain(student, inputs)
        assert forced != free
    finally:
        student.model.generation_config.min_new_tokens = None


OPTION = st.one_of(
    st.lists(st.integers(2, 360), min_size=1, max_size=1), st.lists(st.integers(2, 360), min_size=1, max_size=20)
)


@settings(max_examples=25, deadline=None)
@given(asked=st.lists(st.tuples(INPUT, st.lists(OPTION, min_size=2, max_size=6)), min_size=1, max_size=6))
def test_scores_are_those_of_whole_sequences(student: Student, asked: list[tuple[list[int], list[list[int]]]]) -> None:
    scored = student.option_scores([read for read, _ in asked], [options for _, options in asked])
    for (read, options), scores in zip(asked, scored, strict=True):
        assert scores == pytest.approx([naive_score(student, read, option) for option in options], abs=1e-4)
