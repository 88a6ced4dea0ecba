"""Write rows of training data as a folder that other trainers read: JSONL, parquet or a Hugging Face data set."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import Busy, UsageProblem
from tinyllm_cli.export.data_rows import RowFormat
from tinyllm_cli.export.lm_eval_task import TASK_FOLDER, task_names, write_task
from tinyllm_cli.files import exclusive, to_disk

FileKind = Literal["jsonl", "parquet", "hf"]
Rows = Sequence[Mapping[str, Any]]

_TEMPORARY = ".{}.tinyllm-new-"


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """What is written for the data set `name`: rows by split, the card, and the questions of the lm-eval task."""

    name: str
    form: RowFormat
    kind: FileKind
    splits: Mapping[str, Rows]
    card: str
    test: Sequence[Question] = ()


def write_data(out: Path, data: DataFolder) -> None:
    """Write the splits that have rows to the new folder `out`: it has all of them or does not exist.

    Raises UsageProblem when the folder exists, and Busy when another process writes it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(out) as ours:
        if not ours:
            raise Busy(f"Another process exports to {out}.", "Wait until it has ended, or choose another --out.")
        if os.path.lexists(out):
            raise UsageProblem(f"{out} exists already.", "Choose another --out, or move it away.")
        prefix = _TEMPORARY.format(out.name)
        for killed in out.parent.glob(glob.escape(prefix) + "*"):
            shutil.rmtree(killed, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
        try:
            _write(temporary, {split: rows for split, rows in data.splits.items() if rows}, data.kind)
            if data.form == "llama-factory" and data.kind == "jsonl":
                _write_registry(temporary, list(data.splits), data.name)
            if data.test:
                write_task(temporary / TASK_FOLDER, data.name, data.test)
            (temporary / "README.md").write_text(data.card, encoding="utf-8")
            temporary.chmod(0o755)
            to_disk(*(path for path in temporary.rglob("*") if path.is_file()))
            temporary.rename(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        to_disk(out.parent)


def _write(folder: Path, splits: Mapping[str, Rows], kind: FileKind) -> None:
    if kind == "jsonl":
        for split, rows in splits.items():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        return
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    tables = DatasetDict({split: Dataset.from_list(list(map(dict, rows))) for split, rows in splits.items()})
    if kind == "hf":
        tables.save_to_disk(str(folder))
        return
    for split, table in tables.items():
        table.to_parquet(str(folder / f"{split}.parquet"))


def _write_registry(folder: Path, splits: Sequence[str], name: str) -> None:
    """LLaMA-Factory finds data sets by the dataset_info.json in its --dataset_dir."""
    entries = {
        f"{name}_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
        }
        for split in splits
        if (folder / f"{split}.jsonl").exists()
    }
    (folder / "dataset_info.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False), encoding="utf-8")


def data_card(name: str, counts: Mapping[str, int], kind: FileKind, lineage: Mapping[str, Mapping[str, Any]]) -> str:
    """The README of an exported data set: front matter by which `datasets.load_dataset` finds the files, and where the
    rationales are from."""
    lines = ["---", f"pretty_name: {json.dumps(name)}", "tags: [tinyllm]"]
    if kind != "hf":
        lines += ["configs:", "- config_name: default", "  data_files:"]
        lines += [
            part for split in counts
            for part in (f"  - split: {'validation' if split == 'valid' else split}", f"    path: {split}.{kind}")
        ]  # fmt: skip
    lines += ["---", "", "# Questions with the rationales of language models", ""]
    lines += [
        "Written by `tinyllm export-data`. `weight` is a rationale's weight in tinyllm's objective; trainers that do",
        "not read it weight all rows equally. A row without a teacher has the answer alone.",
        "",
    ]
    lines += ["| split | rows |", "| --- | --- |", *(f"| {split} | {count} |" for split, count in counts.items()), ""]
    if "test" in counts:
        causal, seq2seq = task_names(name)
        lines += [
            f"`{TASK_FOLDER}` has the test split as tasks for lm-evaluation-harness: `{causal}`, and `{seq2seq}` for",
            f"encoder-decoder models. `lm_eval --include_path {TASK_FOLDER} --tasks {causal} --model hf"
            " --model_args pretrained=MODEL`",
            "",
        ]
    if lineage:
        lines += ["Rationales in train, by teacher:", "", "```json", json.dumps(lineage, indent=1), "```", ""]
    return "\n".join(lines)
