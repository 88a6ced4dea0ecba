"""The fast ways to a student's loss and gradient give what the plain way gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.checkpoints import Checkpoint
from tests.models import KINDS, causal_model, make_student, t5_model, tiny_tokenizer
from tinyllm_cli.records.settings import Reading
from tinyllm_cli.students.base import IGNORED, Example, Student, by_tokens
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.loss import tuning
from tinyllm_cli.students.loss.cpu import attention
from tinyllm_cli.students.loss.cpu.attention import Scores, attend
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng, drop
from tinyllm_cli.students.loss.cpu.packing import pack
from tinyllm_cli.students.loss.cross_entropy import plain_head
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.students.loss.tuning import tuned
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.training.gradient import MicroBatches, backward
from tinyllm_cli.training.objective import Objective

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20)), min_size=1, max_size=9)


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), request.param)


def examples(lengths: Sequence[tuple[int, int]]) -> list[Example]:
    ids = iter(range(10**6))
    return [
        Example.single(
            ("answer", "t5")[number % 2],
            tuple(2 + next(ids) % 390 for _ in range(into)),
            tuple(2 + next(ids) % 390 for _ in range(out)),
        )
        for number, (into, out) in enumerate(lengths)
    ]


def objective(batch: Sequence[Example], reading: Reading = "example") -> Objective:
    """Of a step that is the whole training set: the mean of each task's examples, whatever their numbers are."""
    names = [example.spans[0].name for example in batch]
    return Objective(reading=reading, coverage={name: names.count(name) / names.count("answer") for name in names})


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def plainly(student: Student, batch: list[Example], weights: list[float]) -> dict[str, torch.Tensor]:
    """Each example alone, through the model's own logits."""
    for example, weight in zip(batch, weights, strict=True):
        logits, labels = student.target_logits([example])
        kept = labels != IGNORED
        (torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="sum") * weight).backward()  # type: ignore[no-untyped-call]
    return gradients(student.model)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    zero = expected.keys() ^ found.keys()
    assert all(not (found | expected)[name].any() for name in zero)
    for name in expected.keys() & found.keys():
        assert torch.allclose(found[name], expected[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("way", ["packed", "padded", "whole logits"])
@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, budget=st.integers(1, 200))
def test_every_way_gives_the_gradient_of_each_example_alone(
    student: Student, way: str, lengths: list[tuple[int, int]], budget: int
) -> None:
    learner = Learner(student)
    assert learner.packs
    assert learner.head is not None
    learner.packs = way == "packed"
    if way == "whole logits":
        learner.head = None
    batch = examples(lengths)
    names = [example.spans[0].name for example in batch]
    totals = {name: sum(e.length for e in batch if e.spans[0].name == name) for name in names}
    expected = plainly(student, batch, [1 / totals[name] for name in names])
    backward(learner, batch, objective(batch, "token"), MicroBatches(budget=budget))
    assert_same(gradients(student.model), expected)


def test_large_tables_take_their_gradient_row_by_row(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = examples([(9, 4), (3, 8)])
    backward(Learner(student), batch, objective(batch))
    expected = gradients(student.model)
    monkeypatch.setattr(tuning, "_LARGE", 0)
    backward(Learner(student), batch, objective(batch))
    assert_same(gradients(student.model), expected)


def test_frozen_parameters_get_no_gradient(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_LARGE", 0)
    frozen = [student.model.get_input_embeddings().weight, student.model.get_output_embeddings().weight]
    for weight in frozen:
        weight.requires_grad_(False)
    try:
        backward(Learner(student), examples([(9, 4), (3, 8)]), Objective())
        assert all(weight.grad is None for weight in frozen)
        assert gradients(student.model)
    finally:
        for weight in frozen:
            weight.requires_grad_(True)


def test_the_model_is_as_before_after_a_step(student: Student) -> None:
    ids = torch.tensor([[5, 6, 7]])
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if student.kind == "seq2seq" else {})}
    with torch.no_grad():
        before = student.model(**inputs).logits
        backward_without_gradient(student)
        assert torch.equal(student.model(**inputs).logits, before)


def backward_without_gradient(student: Student) -> None:
    with torch.enable_grad():
        backward(Learner(student), examples([(9, 4), (3, 8)]), Objective())
    student.model.zero_grad(set_to_none=True)


def test_a_model_with_learned_positions_is_trained_with_padding() -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = tiny_tokenizer(ends=True)
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=1, bos_token_id=1, dropout=0.0,
    )  # fmt: skip
    model = BartForConditionalGeneration(config).eval()
    bart = Seq2SeqStudent(Checkpoint(model=model, tokenizer=tokenizer, kind="seq2seq", device="cpu"))
    learner = Learner(bart)
    assert not learner.packs
    batch = examples([(9, 4), (3, 8)])
    expected = plainly(bart, batch, [1 / 4, 1 / 8])
    backward(learner, batch, objective(batch))
    assert_same(gradients(model), expected)


def test_a_head_with_something_after_it_is_no_plain_head() -> None:
    model = causal_model(tiny_tokenizer(ends=False))
    assert plain_head(model) is not None
    forward = model.forward

    def capped(*args: Any, **arguments: Any) -> Any:
        output = forward(*args, **arguments)
        output.logits = 0.5 * output.logits.tanh()
        return output

    model.forward = capped
    assert plain_head(model) is None


def test_the_classic_t5_whose_head_is_scaled_and_tied() -> None:
    tokenizer = tiny_tokenizer(ends=True)
    model = t5_model(tokenizer, tied=True)
    classic = Seq2SeqStudent(Checkpoint(model=model, tokenizer=tokenizer, kind="seq2seq", device="cpu"))
    batch = examples([(9, 4), (3, 8)])
    expected = plainly(classic, batch, [1 / 4, 1 / 8])
    backward(Learner(classic), batch, objective(batch))
    assert_same(gradients(model), expected)


def test_checkpointing_gives_the_same_gradient(student: Student) -> None:
    batch = examples([(9, 4), (3, 8)])
    backward(Learner(student), batch, objective(batch))
    expected = gradients(student.model)
    student.model.gradient_checkpointing_enable()
    student.model.train()
    try:
        backward(Learner(student, checkpointing=True), batch, objective(batch))
        assert_same(gradients(student.model), expected)
    finally:
        student.model.gradient_checkpointing_disable()
        student.model.eval()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("piece", [1, 40, 10**6])
def test_attentions_gradient_is_right(monkeypatch: pytest.MonkeyPatch, dropout: float, piece: int) -> None:
    monkeypatch.setattr(attention, "_PIECE", piece)
    torch.manual_seed(0)
    shapes = ((3, 2, 4, 5), (3, 2, 6, 5), (3, 2, 6, 5), (1, 2, 4, 6))
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    mask = torch.zeros(3, 1, 1, 6, dtype=torch.float64)
    mask[1, ..., 4:] = -torch.inf

    def attended(query: Any, key: Any, value: Any, bias: Any) -> torch.Tensor:
        rng = DropoutRng()
        rng.begin(7)
        rng.read([2, 0, 5])
        gone = rng.block(0, (4, 3, 4), (6, 4, 6), dropout)
        return attend(query, key, value, Scores(scale=0.7, bias=bias, mask=mask), gone)

    # The bias's gradient is summed up in float32.
    assert torch.autograd.gradcheck(attended, inputs, atol=1e-5, rtol=1e-3)


@settings(max_examples=30, deadline=None)
@given(probability=st.floats(0.01, 0.9), seed=st.integers(0, 2**40))
def test_dropout_takes_its_share_and_keeps_the_mean(probability: float, seed: int) -> None:
    rng = DropoutRng()
    rng.begin(seed, 1)
    dropped = drop(torch.ones(401, 251), probability, rng)
    gone = float((dropped == 0).float().mean())
    assert gone == pytest.approx(probability, abs=5 * (probability * (1 - probability) / dropped.numel()) ** 0.5 + 2e-5)
    assert float(dropped.max()) == pytest.approx(1 / (1 - probability), rel=1e-3)
    rng.begin(seed, 1)
    assert torch.equal(drop(torch.ones(401, 251), probability, rng), dropped)
    rng.begin(seed, 2)
    assert not torch.equal(drop(torch.ones(401, 251), probability, rng), dropped)


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, heads=st.integers(1, 3))
def test_rows_become_blocks_and_rows_again(lengths: list[tuple[int, int]], heads: int) -> None:
    packed = pack([into for into, _ in lengths], [out for _, out in lengths], "cpu", DropoutRng())
    total = sum(into for into, _ in lengths)
    row = torch.randn(1, heads, total, 4)
    back = torch.cat([rows.flat(rows.block(row)) for rows in packed.inputs])
    assert torch.equal(back, row[0].transpose(0, 1))
    assert [length for rows in packed.targets for length in rows.lengths] == [out for _, out in lengths]


@given(sizes=st.lists(st.integers(1, 50), max_size=30), budget=st.integers(1, 100))
def test_groups_hold_everything_within_the_budget(sizes: list[int], budget: int) -> None:
    groups = list(by_tokens(range(len(sizes)), sizes, budget))
    assert sorted(index for group in groups for index in group) == list(range(len(sizes)))
    assert all(len(group) == 1 or sum(sizes[index] for index in group) <= budget for group in groups)


def test_rows_of_a_coarse_length_give_the_same_gradient(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = Learner(student), examples([(9, 4), (3, 8), (40, 1)])
    learner.packs = False
    backward(learner, batch, objective(batch))
    expected = gradients(student.model)
    monkeypatch.setattr(student, "pad_multiple", 16)
    assert student.target_logits(batch)[0].shape[1] % 16 == 0 or student.kind == "causal"
    backward(learner, batch, objective(batch))
    assert_same(gradients(student.model), expected)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_gelu_and_norms_are_replaced_by_the_same(student: Student, kind: str) -> None:
    """A GPU's replacements compute anywhere, so they are tested here too."""
    ids = torch.tensor([[5, 6, 7]])
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if student.kind == "seq2seq" else {})}

    def found() -> dict[str, torch.Tensor]:
        logits = student.model(**inputs).logits
        logits.square().mean().backward()
        return {"logits": logits.detach(), **gradients(student.model)}

    plain = found()
    with tuned(student.model, kind):
        replaced = [module for module in student.model.modules() if "forward" in module.__dict__]
        assert replaced or (student.kind == "causal" and kind == "cpu")
        assert_same(found(), plain)


def test_a_causal_model_without_logits_to_keep_packs_too() -> None:
    tokenizer = tiny_tokenizer(ends=False)
    student = CausalStudent(Checkpoint(model=causal_model(tokenizer), tokenizer=tokenizer, kind="causal", device="cpu"))
    student._takes_keep = False
    learner = Learner(student)
    assert learner.packs
    batch = examples([(9, 4), (3, 8)])
    expected = plainly(student, batch, [1 / 4, 1 / 8])
    backward(learner, batch, objective(batch))
    assert_same(gradients(student.model), expected)
