"""A small T5 without any training, as a student for a procedural data set: python examples/small_student.py FOLDER

Its vocabulary is the words of the data set's questions and rationales. It trains in minutes on a CPU, and what it knows
in the end it has from its training. --help shows the other arguments.
"""

import re
from collections.abc import Iterator
from typing import Annotated

import torch
import typer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from tinyllm_cli.datasets.procedural.generate import TEACHERS, generate, parameters

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
INSTRUCTIONS = "predict: Options: (a) (b) (c) (d) (e) (f) Rationale: Answer: explain and like " + " ".join(TEACHERS)
WORD = re.compile(r"\w+|[^\w\s]")


def texts(family: str, size: int) -> Iterator[str]:
    """A sample of the family that has all of its words."""
    for one in generate(parameters(family, {"train": 2000}, size=size), family):
        yield " ".join([one.question.text, *one.question.options, *one.rationales.values()])


def main(
    folder: Annotated[str, typer.Argument(help="The folder to write.")],
    family: Annotated[str, typer.Argument(help="Of the data set.")] = "coin-flip",
    size: Annotated[int, typer.Argument(help="Of its questions.")] = 4,
) -> None:
    """Write a small T5 without any training, whose vocabulary is the words of a procedural data set."""
    words = sorted({word for text in (INSTRUCTIONS, *texts(family, size)) for word in WORD.findall(text)})
    vocabulary = {word: number for number, word in enumerate([PAD, END, UNKNOWN, *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    inner.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=128, d_kv=32, d_ff=512, num_layers=2, num_heads=4, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", decoder_start_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{folder}: a T5 with {model.num_parameters() / 1e6:.1f}M random parameters and {len(vocabulary)} words")


if __name__ == "__main__":
    typer.run(main)
