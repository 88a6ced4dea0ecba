"""Token counts of texts as a student sees them, without its weights: what its limits will cut.

Counts as the students' `encode` does, and cuts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.causal import cue_of, input_ids
from tinyllm_cli.students.inputs import ANSWER


@dataclass(frozen=True, kw_only=True)
class TokenCounter:
    """Counts tokens with a student's tokenizer. `window` is its number of positions, None where it has no limit."""

    tokenizer: Any
    kind: Literal["seq2seq", "causal"]
    window: int | None = None

    def limits(self, wanted: Limits) -> Limits:
        """`wanted` within the student's window."""
        return wanted.within(self.window, shared=self.kind == "causal")

    def inputs(self, texts: Sequence[str], task: str = ANSWER) -> list[int]:
        """Tokens of each input, with what the student adds to it for this task."""
        if self.kind == "causal":
            return [len(ids) for ids in input_ids(self.tokenizer, [text + cue_of(task) for text in texts])]
        return [len(ids) for ids in self._ids(texts)]

    def targets(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each target, with the one that ends it."""
        lead = " " if self.kind == "causal" else ""
        return [len(ids) + 1 for ids in self._ids([lead + text for text in texts], add_special_tokens=False)]

    def alike(self, groups: Sequence[Sequence[str]]) -> list[bool]:
        """Of each group, whether different texts in it have the same tokens, as in a script that the tokenizer does not
        know."""
        ids = iter(self._ids([text for group in groups for text in group], add_special_tokens=False))
        return [len({tuple(next(ids)) for _ in group}) < len(set(group)) for group in groups]

    def unknown(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether it has a character that the vocabulary lacks."""
        unknown = self.tokenizer.unk_token_id
        return [unknown is not None and unknown in ids for ids in self._ids(texts, add_special_tokens=False)]

    def _ids(self, texts: Sequence[str], **options: bool) -> list[list[int]]:
        # verbose: a text beyond the model's window is what is looked for, which is no reason for a warning.
        found: list[list[int]] = self.tokenizer(list(texts), verbose=False, **options)["input_ids"] if texts else []
        return found
