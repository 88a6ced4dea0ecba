"""`tinyllm export`: what comes out answers as the student does, or is not called an export."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT, make_questions, write_dataset
from tests.models import HIDDEN, causal_model, diverged, make_folder, make_student, record_run, t5_model, tiny_tokenizer
from tinyllm_cli.cli import app
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.errors import Busy, UsageProblem, WorldProblem
from tinyllm_cli.export import leftovers, to_gguf
from tinyllm_cli.export.check import Asked, Borrowed, answers_of, compare
from tinyllm_cli.export.export import FORMATS, ExportConfig, Exported, export, find_format
from tinyllm_cli.files import exclusive
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.saving import save_student

LIMITS = Limits(input=256, target=24)
Make = Callable[[Path], Path]


def needs(name: str) -> None:
    try:
        for requirement in {"onnx": ("onnx", "onnxscript", "onnxruntime"), "ctranslate2": ("ctranslate2",)}.get(
            name, ()
        ):
            version(requirement)
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed (the extra 'export')")


def causal(folder: Path) -> Path:
    return make_folder(folder, "causal")


def own_head(folder: Path) -> Path:
    return make_folder(folder, "seq2seq")


def tied_t5(folder: Path) -> Path:
    return make_folder(folder, "seq2seq", tied=True)


def tied_causal(folder: Path) -> Path:
    tokenizer = tiny_tokenizer(ends=False)
    model = causal_model(tokenizer)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wide_causal(folder: Path) -> Path:
    """Q8_0 takes weights in blocks of 32: rows of another length stay as they are."""
    tokenizer = tiny_tokenizer(ends=False)
    causal_model(tokenizer, hidden=64).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "tinyllm.db") as opened:
        ingest(opened, from_path(write_dataset(tmp_path / "toy", train=4, valid=12)))
        yield opened


def exported(
    world: Store, tmp_path: Path, make: Make, name: str, *, int8: bool = False, questions: int = 12
) -> Exported:
    """A run of the student that `make` makes, saved as `distill` saves it, and its export."""
    needs(name)
    save_student(load_student(str(make(tmp_path / "made"))), tmp_path / "run", "# card\n")
    run = record_run(world, tmp_path / "run")
    config = ExportConfig(format=name, out=tmp_path / "out", int8=int8, questions=questions)
    return export(world, run, config, lambda text: None)


def asked(count: int) -> Asked:
    return Asked(questions=make_questions(count), limits=LIMITS, student="run 1")


LOSSLESS: Sequence[tuple[str, Make]] = [
    ("ctranslate2", causal), ("ctranslate2", own_head), ("ctranslate2", tied_t5),
    ("onnx", causal), ("onnx", own_head), ("gguf", causal), ("gguf", tied_causal),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make"), LOSSLESS)
def test_a_lossless_export_answers_every_question_as_before(
    world: Store, tmp_path: Path, name: str, make: Make
) -> None:
    done = exported(world, tmp_path, make, name)
    assert {one.scoring for one in done.agreements} == ({"rank"} if name == "onnx" else {"rank", "generate"})
    for one in done.agreements:
        assert (one.same, one.questions) == (12, 12)
        assert one.correct_before == one.correct_after
        assert one.largest_difference is None or one.largest_difference < 1e-4
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| rank | 12 |" in readme
    assert "predict: QUESTION" in readme
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out-")]
    assert done.split == "valid"


@pytest.mark.parametrize(("name", "make"), [("ctranslate2", own_head), ("onnx", causal), ("gguf", wide_causal)])
def test_an_int8_export_is_smaller_and_says_what_it_cost(world: Store, tmp_path: Path, name: str, make: Make) -> None:
    done = exported(world, tmp_path, make, name, int8=True)
    rank = next(one for one in done.agreements if one.scoring == "rank")
    assert rank.largest_difference is not None
    assert 0 < rank.largest_difference < 1
    sizes = {path.suffix: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    whole = sum(parameter.numel() for parameter in load_student(str(tmp_path / "run")).model.parameters()) * 4
    assert max(sizes.values()) < whole * 0.8


def test_an_onnx_file_says_nothing_of_the_machine_that_made_it(world: Store, tmp_path: Path) -> None:
    exported(world, tmp_path, causal, "onnx")
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    assert b"stack_trace" not in content
    assert b".py" not in content


def test_the_same_answers_with_scores_of_another_scale_are_not_lossless(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", "causal")

    class Scaled(Borrowed):
        def option_scores(self, inputs: Any, options: Any) -> list[list[float]]:
            return [[score * 1.1 for score in own] for own in student.option_scores(inputs, options)]

    before = answers_of(student, asked(6), text=False)
    [same] = compare(before, student, asked(6))
    assert same.lossless
    [scaled] = compare(before, Scaled(student), asked(6))
    assert scaled.same == 6
    assert not scaled.lossless


def test_a_lossless_export_that_answers_otherwise_is_kept_aside(
    world: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_gguf, "_interleaved", lambda weights, heads: weights)  # heads left as transformers has them
    with pytest.raises(WorldProblem, match="answers differently from the student") as caught:
        exported(world, tmp_path, causal, "gguf")
    assert str(tmp_path / "out-rejected") in caught.value.hint
    assert (tmp_path / "out-rejected" / "model.gguf").exists()
    assert not (tmp_path / "out").exists()


def test_a_gguf_file_is_a_student_again(world: Store, tmp_path: Path) -> None:
    exported(world, tmp_path, causal, "gguf")
    student, read = load_student(str(tmp_path / "run")), load_student(str(tmp_path / "out" / "model.gguf"))
    for text in ("predict: Which of these is number 3?\nOptions:", " ünïcode  and   spaces\n\n", "</s> inside"):
        assert read.tokenizer(text)["input_ids"] == student.tokenizer(text)["input_ids"]
    [agreement] = compare(answers_of(student, asked(5), text=False), read, asked(5))
    assert agreement.lossless


def changed(**settings: Any) -> Callable[[Student], None]:
    return lambda student: [setattr(student.model.config, name, value) for name, value in settings.items()] and None


def splitting_digits(student: Student) -> None:
    from tokenizers import pre_tokenizers

    student.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (changed(attention_bias=True), "has biases"),
        (changed(hidden_act="gelu"), "another activation"),
        (changed(rope_parameters={"rope_type": "llama3", "rope_theta": 1e4}), "has scaled positions"),
        (changed(model_type="opt"), "No installable library writes a opt as GGUF"),
        (splitting_digits, "only with byte-level BPE tokenizers"),
    ],
)
def test_what_gguf_cannot_hold_is_refused_in_a_line(
    break_it: Callable[[Student], None], message: str, tmp_path: Path
) -> None:
    student = make_student(tmp_path / "student", "causal")
    break_it(student)
    with pytest.raises(UsageProblem, match=message):
        to_gguf.write(student, "", tmp_path, False)


def test_text_splitting_has_llama_cpps_own_name(tmp_path: Path) -> None:
    from tokenizers import Regex, pre_tokenizers

    student = make_student(tmp_path / "student", "causal")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(to_gguf._LLAMA3_SPLIT + r"|\s+"), behavior="isolated")
    for steps, name in (
        ([pre_tokenizers.Digits(individual_digits=True), byte_level], "smollm"),
        ([split, byte_level], "llama-bpe"),
    ):
        student.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
        assert to_gguf._byte_level(student.tokenizer)[1] == name


def test_ctranslate2_leaves_the_students_own_settings_alone(world: Store, tmp_path: Path) -> None:
    needs("ctranslate2")
    from tinyllm_cli.export import to_ctranslate2

    tokenizer = tiny_tokenizer(ends=True)
    t5_model(tokenizer).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    student = load_student(str(tmp_path / "t5"))
    message = student.model.config.tie_word_embeddings
    to_ctranslate2.write(student, str(tmp_path / "t5"), tmp_path / "out", False)
    assert student.model.config.tie_word_embeddings is message
    assert student.model.config.d_model == HIDDEN


def test_a_missing_package_is_answered_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_gguf, "NEEDS", ("gguf>=0.10", "no-such-package>=2"))
    with pytest.raises(UsageProblem, match="Exporting to gguf needs no-such-package") as caught:
        find_format("gguf")
    assert caught.value.hint == "Run: pip install 'gguf>=0.10' 'no-such-package>=2'"


def test_the_extra_installs_what_the_formats_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    offered = {*project["optional-dependencies"]["export"], *project["dependencies"]}
    for module in FORMATS.values():
        assert find_spec(f"tinyllm_cli.export.{module}")
        needed = __import__(f"tinyllm_cli.export.{module}", fromlist=["NEEDS"]).NEEDS
        assert set(needed) <= offered


def test_the_command_prints_what_agreed_and_keeps_what_is_there(world: Store, tmp_path: Path) -> None:
    record_run(world, causal(tmp_path / "run"))
    common = ["export", "--to", "gguf", "--out", str(tmp_path / "out"), "--db", str(tmp_path / "tinyllm.db")]
    done = CliRunner().invoke(app, [*common, "--questions", "5"])
    assert done.exit_code == 0, done.output
    assert "5 of 5 answers are the same by ranked options" in done.stdout
    assert "5 of 5 answers are the same by greedy text" in done.stdout
    again = CliRunner().invoke(app, common)
    assert again.exit_code == 2, again.output
    assert "out exists already" in again.stderr
    shown = CliRunner().invoke(app, [*common[:3], "--out", str(tmp_path / "next"), *common[5:], "--json"])
    found = json.loads(shown.stdout)
    assert (found["run"], found["agreements"][0]["same"]) == (1, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "tflite"], "'tflite' is not one of"),
        (["--to", "gguf", "--quantize", "int4"], "Invalid value for '--quantize'"),
        (["--to", "gguf", "--run", "7"], "There is no run 7"),
    ],
)
def test_an_export_that_cannot_be_carried_out_says_why(
    world: Store, tmp_path: Path, arguments: list[str], message: str
) -> None:
    database = str(tmp_path / "tinyllm.db")
    done = CliRunner().invoke(app, ["export", *arguments, "--out", str(tmp_path / "out"), "--db", database])
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_a_run_whose_data_set_is_gone_cannot_be_checked(world: Store, tmp_path: Path) -> None:
    run = record_run(world, causal(tmp_path / "run"), dataset="gone")
    with pytest.raises(UsageProblem, match="data set gone has no questions in the database any more"):
        export(world, run, ExportConfig(format="gguf", out=tmp_path / "out"), lambda text: None)


def leftover(folder: Path, **files: str) -> Path:
    """A folder as `mkdtemp` makes it; in the names of files, `_` is a dot."""
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


OLD_CARD = "# Run 1, tiny on toy, as gguf\n\nExported by tinyllm 0.1.0. Compared with the student\n"


def test_what_killed_exports_left_is_removed_by_the_next(world: Store, tmp_path: Path) -> None:
    """Of exports to this and to other names, of this version and of earlier ones."""
    marked = leftover(tmp_path / ".out.export-abcd1234", model_gguf="half")
    (marked / leftovers.MARK).touch()
    (marked / "export").mkdir()
    other = leftover(tmp_path / ".else-2.export-abcd123_")
    (other / leftovers.MARK).touch()
    unmarked = leftover(tmp_path / ".out.export-bbbb1234", model_gguf="half", tokenizer_json="{}")
    empty = leftover(tmp_path / ".out.export-cccc1234")
    first = leftover(tmp_path / ".out-dddd1234", model_gguf="whole", README_md=OLD_CARD)
    os.utime(first / "README.md", (0, 0))
    exported(world, tmp_path, causal, "gguf")
    for folder in (marked, other, unmarked, empty, first):
        assert not folder.exists(), folder
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "model.gguf"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_is_not_provably_a_leftover_stays(world: Store, tmp_path: Path) -> None:
    notes = leftover(tmp_path / ".out.export-aaaa1234", model_gguf="mine", notes_txt="mine")
    shared = leftover(tmp_path / ".out.export-bbbb1234", model_gguf="mine")
    shared.chmod(0o755)
    half = leftover(tmp_path / ".out-cccc1234", model_gguf="half")
    fresh = leftover(tmp_path / ".out-dddd1234", model_gguf="whole", README_md=OLD_CARD)
    foreign = leftover(tmp_path / ".out-eeee1234", model_gguf="whole", README_md="My model")
    short = leftover(tmp_path / ".out-123", model_gguf="half")
    link = tmp_path / ".out.export-ffff1234"
    link.symlink_to(shared)
    lock = tmp_path / ".out.lock"
    lock.write_text("mine")
    said: list[str] = []
    run = record_run(world, causal(tmp_path / "run"))
    export(world, run, ExportConfig(format="gguf", out=tmp_path / "out", questions=4), said.append)
    for path in (notes, shared, half, fresh, foreign, short, link):
        assert path.exists(), path
    assert lock.read_text() == "mine"
    named = [text for text in said if "looks like a leftover of an export by an earlier version" in text]
    assert [text.split(" ")[0] for text in named] == [str(half), str(fresh), str(foreign)]


def test_the_folder_of_an_export_that_is_running_stays(world: Store, tmp_path: Path) -> None:
    running = leftover(tmp_path / ".other.export-abcd1234")
    (running / leftovers.MARK).touch()
    with exclusive(tmp_path / "other") as ours:
        assert ours
        exported(world, tmp_path, causal, "gguf")
        assert running.exists()
    [run] = world.runs.everything()
    export(world, run, ExportConfig(format="gguf", out=tmp_path / "next", questions=4), lambda text: None)
    assert not running.exists()


def test_an_export_that_is_killed_leaves_what_the_next_one_finds(
    world: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SIGKILL does: nothing removes the folder."""
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    monkeypatch.setattr(to_gguf, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        exported(world, tmp_path, causal, "gguf")
    monkeypatch.undo()
    [left] = tmp_path.glob(".out.*")
    config = ExportConfig(format="gguf", out=tmp_path / "out", questions=4)
    [run] = world.runs.everything()
    assert export(world, run, config, lambda text: None).folder == tmp_path / "out"
    assert not left.exists()


def test_two_exports_to_one_folder_do_not_meet(world: Store, tmp_path: Path) -> None:
    with exclusive(tmp_path / "out") as ours:
        assert ours
        with pytest.raises(Busy, match=r"Another process exports to .*out"):
            exported(world, tmp_path, causal, "gguf")


def test_a_student_without_finite_scores_is_not_exported(world: Store, tmp_path: Path) -> None:
    save_student(diverged(make_student(tmp_path / "made", "causal")), tmp_path / "run", "# card\n")
    run = record_run(world, tmp_path / "run")
    with pytest.raises(WorldProblem, match="The scores of run 1 are not finite"):
        export(world, run, ExportConfig(format="gguf", out=tmp_path / "out"), lambda text: None)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_an_export_without_finite_scores_is_refused(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", "causal")
    before = answers_of(student, asked(2), text=False)
    with pytest.raises(WorldProblem, match="The scores of the export of run 1 are not finite"):
        compare(before, diverged(student), asked(2))
