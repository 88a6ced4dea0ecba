"""The report as Markdown, LaTeX and CSV: the same figures, and hostile names stay text."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.test_arms import data, evaluated, report
from tinyllm_cli.reporting.exports import comma_separated, latex, markdown
from tinyllm_cli.store import Store

HOSTILE = "=1+1|[x](http://evil) *bold* <script> 50% \\input{/etc/passwd} $x_1$ #&~^{}"


@pytest.fixture
def full(store: Store) -> Store:
    data(store, "toy", 40)
    for seed in range(2):
        evaluated(store, "toy", set(range(20 + seed)), seed=seed, alpha={HOSTILE: 2.0, "bob": 1.0})
        evaluated(store, "toy", set(range(8 + seed)), seed=seed, method="finetune", alpha={})
    return store


def test_markdown_has_every_table_and_no_foreign_markup(full: Store) -> None:
    text = markdown(report(full))
    assert "## Accuracy on toy/test, rank, n = 40" in text.replace("\\", "")
    assert "## Over seeds" in text
    assert "## Paired tests" in text
    assert "**52.5 %**" in text, "the best stands out"
    assert "\\<script\\>" in text
    assert "\\[x\\](http" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in rows}
    assert widths == {7, 10}, "a name makes no column"


def test_latex_escapes_everything_that_is_special(full: Store) -> None:
    text = latex(report(full))
    assert text.count("\\begin{tabular}") == text.count("\\bottomrule") == 3
    assert "\\input" not in text
    assert "\\textbackslash{}input\\{/etc/passwd\\}" in text
    assert "50\\%" in text
    assert "\\$x\\_1\\$ \\#\\&\\textasciitilde{}\\textasciicircum{}\\{\\}" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert line.replace(r"\&", "").count("&") in (5, 8)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX on this machine")
def test_latex_compiles(full: Store, tmp_path: Path) -> None:
    body = latex(report(full))
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + body + "\\end{document}", encoding="utf-8"
    )
    subprocess.run(["pdflatex", "-interaction=batchmode", "a.tex"], cwd=tmp_path, check=True)


def test_csv_has_full_precision_and_no_formulas(full: Store) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(report(full)))))
    assert [int(row["correct"]) for row in rows] == [20, 8, 21, 9]
    assert float(rows[0]["low"]) == report(full).results[0].low
    assert rows[0]["alpha"].startswith("'=1+1|")


def test_the_command_writes_them(inside: Command, full: Store, tmp_path: Path) -> None:
    done = inside("report", "--md", "r.md", "--latex", "r.tex", "--csv", "r.csv")
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / name).stat().st_size > 200 for name in ("r.md", "r.tex", "r.csv"))
    assert "r.tex" in done.stderr
