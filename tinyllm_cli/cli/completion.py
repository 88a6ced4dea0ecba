"""Shell completion of names that the database and tinyllm.toml hold.

A completion runs at each press of Tab, also where there is no database yet: whatever goes wrong, it offers nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.config import Settings
    from tinyllm_cli.store import Store

Names = Callable[[], Iterable[str]]


def _matching(names: Names) -> Callable[[str], list[str]]:
    """The names that begin with what is typed."""

    @wraps(names)
    def complete(incomplete: str) -> list[str]:
        try:
            return sorted({name for name in names() if name.startswith(incomplete)})
        except Exception:  # noqa: BLE001 - a message would end up in the line that is being typed
            return []

    complete.__annotations__ = {"incomplete": str, "return": list[str]}
    del complete.__wrapped__  # typer looks at the parameters
    return complete


def _settings() -> Settings:
    from tinyllm_cli.config import load_settings

    config = os.environ.get("TINYLLM_CONFIG")
    return load_settings(Path(config) if config else None)


def _store() -> Store:
    from tinyllm_cli.store import open_store

    return open_store(Path(os.environ.get("TINYLLM_DB") or "tinyllm.db"), create=False)


@_matching
def teacher_names() -> Iterable[str]:
    return _settings().teachers


@_matching
def dataset_names() -> Iterable[str]:
    from tinyllm_cli.datasets.catalogue import known_names

    names = known_names(_settings())
    if Path(os.environ.get("TINYLLM_DB") or "tinyllm.db").exists():
        with closing(_store()) as store:
            names += store.questions.names()
    return names


@_matching
def run_numbers() -> Iterable[str]:
    with closing(_store()) as store:
        return [str(run.id) for run in store.runs.everything()]
