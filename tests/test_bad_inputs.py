"""Bad inputs of every command: a sentence that names the problem, exit code 1 or 2, and never a traceback."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import Command, write_dataset
from tests.models import make_folder, record_run
from tinyllm_cli.cli import app, main
from tinyllm_cli.store import open_store
from tinyllm_cli.terminal import printable

Content = str | bytes | Callable[[Path], object]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One bad input: `expected` is a part of the sentence that names the problem, `code` the exit code. `files` maps
    names to their content, or to what creates them. `base`: there is a database with the data set toy, rationales of
    boss and bossy, a run 1 whose student is gone, and a run 2. "{tiny}" in the command is the student of run 2."""

    id: str
    command: tuple[str, ...]
    expected: str
    code: int
    files: Mapping[str, Content]
    base: bool


ROW = {"id": "1", "question": "What floats?", "options": ["cork", "iron"], "answer_index": 0}
TOY = ["--dataset", "toy"]


def q(**changes: object) -> str:
    """A row of questions with these changes; None removes a field."""
    return json.dumps({key: value for key, value in {**ROW, **changes}.items() if value is not None}) + "\n"


def raw(before: str, after: str) -> str:
    return q().replace(before, after)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def to_database(path: Path) -> None:
    path.symlink_to("tinyllm.db")


def loop(path: Path) -> None:
    path.symlink_to(path)


def foreign_db(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE runs (name TEXT)")
    db.close()


def future_db(path: Path) -> None:
    open_store(path).close()
    with sqlite3.connect(path) as db:
        table = next(row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%migration%'"))
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        row = db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
        values = [f"999_{cell}" if name == "name" else cell for name, cell in zip(columns, row, strict=True)]
        values = [99999 if name == "id" else cell for name, cell in zip(columns, values, strict=True)]
        db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)
    db.close()


def damaged_db(path: Path) -> None:
    open_store(path).close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def copy_of_tiny(path: Path) -> None:
    shutil.copytree(tiny(), path)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def bert(path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    copy_of_tiny(path)
    size = json.loads((path / "config.json").read_text())["vocab_size"]
    config = BertConfig(
        vocab_size=size,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        initializer_range=1.0,
    )
    BertLMHeadModel(config).save_pretrained(path)


def kernel(path: Path) -> None:
    copy_of_tiny(path)
    edit(path / "config.json", _attn_implementation="owner/kernel")


def no_tokenizer(path: Path) -> None:
    copy_of_tiny(path)
    for file in path.glob("tokenizer*"):
        file.unlink()


def no_weights(path: Path) -> None:
    copy_of_tiny(path)
    (path / "model.safetensors").write_bytes(b"")


def zero_weights(path: Path) -> None:
    copy_of_tiny(path)
    (path / "model.safetensors").unlink()
    zero(path / "model.safetensors")


def raising_template(path: Path) -> None:
    copy_of_tiny(path)
    edit(path / "tokenizer_config.json", chat_template="{{ raise_exception('only roles of mine') }}")


def broken_json(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET settings = '{'")
    db.close()


def wrong_settings(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET settings = json_set(settings, '$.lr', 'fast')")
    db.close()


def broken_metrics(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET metrics = '[1]'")
    db.close()


@functools.cache
def tiny() -> Path:
    """The folder of a tiny student, made once."""
    return make_folder(Path(tempfile.mkdtemp()) / "tiny", "causal")


FIFO, FOLDER = os.mkfifo, Path.mkdir
DEEP = "[" * 300_000


def bad(id: str, expected: str, *command: str, code: int = 2, base: bool = True, **files: Content) -> Bad:
    return Bad(id=id, command=command, expected=expected, code=code, files=files, base=base)


def one(id: str, expected: str, content: Content, *options: str, name: str = "q.jsonl", code: int = 2) -> Bad:
    """Import one file of questions."""
    command = ("import", name, "--name", "new", *options)
    return bad(f"import-{id}", expected, *command, code=code, **{name: content})


def toml(id: str, expected: str, text: Content, teacher: str = "t", code: int = 2) -> Bad:
    """Elicit from a teacher of this tinyllm.toml."""
    command = ("elicit", "-t", teacher, "-d", "everyday", "--limit", "1")
    return bad(f"toml-{id}", expected, *command, code=code, **{"tinyllm.toml": text})


def recorded(id: str, expected: str, *rows: object, code: int = 2) -> Bad:
    """Import a file with these recorded rationales."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    command = ("import", "r.jsonl", "--teacher", "ann", "--dataset", "toy")
    return bad(f"recorded-{id}", expected, *command, code=code, **{"r.jsonl": text})


def name_of(id: str, expected: str, name: str) -> list[Bad]:
    """A name that is refused wherever it comes from."""
    rationale = '{"id": "train-0", "rationale": "So."}'
    table = f"[teachers.{json.dumps(name)}]\nbackend = 'scripted'\nreplies = ['a']\n"
    return [
        bad(f"name-of-data-{id}", expected, "import", "q.jsonl", "--name", name, **{"q.jsonl": q()}),
        bad(f"name-of-teacher-{id}", expected, "import", "r.jsonl", "--teacher", name, *TOY, **{"r.jsonl": rationale}),
        toml(f"name-{id}", expected, table),
    ]


T = "[teachers.t]\nbackend = '{}'\n"
S = T.format("scripted") + "replies = ['It floats.']\n"
P = T.format("openai") + "model = 'm'\n"
R = T.format("recorded")
H = T.format("huggingface")
V = T.format("vllm")
D = "[datasets.d]\n"

# fmt: off
BAD = [
    bad("import-no-file", "There is no file or folder q.jsonl.", "import", "q.jsonl", base=False),
    bad("import-no-folder", "There is no file or folder none.", "import", "none/", base=False),
    bad("import-empty-folder", "d holds no data set.", "import", "d", base=False, d=FOLDER),
    bad("import-nul", "Invalid value for 'path': embedded null byte", "import", "a\0b.jsonl", base=False),
    bad("import-long-path", "File name too long:", "import", "a" * 300 + ".jsonl", base=False, code=1),
    bad("import-empty-path", ". holds no data set.", "import", "", base=False),
    bad("import-no-path", "There is nothing to import.", "import", base=False),
    one("text", "q.txt is not a file that tinyllm reads.", "a", name="q.txt"),
    one("xlsx", "q.xlsx is a spreadsheet, which tinyllm does not read.", b"PK", name="q.xlsx"),
    one("fifo", "q.jsonl can't be read: it is not a regular file.", FIFO),
    one("fifo-csv", "q.csv can't be read: it is not a regular file.", FIFO, name="q.csv"),
    one("fifo-json", "q.json can't be read: it is not a regular file.", FIFO, name="q.json"),
    one("fifo-parquet", "q.parquet can't be read: it is not a regular file.", FIFO, name="q.parquet"),
    one("zero", "q.jsonl can't be read: it is not a regular file.", zero),
    one("zero-csv", "q.csv can't be read: it is not a regular file.", zero, name="q.csv"),
    one("zero-gz", "q.jsonl.gz can't be read: it is not a regular file.", zero, name="q.jsonl.gz"),
    one("folder", "q.jsonl holds no data set.", FOLDER),
    one("dangling", "There is no file or folder q.jsonl.", dangling),
    one("loop", "There is no file or folder q.jsonl.", loop),
    one("empty", "holds no questions.", ""),
    one("empty-json", "q.json can't be read: it is not valid JSON: it is empty.", "", name="q.json"),
    one("empty-array", "holds no questions.", "[]", name="q.json"),
    one("empty-csv", "holds no questions.", "", name="q.csv"),
    one("broken-jsonl", "q.jsonl can't be read: line 1: this is not JSON (Expecting property", "{"),
    one("broken-json", "q.json can't be read: it is not valid JSON (Expecting property name", "[{", name="q.json"),
    one("comma-json", "q.json, row 1, fields 'id', 'question', 'options', 'answer': they are", "[{},]", name="q.json"),
    one("deep-json", "q.json can't be read: it is nested too deeply.", DEEP, name="q.json"),
    one("deep-jsonl", "q.jsonl can't be read: line 1 is nested too deeply.", '{"id":' + DEEP),
    one("deep-cell", "q.csv, row 1, field 'options': the text is not a JSON array.",
        'id,question,options,answer\n1,a,"' + "[" * 90_000 + '",0\n', name="q.csv"),
    one("long-line", "q.jsonl can't be read: line 1 is longer than 8 MiB.", '{"id": "' + "a" * (9 << 20)),
    one("long-value", "q.json can't be read: one of its values is longer than 8 MiB, or not",
        '[{"id": "' + "a" * (9 << 20), name="q.json"),
    one("digits", "q.jsonl can't be read: line 1: this is not JSON (Exceeds the limit", raw('"answer_index": 0',
        '"answer_index": ' + "9" * 5000)),
    one("digits-json", "q.json can't be read: it holds a number that can't be read (Exceeds the",
        "[" + raw('"answer_index": 0', '"answer_index": ' + "9" * 5000) + "]", name="q.json"),
    one("digits-text", "q.jsonl, row 1, field 'answer': 99999999999999999999 is not an index",
        q(answer_index="9" * 5000)),
    one("not-gzip", "q.jsonl.gz can't be read: Not a gzipped file (b'ab').", "abc", name="q.jsonl.gz"),
    one("cut-gzip", "q.jsonl.gz can't be read: Compressed file ended before the",
        gzip.compress(q().encode() * 99)[:40], name="q.jsonl.gz"),
    one("not-utf8", "q.jsonl can't be read: 'utf-8' codec can't decode byte 0xff in position", b'{"id": "\xff"}'),
    one("half-utf16", "q.csv can't be read: 'utf-16-le' codec can't decode byte 0x61 in", b"\xff\xfea", name="q.csv"),
    one("same-columns", "q.csv can't be read: two columns are called 'a'; rename one of them.",
        "id,question,a,a,answer\n1,b,c,d,a\n", name="q.csv"),
    one("more-cells", "q.csv, row 1: it has more cells than there are names in the first line.",
        "id,question,a,b,answer\n1,b,c,d,a,e\n", "--map", "options=a,b", name="q.csv"),
    one("only-head", "holds no questions.", "id,question,options,answer\n", name="q.csv"),
    one("long-cell", "q.csv can't be read: field larger than field limit (131072).",
        "id,question\n1," + "a" * 200_000 + "\n", name="q.csv"),
    one("open-quote", "q.csv, row 1, field 'options': it is empty.", 'id,question,options,answer\n1,"a,b,c\n',
        name="q.csv"),
    one("scalar", "q.jsonl, row 1: expected an object, found int.", "5\n"),
    one("array-row", "q.jsonl, row 1: expected an object, found int.", "[1]\n"),
    one("null-row", "q.jsonl, row 1: expected an object, found NoneType.", "null\n"),
    one("text-row", "q.jsonl, row 1: expected an object, found str.", '"a"\n'),
    one("object", "q.json, row 1, fields 'id', 'question', 'options', 'answer': they are", '{"data": []}',
        name="q.json"),
    one("no-fields", "q.jsonl, row 1, fields 'id', 'question', 'options', 'answer': they are", "{}\n"),
    one("no-answer", "q.jsonl, row 1, field 'answer': it is missing.", q(answer_index=None)),
    one("null-question", "q.jsonl, row 1, field 'question': it is empty.", raw('"What floats?"', "null")),
    one("blank-question", "q.jsonl, row 1, field 'question': it is empty.", q(question=" ")),
    one("list-question", "q.jsonl, row 1, field 'question': expected a text, found a list.", q(question=["a"])),
    one("list-id", "q.jsonl, row 1, field 'id': expected a text, found a list.", q(id=["a"])),
    one("empty-id", "q.jsonl, row 1, field 'id': it is empty.", q(id="")),
    one("context-object", "q.jsonl, row 1, field 'context': expected a text, found an object.", q(context={"a": 1})),
    one("surrogate", "q.jsonl, row 1, field 'question': \\ud800 is half of a character, whose", q(question="\ud800")),
    one("options-text", "q.jsonl, row 1, field 'options': the text is not a JSON array.", q(options="cork")),
    one("options-number", "q.jsonl, row 1, field 'options': expected a list of texts.", q(options=3)),
    one("options-null", "q.jsonl, row 1, field 'options': expected a list of texts.", q(options=["a", None])),
    one("options-nested", "q.jsonl, row 1, field 'options': expected a text, found a list.", q(options=[["a"], ["b"]])),
    one("options-blank", "q.jsonl, row 1, field 'options': one of them is empty.", q(options=["a", " "])),
    one("one-option", "q.jsonl, row 1, field 'options': there are 1; a question has 2 to 26.", q(options=["a"])),
    one("27-options", "q.jsonl, row 1, field 'options': there are 27; a question has 2 to 26.", q(options=list(map(str,
        range(27))))),
    one("same-options-text", "q.jsonl, row 1, field 'answer': 'a' is the text of more than one option.",
        q(options=["a", "b", "a"], answer_index=None, answer="a")),
    one("label-number", "q.jsonl, row 1, field 'options': expected a list of texts.", q(options={"text": ["a", "b"],
        "label": 5})),
    one("labels-more", "q.jsonl, row 1, field 'options': there are 2 of them, and 1 labels.", q(options={"text": ["a",
        "b"], "label": ["A"]})),
    one("label-only", "q.jsonl, row 1, field 'options': expected a list of texts.", q(options={"label": ["A", "B"]})),
    one("answer-2", "q.jsonl, row 1, field 'answer': 2 is not an index from 0 to 1, and no", q(answer_index=2)),
    one("answer-negative", "q.jsonl, row 1, field 'answer': -1 is not an index from 0 to 1, and no",
        q(answer_index=-1)),
    one("answer-half", "q.jsonl, row 1, field 'answer': '0.5' is not among the options ('cork',", q(answer_index=0.5)),
    one("answer-nan", "q.jsonl, row 1, field 'answer': 'nan' is not among the options ('cork',",
        q(answer_index=float("nan"))),
    one("answer-list", "q.jsonl, row 1, field 'answer': '[0]' is not among the options ('cork',", q(answer_index=[0])),
    one("answer-unknown", "q.jsonl, row 1, field 'answer': 'wood' is not among the options", q(answer_index="wood")),
    one("answer-true", "q.jsonl, row 1, field 'answer': 'True' is not among the options", q(answer_index=True)),
    one("answer-either", "q.jsonl, row 1, field 'answer': 1 may be an index or the option '1'.", q(options=["1", "0"],
        answer_index=None, answer=1)),
    one("same-id", "new, split train, row 2: the id '1' is there already.", q() + q(question="What sinks?")),
    one("unknown-split", "q.jsonl, row 1, field 'split': 'dev2' is none of train, valid,", q(split="dev2"), "--map",
        "split=split"),
    one("map-form", "question' is not a column mapping.", q(), "--map", "question"),
    one("map-field", "title=a' is not a column mapping.", q(), "--map", "title=a"),
    one("map-twice", "--map names two columns for id: a and b.", q(), "--map", "id=a", "--map", "id=b"),
    one("map-column", "q.jsonl, row 1, field 'title': it is missing.", q(), "--map", "question=title"),
    one("options-one", "--options 'yes' is not a list of 2 to 26 different texts.", q(), "--options", "yes"),
    one("options-twice", "--options 'a,a' is not a list of 2 to 26 different texts.", q(), "--options", "a,a"),
    one("answers-from", "Invalid value for '--answers-from': Input should be less than or equal", q(),
        "--answers-from", "2"),
    one("share", "--split-off 'test=2' is not a share of the rows.", q(), "--split-off", "test=2"),
    one("shares", "--split-off leaves no question for train.", q(), "--split-off", "test=0.5", "--split-off",
        "valid=0.6"),
    one("share-nan", "--split-off 'test=nan' is not a share of the rows.", q(), "--split-off", "test=nan"),
    one("share-train", "--split-off 'train=0.5' is not a share of the rows.", q(), "--split-off", "train=0.5"),
    one("rename-form", "--rename: 'a' is not of the form FOUND=NAME.", q(), "--rename", "a"),
    one("rename-unknown", "--rename unknown=b: there are no rationales of 'unknown'.", q(), "--rename", "unknown=b"),
    one("teacher-alone", "--teacher and --dataset go together.", q(), "--teacher", "a"),
    one("teacher-and-map", "--name, --map, --rename, --options, --answers-from and --split-off are", q(), "--teacher",
        "a", "--dataset", "b", "--map", "id=x"),
    one("bad-bioasq", "q.json, row 1: expected an object, found int.", '{"questions": [5]}', name="q.json"),
    *name_of("esc", "can't be called 'a\\x1b[31m': it holds '\\x1b'.", "a\x1b[31m"),
    *name_of("rlo", "can't be called 'a\\u202eb': it holds '\\u202e'.", "a\u202eb"),
    *name_of("newline", "can't be called 'a\\nb': it holds '\\n'.", "a\nb"),
    *name_of("slash", "can't be called '../a': it holds '/'.", "../a"),
    *name_of("comma", "can't be called 'a,b': it holds ','.", "a,b"),
    *name_of("equals", "can't be called 'a=b': it holds '='.", "a=b"),
    *name_of("dots", "can't be called '..': it begins with '.'.", ".."),
    *name_of("long", "can't be called '", "a" * 250),
    *name_of("empty", "can't be called '': it is empty or begins or ends with a", ""),
    *name_of("space", "can't be called ' a': it is empty or begins or ends with a", " a"),
    recorded("no-rationale", "r.jsonl, row 1: there is no field 'rationale'.", {"id": "train-0"}),
    recorded("no-id", "r.jsonl, row 1: there is no field 'id'.", {"rationale": "a"}),
    recorded("index-7", "No rationale of ann could be imported: answer_index 7 is none of the 4", {"id": "train-0",
        "rationale": "a", "answer_index": 7}, code=1),
    recorded("index-text", "r.jsonl, row 1: the answer index 'x' is not an option's number.", {"id": "train-0",
        "rationale": "a", "answer_index": "x"}),
    recorded("list", "r.jsonl, row 1, field 'rationale': expected a text, found a list.", {"id": "train-0",
        "rationale": ["a"]}),
    recorded("digits", "r.jsonl can't be read: line 1: this is not JSON (Exceeds the limit",
        '{"id": "train-0", "rationale": "a", "answer_index": ' + "9" * 5000 + "}"),
    recorded("deep", "r.jsonl can't be read: it is nested too deeply.", DEEP),
    recorded("other-ids", "None of the rationales of ann belongs to a question of toy.", {"id": "x", "rationale": "a"}),
    recorded("split", "None of the rationales of ann belongs to a question of toy.", {"id": "train-0",
        "rationale": "a", "split": "dev2"}),
    recorded("scalar", "r.jsonl, row 1: expected an object with fields, found int.", 5),
    recorded("none", "None of the rationales of ann belongs to a question of toy."),
    recorded("surrogate", "r.jsonl, row 1: \\ud800 is half of a surrogate pair, without its other", {"id": "train-0",
        "rationale": "\ud800"}),
    bad("recorded-fifo", "r.jsonl can't be read: it is not a regular file.", "import", "r.jsonl", "--teacher", "ann",
        *TOY, **{"r.jsonl": FIFO}),
    bad("recorded-zero", "r.csv can't be read: it is not a regular file.", "import", "r.csv", "--teacher", "ann", *TOY,
        **{"r.csv": zero}),
    bad("recorded-unknown-data", "There is no data set called 'nope', and no file or folder of that name.", "import",
        "r.jsonl", "--teacher", "ann", "--dataset", "nope", **{"r.jsonl": '{"id": "a", "rationale": "b"}'}),
    bad("rationales-bad-name", "A teacher can't be called 'a=b': it holds '='.", "import", "d", base=False,
        **{"d/train.jsonl": q(), "d/rationales/a=b.jsonl": '{"id": "1", "rationale": "b"}'}),
    bad("rationales-fifo", "d/rationales/ann.jsonl can't be read: it is not a regular file.", "import", "d",
        base=False, **{"d/train.jsonl": q(), "d/rationales/ann.jsonl": FIFO}),
    bad("import-two-formats", "d has two files for the split train: train.csv, train.jsonl.", "import", "d",
        base=False, **{"d/train.jsonl": q(), "d/train.csv": "id\n"}),
    bad("import-other-splits", "d holds no data set.", "import", "d", base=False, **{"d/first.jsonl": q()}),
    bad("import-share-of-folder", "--split-off divides a single file.", "import", "d", "--split-off", "test=0.2",
        base=False, **{"d/train.jsonl": q(), "d/test.jsonl": q()}),
    toml("broken", "tinyllm.toml can't be read: Invalid initial character for a key part", "["),
    toml("deep", "tinyllm.toml can't be read: it is nested too deeply.", "a = " + "[" * 5000),
    toml("deep-tables", "tinyllm.toml can't be read: it is nested too deeply.", "a = " + "{a=" * 5000),
    toml("digits", "tinyllm.toml can't be read: Exceeds the limit (4300 digits) for integer", "a = " + "9" * 5000),
    toml("fifo", "tinyllm.toml can't be read: it is not a regular file.", FIFO),
    toml("zero", "tinyllm.toml can't be read: it is not a regular file.", zero),
    toml("folder", "tinyllm.toml can't be read: it is a folder.", FOLDER),
    toml("not-utf8", "tinyllm.toml can't be read: it is not UTF-8 (byte 5).", b"a = '\xff'"),
    toml("dangling", "There is no configuration file tinyllm.toml.", dangling),
    toml("unknown", "tinyllm.toml: unknown setting 'x'.", "[x]\n"),
    toml("teachers-list", "tinyllm.toml: 'teachers' must hold tables, such as [teachers.NAME].", "teachers = [1]"),
    toml("teachers-text", "tinyllm.toml: 'teachers' must hold tables, such as [teachers.NAME].", "[teachers]\nt = 'a'"),
    toml("currency", "tinyllm.toml: currency can't be 'euro': it takes an ISO 4217 code, three", "currency = 'euro'"),
    toml("currency-number", "tinyllm.toml: currency can't be 978: it takes an ISO 4217 code, three", "currency = 978"),
    toml("currency-in-table", "tinyllm.toml, [teachers.t]: currency is one setting for all teachers.",
        S + "currency = 'EUR'"),
    toml("gates-number", "tinyllm.toml: 'gates' must be a table: [gates].", "gates = 1"),
    toml("no-backend", "tinyllm.toml, [teachers.t]: 'backend' is missing.", "[teachers.t]\n"),
    toml("backend-number", "tinyllm.toml, [teachers.t]: 'backend' is missing.", "[teachers.t]\nbackend = 1"),
    toml("backend-unknown", "There is no backend called 'nope'.", T.format("nope")),
    toml("dotted", "tinyllm.toml, [teachers.gpt-4]: 'backend' is missing.",
        "[teachers.gpt-4.1]\nbackend = 'scripted'\n", "gpt"),
    toml("key", "tinyllm.toml, [teachers.t]: a key doesn't belong here.", P + "api_key = 'sk-123'"),
    toml("key-env", "api_key_env takes the name of a variable.",
        P + "api_key_env = 'sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"),
    toml("prefix", "tinyllm.toml, [teachers.t]: prefix must be a text.", S + "prefix = 1"),
    toml("prefix-blank", "tinyllm.toml, [teachers.t]: prefix must be a text.", S + "prefix = ' '"),
    toml("forcing", "tinyllm.toml, [teachers.t]: teacher_forcing is for recorded rationales.",
        S + "teacher_forcing = true"),
    toml("forcing-text", "tinyllm.toml, [teachers.t]: teacher_forcing must be true or false.",
        R + "path = 'a'\nteacher_forcing = 'yes'"),
    toml("setting", "The scripted backend has no setting 'nope'.", S + "nope = 1"),
    toml("date", "tinyllm.toml, [teachers.t]: nope can't be 1979-05-27.", S + "nope = 1979-05-27"),
    toml("date-in-engine", "tinyllm.toml, [teachers.t]: a can't be 1979-05-27.",
        V + "model = 'm'\nengine = { a = 1979-05-27 }"),
    toml("inf", "tinyllm.toml, [teachers.t]: temperature can't be inf.", S + "temperature = inf"),
    toml("nan", "tinyllm.toml, [teachers.t]: top_p can't be nan.", S + "top_p = nan"),
    toml("max-tokens", "tinyllm.toml, [teachers.t]: max_tokens can't be 0.", S + "max_tokens = 0"),
    toml("max-tokens-true", "tinyllm.toml, [teachers.t]: max_tokens can't be True.", S + "max_tokens = true"),
    toml("seed", "tinyllm.toml, [teachers.t]: seed can't be 99999999999999999999999.",
        S + "seed = 99999999999999999999999"),
    toml("stop", "tinyllm.toml, [teachers.t]: stop can't be 'a'.", S + "stop = 'a'"),
    toml("stop-empty", "tinyllm.toml, [teachers.t]: stop can't be [''].", S + "stop = ['']"),
    toml("replies", "A scripted teacher needs replies.", T.format("scripted") + "replies = []"),
    toml("replies-numbers", "Scripted `replies` are texts, and `delay` is a number of seconds, 0 or",
        T.format("scripted") + "replies = [1]"),
    toml("no-replies", "A scripted teacher needs replies.", T.format("scripted")),
    toml("no-path", "A recorded teacher needs the file that holds its rationales.", R),
    toml("path-missing", "There is no file", R + "path = 'none.jsonl'"),
    toml("path-number", "The recorded backend's setting 'path' can't be 3.", R + "path = 3"),
    toml("path-nul", "can't be read: a path holds no NUL character.", R + 'path = "a\\u0000b.jsonl"'),
    toml("no-model", "An openai teacher needs a model.", T.format("openai")),
    toml("model-number", "The openai backend's setting 'model' can't be 3.", T.format("openai") + "model = 3"),
    toml("model-folder", "There is no model at", H + "model = './none'", code=1),
    toml("model-nul", "There is no model at", H + 'model = "./a\\u0000b"', code=1),
    toml("url", "nope' is no URL of an endpoint.", P + "base_url = 'nope'"),
    toml("url-number", "3' is no URL of an endpoint.", P + "base_url = 3"),
    toml("url-password", "The URL of localhost holds a user name or password, which would be",
        P + "base_url = 'http://alice:pw@localhost:1/v1'"),
    toml("url-token", "The URL of localhost holds a secret in its parameter 'token', which",
        P + "base_url = 'http://localhost:1/v1?token=abc'"),
    toml("url-port", "http://localhost:99999999/v1' is no URL of an endpoint.",
        P + "base_url = 'http://localhost:99999999/v1'"),
    toml("url-ftp", "ftp://a/' is no URL of an endpoint.", P + "base_url = 'ftp://a/'"),
    toml("url-ipv6", "http://[::1/v1' is no URL of an endpoint.", P + "base_url = 'http://[::1/v1'"),
    toml("url-newline", "http://a\\nb/v1' is no URL of an endpoint.", P + 'base_url = "http://a\\nb/v1"'),
    toml("limits", "max_in_flight must be a whole number, 1 or more.", P + "max_in_flight = -1"),
    toml("extra", "The openai backend's setting 'extra' can't be 3.", P + "extra = 3"),
    toml("timeout", "max_attempts must be 1 or more, timeout and give_up_after over 0.", P + "timeout = -1"),
    toml("command", "command can't be 'vllm \"serve'.", V + "model = 'm'\ncommand = 'vllm \"serve'"),
    toml("command-nul", "There is no program a\ufffdb to start vLLM with.", V + 'model = "m"\ncommand = ["a\\u0000b"]'),
    toml("engine-token", "The setting 'engine.hf_token' holds a secret, which would be stored and",
        V + "model = 'm'\nengine = { hf_token = 'hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }"),
    bad("toml-data-no-split", "tinyllm.toml, [datasets.d]: no split is given.", "elicit", "-t", "expert", "-d", "d",
        base=False, **{"tinyllm.toml": D}),
    bad("toml-data-missing", "tinyllm.toml, [datasets.d]: there is no file", "elicit", "-t", "expert", "-d", "d",
        base=False, **{"tinyllm.toml": "[datasets.d]\ntrain = 'none.jsonl'"}),
    bad("toml-data-number", "tinyllm.toml, [datasets.d]: 'train' must be a text, not 1.", "elicit", "-t", "expert",
        "-d", "d", base=False, **{"tinyllm.toml": "[datasets.d]\ntrain = 1"}),
    bad("toml-data-unknown", "tinyllm.toml, [datasets.d]: unknown setting 'dev'.", "elicit", "-t", "expert", "-d", "d",
        base=False, **{"tinyllm.toml": "[datasets.d]\ndev = 'a'"}),
    bad("toml-data-columns", "tinyllm.toml, [datasets.d]: 'columns' must be a table.", "elicit", "-t", "expert", "-d",
        "d", base=False, **{"tinyllm.toml": "[datasets.d]\ntrain = 'a'\ncolumns = 1"}),
    bad("toml-data-options", "tinyllm.toml, [datasets.d]: 'options' must be a list of texts.", "elicit", "-t",
        "expert", "-d", "d", base=False, **{"tinyllm.toml": "[datasets.d]\ntrain = 'a'\noptions = [1]"}),
    bad("toml-data-answers", "tinyllm.toml, [datasets.d]: 'answers_from' must be 0 or 1.", "elicit", "-t", "expert",
        "-d", "d", base=False, **{"tinyllm.toml": "[datasets.d]\ntrain = 'a'\nanswers_from = true"}),
    bad("toml-data-nul", "tinyllm.toml, [datasets.d]: there is no file", "elicit", "-t", "expert", "-d", "d",
        base=False, **{"tinyllm.toml": '[datasets.d]\ntrain = "a\\u0000b.jsonl"'}),
    bad("toml-data-fifo", "can't be read: it is not a regular file.", "elicit", "-t", "expert", "-d", "d", base=False,
        **{"tinyllm.toml": '[datasets.d]\ntrain = "a.jsonl"', "a.jsonl": FIFO}),
    bad("toml-data-name", "A data set can't be called 'a/b': it holds '/'.", "elicit", "-t", "expert", "-d", "d",
        base=False, **{"tinyllm.toml": "[datasets.'a/b']\ntrain = 'a'"}),
    bad("toml-gates-unknown", "[gates] has no setting 'nope'.", "gate", *TOY, **{"tinyllm.toml": "[gates]\nnope = 1"}),
    bad("toml-gates-text", "[gates] min_words must be a whole number, 0 or more.", "gate", *TOY,
        **{"tinyllm.toml": "[gates]\nmin_words = 'a'"}),
    bad("toml-gates-negative", "[gates] min_words must be a whole number, 0 or more.", "gate", *TOY,
        **{"tinyllm.toml": "[gates]\nmin_words = -1"}),
    bad("toml-gates-nan", "[gates] min_words must be a whole number, 0 or more.", "gate", *TOY,
        **{"tinyllm.toml": "[gates]\nmin_words = nan"}),
    bad("toml-gates-off", "[gates] off: there is no gate 'nope'.", "gate", *TOY,
        **{"tinyllm.toml": "[gates]\noff = ['nope']"}),
    bad("info-more", "Got unexpected extra argument(s) (more)", "info", "more"),
    bad("env-fifo", ".env can't be read: it is not a regular file.", "report", base=False, **{".env": FIFO}),
    bad("env-zero", ".env can't be read: it is not a regular file.", "report", base=False, **{".env": zero}),
    bad("env-folder", ".env can't be read: it is a folder.", "report", base=False, **{".env": FOLDER}),
    bad("env-not-utf8", ".env can't be read: it is not UTF-8 (byte 2).", "report", base=False, **{".env": b"A=\xff"}),
    bad("env-long", ".env can't be read: it is larger than 8 MiB.", "report", base=False,
        **{".env": "A=" + "a" * 9437184}),
    bad("env-loop", ".env can't be read: [Errno 40] Too many levels of symbolic links:", "report", base=False,
        **{".env": loop}),
    bad("env-db-nul", ".env can't be read: the value of TINYLLM_DB holds a NUL character.", "report", base=False,
        **{".env": 'TINYLLM_DB="a\u0000b"'}),
    bad("env-config", "There is no database tinyllm.db here yet.", "report", base=False, code=1,
        **{".env": "TINYLLM_CONFIG=none.toml"}),
    bad("elicit-no-teacher", "Missing option '--teacher' / '-t'.", "elicit", *TOY),
    bad("elicit-no-data", "Missing option '--dataset' / '-d'.", "elicit", "-t", "expert"),
    bad("elicit-unknown-teacher", "There is no teacher called 'gpt9'.", "elicit", "-t", "gpt9", *TOY),
    bad("elicit-ambiguous-teacher", "s' could be any of these teachers: small, smollm2.", "elicit", "-t", "s", *TOY,
        **{"tinyllm.toml": S.replace("[teachers.t]", "[teachers.small]")}),
    bad("elicit-empty-teacher", "There is no teacher called ''.", "elicit", "-t", "", *TOY),
    bad("elicit-esc-teacher", "There is no teacher called 'a\ufffd[31m\ufffd'.", "elicit", "-t", "a\x1b[31m\u202e",
        *TOY),
    bad("elicit-unknown-data", "There is no data set called 'nope', and no file or folder of that name.", "elicit",
        "-t", "expert", "-d", "nope"),
    bad("elicit-path-data", "There is no data set called '../../etc/passwd', and no file or folder", "elicit", "-t",
        "expert", "-d", "../../etc/passwd"),
    bad("elicit-nul-data", "There is no data set called 'a\ufffdb', and no file or folder of that name.", "elicit",
        "-t", "expert", "-d", "a\0b"),
    bad("elicit-empty-data", ". holds no data set.", "elicit", "-t", "expert", "-d", ""),
    bad("elicit-fifo-data", "d.jsonl can't be read: it is not a regular file.", "elicit", "-t", "expert", "-d",
        "./d.jsonl", **{"d.jsonl": FIFO}),
    bad("elicit-dev-zero", "/dev/zero is not a file that tinyllm reads.", "elicit", "-t", "expert", "-d", "/dev/zero"),
    bad("elicit-no-match", "None of these rationales belongs to a question of toy, split train.", "elicit", "-t",
        "expert", *TOY),
    bad("elicit-split", "Invalid value for '--split': 'dev' is not one of 'train', 'valid',", "elicit", "-t", "t",
        *TOY, "--split", "dev"),
    bad("elicit-empty-split", "The data set toy has no split 'valid'.", "elicit", "-t", "t", *TOY, "--split", "valid",
        **{"tinyllm.toml": S}),
    bad("elicit--icl=-1", "Invalid value for '--icl': Input should be greater than or equal to 0", "elicit", "-t", "t",
        *TOY, "--icl=-1", **{"tinyllm.toml": S}),
    bad("elicit--icl=17", "Invalid value for '--icl': Input should be less than or equal to 16", "elicit", "-t", "t",
        *TOY, "--icl=17", **{"tinyllm.toml": S}),
    bad("elicit--samples=0", "Invalid value for '--samples': Input should be greater than or equal to", "elicit", "-t",
        "t", *TOY, "--samples=0", **{"tinyllm.toml": S}),
    bad("elicit--samples=999999999999", "Invalid value for '--samples': Input should be less than or equal to",
        "elicit", "-t", "t", *TOY, "--samples=999999999999", **{"tinyllm.toml": S}),
    bad("elicit--temperature=inf", "Invalid value for '--temperature': Input should be less than or equal", "elicit",
        "-t", "t", *TOY, "--temperature=inf", **{"tinyllm.toml": S}),
    bad("elicit--temperature=nan", "Invalid value for '--temperature': Input should be less than or equal", "elicit",
        "-t", "t", *TOY, "--temperature=nan", **{"tinyllm.toml": S}),
    bad("elicit--temperature=-1", "Invalid value for '--temperature': Input should be greater than or", "elicit", "-t",
        "t", *TOY, "--temperature=-1", **{"tinyllm.toml": S}),
    bad("elicit--top-p=0", "Invalid value for '--top-p': Input should be greater than or equal to", "elicit", "-t",
        "t", *TOY, "--top-p=0", **{"tinyllm.toml": S}),
    bad("elicit--top-p=nan", "Invalid value for '--top-p': Input should be less than or equal to 1", "elicit", "-t",
        "t", *TOY, "--top-p=nan", **{"tinyllm.toml": S}),
    bad("elicit--max-tokens=0", "Invalid value for '--max-tokens': Input should be greater than or equal", "elicit",
        "-t", "t", *TOY, "--max-tokens=0", **{"tinyllm.toml": S}),
    bad("elicit--max-tokens=999999999999999999999999999999",
        "Invalid value for '--max-tokens': Input should be less than or equal to 10000000", "elicit", "-t", "t", *TOY,
        "--max-tokens=999999999999999999999999999999", **{"tinyllm.toml": S}),
    bad("elicit--seed=999999999999999999999999999999", "Error: seed can't be 999999999999999999999999999999.",
        "elicit", "-t", "t", *TOY, "--seed=999999999999999999999999999999", **{"tinyllm.toml": S}),
    bad("elicit--budget=nan", "Invalid value for '--budget': Input should be greater than or equal to 0", "elicit",
        "-t", "t", *TOY, "--budget=nan", **{"tinyllm.toml": S}),
    bad("elicit--budget=-1", "Invalid value for '--budget': Input should be greater than or equal to 0", "elicit",
        "-t", "t", *TOY, "--budget=-1", **{"tinyllm.toml": S}),
    bad("elicit--budget=inf", "What t charges is unknown, so --budget can't be kept.", "elicit", "-t", "t", *TOY,
        "--budget=inf", **{"tinyllm.toml": S}),
    bad("elicit--limit=0", "Invalid value for '--limit': Input should be greater than or equal to 1", "elicit", "-t",
        "t", *TOY, "--limit=0", **{"tinyllm.toml": S}),
    bad("elicit--limit=x", "Invalid value for '--limit': Input should be a valid integer, unable to", "elicit", "-t",
        "t", *TOY, "--limit=x", **{"tinyllm.toml": S}),
    bad("elicit--max-tokens-total=0", "Invalid value for '--max-tokens-total': Input should be greater than or",
        "elicit", "-t", "t", *TOY, "--max-tokens-total=0", **{"tinyllm.toml": S}),
    bad("elicit--nope=1", "No such option: --nope (Possible options: --on, --top-p)",
        "elicit", "-t", "t", *TOY, "--nope=1", **{"tinyllm.toml": S}),
    bad("elicit-pilot-dry-run", "--pilot and --dry-run exclude each other.", "elicit", "-t", "t", *TOY, "--pilot",
        "--dry-run", **{"tinyllm.toml": S}),
    bad("elicit-batch-scripted", "t has no batch API: its backend is 'scripted'.", "elicit", "-t", "t", *TOY,
        "--batch", **{"tinyllm.toml": S}),
    bad("elicit-no-wait-alone", "--no-wait needs --batch.", "elicit", "-t", "t", *TOY, "--no-wait",
        **{"tinyllm.toml": S}),
    bad("elicit--on=slurm", "Invalid value for '--on': 'slurm' is not one of 'local', 'ray'", "elicit", "-t", "t", *TOY,
        "--on=slurm", **{"tinyllm.toml": S}),
    bad("elicit--replicas=0", "Invalid value for '--replicas': Input should be greater than or equal to 1", "elicit",
        "-t", "t", *TOY, "--on=ray", "--replicas=0", **{"tinyllm.toml": S}),
    bad("elicit-replicas-here", "--replicas needs a cluster, and t runs here.", "elicit", "-t", "t", *TOY,
        "--replicas=2", **{"tinyllm.toml": S}),
    bad("elicit-batch-on-ray", "--batch is for endpoints, and t runs on a cluster.", "elicit", "-t", "t", *TOY,
        "--batch", "--on=ray", **{"tinyllm.toml": S}),
    bad("elicit-recorded-on-ray", "A teacher of the backend 'recorded' has no engine to run on a cluster.", "elicit",
        "-t", "expert", *TOY, "--on=ray"),
    bad("elicit-no-cluster", "No Ray cluster answers at 127.0.0.1:9: Connection refused.", "elicit", "-t", "t", *TOY,
        code=1, **{"tinyllm.toml": S + "cluster = { address = '127.0.0.1:9' }\n"}),
    bad("elicit-cluster-address", "'nowhere' is not the address of a Ray cluster.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": S + "cluster = { address = 'nowhere' }\n"}),
    bad("toml-cluster-text", "tinyllm.toml, [teachers.t.cluster]: it must be a table.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": S + "cluster = 'ray'\n"}),
    bad("toml-cluster-unknown", "tinyllm.toml, [teachers.t.cluster]: unknown setting 'replica'.", "elicit", "-t", "t",
        *TOY, **{"tinyllm.toml": S + "cluster = { replica = 2 }\n"}),
    bad("toml-cluster-replicas", "tinyllm.toml, [teachers.t.cluster]: replicas can't be 0.", "elicit", "-t", "t",
        *TOY, **{"tinyllm.toml": S + "cluster = { replicas = 0 }\n"}),
    bad("elicit-no-key", "There is no key: the variable OPENAI_API_KEY is not set.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": P}),
    bad("db-import-memory", "--db can't be ':memory:': a database in memory is lost when the command", "import",
        "q.jsonl", "--db", ":memory:", base=False),
    bad("db-import-folder", "d can't be opened for writing (unable to open database file).", "import", "q.jsonl",
        "--db", "d", base=False, code=1, d=FOLDER),
    bad("db-import-text", "a.db is damaged, or not a SQLite database (file is not a database).", "import", "q.jsonl",
        "--db", "a.db", base=False, code=1, **{"a.db": "hello" * 999}),
    bad("db-import-foreign", "b.db belongs to another program: it has tables, but not tinyllm's.", "import", "q.jsonl",
        "--db", "b.db", base=False, code=1, **{"b.db": foreign_db}),
    bad("db-import-future", "c.db was written by a newer tinyllm (it has the migration", "import", "q.jsonl", "--db",
        "c.db", base=False, code=1, **{"c.db": future_db}),
    bad("db-import-damaged", "e.db is damaged, or not a SQLite database (database disk image is", "import", "q.jsonl",
        "--db", "e.db", base=False, code=1, **{"e.db": damaged_db}),
    bad("db-import-fifo", "f.db is not a regular file, so it can't be a database.", "import", "q.jsonl", "--db",
        "f.db", base=False, code=1, **{"f.db": FIFO}),
    bad("db-import-zero", "g.db is not a regular file, so it can't be a database.", "import", "q.jsonl", "--db",
        "g.db", base=False, code=1, **{"g.db": zero}),
    bad("db-import-nul", "Invalid value for '--db' (env var: 'TINYLLM_DB'): embedded null byte", "import", "q.jsonl",
        "--db", "a\u0000b", base=False),
    bad("db-import-no-folder", "none/a.db can't be opened for writing (unable to open database file).", "import",
        "q.jsonl", "--db", "none/a.db", base=False, code=1),
    bad("db-import-loop", "h.db can't be opened for writing (unable to open database file).", "import", "q.jsonl",
        "--db", "h.db", base=False, code=1, **{"h.db": loop}),
    bad("db-import-device", "/dev/null is not a regular file, so it can't be a database.", "import", "q.jsonl", "--db",
        "/dev/null", base=False, code=1),
    bad("db-import-long", "File name too long:", "import", "q.jsonl", "--db", "a" * 300, base=False, code=1),
    bad("db-import-empty-name", ". can't be opened for writing (unable to open database file).", "import", "q.jsonl",
        "--db", "", base=False, code=1),
    bad("db-report-memory", "--db can't be ':memory:': a database in memory is lost when the command", "report",
        "--db", ":memory:", base=False),
    bad("db-report-folder", "d can't be opened for writing (unable to open database file).", "report", "--db", "d",
        base=False, code=1, d=FOLDER),
    bad("db-report-text", "a.db is damaged, or not a SQLite database (file is not a database).", "report", "--db",
        "a.db", base=False, code=1, **{"a.db": "hello" * 999}),
    bad("db-report-foreign", "b.db belongs to another program: it has tables, but not tinyllm's.", "report", "--db",
        "b.db", base=False, code=1, **{"b.db": foreign_db}),
    bad("db-report-future", "c.db was written by a newer tinyllm (it has the migration", "report", "--db", "c.db",
        base=False, code=1, **{"c.db": future_db}),
    bad("db-report-damaged", "e.db is damaged, or not a SQLite database (database disk image is", "report", "--db",
        "e.db", base=False, code=1, **{"e.db": damaged_db}),
    bad("db-report-fifo", "f.db is not a regular file, so it can't be a database.", "report", "--db", "f.db",
        base=False, code=1, **{"f.db": FIFO}),
    bad("db-report-zero", "g.db is not a regular file, so it can't be a database.", "report", "--db", "g.db",
        base=False, code=1, **{"g.db": zero}),
    bad("db-report-nul", "Invalid value for '--db' (env var: 'TINYLLM_DB'): embedded null byte", "report", "--db",
        "a\u0000b", base=False),
    bad("db-report-no-folder", "There is no database none/a.db here yet.", "report", "--db", "none/a.db", base=False,
        code=1),
    bad("db-report-loop", "There is no database h.db here yet.", "report", "--db", "h.db", base=False, code=1,
        **{"h.db": loop}),
    bad("db-report-device", "/dev/null is not a regular file, so it can't be a database.", "report", "--db",
        "/dev/null", base=False, code=1),
    bad("db-report-long", "File name too long:", "report", "--db", "a" * 300, base=False, code=1),
    bad("db-report-empty-name", ". can't be opened for writing (unable to open database file).", "report", "--db", "",
        base=False, code=1),
    bad("import-db-is-data", "q.jsonl is damaged, or not a SQLite database (file is not a database).", "import",
        "q.jsonl", "--db", "q.jsonl", base=False, code=1, **{"q.jsonl": q()}),
    bad("config-missing", "There is no configuration file none.toml.", "gate", *TOY, "--config", "none.toml"),
    bad("config-folder", "d can't be read: it is a folder.", "gate", *TOY, "--config", "d", d=FOLDER),
    bad("config-nul", "Invalid value for '--config' (env var: 'TINYLLM_CONFIG'): embedded null", "gate", *TOY,
        "--config", "a\0b"),
    bad("config-loop", "l can't be read: [Errno 40] Too many levels of symbolic links: 'l'.", "gate", *TOY, "--config",
        "l", l=loop),
    bad("gate-no-database", "There is no database tinyllm.db here yet.", "gate", base=False, code=1),
    bad("audit-no-database", "There is no database tinyllm.db here yet.", "audit", base=False, code=1),
    bad("usefulness-no-database", "There is no database tinyllm.db here yet.", "usefulness", base=False, code=1),
    bad("inspect-no-database", "There is no database tinyllm.db here yet.", "inspect", "a", base=False, code=1),
    bad("find-no-database", "There is no database tinyllm.db here yet.", "find", "a", base=False, code=1),
    bad("find-gate", "There is no gate 'nope'.", "find", "--gate", "nope"),
    bad("find-run", "There is no run 99.", "find", "--outcome", "mixed", "--run", "99"),
    bad("find-split", "Invalid value for '--split': 'dev' is not one of 'train', 'valid', 'test'.", "find", "--split",
        "dev"),
    bad("find-verdict", "Invalid value for '--verdict': 'good' is not one of 'kept', 'repaired',", "find", "--verdict",
        "good"),
    bad("compare-no-database", "There is no database tinyllm.db here yet.", "compare", "1", "2", base=False, code=1),
    bad("compare-one", "A comparison takes two runs or more.", "compare", "1", "1"),
    bad("compare-unknown", "There is no run 98, 99.", "compare", "1", "98", "99"),
    bad("compare-name", "Invalid value for 'runs': Input should be a valid integer, unable", "compare", "one", "two"),
    bad("view-no-database", "There is no database tinyllm.db here yet.", "view", "--no-open", base=False, code=1),
    bad("view-port", "Invalid value for '--port': Input should be less than or equal to 65535", "view", "--port",
        "65536"),
    bad("view-config", "There is no configuration file none.toml.", "view", "--no-open", "--config", "none.toml"),
    bad("view-reviewer", "reviewer", "view", "--no-open", "--reviewer", "a/b"),
    bad("list-activity-no-database", "There is no database tinyllm.db here yet.", "list", "activity", base=False,
        code=1),
    bad("distill-no-database", "There is no database tinyllm.db here yet.", "distill", base=False, code=1),
    bad("eval-no-database", "There is no database tinyllm.db here yet.", "eval", base=False, code=1),
    bad("predict-no-database", "There is no database tinyllm.db here yet.", "predict", "a", "-o", "b", "-o", "c",
        base=False, code=1),
    bad("export-no-database", "There is no database tinyllm.db here yet.", "export", "--to", "onnx", "--out", "o",
        base=False, code=1),
    bad("report-no-database", "There is no database tinyllm.db here yet.", "report", base=False, code=1),
    bad("experiment-no-database", "There is no database tinyllm.db here yet.", "experiment", "seeds", base=False,
        code=1),
    bad("gate-unknown-data", "There is no data set called 'no\ufffdpe'.", "gate", "--dataset", "no\u001bpe"),
    bad("audit-unknown-data", "There is no data set called 'no\ufffdpe', and no file or folder of that name.", "audit",
        "--dataset", "no\u001bpe"),
    bad("usefulness-unknown-data", "There is no data set called 'no\ufffdpe'.", "usefulness", "--dataset",
        "no\u001bpe"),
    bad("inspect-unknown-data", "No question in no\ufffdpe has the id or the words 'a'.", "inspect", "a", "--dataset",
        "no\u001bpe"),
    bad("distill-unknown-data", "There is no data set called 'no\ufffdpe', and no file or folder of that name.",
        "distill", "--dataset", "no\u001bpe"),
    bad("eval-unknown-data", "There is no data set called 'no\ufffdpe', and no file or folder of that name.", "eval",
        "--teacher", "boss", "--dataset", "no\u001bpe"),
    bad("experiment-unknown-data", "There is no data set called 'no\ufffdpe', and no file or folder of that name.",
        "experiment", "seeds", "--dataset", "no\u001bpe"),
    bad("gate-ambiguous-teacher", "bo' could be any of these teachers: boss, bossy.", "gate", "--teacher", "bo", *TOY),
    bad("distill-ambiguous-teacher", "bo' could be any of these teachers: boss, bossy.", "distill", "--alpha", "bo=1",
        *TOY),
    bad("eval-ambiguous-teacher", "bo' could be any of these teachers: boss, bossy.", "eval", "--teacher", "bo", *TOY),
    bad("usefulness-ambiguous-teacher", "bo' could be any of these teachers: boss, bossy.", "usefulness", "--teacher",
        "bo", *TOY),
    bad("experiment-ambiguous-teacher", "bo' could be any of these teachers: boss, bossy.", "experiment", "seeds",
        "--alpha", "bo=1", *TOY),
    bad("gate-unknown-teacher", "There is no teacher called 'x'.", "gate", "--teacher", "x", *TOY),
    bad("distill-shard-alone", "--shard divides the student among several processes, and this is a single one.",
        "distill", "--alpha", "0", "--shard", *TOY),
    bad("distill-compile-checkpointing", "--compile-layers is for packed rows, and with --gradient-checkpointing",
        "distill", "--alpha", "0", "--compile-layers", "--gradient-checkpointing", *TOY),
    bad("distill-empty-student", "The name of a model is empty.", "distill", "--student", "", *TOY),
    bad("distill-unknown-teacher", "There is no teacher called 'x'.", "distill", "--alpha", "x=1", *TOY),
    bad("eval-unknown-teacher", "There is no teacher called 'x'.", "eval", "--teacher", "x", *TOY),
    bad("usefulness-unknown-teacher", "There is no teacher called 'x'.", "usefulness", "--teacher", "x", *TOY),
    bad("experiment-unknown-teacher", "There is no teacher called 'x'.", "experiment", "seeds", "--alpha", "x=1", *TOY),
    bad("gate-show", "There is no gate 'nope'.", "gate", *TOY, "--show", "nope"),
    bad("gate-samples", "Invalid value for '--samples': Input should be greater than or equal to", "gate", *TOY,
        "--samples", "0"),
    bad("gate-target", "Invalid value for '--max-target': Input should be greater than or equal", "gate", *TOY,
        "--max-target", "1"),
    bad("gate-jobs", "Invalid value for '--jobs': Input should be greater than or equal to 1", "gate", *TOY,
        "--jobs", "0"),
    bad("gate-split", "There are no rationales for toy, split test.", "gate", *TOY, "--split", "test"),
    bad("audit-student", "There is no model at none.", "audit", *TOY, "--student", "./none", code=1),
    bad("audit-allow", "There is no check 'nope'.", "audit", *TOY, "--allow", "nope"),
    bad("audit-input", "Invalid value for '--max-input': Input should be greater than or equal", "audit", *TOY,
        "--max-input", "0"),
    bad("audit-nul", "The model a\ufffdb is not on this machine and the hub can't be reached.", "audit", *TOY,
        "--student", "a\0b", code=1),
    bad("audit-file", "The model ./q.jsonl can't be loaded: Unrecognized model in q.jsonl.", "audit", *TOY,
        "--student", "./q.jsonl", **{"q.jsonl": q()}, code=1),
    bad("usefulness-model", "There is no model at none.", "usefulness", *TOY, "--model", "./none", code=1),
    bad("usefulness-nul", "The model a\ufffdb is not on this machine and the hub can't be reached.", "usefulness",
        *TOY, "--model", "a\0b", code=1),
    bad("usefulness-leakage-show", "--leakage shows no examples, and reads masked and unmasked texts.", "usefulness",
        *TOY, "--leakage", "5", "--show", "2"),
    bad("usefulness-icl", "Invalid value for '--icl': Input should be greater than or equal to 0", "usefulness", *TOY,
        "--icl", "-1"),
    bad("usefulness-icl-17", "Invalid value for '--icl': Input should be less than or equal to 16", "usefulness", *TOY,
        "--icl", "17"),
    bad("usefulness-icl-none", "The prompts of boss's recorded rationales are unknown, so --icl selects", "usefulness",
        *TOY, "--icl", "9"),
    bad("usefulness-split", "There are no rationales for toy, split test.", "usefulness", *TOY, "--split", "test"),
    bad("usefulness-leakage-0", "Invalid value for '--leakage': Input should be greater than or equal to",
        "usefulness", *TOY, "--leakage", "0"),
    bad("inspect-nothing", "No question in the database has the id or the words 'zebra'.", "inspect", "zebra"),
    bad("inspect-empty", "No question in the database has the id or the words ''.", "inspect", ""),
    bad("inspect-split", "No question in dev has the id or the words 'train-0'.", "inspect", "train-0", "--split",
        "dev"),
    bad("inspect-rlo", "No question in the database has the id or the words '\ufffd\ufffd[2J'.", "inspect",
        "\u202e\x1b[2J"),
    bad("inspect-no-question", "Missing argument 'question'.", "inspect"),
    bad("inspect-quote", "No question in the database has the id or the words 'a\" OR 1=1 --'.", "inspect",
        'a" OR 1=1 --'),
    bad("inspect-nul", "No question in the database has the id or the words 'a\ufffdb'.", "inspect", "a\0b"),
    bad("distill--alpha=boss=-1", "--alpha: the weight in 'boss=-1' must be 0 or more, and finite.", "distill", *TOY,
        "--student", "./none", "--alpha=boss=-1"),
    bad("distill--alpha=boss=nan", "--alpha: the weight in 'boss=nan' must be 0 or more, and finite.", "distill", *TOY,
        "--student", "./none", "--alpha=boss=nan"),
    bad("distill--alpha=boss=inf", "--alpha: the weight in 'boss=inf' must be 0 or more, and finite.", "distill", *TOY,
        "--student", "./none", "--alpha=boss=inf"),
    bad("distill--alpha=boss=x", "--alpha: 'boss=x' has no number for a weight.", "distill", *TOY, "--student",
        "./none", "--alpha=boss=x"),
    bad("distill--alpha=boss", "--alpha: 'boss' has no number for a weight.", "distill", *TOY, "--student", "./none",
        "--alpha=boss"),
    bad("distill--alpha==1", "--alpha: '=1' is not a teacher and a weight.", "distill", *TOY, "--student", "./none",
        "--alpha==1"),
    bad("distill--alpha=boss=1,boss=2", "--alpha names 'boss' twice.", "distill", *TOY, "--student", "./none",
        "--alpha=boss=1,boss=2"),
    bad("distill--alpha=boss=1e999", "--alpha: the weight in 'boss=1e999' must be 0 or more, and finite.", "distill",
        *TOY, "--student", "./none", "--alpha=boss=1e999"),
    bad("distill--lr=inf", "--lr can't be inf.", "distill", *TOY, "--student", "./none", "--lr=inf"),
    bad("distill--lr=nan", "Invalid value for '--lr': Input should be greater than or equal to 0", "distill", *TOY,
        "--student", "./none", "--lr=nan"),
    bad("distill--lr=-1", "Invalid value for '--lr': Input should be greater than or equal to 0", "distill", *TOY,
        "--student", "./none", "--lr=-1"),
    bad("distill--epochs=0", "Invalid value for '--epochs': Input should be greater than or equal to 1", "distill",
        *TOY, "--student", "./none", "--epochs=0"),
    bad("distill--batch-size=0", "Invalid value for '--batch-size': Input should be greater than or equal", "distill",
        *TOY, "--student", "./none", "--batch-size=0"),
    bad("distill--schedule=nope", "There is no schedule 'nope'.", "distill", *TOY, "--student", "./none",
        "--schedule=nope"),
    bad("distill--optimizer=nope", "There is no optimizer 'nope'.", "distill", *TOY, "--student", "./none",
        "--optimizer=nope"),
    bad("distill--weight-decay=inf", "--weight-decay can't be inf.", "distill", *TOY, "--student", "./none",
        "--weight-decay=inf"),
    bad("distill--lora-alpha=nan", "Invalid value for '--lora-alpha': Input should be greater than or equal",
        "distill", *TOY, "--student", "./none", "--lora-alpha=nan"),
    bad("distill--lora-rank=-1", "Invalid value for '--lora-rank': Input should be greater than or equal", "distill",
        *TOY, "--student", "./none", "--lora-rank=-1"),
    bad("distill--max-input=7", "Invalid value for '--max-input': Input should be greater than or equal", "distill",
        *TOY, "--student", "./none", "--max-input=7"),
    bad("distill--max-target=1", "Invalid value for '--max-target': Input should be greater than or equal", "distill",
        *TOY, "--student", "./none", "--max-target=1"),
    bad("distill--token-budget=1", "Invalid value for '--token-budget': Input should be greater than or", "distill",
        *TOY, "--student", "./none", "--token-budget=1"),
    bad("distill--patience=-1", "Invalid value for '--patience': Input should be greater than or equal", "distill",
        *TOY, "--student", "./none", "--patience=-1"),
    bad("distill--save-every=nan", "Invalid value for '--save-every': Input should be greater than or equal",
        "distill", *TOY, "--student", "./none", "--save-every=nan"),
    bad("distill--seed=999999999999999999999999999999", "A seed has at most 64 bits.", "distill", *TOY, "--student",
        "./none", "--seed=999999999999999999999999999999"),
    bad("distill--limit=0", "Invalid value for '--limit': Input should be greater than or equal to 1", "distill", *TOY,
        "--student", "./none", "--limit=0"),
    bad("distill--samples=0", "Invalid value for '--samples': Input should be greater than or equal to", "distill",
        *TOY, "--student", "./none", "--samples=0"),
    bad("distill--icl=17", "Invalid value for '--icl': Input should be less than or equal to 16", "distill", *TOY,
        "--student", "./none", "--icl=17"),
    bad("distill--icl=9", "The prompts of boss's recorded rationales are unknown, so --icl selects", "distill", *TOY,
        "--student", "./none", "--icl=9"),
    bad("distill--usefulness-model=x", "The selection does not use the scores of x.", "distill", *TOY, "--student",
        "./none", "--usefulness-model=x"),
    bad("distill--method=nope", "Invalid value for '--method': 'nope' is not one of 'inference',", "distill", *TOY,
        "--student", "./none", "--method=nope"),
    bad("distill--precision=fp16", "Invalid value for '--precision': 'fp16' is not one of 'auto',", "distill", *TOY,
        "--student", "./none", "--precision=fp16"),
    bad("distill--student=a\u0000b", "The model a\ufffdb is not on this machine and the hub can't be reached.",
        "distill", *TOY, "--student", "./none", "--student=a\u0000b", code=1),
    bad("distill--student=", "The name of a model is empty.", "distill", *TOY, "--student", "./none", "--student="),
    bad("distill--student=../none", "There is no model at ../none.", "distill", *TOY, "--student", "./none",
        "--student=../none", code=1),
    bad("distill--student=a\u001b[31m\u202eb/c d",
        "The model a\ufffd[31m\ufffdb/c d is not on this machine and the hub can't be", "distill", *TOY, "--student",
        "./none", "--student=a\u001b[31m\u202eb/c d", code=1),
    bad("distill-inference-alpha", "Inference trains nothing, so --alpha has no effect.", "distill", *TOY, "--student",
        "./none", "--method", "inference", "--alpha", "boss=1"),
    bad("distill-finetune-alpha", "This is distill-step-by-step, not finetune: 1 teachers have an alpha", "distill",
        *TOY, "--student", "./none", "--method", "finetune", "--alpha", "boss=1"),
    bad("distill-filter-without-scores", "4 of 4 rationales of boss for toy have no score.", "distill", *TOY,
        "--student", "./none", "--usefulness", "filter"),
    bad("distill-empty-folder", "Should have a `model_type` key in its config.json.", "distill", *TOY, "--student",
        "./d", d=FOLDER, code=1),
    bad("distill-pickle", "Should have a `model_type` key in its config.json.", "distill", *TOY, "--student", "./d",
        **{"d/config.json": "{}", "d/pytorch_model.bin": "x"}, code=1),
    bad("distill-config-deep", "can't be loaded: config.json is nested too deeply", "distill", *TOY, "--student",
        "./d", **{"d/config.json": DEEP, "d/model.safetensors": "x"}, code=1),
    bad("distill-config-array", "Should have a `model_type` key in its config.json.", "distill", *TOY, "--student",
        "./d", **{"d/config.json": "[]", "d/model.safetensors": "x"}, code=1),
    bad("distill-config-fifo", "can't be loaded: config.json is not a regular file.", "distill", *TOY, "--student",
        "./d", **{"d/config.json": FIFO, "d/model.safetensors": "x"}, code=1),
    bad("distill-gguf", "does not start with the GGUF magic bytes, so it is not a GGUF file.", "distill", *TOY,
        "--student", "./a.gguf", **{"a.gguf": "x"}, code=1),
    bad("distill-gguf-fifo", "can't be loaded: a.gguf is not a regular file.", "distill", *TOY, "--student",
        "./a.gguf", **{"a.gguf": FIFO}, code=1),
    bad("distill-index-outside", "is refused: model.safetensors.index.json names '../evil.safetensors',", "distill",
        *TOY, "--student", "./d", **{"d/config.json": '{"model_type": "llama"}',
        "d/model.safetensors.index.json": '{"weight_map": {"a": "../evil.safetensors"}}'}, code=1),
    bad("distill-index-pickle", "is refused: model.safetensors.index.json names 'evil.bin', which is not", "distill",
        *TOY, "--student", "./d", **{"d/config.json": '{"model_type": "llama"}',
        "d/model.safetensors.index.json": '{"weight_map": {"a": "evil.bin"}}', "d/evil.bin": "x"}, code=1),
    bad("eval-unknown-run", "There is no run 7.", "eval", "--run", "7"),
    bad("eval-huge-run", "A number that was given is larger than the database can hold.", "eval", "--run", "9" * 30),
    bad("eval-run-text", "Invalid value for '--run': Input should be a valid integer, unable to", "eval", "--run",
        "one"),
    bad("eval-run-and-model", "--run, --model and --teacher exclude each other.", "eval", "--run", "1", "--model", "m"),
    bad("eval-run-and-teacher", "--run, --model and --teacher exclude each other.", "eval", "--run", "1", "--teacher",
        "boss"),
    bad("eval-scoring", "Invalid value for '--scoring': 'vibes' is not one of 'rank',", "eval", "--scoring", "vibes"),
    bad("eval-model-no-data", "There is no model at none.", "eval", "--model", "./none", code=1),
    bad("eval-model-missing", "There is no model at none.", "eval", "--model", "./none", *TOY, code=1),
    bad("eval-student-gone", "Run 1 (done) has no student at", "eval", "--run", "1", code=1),
    bad("eval-split-empty", "The data set toy has no split 'valid'.", "eval", "--model", "./none", *TOY, "--split",
        "valid"),
    bad("eval-teacher-split", "boss has no own answers for toy, split test.", "eval", "--teacher", "boss", *TOY),
    bad("predict-nothing", "What is the question?", "predict"),
    bad("predict-one-option", "A question needs 2 to 26 options; this one has 1.", "predict", "a", "-o", "b"),
    bad("predict-same-options", "Two options have the same text: 'a'.", "predict", "a", "-o", "a", "-o", "a"),
    bad("predict-27-options", "A question needs 2 to 26 options; this one has 27.", "predict", "a",
        *(f"-o{n}" for n in range(27))),
    bad("predict-blank", "The question is empty.", "predict", " ", "-o", "a", "-o", "b"),
    bad("predict-blank-option", "One of the options is empty.", "predict", "q", "-o", "a", "-o", " "),
    bad("predict-run-and-model", "--run and --model exclude each other.", "predict", "a", "--run", "1", "--model", "m"),
    bad("predict-file-alone", "--file and --out belong together.", "predict", "--file", "q.jsonl"),
    bad("predict-out-alone", "--file and --out belong together.", "predict", "--out", "o.jsonl"),
    bad("predict-both", "A question and --file exclude each other.", "predict", "a", "--file", "q.jsonl", "--out", "o"),
    bad("predict-map-alone", "--map belongs to --file.", "predict", "a", "--map", "id=x"),
    bad("predict-options-alone", "There are options or a context, but no question.", "predict", "-o", "a"),
    bad("predict-unknown-run", "There is no run 9.", "predict", "a", "-o", "b", "-o", "c", "--run", "9"),
    bad("predict-input", "Invalid value for '--max-input': Input should be greater than or equal", "predict", "a",
        "--max-input", "1"),
    bad("predict-model-missing", "There is no model at none.", "predict", "a", "-o", "b", "-o", "c", "--model",
        "./none", code=1),
    bad("predict-explain-unknown", "There is no teacher called 'zz'.", "predict", "a", "-o", "b", "-o", "c", "--model",
        "./none", "--explain-as", "zz"),
    bad("predict-no-file", "There is no file none.jsonl.", "predict", "--file", "none.jsonl", "--out", "o", "--run",
        "2"),
    bad("predict-fifo", "q.jsonl can't be read: it is not a regular file.", "predict", "--file", "q.jsonl", "--out",
        "o", "--run", "2", **{"q.jsonl": FIFO}),
    bad("predict-out-is-file", "--out is the file of questions itself.", "predict", "--file", "q.jsonl", "--out",
        "q.jsonl", "--run", "2", **{"q.jsonl": q()}),
    bad("predict-out-folder", "--out is d, but answers need a regular file, from which an interrupted", "predict",
        "--file", "q.jsonl", "--out", "d", "--run", "2", **{"q.jsonl": q(), "d": FOLDER}),
    bad("predict-out-fifo", "--out is d, but answers need a regular file, from which an interrupted", "predict",
        "--file", "q.jsonl", "--out", "d", "--run", "2", **{"q.jsonl": q(), "d": FIFO}),
    bad("predict-out-foreign", "d, line 1: this is not a file of answers.", "predict", "--file", "q.jsonl", "--out",
        "d", "--run", "2", **{"q.jsonl": q(), "d": "my notes\n"}),
    bad("predict-out-db", "tinyllm.db, line 1: this is not a file of answers.", "predict", "--file", "q.jsonl",
        "--out", "tinyllm.db", "--run", "2", **{"q.jsonl": q()}),
    bad("predict-out-nul", "Invalid value for '--out': embedded null byte", "predict", "--file", "q.jsonl", "--out",
        "a\0b", "--run", "2", **{"q.jsonl": q()}),
    bad("predict-surrogate", "The question has an incomplete Unicode character (half of a surrogate", "predict",
        "\udcff", "-o", "b", "-o", "c"),
    bad("export-no-format", "Missing option '--to'. Choose from: onnx, ctranslate2, gguf", "export", "--out", "o"),
    bad("export-format", "Invalid value for '--to': 'pickle' is not one of 'onnx', 'ctranslate2',", "export", "--to",
        "pickle", "--out", "o"),
    bad("export-no-out", "Missing option '--out'.", "export", "--to", "onnx"),
    bad("export-unknown-run", "There is no run 9.", "export", "--to", "onnx", "--out", "o", "--run", "9"),
    bad("export-questions", "Invalid value for '--questions': Input should be greater than or equal", "export", "--to",
        "onnx", "--out", "o", "--questions", "0"),
    bad("export-out-exists", "o exists already.", "export", "--to", "onnx", "--out", "o", "--run", "2", **{"o/a": "x"}),
    bad("export-out-file", "o exists already.", "export", "--to", "onnx", "--out", "o", "--run", "2", o="x"),
    bad("export-out-db", "tinyllm.db exists already.", "export", "--to", "onnx", "--out", "tinyllm.db", "--run", "2"),
    bad("export-out-nul", "Invalid value for '--out': embedded null byte", "export", "--to", "onnx", "--out", "a\0b",
        "--run", "2"),
    bad("export-out-long", "File name too long", "export", "--to", "onnx", "--out", "a" * 300, "--run", "2", code=1),
    bad("export-student-gone", "Run 1 (done) has no student at", "export", "--to", "onnx", "--out", "o", "--run", "1",
        code=1),
    bad("experiment-unknown", "Invalid value for 'name': 'nope' is not one of 'table1', 'ablation',", "experiment",
        "nope", *TOY, "--dry-run"),
    bad("experiment-methods", "--methods belongs to the experiment table1.", "experiment", "seeds", "--methods",
        "tinyllm", *TOY, "--dry-run"),
    bad("experiment-method", "There is no method 'nope'.", "experiment", "table1", "--methods", "nope", *TOY,
        "--dry-run"),
    bad("experiment-fractions", "--fractions are percentages of the training set", "experiment", "train-size",
        "--fractions", "0", *TOY, "--dry-run"),
    bad("experiment-fractions-nan", "--fractions are percentages of the training set", "experiment", "train-size",
        "--fractions", "nan", *TOY, "--dry-run"),
    bad("experiment-fractions-text", "--fractions: 'a' is not a list of numbers with", "experiment", "train-size",
        "--fractions", "a", *TOY, "--dry-run"),
    bad("experiment-grid", "--grid: an alpha is 0 or more, and finite.", "experiment", "alpha", "--grid", "-1", *TOY,
        "--dry-run"),
    bad("experiment-grid-nan", "--grid: an alpha is 0 or more, and finite.", "experiment", "alpha", "--grid", "nan",
        *TOY, "--dry-run"),
    bad("experiment-grid-empty", "--grid: '' is not a list of numbers with", "experiment", "alpha", "--grid", "", *TOY,
        "--dry-run"),
    bad("experiment-seeds-text", "--seeds: 'a' is not a list of whole", "experiment", "seeds", "--seeds", "a", *TOY,
        "--dry-run"),
    bad("experiment-seeds-empty", "--seeds: '' is not a list of whole", "experiment", "seeds", "--seeds", "", *TOY,
        "--dry-run"),
    bad("experiment-seeds-digits", "--seeds: '", "experiment", "seeds", "--seeds", "9" * 5000, *TOY, "--dry-run"),
    bad("experiment-seeds-huge", "A seed has at most 64 bits.", "experiment", "seeds", "--seeds",
        "999999999999999999999999999999", *TOY, "--dry-run"),
    bad("experiment-search-grid", "--search and --grid exclude each other.", "experiment", "alpha", "--search", "2",
        "--grid", "1", *TOY, "--dry-run"),
    bad("experiment-search-no-valid", "toy has no valid split to search by.", "experiment", "alpha", "--search", "2",
        *TOY, "--dry-run"),
    bad("experiment-alpha-0", "The experiment alpha varies training on rationales, and --alpha gives no", "experiment",
        "alpha", "--alpha", "0", *TOY, "--dry-run"),
    bad("experiment-search-alpha-0", "The experiment alpha varies training on rationales, and --alpha gives no",
        "experiment", "alpha", "--search", "2", "--alpha", "boss=0,bossy=0", *TOY, "--dry-run"),
    bad("experiment-ablation-0", "The experiment ablation varies training on rationales, and --alpha", "experiment",
        "ablation", "--alpha", "0", *TOY, "--dry-run"),
    bad("experiment-fractions-0", "The experiment train-size varies training on rationales, and --alpha",
        "experiment", "train-size", "--alpha", "0", *TOY, "--dry-run"),
    bad("experiment-more-warmup", "The schedule 'constant' has no warm-up, so --warmup-steps has no effect.",
        "experiment", "seeds", *TOY, "--dry-run", "--", "--schedule", "constant", "--warmup-steps", "3"),
    *(bad(f"distill-{method}-shuffled", f"--method {method} trains on no rationales, which", "distill", "--method",
          method, "--shuffle-rationales", *TOY, "--dry-run")
      for method in ("finetune", "lora", "standard-kd", "pinto")),
    bad("distill-0-shuffled", "--alpha 0 trains on no rationales, which --shuffle-rationales and --icl", "distill",
        "--alpha", "0", "--shuffle-rationales", *TOY, "--dry-run"),
    bad("distill-zeros-icl", "--alpha 0 trains on no rationales, which --shuffle-rationales and --icl", "distill",
        "--alpha", "boss=0,bossy=0", "--icl", "0", *TOY, "--dry-run"),
    bad("distill-empty-shuffled", "--alpha 0 trains on no rationales, which --shuffle-rationales and --icl", "distill",
        "--alpha", "", "--shuffle-rationales", *TOY, "--dry-run"),
    bad("distill-lora-0", "--method lora trains low-rank adapters, and --lora-rank 0 trains all", "distill",
        "--method", "lora", "--lora-rank", "0", *TOY, "--dry-run"),
    bad("distill-constant-warmup", "The schedule 'constant' has no warm-up, so --warmup-steps has no effect.",
        "distill", "--schedule", "constant", "--warmup-steps", "5", *TOY, "--dry-run"),
    bad("distill-finetune-lora", "This is lora, not finetune: 0 teachers have an alpha above 0.", "distill",
        "--method", "finetune", "--lora-rank", "4", *TOY, "--dry-run"),
    *(bad(f"distill-inference{option}", f"Inference trains nothing, so {option} has no effect.", "distill",
          "--method", "inference", option, *value, *TOY)
      for option, *value in (("--alpha", "1"), ("--epochs", "2"), ("--lora-rank", "4"), ("--loss", "token"),
                             ("--shuffle-rationales",), ("--restart",), ("--no-gates",), ("--icl", "0"),
                             ("--track", "wandb"), ("--limit", "3"))),
    bad("gate-samples-alone", "--samples is the number of rationales that --show prints.", "gate", "--samples", "2",
        *TOY),
    bad("inspect-not-utf8", "'\\udcff' is not valid UTF-8.", "inspect", "\udcff"),
    bad("inspect-long", "No question in the database has the id or the words 'aaa", "inspect", "a" * 200_000),
    bad("inspect-many-words", "No question in the database has the id or the words '0 1 2", "inspect",
        " ".join(map(str, range(5000)))),
    bad("distill-student-not-utf8", "\\udcff' is not valid UTF-8.", "distill", *TOY, "--student", "\udcff"),
    bad("eval-model-not-utf8", "\\udcff' is not valid UTF-8.", "eval", "--model", "\udcff", *TOY),
    bad("export-out-not-utf8", "\\udcff", "export", "--to", "gguf", "--out", "\udcff", "--run", "2"),
    bad("import-procedural-huge", "A split of a procedural data set has at most 1,000,000 questions.", "import",
        "--procedural", "coin-flip", "--train", "9" * 30, base=False),
    bad("import-forcing-procedural", "--no-teacher-forcing and --procedural exclude each other.", "import",
        "--procedural", "coin-flip", "--no-teacher-forcing", base=False),
    bad("import-rename-twice", "--rename names 'ann' twice.", "import", "d", "--rename", "ann=a", "--rename",
        "ann=b", base=False, **{"d/train.jsonl": q(), "d/rationales/ann.jsonl": '{"id": "1", "rationale": "b"}'}),
    bad("eval-run-input", "--max-input is for --model and --teacher: a run's student keeps the", "eval", "--run", "2",
        "--max-input", "64"),
    bad("eval-latest-input", "--max-input is for --model and --teacher: a run's student keeps the", "eval",
        "--max-input", "64"),
    bad("predict-run-input", "--max-input is for --model and --teacher: a run's student keeps the", "predict", "a",
        "-ob", "-oc", "--run", "2", "--max-input", "64"),
    bad("elicit-no-wait-dry", "--no-wait needs --batch.", "elicit", "-t", "t", *TOY, "--no-wait", "--dry-run",
        **{"tinyllm.toml": S}),
    bad("elicit-no-wait-pilot", "--no-wait needs --batch.", "elicit", "-t", "t", *TOY, "--no-wait", "--pilot",
        **{"tinyllm.toml": S}),
    bad("elicit-batch-dry", "t has no batch API: its backend is 'scripted'.", "elicit", "-t", "t", *TOY, "--batch",
        "--dry-run", **{"tinyllm.toml": S}),
    bad("elicit-batch-pilot", "t has no batch API: its backend is 'scripted'.", "elicit", "-t", "t", *TOY, "--batch",
        "--pilot", **{"tinyllm.toml": S}),
    bad("experiment-search-0", "Invalid value for '--search': Input should be greater than or equal to 1",
        "experiment", "alpha", "--search", "0", *TOY, "--dry-run"),
    bad("experiment-jobs", "Invalid value for '--jobs': Input should be greater than or equal to 1", "experiment",
        "seeds", "--jobs", "0", *TOY, "--dry-run"),
    bad("experiment-alpha", "--alpha: the weight in 'boss=nan' must be 0 or more, and finite.", "experiment", "seeds",
        "--alpha", "boss=nan", *TOY, "--dry-run"),
    bad("experiment-more-unknown", "The words after -- are options of distill. No such option: --nope", "experiment",
        "seeds", *TOY, "--dry-run", "--", "--nope"),
    bad("experiment-more-set", "--seed is not allowed after --.", "experiment", "seeds", *TOY, "--dry-run", "--",
        "--seed", "1"),
    bad("experiment-more-word", "The words after -- are options of distill. Got unexpected extra", "experiment",
        "seeds", *TOY, "--dry-run", "--", "word"),
    bad("experiment-more-value", "The words after -- are options of distill. Invalid value for", "experiment", "seeds",
        *TOY, "--dry-run", "--", "--epochs", "x"),
    bad("experiment-more-lr", "--lr can't be inf.", "experiment", "seeds", *TOY, "--dry-run", "--", "--lr", "inf"),
    bad("experiment-more-schedule", "There is no schedule 'nope'.", "experiment", "seeds", *TOY, "--dry-run", "--",
        "--schedule", "nope"),
    bad("experiment-more-optimizer", "There is no optimizer 'nope'.", "experiment", "seeds", *TOY, "--dry-run", "--",
        "--optimizer", "nope"),
    bad("report-html-db", "--html tinyllm.db is the database.", "report", "--html", "tinyllm.db"),
    bad("report-html-wal", "--html tinyllm.db-wal is the database.", "report", "--html", "tinyllm.db-wal"),
    bad("report-html-link-db", "--html l is the database.", "report", "--html", "l", l=to_database),
    bad("report-html-foreign", "a.html exists and is not a tinyllm report, so that --html does not", "report",
        "--html", "a.html", **{"a.html": "<p>mine"}),
    bad("report-html-folder", "--html takes a file, and d is a folder.", "report", "--html", "d", d=FOLDER),
    bad("report-html-no-folder", "none/a.html can't be written: there is no folder none.", "report", "--html",
        "none/a.html", code=1),
    bad("report-html-nul", "Invalid value for '--html': embedded null byte", "report", "--html", "a\u0000b"),
    bad("report-html-long", "File name too long:", "report", "--html", "a" * 300, code=1),
    bad("report-html-loop", "the link leads back to itself.", "report", "--html", "l", code=1, l=loop),
    bad("report-html-md", "--md and --html write to the same file, a.", "report", "--html", "a", "--md", "./a"),
    bad("report-md-foreign", "a.md exists and is not a tinyllm report, so that --md does not replace", "report",
        "--md", "a.md", **{"a.md": "mine"}),
    bad("report-latex-db", "--latex tinyllm.db is the database.", "report", "--latex", "tinyllm.db"),
    bad("report-csv-file", "--csv takes a folder, not a: the tables have different columns.", "report", "--csv", "a",
        a="x"),
    bad("report-csv-foreign", "d/costs.csv exists and is not of an earlier report, so that --csv does", "report",
        "--csv", "d", **{"d/costs.csv": "mine"}),
    bad("report-csv-db", "--csv takes a folder, not tinyllm.db: the tables have different columns.", "report", "--csv",
        "tinyllm.db"),
    bad("report-csv-nul", "Invalid value for '--csv': embedded null byte", "report", "--csv", "a\u0000b"),
    bad("report-html-config", "tinyllm.toml exists and is not a tinyllm report, so that --html does", "report",
        "--html", "tinyllm.toml", **{"tinyllm.toml": S}),
    bad("report-html-in-csv", "--csv and --html write to the same file, d/costs.csv.", "report", "--html",
        "d/costs.csv", "--csv", "d"),
    bad("elicit-index-7", "No request returned a rationale: answer_index 7 is none of the 4", "elicit", "-t", "t",
        *TOY, **{"tinyllm.toml": R + "path = 'r.jsonl'",
        "r.jsonl": '{"id": "train-0", "rationale": "a", "answer_index": 7}'}, code=1),
    bad("distill-lora-rank", "--lora-rank 99999999 is more than the rank of any layer of this student", "distill",
        *TOY, "--student", "{tiny}", "--lora-rank", "99999999"),
    bad("distill-bert", "reads the words after the one that it predicts.", "distill", *TOY, "--student", "./d", d=bert,
        code=1),
    bad("distill-kernel", "asks for the implementation 'owner/kernel', which can download code.", "distill", *TOY,
        "--student", "./d", d=kernel, code=1),
    bad("distill-no-tokenizer", "has no tokenizer files.", "distill", *TOY, "--student", "./d", d=no_tokenizer, code=1),
    bad("distill-no-weights", "can't be loaded: a weights file is empty, truncated or damaged (Error", "distill", *TOY,
        "--student", "./d", d=no_weights, code=1),
    bad("distill-weights-zero", "can't be loaded: model.safetensors is not a regular file.", "distill", *TOY,
        "--student", "./d", d=zero_weights, code=1),
    bad("elicit-template", "fails: only roles of mine.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": H + "model = './d'", "d": raising_template}),
    bad("distill-adapter", "holds an adapter (LoRA), not a whole model.", "distill", *TOY, "--student", "./d",
        **{"d/adapter_config.json": "{}"}, code=1),
    bad("distill-config-zero", "can't be loaded: config.json is not a regular file.", "distill", *TOY, "--student",
        "./d", **{"d/config.json": zero}, code=1),
    bad("eval-config-fifo", "can't be loaded: config.json is not a regular file.", "eval", "--model", "./d", *TOY,
        **{"d/config.json": FIFO}, code=1),
    bad("audit-config-fifo", "The model d can't be loaded: tokenizer.json is not a regular file.", "audit", *TOY,
        "--student", "./d", **{"d/tokenizer.json": FIFO}, code=1),
    bad("elicit-model-fifo", "can't be loaded: config.json is not a regular file.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": H + "model = './d'", "d/config.json": FIFO}, code=1),
    bad("elicit-vllm-fifo", "can't be loaded: config.json is not a regular file.", "elicit", "-t", "t", *TOY,
        **{"tinyllm.toml": V + "model = './d'", "d/config.json": FIFO}, code=1),
    bad("report-broken-json", "is damaged: runs.settings has '{' instead of the JSON that belongs", "report", code=1,
        **{"tinyllm.db": broken_json}),
    bad("eval-broken-json", "is damaged: runs.settings has '{' instead of the JSON that belongs", "eval", "--run", "2",
        code=1, **{"tinyllm.db": broken_json}),
    bad("predict-broken-json", "is damaged: runs.settings has '{' instead of the JSON that belongs", "predict", "a",
        "-ob", "-oc", "--run", "2", code=1, **{"tinyllm.db": broken_json}),
    bad("report-broken-metrics", "is damaged: runs.metrics has '[1]' instead of the JSON that belongs", "report",
        **{"tinyllm.db": broken_metrics}, code=1),
    bad("report-wrong-settings", "is damaged: in runs.settings of run 1, lr is 'fast'.", "report", code=1,
        **{"tinyllm.db": wrong_settings}),
    bad("env-dangling", ".env is a link to a missing file.", "report", **{".env": dangling}),
    bad("toml-loop", "tinyllm.toml can't be read: [Errno 40] Too many levels of symbolic", "report",
        **{"tinyllm.toml": loop}),
    bad("elicit-loop-data", "There is no data set called './l', and no file or folder of that name.", "elicit", "-t",
        "expert", "-d", "./l", l=loop),
    bad("predict-out-loop", "Too many levels of symbolic links: l.", "predict", "--file", "q.jsonl", "--out", "l",
        "--run", "2", **{"q.jsonl": q(), "l": loop}, code=1),
    bad("export-out-loop", "File exists: l.", "export", "--to", "onnx", "--out", "l/o", "--run", "2", l=loop, code=1),
    bad("distill-student-loop", "There is no model at l.", "distill", *TOY, "--student", "./l", l=loop, code=1),
    bad("report-samples", "Invalid value for '--samples': Input should be greater than or equal to", "report",
        "--samples", "-1"),
    bad("report-target", "Invalid value for '--max-target': Input should be greater than or equal", "report",
        "--max-target", "0"),
    bad("gate-id", "There is no rationale 99.", "gate", "--keep", "99"),
    bad("gate-id-word", "Invalid value for '--keep': Input should be a valid integer", "gate", "--keep", "a"),
    bad("gate-id-large", "A number that was given is larger than the database can hold.", "gate", "--keep", "9" * 30),
    bad("gate-text-pipe", "t.txt can't be read: it is not a regular file.", "gate", "--edit", "1", "--text-file",
        "t.txt", **{"t.txt": FIFO}),
    bad("review-action", "'show' is not one of 'summary', 'export', 'import'.", "review", "show"),
    bad("review-sheet-columns", "s.csv is not a review sheet: it has no column 'text'.", "review", "import", "s.csv",
        **{"s.csv": "id,words\n1,a\n"}),
    bad("review-sheet-loop", "Too many levels of symbolic links", "review", "import", "l.csv", code=1,
        **{"l.csv": loop}),
    bad("review-export-onto", "tinyllm.csv exists", "review", "export", "tinyllm.csv", **{"tinyllm.csv": to_database}),
    bad("export-data-out", "s exists already.", "export-data", *TOY, "--out", "s", s=FOLDER),
    bad("export-data-format", "Invalid value for '--format'", "export-data", *TOY, "--out", "s", "--format", "csv"),
    bad("report-dataset", "There is no data set 'nothing'.", "report", "--dataset", "nothing"),
    bad("report-run", "There is no run 9.", "report", "--run", "9"),
    bad("push-no-prefix", "'me/toy' is not a repository of the hub.", "push", "--to", "me/toy"),
    bad("push-no-name", "'hub:toy' is not a repository of the hub.", "push", "--to", "hub:toy"),
    bad("push-path", "'hub:me/../x' is not a repository of the hub.", "push", "--to", "hub:me/../x"),
    bad("push-no-token", "Publishing needs a token of the hub.", "push", "--to", "hub:me/toy", "--run", "2"),
    bad("push-license", "'a b' is not the identifier of a licence.", "push", "--to", "hub:me/toy", "--license", "a b"),
    bad("push-source-license", "--source-license mit has no name", "push", "--to", "hub:me/toy", "--source-license",
        "mit"),
    bad("push-dataset", "--dataset and --teacher choose rationales.", "push", "--to", "hub:me/toy", *TOY),
    bad("push-run", "--run chooses a student.", "push", "--to", "hub:me/toy", "--what", "rationales", "--run", "2"),
    bad("export-data-icl", "Invalid value for '--icl': Input should be less than or equal to 16", "export-data", *TOY,
        "--out", "s", "--icl", "17"),
    bad("export-data-teacher", "no teacher called 'nobody'", "export-data", *TOY, "--out", "s", "--alpha", "nobody=1"),
    bad("list-part", "'tables' is not one of", "list", "tables"),
    bad("rename-unknown", "There is no data set 'to'.", "rename", "dataset", "to", "x"),
    bad("rename-name", "can't be called", "rename", "dataset", "toy", "a/b"),
    bad("delete-unknown", "There is no teacher 'bos'.", "delete", "teacher", "bos", "--yes"),
    bad("delete-unasked", "Deleting needs a confirmation", "delete", "run", "2"),
    bad("delete-number", "There is no run '99999999999999999999'.", "delete", "run", "99999999999999999999", "--yes"),
    bad("prune-keep", "Invalid value for '--keep'", "prune", "--keep", "all"),
    bad("backup-onto", "is the database itself", "backup", "tinyllm.db", "--replace"),
    bad("backup-link", "l.db is the database itself", "backup", "l.db", "--replace", **{"l.db": to_database}),
    bad("backup-folder", "No such file or directory", "backup", "x/y.db", code=1),
    bad("check-no-db", "There is no database", "check", code=1, base=False),
    bad("experiment-address", "--address needs a cluster.", "experiment", "seeds", "--address", "a:1"),
    bad("experiment-gpus", "--run-gpus needs a cluster.", "experiment", "seeds", "--run-gpus", "1"),
    bad("experiment-on", "Invalid value for '--on'", "experiment", "seeds", "--on", "moon"),
    bad("merge-none", "Missing argument 'OTHER.db ...'", "merge"),
    bad("merge-missing", "There is no database o.db.", "merge", "o.db", code=1),
    bad("merge-itself", "is the database to merge into", "merge", "tinyllm.db"),
    bad("merge-link", "l.db is the database to merge into", "merge", "l.db", **{"l.db": to_database}),
    bad("merge-twice", "o.db is named twice.", "merge", "o.db", "o.db"),
    bad("merge-text", "o.db is damaged, or not a SQLite database", "merge", "o.db", code=1, **{"o.db": "words\n"}),
    bad("merge-dry-no-db", "There is no database", "merge", "o.db", "--dry-run", code=1, base=False),
    bad("split-one", "Invalid value for '--shards'", "split", "--shards", "1"),
    bad("split-none", "Missing option '--shards'", "split"),
    bad("split-many", "fewer than 999 shards", "split", "--shards", "999"),
    bad("split-no-db", "There is no database", "split", "--shards", "2", code=1, base=False),
    bad("report-word", "Got unexpected extra argument(s) (word)", "report", "word"),
    bad("no-such-command", "No such command 'destil'. Did you mean 'distill'?", "destil"),
    bad("no-such-option", "No such option: --htm1 (Possible options: --html, --md)", "report", "--htm1", "a"),
    bad("option-without-value", "Option '--html' requires an argument.", "report", "--html"),
]
# fmt: on


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with the data set toy, rationales of boss and bossy, and a run whose student is gone."""
    folder = tmp_path_factory.mktemp("base")
    toy = write_dataset(folder / "toy", train=4, test=2)
    db = folder / "tinyllm.db"
    (toy / "rationales").mkdir()
    for name in ("boss", "bossy"):
        rows = [{"id": f"train-{n}", "rationale": f"thing {n} fits the number {n} of train."} for n in range(4)]
        (toy / "rationales" / f"{name}.train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert CliRunner().invoke(app, ["import", str(toy), "--db", str(db)]).exit_code == 0
    with open_store(db) as store:
        record_run(store, folder / "gone")
        record_run(store, tiny())
    yield db
    shutil.rmtree(tiny().parent)


def prepare(row: Bad, folder: Path, base: Path) -> None:
    """Write the files of a row."""
    if row.base:
        shutil.copy(base, folder / "tinyllm.db")
    for name, content in row.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def run(row: Bad, inside: Command, patch: pytest.MonkeyPatch, *more: str) -> tuple[int | str | None, str]:
    """The exit code and stderr of a row's command. `.env` is read by the program's entry point only."""
    words = [str(tiny()) if word == "{tiny}" else word for word in (*row.command, *more)]
    if ".env" not in row.files:
        done = inside(*words)
        return done.returncode, done.stderr
    patch.setattr(sys, "argv", ["tinyllm", *words])
    with contextlib.redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, stderr.getvalue()


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.id)
def test_a_bad_input_is_a_sentence_and_an_exit_code(
    row: Bad, inside: Command, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(row, tmp_path, base)
    code, stderr = run(row, inside, monkeypatch)
    assert code == row.code, stderr
    assert "Traceback" not in stderr
    assert "This is a defect of tinyllm" not in stderr
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", stderr)
    lines = stderr.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("Error: "))
    assert row.expected in lines[begin]
    assert len(lines) - begin <= 2, stderr


WRITING = ("report-html", "report-md", "report-latex", "report-csv", "predict-out", "export-out", "db-report")
OUTPUTS = [row for row in BAD if row.id.startswith(WRITING)]
"""Commands that would write to a file of somebody else."""


def contents(folder: Path) -> dict[str, bytes | str]:
    """The content of the regular files of a folder, and where its links lead, without SQLite's -wal and -shm."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not path.name.endswith(("-wal", "-shm"))
    }


@pytest.mark.parametrize("row", OUTPUTS, ids=lambda row: row.id)
def test_a_refused_input_changes_no_file(
    row: Bad, inside: Command, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(row, tmp_path, base)
    before = contents(tmp_path)
    assert run(row, inside, monkeypatch)[0] == row.code
    assert contents(tmp_path) == before


JSON_ROWS = [row for row in BAD if ".env" not in row.files][::12]
"""Some of every kind."""


@pytest.mark.parametrize("row", JSON_ROWS, ids=lambda row: row.id)
def test_under_json_the_last_line_of_stderr_is_an_object(
    row: Bad, inside: Command, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(row, tmp_path, base)
    first, *others = row.command
    code, stderr = run(replace(row, command=(first, "--json", *others)), inside, monkeypatch)
    found = json.loads(stderr.splitlines()[-1])
    assert set(found) == {"error", "hint", "exit_code"}
    assert (code, found["exit_code"]) == (row.code, row.code)
    assert row.expected in printable(found["error"])


def test_the_table_covers_every_command_and_is_large() -> None:
    assert len({row.id for row in BAD}) == len(BAD) >= 150
    assert len(JSON_ROWS) >= 10
    assert {row.command[0] for row in BAD} >= {command.name for command in app.registered_commands}
