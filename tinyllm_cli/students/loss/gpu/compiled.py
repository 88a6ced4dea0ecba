"""The layers of a model as compiled functions, for packed rows: on a GPU starting their kernels one by one takes longer
than most kernels.

Each kind of layer is compiled once for each length of rows. The layers stay the modules that they are: names in a state
do not change, and outside of a training step nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.students.loss.gpu.packing import FlexRows

_RECOMPILATIONS = 256
"""For each kind of layer (T5 has four) and pair of lengths. Beyond, torch runs the layer as it is."""


@dataclass(frozen=True)
class CompiledRows(FlexRows):
    """Rows that the `layers` read as compiled functions, `calls`. `inside`: the ids of all modules of the layers."""

    layers: tuple[Any, ...] = ()
    calls: tuple[Any, ...] = ()
    inside: frozenset[int] = frozenset()

    @contextmanager
    def active(self, model: Any) -> Iterator[None]:
        with super().active(model):
            for layer, call in zip(self.layers, self.calls, strict=True):
                layer._compiled_call_impl = call  # what `layer.compile()` sets
            try:
                yield
            finally:
                for layer in self.layers:
                    layer._compiled_call_impl = None


def compiled_rows(model: Any, rows: FlexRows, backend: str) -> CompiledRows | None:
    """None for a model that does not name its layers, as transformers' `_no_split_modules`."""
    import torch

    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = tuple(module for module in model.modules() if type(module).__name__ in names and module is not model)
    if not layers:
        return None
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, _RECOMPILATIONS)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, 4 * _RECOMPILATIONS)
    return CompiledRows(
        rows.device, rows.attend, ready=True, noted=rows.noted, layers=layers,
        calls=tuple(torch.compile(layer._call_impl, dynamic=False, backend=backend) for layer in layers),
        inside=frozenset(id(module) for layer in layers for module in layer.modules()),
    )  # fmt: skip
