"""ONNX: torch's own exporter, one graph from token ids to logits. ONNX Runtime ranks with it; it has no generation."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.export.check import Borrowed
from tinyllm_cli.students.base import Student

if TYPE_CHECKING:
    import numpy
    import torch

NEEDS = ("onnx>=1.18", "onnxscript>=0.6", "onnxruntime>=1.20")
WRITES_TEXT = False
USAGE = """\
    import onnxruntime

    session = onnxruntime.InferenceSession("FOLDER/model.onnx")
    logits = session.run(["logits"], {...})

An encoder-decoder reads `input_ids`, `attention_mask` and `decoder_input_ids`, a decoder-only model `input_ids`,
`attention_mask` and `position_ids`: int64, of any batch and length. The logits are those of every position.
"""
FILE = "model.onnx"
_LIMIT = 1_800_000_000
"""Bytes. The weights of a graph over 2 GB are in a second file."""


def write(student: Student, source: str, folder: Path, int8: bool) -> None:
    """Export the student's forward pass into `folder`, its weights as int8 when that is wanted."""
    import torch

    model = student.model
    ids, attention = torch.arange(2, 36).reshape(2, 17), torch.ones(2, 17, dtype=torch.int64)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    if student.kind == "seq2seq":
        third, shape = torch.arange(2, 16).reshape(2, 7), {0: batch, 1: torch.export.Dim("target")}
    else:
        third, shape = torch.arange(17).repeat(2, 1), {0: batch, 1: length}
    names = ("input_ids", "attention_mask", _third(student))
    large = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()) > _LIMIT
    whole = folder / "whole" if int8 else folder
    whole.mkdir(exist_ok=True)
    try:
        with _exporter_quiet(), torch.no_grad():
            program = torch.onnx.export(
                _graph(student), (ids, attention, third), dynamo=True, verbose=False,
                input_names=list(names), output_names=["logits"],
                dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}, shape),
            )  # fmt: skip
            assert program is not None
            _forget_origins(program)
            program.save(str(whole / FILE), external_data=large)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        kind, version = model.config.model_type, torch.__version__
        raise UsageProblem(f"torch {version} can't export a {kind} like this one to ONNX.", str(error)[:200]) from error
    if int8:
        _quantize(whole / FILE, folder / FILE, large)
        shutil.rmtree(whole)


def load(folder: Path, student: Student) -> OnnxModel:
    return OnnxModel(folder, student)


class OnnxModel(Borrowed):
    """The exported graph in ONNX Runtime, on the CPU."""

    def __init__(self, folder: Path, student: Student) -> None:
        import onnxruntime
        import torch

        super().__init__(student)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(folder / FILE), options, providers=["CPUExecutionProvider"])

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """One question at a time: logits are of all positions and the whole vocabulary."""
        seq2seq = self._student.kind == "seq2seq"
        return [
            (self._after_encoder if seq2seq else self._after_prompt)(ids, own)
            for ids, own in zip(inputs, options, strict=True)
        ]

    def _after_encoder(self, ids: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        start = self._student.model.config.decoder_start_token_id
        logits = self._run([ids] * len(options), _padded([[start, *option[:-1]] for option in options]))
        return [_mean_likelihood(row[: len(option)], option) for row, option in zip(logits, options, strict=True)]

    def _after_prompt(self, ids: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        logits = self._run([[*ids, *option] for option in options])
        first = len(ids) - 1
        return [
            _mean_likelihood(row[first : first + len(option)], option)
            for row, option in zip(logits, options, strict=True)
        ]

    def _run(self, rows: Sequence[Sequence[int]], third: numpy.ndarray[Any, Any] | None = None) -> Any:
        import numpy

        padded, attention = _padded(rows), _padded([[1] * len(row) for row in rows])
        if third is None:  # rows end in padding, so that positions count up
            third = numpy.tile(numpy.arange(padded.shape[1]), (len(rows), 1))
        feeds = {"input_ids": padded, "attention_mask": attention, _third(self._student): third}
        return self._session.run(["logits"], feeds)[0]


def _third(student: Student) -> str:
    return "decoder_input_ids" if student.kind == "seq2seq" else "position_ids"


def _graph(student: Student) -> torch.nn.Module:
    """The forward pass as a function of three tensors."""
    import torch

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = student.model

        def forward(self, ids: torch.Tensor, attention: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
            named = {_third(student): third}
            logits: torch.Tensor = self.model(input_ids=ids, attention_mask=attention, use_cache=False, **named).logits
            return logits

    return Graph().eval()


def _forget_origins(program: Any) -> None:
    """Remove the source file and line that the exporter records on every node: paths of this machine."""
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()


def _quantize(whole: Path, target: Path, large: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _exporter_quiet():
        quantize_dynamic(whole, target, weight_type=QuantType.QInt8, use_external_data_format=large)


def _mean_likelihood(logits: Any, option: Sequence[int]) -> float:
    """The mean log-likelihood of `option`, whose token i is predicted by row i of `logits`."""
    import torch

    likelihoods = torch.tensor(logits).log_softmax(-1)
    return float(likelihoods.gather(1, torch.tensor([list(option)]).T).mean())


def _padded(rows: Sequence[Sequence[int]]) -> numpy.ndarray[Any, Any]:
    import numpy

    longest = max(map(len, rows))
    return numpy.array([[*row, *[0] * (longest - len(row))] for row in rows], dtype=numpy.int64)


@contextmanager
def _exporter_quiet() -> Iterator[None]:
    """Suppress the exporter's warnings about its internals and about optional packages; errors still raise."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger()]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
