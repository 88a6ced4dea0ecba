"""tinyllm: distil a small student model from the rationales of several large language models.

The Python API is loaded on first use: `tinyllm_cli.open_store`, `tinyllm_cli.elicit`, `tinyllm_cli.distill` and the
other names in `tinyllm_cli.api.VERBS`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """The API's functions, imported when they are first used, so that `import tinyllm_cli` stays fast."""
    api = import_module("tinyllm_cli.api")
    if name in api.VERBS:
        return getattr(api, name)
    raise AttributeError(f"module 'tinyllm_cli' has no attribute {name!r}")


def __dir__() -> list[str]:
    api = import_module("tinyllm_cli.api")
    return sorted([*globals(), *api.VERBS])
