"""Local teachers on transformers: seq2seq and causal models, GGUF files, the embedded model.

Batches are taken from a window of requests sorted by length, so that short prompts are not padded to long ones; at most
one window is held at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backends import take
from backends.base import Answer, BadTeacherConfig, Completion, Failure, Message, Outcome, Request, Sampling
from backends.batch_replies import Reply, write
from backends.checkpoints import Checkpoint, load, window
from backends.fingerprints import model_identity
from backends.reply_text import ALL_REASONING, opened_reasoning, visible_text
from backends.static_cache import StaticCaches, supports_static_cache

__all__ = ["HuggingFaceTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "model": str,
    "revision": str,
    "dtype": "auto",
    "device": "auto",
    "batch_size": 32,
    "max_input_tokens": 2048,
    "trust_remote_code": False,
    "chat_template_kwargs": {},
    "static_cache": "auto",
}
_log = logging.getLogger(__name__)
_WINDOW = 4  # batches that are sorted together


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prompt:
    """Token ids of a prompt, and the marker of reasoning that it opens at its end ("" for none)."""

    ids: list[int]
    opened: str


class HuggingFaceTeacher:
    """Settings: `model` (hub name, folder, .gguf file or embedded name), `revision`, `dtype` (auto: bfloat16 on a
    GPU, float32 elsewhere; never float16, in which FLAN-T5 overflows), `device`, `batch_size`, `max_input_tokens`
    (longer prompts fail instead of being truncated), `trust_remote_code`, `chat_template_kwargs` (arguments of the
    chat template, such as enable_thinking = false), `static_cache` (auto: on a GPU, where the decoding step is
    compiled, for models that transformers can compile; on: on a CPU as well; off)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._options = take(settings, "huggingface", _SETTINGS)
        if not self._options["model"]:
            raise BadTeacherConfig(
                "A huggingface teacher needs a model.", 'Give `model = "..."` in its table of tinyllm.toml.'
            )
        for name in ("batch_size", "max_input_tokens"):
            if self._options[name] < 1:
                raise BadTeacherConfig(f"{name} must be 1 or more.")
        if self._options["static_cache"] not in ("auto", "on", "off"):
            raise BadTeacherConfig('static_cache must be "auto", "on" or "off".')
        self._loaded: Checkpoint | None = None
        self._caches: StaticCaches | None = None

    def identity(self) -> Mapping[str, str]:
        """Arguments of the chat template change the prompt, so they are part of the revision."""
        found = model_identity(self._options["model"], self._options["revision"])
        arguments = self._options["chat_template_kwargs"]
        if not arguments:
            return found
        digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:8]
        return {**found, "revision": f"{found['revision']}+template-{digest}".lstrip("+")}

    def describe(self) -> Mapping[str, Any]:
        if self._loaded is None:
            return {}
        import transformers

        model = self._loaded.model
        return {
            "transformers": transformers.__version__,
            "dtype": str(model.dtype),
            "device": self._loaded.device,
            "static_cache": self._caches is not None,
            "commit": getattr(model.config, "_commit_hash", None),
        }

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        size = int(self._options["batch_size"])
        while window := list(islice(stream, size * _WINDOW)):
            checkpoint = self._checkpoint()
            encoded = [(request, self._encode(checkpoint, request.messages)) for request in window]
            encoded.sort(key=lambda pair: len(pair[1].ids))
            for start in range(0, len(encoded), size):
                yield list(self._batch(checkpoint, encoded[start : start + size], sampling))

    def close(self) -> None:
        if self._loaded is None:
            return
        on_gpu = self._loaded.device.startswith("cuda")
        self._loaded, self._caches = None, None
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
            self._caches = self._static_caches(self._loaded)
        return self._loaded

    def _static_caches(self, checkpoint: Checkpoint) -> StaticCaches | None:
        """Raises BadTeacherConfig where they are asked for and the model can't have them."""
        wanted, supported = self._options["static_cache"], supports_static_cache(checkpoint.model)
        if wanted == "on" and not supported:
            raise BadTeacherConfig(
                f"{type(checkpoint.model).__name__} has no static cache in transformers.", "Leave out static_cache."
            )
        used = wanted == "on" or (wanted == "auto" and supported and checkpoint.device.startswith("cuda"))
        return StaticCaches(checkpoint.model) if used else None

    def render(self, request: Request) -> str:
        """The prompt as the model reads it; loads the model."""
        return self._render(self._checkpoint(), request.messages)

    def _render(self, checkpoint: Checkpoint, messages: Sequence[Message]) -> str:
        """The prompt through the model's chat template, if it has one.

        Raises BadTeacherConfig for a template that fails."""
        if not _has_template(checkpoint):
            return "\n\n".join(message.content for message in messages)
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in messages]
        arguments = {"tokenize": False, "add_generation_prompt": True, **self._options["chat_template_kwargs"]}
        try:
            return str(checkpoint.tokenizer.apply_chat_template(turns, **arguments))
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            first = " ".join(str(error).split())[:200]
            raise BadTeacherConfig(
                f"The chat template of {self._options['model']} fails: {first or type(error).__name__}.",
                "Check the model's chat template and chat_template_kwargs.",
            ) from error

    def _encode(self, checkpoint: Checkpoint, messages: Sequence[Message]) -> _Prompt:
        """A chat template writes special tokens itself. A causal model continues its prompt, so that must not end with
        the end token, which some tokenizers add (`add_eos_token`)."""
        text = self._render(checkpoint, messages)
        ids = list(checkpoint.tokenizer(text, add_special_tokens=not _has_template(checkpoint))["input_ids"])
        while checkpoint.kind == "causal" and len(ids) > 1 and ids[-1] == checkpoint.tokenizer.eos_token_id:
            if _has_template(checkpoint):  # it wrote the end token on purpose
                break
            ids.pop()
        return _Prompt(ids=ids, opened=opened_reasoning(text))

    def _longest(self, checkpoint: Checkpoint, sampling: Sampling) -> tuple[int, str]:
        """The most tokens of a prompt, and the reason for this limit."""
        limit = int(self._options["max_input_tokens"])
        has = window(checkpoint.model.config)
        reply = sampling.max_tokens if checkpoint.kind == "causal" else 0
        if has is not None and has - reply < limit:
            return has - reply, f"the {max(0, has - reply)} for which {has} positions leave room (--max-tokens {reply})"
        return limit, f"max_input_tokens={limit}"

    def _batch(
        self, checkpoint: Checkpoint, pairs: list[tuple[Request, _Prompt]], sampling: Sampling
    ) -> Iterator[Answer]:
        limit, why = self._longest(checkpoint, sampling)
        for request, prompt in pairs:
            if len(prompt.ids) > limit:
                yield request, Failure(reason=f"the prompt has {len(prompt.ids)} tokens, over {why}")
        fitting = [(request, prompt) for request, prompt in pairs if len(prompt.ids) <= limit]
        if not fitting:
            return
        yield from self._answers(checkpoint, fitting, sampling)

    def _answers(
        self, checkpoint: Checkpoint, pairs: list[tuple[Request, _Prompt]], sampling: Sampling
    ) -> Iterator[Answer]:
        """All at once; in two halves when the memory is too small."""
        started = time.monotonic()
        replies = self._replies(checkpoint, [prompt.ids for _, prompt in pairs], sampling, _seed(pairs[0][0], sampling))
        if replies is None and len(pairs) == 1:
            yield pairs[0][0], Failure(reason=f"out of memory with a prompt of {len(pairs[0][1].ids)} tokens")
            return
        if replies is None:
            half = len(pairs) // 2
            yield from self._answers(checkpoint, pairs[:half], sampling)
            yield from self._answers(checkpoint, pairs[half:], sampling)
            return
        share = (time.monotonic() - started) / len(pairs)
        for (request, prompt), reply in zip(pairs, replies, strict=True):
            yield request, _outcome(reply, prompt, share)

    def _replies(
        self, checkpoint: Checkpoint, prompts: list[list[int]], sampling: Sampling, seed: int
    ) -> list[Reply] | None:
        """As `write`. Where a machine can't compile (it lacks a C compiler, say), without a static cache."""
        if self._caches is not None:
            try:
                return write(checkpoint, prompts, sampling, seed, self._caches)
            except RuntimeError as error:
                first = " ".join(str(error).split())[:200]
                _log.warning("Replies are written without a static cache, which failed: %s", first)
                self._caches = None
        return write(checkpoint, prompts, sampling, seed)


def _has_template(checkpoint: Checkpoint) -> bool:
    return bool(getattr(checkpoint.tokenizer, "chat_template", None))


def _outcome(reply: Reply, prompt: _Prompt, seconds: float) -> Outcome:
    """The reply begins with the marker that the prompt opened, so that its reasoning is recognizable."""
    text = f"{prompt.opened}{reply.text}"
    if not visible_text(text):
        return Failure(reason="empty reply" if reply.finished or not reply.text.strip() else ALL_REASONING)
    return Completion(
        text=text,
        finish_reason="stop" if reply.finished else "length",
        prompt_tokens=len(prompt.ids),
        completion_tokens=reply.tokens,
        seconds=seconds,
    )


def _dtype(wanted: str) -> str:
    if wanted == "auto":
        import torch

        return "bfloat16" if torch.cuda.is_available() else "float32"
    if wanted not in ("float32", "bfloat16"):
        raise BadTeacherConfig(f"dtype '{wanted}' is not supported.", "Use auto, float32 or bfloat16.")
    return wanted


def _seed(first: Request, sampling: Sampling) -> int:
    """Differs between batches, so that two samples of one prompt are two draws."""
    address = f"{sampling.seed}\0{first.split}\0{first.key}\0{first.sample}".encode()
    return int.from_bytes(hashlib.sha256(address).digest()[:4], "big")
