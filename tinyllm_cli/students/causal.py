"""Decoder-only students. Input, a cue and the target in one sequence; the loss is on the target alone.

Rows are padded on the left, so that targets end flush and the model's head runs over target positions only.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from backends.checkpoints import Checkpoint
from tinyllm_cli.students.base import IGNORED, Example, Limits, mask, one_row, pad, regroup, target_ids
from tinyllm_cli.students.learning.packing import pack
from tinyllm_cli.tasks import ANSWER, Task

if TYPE_CHECKING:
    import torch

    from tinyllm_cli.students.learning.dropout import Draws

ANSWER_CUE = "\nAnswer:"
RATIONALE_CUE = "\nRationale:"


class CausalStudent:
    kind: Literal["causal"] = "causal"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model: Any = checkpoint.model
        self.tokenizer: Any = checkpoint.tokenizer
        self.device = checkpoint.device
        self._takes_keep = "logits_to_keep" in inspect.signature(self.model.forward).parameters

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        bodies = self.tokenizer([task.input for task in tasks])["input_ids"]
        cues = {cue: self.tokenizer(cue, add_special_tokens=False)["input_ids"] for cue in (ANSWER_CUE, RATIONALE_CUE)}
        examples = []
        for task, body in zip(tasks, bodies, strict=True):
            cue = cues[ANSWER_CUE if task.name == ANSWER else RATIONALE_CUE]
            room = limits.input - len(cue)
            target, target_cut = target_ids(self.tokenizer, f" {task.target}", limits.target)
            examples.append(
                Example(
                    name=task.name, weight=task.weight, share=task.share, input=(*body[:room], *cue),
                    target=target, input_cut=len(body) > room, target_cut=target_cut,
                )
            )  # fmt: skip
        return examples

    def target_logits(self, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        # The last target token predicts nothing that is asked for, but must be there for `logits_to_keep`'s count.
        rows = [(*example.input, *example.target) for example in batch]
        longest = max(example.length for example in batch)
        logits = self._forward(rows, keep=longest + 1)[:, :-1]
        return logits, pad([example.target for example in batch], IGNORED, left=True, device=self.device)

    def packed_outputs(self, batch: Sequence[Example], draws: Draws) -> torch.Tensor:
        import torch

        rows = [(*example.input, *example.target[:-1]) for example in batch]
        ends = accumulate(map(len, rows))
        spans = [range(end - example.length, end) for end, example in zip(ends, batch, strict=True)]
        wanted = torch.tensor([at for span in spans for at in span], device=self.device)
        logits: torch.Tensor = self.model(
            input_ids=one_row(rows, self.device),
            position_ids=one_row([range(len(ids)) for ids in rows], self.device),
            use_cache=False,
            pack=pack((), [len(ids) for ids in rows], self.device, draws),
            **({"logits_to_keep": wanted} if self._takes_keep else {}),
        ).logits
        return logits[0] if self._takes_keep else logits[0, wanted]

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        import torch

        flat = [option for question in options for option in question]
        owner = torch.tensor([row for row, question in enumerate(options) for _ in question], device=self.device)
        with torch.inference_mode():
            output = self._prefix(inputs)
            first = output.logits[:, -1].float().log_softmax(-1)[owner]
            opening = torch.tensor([option[0] for option in flat], device=self.device)
            totals = first.gather(1, opening[:, None])[:, 0]
            if any(len(option) > 1 for option in flat):
                totals = totals + self._after_prefix(output.past_key_values, inputs, flat, owner)
        lengths = torch.tensor([len(option) for option in flat], device=self.device)
        return regroup((totals / lengths).tolist(), options)

    def generate(self, inputs: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        import torch

        ids = pad(inputs, self.tokenizer.pad_token_id, left=True, device=self.device)
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask(inputs, left=True, device=self.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        texts: list[str] = self.tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _forward(self, rows: Sequence[Sequence[int]], keep: int) -> torch.Tensor:
        """Logits (rows, keep, vocabulary) of the last `keep` positions."""
        attention = mask(rows, left=True, device=self.device)
        arguments = {"logits_to_keep": keep} if self._takes_keep else {}
        logits: torch.Tensor = self.model(
            input_ids=pad(rows, self.tokenizer.pad_token_id, left=True, device=self.device),
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

    def _after_prefix(
        self, cache: Any, inputs: Sequence[Sequence[int]], flat: Sequence[Sequence[int]], owner: torch.Tensor
    ) -> torch.Tensor:
        """Log-likelihood of all tokens but the first of each option, summed, on the cached inputs."""
        import torch
        from torch.nn.functional import cross_entropy

        cache.batch_select_indices(owner)
        read = [option[:-1] or option[:1] for option in flat]  # a single token reads something; its labels are ignored
        before = mask(inputs, left=True, device=self.device)[owner]
        own = mask(read, left=False, device=self.device)
        positions = before.sum(1, keepdim=True) + torch.arange(own.shape[1], device=self.device)
        logits = self.model(
            input_ids=pad(read, self.tokenizer.pad_token_id, left=False, device=self.device),
            attention_mask=torch.cat([before, own], dim=1),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).logits.float()
        labels = pad([option[1:] or [IGNORED] for option in flat], IGNORED, left=False, device=self.device)
        losses = cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
        return -losses.sum(1)
