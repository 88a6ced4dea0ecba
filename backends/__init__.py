"""Teacher adapters: everything that can write a rationale, behind the contract in `base`.

Nothing here imports `tinyllm_cli`. Adapters are imported when they are used, so that the tool starts fast and
needs only the engines that are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from types import UnionType
from typing import TYPE_CHECKING, Any

from backends.base import BadTeacherConfig, Teacher
from backends.secrets import refuse_secrets

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from backends.cluster.settings import ClusterSettings

__all__ = ["BUILT_IN", "backend_names", "create", "create_on_cluster"]

BUILT_IN: Mapping[str, str] = {
    "huggingface": "backends.huggingface:HuggingFaceTeacher",
    "openai": "backends.openai_compatible:OpenAICompatibleTeacher",
    "recorded": "backends.recorded:RecordedTeacher",
    "scripted": "backends.scripted:ScriptedTeacher",
    "vllm": "backends.vllm:VLLMTeacher",
}
ENTRY_POINT_GROUP = "tinyllm.backends"


def backend_names() -> list[str]:
    """Every backend that `create` knows: built-in ones and those of installed packages (entry points)."""
    return sorted({*BUILT_IN, *(point.name for point in _entry_points())})


def create(backend: str, settings: Mapping[str, Any]) -> Teacher:
    """Make the adapter called `backend`.

    Raises BadTeacherConfig for an unknown backend, a setting that the adapter doesn't take, and a setting that holds a
    secret: settings are stored and shown."""
    refuse_secrets(settings)
    if backend in BUILT_IN:
        module, _, name = BUILT_IN[backend].partition(":")
        adapter = getattr(import_module(module), name)
    else:
        found = _entry_points().select(name=backend)
        if not found:
            raise BadTeacherConfig(
                f"There is no backend called '{backend}'.", f"Backends: {', '.join(backend_names())}."
            )
        adapter = next(iter(found)).load()
    teacher: Teacher = adapter(settings)
    return teacher


def create_on_cluster(backend: str, settings: Mapping[str, Any], cluster: ClusterSettings) -> Teacher:
    """Make the adapter called `backend` as replicas on a Ray cluster. Raises BadTeacherConfig as `create`, without Ray,
    and for a backend that has no engine of its own."""
    from backends.cluster.teacher import ClusterTeacher

    return ClusterTeacher(backend, settings, cluster)


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # not needed for --help

    return entry_points(group=ENTRY_POINT_GROUP)


def take(settings: Mapping[str, Any], backend: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` over the defaults in `known`, where a type means: a setting of that type, whose default is None.

    Raises BadTeacherConfig for a name that isn't in `known`, so that a misspelt setting isn't ignored, and for a value
    of another type."""
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise BadTeacherConfig(
            f"The {backend} backend has no setting '{unknown[0]}'.",
            f"Known settings: {', '.join(sorted(known))}; and for every teacher"
            " temperature, top_p, max_tokens, stop, seed and prefix.",
        )
    for name, value in settings.items():
        wanted = known[name] if isinstance(known[name], type | UnionType) else type(known[name])
        fits = isinstance(value, (int, float) if wanted is float else wanted) and (wanted is bool or value is not True)
        if known[name] is not None and not fits:
            raise BadTeacherConfig(f"The {backend} backend's setting '{name}' can't be {value!r}.")
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:  # a date, which TOML has and JSON and flags don't
            raise BadTeacherConfig(f"The {backend} backend's setting '{name}' can't be used: {error}.") from error
    defaults = {name: None if isinstance(value, type | UnionType) else value for name, value in known.items()}
    return {**defaults, **settings}
