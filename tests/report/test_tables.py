"""The report as Markdown, LaTeX, CSV and in the terminal: the same figures, and hostile names stay text."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Command
from tests.report.test_arms import data, evaluated, first, report
from tests.report.test_report import Page
from tinyllm_cli.cli.views.report import overview_plots, sheet_table, sweep_plots
from tinyllm_cli.report.collect import Report
from tinyllm_cli.report.csv_files import csv_text, files
from tinyllm_cli.report.html import html_page
from tinyllm_cli.report.latex import latex
from tinyllm_cli.report.markdown import markdown
from tinyllm_cli.report.sheets import sheets
from tinyllm_cli.store import Store

HOSTILE = "=1+1|[x](http://evil) *bold* <script> 50% \\input{/etc/passwd} $x_1$ #&~^{} \x1b[31mred\n\n# head"


@pytest.fixture
def full(store: Store) -> Store:
    data(store, "toy", 40)
    for seed in range(2):
        evaluated(store, "toy", first(20 + seed), seed=seed, alpha={HOSTILE: 2.0, "bob": 1.0}, student=HOSTILE)
        evaluated(store, "toy", first(8 + seed), seed=seed, method="finetune", student=HOSTILE)
    evaluated(store, "toy", first(12), method="distill-step-by-step", alpha={"bob": 1.0}, student=HOSTILE)
    for size in (20, 80):
        evaluated(store, "toy", first(size // 5), limit=size, alpha={"ann": 1.0, "bob": 1.0}, student=HOSTILE)
    evaluated(store, "toy", first(30), teacher=HOSTILE)
    return store


def test_figures_are_the_same_in_every_form(full: Store) -> None:
    found = report(full)
    console = Console(width=200)
    with console.capture() as capture:
        for sheet in sheets(found):
            console.print(sheet_table(sheet))
    shown = {
        "page": Page(html_page(found)).text,
        "terminal": capture.get(),
        "markdown": markdown(sheets(found)).replace("\\", ""),
        "latex": latex(sheets(found)).replace("$\\pm$", "±"),
    }
    gain = found.paper.tables[0].blocks[0].gains[0]
    for name, form in shown.items():
        for figure in ("51.2 ± 1.8", "21.2 ± 1.8", f"{100 * gain.by_dataset['toy']:+.1f}", "75.0", "+30.0"):
            assert figure in form, (name, figure)
    [row] = [row for row in files(found)["table1"] if row["method"] == "tinyllm"]
    assert (row["mean"], row["seeds"]) == (pytest.approx(0.5125), 2)
    assert json.loads(json.dumps(found.as_json()))["paper"]["comparisons"][0]["difference"] == pytest.approx(0.3)


def test_the_page_shows_hostile_names_as_text(full: Store) -> None:
    page = Page(html_page(report(full)))
    assert "script" not in page.tags
    assert "<script>" in page.text
    assert not [address for address in page.addresses if not address.startswith("#")]


def test_markdown_has_no_foreign_markup(full: Store) -> None:
    written = markdown(sheets(report(full)))
    assert "## Accuracy on test by method" in written
    assert "**51.2 ± 1.8**" in written, "the best stands out"
    assert "&lt;script&gt;" in written
    assert "<" not in written.removeprefix("<!-- Made by tinyllm report. -->")
    assert "\\[x\\]\\(http" in written
    assert "\n# head" not in written
    assert "\x1b" not in written
    for table in written.split("## ")[1:]:
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) == 1, "a name makes no column"


def test_latex_escapes_everything_that_is_special(full: Store) -> None:
    written = latex(sheets(report(full)))
    assert len(set(re.findall(r"\\label\{.*\}", written))) == written.count("\\label")
    assert written.count("\\begin{tabular}") == written.count("\\bottomrule") == written.count("\\label") > 2
    captions = re.findall(r"\\caption\{(.*)\}", written)
    assert len(captions) == written.count("\\label")
    assert max(len(caption.split()) for caption in captions if "input" not in caption) < 30, "notes follow the table"
    assert "\\parbox{\\linewidth}{\\footnotesize Accuracy in percent" in written
    assert "\\input" not in written
    assert "\\textbackslash{}input\\{/etc/passwd\\}" in written
    assert "50\\%" in written
    assert "\\$x\\_1\\$ \\#\\&\\textasciitilde{}\\textasciicircum{}\\{\\}" in written
    for table in written.split("\\begin{tabular}{")[1:]:
        columns = len(table[: table.index("}")])
        for line in re.findall(r"^(?!\\multicolumn).*\\\\$", table, flags=re.MULTILINE):
            assert line.replace(r"\&", "").count("&") == columns - 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX on this machine")
def test_latex_compiles(full: Store, tmp_path: Path) -> None:
    opening = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}"
    (tmp_path / "a.tex").write_text(opening + latex(sheets(report(full))) + "\\end{document}", encoding="utf-8")
    subprocess.run(["pdflatex", "-interaction=batchmode", "a.tex"], cwd=tmp_path, check=True)


def test_csv_has_full_precision_and_no_formulas(full: Store) -> None:
    found = report(full)
    rows = list(csv.DictReader(io.StringIO(csv_text(files(found)["evaluations"]))))
    assert [int(row["correct"]) for row in rows] == [20, 8, 21, 9, 12, 4, 16, 30]
    assert float(rows[0]["low"]) == found.results[0].low
    assert rows[0]["alpha"].startswith("'=1+1|")
    for name, some in files(found).items():
        for row in csv.reader(io.StringIO(csv_text(some))) if some else ():
            for cell in row:
                assert not cell.startswith(("=", "@", "\t", "\r")), (name, cell)
                assert cell[:1] not in ("+", "-") or float(cell) is not None, (name, cell)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\n="])
def test_whatever_begins_like_a_formula_is_text(start: str) -> None:
    [_, row] = csv.reader(io.StringIO(csv_text([{"name": f"{start}cmd|x", "number": -0.5}]), newline=""))
    assert row == [f"'{start}cmd|x", "-0.5"]


def test_the_terminal_is_not_steered(full: Store) -> None:
    found = report(full)
    console = Console(width=200)
    with console.capture() as capture:
        for sheet in sheets(found):
            console.print(sheet_table(sheet))
    assert "\x1b" not in capture.get()
    drawn = [*overview_plots(found.paper, 100), *sweep_plots(found.paper, 100)]
    assert len(drawn) == 2
    assert not any("\x1b" in one for one in drawn)


def test_a_terminal_shows_accuracies_against_chance_and_by_size(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(10), method="finetune")
    paper = report(store).paper
    [drawn] = overview_plots(paper, 90)
    assert list(sweep_plots(paper, 90)) == []
    assert "TinyLLM" in drawn
    assert "Full fine-tuning" in drawn
    assert ": chance, 25.0" in drawn
    assert max(map(len, drawn.splitlines())) <= 90
    evaluated(store, "toy", first(12), limit=20)
    [drawn] = sweep_plots(report(store).paper, 90)
    assert "by training questions" in drawn
    assert ". full fine-tuning on 80 questions: 25.0" in drawn


def test_the_papers_own_figures_stand_beside_on_demand(store: Store) -> None:
    data(store, "obqa", 40)
    data(store, "mine", 40)
    for name in ("obqa", "mine"):
        evaluated(store, name, first(20), student="google/flan-t5-small")
    page = Page(html_page(report(store, with_paper=True))).text
    assert "The paper: FLAN-T5 small (80M)" in page
    assert "49.40" in page
    assert "The paper: FLAN-T5 base" not in page
    assert "The paper" not in Page(html_page(report(store))).text


def test_published_figures_are_the_papers() -> None:
    from tinyllm_cli.report.paper_figures import published

    found = published()
    every = ["obqa", "arc", "piqa", "riddlesense", "pubmedqa", "bioasq"]
    means = {(line.student, line.method): line.mean(every) for line in found.main}
    assert means["FLAN-T5 small (80M)", "tinyllm"] == pytest.approx(0.5578, abs=5e-5)
    assert means["FLAN-T5 base (250M)", "finetune"] == pytest.approx(0.5829, abs=5e-5)
    assert means["FLAN-T5 large (780M)", "tinyllm"] == pytest.approx(0.7388, abs=5e-5)
    assert len(found.main) == 23
    assert [line.on("openbookqa") for line in found.ablation] == pytest.approx([0.732, 0.73, 0.738, 0.744])


def test_the_picture_is_said_in_words_and_asks_for_no_script(full: Store) -> None:
    page = html_page(report(full))
    assert page.count("TinyLLM: from 20 questions, 10.0 % (4.0 to 23.1) to 80 questions, ") == 1
    drawn = page[page.index('<svg class="plot"') : page.rindex("</svg>")]
    assert "<script" not in drawn
    assert "href" not in drawn.replace('href="#term-', ""), "only to definitions in the page"


def test_the_command_writes_them(inside: Command, full: Store, tmp_path: Path) -> None:
    done = inside("report", "--md", "r.md", "--latex", "r.tex", "--csv", "tables", "--html", "r.html", "--with-paper")
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / name).stat().st_size > 200 for name in ("r.md", "r.tex", "r.html", "tables/table1.csv"))
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        "tinyllm-report.json", "table1.csv", "gains.csv", "ablation.csv", "comparisons.csv", "train-size.csv",
        "arms.csv", "evaluations.csv",
    }  # fmt: skip
    assert "r.tex" in done.stderr
    assert "Next: tinyllm experiment alpha" in done.stderr
    assert "Paired comparisons" in done.stdout


def test_csv_into_a_file_says_that_it_takes_a_folder(inside: Command, full: Store) -> None:
    done = inside("report", "--csv", "r.csv")
    assert done.returncode == 2
    assert "--csv takes a folder" in done.stderr
    assert "--csv r" in done.stderr


def test_a_folder_that_no_file_goes_into_is_not_called_written(inside: Command, store: Store, tmp_path: Path) -> None:
    data(store, "toy", 40)
    done = inside("report", "--csv", "tables")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "tables").iterdir())
    assert "No file in" in done.stderr
    assert "there are no rows yet" in done.stderr
    assert "Written" not in done.stderr


def test_without_a_table_evaluations_are_written(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), teacher="ann")
    written: Report = report(store)
    assert "| ann (teacher) | toy/test, generate | 40 | 75.0" in markdown(sheets(written)).replace("\\", "")
