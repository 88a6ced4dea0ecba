"""From a name or a path to a source of questions: embedded, tinyllm.toml, hub, or the user's files."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from backends.row_files import SPLIT_NAMES
from tinyllm_cli.config import DatasetSpec, Settings
from tinyllm_cli.config.names import check_name
from tinyllm_cli.datasets.authors import is_authors_layout
from tinyllm_cli.datasets.bioasq import bioasq_questions
from tinyllm_cli.datasets.folders import plain_name, rationale_files, split_files, split_in
from tinyllm_cli.datasets.hub import HubDataset
from tinyllm_cli.datasets.hub_presets import HUB_DATASETS, hub_dataset
from tinyllm_cli.datasets.layout import NO_LAYOUT, Layout, lookup
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import SPLITS, Question, canonical
from tinyllm_cli.datasets.rows import format_of, is_object_of_questions, read_rows, reading_notes
from tinyllm_cli.errors import UsageProblem, choices, command_text


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set comes from. `fingerprint` changes when its content may have; `read` streams the questions."""

    name: str
    origin: str
    fingerprint: str
    read: Callable[[], Iterator[Question]]
    rationale_files: Mapping[str, list[Path]] = field(default_factory=dict)
    """Recorded rationales beside the questions: teacher -> files."""

    authors_folder: Path | None = None
    write_rationales: Callable[[Path], Mapping[str, list[Path]]] | None = None
    """Writes the recorded rationales of a generated data set into a folder: teacher -> files."""

    formerly: tuple[str, ...] = ()
    """Origins that the same data set was recorded under."""

    notes: Callable[[], tuple[str, ...]] = tuple
    """What the user should know of how the files were read; complete when all questions are."""


@dataclass(frozen=True, kw_only=True)
class _Files:
    """A file for each split, and how their rows are laid out."""

    name: str
    origin: str
    paths: Mapping[str, Path]
    layout: Layout


def known_names(settings: Settings) -> list[str]:
    return sorted({"everyday", "bioasq", *HUB_DATASETS, *settings.datasets})


def find_source(wanted: str, settings: Settings) -> Source | None:
    """The source called `wanted`, or the file or folder at that path; None when it is neither.

    Raises UsageProblem when the path holds nothing that can be read as a data set."""
    if wanted in settings.datasets:
        return _configured(settings.datasets[wanted])
    if wanted == "everyday":
        return everyday()
    dataset = hub_dataset(wanted)
    if dataset is not None:
        return Source(name=wanted, origin=dataset.source, fingerprint=dataset.source, read=dataset.questions)
    if wanted == "bioasq":
        raise UsageProblem(
            "BioASQ has no open copy on the hub.",
            "Get the task B training JSON from the organisers, then:"
            f" {command_text('import', 'training.json', '--name', 'bioasq')}",
        )
    path = Path(wanted).expanduser()
    return from_path(path) if path.exists() else None


def everyday() -> Source:
    """The embedded data set, written for this project."""
    folder = files("tinyllm_cli") / "data" / "everyday"
    paths = {split: Path(str(folder / f"{split}.jsonl")) for split in SPLITS}
    return _from_files(_Files(name="everyday", origin="embedded", paths=paths, layout=NO_LAYOUT))


def from_paths(path: Path, layout: Layout = NO_LAYOUT, name: str | None = None) -> list[Source]:
    """The data set at `path`, or those in the folders inside it. The name is that of the folder or file by default."""
    if path.is_dir() and not split_files(path) and not _hub_copy(path, name):
        inside = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and split_files(folder)]
        if inside and name is not None:
            raise UsageProblem(
                f"{path} holds {len(inside)} data sets, and --name names one.",
                f"Import one of its folders: {choices([folder.name for folder in inside])}.",
            )
        if inside:
            return [from_path(folder, layout) for folder in inside]
    return [from_path(path, layout, name)]


def from_path(path: Path, layout: Layout = NO_LAYOUT, name: str | None = None) -> Source:
    """A file or folder of the user's. The name is that of the folder or file by default."""
    if not path.exists():
        raise UsageProblem(f"There is no file or folder {path}.")
    stem = path.name.split(".")[0]
    if name is None:
        name = plain_name(path.parent if path.is_file() and stem.lower() in SPLIT_NAMES else path)
    check_name(name, "data set", "Give it another: --name NAME")
    if path.is_dir():
        return _from_folder(path, layout, name)
    if is_object_of_questions(path):
        return Source(
            name=name,
            origin=str(path.resolve()),
            fingerprint=_fingerprint({"": path}, NO_LAYOUT),
            read=lambda: bioasq_questions(path, name),
        )
    split = split_in(stem) or "train"
    dataset = hub_dataset(name) if layout == NO_LAYOUT and format_of(path) else None
    hub_split = dataset.split_named(stem) or dataset.split_named(split) if dataset is not None else None
    if dataset is not None and hub_split is not None and dataset.recognises(next(iter(read_rows(path)), {})):
        return _from_hub_copy(dataset, {hub_split: [path]}, path)
    return _from_files(_Files(name=name, origin=str(path.resolve()), paths={split: path}, layout=layout))


def unknown_dataset(wanted: str, settings: Settings, stored: list[str]) -> UsageProblem:
    return UsageProblem(
        f"There is no data set called '{wanted}', and no file or folder of that name.",
        f"Known: {choices({*known_names(settings), *stored})}. Your own: give its path, or a table in tinyllm.toml.",
    )


def _configured(spec: DatasetSpec) -> Source:
    paths = {split: Path(path) for split, path in spec.splits.items()}
    missing = next((path for path in paths.values() if not path.exists()), None)
    if missing is not None:
        raise UsageProblem(f"tinyllm.toml, [datasets.{spec.name}]: there is no file {missing}.")
    layout = Layout(columns=spec.columns, options=spec.options, answers_from=spec.answers_from)
    source = _from_files(_Files(name=spec.name, origin=_place_of(paths), paths=paths, layout=layout))
    return replace(source, formerly=("tinyllm.toml",))


def _place_of(paths: Mapping[str, Path]) -> str:
    """The origin that an import of the same files has: the file, or the folder of several."""
    places = {str(path.resolve()) for path in paths.values()}
    folders = {str(path.resolve().parent) for path in paths.values()}
    return places.pop() if len(places) == 1 else folders.pop() if len(folders) == 1 else "tinyllm.toml"


def _hub_copy(folder: Path, name: str | None) -> tuple[HubDataset, dict[str, list[Path]]] | None:
    """The hub's data set `name` and the files of a copy of it, by the hub's split; None where there is no copy, or the
    rows have another layout."""
    dataset = None if name is None else hub_dataset(name)
    copied = {} if dataset is None else dataset.local_files(folder)
    first = next((row for paths in copied.values() for path in paths for row in islice(read_rows(path), 1)), None)
    return (dataset, copied) if dataset is not None and first is not None and dataset.recognises(first) else None


def _from_hub_copy(dataset: HubDataset, copied: Mapping[str, Sequence[Path]], place: Path) -> Source:
    by_file = {f"{split} {number}": path for split, paths in copied.items() for number, path in enumerate(paths)}
    missing = [split for split in dataset.files if split not in copied]
    notes = (f"The copy of {dataset.name} has no file for: {', '.join(missing)}.",) if missing else ()
    return Source(
        name=dataset.name,
        origin=str(place.resolve()),
        fingerprint=_fingerprint(by_file, dataset.layout),
        read=lambda: dataset.read(copied, place.name),
        notes=lambda: notes,
    )


def _from_folder(folder: Path, layout: Layout, name: str) -> Source:
    copied = _hub_copy(folder, name) if layout == NO_LAYOUT else None
    if copied is not None:
        return _from_hub_copy(*copied, folder)
    found = split_files(folder)
    for split, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise UsageProblem(f"{folder} has two files for the split {split}: {names}.")
    if not found:
        raise UsageProblem(
            f"{folder} holds no data set.",
            "Expected train.jsonl, valid.jsonl, test.jsonl (or .json, .csv, .tsv, .parquet).",
        )
    in_order = {split: found[split][0] for split in SPLITS if split in found}
    return _from_files(
        _Files(name=name, origin=str(folder.resolve()), paths=in_order, layout=layout),
        recorded=rationale_files(folder),
        authors_folder=folder if is_authors_layout(folder) else None,
    )


def _from_files(
    source: _Files, *, recorded: Mapping[str, list[Path]] | None = None, authors_folder: Path | None = None
) -> Source:
    if source.layout.split_off and len(source.paths) > 1:
        raise UsageProblem("--split-off divides a single file.", f"There are files for: {', '.join(source.paths)}.")
    numbers: Counter[int] = Counter()
    return Source(
        name=source.name,
        origin=source.origin,
        fingerprint=_fingerprint(source.paths, source.layout),
        read=lambda: _questions(source, numbers),
        rationale_files=recorded or {},
        authors_folder=authors_folder,
        notes=lambda: (*(note for path in source.paths.values() for note in reading_notes(path)), *_from_one(numbers)),
    )


def _from_one(numbers: Mapping[int, int]) -> list[str]:
    """A warning where answers are numbers, none of them 0."""
    if not numbers or numbers.get(0):
        return []
    span = f"{min(numbers)} to {max(numbers)}" if len(numbers) > 1 else f"all {min(numbers)}"
    return [
        f"The answers are numbers ({span}, never 0) and are read as counted from 0. If the first option is 1, import"
        " again with --answers-from 1; --answers-from 0 says that it is 0."
    ]


def _questions(source: _Files, numbers: Counter[int]) -> Iterator[Question]:
    layout, alone = source.layout, len(source.paths) == 1
    numbers.clear()
    for split, path in source.paths.items():
        split_of = _drawn(layout.split_off, path, split)
        for number, row in enumerate(read_rows(path), start=1):
            where = Where(file=path.name, row=number, numbers=numbers)
            own = _stated_split(row, where, layout) if alone or "split" in layout.columns else None
            if own is not None and layout.split_off:
                raise where.problem("split", "the file states its splits, and --split-off draws them.", "Use one.")
            yield parse_row(row, where, layout, dataset=source.name, split=own or split_of(number))


def _drawn(shares: Mapping[str, float], path: Path, rest: str) -> Callable[[int], str]:
    """Row number (from 1) -> split: each share is drawn with seed 0, the other rows are `rest`."""
    if not shares:
        return lambda number: rest
    order = list(range(1, 1 + sum(1 for _ in read_rows(path))))
    random.Random(0).shuffle(order)
    drawn: dict[int, str] = {}
    for split, share in shares.items():
        begin, size = len(drawn), round(share * len(order))
        drawn |= dict.fromkeys(order[begin : begin + size], split)
    return lambda number: drawn.get(number, rest)


def _stated_split(row: Mapping[str, Any], where: Where, layout: Layout) -> str | None:
    column = layout.names("split")[0]
    stated = lookup(row, column)
    if stated in (None, ""):
        if "split" in layout.columns and column not in row:
            raise where.problem(column, "it is missing.", f"The row has: {', '.join(map(str, row))}.")
        return None
    if str(stated).lower() not in SPLIT_NAMES:
        raise where.problem(column, f"'{str(stated)[:80]}' is none of {', '.join(SPLIT_NAMES)}.")
    return SPLIT_NAMES[str(stated).lower()]


def _fingerprint(paths: Mapping[str, Path], layout: Layout) -> str:
    """Changes when a file may have, by its place, size and time, with the split that it is, and with the layout. Reads
    no content."""
    stats = [
        [split, path.parent.name, path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for split, path in paths.items()
    ]
    return hashlib.sha256(canonical([stats, layout.describe()]).encode()).hexdigest()[:16]
