"""The shipped notebooks run from top to bottom, with a tiny student; the endpoint of the examples answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from tests.conftest import ROOT, environment
from tests.models import make_folder

NOTEBOOKS = ROOT / "examples" / "notebooks"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in `folder`, where temporary folders are made, too, with a tiny student."""
    make_folder(folder / "student", "causal")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env=environment(TINYLLM_STUDENT=str(folder / "student"), TMPDIR=str(folder)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_first_steps_ends_with_a_report(tmp_path: Path) -> None:
    run(tmp_path, str(NOTEBOOKS / "first_steps.py"))
    (report,) = tmp_path.glob("*/report.html")
    assert "<html" in report.read_text(encoding="utf-8")


def test_the_budget_of_two_teachers_ends_the_hosted_one_early(tmp_path: Path) -> None:
    """Otherwise the notebook shows no budget."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import two_teachers\n"
        "hosted, local = map(two_teachers.app.run()[1].get, ('hosted', 'local'))\n"
        "print(json.dumps([hosted.new, hosted.out_of_budget, hosted.cost, local.new]))"
    )
    new, out_of_budget, cost, local = json.loads(run(tmp_path, "-c", code, str(NOTEBOOKS)).stdout.splitlines()[-1])
    assert 0 < new < 20
    assert out_of_budget
    assert 0 < cost <= 0.4
    assert local == 20


def test_the_endpoint_of_the_examples_is_a_server_of_its_own() -> None:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "endpoint.py")], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            messages = [{"role": "user", "content": "Where do fish live?\nAnswer: (a) in water"}]
            body = json.dumps({"model": "m", "messages": messages}).encode()
            with urlopen(Request(f"{url}/chat/completions", data=body), timeout=30) as response:
                answer = json.load(response)
        finally:
            server.kill()
    assert "'in water'" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 5
