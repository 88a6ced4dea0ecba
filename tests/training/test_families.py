"""Every family of students: the loss and gradient of a step are those of transformers on each example alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers

from backends.checkpoints import Checkpoint
from tests.models import tiny_tokenizer
from tests.training.test_loss import examples, gradients, objective
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.training.gradient import MicroBatches, backward

WINDOW = 16
LENGTHS = ((40, 11), (3, 8), (25, 20), (9, 4), (30, 1))
"""Of inputs and targets, beyond the attention window of those that have one."""

_CAUSAL = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.1, "bos_token_id": None,
}  # fmt: skip
_GEMMA = {**_CAUSAL, "sliding_window": WINDOW, "query_pre_attn_scalar": 8}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_PLAIN = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 128, "bos_token_id": None}


@dataclass(frozen=True)
class Family:
    """A tiny model of a family. `packs`: its rows can be packed. `dropout` are the settings that drop."""

    model: str
    settings: dict[str, Any]
    packs: bool
    dropout: tuple[str, ...] = ("attention_dropout",)


FAMILIES = {
    "t5": Family("T5", {**_T5, "tie_word_embeddings": True}, True, ("dropout_rate",)),
    "flan-t5": Family("T5", {**_T5, "feed_forward_proj": "gated-gelu"}, True, ("dropout_rate",)),
    "mt5": Family("MT5", _T5, True, ("dropout_rate",)),
    "bart": Family(
        "Bart",
        {
            **_PLAIN, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 1,
            "forced_eos_token_id": None,
        },
        False,
        ("dropout", "attention_dropout"),
    ),
    "gpt2": Family(
        "GPT2",
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "bos_token_id": None},
        True,
        ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    ),
    "opt": Family(
        "OPT", {**_PLAIN, "hidden_size": 32, "ffn_dim": 48, "word_embed_proj_dim": 32}, True,
        ("dropout", "attention_dropout"),
    ),
    "llama": Family("Llama", _CAUSAL, True),
    "smollm2": Family("Llama", {**_CAUSAL, "tie_word_embeddings": True, "num_key_value_heads": 4}, True),
    "mistral": Family("Mistral", {**_CAUSAL, "sliding_window": WINDOW}, False),
    "mistral without a window": Family("Mistral", {**_CAUSAL, "sliding_window": None}, True),
    "qwen2": Family("Qwen2", _CAUSAL, True),
    "qwen2 with a window": Family(
        "Qwen2", {**_CAUSAL, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}, False
    ),
    "qwen3": Family("Qwen3", _CAUSAL, True),
    "gemma2": Family("Gemma2", _GEMMA, False),
    "gemma3": Family("Gemma3", {**_GEMMA, "layer_types": ["sliding_attention", "full_attention"]}, False),
    "phi": Family("Phi", {**_CAUSAL, "partial_rotary_factor": 0.5}, True, ("resid_pdrop", "attention_dropout")),
}  # fmt: skip


def made(family: Family, dropout: float = 0.0) -> Student:
    seq2seq = family.model in ("T5", "MT5", "Bart")
    tokenizer = tiny_tokenizer(ends=seq2seq)
    name = {"Gemma3": "Gemma3Text"}.get(family.model, family.model)
    own = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, **family.settings}
    rates = {rate: dropout for rate in ("dropout_rate", *family.dropout) if hasattr(config_of(name)(), rate)}
    for unused in ("dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "activation_dropout"):
        if hasattr(config_of(name)(), unused):
            rates.setdefault(unused, 0.0)
    torch.manual_seed(0)
    kind = {"T5": "T5ForConditionalGeneration", "MT5": "MT5ForConditionalGeneration"}.get(family.model)
    kind = kind or {"Bart": "BartForConditionalGeneration", "GPT2": "GPT2LMHeadModel"}.get(family.model)
    config = config_of(name)(**own, **rates)
    config._attn_implementation = "eager"
    model = getattr(transformers, kind or f"{family.model}ForCausalLM")(config).eval()
    checkpoint = Checkpoint(model=model, tokenizer=tokenizer, kind="seq2seq" if seq2seq else "causal", device="cpu")
    return Seq2SeqStudent(checkpoint) if seq2seq else CausalStudent(checkpoint)


def config_of(name: str) -> Any:
    return getattr(transformers, f"{name}Config")


def nll_of_transformers(student: Student, example: Example) -> torch.Tensor:
    """The summed negative log-likelihood of the target, from the model's own forward pass over this example alone."""
    read, target = list(example.input), list(example.target)
    if student.kind == "causal":
        logits = student.model(input_ids=torch.tensor([read + target]), use_cache=False).logits[0, len(read) - 1 : -1]
    else:
        start = student.model.config.decoder_start_token_id
        decoder = torch.tensor([[start, *target[:-1]]])
        logits = student.model(input_ids=torch.tensor([read]), decoder_input_ids=decoder, use_cache=False).logits[0]
    return -logits.log_softmax(-1)[range(len(target)), target].sum()


def expected(student: Student, batch: Sequence[Example]) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    losses: dict[str, float] = {}
    names = [example.spans[0].name for example in batch]
    for example in batch:
        name = example.spans[0].name
        loss = nll_of_transformers(student, example) / example.length / names.count(name)
        loss.backward()  # type: ignore[no-untyped-call]
        losses[name] = losses.get(name, 0.0) + float(loss.detach())
    return losses, gradients(student.model)


def gap(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """The relative norm of the difference of two gradients."""
    names = found.keys() | wanted.keys()
    zero = torch.zeros(1)
    differences = [(found.get(name, zero) - wanted.get(name, zero)).double().norm() for name in names]
    return float(torch.stack(differences).norm() / torch.stack([one.double().norm() for one in wanted.values()]).norm())


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Iterator[Family]:
    return FAMILIES[request.param]


def test_the_loss_and_gradient_of_a_step_are_those_of_transformers(family: Family) -> None:
    student, batch = made(family), examples(LENGTHS)
    losses, wanted = expected(student, batch)
    learner = Learner(student)
    assert learner.packs == family.packs
    for way in ("as it is", "padded", "whole logits"):
        learner.packs = learner.packs and way != "padded"
        learner.head = None if way == "whole logits" else learner.head
        for budget in (10_000, 60):
            found = backward(learner, batch, objective(batch), MicroBatches(budget=budget))
            assert found == pytest.approx(losses, rel=1e-4), way
            assert gap(gradients(student.model), wanted) < 1e-4, way


def test_gradient_checkpointing_gives_the_same(family: Family) -> None:
    student, batch = made(family), examples(LENGTHS)
    losses, wanted = expected(student, batch)
    student.model.gradient_checkpointing_enable({"use_reentrant": False})
    student.model.train()
    found = backward(Learner(student, checkpointing=True), batch, objective(batch), MicroBatches(budget=60))
    assert found == pytest.approx(losses, rel=1e-4)
    assert gap(gradients(student.model), wanted) < 1e-4


def test_dropout_of_packed_rows_does_not_depend_on_the_batch(family: Family) -> None:
    """Each example has masks of its own, wherever in the row it lies."""
    student, batch = made(family, dropout=0.2), examples(LENGTHS)
    learner = Learner(student)
    if not learner.packs:
        assert not family.packs
        return
    student.model.train()
    seen = []
    for budget, key in ((10_000, (3, 7)), (60, (3, 7)), (1, (3, 7)), (60, (3, 8)), (60, (-3, 7))):
        losses = backward(learner, batch, objective(batch), MicroBatches(budget=budget, key=key))
        seen.append((losses, gradients(student.model)))
    (losses, wanted), *same, other_step, other_seed = seen
    for found, gradient in same:
        assert found == pytest.approx(losses, rel=1e-4)
        assert gap(gradient, wanted) < 1e-4
    for found, gradient in (other_step, other_seed):
        assert found != pytest.approx(losses, rel=1e-4)
        assert gap(gradient, wanted) > 1e-2
