"""A batch of replies of a local model, through transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.base import Sampling
from backends.checkpoints import Checkpoint, logs_of_transformers_off
from backends.reply_text import has_marker
from backends.static_cache import StaticCaches

__all__ = ["Reply", "write"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """`tokens` counts new tokens; `finished`: an end token or a stop sequence ended it, not the limit."""

    text: str
    tokens: int
    finished: bool


def write(
    checkpoint: Checkpoint, prompts: list[list[int]], sampling: Sampling, seed: int, caches: StaticCaches | None = None
) -> list[Reply] | None:
    """A reply to each prompt, or None when the memory is too small. Texts end before the first stop sequence."""
    import torch

    tokenizer, model = checkpoint.tokenizer, checkpoint.model
    rows, longest = len(prompts), max(map(len, prompts))
    if caches is not None:
        rows, longest = caches.shape(rows, longest, sampling.max_tokens)
    filled = [*prompts, *prompts[-1:] * (rows - len(prompts))]
    padded = tokenizer.pad(
        {"input_ids": filled}, padding="max_length", max_length=longest, padding_side="left", return_tensors="pt"
    ).to(checkpoint.device)
    options: dict[str, Any] = {"do_sample": False}
    if sampling.temperature:
        torch.manual_seed(seed)
        options = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p or 1.0,
            "top_k": 0,
        }
    options["stopping_criteria"] = _stopping(tokenizer, sampling.stop)
    with torch.inference_mode(), logs_of_transformers_off():
        try:
            if caches is not None:
                options["past_key_values"] = caches.empty()
            output = model.generate(**padded, max_new_tokens=sampling.max_tokens, **options)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if caches is not None:
                caches.forget()
            return None
    skip = padded["input_ids"].shape[1] if checkpoint.kind == "causal" else 1  # or the decoder's start token
    return [_reply(tokenizer, model, row, sampling) for row in output[: len(prompts), skip:].tolist()]


def _stopping(tokenizer: Any, stop: Sequence[str]) -> list[Any]:
    """Criteria that end generation at a stop sequence; empty for a tokenizer that does not support them."""
    from transformers import StopStringCriteria

    try:
        return [StopStringCriteria(tokenizer, list(stop))] if stop else []
    except ValueError:  # a vocabulary of whole words; the text is cut afterwards
        return []


def _out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _reply(tokenizer: Any, model: Any, ids: list[int], sampling: Sampling) -> Reply:
    end = model.generation_config.eos_token_id
    stops = {*(end if isinstance(end, list) else [end]), tokenizer.pad_token_id}
    used = next((place for place, token in enumerate(ids) if token in stops), None)
    text = tokenizer.decode(ids[:used], skip_special_tokens=not has_marker(tokenizer.all_special_tokens))
    cut = min((text.index(stop) for stop in sampling.stop if stop in text), default=None)
    tokens = len(ids) if used is None else used
    return Reply(text=text[:cut], tokens=tokens, finished=cut is not None or used is not None)
