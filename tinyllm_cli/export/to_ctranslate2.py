"""CTranslate2, by its own converter for T5, Llama and similar models: the fastest of the three formats on a CPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.export.check import Borrowed
from tinyllm_cli.students.base import Student

NEEDS = ("ctranslate2>=4.8",)
WRITES_TEXT = True
USAGE = """\
    import ctranslate2, transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained("FOLDER")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(INPUT)["input_ids"])
    # an encoder-decoder:
    ctranslate2.Translator("FOLDER").translate_batch([tokens], beam_size=1, max_input_length=0)
    # a decoder-only model:
    ctranslate2.Generator("FOLDER").generate_batch([tokens], include_prompt_in_result=False)
"""
_TOKEN_BATCH = 4000


def write(student: Student, source: str, folder: Path, int8: bool) -> None:
    """Convert the student into `folder`; `source` is the folder that it was loaded from. To save memory the converter
    destroys some models: the student can't answer any more when this returns.

    Raises UsageProblem when CTranslate2 does not support the student."""
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        """Converts the loaded model instead of loading it again."""

        def load_model(self, *_: Any, **__: Any) -> Any:
            return student.model

        def load_tokenizer(self, *_: Any, **__: Any) -> Any:
            return student.tokenizer

    with _true_ties(student):
        try:
            Converter(source).convert(str(folder), quantization="int8" if int8 else "float32", force=True)
        except (ValueError, NotImplementedError) as error:
            kind = student.model.config.model_type
            raise UsageProblem(
                f"CTranslate2 does not support a {kind} like this one: {error}".splitlines()[0]
            ) from error
    _name_missing_tokens(folder, student)


def load(folder: Path, student: Student) -> CTranslate2Model:
    return CTranslate2Model(folder, student)


class CTranslate2Model(Borrowed):
    """The exported model, on the CPU, with as many threads as torch has."""

    def __init__(self, folder: Path, student: Student) -> None:
        import ctranslate2
        import torch

        super().__init__(student)
        runtime = ctranslate2.Translator if student.kind == "seq2seq" else ctranslate2.Generator
        self._model = runtime(str(folder), device="cpu", intra_threads=torch.get_num_threads())
        ends = student.model.generation_config.eos_token_id
        self._ends = self._tokens(ends if isinstance(ends, list) else [ends])

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        flat = [(list(ids), list(option)) for ids, own in zip(inputs, options, strict=True) for option in own]
        if self._student.kind == "seq2seq":
            scored = self._model.score_batch(
                [self._tokens(ids) for ids, _ in flat], [self._tokens(option) for _, option in flat],
                max_input_length=0, max_batch_size=_TOKEN_BATCH, batch_type="tokens",
            )  # fmt: skip
            own = [one.log_probs[: len(option)] for one, (_, option) in zip(scored, flat, strict=True)]
        else:
            scored = self._model.score_batch(
                [self._tokens([*ids, *option]) for ids, option in flat],
                max_input_length=0, max_batch_size=_TOKEN_BATCH, batch_type="tokens",
            )  # fmt: skip
            own = [one.log_probs[-len(option) :] for one, (_, option) in zip(scored, flat, strict=True)]
        means = iter(sum(probabilities) / len(probabilities) for probabilities in own)
        return [[next(means) for _ in question] for question in options]

    def generate(self, inputs: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        tokens = [self._tokens(ids) for ids in inputs]
        common = {"beam_size": 1, "end_token": self._ends, "max_batch_size": len(tokens)}
        if self._student.kind == "seq2seq":
            found = self._model.translate_batch(
                tokens, max_decoding_length=max_new_tokens, max_input_length=0, **common
            )
            ids = [self.tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in found]
        else:
            found = self._model.generate_batch(
                tokens, max_length=max_new_tokens, include_prompt_in_result=False, **common
            )
            ids = [one.sequences_ids[0] for one in found]
        return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def _tokens(self, ids: Sequence[int]) -> list[str]:
        tokens: list[str] = self.tokenizer.convert_ids_to_tokens(list(ids))
        return tokens


@contextmanager
def _true_ties(student: Student) -> Iterator[None]:
    """transformers 5 sets every loaded T5's head to tied. The converter believes it and scales the head,
    which leaves greedy text as it is and makes every probability wrong."""
    config = student.model.config
    scales = getattr(config, "scale_decoder_outputs", None)
    stated = config.tie_word_embeddings
    if scales is not None:
        config.tie_word_embeddings = bool(scales)
    try:
        yield
    finally:
        config.tie_word_embeddings = stated


def _name_missing_tokens(folder: Path, student: Student) -> None:
    """The runtime requires names of the begin and unknown tokens, which a tokenizer may lack. Inputs name their tokens,
    so any name works."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in ("bos_token", "unk_token"):
        if name in config and config[name] is None:
            config[name] = student.tokenizer.eos_token
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
