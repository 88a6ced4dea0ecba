"""The versions that must agree on all nodes of a cluster. Runs on the nodes, too."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["differing", "versions_here"]

_SOURCES = Path(__file__).parent.parent


@cache
def _tinyllm() -> str:
    """The release, with a digest of the teachers' sources: a checkout has the version of the next release."""
    try:
        release = version("tinyllm-cli")
    except PackageNotFoundError:
        release = "of no release"
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.rglob("*.py")):
        digest.update(path.relative_to(_SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{release} ({digest.hexdigest()[:8]})"


def versions_here() -> dict[str, str]:
    """The versions of this process."""
    return {"Ray": version("ray"), "Python": platform.python_version(), "tinyllm": _tinyllm()}


def differing(found: Mapping[str, str]) -> str:
    """What in `found` is not as it is here, for a message; empty: all is."""
    here = versions_here()
    return ", ".join(f"{name} {found.get(name, 'unknown')}" for name in here if found.get(name) != here[name])
