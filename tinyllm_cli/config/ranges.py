"""The ranges of numbers that options, tinyllm.toml and the API take alike."""

from __future__ import annotations

from collections.abc import Mapping

from tinyllm_cli.errors import UsageProblem

ICL = (0, 16)
"""In-context examples of a prompt."""

SAMPLES = (1, 1000)
"""Rationales per question."""

SAMPLING: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (0.01, 1),
    "max_tokens": (1, 10_000_000),
    "seed": (-(2**63), 2**63 - 1),
}
"""By the names that tinyllm.toml and the API have for them."""

WHOLE = frozenset({"max_tokens", "seed"})
"""Those of SAMPLING that are whole numbers."""


def sampling_range(name: str) -> str:
    """The range of one of SAMPLING in words."""
    low, high = SAMPLING[name]
    return f"a {'whole ' if name in WHOLE else ''}number from {low:,} to {high:,}"


def check_icl(icl: int | None) -> None:
    """Raises UsageProblem for a number of in-context examples that no rationale is elicited with."""
    low, high = ICL
    if icl is not None and not low <= icl <= high:
        raise UsageProblem(f"--icl can't be {icl}.", f"Prompts have {low} to {high} in-context examples.")
