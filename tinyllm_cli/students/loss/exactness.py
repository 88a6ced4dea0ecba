"""Whether a model computes the same from packed rows as from padded ones, found by comparing both: a model may place
its tokens by other means than relative positions or given ones, or attend in a way of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import IGNORED, Example, Packing, Student
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng, cheap_dropout
from tinyllm_cli.students.loss.gpu.compiled import CompiledRows
from tinyllm_cli.students.loss.gpu.packing import FlexRows

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-3
_MORE = 20  # times the examples of the comparison


def packs_exactly(student: Student, packing: Packing, dropout: DropoutRng | None) -> bool:
    """Compares logits, and gradients where `packing` asks for it. One sequence is longer than the longest attention
    window that the model's configuration names. `dropout`: what draws the masks of packed rows, if not torch."""
    import torch

    longest = 8 + max(_windows(student.model.config), default=0)
    if longest > packing.longest_check:
        return False
    batch = _batch(student, longest)
    training = student.model.training
    try:
        student.model.eval()
        # Frozen weights leave nothing to compare.
        trained = _compared(student.model) if packing.checks_gradients else []
        with torch.enable_grad() if trained else torch.inference_mode():
            logits, labels = student.target_logits(batch)
            expected = logits[labels != IGNORED].float()
            with ExitStack() as stack:
                stack.enter_context(packing.active(student.model))
                if dropout is not None:
                    dropout.begin(0)
                    stack.enter_context(cheap_dropout(dropout))
                rows = student.packed_outputs(batch, packing)
                same = _same(rows, expected, trained)
                student.model.train()  # dropout must see the rows that it has masks for
                if dropout is not None:
                    dropout.read(range(len(batch)))
                student.packed_outputs(batch, packing)
                same = same and (not trained or _trains(student, batch * _MORE, packing, trained))
        return same
    except Exception:  # a model that was not made for packed rows can fail in any way; it is trained with padding
        logging.getLogger(__name__).debug("%s does not take packed rows", type(student.model), exc_info=True)
        return False
    finally:
        student.model.train(training)


def compiles_exactly(student: Student, rows: FlexRows, compiled: CompiledRows) -> bool:
    """Compares outputs and gradients of `compiled` rows with those of the same `rows` as they are, and tries the former
    in low precision. What training asks of rows is noted in them."""
    import torch

    batch = _batch(student, 8)
    model, training = student.model, student.model.training
    try:
        model.eval()  # compiled layers draw dropout of their own
        with torch.enable_grad():
            with rows.active(model):
                expected = student.packed_outputs(batch, rows)
            with compiled.active(model):
                same = _same(student.packed_outputs(batch, compiled), expected, _compared(model))
                model.train()
                same = same and _trains(student, batch * _MORE, compiled, _compared(model))
            rows.noted.clear()
            with rows.active(model):
                student.packed_outputs(batch, rows)
        if not same:
            not_compiled("compiled ones would give another gradient")
        return same
    except Exception as error:  # noqa: BLE001 - a compiler can fail in any way; the layers work without it
        not_compiled(" ".join(f"{type(error).__name__}: {error}".split())[:200])
        return False
    finally:
        model.train(training)


def not_compiled(why: str) -> None:
    """A warning."""
    logging.getLogger(__name__).warning("The student's layers are not compiled: %s", why)


def _batch(student: Student, longest: int) -> list[Example]:
    """Examples for a comparison, the longest of which has an input of so many tokens."""
    words = student.model.get_input_embeddings().weight.shape[0]
    return [
        Example.single(
            "",
            tuple((7 * at + into) % words for at in range(into)),
            tuple((5 * at + out) % words for at in range(out)),
        )
        for into, out in ((5, 3), (2, 6), (longest, 4), (4, 1))
    ]  # fmt: skip


def _compared(model: Any) -> list[torch.Tensor]:
    """The weights whose gradients are compared: biases of attention, and the first and the last that are trained."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    ends = [*trained][:1] + [*trained][-1:]
    return [value for name, value in trained.items() if name in ends or "relative_attention_bias" in name]


def _same(rows: torch.Tensor, expected: torch.Tensor, trained: Sequence[torch.Tensor]) -> bool:
    import torch

    if rows.shape != expected.shape or not torch.allclose(rows.float(), expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        return False
    weights = torch.linspace(-1, 1, expected.numel(), device=expected.device).view_as(expected)
    found, wanted = (
        torch.autograd.grad((outputs.float() * weights).sum(), trained, allow_unused=True) if trained else ()
        for outputs in (rows, expected)
    )
    pairs = [(one, other) for one, other in zip(found, wanted, strict=True) if other is not None]
    return all(one is not None and bool((one - other).norm() <= _TOLERANCE * other.norm()) for one, other in pairs)


def _trains(student: Student, batch: Sequence[Example], packing: Packing, trained: Sequence[torch.Tensor]) -> bool:
    """Whether longer rows in low precision have a gradient: kernels for these are others."""
    import torch

    with torch.autocast(student.device.partition(":")[0], dtype=torch.bfloat16):
        outputs = student.packed_outputs(batch, packing)
    found = torch.autograd.grad(outputs.float().mean(), trained, allow_unused=True)
    return all(bool(one.isfinite().all()) for one in found if one is not None)


def _windows(config: Any) -> list[int]:
    """The attention windows that a model's configuration names, in tokens."""
    values = vars(config.get_text_config())
    named = [value for name, value in values.items() if any(word in name for word in ("window", "chunk_size"))]
    flat = [part for value in named for part in (value if isinstance(value, (list, tuple)) else [value])]
    return [part for part in flat if isinstance(part, int) and not isinstance(part, bool)]
