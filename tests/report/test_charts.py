"""The chart engine: any name can be drawn, offline and without the system's fonts, as a labelled picture with hints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, environment
from tinyllm_cli.report.charts import (
    Axis,
    Chart,
    categories,
    decades,
    draw,
    enclosing,
    horizontal,
    layer,
    legend_name,
    position,
    series,
    vertical,
    wrapped,
)


def named(label: str, row: str = "row") -> Chart:
    """A point in a series of this name."""
    row = wrapped(row)
    x = Axis(title="x", domain=(0.0, 1.0))
    channels = series([label])
    rows = [{"series": legend_name(label), "row": row, "x": 0.5, "hint": f"about {label}"}]
    base = layer(rows).encode(x=horizontal("x", x), y=categories("row", [row]), description="hint:N", **channels)
    return draw([base.mark_point()], f"Title {label}", "a point", height=40)


@given(st.text(st.characters(), max_size=60))
@example("\x1b[31mred\n\n# head")
@example("</text><script>alert(1)</script>&amp;&")
@example("\ud800 \ufffe \x00 \u202e")
@example("")
@example("if")
@example("datum.x")
@example("\u2028 \u2029 \x85")
@example("'); signal('width")
@example("\U0001d4e3" * 60)
@example("a" + "\U0001f9d1" * 59)
@settings(max_examples=25)
def test_any_name_is_drawn_as_text(name: str) -> None:
    """vl-convert aborts the process for characters that XML lacks."""
    chart = named(name, name)
    root = ElementTree.fromstring(chart.svg)
    assert {one.tag for one in root.iter()} <= {"svg", "g", "path", "text", "tspan", "line", "title"}
    assert chart.svg.isprintable() or not {"\x1b", "\u202e", "\x00"} & set(chart.svg)


def test_a_picture_has_a_label_and_its_marks_have_hints() -> None:
    root = ElementTree.fromstring(named("ann").svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", "Title ann. a point")
    assert [one.text for one in root.iter("title")] == ["about ann"]
    assert {"ann", "row", "x"} <= {one.text for one in root.iter("text")}


def test_colours_are_the_pages() -> None:
    """A fixed colour would not be legible in the dark."""
    root = ElementTree.fromstring(named("ann").svg)
    colours = {one.get(kind) for one in root.iter() for kind in ("fill", "stroke")} - {None, "none", "transparent"}
    assert all(str(colour).startswith("var(--") for colour in colours), colours


def test_long_names_break_into_lines() -> None:
    name = "a very long name of a teacher or a student that has no end in sight, as it seems to the reader"
    lines = [one.text for one in ElementTree.fromstring(named(name).svg).iter("tspan")]
    assert " ".join(filter(None, lines)) == name


@given(st.floats(1e-6, 1e6), st.floats(1.0, 1e9))
def test_logarithmic_ticks_are_few_and_inside(low: float, ratio: float) -> None:
    ticks = decades(low, low * ratio)
    assert 1 <= len(ticks) <= 9
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_a_range_encloses_its_values_and_is_not_empty(values: list[float]) -> None:
    low, high = enclosing(values, right=0.1)
    assert low <= min(values) <= max(values) <= high
    assert low < high


def test_positions_are_shares_of_an_axis() -> None:
    assert position(Axis(title="", domain=(20.0, 60.0)), 30.0) == pytest.approx(0.25)
    wide = Axis(title="", domain=(0.0, 100.0), scale="symlog", ticks=(0.0, 1.0, 10.0))
    assert position(wide, 0.0) == 0.0
    assert 0.4 < position(wide, 10.0) < 0.6
    assert position(wide, 100.0) == 1.0


DRAWN = """
from tests.report.test_charts import named
import socket
def refuse(*_):
    raise OSError("no network in this test")
socket.socket.connect = refuse
svg = named("ann").svg
assert "about ann" in svg
print(len(svg))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) takes the network and fonts away")
def test_no_network_and_no_fonts_of_the_system_are_needed(tmp_path: Path) -> None:
    script = tmp_path / "draw.py"
    script.write_text(DRAWN, encoding="utf-8")
    fonts = [folder for folder in ("/usr/share/fonts", "/usr/local/share/fonts") if os.path.isdir(folder)]
    hide = "; ".join(f"mount -t tmpfs none {folder}" for folder in fonts) or "true"
    command = f"{hide}; exec {sys.executable} {script}"
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-ec", command],
        env=environment(HOME=str(tmp_path)), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this machine gives no namespaces to users")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 500


def test_a_vertical_axis_has_its_title() -> None:
    axis = Axis(title="percent", domain=(0.0, 1.0), nice=True)
    base = layer([{"x": 0.5, "y": 0.5}]).encode(x=horizontal("x", axis), y=vertical("y", axis))
    shown = ElementTree.fromstring(draw([base.mark_point()], "t", "d").svg)
    assert [one.text for one in shown.iter("text")].count("percent") == 2
