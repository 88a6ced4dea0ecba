"""Encoder-decoder students: T5 and its kind. Input to the encoder, target from the decoder."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from tinyllm_cli.students.decoding import decoder
from tinyllm_cli.students.inputs import Task
from tinyllm_cli.students.scoring import mean_log_likelihoods

if TYPE_CHECKING:
    import torch


class Seq2SeqStudent:
    kind: Literal["seq2seq"] = "seq2seq"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model: Any = checkpoint.model
        self.tokenizer: Any = checkpoint.tokenizer
        self.device = checkpoint.device
        self.pad_multiple = pad_multiple(self.device)
        self._window = window(self.model.config)

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        limits = limits.within(self._window, shared=False)
        inputs = self.tokenizer([task.input for task in tasks])["input_ids"]
        examples = []
        for task, ids in zip(tasks, inputs, strict=True):
            cut = len(ids) > limits.input
            ids = [*ids[: limits.input - 1], ids[-1]] if cut else ids  # the encoder's end token stays
            target = encode_target(self.tokenizer, task.segments, limits.target)
            examples.append(
                Example(input=tuple(ids), target=target.ids, spans=target.spans, input_cut=cut, target_cut=target.cut)
            )
        return examples

    def target_logits(self, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = [example.input for example in batch]
        targets = [example.target for example in batch]
        logits = self.model(
            input_ids=pad(
                inputs, self.tokenizer.pad_token_id, left=False, device=self.device, pad_multiple=self.pad_multiple
            ),
            attention_mask=mask(inputs, left=False, device=self.device, pad_multiple=self.pad_multiple),
            decoder_input_ids=self._shifted(targets),
            use_cache=False,
        ).logits
        return logits, pad(targets, IGNORED, left=False, device=self.device, pad_multiple=self.pad_multiple)

    def packed_outputs(self, batch: Sequence[Example], packing: Packing) -> torch.Tensor:
        inputs = [example.input for example in batch]
        targets = [example.target for example in batch]
        start = self.model.config.decoder_start_token_id
        logits: torch.Tensor = self.model(
            input_ids=one_row(inputs, self.device, packing.padded),
            decoder_input_ids=one_row([(start, *target[:-1]) for target in targets], self.device, packing.padded),
            use_cache=False,
            pack=packing.row(self.model, [len(ids) for ids in inputs], [len(ids) for ids in targets]),
        ).logits
        return logits[0, : sum(map(len, targets))]

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        attention = mask(inputs, left=False, device=self.device)
        start = [[self.model.config.decoder_start_token_id]] * len(inputs)
        with torch.inference_mode():
            states = self._read(inputs)
            output = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=attention,
                decoder_input_ids=torch.tensor(start, device=self.device),
                use_cache=True,
            )

            def continuation(cache: Any, rows: torch.Tensor, read: Sequence[Sequence[int]]) -> dict[str, Any]:
                return {
                    "encoder_outputs": BaseModelOutput(last_hidden_state=states[rows]),
                    "attention_mask": attention[rows],
                    "decoder_input_ids": pad(read, self.tokenizer.pad_token_id, left=False, device=self.device),
                    "past_key_values": cache,
                }

            return mean_log_likelihoods(self.model, output.logits[:, -1], output.past_key_values, options, continuation)

    def generate(
        self, inputs: Sequence[Sequence[int]], max_new_tokens: int, sampled: Sampled | None = None
    ) -> list[str]:
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        with torch.inference_mode():
            output = self.model.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=self._read(inputs)),
                attention_mask=mask(inputs, left=False, device=self.device),
                max_new_tokens=min(max_new_tokens, self._window or max_new_tokens),
                do_sample=False,
                custom_generate=decoder(sampled),
            )
        texts: list[str] = self.tokenizer.batch_decode(output, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _read(self, inputs: Sequence[Sequence[int]]) -> torch.Tensor:
        """The encoder's states (inputs, longest, width), read a few inputs of similar length at a time."""
        import torch

        lengths = [len(read) for read in inputs]
        whole: torch.Tensor | None = None
        for group in by_budget(range(len(inputs)), lengths, read_budget(self.device)):
            rows = [inputs[index] for index in group]
            states = self.model.get_encoder()(
                input_ids=pad(rows, self.tokenizer.pad_token_id, left=False, device=self.device),
                attention_mask=mask(rows, left=False, device=self.device),
            ).last_hidden_state
            if whole is None:
                whole = states.new_zeros(len(inputs), max(lengths), states.shape[-1])
            whole[torch.tensor(group, device=self.device), : states.shape[1]] = states
        assert whole is not None
        return whole

    def _shifted(self, targets: Sequence[Sequence[int]]) -> torch.Tensor:
        """What the decoder reads: its start token, then the target without its last token."""
        start = self.model.config.decoder_start_token_id
        rows = [[start, *target[:-1]] for target in targets]
        return pad(rows, self.tokenizer.pad_token_id, left=False, device=self.device, pad_multiple=self.pad_multiple)
