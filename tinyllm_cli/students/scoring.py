"""Log-likelihoods of options whose input the model has read once.

All options of an input begin after the same tokens, so their first tokens are read off one row of logits. The rest goes
through the model on copies of the input's key-value cache, options of similar length together, and the head runs over
their real tokens alone: over a vocabulary of 49,152 it costs as much as a third of the layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Options = Sequence[Sequence[Sequence[int]]]
"""Token ids of each option of each input."""

Continuation = Callable[[Any, "torch.Tensor", Sequence[Sequence[int]]], dict[str, Any]]
"""(cache, the input that each row belongs to, the tokens that each row reads) -> the model's arguments."""


def mean_log_likelihoods(
    model: Any, opening: torch.Tensor, cache: Any, options: Options, continuation: Continuation
) -> list[list[float]]:
    """Nats per token of each option. `opening`: logits (inputs, vocabulary) after each input, which `cache` holds."""
    import torch

    device = opening.device
    flat = [option for own in options for option in own]
    owner = torch.tensor([row for row, own in enumerate(options) for _ in own], device=device)
    first = torch.tensor([option[0] for option in flat], device=device)
    totals = opening.float().log_softmax(-1)[owner, first]
    for part in _of_similar_length(flat):
        rows = owner[torch.tensor(part, device=device)]
        read = [flat[index][:-1] for index in part]
        logits = _real_logits(model, continuation(_copied(cache, rows), rows, read), [len(tokens) for tokens in read])
        labels = torch.tensor([token for index in part for token in flat[index][1:]], device=device)
        losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        of = torch.tensor([index for index in part for _ in flat[index][1:]], device=device)
        totals.index_add_(0, of, -losses)
    means = iter((totals / torch.tensor([len(option) for option in flat], device=device)).tolist())
    return [[next(means) for _ in own] for own in options]


def _of_similar_length(options: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of the options of more than one token, in parts with little padding."""
    parts: dict[int, list[int]] = {}
    for index, option in enumerate(options):
        if len(option) > 1:
            parts.setdefault((len(option) - 2).bit_length(), []).append(index)
    yield from parts.values()


def _real_logits(model: Any, arguments: dict[str, Any], lengths: Sequence[int]) -> torch.Tensor:
    """(tokens, vocabulary) of the real tokens of rows that are padded on the right. What a model does to its logits
    after the head (scales, caps, biases) works on each token alone, so the head may be fed the real tokens alone."""
    import torch

    longest = max(lengths)
    places = torch.tensor([row * longest + at for row, length in enumerate(lengths) for at in range(length)])

    def real(_head: Any, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return inputs[0].flatten(0, 1)[places.to(inputs[0].device)]

    hook = model.get_output_embeddings().register_forward_pre_hook(real)
    try:
        logits: torch.Tensor = model(**arguments, use_cache=True).logits
    finally:
        hook.remove()
    return logits


def _copied(cache: Any, rows: torch.Tensor) -> Any:
    """A cache of these rows of `cache`, which stays as it is."""
    from transformers import EncoderDecoderCache

    if isinstance(cache, EncoderDecoderCache):
        return EncoderDecoderCache(
            _copied(cache.self_attention_cache, rows), _copied(cache.cross_attention_cache, rows)
        )
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in copied.layers:  # states that aren't keys and values are kept in dictionaries
        vars(layer).update({name: dict(kept) for name, kept in vars(layer).items() if isinstance(kept, dict)})
    copied.reorder_cache(rows)
    return copied
