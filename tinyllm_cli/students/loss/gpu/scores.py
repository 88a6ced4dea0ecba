"""What becomes of attention's scores before the softmax, as a `score_mod` of FlexAttention: soft caps, biases by
distance, and dropout, which FlexAttention does not have.

For dropout the keys are there twice, the second time with zeros as values. Of the two copies of a pair, the score of
one counts: the second if the pair is dropped. So the softmax is that over all pairs, and the dropped ones add nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from tinyllm_cli.students.loss.gpu.masks import Seen

ScoreMod = Callable[[Any, Any, Any, Any, Any], Any]

_LEVELS = 2**31
_FACTORS = (0x7FEB352D, 0x846CA68B - 2**32)  # of the hash "lowbias32"; int32 wraps around


@dataclass(frozen=True, kw_only=True)
class Scores:
    """`cap`: scores are cap * tanh(score / cap). `bias` (heads, 2 n + 1), which has a gradient, by the distance from
    query to key, -n to n; farther ones are like n. `dropout`: a probability."""

    cap: float | None = None
    bias: torch.Tensor | None = None
    dropout: float = 0.0

    def score_mod(self, sight: Seen) -> ScoreMod | None:
        if self.cap is None and self.bias is None and not self.dropout:
            return None
        cap, bias = self.cap, self.bias
        farthest = 0 if bias is None else bias.shape[1] // 2
        dropped = _dropout(self.dropout, sight) if self.dropout else None
        places = sight.key_places

        def score_mod(score: Any, _batch: Any, head: Any, query: Any, key: Any) -> Any:
            if cap is not None:
                score = cap * (score / cap).tanh()
            if bias is not None:
                score = score + bias[head, (places[key] - query).clamp(-farthest, farthest) + farthest]
            return score if dropped is None else dropped(score, head, query, key)

        return score_mod


def _dropout(probability: float, sight: Seen) -> Callable[[Any, Any, Any, Any], Any]:
    """A mask of its own for each call, which follows from torch's generator, as that of torch's dropout does."""
    import torch

    places, is_copy = sight.key_places.int(), sight.is_copy
    seed = torch.randint(-_LEVELS, _LEVELS - 1, (), dtype=torch.int32, device=places.device)
    level = round(probability * _LEVELS)

    def dropped(score: Any, head: Any, query: Any, key: Any) -> Any:
        drawn = _mixed(_mixed(_mixed(seed + query) ^ places[key]) ^ head)
        gone = (drawn & (_LEVELS - 1)) < level
        return torch.where(gone == is_copy[key], score, -torch.inf)

    return dropped


def _mixed(number: Any) -> Any:
    """A hash of an int32 whose bits depend on all of its bits. The masks make shifts logical."""
    number = (number ^ ((number >> 16) & 0xFFFF)) * _FACTORS[0]
    number = (number ^ ((number >> 15) & 0x1FFFF)) * _FACTORS[1]
    return number ^ ((number >> 16) & 0xFFFF)
