"""tinyllm.toml -> typed settings. Knows the built-in teachers; reads no model and no data.

A command-line flag wins over the environment (and .env) and over tinyllm.toml, and these over a built-in default.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem, choices

DEFAULT_CONFIG = "tinyllm.toml"


@dataclass(frozen=True, kw_only=True)
class TeacherSpec:
    """A teacher by name. `options` go to the backend as they are; `prefix` is the instruction p_m that tells the
    student whose rationale to write (paper, section on multi-teacher learning)."""

    name: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    teacher_forcing: bool = True
    """For recorded rationales: whether their author saw the gold answer."""

    sampling: Mapping[str, Any] = field(default_factory=dict)
    """temperature, top_p, max_tokens, stop, seed: defaults for this teacher, under the command's own flags."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set of the user's own: one file for each split, and the columns that hold what we need."""

    name: str
    splits: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that was configured, before flags."""

    teachers: Mapping[str, TeacherSpec]
    datasets: Mapping[str, DatasetSpec]
    source: Path | None
    gates: Mapping[str, Any] = field(default_factory=dict)
    """The table [gates], as it was written."""


def default_prefix(teacher: str) -> str:
    return f"{teacher}: "


def built_in_teachers() -> dict[str, TeacherSpec]:
    """The teachers that need no configuration. `t5` and `llama2` are the paper's, with the prefixes of its code."""
    everyday = files("tinyllm_cli") / "data" / "everyday"
    recorded = [str(everyday / f"{split}.jsonl") for split in ("train", "valid", "test")]
    specs = [
        TeacherSpec(
            name="llama2",
            backend="huggingface",
            options={"model": "meta-llama/Llama-2-7b-chat-hf"},
            prefix="rationale: ",
        ),
        TeacherSpec(name="t5", backend="huggingface", options={"model": "google/flan-t5-xl"}, prefix="explain: "),
        TeacherSpec(
            name="smollm2",
            backend="huggingface",
            options={"model": "smollm2"},
            prefix=default_prefix("smollm2"),
        ),
        TeacherSpec(name="expert", backend="recorded", options={"path": recorded}, prefix=default_prefix("expert")),
    ]
    return {spec.name: spec for spec in specs}


def load_settings(path: Path | None = None) -> Settings:
    """Read `path`, or tinyllm.toml of this folder when there is one.

    Raises UsageProblem naming the file, the table and the field."""
    chosen = path or (Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).exists() else None)
    teachers = built_in_teachers()
    if chosen is None:
        return Settings(teachers=teachers, datasets={}, source=None)
    document = _read_toml(chosen)
    _only(document, {"teachers", "datasets", "gates"}, str(chosen))
    gates = document.get("gates", {})
    if not isinstance(gates, dict):
        raise UsageProblem(f"{chosen}: 'gates' must be a table: [gates].")
    base = chosen.resolve().parent
    for name, table in _tables(document, "teachers", chosen):
        teachers[name] = _teacher(name, table, chosen, base)
    datasets = {name: _dataset(name, table, chosen, base) for name, table in _tables(document, "datasets", chosen)}
    return Settings(teachers=teachers, datasets=datasets, gates=gates, source=chosen)


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


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageProblem(f"There is no configuration file {path}.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(f"{path} can't be read: {error}.") from error


def _tables(document: Mapping[str, Any], section: str, path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    tables = document.get(section, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageProblem(f"{path}: '{section}' must hold tables, such as [{section}.NAME].")
    return tables.items()


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise UsageProblem(f"{where}: unknown setting '{unknown[0]}'.", f"Known here: {choices(known)}.")


_RANGES = {
    "temperature": (0, math.inf),
    "top_p": (0.01, 1),
    "max_tokens": (1, math.inf),
    "seed": (-math.inf, math.inf),
}
_TAKES = {
    "temperature": "a number, 0 or more",
    "top_p": "a number from 0.01 to 1",
    "max_tokens": "a whole number, 1 or more",
    "seed": "a whole number",
    "stop": "a list of texts",
}
_SAMPLING = ("stop", *_RANGES)
_ASKED = frozenset({"huggingface", "openai", "vllm", "scripted"})
"""Backends whose teachers get the prompt that the command makes."""


def _teacher(name: str, table: dict[str, Any], path: Path, base: Path) -> TeacherSpec:
    rest = dict(table)
    backend = rest.pop("backend", None)
    if not isinstance(backend, str):
        raise UsageProblem(f"{path}, [teachers.{name}]: 'backend' is missing.", 'For example: backend = "huggingface"')
    if isinstance(rest.get("path"), str):
        rest["path"] = str(base / Path(rest["path"]).expanduser())
    elif isinstance(rest.get("path"), list):
        rest["path"] = [str(base / Path(str(item)).expanduser()) for item in rest["path"]]
    prefix = rest.pop("prefix", default_prefix(name))
    if not isinstance(prefix, str) or not prefix.strip():
        raise UsageProblem(f"{path}, [teachers.{name}]: prefix must be a text.")
    if "api_key" in rest:
        raise UsageProblem(
            f"{path}, [teachers.{name}]: a key doesn't belong here.",
            'Put it into .env, and name its variable if it isn\'t OPENAI_API_KEY: api_key_env = "MY_KEY".',
        )
    if "teacher_forcing" in rest and backend in _ASKED:
        raise UsageProblem(
            f"{path}, [teachers.{name}]: teacher_forcing is for recorded rationales.",
            "What a teacher is shown is the command's: tinyllm elicit --no-teacher-forcing.",
        )
    forcing = rest.pop("teacher_forcing", True)
    if not isinstance(forcing, bool):
        raise UsageProblem(f"{path}, [teachers.{name}]: teacher_forcing must be true or false.")
    if isinstance(rest.get("model"), str) and rest["model"].startswith("."):
        rest["model"] = str(base / rest["model"])
    sampling = {key: rest.pop(key) for key in _SAMPLING if key in rest}
    wrong = next((key for key, value in sampling.items() if not _possible(key, value)), None)
    if wrong is not None:
        raise UsageProblem(
            f"{path}, [teachers.{name}]: {wrong} can't be {sampling[wrong]!r}.", f"It takes {_TAKES[wrong]}."
        )
    return TeacherSpec(
        name=name, backend=backend, options=rest, prefix=prefix, teacher_forcing=forcing, sampling=sampling
    )


def _possible(key: str, value: Any) -> bool:
    """Whether a sampling setting has the right type and lies in its range."""
    if key == "stop":
        return isinstance(value, list) and all(isinstance(text, str) and text for text in value)
    kind = (int, float) if key in ("temperature", "top_p") else int
    low, high = _RANGES[key]
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high


_COLUMNS = {"id", "question", "options", "answer", "context"}


def _dataset(name: str, table: dict[str, Any], path: Path, base: Path) -> DatasetSpec:
    where = f"{path}, [datasets.{name}]"
    _only(table, {"train", "valid", "test", "columns"}, where)
    named: dict[str, Any] = {split: table[split] for split in ("train", "valid", "test") if split in table}
    columns = dict(table["columns"]) if isinstance(table.get("columns"), dict) else {}
    if "columns" in table and not isinstance(table["columns"], dict):
        raise UsageProblem(f"{where}: 'columns' must be a table.", 'For example: columns = { question = "stem" }')
    _only(columns, _COLUMNS, f"{where}, columns")
    if isinstance(columns.get("options"), list):
        columns["options"] = ",".join(map(str, columns["options"]))
    for key, value in (*named.items(), *columns.items()):
        if not isinstance(value, str):
            raise UsageProblem(f"{where}: '{key}' must be a text, not {value!r}.")
    splits: dict[str, str] = {split: str(base / Path(file).expanduser()) for split, file in named.items()}
    if not splits:
        raise UsageProblem(f"{where}: no split is given.", 'For example: train = "train.jsonl"')
    return DatasetSpec(name=name, splits=splits, columns=columns)
