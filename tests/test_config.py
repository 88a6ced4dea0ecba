from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT, Command, write_dataset
from tests.files import write_rows
from tinyllm_cli.config import Settings, built_in_teachers, load_settings
from tinyllm_cli.config.env_file import ENV_NAMES, apply_env_file
from tinyllm_cli.config.names import check_name, match_name
from tinyllm_cli.datasets.catalogue import find_source
from tinyllm_cli.errors import UsageProblem

FULL = """
[teachers.qwen]
backend = "huggingface"
model = "Qwen/Qwen3-4B"
dtype = "bfloat16"
prefix = "explain like qwen: "
temperature = 0.7
max_tokens = 200
stop = ["END"]

[teachers.notes]
backend = "recorded"
path = "notes/notes.jsonl"
teacher_forcing = false

[teachers.many]
backend = "recorded"
path = ["one.jsonl", "two.jsonl"]

[datasets.quiz]
train = "quiz/train.csv"
test = "/data/quiz/test.csv"
columns = { id = "#", question = "stem", options = ["a", "b", "c"], answer = "key" }
"""


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return load_settings(folder / "settings.toml")


def test_tables_become_teachers_and_data_sets(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, FULL)
    qwen = settings.teachers["qwen"]
    assert (qwen.backend, qwen.prefix) == ("huggingface", "explain like qwen: ")
    assert qwen.options == {"model": "Qwen/Qwen3-4B", "dtype": "bfloat16"}
    assert qwen.sampling == {"temperature": 0.7, "max_tokens": 200, "stop": ["END"]}
    assert qwen.teacher_forcing
    notes = settings.teachers["notes"]
    assert (notes.prefix, notes.teacher_forcing) == ("notes: ", False)
    quiz = settings.datasets["quiz"]
    assert quiz.columns == {"id": "#", "question": "stem", "options": "a,b,c", "answer": "key"}


def test_paths_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, FULL)
    assert settings.teachers["notes"].options["path"] == str(tmp_path / "notes" / "notes.jsonl")
    assert settings.teachers["many"].options["path"] == [str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")]
    assert settings.datasets["quiz"].splits == {
        "train": str(tmp_path / "quiz" / "train.csv"),
        "test": "/data/quiz/test.csv",
    }


def test_a_table_replaces_the_built_in_teacher_of_its_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[teachers.t5]\nbackend = "scripted"\nreplies = ["x"]')
    assert settings.teachers["t5"].backend == "scripted"
    assert set(settings.teachers) == set(built_in_teachers())


def test_the_built_in_teachers_are_there_without_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYLLM_CONFIG", raising=False)
    settings = load_settings()
    assert settings.source is None
    models = {name: spec.options.get("model") for name, spec in settings.teachers.items()}
    assert models["llama2"] == "meta-llama/Llama-2-7b-chat-hf"
    assert models["t5"] == "google/flan-t5-xl"
    assert set(models) == {"llama2", "t5", "smollm2", "expert"}
    assert len({spec.prefix for spec in settings.teachers.values()}) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[teachers.x", "settings.toml can't be read"),
        ("[teacher.x]\nbackend = 'scripted'", "unknown setting 'teacher'"),
        ("teachers = 5", "'teachers' must hold tables"),
        ("[teachers]\nx = 'scripted'", "'teachers' must hold tables"),
        ("[teachers.x]\nmodel = 'm'", "[teachers.x]: 'backend' is missing"),
        ("[teachers.x]\nbackend = 5", "[teachers.x]: 'backend' is missing"),
        ("[teachers.x]\nbackend = 'openai'\nteacher_forcing = false", "[teachers.x]: teacher_forcing is for recorded"),
        ("[datasets.x]\n", "[datasets.x]: no split is given"),
        ("[datasets.x]\ntrain = 'a.csv'\ndev = 'b.csv'", "[datasets.x]: unknown setting 'dev'"),
        ("[datasets.x]\ntrain = 5", "[datasets.x]: 'train' must be a text, not 5"),
        ("[datasets.x]\ntrain = 'a.csv'\ncolumns = 'stem'", "[datasets.x]: 'columns' must be a table"),
        (
            "[datasets.x]\ntrain = 'a.csv'\ncolumns = {stem = 'question'}",
            "[datasets.x], columns: unknown setting 'stem'",
        ),
        ("[datasets.x]\ntrain = 'a.csv'\ncolumns = {id = 1}", "[datasets.x]: 'id' must be a text, not 1"),
    ],
)
def test_a_wrong_settings_file_is_named_with_its_table_and_setting(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        settings_of(tmp_path, text)
    assert "settings.toml" in str(caught.value)
    assert said in str(caught.value)


def test_a_settings_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"no configuration file .*gone\.toml"):
        load_settings(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(UsageProblem, match=r"latin\.toml can't be read"):
        load_settings(tmp_path / "latin.toml")


names = st.text("abc12", min_size=1, max_size=4)


@given(st.sets(names, min_size=1), names)
def test_a_name_is_matched_by_its_only_beginning(known: set[str], wanted: str) -> None:
    fitting = {name for name in known if name.startswith(wanted)}
    if wanted in known or len(fitting) == 1:
        assert match_name(wanted, known, "teacher") == (wanted if wanted in known else fitting.pop())
        return
    with pytest.raises(UsageProblem) as caught:
        match_name(wanted, known, "teacher")
    listed = str(caught.value) if fitting else caught.value.hint
    assert ", ".join(sorted(fitting or known)) in listed


def test_nothing_is_the_beginning_of_no_name() -> None:
    with pytest.raises(UsageProblem, match="no teacher called ''"):
        match_name("", ["t5"], "teacher")


def sampling_of(database: Path) -> list[tuple[float, int]]:
    from tinyllm_cli.store import open_store

    with open_store(database, create=False) as store:
        rows = store.rows("SELECT temperature, max_tokens FROM samplings ORDER BY max_tokens")
        return [(row["temperature"], row["max_tokens"]) for row in rows]


def test_a_flag_wins_over_the_settings_file_and_that_over_the_default(tinyllm: Command, tmp_path: Path) -> None:
    table = '[teachers.warm]\nbackend = "scripted"\nreplies = ["It is wet."]\ntemperature = 0.5\nmax_tokens = 99\n'
    (tmp_path / "tinyllm.toml").write_text(table, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=2)
    ask = ["elicit", "--teacher", "warm", "--dataset", "toy"]
    assert tinyllm(*ask).returncode == 0
    assert tinyllm(*ask, "--max-tokens", "120", "--temperature", "0").returncode == 0
    assert sampling_of(tmp_path / "tinyllm.db") == [(0.5, 99), (0.0, 120)]


def config_with(path: Path, teacher: str) -> Path:
    path.write_text(f'[teachers.{teacher}]\nbackend = "scripted"\nreplies = ["Yes."]\n', encoding="utf-8")
    return path


def test_the_settings_file_comes_from_the_flag_then_the_environment_then_the_folder(
    tinyllm: Command, tmp_path: Path
) -> None:
    config_with(tmp_path / "tinyllm.toml", "folder")
    in_environment = str(config_with(tmp_path / "environment.toml", "from_env"))
    by_flag = config_with(tmp_path / "flag.toml", "flag")
    ask = ["elicit", "--teacher", "nobody", "--dataset", "everyday"]
    assert ", folder, " in tinyllm(*ask).stderr
    assert ", from_env, " in tinyllm(*ask, TINYLLM_CONFIG=in_environment).stderr
    assert ", flag, " in tinyllm(*ask, "--config", by_flag, TINYLLM_CONFIG=in_environment).stderr


def databases(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.db")}


def test_dotenv_sets_what_the_environment_leaves_open_and_a_flag_wins(tinyllm: Command, tmp_path: Path) -> None:
    config_with(tmp_path / "mine.toml", "parrot")
    (tmp_path / ".env").write_text("TINYLLM_DB=dotenv.db\nTINYLLM_CONFIG=mine.toml\n", encoding="utf-8")
    write_dataset(tmp_path / "toy", train=2)
    ask = ["elicit", "--teacher", "parrot", "--dataset", "toy"]
    assert tinyllm(*ask).returncode == 0
    assert databases(tmp_path) == {"dotenv.db"}
    assert tinyllm(*ask, TINYLLM_DB="environment.db").returncode == 0
    assert databases(tmp_path) == {"dotenv.db", "environment.db"}
    assert tinyllm(*ask, "--db", "flag.db", TINYLLM_DB="environment.db").returncode == 0
    assert databases(tmp_path) == {"dotenv.db", "environment.db", "flag.db"}


def test_the_example_dotenv_copied_as_it_is_changes_nothing(tinyllm: Command, tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    write_dataset(tmp_path / "toy", train=2)
    assert tinyllm("import", "toy").stdout == "toy: train 2\n"
    assert databases(tmp_path) == {"tinyllm.db"}
    assert json.loads(tinyllm("report", "--json").stdout)["datasets"][0]["name"] == "toy"
    done = tinyllm("elicit", "--teacher", "t5", "--dataset", "everyday", "--limit", "1")
    assert "google/flan-t5-xl" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["toy"]


@pytest.mark.parametrize(
    "name",
    ["", " ", " a", "a ", "a/b", "a\\b", "a=b", "a,b", "a\nb", "a\x1bb", "a\u202eb", "..", ".a", "-a", "~a", "a" * 250],
)
def test_names_that_would_break_files_options_or_tables_are_refused(name: str) -> None:
    for what in ("teacher", "data set"):
        with pytest.raises(UsageProblem, match=f"A {what} can't be called"):
            check_name(name, what)


@pytest.mark.parametrize("name", ["gpt-4.1", "qwen:7b", "Ein Lehrer", "先生", "a" * 80, "t5_v1"])
def test_ordinary_names_are_accepted(name: str) -> None:
    check_name(name, "teacher")


@pytest.mark.parametrize("table", ["teachers", "datasets"])
def test_names_in_the_settings_file_follow_the_rule(tmp_path: Path, table: str) -> None:
    with pytest.raises(UsageProblem, match="can't be called 'a=b'"):
        settings_of(tmp_path, f'[{table}."a=b"]\nbackend = "scripted"\ntrain = "x.csv"\n')


def test_a_name_with_a_dot_needs_quotes(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="'backend' is missing") as caught:
        settings_of(tmp_path, '[teachers.gpt-4.1]\nbackend = "openai"\n')
    assert '[teachers."gpt-4.1"]' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 5000, "can't be read"),
        ("a = " + "9" * 5000, "can't be read"),
        ('[teachers.x]\nbackend = "vllm"\nengine = { since = 2024-01-01 }', "since can't be 2024-01-01"),
        ('[teachers.x]\nbackend = "openai"\ntemperature = inf', "temperature can't be inf"),
        ('[teachers.x]\nbackend = "openai"\nextra = { x = nan }', "x can't be nan"),
        ('[datasets.x]\ntrain = "a.csv"\nanswers_from = 2', "'answers_from' must be 0 or 1"),
        ('[datasets.x]\ntrain = "a.csv"\noptions = "yes,no"', "'options' must be a list of texts"),
    ],
)
def test_hostile_settings_are_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=re.escape(said)):
        settings_of(tmp_path, text)


def test_settings_are_read_from_regular_files_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(UsageProblem, match="not a regular file"):
        load_settings(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with pytest.raises(UsageProblem, match="not a regular file"):
        load_settings(tmp_path / "zero.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (9 << 20))
    with pytest.raises(UsageProblem, match="larger than 8 MiB"):
        load_settings(tmp_path / "large.toml")


def test_a_table_gives_options_and_the_number_of_the_first(tmp_path: Path) -> None:
    rows = [{"id": n, "question": f"Is {n} odd?", "answer": 1 + n % 2} for n in range(4)]
    write_rows(tmp_path / "odd.jsonl", rows)
    text = '[datasets.odd]\ntrain = "odd.jsonl"\noptions = ["no", "yes"]\nanswers_from = 1\n'
    source = find_source("odd", settings_of(tmp_path, text))
    assert source is not None
    assert [question.gold for question in source.read()] == ["no", "yes", "no", "yes"]


def test_only_documented_variables_and_keys_are_read_from_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "PYTHONPATH=/evil\nPATH=/evil\nLD_PRELOAD=x.so\nA=B=C\nOPENAI_BASE_URL=http://127.0.0.1:1/v1\nMY_KEY=k\n"
        "TOGETHER_TOKEN=t\nHF_HOME=\nexport HF_ENDPOINT=http://mirror\n",
        encoding="utf-8",
    )
    environment = {"MY_KEY": "mine"}
    apply_env_file(environment, tmp_path / ".env")
    assert environment == {
        "MY_KEY": "mine",
        "TOGETHER_TOKEN": "t",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "HF_ENDPOINT": "http://mirror",
    }


def test_the_example_names_what_dotenv_may_set() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert {line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")} == ENV_NAMES


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_dotenv_that_is_no_file_ends_in_a_sentence(tinyllm: Command, tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".env"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    done = tinyllm("report")
    assert (done.returncode, done.stderr.startswith("Error: .env can't be read: it is ")) == (2, True), done.stderr


def test_where_teachers_programs_and_endpoints_come_from_is_said(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_API_KEY=k\n", encoding="utf-8")
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.t5]\nbackend = "scripted"\nreplies = ["So."]\n'
        '[teachers.served]\nbackend = "vllm"\nmodel = "m"\ncommand = ["/bin/echo", "a b"]\n'
        '[teachers.host]\nbackend = "openai"\nmodel = "m"\n',
        encoding="utf-8",
    )
    ask = ["elicit", "--dataset", "toy", "--dry-run", "--teacher"]
    assert "t5 is not the built-in teacher: tinyllm.toml defines it (scripted)" in tinyllm(*ask, "t5").stderr
    assert "starts a program that tinyllm.toml names: /bin/echo 'a b'" in tinyllm(*ask, "served").stderr
    assert "Endpoint: http://127.0.0.1:9/v1 (OPENAI_BASE_URL of .env)" in tinyllm(*ask, "host").stderr
    done = tinyllm(*ask, "host", OPENAI_BASE_URL="http://127.0.0.1:8/v1")
    assert "OPENAI_BASE_URL of .env" not in done.stderr


def test_a_cluster_that_a_settings_file_names_is_reported(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.far]\nbackend = "scripted"\nreplies = ["So."]\n'
        '[teachers.far.cluster]\naddress = "127.0.0.1:9"\nreplicas = [1, 8]\n',
        encoding="utf-8",
    )
    spec = load_settings(tmp_path / "tinyllm.toml").teachers["far"]
    assert spec.options == {"replies": ["So."]}
    assert spec.cluster is not None
    assert (spec.cluster.address, spec.cluster.least, spec.cluster.most) == ("127.0.0.1:9", 1, 8)
    said = tinyllm("elicit", "--dataset", "toy", "--teacher", "far")
    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        "far runs on the Ray cluster that tinyllm.toml names: 127.0.0.1:9",
        "Error: No Ray cluster answers at 127.0.0.1:9: Connection refused.",
        "Start it (ray start --head), or correct its address or RAY_ADDRESS.",
    ]
    assert tinyllm("elicit", "--dataset", "toy", "--teacher", "far", "--on", "local").returncode == 0
