"""An open database with the settings that apply to it: the first argument of every function of the API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.config import Settings
    from tinyllm_cli.rationales.gates import GateSettings
    from tinyllm_cli.store import Store


@dataclass
class Project:
    """Use it as a context manager, or call `close`. `config` is the path of a tinyllm.toml; None reads the one in the
    current folder if there is one."""

    store: Store
    config: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings file, read on first use. Raises UsageProblem for a wrong one."""
        from tinyllm_cli.config import load_settings

        return load_settings(self.config)

    def gates(self, enabled: bool = True, max_target: int = 256) -> GateSettings | None:
        """The configured gates for a student whose targets have up to `max_target` tokens; None when disabled."""
        from tinyllm_cli.rationales.gates import gate_settings

        return gate_settings(self.settings.gates, max_target) if enabled else None

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_store(path: str | Path = "tinyllm.db", *, config: str | Path | None = None, create: bool = True) -> Project:
    """Open a database, creating it when it is missing (`create`) and migrating an older one.

    Raises WorldProblem when the file is not a tinyllm database or can't be written."""
    from tinyllm_cli.store import open_store as open_file

    return Project(open_file(Path(path), create=create), Path(config) if config is not None else None)
