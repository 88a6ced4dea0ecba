"""What of a teacher's sampling settings its requests hold: its own settings can leave fields out or replace them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from backends.base import Sampling, Teacher

__all__ = ["Shaping", "sampling_fields", "sent_sampling"]


@runtime_checkable
class Shaping(Teacher, Protocol):
    """A teacher whose settings can change the fields of its requests."""

    def sent(self, sampling: Sampling) -> Sampling:
        """`sampling` as its requests hold it; a temperature or top_p that they do not hold is None."""
        ...


def sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Temperature, top_p and stop as fields of a request's body.

    What is not set is not sent: some models refuse any temperature. Greedy decoding needs no top_p."""
    fields: dict[str, Any] = {}
    if sampling.temperature is not None:
        fields["temperature"] = sampling.temperature
    if sampling.top_p is not None and (sampling.temperature != 0 or sampling.top_p != 1):
        fields["top_p"] = sampling.top_p
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    return fields


def sent_sampling(sampling: Sampling, omit: Collection[str], extra: Mapping[str, Any]) -> Sampling:
    """`sampling` where requests lack the fields in `omit` and have those in `extra` instead of their own."""
    plain = sampling_fields(sampling)
    sent = {name: value for name, value in plain.items() if name not in omit}
    sent |= {name: extra[name] for name in ("temperature", "top_p", "stop") if name in extra}
    if sent == plain:
        return sampling
    stop = sent.get("stop") or ()
    return replace(
        sampling,
        temperature=_number(sent.get("temperature")),
        top_p=_number(sent.get("top_p")),
        stop=(stop,) if isinstance(stop, str) else tuple(map(str, stop)) if isinstance(stop, list) else (),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
