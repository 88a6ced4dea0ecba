"""What a user would run otherwise: a Seq2SeqTrainer as in the TinyLLM authors' style, written anew for comparison.

One forward pass for each task of a micro-batch, inputs padded to a fixed maximum, logits for padding too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

from tinyllm_cli.students.base import IGNORED, Example

Rows = list[dict[str, Example]]


def train(
    model: Any,
    rows: Rows,
    weights: dict[str, float],
    *,
    max_input: int,
    batch_size: int,
    lr: float,
    bf16: bool,
    watch: Callable[[dict[str, float]], bool | None],
) -> None:
    """Train `model` on `rows` (task -> example for each question), in their order, for one epoch. `watch` gets every
    step's loss by task; true ends the training. A causal model reads input and target in one sequence."""

    latest: dict[str, float] = {}

    class AtStepEnd(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = bool(watch(dict(latest)))

    class Trainer(Seq2SeqTrainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            losses = {task: model(**batch).loss for task, batch in inputs.items()}
            latest.update({task: float(loss.detach()) for task, loss in losses.items()})
            return sum(weights[task] * loss for task, loss in losses.items())

        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(rows)

    def collate(batch: Sequence[dict[str, Example]]) -> dict[str, dict[str, torch.Tensor]]:
        padded = _padded if model.config.is_encoder_decoder else _in_one
        return {task: padded([row[task] for row in batch if task in row], max_input) for task in weights}

    with tempfile.TemporaryDirectory() as folder:
        arguments = Seq2SeqTrainingArguments(
            folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=lr,
            lr_scheduler_type="linear",
            remove_unused_columns=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            bf16=bf16,
            use_cpu=model.device.type == "cpu",
        )
        trainer = Trainer(model, arguments, train_dataset=rows, data_collator=collate)  # type: ignore[arg-type]
        trainer.add_callback(AtStepEnd())
        trainer.train()


def _padded(examples: Sequence[Example], max_input: int) -> dict[str, torch.Tensor]:
    longest = max(example.length for example in examples)
    return {
        "input_ids": _rows([e.input for e in examples], max_input, 0),
        "attention_mask": _rows([[1] * len(e.input) for e in examples], max_input, 0),
        "labels": _rows([e.target for e in examples], longest, IGNORED),
    }


def _in_one(examples: Sequence[Example], max_input: int) -> dict[str, torch.Tensor]:
    width = max_input + max(example.length for example in examples)
    return {
        "input_ids": _rows([[*e.input, *e.target] for e in examples], width, 0),
        "attention_mask": _rows([[1] * e.size for e in examples], width, 0),
        "labels": _rows([[*[IGNORED] * len(e.input), *e.target] for e in examples], width, IGNORED),
    }


def _rows(rows: Sequence[Sequence[int]], width: int, fill: int) -> torch.Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
