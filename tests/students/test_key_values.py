"""The cache that grows in place and the attention of shared heads give what transformers' own give."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tests.models import make_folder
from tinyllm_cli.students.decoding import _filled
from tinyllm_cli.students.key_values import ATTENTION, _attention, concat_caches, shared_heads
from tinyllm_cli.students.loading import load_student


def states(rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 4)


@given(st.lists(st.one_of(st.integers(1, 90), st.lists(st.integers(0, 5), min_size=1, max_size=6)), max_size=8))
def test_a_cache_that_grows_in_place_holds_what_one_that_is_copied_holds(steps: list[int | list[int]]) -> None:
    """A number adds so many tokens; a list keeps these rows."""
    first, plain = DynamicCache(), DynamicLayer()
    keys, values = states(6, 5)
    first.update(keys, values, 0)
    plain.update(keys, values)
    cache = concat_caches([first], 5)
    for step in steps:
        if isinstance(step, int):
            added = states(len(plain.keys), step)
            found, expected = cache.update(*added, 0), plain.update(*added)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        else:
            kept = torch.tensor([row for row in step if row < len(plain.keys)] or [0])
            cache.reorder_cache(kept)
            plain.reorder_cache(kept)
        assert torch.equal(cache.layers[0].keys, plain.keys)
        assert torch.equal(cache.layers[0].values, plain.values)
        assert cache.get_seq_length() == plain.get_seq_length()


@given(
    rows=st.integers(1, 4), shared=st.integers(1, 4), queries=st.integers(1, 2), tokens=st.integers(1, 9),
    kind=st.sampled_from(["bool", "float", "none"]), seed=st.integers(0, 999),
)  # fmt: skip
def test_shared_heads_read_as_separate_ones(
    rows: int, shared: int, queries: int, tokens: int, kind: str, seed: int
) -> None:
    torch.manual_seed(seed)
    query = torch.randn(rows, 2 * shared, queries, 8)
    key, value = torch.randn(rows, 2, tokens, 8), torch.randn(rows, 2, tokens, 8)
    allowed = torch.rand(rows, 1, queries, tokens) < 0.7
    allowed[..., -1] = True
    masks = {"bool": allowed, "float": torch.where(allowed, 0.0, -torch.inf), "none": None}
    module = SimpleNamespace(num_key_value_groups=shared, is_causal=True)
    arguments = module, query, key, value, masks[kind]
    found, expected = (way(*arguments, scaling=0.3)[0] for way in (_attention, sdpa_attention_forward))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_student_keeps_its_own_attention_outside(tmp_path: Path) -> None:
    student = load_student(str(make_folder(tmp_path / "tiny", "causal")))
    before = student.model.config._attn_implementation
    assert before == "eager"
    with shared_heads(student.model):
        assert student.model.config._attn_implementation == ATTENTION
    assert student.model.config._attn_implementation == before


def test_an_attention_that_caps_its_scores_is_not_replaced() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

    small = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    gemma = Gemma2Config(**small, num_key_value_heads=1, intermediate_size=16, head_dim=8, attn_implementation="eager")
    gpt2 = GPT2Config(**small, attn_implementation="eager")
    for model in (Gemma2ForCausalLM(gemma), GPT2LMHeadModel(gpt2)):
        with shared_heads(model):
            assert model.config._attn_implementation == "eager"


@given(st.lists(st.booleans(), min_size=1, max_size=9).filter(lambda done: not all(done)))
def test_the_last_rows_take_the_places_of_those_that_end(done: list[bool]) -> None:
    kept = _filled(torch.tensor(done)).tolist()
    assert sorted(kept) == [row for row, ended in enumerate(done) if not ended]
    assert [place for place, row in enumerate(kept) if place != row] == [
        place for place, ended in enumerate(done[: len(kept)]) if ended
    ]


def test_rows_that_stay_in_their_place_are_not_copied() -> None:
    first = DynamicCache()
    first.update(*states(5, 3), 0)
    [layer] = concat_caches([first], 3).layers
    room, keys = layer._room[0], layer.keys.clone()
    layer.reorder_cache(torch.tensor([0, 4, 2]))
    assert layer._room[0].data_ptr() == room.data_ptr()
    assert torch.equal(layer.keys, keys[[0, 4, 2]])
    layer.reorder_cache(torch.tensor([1, 0]))
    assert torch.equal(layer.keys, keys[[4, 0]])
