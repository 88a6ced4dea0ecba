"""The sampling settings of a teacher's table in tinyllm.toml."""

from __future__ import annotations

from typing import Any

from tinyllm_cli.config.ranges import SAMPLING, WHOLE, sampling_range
from tinyllm_cli.errors import UsageProblem

_SAMPLING = ("stop", *SAMPLING)


def take_sampling(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Take the sampling settings out of a teacher's table."""
    sampling = {key: table.pop(key) for key in _SAMPLING if key in table}
    wrong = next((key for key, value in sampling.items() if not _possible(key, value)), None)
    if wrong is not None:
        takes = "a list of texts" if wrong == "stop" else sampling_range(wrong)
        raise UsageProblem(f"{where}: {wrong} can't be {sampling[wrong]!r}.", f"It takes {takes}.")
    return sampling


def _possible(key: str, value: Any) -> bool:
    """Whether a sampling setting has the right type and lies in its range."""
    if key == "stop":
        return isinstance(value, list) and all(isinstance(text, str) and text for text in value)
    kind = int if key in WHOLE else (int, float)
    low, high = SAMPLING[key]
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
