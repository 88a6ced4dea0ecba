"""Faster versions of a model's own layers with the same results: see `tuned`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tinyllm_cli.students.loss.cpu.memory import keep_freed_memory, return_freed_memory
from tinyllm_cli.students.loss.cross_entropy import gradient_of
from tinyllm_cli.students.sharding import is_sharded

_LARGE = 2**20  # numbers in an embedding, above which a gradient of the whole table is worth avoiding
_SCALING_NORMS = ("T5LayerNorm", "LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")


@contextmanager
def tuned(model: Any, kind: str = "cpu", leave: Collection[int] = ()) -> Iterator[None]:
    """Within, on this kind of device, but for modules whose ids are to be left as they are:

    - the tanh approximation of GELU is torch's own kernel instead of eight elementwise operations;
    - T5's gated layers spare a detour over the type of their weights, which autocast undoes at once;
    - norms give what they compute in the type that the products after them want, once, not once for each of them.

    On a CPU an embedding's gradient touches the rows that were read, not the whole table.

    On a GPU, where starting a kernel takes longer than most kernels: a norm is one of them instead of eight."""
    if kind == "cpu":
        (return_freed_memory if is_sharded(model) else keep_freed_memory)()
    replaced: list[Any] = []
    hooks = []
    for module in (one for one in model.modules() if id(one) not in leave):
        forward = _faster(module) or (_faster_on_cpu(module) if kind == "cpu" else _faster_on_gpu(module))
        if forward is not None:
            module.forward = forward
            replaced.append(module)
        if type(module).__name__.endswith(("T5LayerNorm", "RMSNorm")):
            hooks.append(module.register_forward_hook(partial(_to_autocast_dtype, kind)))
    try:
        yield
    finally:
        for module in replaced:
            del module.forward
        for hook in hooks:
            hook.remove()


def _faster(module: Any) -> Callable[..., Any] | None:
    """Another forward of `module`, if there is one."""
    import torch

    name = type(module).__name__
    if name == "NewGELUActivation":
        return partial(torch.nn.functional.gelu, approximate="tanh")
    return partial(_gated, module) if name == "T5DenseGatedActDense" else None


def _faster_on_cpu(module: Any) -> Callable[..., Any] | None:
    import torch

    if type(module) is torch.nn.Embedding and module.weight.numel() > _LARGE:
        return partial(_embed, module)
    return None


def _faster_on_gpu(module: Any) -> Callable[..., Any] | None:
    return partial(_norm, module) if type(module).__name__ in _SCALING_NORMS else None


def _gated(module: Any, states: Any) -> Any:
    return module.wo(module.dropout(module.act(module.wi_0(states)) * module.wi_1(states)))


def _norm(module: Any, states: Any) -> Any:
    import torch

    width = module.weight.shape
    return torch.nn.functional.rms_norm(states.float(), width, module.weight, module.variance_epsilon)


def _embed(module: Any, ids: Any) -> Any:
    rows = module.weight.detach()[ids]
    if module.weight.requires_grad and not rows.is_inference():
        rows.requires_grad_().register_hook(partial(_add_rows, module, ids))
    return rows


def _add_rows(module: Any, ids: Any, gradient: Any) -> None:
    flat, rows = ids.flatten(), gradient.flatten(0, -2)
    if module.padding_idx is not None:
        flat, rows = flat[flat != module.padding_idx], rows[flat != module.padding_idx]
    gradient_of(module.weight).index_add_(0, flat, rows.to(module.weight.dtype))


def _to_autocast_dtype(kind: str, _module: Any, _inputs: Any, output: Any) -> Any:
    import torch

    return output.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else output
