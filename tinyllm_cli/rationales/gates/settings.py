"""Settings of the gates, read from `[gates]` of tinyllm.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.errors import UsageProblem, choices

GATES = (
    "empty", "boilerplate", "run-on", "refusal", "echo", "off-topic", "repetition", "cut-off", "wrong-answer",
    "letter-only", "wrong-language", "too-short", "too-long",
)  # fmt: skip
"""Their names, in the order in which a table shows them."""

HUMAN = "human"
"""The name of a person's finding, where findings are shown and counted by gate."""

CODE = 6
"""Version of the gates' decisions: a new one makes stored verdicts obsolete, so that they are computed again."""


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Which gates are on, and their thresholds."""

    off: tuple[str, ...] = ()
    """Gates that are switched off."""

    min_words: int = 5
    """A text with fewer words is too short."""

    cut_off: Literal["trim", "reject"] = "trim"
    """Trim a text that stops in mid-sentence to its last complete sentence, or reject it."""

    off_topic: Literal["keep", "reject"] = "keep"
    """Reject a text that shares no word with its question. A good text may do so by chance, so it is kept by default,
    and the audit counts such texts."""

    new_words: int = 1
    """A text with fewer meaningful words that neither the question nor its options have is an echo."""

    max_tokens: int | None = None
    """The student's limit of target tokens; a longer text is trimmed to the complete sentences that fit."""

    @property
    def hash(self) -> str:
        return self.hash_under(CODE)

    def hash_under(self, code: int) -> str:
        """The hash of these settings under another version of the gates."""
        content = canonical([code, asdict(self)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def explanation_hash(self) -> str:
        """The hash under which verdicts on explanations are stored: a reply without what only states its answer."""
        return hashlib.sha256(f"{self.hash} explanation".encode()).hexdigest()[:16]

    def is_on(self, gate: str) -> bool:
        return gate not in self.off


_CHOICES = {"cut_off": ("trim", "reject"), "off_topic": ("keep", "reject")}


def gate_settings(table: Mapping[str, Any], max_target: int | None = None) -> GateSettings:
    """The settings in `[gates]` of tinyllm.toml, for a student that learns up to `max_target` tokens.

    Raises UsageProblem for an unknown key or an invalid value."""
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
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise UsageProblem(f"[gates] {key} can't be '{value}'.", f"Choose {' or '.join(_CHOICES[key])}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageProblem(f"[gates] {key} must be a whole number, 0 or more.", f"For example: {key} = 5")
    return value
