"""Bad inputs of every command: a sentence that names the problem, exit code 1 or 2, and never a traceback."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset
from tests.models import make_folder, record_run
from tinyllm_cli.store import open_store

Content = str | bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Bad:
    """One bad input. `files` maps names to their content, or to what creates them. `base`: the database holds the data
    set toy with rationales of boss and bossy."""

    id: str
    command: list[str]
    expected: str
    code: int = 2
    files: Mapping[str, Content] = field(default_factory=dict)
    base: bool = False


ROW = {"id": "1", "question": "What floats?", "options": ["cork", "iron"], "answer_index": 0}
TOY = ["--dataset", "toy"]
HELD = "expected"


def q(**changes: object) -> str:
    """A row of questions with these changes; None removes a field."""
    return json.dumps({key: value for key, value in {**ROW, **changes}.items() if value is not None}) + "\n"


def raw(before: str, after: str) -> str:
    return q().replace(before, after)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


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
    config = BertConfig(vocab_size=size, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
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
IMPORT = ["import", "q.jsonl", "--name", "new"]


def one(id: str, content: Content, *options: str, name: str = "q.jsonl", code: int = 2) -> Bad:
    return Bad(f"import-{id}", ["import", name, "--name", "new", *options], HELD, code, {name: content})


def toml(id: str, text: Content, teacher: str = "t", code: int = 2) -> Bad:
    return Bad(f"toml-{id}", ["elicit", "-t", teacher, "-d", "everyday", "--limit", "1"], HELD, code, {"tinyllm.toml": text})


def bad(id: str, *command: str, base: bool = True, code: int = 2, **files: Content) -> Bad:
    return Bad(id, list(command), HELD, code, files, base)


def recorded(id: str, *rows: object) -> Bad:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    return Bad(f"recorded-{id}", ["import", "r.jsonl", "--teacher", "ann", "--dataset", "toy"], HELD, 2, {"r.jsonl": text}, True)


def name_of(id: str, name: str) -> list[Bad]:
    return [
        Bad(f"name-of-data-{id}", ["import", "q.jsonl", "--name", name], HELD, 2, {"q.jsonl": q()}),
        Bad(f"name-of-teacher-{id}", ["import", "r.jsonl", "--teacher", name, "--dataset", "toy"], HELD, 2,
            {"r.jsonl": '{"id": "train-0", "rationale": "So."}'}, True),
        toml(f"name-{id}", f"[teachers.{json.dumps(name)}]\nbackend = 'scripted'\nreplies = ['a']\n"),
    ]  # fmt: skip


T = "[teachers.t]\nbackend = '{}'\n"
S = T.format("scripted") + "replies = ['It floats.']\n"
O = T.format("openai") + "model = 'm'\n"
R = T.format("recorded")
H = T.format("huggingface")
V = T.format("vllm")
D = "[datasets.d]\n"

BAD = [
    bad("import-no-file", "import", "q.jsonl", base=False),
    bad("import-no-folder", "import", "none/", base=False),
    bad("import-empty-folder", "import", "d", base=False, d=FOLDER),
    bad("import-nul", "import", "a\0b.jsonl", base=False),
    bad("import-long-path", "import", "a" * 300 + ".jsonl", base=False),
    bad("import-empty-path", "import", "", base=False),
    bad("import-no-path", "import", base=False),
    one("text", "a", name="q.txt"),
    one("xlsx", b"PK", name="q.xlsx"),
    one("fifo", FIFO), one("fifo-csv", FIFO, name="q.csv"), one("fifo-json", FIFO, name="q.json"), one("fifo-parquet", FIFO, name="q.parquet"),
    one("zero", zero), one("zero-csv", zero, name="q.csv"), one("zero-gz", zero, name="q.jsonl.gz"),
    one("folder", FOLDER), one("dangling", dangling), one("loop", loop),
    one("empty", ""), one("empty-json", "", name="q.json"), one("empty-array", "[]", name="q.json"), one("empty-csv", "", name="q.csv"),
    one("broken-jsonl", "{"), one("broken-json", "[{", name="q.json"), one("comma-json", "[{},]", name="q.json"),
    one("deep-json", DEEP, name="q.json"), one("deep-jsonl", '{"id":' + DEEP),
    one("deep-cell", "id,question,options,answer\n1,a,\"" + "[" * 90_000 + "\",0\n", name="q.csv"),
    one("long-line", '{"id": "' + "a" * (9 << 20)), one("long-value", '[{"id": "' + "a" * (9 << 20), name="q.json"),
    one("digits", raw('"answer_index": 0', '"answer_index": ' + "9" * 5000)),
    one("digits-json", "[" + raw('"answer_index": 0', '"answer_index": ' + "9" * 5000) + "]", name="q.json"),
    one("digits-text", q(answer_index="9" * 5000)),
    one("not-gzip", "abc", name="q.jsonl.gz"), one("cut-gzip", gzip.compress(q().encode() * 99)[:40], name="q.jsonl.gz"),
    one("not-utf8", b'{"id": "\xff"}'), one("half-utf16", b"\xff\xfea", name="q.csv"),
    one("same-columns", "id,question,a,a,answer\n1,b,c,d,a\n", name="q.csv"),
    one("more-cells", "id,question,a,b,answer\n1,b,c,d,a,e\n", "--map", "options=a,b", name="q.csv"),
    one("only-head", "id,question,options,answer\n", name="q.csv"),
    one("long-cell", "id,question\n1," + "a" * 200_000 + "\n", name="q.csv"),
    one("open-quote", 'id,question,options,answer\n1,"a,b,c\n', name="q.csv"),
    one("scalar", "5\n"), one("array-row", "[1]\n"), one("null-row", "null\n"), one("text-row", '"a"\n'),
    one("object", '{"data": []}', name="q.json"),
    one("no-fields", "{}\n"), one("no-answer", q(answer_index=None)), one("null-question", raw('"What floats?"', "null")),
    one("blank-question", q(question=" ")), one("list-question", q(question=["a"])), one("list-id", q(id=["a"])), one("empty-id", q(id="")),
    one("context-object", q(context={"a": 1})), one("surrogate", q(question="\ud800")),
    one("options-text", q(options="cork")), one("options-number", q(options=3)), one("options-null", q(options=["a", None])),
    one("options-nested", q(options=[["a"], ["b"]])), one("options-blank", q(options=["a", " "])), one("one-option", q(options=["a"])),
    one("27-options", q(options=list(map(str, range(27))))), 
    one("same-options-text", q(options=["a", "b", "a"], answer_index=None, answer="a")),
    one("label-number", q(options={"text": ["a", "b"], "label": 5})), one("labels-more", q(options={"text": ["a", "b"], "label": ["A"]})),
    one("label-only", q(options={"label": ["A", "B"]})), one("answer-2", q(answer_index=2)), one("answer-negative", q(answer_index=-1)),
    one("answer-half", q(answer_index=0.5)), one("answer-nan", q(answer_index=float("nan"))), one("answer-list", q(answer_index=[0])),
    one("answer-unknown", q(answer_index="wood")), one("answer-true", q(answer_index=True)),
    one("answer-either", q(options=["1", "0"], answer_index=None, answer=1)),
    one("same-id", q() + q(question="What sinks?")), one("unknown-split", q(split="dev2"), "--map", "split=split"),
    one("map-form", q(), "--map", "question"), one("map-field", q(), "--map", "title=a"), one("map-twice", q(), "--map", "id=a", "--map", "id=b"),
    one("map-column", q(), "--map", "question=title"), one("options-one", q(), "--options", "yes"), one("options-twice", q(), "--options", "a,a"),
    one("answers-from", q(), "--answers-from", "2"), one("share", q(), "--split-off", "test=2"), one("shares", q(), "--split-off", "test=0.5", "--split-off", "valid=0.6"),
    one("share-nan", q(), "--split-off", "test=nan"), one("share-train", q(), "--split-off", "train=0.5"),
    one("rename-form", q(), "--rename", "a"), one("rename-unknown", q(), "--rename", "unknown=b"),
    one("teacher-alone", q(), "--teacher", "a"), one("teacher-and-map", q(), "--teacher", "a", "--dataset", "b", "--map", "id=x"),
    one("bad-bioasq", '{"questions": [5]}', name="q.json"),
    *name_of("esc", "a\x1b[31m"), *name_of("rlo", "a\u202eb"), *name_of("newline", "a\nb"), *name_of("slash", "../a"), *name_of("comma", "a,b"),
    *name_of("equals", "a=b"), *name_of("dots", ".."), *name_of("long", "a" * 250), *name_of("empty", ""), *name_of("space", " a"),
    recorded("no-rationale", {"id": "train-0"}), recorded("no-id", {"rationale": "a"}), recorded("index-7", {"id": "train-0", "rationale": "a", "answer_index": 7}),
    recorded("index-text", {"id": "train-0", "rationale": "a", "answer_index": "x"}), recorded("list", {"id": "train-0", "rationale": ["a"]}),
    recorded("digits", '{"id": "train-0", "rationale": "a", "answer_index": ' + "9" * 5000 + "}"),
    recorded("deep", DEEP), recorded("other-ids", {"id": "x", "rationale": "a"}), recorded("split", {"id": "train-0", "rationale": "a", "split": "dev2"}),
    recorded("scalar", 5), recorded("none"), recorded("surrogate", {"id": "train-0", "rationale": "\ud800"}),
    Bad("recorded-fifo", ["import", "r.jsonl", "--teacher", "ann", "--dataset", "toy"], HELD, 2, {"r.jsonl": FIFO}, True),
    Bad("recorded-zero", ["import", "r.csv", "--teacher", "ann", "--dataset", "toy"], HELD, 2, {"r.csv": zero}, True),
    bad("recorded-unknown-data", "import", "r.jsonl", "--teacher", "ann", "--dataset", "nope", **{"r.jsonl": '{"id": "a", "rationale": "b"}'}),
    Bad("rationales-bad-name", ["import", "d"], HELD, 2, {"d/train.jsonl": q(), "d/rationales/a=b.jsonl": '{"id": "1", "rationale": "b"}'}),
    Bad("rationales-fifo", ["import", "d"], HELD, 2, {"d/train.jsonl": q(), "d/rationales/ann.jsonl": FIFO}),
    Bad("import-two-formats", ["import", "d"], HELD, 2, {"d/train.jsonl": q(), "d/train.csv": "id\n"}),
    Bad("import-other-splits", ["import", "d"], HELD, 2, {"d/first.jsonl": q()}),
    Bad("import-share-of-folder", ["import", "d", "--split-off", "test=0.2"], HELD, 2, {"d/train.jsonl": q(), "d/test.jsonl": q()}),

    toml("broken", "["), toml("deep", "a = " + "[" * 5000), toml("deep-tables", "a = " + "{a=" * 5000), toml("digits", "a = " + "9" * 5000),
    toml("fifo", FIFO), toml("zero", zero), toml("folder", FOLDER), toml("not-utf8", b"a = '\xff'"), toml("dangling", dangling),
    toml("unknown", "[x]\n"), toml("teachers-list", "teachers = [1]"), toml("teachers-text", "[teachers]\nt = 'a'"), toml("gates-text", "gates = 1"),
    toml("no-backend", "[teachers.t]\n"), toml("backend-number", "[teachers.t]\nbackend = 1"), toml("backend-unknown", T.format("nope")),
    toml("dotted", "[teachers.gpt-4.1]\nbackend = 'scripted'\n", "gpt"), toml("key", O + "api_key = 'sk-123'"),
    toml("key-env", O + "api_key_env = 'sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"), toml("prefix", S + "prefix = 1"), toml("prefix-blank", S + "prefix = ' '"),
    toml("forcing", S + "teacher_forcing = true"), toml("forcing-text", R + "path = 'a'\nteacher_forcing = 'yes'"),
    toml("setting", S + "nope = 1"), toml("date", S + "nope = 1979-05-27"), toml("date-in-engine", V + "model = 'm'\nengine = { a = 1979-05-27 }"),
    toml("inf", S + "temperature = inf"), toml("nan", S + "top_p = nan"), toml("max-tokens", S + "max_tokens = 0"), toml("max-tokens-true", S + "max_tokens = true"),
    toml("seed", S + "seed = 99999999999999999999999"), toml("stop", S + "stop = 'a'"), toml("stop-empty", S + "stop = ['']"),
    toml("replies", T.format("scripted") + "replies = []"), toml("replies-numbers", T.format("scripted") + "replies = [1]"), toml("no-replies", T.format("scripted")),
    toml("no-path", R), toml("path-missing", R + "path = 'none.jsonl'"), toml("path-number", R + "path = 3"), toml("path-nul", R + 'path = "a\\u0000b.jsonl"'),
    toml("no-model", T.format("openai")), toml("model-number", T.format("openai") + "model = 3"), toml("model-folder", H + "model = './none'"), toml("model-nul", H + 'model = "./a\\u0000b"'),
    toml("url", O + "base_url = 'nope'"), toml("url-number", O + "base_url = 3"), toml("url-password", O + "base_url = 'http://alice:pw@localhost:1/v1'"),
    toml("url-token", O + "base_url = 'http://localhost:1/v1?token=abc'"), toml("url-port", O + "base_url = 'http://localhost:99999999/v1'"),
    toml("url-ftp", O + "base_url = 'ftp://a/'"), toml("url-ipv6", O + "base_url = 'http://[::1/v1'"), toml("url-newline", O + 'base_url = "http://a\\nb/v1"'),
    toml("limits", O + "max_in_flight = -1"), toml("extra", O + "extra = 3"), toml("timeout", O + "timeout = -1"),
    toml("command", V + "model = 'm'\ncommand = 'vllm \"serve'"), toml("command-nul", V + 'model = "m"\ncommand = ["a\\u0000b"]'),
    toml("engine-token", V + "model = 'm'\nengine = { hf_token = 'hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }"),
    Bad("toml-data-no-split", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D}),
    Bad("toml-data-missing", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "train = 'none.jsonl'"}),
    Bad("toml-data-number", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "train = 1"}),
    Bad("toml-data-unknown", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "dev = 'a'"}),
    Bad("toml-data-columns", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "train = 'a'\ncolumns = 1"}),
    Bad("toml-data-options", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "train = 'a'\noptions = [1]"}),
    Bad("toml-data-answers", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + "train = 'a'\nanswers_from = true"}),
    Bad("toml-data-nul", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + 'train = "a\\u0000b.jsonl"'}),
    Bad("toml-data-fifo", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": D + 'train = "a.jsonl"', "a.jsonl": FIFO}),
    Bad("toml-data-name", ["elicit", "-t", "expert", "-d", "d"], HELD, 2, {"tinyllm.toml": "[datasets.'a/b']\ntrain = 'a'"}),
    *(Bad(f"toml-gates-{id}", ["gate", *TOY], HELD, 2, {"tinyllm.toml": "[gates]\n" + text}, True)
      for id, text in [("unknown", "nope = 1"), ("text", "min_words = 'a'"), ("negative", "min_words = -1"), ("nan", "min_words = nan"), ("off", "off = ['nope']")]),

    *(Bad(f"env-{id}", ["report"], HELD, 2, {".env": content})
      for id, content in [("fifo", FIFO), ("zero", zero), ("folder", FOLDER), ("not-utf8", b"A=\xff"), ("long", "A=" + "a" * (9 << 20)), ("loop", loop)]),
    Bad("env-db-nul", ["report"], HELD, 2, {".env": 'TINYLLM_DB="a\0b"'}), Bad("env-config", ["report"], HELD, 2, {".env": "TINYLLM_CONFIG=none.toml"}),

    bad("elicit-no-teacher", "elicit", *TOY), bad("elicit-no-data", "elicit", "-t", "expert"),
    bad("elicit-unknown-teacher", "elicit", "-t", "gpt9", *TOY), bad("elicit-ambiguous-teacher", "elicit", "-t", "s", *TOY, **{"tinyllm.toml": S.replace("[teachers.t]", "[teachers.small]")}),
    bad("elicit-empty-teacher", "elicit", "-t", "", *TOY), bad("elicit-esc-teacher", "elicit", "-t", "a\x1b[31m\u202e", *TOY),
    bad("elicit-unknown-data", "elicit", "-t", "expert", "-d", "nope"), bad("elicit-path-data", "elicit", "-t", "expert", "-d", "../../etc/passwd"),
    bad("elicit-nul-data", "elicit", "-t", "expert", "-d", "a\0b"), bad("elicit-empty-data", "elicit", "-t", "expert", "-d", ""),
    bad("elicit-fifo-data", "elicit", "-t", "expert", "-d", "./d.jsonl", **{"d.jsonl": FIFO}), bad("elicit-dev-zero", "elicit", "-t", "expert", "-d", "/dev/zero"),
    bad("elicit-no-match", "elicit", "-t", "expert", *TOY), bad("elicit-split", "elicit", "-t", "t", *TOY, "--split", "dev"), bad("elicit-empty-split", "elicit", "-t", "t", *TOY, "--split", "valid", **{"tinyllm.toml": S}),
    *(bad(f"elicit{option}={value}", "elicit", "-t", "t", *TOY, f"{option}={value}", **{"tinyllm.toml": S})
      for option, value in [("--icl", "-1"), ("--icl", "17"), ("--samples", "0"), ("--samples", "999999999999"), ("--temperature", "inf"), ("--temperature", "nan"),
          ("--temperature", "-1"), ("--top-p", "0"), ("--top-p", "nan"), ("--max-tokens", "0"), ("--max-tokens", "9" * 30), ("--seed", "9" * 30), ("--budget", "nan"), ("--budget", "-1"), ("--budget", "inf"),
          ("--limit", "0"), ("--limit", "x"), ("--max-tokens-total", "0"), ("--nope", "1")]),
    bad("elicit-pilot-dry-run", "elicit", "-t", "t", *TOY, "--pilot", "--dry-run", **{"tinyllm.toml": S}), bad("elicit-batch-scripted", "elicit", "-t", "t", *TOY, "--batch", **{"tinyllm.toml": S}),
    bad("elicit-no-wait-alone", "elicit", "-t", "t", *TOY, "--no-wait", **{"tinyllm.toml": S}),
    bad("elicit-no-key", "elicit", "-t", "t", *TOY, **{"tinyllm.toml": O}),
    *(Bad(f"db-{command[0]}-{id}", [*command, "--db", name], HELD, 1, {} if content is None else {name: content})
      for command in (["import", "q.jsonl"], ["report"])
      for id, name, content in [("memory", ":memory:", None), ("folder", "d", FOLDER), ("text", "a.db", "hello" * 999), ("foreign", "b.db", foreign_db), ("future", "c.db", future_db),
          ("damaged", "e.db", damaged_db), ("fifo", "f.db", FIFO), ("zero", "g.db", zero), ("nul", "a\0b", None), ("no-folder", "none/a.db", None), ("loop", "h.db", loop), ("device", "/dev/null", None), ("long", "a" * 300, None), ("empty-name", "", None)]),
    Bad("import-db-is-data", ["import", "q.jsonl", "--db", "q.jsonl"], HELD, 1, {"q.jsonl": q()}),
    bad("config-missing", "gate", *TOY, "--config", "none.toml"), bad("config-folder", "gate", *TOY, "--config", "d", d=FOLDER), bad("config-nul", "gate", *TOY, "--config", "a\0b"), bad("config-loop", "gate", *TOY, "--config", "l", l=loop),
    *(bad(f"{name}-no-database", name, *words, base=False, code=1) for name, words in [("gate", []), ("audit", []), ("usefulness", []), ("inspect", ["a"]), ("distill", []), ("eval", []), ("predict", ["a", "-o", "b", "-o", "c"]), ("export", ["--to", "onnx", "--out", "o"]), ("report", []), ("experiment", ["seeds"])]),
    *(bad(f"{name}-unknown-data", *words, "--dataset", "no\x1bpe") for name, words in [("gate", ["gate"]), ("audit", ["audit"]), ("usefulness", ["usefulness"]), ("inspect", ["inspect", "a"]), ("distill", ["distill"]), ("eval", ["eval", "--teacher", "boss"]), ("experiment", ["experiment", "seeds"])]),
    *(bad(f"{name}-ambiguous-teacher", *words, *TOY) for name, words in [("gate", ["gate", "--teacher", "bo"]), ("distill", ["distill", "--alpha", "bo=1"]), ("eval", ["eval", "--teacher", "bo"]), ("usefulness", ["usefulness", "--teacher", "bo"]), ("experiment", ["experiment", "seeds", "--alpha", "bo=1"])]),
    *(bad(f"{name}-unknown-teacher", *words, *TOY) for name, words in [("gate", ["gate", "--teacher", "x"]), ("distill", ["distill", "--alpha", "x=1"]), ("eval", ["eval", "--teacher", "x"]), ("usefulness", ["usefulness", "--teacher", "x"]), ("experiment", ["experiment", "seeds", "--alpha", "x=1"])]),
    bad("gate-show", "gate", *TOY, "--show", "nope"), bad("gate-samples", "gate", *TOY, "--samples", "0"), bad("gate-target", "gate", *TOY, "--max-target", "1"), bad("gate-split", "gate", *TOY, "--split", "test"),
    bad("audit-student", "audit", *TOY, "--student", "./none"), bad("audit-allow", "audit", *TOY, "--allow", "nope"), bad("audit-input", "audit", *TOY, "--max-input", "0"), bad("audit-nul", "audit", *TOY, "--student", "a\0b"), bad("audit-file", "audit", *TOY, "--student", "./q.jsonl", **{"q.jsonl": q()}),
    bad("usefulness-model", "usefulness", *TOY, "--model", "./none"), bad("usefulness-nul", "usefulness", *TOY, "--model", "a\0b"), bad("usefulness-leakage-show", "usefulness", *TOY, "--leakage", "5", "--show", "2"), bad("usefulness-icl", "usefulness", *TOY, "--icl", "-1"), bad("usefulness-icl-none", "usefulness", *TOY, "--icl", "9"), bad("usefulness-split", "usefulness", *TOY, "--split", "test"), bad("usefulness-leakage-0", "usefulness", *TOY, "--leakage", "0"),
    bad("inspect-nothing", "inspect", "zebra"), bad("inspect-empty", "inspect", ""), bad("inspect-split", "inspect", "train-0", "--split", "dev"), bad("inspect-rlo", "inspect", "\u202e\x1b[2J"), bad("inspect-no-question", "inspect"), bad("inspect-quote", "inspect", 'a" OR 1=1 --'), bad("inspect-nul", "inspect", "a\0b"),
    *(bad(f"distill{option}={value}", "distill", *TOY, "--student", "./none", f"{option}={value}")
      for option, value in [("--alpha", "boss=-1"), ("--alpha", "boss=nan"), ("--alpha", "boss=inf"), ("--alpha", "boss=x"), ("--alpha", "boss"), ("--alpha", "=1"), ("--alpha", "boss=1,boss=2"), ("--alpha", "boss=1e999"), ("--lr", "inf"), ("--lr", "nan"), ("--lr", "-1"), ("--epochs", "0"), ("--batch-size", "0"),
          ("--schedule", "nope"), ("--optimizer", "nope"), ("--weight-decay", "inf"), ("--lora-alpha", "nan"), ("--lora-rank", "-1"), ("--max-input", "7"), ("--max-target", "1"), ("--token-budget", "1"), ("--patience", "-1"), ("--save-every", "nan"), ("--seed", "9" * 30), ("--limit", "0"), ("--samples", "0"), ("--icl", "9"), ("--usefulness-model", "x"), ("--method", "nope"), ("--precision", "fp16"), ("--student", "a\0b"), ("--student", ""), ("--student", "../none"), ("--student", "a\x1b[31m\u202eb/c d")]),
    bad("distill-inference-alpha", "distill", *TOY, "--student", "./none", "--method", "inference", "--alpha", "boss=1"), bad("distill-finetune-alpha", "distill", *TOY, "--student", "./none", "--method", "finetune", "--alpha", "boss=1"), bad("distill-filter-without-scores", "distill", *TOY, "--student", "./none", "--usefulness", "filter"),
    bad("distill-empty-folder", "distill", *TOY, "--student", "./d", d=FOLDER), bad("distill-pickle", "distill", *TOY, "--student", "./d", **{"d/config.json": "{}", "d/pytorch_model.bin": "x"}),
    bad("distill-config-deep", "distill", *TOY, "--student", "./d", **{"d/config.json": DEEP, "d/model.safetensors": "x"}), bad("distill-config-array", "distill", *TOY, "--student", "./d", **{"d/config.json": "[]", "d/model.safetensors": "x"}), bad("distill-config-fifo", "distill", *TOY, "--student", "./d", **{"d/config.json": FIFO, "d/model.safetensors": "x"}), bad("distill-gguf", "distill", *TOY, "--student", "./a.gguf", **{"a.gguf": "x"}), bad("distill-gguf-fifo", "distill", *TOY, "--student", "./a.gguf", **{"a.gguf": FIFO}),
    bad("distill-index-outside", "distill", *TOY, "--student", "./d", **{"d/config.json": '{"model_type": "llama"}', "d/model.safetensors.index.json": '{"weight_map": {"a": "../evil.safetensors"}}'}), bad("distill-index-pickle", "distill", *TOY, "--student", "./d", **{"d/config.json": '{"model_type": "llama"}', "d/model.safetensors.index.json": '{"weight_map": {"a": "evil.bin"}}', "d/evil.bin": "x"}),
    bad("eval-unknown-run", "eval", "--run", "7"), bad("eval-huge-run", "eval", "--run", "9" * 30), bad("eval-run-text", "eval", "--run", "one"), bad("eval-no-run", "eval"), bad("eval-run-and-model", "eval", "--run", "1", "--model", "m"), bad("eval-run-and-teacher", "eval", "--run", "1", "--teacher", "boss"), bad("eval-scoring", "eval", "--scoring", "vibes"), bad("eval-model-no-data", "eval", "--model", "./none"), bad("eval-model-missing", "eval", "--model", "./none", *TOY), bad("eval-student-gone", "eval", "--run", "1"), bad("eval-split-empty", "eval", "--model", "./none", *TOY, "--split", "valid"), bad("eval-teacher-split", "eval", "--teacher", "boss", *TOY),
    bad("predict-nothing", "predict"), bad("predict-one-option", "predict", "a", "-o", "b"), bad("predict-same-options", "predict", "a", "-o", "a", "-o", "a"), bad("predict-27-options", "predict", "a", *(f"-o{n}" for n in range(27))), bad("predict-blank", "predict", " ", "-o", "a", "-o", "b"), bad("predict-blank-option", "predict", "q", "-o", "a", "-o", " "), bad("predict-run-and-model", "predict", "a", "--run", "1", "--model", "m"), bad("predict-file-alone", "predict", "--file", "q.jsonl"), bad("predict-out-alone", "predict", "--out", "o.jsonl"), bad("predict-both", "predict", "a", "--file", "q.jsonl", "--out", "o"), bad("predict-map-alone", "predict", "a", "--map", "id=x"), bad("predict-options-alone", "predict", "-o", "a"), bad("predict-unknown-run", "predict", "a", "-o", "b", "-o", "c", "--run", "9"), bad("predict-input", "predict", "a", "--max-input", "1"), bad("predict-model-missing", "predict", "a", "-o", "b", "-o", "c", "--model", "./none"), bad("predict-explain-unknown", "predict", "a", "-o", "b", "-o", "c", "--model", "./none", "--explain-as", "zz"), bad("predict-no-file", "predict", "--file", "none.jsonl", "--out", "o", "--run", "2"), bad("predict-fifo", "predict", "--file", "q.jsonl", "--out", "o", "--run", "2", **{"q.jsonl": FIFO}), bad("predict-out-is-file", "predict", "--file", "q.jsonl", "--out", "q.jsonl", "--run", "2", **{"q.jsonl": q()}), bad("predict-out-folder", "predict", "--file", "q.jsonl", "--out", "d", "--run", "2", **{"q.jsonl": q(), "d": FOLDER}), bad("predict-out-fifo", "predict", "--file", "q.jsonl", "--out", "d", "--run", "2", **{"q.jsonl": q(), "d": FIFO}), bad("predict-out-foreign", "predict", "--file", "q.jsonl", "--out", "d", "--run", "2", **{"q.jsonl": q(), "d": "my notes\n"}), bad("predict-out-db", "predict", "--file", "q.jsonl", "--out", "tinyllm.db", "--run", "2", **{"q.jsonl": q()}), bad("predict-out-no-folder", "predict", "--file", "q.jsonl", "--out", "none/o", "--run", "2", **{"q.jsonl": q()}), bad("predict-out-nul", "predict", "--file", "q.jsonl", "--out", "a\0b", "--run", "2", **{"q.jsonl": q()}), bad("predict-surrogate", "predict", "\udcff", "-o", "b", "-o", "c"),
    bad("export-no-format", "export", "--out", "o"), bad("export-format", "export", "--to", "pickle", "--out", "o"), bad("export-no-out", "export", "--to", "onnx"), bad("export-unknown-run", "export", "--to", "onnx", "--out", "o", "--run", "9"), bad("export-questions", "export", "--to", "onnx", "--out", "o", "--questions", "0"), bad("export-out-exists", "export", "--to", "onnx", "--out", "o", "--run", "2", **{"o/a": "x"}), bad("export-out-file", "export", "--to", "onnx", "--out", "o", "--run", "2", o="x"), bad("export-out-db", "export", "--to", "onnx", "--out", "tinyllm.db", "--run", "2"), bad("export-out-nul", "export", "--to", "onnx", "--out", "a\0b", "--run", "2"), bad("export-out-long", "export", "--to", "onnx", "--out", "a" * 300, "--run", "2"), bad("export-student-gone", "export", "--to", "onnx", "--out", "o", "--run", "1"), bad("export-gguf-int8", "export", "--to", "gguf", "--quantize", "int8", "--out", "o", "--run", "2"),
    *(bad(f"experiment-{id}", "experiment", *words, *TOY, "--dry-run") for id, words in {
        "unknown": ["nope"], "methods": ["seeds", "--methods", "tinyllm"], "method": ["table1", "--methods", "nope"], "fractions": ["train-size", "--fractions", "0"], "fractions-nan": ["train-size", "--fractions", "nan"], "fractions-text": ["train-size", "--fractions", "a"], "grid": ["alpha", "--grid", "-1"], "grid-nan": ["alpha", "--grid", "nan"], "grid-empty": ["alpha", "--grid", ""], "seeds-text": ["seeds", "--seeds", "a"], "seeds-empty": ["seeds", "--seeds", ""], "seeds-digits": ["seeds", "--seeds", "9" * 5000], "seeds-huge": ["seeds", "--seeds", "9" * 30], "search-grid": ["alpha", "--search", "2", "--grid", "1"], "search-0": ["alpha", "--search", "0"], "jobs": ["seeds", "--jobs", "0"], "alpha": ["seeds", "--alpha", "boss=nan"]}.items()),
    *(bad(f"experiment-more-{id}", "experiment", "seeds", *TOY, "--dry-run", "--", *words) for id, words in {"unknown": ["--nope"], "set": ["--seed", "1"], "word": ["word"], "value": ["--epochs", "x"], "lr": ["--lr", "inf"], "schedule": ["--schedule", "nope"], "optimizer": ["--optimizer", "nope"]}.items()),
    *(bad(f"report-{id}", "report", *words, code=1, **files) for id, words, files in [
        ("html-db", ["--html", "tinyllm.db"], {}), ("html-wal", ["--html", "tinyllm.db-wal"], {}), ("html-link-db", ["--html", "l"], {"l": lambda path: path.symlink_to("tinyllm.db")}), ("html-foreign", ["--html", "a.html"], {"a.html": "<p>mine"}), ("html-folder", ["--html", "d"], {"d": FOLDER}), ("html-no-folder", ["--html", "none/a.html"], {}), ("html-nul", ["--html", "a\0b"], {}), ("html-long", ["--html", "a" * 300], {}), ("html-loop", ["--html", "l"], {"l": loop}), ("html-md", ["--html", "a", "--md", "./a"], {}), ("md-foreign", ["--md", "a.md"], {"a.md": "mine"}), ("latex-db", ["--latex", "tinyllm.db"], {}), ("csv-file", ["--csv", "a"], {"a": "x"}), ("csv-foreign", ["--csv", "d"], {"d/costs.csv": "mine"}), ("csv-db", ["--csv", "tinyllm.db"], {}), ("csv-nul", ["--csv", "a\0b"], {}), ("html-config", ["--html", "tinyllm.toml"], {"tinyllm.toml": S}), ("html-in-csv", ["--html", "d/costs.csv", "--csv", "d"], {})]),
    bad("elicit-index-7", "elicit", "-t", "t", *TOY, **{"tinyllm.toml": R + "path = 'r.jsonl'", "r.jsonl": '{"id": "train-0", "rationale": "a", "answer_index": 7}'}),
    bad("distill-lora-rank", "distill", *TOY, "--student", "{tiny}", "--lora-rank", "99999999"), bad("distill-bert", "distill", *TOY, "--student", "./d", d=bert), bad("distill-kernel", "distill", *TOY, "--student", "./d", d=kernel), bad("distill-no-tokenizer", "distill", *TOY, "--student", "./d", d=no_tokenizer), bad("distill-no-weights", "distill", *TOY, "--student", "./d", d=no_weights),
    bad("distill-weights-zero", "distill", *TOY, "--student", "./d", d=zero_weights),
    bad("elicit-template", "elicit", "-t", "t", *TOY, **{"tinyllm.toml": H + "model = './d'", "d": raising_template}),
    bad("distill-adapter", "distill", *TOY, "--student", "./d", **{"d/adapter_config.json": "{}"}), bad("distill-config-zero", "distill", *TOY, "--student", "./d", **{"d/config.json": zero}),
    bad("eval-config-fifo", "eval", "--model", "./d", *TOY, **{"d/config.json": FIFO}), bad("audit-config-fifo", "audit", *TOY, "--student", "./d", **{"d/tokenizer.json": FIFO}),
    bad("elicit-model-fifo", "elicit", "-t", "t", *TOY, **{"tinyllm.toml": H + "model = './d'", "d/config.json": FIFO}),
    bad("elicit-vllm-fifo", "elicit", "-t", "t", *TOY, **{"tinyllm.toml": V + "model = './d'", "d/config.json": FIFO}),
    *(bad(f"{name}-broken-json", *words, **{"tinyllm.db": broken_json}) for name, words in [("report", ["report"]), ("eval", ["eval", "--run", "2"]), ("predict", ["predict", "a", "-ob", "-oc", "--run", "2"]), ("distill", ["distill", *TOY, "--student", "{tiny}", "--alpha", "0"])]),
    bad("report-broken-metrics", "report", **{"tinyllm.db": broken_metrics}),
    bad("env-dangling", "report", **{".env": dangling}), bad("toml-loop", "report", **{"tinyllm.toml": loop}),
    bad("elicit-loop-data", "elicit", "-t", "expert", "-d", "./l", l=loop), bad("predict-out-loop", "predict", "--file", "q.jsonl", "--out", "l", "--run", "2", **{"q.jsonl": q(), "l": loop}), bad("export-out-loop", "export", "--to", "onnx", "--out", "l/o", "--run", "2", l=loop), bad("distill-student-loop", "distill", *TOY, "--student", "./l", l=loop),
    bad("report-samples", "report", "--samples", "-1"), bad("report-target", "report", "--max-target", "0"), bad("report-word", "report", "word"), bad("no-such-command", "destil"), bad("no-such-option", "report", "--htm1", "a"), bad("option-without-value", "report", "--html"),
]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with the data set toy, rationales of boss and bossy, and a run whose student is gone."""
    from typer.testing import CliRunner

    from tinyllm_cli.cli import app

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
