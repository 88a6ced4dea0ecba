"""tinyllm.toml -> typed settings. Knows the built-in teachers; reads no model and no data.

A command-line flag wins over the environment (and .env) and over tinyllm.toml, and these over a built-in default.
"""

from __future__ import annotations

import math
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from backends.user_files import UnreadableFile, read_text
from tinyllm_cli.config.cluster import ClusterSettings, take_cluster
from tinyllm_cli.config.names import check_name
from tinyllm_cli.config.sampling import take_sampling
from tinyllm_cli.currency import DEFAULT_CURRENCY, LIST_CURRENCY, is_currency
from tinyllm_cli.errors import UsageProblem, choices

DEFAULT_CONFIG = "tinyllm.toml"


@dataclass(frozen=True, kw_only=True)
class TeacherSpec:
    """A teacher by name. `options` go to the backend as they are; `prefix` is the instruction p_m by which the
    student knows whose rationale to write (paper, section on multi-teacher learning)."""

    name: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    teacher_forcing: bool = True
    """For recorded rationales: whether their author saw the gold answer."""

    sampling: Mapping[str, Any] = field(default_factory=dict)
    """temperature, top_p, max_tokens, stop, seed: defaults for this teacher; the command's options win."""

    source: Path | None = None
    """The settings file that defines the teacher; None for a built-in one."""

    cluster: ClusterSettings | None = None
    """Where its engine runs as replicas; None: in this process's own environment."""

    def notices(self) -> list[str]:
        """What a settings file changes that a user of the command should know: another definition of a built-in
        teacher, a program that is started."""
        if self.source is None:
            return []
        notices = []
        if self.name in built_in_teachers():
            notices.append(f"{self.name} is not the built-in teacher: {self.source} defines it ({self.backend}).")
        command = self.options.get("command")
        if command:
            shown = shlex.join(map(str, command)) if isinstance(command, list) else str(command)
            notices.append(f"{self.name} starts a program that {self.source} names: {shown}")
        if self.cluster is not None and self.cluster.address not in ("auto", "local"):
            notices.append(f"{self.name} runs on the Ray cluster that {self.source} names: {self.cluster.address}")
        return notices


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set of the user's own: one file for each split, and the columns that hold what we need."""

    name: str
    splits: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    """The options of every question, where the rows have none."""

    answers_from: int | None = None
    """The number of the first option, 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that was configured, before flags."""

    teachers: Mapping[str, TeacherSpec]
    datasets: Mapping[str, DatasetSpec]
    source: Path | None
    gates: Mapping[str, Any] = field(default_factory=dict)
    """The table [gates], as it was written."""

    currency: str = DEFAULT_CURRENCY
    """Currency of the teachers' prices, and so of costs and budgets: an ISO 4217 code."""


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
    chosen = path or (Path(DEFAULT_CONFIG) if os.path.lexists(DEFAULT_CONFIG) else None)
    teachers = built_in_teachers()
    if chosen is None:
        return Settings(teachers=teachers, datasets={}, source=None)
    document = _read_toml(chosen)
    _only(document, {"teachers", "datasets", "gates", "currency"}, str(chosen))
    currency = document.get("currency", DEFAULT_CURRENCY)
    if not is_currency(currency):
        raise UsageProblem(
            f"{chosen}: currency can't be {currency!r}: it takes an ISO 4217 code, three capital letters such as EUR."
        )
    gates = document.get("gates", {})
    if not isinstance(gates, dict):
        raise UsageProblem(f"{chosen}: 'gates' must be a table: [gates].")
    base = chosen.resolve().parent
    for name, table in _tables(document, "teachers", chosen):
        check_name(name, "teacher", f"Rename its table in {chosen}.")
        teachers[name] = _priced(_teacher(name, table, chosen, base), currency)
    datasets = {name: _dataset(name, table, chosen, base) for name, table in _tables(document, "datasets", chosen)}
    return Settings(teachers=teachers, datasets=datasets, gates=gates, source=chosen, currency=currency)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        raise UsageProblem(f"There is no configuration file {path}.") from error
    except RecursionError as error:
        raise UsageProblem(f"{path} can't be read: it is nested too deeply.") from error
    except (OSError, UnreadableFile, ValueError) as error:  # ValueError: TOML, and a number of thousands of digits
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


_PROMPTED = frozenset({"huggingface", "openai", "vllm", "scripted"})
"""Backends whose teachers get the prompt that the command builds."""


def _teacher(name: str, table: dict[str, Any], path: Path, base: Path) -> TeacherSpec:
    where = f"{path}, [teachers.{name}]"
    rest = dict(table)
    backend = _backend(name, rest, where)
    _check_plain(rest, where)
    cluster = take_cluster(rest, f"{path}, [teachers.{name}.cluster]")
    for setting in ("path", "model"):
        if setting in rest:
            rest[setting] = _beside(setting, rest[setting], base)
    prefix = rest.pop("prefix", default_prefix(name))
    if not isinstance(prefix, str) or not prefix.strip():
        raise UsageProblem(f"{where}: prefix must be a text.")
    if "api_key" in rest:
        raise UsageProblem(
            f"{where}: a key doesn't belong here.",
            'Put it into .env, and name its variable if it isn\'t OPENAI_API_KEY: api_key_env = "MY_KEY".',
        )
    if "currency" in rest:
        raise UsageProblem(
            f"{where}: currency is one setting for all teachers.", f"Put it above the first table of {path}."
        )
    if "teacher_forcing" in rest and backend in _PROMPTED:
        raise UsageProblem(
            f"{where}: teacher_forcing is for recorded rationales.",
            "For other teachers it is an option of elicit: --no-teacher-forcing.",
        )
    forcing = rest.pop("teacher_forcing", True)
    if not isinstance(forcing, bool):
        raise UsageProblem(f"{where}: teacher_forcing must be true or false.")
    return TeacherSpec(
        name=name,
        backend=backend,
        sampling=take_sampling(rest, where),
        options=rest,
        prefix=prefix,
        teacher_forcing=forcing,
        source=path,
        cluster=cluster,
    )


def _priced(spec: TeacherSpec, currency: str) -> TeacherSpec:
    """Listed prices do not count where costs are in another currency than the list."""
    if spec.backend != "openai" or currency == LIST_CURRENCY:
        return spec
    return replace(spec, options={**spec.options, "listed_prices": False})


def _backend(name: str, table: dict[str, Any], where: str) -> str:
    """Take the backend out of a teacher's table."""
    backend = table.pop("backend", None)
    if isinstance(backend, str):
        return backend
    inner = next((key for key, value in table.items() if isinstance(value, dict)), None)
    if inner is not None:
        raise UsageProblem(
            f"{where}: 'backend' is missing.", f'A name with a dot needs quotes: [teachers."{name}.{inner}"]'
        )
    raise UsageProblem(f"{where}: 'backend' is missing.", 'For example: backend = "huggingface"')


def _beside(setting: str, value: Any, base: Path) -> Any:
    """Paths are relative to the settings file; a model is a path when it begins with a dot."""
    if setting == "model":
        return str(base / value) if isinstance(value, str) and value.startswith(".") else value
    if isinstance(value, list):
        return [str(base / Path(str(item)).expanduser()) for item in value]
    return str(base / Path(value).expanduser()) if isinstance(value, str) else value


def _check_plain(table: Mapping[str, Any], where: str) -> None:
    """Dates and infinite numbers are TOML, but no setting of any backend, and can't be stored as JSON."""
    for key, value in table.items():
        if isinstance(value, dict):
            _check_plain(value, where)
        for item in value if isinstance(value, list) else [value]:
            plain = isinstance(item, (str, bool, int, dict, list)) or (isinstance(item, float) and math.isfinite(item))
            if not plain:
                raise UsageProblem(f"{where}: {key} can't be {item}.", "Values are texts, numbers, true and false.")


_COLUMNS = {"id", "question", "options", "answer", "context", "split"}


def _dataset(name: str, table: dict[str, Any], path: Path, base: Path) -> DatasetSpec:
    check_name(name, "data set", f"Rename its table in {path}.")
    where = f"{path}, [datasets.{name}]"
    _only(table, {"train", "valid", "test", "columns", "options", "answers_from"}, where)
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
    options, answers_from = table.get("options", []), table.get("answers_from")
    if not isinstance(options, list) or any(not isinstance(option, str) or not option for option in options):
        raise UsageProblem(f"{where}: 'options' must be a list of texts.", 'For example: options = ["yes", "no"]')
    if answers_from not in (None, 0, 1) or isinstance(answers_from, bool):
        raise UsageProblem(f"{where}: 'answers_from' must be 0 or 1.")
    return DatasetSpec(name=name, splits=splits, columns=columns, options=tuple(options), answers_from=answers_from)
