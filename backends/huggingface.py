"""Local teachers on transformers: seq2seq and causal models, GGUF files, the embedded model.

Batches are cut from a window of requests sorted by length, so that short prompts don't pay for long ones; no more
than a window is held at a time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from backends import take
from backends.base import Answer, BadTeacherConfig, Completion, Failure, Message, Outcome, Request, Sampling
from backends.checkpoints import Checkpoint, load, logs_of_transformers_off, window
from backends.fingerprints import model_identity

__all__ = ["HuggingFaceTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "model": str,
    "revision": str,
    "dtype": "auto",
    "device": "auto",
    "batch_size": 32,
    "max_input_tokens": 2048,
    "trust_remote_code": False,
}
_WINDOW = 4  # batches that are sorted by length together


class HuggingFaceTeacher:
    """Settings: `model` (hub name, folder, .gguf file or embedded name), `revision`, `dtype` (auto: bfloat16 on a
    GPU, float32 elsewhere; never float16, which makes FLAN-T5 overflow), `device`, `batch_size`,
    `max_input_tokens` (longer prompts fail rather than lose their head), `trust_remote_code`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._options = take(settings, "huggingface", _SETTINGS)
        if not self._options["model"]:
            raise BadTeacherConfig(
                "A huggingface teacher needs a model.", 'Give `model = "..."` in its table of tinyllm.toml.'
            )
        for name in ("batch_size", "max_input_tokens"):
            if self._options[name] < 1:
                raise BadTeacherConfig(f"{name} must be 1 or more.")
        self._loaded: Checkpoint | None = None

    def identity(self) -> Mapping[str, str]:
        return model_identity(self._options["model"], self._options["revision"])

    def describe(self) -> Mapping[str, Any]:
        if self._loaded is None:
            return {}
        import transformers

        model = self._loaded.model
        return {
            "transformers": transformers.__version__,
            "dtype": str(model.dtype),
            "device": self._loaded.device,
            "commit": getattr(model.config, "_commit_hash", None),
        }

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        size = int(self._options["batch_size"])
        while window := list(islice(stream, size * _WINDOW)):
            checkpoint = self._checkpoint()
            encoded = [(request, self._encode(checkpoint, request.messages)) for request in window]
            encoded.sort(key=lambda pair: len(pair[1]))
            for start in range(0, len(encoded), size):
                yield list(self._batch(checkpoint, encoded[start : start + size], sampling))

    def close(self) -> None:
        if self._loaded is None:
            return
        on_gpu = self._loaded.device.startswith("cuda")
        self._loaded = None
        if on_gpu:
            import gc

            import torch

            gc.collect()
            torch.cuda.empty_cache()

    def _checkpoint(self) -> Checkpoint:
        if self._loaded is None:
            options = self._options
            self._loaded = load(
                options["model"],
                dtype=_dtype(options["dtype"]),
                device=options["device"],
                revision=options["revision"],
                trust_remote_code=options["trust_remote_code"],
            )
        return self._loaded

    def render(self, request: Request) -> str:
        """The prompt as the model reads it; loads the model."""
        return _rendered(self._checkpoint(), request.messages)

    def _encode(self, checkpoint: Checkpoint, messages: Sequence[Message]) -> list[int]:
        """Token ids of the prompt. A chat template writes its special tokens itself."""
        templated = bool(getattr(checkpoint.tokenizer, "chat_template", None))
        text = _rendered(checkpoint, messages)
        return list(checkpoint.tokenizer(text, add_special_tokens=not templated)["input_ids"])

    def _longest(self, checkpoint: Checkpoint, sampling: Sampling) -> tuple[int, str]:
        """How many tokens a prompt may have, and why no more."""
        limit = int(self._options["max_input_tokens"])
        has = window(checkpoint.model.config)
        reply = sampling.max_tokens if checkpoint.kind == "causal" else 0
        if has is not None and has - reply < limit:
            return has - reply, f"the {max(0, has - reply)} for which {has} positions leave room (--max-tokens {reply})"
        return limit, f"max_input_tokens={limit}"

    def _batch(
        self, checkpoint: Checkpoint, pairs: list[tuple[Request, list[int]]], sampling: Sampling
    ) -> Iterator[Answer]:
        limit, why = self._longest(checkpoint, sampling)
        for request, ids in pairs:
            if len(ids) > limit:
                yield request, Failure(reason=f"the prompt has {len(ids)} tokens, over {why}")
        fitting = [(request, ids) for request, ids in pairs if len(ids) <= limit]
        if not fitting:
            return
        yield from self._answers(checkpoint, fitting, sampling)

    def _answers(
        self, checkpoint: Checkpoint, pairs: list[tuple[Request, list[int]]], sampling: Sampling
    ) -> Iterator[Answer]:
        """Where the memory does not suffice for all at once, half at a time."""
        started = time.monotonic()
        replies = _generate(checkpoint, [ids for _, ids in pairs], sampling, _seed(pairs[0][0], sampling))
        if replies is None and len(pairs) == 1:
            yield pairs[0][0], Failure(reason=f"out of memory with a prompt of {len(pairs[0][1])} tokens")
            return
        if replies is None:
            half = len(pairs) // 2
            yield from self._answers(checkpoint, pairs[:half], sampling)
            yield from self._answers(checkpoint, pairs[half:], sampling)
            return
        share = (time.monotonic() - started) / len(pairs)
        for (request, ids), (text, tokens, finished) in zip(pairs, replies, strict=True):
            yield request, _outcome(text, tokens, finished, prompt_tokens=len(ids), seconds=share)


def _outcome(text: str, tokens: int, finished: bool, *, prompt_tokens: int, seconds: float) -> Outcome:
    if not text.strip():
        return Failure(reason="empty reply")
    return Completion(
        text=text,
        finish_reason="stop" if finished else "length",
        prompt_tokens=prompt_tokens,
        completion_tokens=tokens,
        seconds=seconds,
    )


def _rendered(checkpoint: Checkpoint, messages: Sequence[Message]) -> str:
    """The prompt through the model's chat template, where it has one."""
    if getattr(checkpoint.tokenizer, "chat_template", None):
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return str(checkpoint.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return "\n\n".join(message.content for message in messages)


def _dtype(wanted: str) -> str:
    if wanted == "auto":
        import torch

        return "bfloat16" if torch.cuda.is_available() else "float32"
    if wanted not in ("float32", "bfloat16"):
        raise BadTeacherConfig(f"dtype '{wanted}' is not supported.", "Use auto, float32 or bfloat16.")
    return wanted


def _seed(first: Request, sampling: Sampling) -> int:
    """Differs from batch to batch, so that two samples of one prompt are two draws."""
    address = f"{sampling.seed}\0{first.split}\0{first.key}\0{first.sample}".encode()
    return int.from_bytes(hashlib.sha256(address).digest()[:4], "big")


def _generate(
    checkpoint: Checkpoint, prompts: list[list[int]], sampling: Sampling, seed: int
) -> list[tuple[str, int, bool]] | None:
    """(text, new tokens, finished by itself) for each prompt, or None when the memory does not suffice. Texts end
    before the first stop sequence."""
    import torch

    tokenizer, model = checkpoint.tokenizer, checkpoint.model
    padded = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(checkpoint.device)
    options: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        torch.manual_seed(seed)
        options = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,
        }
    options["stopping_criteria"] = _stopping(tokenizer, sampling.stop)
    with torch.inference_mode(), logs_of_transformers_off():
        try:
            output = model.generate(**padded, max_new_tokens=sampling.max_tokens, **options)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            return None
    skip = padded["input_ids"].shape[1] if checkpoint.kind == "causal" else 1  # or the decoder's start token
    return [_reply(tokenizer, model, row, sampling) for row in output[:, skip:].tolist()]


def _stopping(tokenizer: Any, stop: Sequence[str]) -> list[Any]:
    """What ends a reply at a stop sequence, rather than cutting it afterwards."""
    from transformers import StopStringCriteria

    try:
        return [StopStringCriteria(tokenizer, list(stop))] if stop else []
    except ValueError:  # a vocabulary of whole words, from which it can't tell what may come next
        return []


def _out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _reply(tokenizer: Any, model: Any, ids: list[int], sampling: Sampling) -> tuple[str, int, bool]:
    end = model.generation_config.eos_token_id
    stops = {*(end if isinstance(end, list) else [end]), tokenizer.pad_token_id}
    used = next((place for place, token in enumerate(ids) if token in stops), None)
    text = tokenizer.decode(ids[:used], skip_special_tokens=True)
    cut = min((text.index(stop) for stop in sampling.stop if stop in text), default=None)
    return text[:cut], len(ids) if used is None else used, cut is not None or used is not None
