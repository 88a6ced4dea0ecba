"""A student whose parameters, gradients and optimizer state are divided among processes: PyTorch's FSDP2.

Each block of the model, and the rest (embeddings, norms, head) as one more part, is whole in a process only while it
computes. All processes must run the same forward and backward passes in the same order: each is a communication.

`fully_shard` is called here and not by accelerate, whose `fsdp2_prepare_model` shards embedding and head apart from the
rest. The loss reads the head's matrix between the passes and T5's encoder is called alone (`students.loss`, `seq2seq`),
which needs both in the root's part. The processes can be started by `accelerate launch` all the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loss.cpu.memory import return_freed_memory

if TYPE_CHECKING:
    import torch


def shard(student: Student) -> None:
    """Divide `student` among the processes of the group. Its weights may be in CPU memory: they are moved to its device
    block by block, each process keeping its part, so that no GPU ever holds the whole.

    Raises UsageProblem for a model that does not name its blocks."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    blocks = _blocks(student.model)
    # T5's first block returns its position bias as a view, which nothing changes in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
    if student.device == "cpu":
        return_freed_memory()
    mesh = init_device_mesh(student.device.partition(":")[0], (torch.distributed.get_world_size(),))
    for block in blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    # The root's part stays whole from the forward to the backward pass, where the loss reads the head's matrix. Tied
    # weights stay tied: they are all in this part.
    fully_shard(student.model, mesh=mesh, reshard_after_forward=False)
    for part in _parts(student.model):
        # The gradient of a step is the sum over the processes, not their mean. Gloo can only add.
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)
        # Memory that is first used in inference mode could not be used in training.
        part.unshard()
        part.reshard()


def is_sharded(model: Any) -> bool:
    import torch

    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


@contextmanager
def readable(model: Any) -> Iterator[None]:
    """Within, what lies outside the blocks of a sharded model is whole, so that its encoder and its head can be used
    without the model's own forward pass. Afterwards its parameters are the parts again, which an optimizer updates."""
    if not is_sharded(model):
        yield
        return
    model.unshard()
    try:
        yield
    finally:
        model.reshard()


def gathered(tensors: Mapping[str, Any], *, keep: bool) -> dict[str, Any]:
    """The whole tensors. Those of a sharded model are put together one after another, in CPU memory; all processes must
    call this, and the result is empty in those that do not `keep` it. Two names of one tensor stay that."""
    whole: dict[int, Any] = {}
    for value in tensors.values():
        if id(value) not in whole:
            joined = value.detach().full_tensor().cpu() if _is_divided(value) else value
            whole[id(value)] = joined if keep else None
    return {name: whole[id(value)] for name, value in tensors.items()} if keep else {}


def own_part(whole: Any, like: Any) -> Any:
    """This process's part of a tensor, divided as `like` is; all of it where that is not divided."""
    if not _is_divided(like):
        return whole
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, offset = compute_local_shape_and_global_offset(like.shape, like.device_mesh, like.placements)
    part = whole[tuple(slice(first, first + size) for first, size in zip(offset, shape, strict=True))]
    local = part.to(like.to_local().device).contiguous()
    return DTensor.from_local(
        local, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def local(value: Any) -> Any:
    """What of a parameter is in this process."""
    return value.to_local() if _is_divided(value) else value


def clip_gradients(parameters: Iterable[Any], limit: float) -> torch.Tensor:
    """Scale the gradients so that their norm over all processes is at most `limit`; the norm before, on its device."""
    import torch

    trained = [value for value in parameters if value.grad is not None]
    norm = torch.nn.utils.get_total_norm([value.grad for value in trained])
    if _is_divided(norm):
        norm = norm.full_tensor()  # type: ignore[attr-defined]
    torch.nn.utils.clip_grads_with_norm_(trained, limit, norm)
    return norm


def _is_divided(value: Any) -> bool:
    import torch

    if not torch.distributed.is_available():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def _parts(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if is_sharded(module))


def _blocks(model: Any) -> list[Any]:
    """The modules that transformers says must not be split: a model's layers. Inner ones first."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    blocks = [module for module in model.modules() if type(module).__name__ in names and module is not model]
    if not blocks:
        raise UsageProblem(
            f"{type(model).__name__} does not name the layers that --shard divides.", "Train it without --shard."
        )
    return blocks[::-1]
