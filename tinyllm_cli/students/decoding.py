"""Decoding, greedy or sampled, that drops rows as they end. Knows nothing of questions.

transformers' own loop computes every row of a batch until the longest answer ends. Most answers are short and a few are
long, so most of that work would be wasted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import Sampled
from tinyllm_cli.students.sharding import is_sharded

if TYPE_CHECKING:
    import torch

    Choice = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """(scores (rows, vocabulary), the rows' places among the inputs) -> the next token of each row."""


def decoder(sampled: Sampled | None) -> Callable[..., torch.Tensor]:
    """The `custom_generate` of `model.generate(..., do_sample=False)`: that prepares everything as the model's settings
    ask, this is the loop alone. Greedy, unless `sampled`."""
    return partial(_decode, choice=_greedy if sampled is None else _Sampler(sampled))


def _decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    *,
    choice: Choice,
    **state: Any,
) -> torch.Tensor:
    import torch

    generated = input_ids.new_full((len(input_ids), stopping_criteria.max_length), generation_config._pad_token_tensor)
    rows = torch.arange(len(input_ids), device=input_ids.device)
    together = is_sharded(model)  # its processes must write the same, for the same number of steps
    output = model._prefill(input_ids, generation_config, state)
    while True:
        state = model._update_model_kwargs_for_generation(output, state, model.config.is_encoder_decoder)
        scores = logits_processor(input_ids, output.logits[:, -1].float())
        chosen = choice(scores, rows)
        if together:
            torch.distributed.broadcast(chosen, src=0)
        input_ids = torch.cat([input_ids, chosen[:, None]], dim=1)
        done = stopping_criteria(input_ids, None)
        if done.any():
            generated[rows[done], : input_ids.shape[1]] = input_ids[done]
            if done.all():
                return generated[:, : input_ids.shape[1]]
            kept = _filled(done)
            state = {name: _kept(value, kept, len(rows)) for name, value in state.items()}
            rows, input_ids = rows[kept], input_ids[kept]
        inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **state)
        output = model(**inputs, return_dict=True)


def _filled(done: torch.Tensor) -> torch.Tensor:
    """The rows that continue, the last of them in the places of those that end: a cache copies few rows."""
    import torch

    left = int((~done).sum())
    kept = torch.arange(left, device=done.device)
    kept[done[:left]] = left + (~done[left:]).nonzero()[:, 0]
    return kept


def _greedy(scores: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
    return scores.argmax(-1)


class _Sampler:
    """Draws each row's tokens with random numbers of its own: which rows are written together changes none of them."""

    def __init__(self, sampled: Sampled) -> None:
        import torch

        self._temperature = sampled.temperature
        self._generators = [torch.Generator().manual_seed(seed) for seed in sampled.seeds]

    def __call__(self, scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        import torch

        drawn = torch.stack([torch.rand(1, generator=self._generators[row]) for row in rows.tolist()])
        below = (scores / self._temperature).softmax(-1).cumsum(-1)
        chosen = torch.searchsorted(below, drawn.to(below) * below[:, -1:])  # the sum is 1 up to rounding
        return chosen[:, 0].clamp(max=scores.shape[-1] - 1)


def _kept(value: Any, rows: torch.Tensor, batch: int) -> Any:
    """The part of a piece of the loop's state that belongs to `rows`; what isn't kept by row stays as it is."""
    import torch
    from transformers.utils import ModelOutput

    if isinstance(value, torch.Tensor):
        return value[rows] if value.dim() and len(value) == batch else value
    if isinstance(value, ModelOutput):  # the encoder's
        return type(value)(**{name: _kept(part, rows, batch) for name, part in value.items()})
    if hasattr(value, "reorder_cache"):
        value.reorder_cache(rows)
    return value
