"""The syntax of the examples for clusters, and that the documentation names each of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "examples" / "cluster"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".sh", ".slurm"))
MANIFESTS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path: Path) -> None:
    checked = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_parse(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    assert documents
    assert all(isinstance(document, dict) for document in documents)


def test_every_example_is_documented() -> None:
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) + len(MANIFESTS) == len(list(FOLDER.iterdir()))
    assert all(f"examples/cluster/{path.name})" in text for path in (*SCRIPTS, *MANIFESTS))
