"""Decoder-only students. Input, a cue and the target in one sequence; the loss is on the target alone.

Rows are padded on the left, so that targets end flush and the model's head runs over target positions only.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from backends.checkpoints import Checkpoint, window
from tinyllm_cli.students.base import (
    IGNORED,
    Example,
    Limits,
    Packing,
    Sampled,
    by_budget,
    encode_target,
    mask,
    one_row,
    pad,
    pad_multiple,
    read_budget,
    sent,
)
from tinyllm_cli.students.decoding import decoder
from tinyllm_cli.students.inputs import ANSWER, ANSWER_CUE, RATIONALE_CUE, Task
from tinyllm_cli.students.key_values import concat_caches, shared_heads
from tinyllm_cli.students.scoring import mean_log_likelihoods

if TYPE_CHECKING:
    import torch


def cue_of(segment: str) -> str:
    """The end of the input, which a target that begins with this segment continues."""
    return ANSWER_CUE if segment == ANSWER else RATIONALE_CUE


def input_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of inputs that are to be continued: without the end token that some tokenizers add."""
    # verbose: a text beyond the model's window is cut and counted, which is no reason for a warning.
    found: list[list[int]] = tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
    end = tokenizer.eos_token_id
    return [ids[:-1] if ids and ids[-1] == end and not text.endswith(tokenizer.eos_token) else ids
            for text, ids in zip(texts, found, strict=True)]  # fmt: skip


class CausalStudent:
    kind: Literal["causal"] = "causal"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model: Any = checkpoint.model
        self.tokenizer: Any = checkpoint.tokenizer
        self.device = checkpoint.device
        self.pad_multiple = pad_multiple(self.device)
        self._window = window(self.model.config)
        self._takes_keep = "logits_to_keep" in inspect.signature(self.model.forward).parameters

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        limits = limits.within(self._window, shared=True)
        # Together with its cue, as it is typed elsewhere: some tokenizers join a question's full stop with the line
        # break after it.
        inputs = input_ids(self.tokenizer, [task.input + cue_of(task.begins_with) for task in tasks])
        examples = []
        for task, ids in zip(tasks, inputs, strict=True):
            cut = len(ids) > limits.input
            target = encode_target(self.tokenizer, task.segments, limits.target, before=" ")
            examples.append(
                Example(
                    input=tuple(self._cut(task, limits.input) if cut else ids),
                    target=target.ids, spans=target.spans, input_cut=cut, target_cut=target.cut,
                )
            )  # fmt: skip
        return examples

    def _cut(self, task: Task, limit: int) -> list[int]:
        """The beginning of an input, and its cue."""
        cue: list[int] = self.tokenizer(cue_of(task.begins_with), add_special_tokens=False)["input_ids"]
        [body] = input_ids(self.tokenizer, [task.input])
        return [*body[: max(0, limit - len(cue))], *cue]

    def target_logits(self, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        # The last target token predicts nothing that is needed, but `logits_to_keep` counts it.
        rows = [(*example.input, *example.target) for example in batch]
        longest = max(example.length for example in batch)
        logits = self._forward(rows, keep=longest + 1)[:, :-1]
        return logits, pad([example.target for example in batch], IGNORED, left=True, device=self.device)

    def packed_outputs(self, batch: Sequence[Example], packing: Packing) -> torch.Tensor:
        rows = [(*example.input, *example.target[:-1]) for example in batch]
        ends = accumulate(map(len, rows))
        spans = [range(end - example.length, end) for end, example in zip(ends, batch, strict=True)]
        wanted = sent([at for span in spans for at in span], self.device)
        logits: torch.Tensor = self.model(
            input_ids=one_row(rows, self.device, packing.padded),
            position_ids=one_row([range(len(ids)) for ids in rows], self.device, packing.padded),
            use_cache=False,
            pack=packing.row(self.model, (), [len(ids) for ids in rows]),
            **({"logits_to_keep": wanted} if self._takes_keep else {}),
        ).logits
        return logits[0] if self._takes_keep else logits[0, wanted]

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        import torch

        before = mask(inputs, left=True, device=self.device)

        def continuation(cache: Any, rows: torch.Tensor, read: Sequence[Sequence[int]]) -> dict[str, Any]:
            own = mask(read, left=False, device=self.device)
            return {
                "input_ids": pad(read, self.tokenizer.pad_token_id, left=False, device=self.device),
                "attention_mask": torch.cat([before[rows], own], dim=1),
                "position_ids": before[rows].sum(1, keepdim=True) + torch.arange(own.shape[1], device=self.device),
                "past_key_values": cache,
            }

        with torch.inference_mode():
            output = self._prefix(inputs)
            return mean_log_likelihoods(self.model, output.logits[:, -1], output.past_key_values, options, continuation)

    def generate(
        self, inputs: Sequence[Sequence[int]], max_new_tokens: int, sampled: Sampled | None = None
    ) -> list[str]:
        import torch

        order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))  # the order of `_read`
        rows = [inputs[index] for index in order]
        if sampled is not None:
            sampled = replace(sampled, seeds=[sampled.seeds[index] for index in order])
        ids = pad(rows, self.tokenizer.pad_token_id, left=True, device=self.device)
        if self._window is not None:
            max_new_tokens = max(1, min(max_new_tokens, self._window - ids.shape[1]))
        with torch.inference_mode(), shared_heads(self.model):
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask(rows, left=True, device=self.device),
                past_key_values=self._read(rows),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
                custom_generate=decoder(sampled),
            )
        texts = self.tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)
        found = dict(zip(order, texts, strict=True))
        return [found[index].strip() for index in range(len(inputs))]

    def _read(self, rows: Sequence[Sequence[int]]) -> Any:
        """The key-value cache of all but the last token of each row, read a few rows of similar length at a time."""
        if min(map(len, rows)) < 2:
            return None
        prefixes = [row[:-1] for row in rows]
        groups = by_budget(prefixes, [len(prefix) for prefix in prefixes], read_budget(self.device))
        return concat_caches([self._prefix(group).past_key_values for group in groups], len(prefixes[0]))

    def _forward(self, rows: Sequence[Sequence[int]], keep: int) -> torch.Tensor:
        """Logits (rows, keep, vocabulary) of the last `keep` positions."""
        attention = mask(rows, left=True, device=self.device, pad_multiple=self.pad_multiple)
        arguments = {"logits_to_keep": keep} if self._takes_keep else {}
        logits: torch.Tensor = self.model(
            input_ids=pad(
                rows, self.tokenizer.pad_token_id, left=True, device=self.device, pad_multiple=self.pad_multiple
            ),
            attention_mask=attention,
            position_ids=(attention.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
            **arguments,
        ).logits
        return logits[:, -keep:]

    def _prefix(self, inputs: Sequence[Sequence[int]]) -> Any:
        """The model's output over the inputs alone, with its key-value cache."""
        attention = mask(inputs, left=True, device=self.device)
        arguments = {"logits_to_keep": 1} if self._takes_keep else {}
        return self.model(
            input_ids=pad(inputs, self.tokenizer.pad_token_id, left=True, device=self.device),
            attention_mask=attention,
            position_ids=(attention.cumsum(-1) - 1).clamp(min=0),
            use_cache=True,
            **arguments,
        )
