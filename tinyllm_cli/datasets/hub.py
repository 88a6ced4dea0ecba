"""A data set of the Hugging Face hub, or of a local copy of its files.

Files come from each repository's `refs/convert/parquet` revision and are cached by the hub's own client, so that the
second time needs no network. A copy, in whatever format, is read by the same adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.row_files import SPLIT_NAMES
from tinyllm_cli.datasets.layout import Layout
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import format_of, read_rows
from tinyllm_cli.errors import UsageProblem, WorldProblem, command_text

REVISION = "refs/convert/parquet"
HubRow = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Where a data set lies and how its rows become `{id, question, options, answer}`.

    `files` maps the hub's split to the names of ours that its rows are divided among. A row with all fields of
    `signature`, and choices as an object, or as a list where they are `listed`, is a row of the hub's."""

    name: str
    repository: str
    config: str
    files: Mapping[str, str]
    signature: frozenset[str]
    layout: Layout
    adapt: Callable[[HubRow, str, int], HubRow]
    divide: Callable[[str, int], Callable[[int], str]] | None = None
    """(hub split, its size) -> (row number -> our split), where the splits are not the hub's."""

    listed: bool = False

    @property
    def source(self) -> str:
        return f"hub:{self.repository}/{self.config}@{REVISION}"

    def questions(self) -> Iterator[Question]:
        """Every question of every split, from the hub or its cache. All files are here before the first one comes.

        Raises WorldProblem when a file is not cached and the hub can't be reached."""
        yield from self.read({hub_split: [self._download(hub_split)] for hub_split in self.files}, self.repository)

    def read(self, files: Mapping[str, Sequence[Path]], place: str) -> Iterator[Question]:
        """The questions of these files, by the hub's split. `place` names them in messages."""
        for hub_split, paths in files.items():
            split_of = None
            if self.divide is not None:
                split_of = self.divide(hub_split, sum(1 for path in paths for _ in read_rows(path)))
            rows = (row for path in paths for row in read_rows(path))
            for number, row in enumerate(rows):
                where = Where(file=f"{place}, {hub_split}", row=number + 1)
                if not self.recognises(row):
                    raise UsageProblem(
                        f"{where.file}, row {where.row}: this is not a row of {self.name}.",
                        f"Its rows have: {', '.join(sorted(self.signature))}.",
                    )
                try:
                    adapted = self.adapt(row, hub_split, number)
                except (KeyError, TypeError, ValueError) as error:
                    raise UsageProblem(
                        f"{where.file}, row {where.row}: this is not a row of {self.name} ({error!r})."
                    ) from error
                if adapted:
                    split = split_of(number) if split_of else self.files[hub_split]
                    yield parse_row(adapted, where, self.layout, dataset=self.name, split=split)

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is laid out as the hub's."""
        kind = list if self.listed else Mapping
        return self.signature <= set(row) and isinstance(row.get("choices", [] if self.listed else {}), kind)

    def local_files(self, folder: Path) -> dict[str, list[Path]]:
        """The files of a copy of the repository, by the hub's split: `train.parquet`, `train/0000.parquet` or
        `data/train-00000-of-00001.parquet`. Those of other configurations are left out."""
        found: dict[str, list[Path]] = {}
        inside = [path for path in sorted(folder.rglob("*")) if format_of(path) and path.is_file()]
        own = [path for path in inside if self.config in path.relative_to(folder).parts[:-1]]
        for path in own or inside:
            names = [path.name.split(".")[0].split("-")[0], path.parent.name if path.parent != folder else ""]
            hub_split = next(filter(None, map(self.split_named, names)), None)
            if hub_split is not None:
                found.setdefault(hub_split, []).append(path)
        return {hub_split: found[hub_split] for hub_split in self.files if hub_split in found}

    def split_named(self, name: str) -> str | None:
        """The hub's split that a file or folder of this name holds; None for none."""
        split = SPLIT_NAMES.get(name.lower())
        hub_split = name.lower() if name.lower() in self.files else "validation" if split == "valid" else split
        return hub_split if hub_split in self.files else None

    def _download(self, hub_split: str) -> Path:
        from huggingface_hub import hf_hub_download

        from backends.hub import prepare

        prepare()
        name = f"{self.config}/{hub_split}/0000.parquet"
        try:
            return Path(hf_hub_download(self.repository, name, repo_type="dataset", revision=REVISION))
        except Exception as error:  # the hub's client lets its HTTP library's errors through
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a full or read-only disk, not the hub
            raise WorldProblem(
                f"The data set {self.name} ({self.repository}) is not on this machine and the hub can't be reached.",
                "Three ways on: a local copy of its files"
                f" ({command_text('import', 'FOLDER', '--name', self.name)}), the embedded data set (--dataset"
                " everyday), or a mirror (HF_ENDPOINT).",
            ) from error
