"""Packed rows as a GPU computes them, on a CPU: the same masks, biases, caps and dropout, and the gradient of padding.

FlexAttention refuses a backward pass on a CPU. `dense` evaluates the same functions for all pairs of tokens instead; a
test lifts the refusal, and compares FlexAttention itself.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.test_families import FAMILIES, Family, expected, gap, made
from tests.training.test_loss import LENGTHS, examples, gradients, objective
from tinyllm_cli.students.loss.gpu import packing
from tinyllm_cli.students.loss.gpu.masks import BLOCK, Documents, Sight, padded_length
from tinyllm_cli.students.loss.gpu.packing import FlexRows
from tinyllm_cli.students.loss.gpu.scores import Scores
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.gradient import MicroBatches, backward

STEP = ((40, 11), (3, 8), (100, 20), (9, 4), (30, 1))
"""Inputs and targets that fill more than one block, beyond the attention windows."""


def dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, score_mod: Any, block_mask: Any, scale: Any,
    enable_gqa: bool,
) -> torch.Tensor:  # fmt: skip
    """flex_attention, from its definition."""
    groups = query.shape[1] // key.shape[1]
    assert enable_gqa == (groups > 1)
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    own, other = (torch.arange(one.shape[2], dtype=torch.int32) for one in (query, key))
    places = torch.arange(query.shape[1], dtype=torch.int32)[:, None, None], own[:, None], other[None]
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if score_mod is not None:
        scores = score_mod(scores, 0, *places)
    seen = block_mask.mask_mod(0, *places)
    blocks = block_mask.to_dense()[0, 0].bool().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return (scores.masked_fill(~(seen & blocks), -torch.inf)).softmax(-1) @ value


DENSE = FlexRows("cpu", dense)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.model != "Bart"])
def test_the_gradient_of_every_family_is_that_of_padding(name: str) -> None:
    student, batch = made(FAMILIES[name]), examples(STEP)
    wanted_losses, wanted = expected(student, batch)
    padded = Learner(student)
    padded.packs = False
    backward(padded, batch, objective(batch))
    of_padding = gradients(student.model)
    learner = Learner(student, packing=DENSE)
    assert learner.packs
    for budget in (10_000, 60):
        found = backward(learner, batch, objective(batch), MicroBatches(budget=budget))
        assert found == pytest.approx(wanted_losses, rel=1e-4)
        gradient = gradients(student.model)
        assert gap(gradient, of_padding) < 1e-5
        assert gap(gradient, wanted) < 1e-5


def test_distances_beyond_those_that_t5_tells_apart() -> None:
    family = FAMILIES["flan-t5"]
    student = made(Family(family.model, {**family.settings, "relative_attention_max_distance": 32}, True))
    batch = examples([(100, 60), (20, 5)])
    _, wanted = expected(student, batch)
    backward(Learner(student, packing=DENSE), batch, objective(batch))
    assert gap(gradients(student.model), wanted) < 1e-5


def test_a_family_that_does_not_agree_is_padded() -> None:
    assert not Learner(made(FAMILIES["bart"]), packing=DENSE).packs


def test_a_kernel_whose_gradient_is_wrong_is_not_used() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, states: torch.Tensor) -> torch.Tensor:
            return states.clone()

        @staticmethod
        def backward(_: Any, *gradient: torch.Tensor) -> torch.Tensor:
            return gradient[0] * 1.01

    def wrong(query: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        return dense(Wrong.apply(query), *others, **named)  # type: ignore[no-untyped-call]

    student = made(FAMILIES["flan-t5"])
    assert not Learner(student, packing=FlexRows("cpu", wrong)).packs
    assert all(value.grad is None for value in student.model.parameters())


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, while it traces
@pytest.mark.parametrize(("name", "dropout"), [("flan-t5", 0.2), ("gemma2", 0.0)])
def test_flex_attention_itself_gives_the_same(name: str, dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention import flex_attention

    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    student, batch = made(FAMILIES[name], dropout), examples(STEP)
    found = []
    for attend in (dense, flex_attention.flex_attention):
        learner = Learner(student, packing=DENSE)
        learner._packing = FlexRows("cpu", attend)  # it compiles for each of its calls: only for those of the step
        assert learner.packs
        student.model.train()
        backward(learner, batch, objective(batch), MicroBatches(key=(3, 7)))
        found.append(gradients(student.model))
    assert gap(found[1], found[0]) < 1e-5


@pytest.mark.parametrize("name", ["flan-t5", "gpt2"])
def test_dropout_follows_from_the_step(name: str) -> None:
    family = FAMILIES[name]
    student, batch = made(Family(family.model, family.settings, True, family.dropout), dropout=0.2), examples(STEP)
    learner = Learner(student, packing=DENSE)
    assert learner.packs
    student.model.train()
    seen = []
    for key in ((3, 7), (3, 7), (3, 8)):
        backward(learner, batch, objective(batch), MicroBatches(key=key))
        seen.append(gradients(student.model))
    assert gap(seen[1], seen[0]) == 0
    assert gap(seen[2], seen[0]) > 1e-2


def sight(inputs: list[int], targets: list[int] | None = None, **changes: Any) -> Sight:
    own = Documents.of(inputs, "cpu")
    other = own if targets is None else Documents.of(targets, "cpu")
    return Sight(**{"queries": other, "keys": own, "causal": False, "window": None, **changes})


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_attentions_dropout_takes_its_share_of_the_pairs_and_keeps_the_sum(probability: float) -> None:
    seen = sight([BLOCK], copies=2)
    torch.manual_seed(0)
    kept = torch.zeros(4, BLOCK, 2 * BLOCK)
    score_mod: Any = Scores(dropout=probability).score_mod(seen.made)
    places = [torch.arange(size, dtype=torch.int32) for size in kept.shape]
    kept = score_mod(kept, 0, places[0][:, None, None], places[1][:, None], places[2][None]) == 0
    assert torch.equal(kept[..., :BLOCK], ~kept[..., BLOCK:]), "of two copies one counts"
    gone = kept[..., BLOCK:].float()
    spread = (probability * (1 - probability)) ** 0.5
    assert float(gone.mean()) == pytest.approx(probability, abs=5 * spread / gone.numel() ** 0.5)
    for dimension in (0, 1, 2):  # heads, queries and keys do not share decisions
        shares = gone.mean(dimension)
        assert float(shares.std()) == pytest.approx(spread / gone.shape[dimension] ** 0.5, rel=0.2)
    again: Any = Scores(dropout=probability).score_mod(seen.made)
    other = again(torch.zeros_like(gone), 0, places[0][:, None, None], places[1][:, None], places[1][None]) == 0
    assert not torch.equal(other, kept[..., :BLOCK])


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, causal=st.booleans(), window=st.none() | st.integers(1, 300), copies=st.sampled_from([1, 2]))
def test_blocks_leave_out_nothing_that_is_seen(
    lengths: list[tuple[int, int]], causal: bool, window: int | None, copies: int
) -> None:
    into = [7 * length for length, _ in lengths]
    for one in (
        sight(into, causal=causal, window=window, copies=copies),
        sight(into, [3 * length for _, length in lengths], copies=copies),
    ):
        mask = one.block_mask
        own, other = (torch.arange(size, dtype=torch.int32) for size in mask.seq_lengths)
        pairs = mask.mask_mod(0, 0, own[:, None], other[None])
        blocks = mask.to_dense()[0, 0].bool().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        assert not (pairs & ~blocks).any()
        assert pairs.any(1).all(), "padding sees something as well"


@given(tokens=st.integers(1, 100_000))
def test_rows_have_few_lengths_and_little_padding(tokens: int) -> None:
    length = padded_length(tokens)
    assert length % BLOCK == 0
    assert tokens <= length < max(1.25 * tokens, tokens + BLOCK)
    assert padded_length(length) == length


def test_row_lengths_repeat() -> None:
    assert len({padded_length(tokens) for tokens in range(1024, 16_385)}) == 17


def test_a_gpu_compiles_the_kernel() -> None:
    import torch._dynamo

    assert packing.compiled_flex_attention() is packing.compiled_flex_attention()
    assert torch._dynamo.config.recompile_limit >= 64
