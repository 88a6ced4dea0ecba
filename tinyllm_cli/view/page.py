"""What a page gets and returns, independent of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from tinyllm_cli.errors import UsageProblem


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """A request. `writes`: it carries the token of this start. `body` is the JSON of a POST."""

    path: str
    args: Mapping[str, Sequence[str]]
    writes: bool
    csrf: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def args_of(cls, query: str) -> dict[str, list[str]]:
        """The parameters of a query string, without empty ones."""
        return parse_qs(query, max_num_fields=200)

    def one(self, name: str) -> str | None:
        """The parameter's value; None without."""
        return self.args[name][0] if self.args.get(name) else None

    def number(self, name: str) -> int | None:
        """The same as a whole number.

        Raises UsageProblem when it is none."""
        value = self.one(name)
        try:
            return None if value is None else int(value)
        except ValueError:
            raise UsageProblem(f"{name} is no whole number: {value[:40] if value else ''}.") from None

    def numbers(self, name: str) -> list[int]:
        """All values of a parameter, each once.

        Raises UsageProblem when one is no whole number."""
        try:
            return list(dict.fromkeys(int(value) for value in self.args.get(name, ())))
        except ValueError:
            raise UsageProblem(f"{name} takes whole numbers.") from None


@dataclass(frozen=True, kw_only=True)
class Html:
    """A page: a template and what it shows."""

    template: str
    title: str
    values: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, kw_only=True)
class Json:
    """A JSON object."""

    value: Any
    status: int = 200


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of the app, such as its style sheet."""

    text: str
    kind: str


Reply = Html | Json | File


def address(path: str, **parameters: str | int | None) -> str:
    """The path with these parameters; those that are None or empty are left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
