"""tinyllm: distil a small student model from the rationales of several large language models.

The Python API is loaded on first use: `tinyllm_cli.open_store`, `tinyllm_cli.elicit`, `tinyllm_cli.distill` and the
other names in `tinyllm_cli.api.VERBS`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.2.0"

_SHARED_NAMES = frozenset({"audit", "export", "report"})
"""Names of a function of the API and of a package. `tinyllm_cli.report` is the function; the package is imported as
usual, by `from tinyllm_cli.report import ...`."""


class _Package(ModuleType):
    """Keeps the import system from binding a package over the function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _SHARED_NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """The API's functions, imported when they are first used, so that `import tinyllm_cli` stays fast."""
    api = import_module("tinyllm_cli.api")
    if name in api.VERBS:
        return getattr(api, name)
    raise AttributeError(f"module 'tinyllm_cli' has no attribute {name!r}")


def __dir__() -> list[str]:
    api = import_module("tinyllm_cli.api")
    return sorted([*globals(), *api.VERBS])
