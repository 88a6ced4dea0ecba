"""What a careful user gets from transformers and TRL: Seq2SeqTrainer or SFTTrainer, bf16, fused AdamW.

All tasks of a step are examples of one batch. An encoder-decoder gets dynamic padding; a causal model gets TRL's
packing into rows as long as a step, and Liger's kernels where they are installed. `torch_compile` is used on a GPU.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

from tinyllm_cli.students.base import IGNORED, Example, Student

Watch = Callable[[], bool]
"""Called after each step: whether to stop."""

MULTIPLE = 64
"""Of padded lengths: without one, torch.compile would see a new shape in almost every step."""


class AtStepEnd(TrainerCallback):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = self._watch()


def train(student: Student, steps: Sequence[Sequence[Example]], lr: float, watch: Watch) -> str:
    """Train on the examples of these steps, in order, until `watch` says stop. Returns what was used."""
    common = common_arguments(student, lr)
    if student.kind == "seq2seq":
        return train_padded(student, steps, common, watch)
    return train_packed(student, steps, common, watch)


def common_arguments(student: Student, lr: float) -> dict[str, Any]:
    gpu = student.device != "cpu"
    return {
        "num_train_epochs": 1,
        "learning_rate": lr,
        "lr_scheduler_type": "linear",
        "optim": "adamw_torch_fused",
        "bf16": True,
        "torch_compile": gpu,
        "dataloader_num_workers": 2 if gpu else 0,
        "dataloader_pin_memory": gpu,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not gpu,
    }


def train_padded(student: Student, steps: Sequence[Sequence[Example]], common: dict[str, Any], watch: Watch) -> str:
    class Trainer(Seq2SeqTrainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(steps)

    def collate(batch: list[Sequence[Example]]) -> dict[str, torch.Tensor]:
        [step] = batch
        return {
            "input_ids": rows([one.input for one in step], 0),
            "attention_mask": rows([[1] * len(one.input) for one in step], 0),
            "labels": rows([one.target for one in step], IGNORED),
        }

    with tempfile.TemporaryDirectory() as folder:
        arguments = Seq2SeqTrainingArguments(
            folder, per_device_train_batch_size=1, remove_unused_columns=False, **common
        )
        trainer = Trainer(student.model, arguments, train_dataset=steps, data_collator=collate)  # type: ignore[arg-type]
        trainer.add_callback(AtStepEnd(watch))
        trainer.train()
    return "Seq2SeqTrainer, dynamic padding" + (", torch_compile" if common["torch_compile"] else "")


def train_packed(student: Student, steps: Sequence[Sequence[Example]], common: dict[str, Any], watch: Watch) -> str:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    flat = [one for step in steps for one in step]
    data = Dataset.from_dict(
        {
            "input_ids": [[*one.input, *one.target] for one in flat],
            "labels": [[*[IGNORED] * len(one.input), *one.target] for one in flat],
        }
    )
    liger = student.device != "cpu" and importlib.util.find_spec("liger_kernel") is not None
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            folder, per_device_train_batch_size=1, packing=True, max_length=row_length(steps), use_liger_kernel=liger,
            gradient_checkpointing=False, **common,
        )  # fmt: skip
        trainer = SFTTrainer(student.model, arguments, train_dataset=data, processing_class=student.tokenizer)
        trainer.add_callback(AtStepEnd(watch))
        trainer.train()
    used = [name for name, own in (("torch_compile", common["torch_compile"]), ("Liger", liger)) if own]
    return ", ".join(["SFTTrainer, packing", *used])


def row_length(steps: Sequence[Sequence[Example]]) -> int:
    """A row holds about as many tokens as a step."""
    tokens = sum(one.size for step in steps for one in step) / len(steps)
    longest = max(one.size for step in steps for one in step)
    return max(longest, round(tokens / MULTIPLE) * MULTIPLE)


def rows(ids: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    width = -(-max(map(len, ids)) // MULTIPLE) * MULTIPLE
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in ids])
