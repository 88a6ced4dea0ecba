"""What the gates let pass: settings with defaults, read from `[gates]` of tinyllm.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.errors import UsageProblem, choices

GATES = (
    "empty", "boilerplate", "run-on", "echo", "repetition", "cut-off", "wrong-answer", "letter-only",
    "wrong-language", "too-short", "too-long",
)  # fmt: skip
"""Their names, in the order in which a table shows them."""

CODE = 4
"""Counts up when a gate decides otherwise than before, so that stored verdicts are made anew."""


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Which gates stand, and how high."""

    off: tuple[str, ...] = ()
    """Gates that let everything pass."""

    min_words: int = 5
    """Fewer words than this are too short."""

    cut_off: Literal["trim", "reject"] = "trim"
    """Trim a text that stops in mid-sentence to its last whole sentence, or reject it."""

    new_words: int = 1
    """So many meaningful words that neither the question nor its options have keep a rationale from being an echo."""

    max_tokens: int | None = None
    """The student's limit of target tokens; a longer text is trimmed to the whole sentences that fit."""

    @property
    def hash(self) -> str:
        return self.hash_under(CODE)

    def hash_under(self, code: int) -> str:
        """As it was when CODE was `code`."""
        content = canonical([code, asdict(self)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def stands(self, gate: str) -> bool:
        return gate not in self.off


def gate_settings(table: Mapping[str, Any], max_target: int | None = None) -> GateSettings:
    """The settings that `[gates]` of tinyllm.toml holds, for a student that learns `max_target` tokens.

    Raises UsageProblem for a key or a value that there is not."""
    known = {one.name: one for one in fields(GateSettings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise UsageProblem(f"[gates] has no setting '{key}'.", f"It has: {choices(known)}.")
        values[key] = _checked(key, value)
    limits = [limit for limit in (values.get("max_tokens"), max_target) if limit is not None]
    return GateSettings(**{**values, "max_tokens": min(limits, default=None)})


def _checked(key: str, value: Any) -> Any:
    if key == "off":
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, list) else [value]
        unknown = [name for name in names if name not in GATES]
        if unknown:
            raise UsageProblem(f"[gates] off: there is no gate '{unknown[0]}'.", f"Gates: {choices(GATES)}.")
        return tuple(sorted(names))
    if key == "cut_off":
        if value not in ("trim", "reject"):
            raise UsageProblem(f"[gates] cut_off can't be '{value}'.", "Choose trim or reject.")
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageProblem(f"[gates] {key} must be a whole number, 0 or more.", f"For example: {key} = 5")
    return value
