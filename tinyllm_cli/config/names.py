"""Names of teachers and data sets: which are allowed, and which one a beginning means."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from tinyllm_cli.errors import UsageProblem, choices

_LONGEST = 80  # bytes: names become parts of the names of folders
_RESERVED = "/\\=,"


def check_name(name: str, what: str, hint: str = "") -> None:
    """The one rule for the names of teachers and data sets, which become parts of file names, options and tables.

    Raises UsageProblem for a name that is empty, too long, hidden or not printable, or holds a character that options
    or file systems use."""
    bad = next((c for c in name if c in _RESERVED or unicodedata.category(c)[0] == "C" or c in "\u2028\u2029"), None)
    if bad is not None:
        why = f"it holds {bad!r}"
    elif not name or name != name.strip():
        why = "it is empty or begins or ends with a space"
    elif name[0] in ".-~":
        why = f"it begins with {name[0]!r}"
    elif len(name.encode()) > _LONGEST:
        why = f"it is longer than {_LONGEST} bytes"
    else:
        return
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    raise UsageProblem(f"A {what} can't be called {shown!r}: {why}.", hint)


def match_name(wanted: str, names: Iterable[str], what: str) -> str:
    """The one of `names` that is `wanted` or begins with it.

    Raises UsageProblem that lists the names when none or several fit."""
    known = sorted(set(names))
    if wanted in known:
        return wanted
    fitting = [name for name in known if name.startswith(wanted)] if wanted else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageProblem(f"'{wanted}' could be any of these {what}s: {choices(fitting)}.", "Type more of the name.")
    raise UsageProblem(f"There is no {what} called '{wanted}'.", f"Known {what}s: {choices(known)}.")
