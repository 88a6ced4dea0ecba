"""Tables on a terminal of any width: no figure loses a digit, no name vanishes."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.terminal import LongTable, plain_table

NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9./-]{0,40}", fullmatch=True)
FIGURE = st.from_regex(r"[0-9]{1,8}(/[0-9]{1,8}|\.[0-9]{4}| % \([0-9]{1,3} %\))?", fullmatch=True)


def printed(table: Table, width: int) -> list[str]:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setenv("COLUMNS", str(width))
        Console().show(table)
    return out.getvalue().splitlines()


@given(names=st.lists(NAME, min_size=1, max_size=6), width=st.integers(1, 120), data=st.data())
def test_every_figure_is_whole_at_any_width(names: list[str], width: int, data: st.DataObject) -> None:
    figures = data.draw(st.lists(FIGURE, min_size=len(names), max_size=len(names)))
    table = plain_table("", ["teacher", *(f">{name}" for name in names)], [[names[0], *figures]])
    lines = printed(table, width)
    row = lines[next(place for place, line in enumerate(lines) if "─" in line) + 1].split()
    assert row[1:] == " ".join(figures).split()
    assert names[0].startswith(row[0])


def test_words_break_where_they_end_as_long_as_there_is_room() -> None:
    table = plain_table(
        "A", ["who", "method", "alpha", ">n"], [["run 2", "distill-step-by-step", "expert=1, smollm2=0.5", "29.0"]]
    )
    assert [line.rstrip() for line in printed(table, 55)[4:]] == [
        " run 2   distill-step-by-step   expert=1,         29.0",
        "                                smollm2=0.5",
        "",
    ]


def test_what_is_above_and_below_a_table_has_the_terminals_width() -> None:
    table = plain_table("A title that is wider than its table", ["a"], [["1"]], caption="word " * 25 + "end")
    lines = [line.rstrip() for line in printed(table, 120)]
    assert lines[0] == "A title that is wider than its table"
    assert lines[-3:] == [" ".join(["word"] * 20), " ".join(["word"] * 5) + " end", ""]


def test_a_narrow_terminal_folds_names_and_keeps_to_its_width() -> None:
    table = plain_table("A", ["teacher", ">questions"], [["meta-llama/Llama-3.1-70B-Instruct", "1150/1200"]])
    assert [line.rstrip() for line in printed(table, 30)[2:]] == [
        " teacher            questions",
        " ────────────────────────────",
        " meta-llama/Llama   1150/1200",
        " -3.1-70B-Instruc",
        " t",
        "",
    ]


@pytest.mark.parametrize("columns", ["200", "60", "20"])
@pytest.mark.parametrize("caption", ["", "chance 33.3 %\nof all"])
def test_a_table_of_many_rows_is_what_rich_makes_of_it(
    columns: str, caption: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lines that fit, and folded."""
    monkeypatch.setenv("COLUMNS", columns)
    rows = [(f"name {number}", "日本" * (number % 3), str(number), "\x1b[1m" * (number % 2)) for number in range(501)]
    head = ["a long heading", "wide", ">n", "state"]
    shown = []
    for one in (
        plain_table("Plan", head, rows, caption),
        LongTable(title="Plan", head=head, rows=rows, caption=caption),
    ):
        with redirect_stdout(io.StringIO()) as out:
            Console().show(one)
        shown.append(out.getvalue())
    assert shown[0] == shown[1]
    assert shown[1].count("\n") > 500
