"""What a student reads or writes together: as much as its device computes fastest and its memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tinyllm_cli.students.base import Ranker, Sized, by_budget
from tinyllm_cli.students.sharding import is_sharded

Found = TypeVar("Found")

_SHARE = 4
"""A group gets so many-th a part of a GPU's free memory: caches are copied when they grow, and as rows end."""


@dataclass(frozen=True)
class Budget:
    """Padded tokens that are computed together, on a CPU and at most on a GPU."""

    cpu: int
    gpu: int

    def of(self, student: Ranker) -> int:
        device, model = getattr(student, "device", "cpu"), _model(student)
        if not device.startswith("cuda") or is_sharded(model):
            return self.cpu
        return self.within(_free_memory(device), model.config.get_text_config())

    def within(self, memory: int, config: Any) -> int:
        """On a GPU with so many free bytes. Of each token the model keeps keys and values in every layer; a part of
        them has logits."""
        kept: int = 2 * 4 * config.hidden_size * config.num_hidden_layers + 4 * config.vocab_size
        return max(self.cpu, min(self.gpu, memory // _SHARE // kept))


def in_groups(
    student: Ranker,
    items: Sequence[Sized],
    sizes: Sequence[int],
    budget: Budget,
    compute: Callable[[list[Sized]], Sequence[Found]],
) -> Iterator[tuple[Sized, Found]]:
    """Each item with what `compute` finds for it, items of similar size together. Where a GPU's memory does not
    suffice, in smaller groups."""
    for group in by_budget(items, sizes, budget.of(student)):
        yield from zip(group, _computed(student, group, compute), strict=True)


def _computed(
    student: Ranker, group: list[Sized], compute: Callable[[list[Sized]], Sequence[Found]]
) -> Sequence[Found]:
    import torch

    try:
        return compute(group)
    except torch.OutOfMemoryError:
        # The processes of a sharded student must run the same passes, and the others may have had the memory.
        if len(group) == 1 or is_sharded(_model(student)):
            raise
    torch.cuda.empty_cache()  # here, where nothing holds what was computed
    half = len(group) // 2
    return [found for part in (group[:half], group[half:]) for found in _computed(student, part, compute)]


def _model(student: Ranker) -> Any:
    """None for an export."""
    return getattr(student, "model", None)


def _free_memory(device: str) -> int:
    """In bytes, with what torch holds without use."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
