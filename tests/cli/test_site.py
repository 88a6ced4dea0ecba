"""The documentation site builds without a warning, and llms.txt names pages that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

pytestmark = pytest.mark.real  # half a minute on a busy machine


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env=environment(NO_MKDOCS_2_WARNING="1"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "Save this as" in (site / "tutorial.html").read_text(encoding="utf-8")
    assert "terminal.svg" in (site / "index.html").read_text(encoding="utf-8")
    api = (site / "api.html").read_text(encoding="utf-8")
    for name in ("open_store", "distill", "evaluate", "UsageProblem"):
        assert name in api
    for page in re.findall(r"\]\((\S+)\)", (site / "llms.txt").read_text(encoding="utf-8")):
        assert (site / page).exists(), page
    # Nothing is loaded from another host.
    assert re.findall(r'<(?:script|img)[^>]* src="https?:|<link[^>]*rel="stylesheet"[^>]*https?:', api) == []
