"""The file .env of the current folder: keys, and the few settings that tinyllm documents."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from io import StringIO
from pathlib import Path

from tinyllm_cli.errors import UsageProblem

ENV_FILE = Path(".env")
ENV_NAMES = frozenset(
    {
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_OFFLINE",
        "HF_TOKEN",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "TINYLLM_CACHE",
        "TINYLLM_CONFIG",
        "TINYLLM_DB",
        "TINYLLM_LOG",
    }
)
"""What .env may set, besides keys: a file in a folder must not change how programs start (PATH, PYTHONPATH, ...)."""

_KEY = re.compile(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)", re.ASCII)


def env_file_values(path: Path = ENV_FILE) -> dict[str, str]:
    """The variables of .env that tinyllm reads: those of ENV_NAMES, and any that end in _KEY or _TOKEN. Empty ones are
    left out, so that a copy of .env.example sets nothing.

    Raises UsageProblem when there is such a file and it can't be read."""
    if not os.path.lexists(path):  # as in most folders: then nothing is imported
        return {}
    from dotenv import dotenv_values

    from backends.user_files import UnreadableFile, read_text

    try:
        text = read_text(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UsageProblem(
                f"{path} is a link to a missing file.", "Restore the file, or remove the link."
            ) from error
        return {}
    except (OSError, UnreadableFile) as error:
        raise UsageProblem(f"{path} can't be read: {error}.", "Save it as UTF-8, or remove it.") from error
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value and (name in ENV_NAMES or _KEY.fullmatch(name))}


def apply_env_file(environment: MutableMapping[str, str], path: Path = ENV_FILE) -> None:
    """Set what the environment leaves open. Raises UsageProblem as `env_file_values`, and for a NUL character."""
    for name, value in env_file_values(path).items():
        if "\0" in value:
            raise UsageProblem(f"{path} can't be read: the value of {name} holds a NUL character.", "Remove it.")
        environment.setdefault(name, value)


def endpoint_from_env_file(path: Path = ENV_FILE) -> str | None:
    """The endpoint that .env sets for hosted teachers which name none; None when it sets none, or another one holds."""
    value = env_file_values(path).get("OPENAI_BASE_URL")
    return value if value and os.environ.get("OPENAI_BASE_URL") == value else None
