"""Tiny real models with random weights and a small real tokenizer, built in code: seconds to make, seconds to train."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinyllm_cli.records.runs import Run, RunIdentity
from tinyllm_cli.records.settings import RunSettings, TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loading import load_student

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kind = Literal["causal", "seq2seq"]
KINDS: tuple[Kind, ...] = ("causal", "seq2seq")
HIDDEN = 48
_SENTENCES = (
    "Which of these is number of train? Which of these is number of valid? Which of these is number of test?",
    "predict: explain: rationale: Options: (a) thing (b) thing (c) thing (d) thing Context: Answer: Rationale:",
    "It follows from what the thing is for. Only this one fits the number. The others are plainly wrong.",
)


def tiny_tokenizer(*, ends: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on the words of the tests' questions. `ends`: inputs get the end token, as T5's do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_SENTENCES, trainer)
    if ends:
        inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram pieces that carry the space before them, trained on the words of the tests' questions. Like T5's, it has
    an unknown token, no line break, and ends inputs with `</s>`."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=list(string.ascii_letters + string.digits + "?.,:()"),
        unk_token="<unk>",
        show_progress=False,
    )
    inner.train_from_iterator(_SENTENCES, trainer)
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def causal_model(tokenizer: Any, *, seed: int = 0, hidden: int = HIDDEN) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config).eval()


def t5_model(tokenizer: Any, *, tied: bool = False, seed: int = 0) -> Any:
    """T5 v1.1's shape, as FLAN-T5's: gated GELU and a head of its own, unless `tied` (the classic T5)."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=HIDDEN,
        d_kv=12,
        d_ff=2 * HIDDEN,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="relu" if tied else "gated-gelu",
        tie_word_embeddings=tied,
        decoder_start_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = T5ForConditionalGeneration(config)
    if not tied:  # transformers 5 shares a fresh head with the embedding all the same
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * HIDDEN**-0.5)
    return model.eval()


def make_folder(folder: Path, kind: Kind, *, tokenizer: Any = None, tied: bool = False) -> Path:
    """An ordinary Hugging Face folder of a tiny model."""
    import torch

    torch.set_num_threads(1)  # matrices this small are slower on several
    tokenizer = tokenizer or tiny_tokenizer(ends=kind == "seq2seq")
    model = causal_model(tokenizer) if kind == "causal" else t5_model(tokenizer, tied=tied)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_student(folder: Path, kind: Kind) -> Student:
    return load_student(str(make_folder(folder, kind)))


def add_dropout(student: Student, rate: float) -> None:
    """Every place where the model can drop does: modules, and the attributes that functions read."""
    import torch

    for module in student.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


def diverged(student: Student) -> Student:
    """The same student after a training with an infinite learning rate: every weight is NaN."""
    for parameter in student.model.parameters():
        parameter.data.fill_(float("nan"))
    return student


def weights(student: Student) -> dict[str, Any]:
    """A copy of the trained parameters."""
    return {name: value.detach().clone() for name, value in student.model.named_parameters()}


def record_run(
    store: Store, folder: Path, *, dataset: str = "toy", prefixes: dict[str, str] | None = None, max_input: int = 256
) -> Run:
    """A finished run whose student lies in `folder`, as `distill` would have recorded it."""
    voices = prefixes or {}
    if store.questions.find(dataset) is None:
        store.questions.replace(dataset, "tests", "", [])
    run = store.runs.start(
        RunIdentity(
            method="tinyllm",
            student="tiny",
            dataset=dataset,
            alpha=dict.fromkeys(voices, 1.0),
            seed=0,
            settings=RunSettings(train=TrainSettings(max_input=max_input, max_target=24), prefixes=voices),
            sources={},
            versions={},
        ),
        command="tinyllm distill --student tiny",
    )
    store.runs.locate(run.id, str(folder))
    store.runs.finish(run.id, "done", {"best_step": 1})
    found = store.runs.find(run.id)
    assert found is not None
    return found
