"""A report's tables for other documents: Markdown, LaTeX, and the results as CSV. Texts are data there, too."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from tinyllm_cli.reporting.data import Comparison, Report, Result, comparisons
from tinyllm_cli.reporting.tables import alpha_text, p_text, percent


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as plain cells. `numbers` are the columns that align right; `best` the rows to stand out."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int]
    best: frozenset[int] = frozenset()


def sheets(report: Report) -> Iterator[Sheet]:
    """The tables that a paper shows: accuracies, means over seeds, paired tests."""
    for comparison in comparisons(report.results):
        yield _accuracies(comparison)
    if any(arm.spread is not None for arm in report.arms):
        yield Sheet(
            title="Over seeds", note="Mean and standard deviation of the accuracy.",
            head=("arm", "student", "questions", "seeds", "mean", "deviation"),
            rows=[(arm.label, arm.student, f"{arm.dataset}/{arm.split}, {arm.scoring}", str(len(arm.seeds)),
                   percent(arm.mean), "–" if arm.spread is None else f"{100 * arm.spread:.1f}") for arm in report.arms],
            numbers=frozenset({3, 4, 5}),
        )  # fmt: skip
    if report.contests:
        yield Sheet(
            title="Paired tests",
            note="Points: difference in accuracy on the same questions, with its 95 % bootstrap interval."
            " p: exact McNemar, over several seeds a permutation test by question. Holm: p corrected for all rows.",
            head=("arm", "against", "questions", "n", "seeds", "points", "95 % interval", "p", "Holm"),
            rows=[(one.arm, one.against, f"{one.dataset}, {one.scoring}", str(one.n), str(one.seeds),
                   f"{100 * one.difference:+.1f}", f"{100 * one.low:+.1f} to {100 * one.high:+.1f}", p_text(one.p),
                   p_text(one.adjusted)) for one in report.contests],
            numbers=frozenset({3, 4, 5, 7, 8}),
            best=frozenset(index for index, one in enumerate(report.contests) if one.adjusted < 0.05),
        )  # fmt: skip


def _accuracies(comparison: Comparison) -> Sheet:
    first = comparison.results[0]
    return Sheet(
        title=f"Accuracy on {comparison.title}",
        note=f"Chance {percent(first.chance)}, majority class {percent(first.majority)}; 95 % Wilson intervals.",
        head=("who", "method", "alpha", "accuracy", "95 % interval", "unparseable"),
        rows=[
            (one.subject, one.method, alpha_text(one) or "–", percent(one.accuracy),
             f"{100 * one.low:.1f} to {100 * one.high:.1f} %", percent(one.unparseable))
            for one in comparison.results
        ],
        numbers=frozenset({3, 5}),
        best=frozenset(n for n, one in enumerate(comparison.results) if one.accuracy == comparison.best),
    )  # fmt: skip


def markdown(report: Report) -> str:
    """Pipe tables under headings."""
    lines = [f"# {_md(report.database)}", "", f"Made {report.made} by tinyllm {report.version}.", ""]
    for sheet in sheets(report):
        lines += [f"## {_md(sheet.title)}", "", "| " + " | ".join(map(_md, sheet.head)) + " |"]
        lines.append("|" + "|".join(" ---: " if n in sheet.numbers else " --- " for n in range(len(sheet.head))) + "|")
        for number, row in enumerate(sheet.rows):
            cells = [f"**{_md(cell)}**" if number in sheet.best and n in sheet.numbers else _md(cell)
                     for n, cell in enumerate(row)]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", _md(sheet.note), ""]
    return "\n".join(lines)


def latex(report: Report) -> str:
    """Tables for a paper, in booktabs' style."""
    parts = ["% needs \\usepackage{booktabs}", f"% {_tex(report.database)}, {report.made}, tinyllm {report.version}"]
    for sheet in sheets(report):
        columns = "".join("r" if n in sheet.numbers else "l" for n in range(len(sheet.head)))
        parts += ["", "\\begin{table}", "\\centering", f"\\caption{{{_tex(sheet.title)}. {_tex(sheet.note)}}}",
                  f"\\begin{{tabular}}{{{columns}}}", "\\toprule", " & ".join(map(_tex, sheet.head)) + r" \\",
                  "\\midrule"]  # fmt: skip
        for number, row in enumerate(sheet.rows):
            cells = [f"\\textbf{{{_tex(cell)}}}" if number in sheet.best and n in sheet.numbers else _tex(cell)
                     for n, cell in enumerate(row)]  # fmt: skip
            parts.append(" & ".join(cells) + r" \\")
        parts += ["\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(parts) + "\n"


def comma_separated(report: Report) -> str:
    """One row for each evaluation, in full precision. A text that a spreadsheet would take for a formula is quoted."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    names = [one.name for one in fields(Result)]
    writer.writerow(names)
    for result in report.results:
        values = {name: getattr(result, name) for name in names} | {"alpha": alpha_text(result)}
        writer.writerow([_cell(values[name]) for name in names])
    return target.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _md(text: str) -> str:
    """Nothing in it is markup, a link or a new row."""
    plain = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in plain)


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))
