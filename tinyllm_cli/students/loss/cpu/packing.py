"""A batch without padding: all tokens of its sequences in one row, and attention within each sequence alone.

Everything but attention works token by token, so a row of sequences costs what its real tokens cost. Attention takes
its sequences apart again into blocks of similar length, and pads within a block only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.attention import Scores, attend
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng

if TYPE_CHECKING:
    import torch

ATTENTION = "tinyllm_packed"
"""The name under which transformers finds `_attention`."""

_WASTE = 1.4  # attention's padded area in a block over its real one; more blocks mean more and smaller products


@dataclass(frozen=True)
class Rows:
    """Consecutive sequences of a row of tokens, as a block of `longest` tokens each. `first` is the number of the
    first sequence, `start` that of its first token."""

    first: int
    start: int
    lengths: tuple[int, ...]
    device: str

    @cached_property
    def longest(self) -> int:
        return max(self.lengths)

    @cached_property
    def stop(self) -> int:
        return self.start + sum(self.lengths)

    @cached_property
    def places(self) -> torch.Tensor | None:
        """The place of each token in the block; None where the block has no padding."""
        import torch

        if len(self.lengths) * self.longest == self.stop - self.start:
            return None
        return torch.tensor(
            [row * self.longest + at for row, length in enumerate(self.lengths) for at in range(length)],
            device=self.device,
        )

    @cached_property
    def padding(self) -> torch.Tensor | None:
        """(sequences, 1, 1, longest): minus infinity for padding; None where there is none."""
        import torch

        if self.places is None:
            return None
        lengths = torch.tensor(self.lengths, device=self.device)
        beyond = torch.arange(self.longest, device=self.device)[None] >= lengths[:, None]
        return torch.zeros(beyond.shape, device=self.device).masked_fill_(beyond, -torch.inf)[:, None, None]

    @cached_property
    def future(self) -> torch.Tensor:
        """(longest, longest): minus infinity for what a causal model must not see."""
        import torch

        return torch.full((self.longest, self.longest), -torch.inf, device=self.device).triu_(1)

    def block(self, row: torch.Tensor) -> torch.Tensor:
        """(1, heads, tokens, width) of the whole row -> (sequences, heads, longest, width), zero where padded."""
        own = row[0, :, self.start : self.stop].transpose(0, 1)
        heads, width = own.shape[1:]
        filled = own if self.places is None else _functions()[0](own, self.places, len(self.lengths) * self.longest)
        return filled.reshape(len(self.lengths), self.longest, heads, width).transpose(1, 2)

    def flat(self, block: torch.Tensor) -> torch.Tensor:
        """(sequences, heads, longest, width) -> (tokens of these rows, heads, width)."""
        filled = block.transpose(1, 2).flatten(0, 1)
        return filled if self.places is None else _functions()[1](filled, self.places)


@dataclass(frozen=True)
class Pack:
    """A row of tokens. An encoder-decoder has two: `inputs` and `targets`; a causal model only `targets`."""

    inputs: tuple[Rows, ...]
    targets: tuple[Rows, ...]
    dropout: DropoutRng

    def pairs(self, module: Any) -> Iterator[tuple[Rows, Rows]]:
        """(queries, keys) of an attention module, block by block."""
        if module.is_causal:
            return zip(self.targets, self.targets, strict=True)
        return zip(self.targets if module.is_decoder else self.inputs, self.inputs, strict=True)


def pack(inputs: Sequence[int], targets: Sequence[int], device: str, dropout: DropoutRng) -> Pack:
    """The pack of sequences of these lengths. For a causal model `inputs` is empty."""
    sizes = [list(pair) for pair in zip(inputs, targets, strict=True)] if inputs else [[size] for size in targets]
    bounds = list(_blocks(sizes))

    def rows(lengths: Sequence[int]) -> tuple[Rows, ...]:
        starts = [0, *accumulate(lengths)]
        return tuple(Rows(first, starts[first], tuple(lengths[first:stop]), device) for first, stop in bounds)

    return Pack(inputs=rows(inputs) if inputs else (), targets=rows(targets), dropout=dropout)


def _blocks(sizes: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """(first, stop) of blocks, so that no block's padded area is much larger than its real one."""
    first, real, longest = 0, 0, [0] * len(sizes[0])
    for at, size in enumerate(sizes):
        grown = [max(pair) for pair in zip(longest, size, strict=True)]
        if at > first and _area(grown) * (at + 1 - first) > _WASTE * (real + _area(size)):
            yield first, at
            first, real, grown = at, 0, list(size)
        real += _area(size)
        longest = grown
    yield first, len(sizes)


def _area(lengths: Sequence[int]) -> int:
    """Attention's scores for one example: self-attention of each sequence and one's to the other's."""
    return sum(length * length for length in lengths) + (lengths[0] * lengths[1] if len(lengths) > 1 else 0)


@contextmanager
def packed(model: Any) -> Iterator[None]:
    """Within, `model` reads rows with `pack=...` among its arguments, each prepared by `prepare`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attention)
    biases = [module for module in model.modules() if getattr(module, "has_relative_attention_bias", False)]
    for module in biases:
        module.compute_bias = _OfLongest(module)
    encoder = model.get_encoder() if model.config.is_encoder_decoder else None
    hook = encoder.register_forward_hook(_to_targets, with_kwargs=True) if encoder is not None else None
    try:
        with attention_named(model, ATTENTION):
            yield
    finally:
        if hook is not None:
            hook.remove()
        for module in biases:
            del module.compute_bias


@contextmanager
def attention_named(model: Any, name: str, instead_of: Collection[str] | None = None) -> Iterator[None]:
    """Within, `model` uses the attention that transformers has under this name, where it used one of `instead_of`;
    None: everywhere."""
    # T5's stacks have configurations of their own, which `set_attn_implementation` does not reach.
    configs = {id(module.config): module.config for module in model.modules() if hasattr(module, "config")}
    before = {key: config._attn_implementation for key, config in configs.items()}
    changed = {key: one for key, one in configs.items() if instead_of is None or before[key] in instead_of}
    for config in changed.values():
        config._attn_implementation = name
    try:
        yield
    finally:
        for key, config in changed.items():
            config._attn_implementation = before[key]


class _OfLongest:
    """T5's bias by relative position, for the longest sequence of a row instead of for the row."""

    def __init__(self, module: Any) -> None:
        self._module, self._compute = module, module.compute_bias
        self.longest = 0

    def __call__(self, _queries: int, _keys: int, device: Any = None, past_seen_tokens: int = 0) -> torch.Tensor:
        bias: torch.Tensor = self._compute(self.longest, self.longest, device=device)
        return bias


def prepare(model: Any, row: Pack) -> None:
    """Set the sequence lengths of the next row where T5's biases and dropout look for them."""
    row.dropout.lengths = _lengths(row.inputs or row.targets)
    for module in model.modules():
        bias = module.__dict__.get("compute_bias")
        if isinstance(bias, _OfLongest):
            rows = row.targets if module.is_decoder else row.inputs
            bias.longest = max(block.longest for block in rows)


def _to_targets(_encoder: Any, _inputs: Any, arguments: dict[str, Any], _output: Any) -> None:
    """After the encoder, dropout gets the decoder's tokens."""
    row: Pack = arguments["pack"]
    row.dropout.lengths = _lengths(row.targets)


def _lengths(rows: Sequence[Rows]) -> list[int]:
    return [length for block in rows for length in block.lengths]


@dataclass(frozen=True)
class Blocks:
    """Packs rows whose attention takes its sequences apart into blocks. `longest_check` as `students.base.Packing`
    has it."""

    device: str
    dropout: DropoutRng
    longest_check: int = 512
    checks_gradients: bool = False  # they are autograd's, or tested, on every machine alike

    def padded(self, tokens: int) -> int:
        return tokens

    def row(self, model: Any, inputs: Sequence[int], targets: Sequence[int]) -> Pack:
        row = pack(inputs, targets, self.device, self.dropout)
        prepare(model, row)
        return row

    def active(self, model: Any) -> AbstractContextManager[None]:
        return packed(model)


_SUPPORTED = {"pack", "scaling", "dropout", "position_bias"}
WITHOUT_EFFECT = {"output_attentions", "output_hidden_states", "position_ids", "return_dict", "use_cache"}
"""Attention arguments that change nothing in a packed row, such as positions, which are in the states already."""


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _mask: object, **arguments: Any
) -> tuple[torch.Tensor, None]:
    """Attention of each sequence of a row to itself, or to its encoded input. Shapes as transformers calls it:
    (1, heads, tokens, width) in, (1, tokens, heads, width) out. `_mask` knows nothing of the packed row.

    Raises TypeError for an argument that may change the result and is not supported, such as a sliding window, a soft
    cap or attention sinks."""
    import torch

    others = {name for name, given in arguments.items() if given is not None} - _SUPPORTED - WITHOUT_EFFECT
    if others:
        raise TypeError(f"packed rows do not support {', '.join(sorted(others))}")
    row: Pack = arguments["pack"]
    groups = query.shape[1] // key.shape[1]
    across = module.is_decoder and not module.is_causal if row.inputs else False
    bias = None if across else arguments.get("position_bias")  # T5 passes a zero for every pair of tokens across
    outputs = []
    for queries, keys in row.pairs(module):
        k, v = keys.block(key), keys.block(value)
        if groups > 1:
            k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = Scores(
            scale=arguments["scaling"],
            bias=None if bias is None else bias[:, :, : queries.longest, : keys.longest],
            mask=queries.future if module.is_causal else keys.padding,
        )
        dropout = row.dropout.block(queries.first, queries.lengths, keys.lengths, arguments.get("dropout", 0.0))
        outputs.append(queries.flat(attend(queries.block(query), k, v, scores, dropout)))
    return torch.cat(outputs)[None], None


@cache
def _functions() -> tuple[Any, Any]:
    """(spread, gather): tokens to their places in a block, and back. Places are distinct, which the general backward
    of indexing can't know. Made when torch is first needed."""
    import torch

    class Spread(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, tokens: torch.Tensor, places: torch.Tensor, total: int) -> torch.Tensor:
            ctx.save_for_backward(places)
            return _spread(tokens, places, total)

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
            return gradients[0].index_select(0, *ctx.saved_tensors), None, None

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, block: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(places)
            ctx.total = len(block)
            return block.index_select(0, places)

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
            (places,) = ctx.saved_tensors
            return _spread(gradients[0], places, ctx.total), None

    return Spread.apply, Gather.apply


def _spread(tokens: torch.Tensor, places: torch.Tensor, total: int) -> torch.Tensor:
    return tokens.new_zeros(total, *tokens.shape[1:]).index_copy_(0, places, tokens)
