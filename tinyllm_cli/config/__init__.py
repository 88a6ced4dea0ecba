"""tinyllm.toml and .env -> typed settings.

`settings` is imported when one of its names is first used: `--help` needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinyllm_cli.config.names import match_name as match_name

if TYPE_CHECKING:
    from tinyllm_cli.config.cluster import ClusterSettings as ClusterSettings
    from tinyllm_cli.config.settings import DEFAULT_CONFIG as DEFAULT_CONFIG
    from tinyllm_cli.config.settings import DatasetSpec as DatasetSpec
    from tinyllm_cli.config.settings import Settings as Settings
    from tinyllm_cli.config.settings import TeacherSpec as TeacherSpec
    from tinyllm_cli.config.settings import built_in_teachers as built_in_teachers
    from tinyllm_cli.config.settings import default_prefix as default_prefix
    from tinyllm_cli.config.settings import load_settings as load_settings

_LATER = frozenset(
    {"ClusterSettings", "DEFAULT_CONFIG", "DatasetSpec", "Settings", "TeacherSpec", "built_in_teachers",
     "default_prefix", "load_settings"}
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.settings"), name)
