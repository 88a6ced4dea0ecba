"""Charts as SVG: Altair declares them, vl-convert draws them without a network, a browser or the system's fonts.

Colours are the page's CSS variables, so that one picture serves a light page, a dark one and paper. The page runs no
script: values on hover are SVG titles, made from the `description` of each mark.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from tinyllm_cli.terminal import printable

WIDTH = 400
"""Of a whole chart, in pixels: about as wide as a phone, where text then keeps its size."""

HEIGHT = 220
COLORS = tuple(f"var(--s{number})" for number in range(6))
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down")
"""Beside colours: series can be distinguished without colours. Five, so that 30 series differ in one."""

SERIES = len(COLORS)
"""More series than this in one chart are hard to tell apart."""

_LEGEND_LETTERS, _LABEL_LETTERS = 46, 18
_LETTER = 7.4
"""Pixels, in a wide font: the browser's may be wider than the one that Vega measures with."""

_VEGA_LITE = "6.4"
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_DESCRIBED = "aria-label"
_DROPPED = {"role", "aria-roledescription", "aria-hidden", "pointer-events", _DESCRIBED, "class"}
_LONG = re.compile(r"-?\d+\.\d{2,}")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`description` says in words what the picture shows; `key` explains the numbers in it."""

    title: str
    description: str
    svg: str
    key: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Axis:
    """`domain` encloses everything that is drawn; `ticks` are chosen by Vega where there are none."""

    title: str
    domain: tuple[float, float]
    scale: str = "linear"
    ticks: tuple[float, ...] = ()
    nice: bool = False


def horizontal(field: str, axis: Axis) -> Any:
    """The `x` channel of a quantity."""
    import altair

    return altair.X(
        f"{field}:Q", title=axis.title, axis=_axis(axis, grid=False), scale=altair.Scale(**_scale_settings(axis))
    )


def vertical(field: str, axis: Axis) -> Any:
    """The `y` channel of a quantity."""
    import altair

    return altair.Y(
        f"{field}:Q", title=axis.title, axis=_axis(axis, grid=True), scale=altair.Scale(**_scale_settings(axis))
    )


def _scale_settings(axis: Axis) -> dict[str, Any]:
    settings: dict[str, Any] = {"type": axis.scale, "domain": list(axis.domain), "nice": axis.nice, "zero": False}
    return {**settings, "constant": _constant(axis)} if axis.scale == "symlog" else settings


def _constant(axis: Axis) -> float:
    """Up to the smallest tick above 0 a symlog scale is about linear, from there logarithmic."""
    return min(tick for tick in axis.ticks if tick > 0)


def position(axis: Axis, value: float) -> float:
    """Where a value is along an axis, linear or symlog, as a share of its length."""
    if axis.scale == "symlog":
        return math.log1p(value / _constant(axis)) / math.log1p(axis.domain[1] / _constant(axis))
    return (value - axis.domain[0]) / (axis.domain[1] - axis.domain[0])


def _axis(axis: Axis, *, grid: bool) -> Any:
    import altair

    ticks = {"values": list(axis.ticks)} if axis.ticks else {"tickCount": 6}
    return altair.Axis(grid=grid, format=",.3~r" if axis.scale != "linear" else ",~f", labelOverlap="greedy", **ticks)


def enclosing(values: Iterable[float], *, left: float = 0.0, right: float = 0.0) -> tuple[float, float]:
    """The range of some values, wider by these shares of it, and never empty."""
    known = list(values)
    low, high = min(known), max(known)
    span = high - low or max(abs(high), 1.0) / 10
    return low - left * span, high + right * span


def categories(field: str, labels: Sequence[str]) -> Any:
    """The `y` channel of named rows in the order of the data; `wrapped` labels break their lines.

    Not sorted by a list of names: Vega-Lite would write them into an expression, where a name such as "if" is code."""
    import altair

    longest = max(len(line) for label in labels for line in label.split("\n"))
    axis = altair.Axis(labelExpr=_LINES, ticks=False, domain=False, minExtent=_LETTER * longest)
    return altair.Y(f"{field}:N", sort=None, title=None, axis=axis)


def series(labels: Sequence[str], *, legend: bool = True) -> dict[str, Any]:
    """The `color` and `shape` channels of named series, in this order, with one legend."""
    import altair

    names = list(map(legend_name, labels))
    shown = _legend("circle") if legend else None
    return {
        "color": altair.Color(
            "series:N", legend=shown, scale=altair.Scale(domain=names, range=_cycled(COLORS, len(names)))
        ),
        "shape": altair.Shape(
            "series:N", legend=shown, scale=altair.Scale(domain=names, range=_cycled(SHAPES, len(names)))
        ),
    }


def levels(labels: Sequence[str]) -> Any:
    """The `strokeDash` channel of named lines across, with a legend of their own."""
    import altair

    names = list(map(legend_name, labels))
    dashes = [[2, 4], [6, 3], [8, 3, 2, 3], [1, 2], [10, 4]]
    return altair.StrokeDash(
        "level:N", legend=_legend("stroke"), scale=altair.Scale(domain=names, range=_cycled(dashes, len(names)))
    )


_LINES = "split(datum.label, '\\n')"


def _legend(symbol: str) -> Any:
    import altair

    return altair.Legend(orient="bottom", direction="vertical", title=None, symbolType=symbol,
                         labelExpr=_LINES)  # fmt: skip


def _cycled(choices: Sequence[Any], count: int) -> list[Any]:
    return [choices[number % len(choices)] for number in range(count)]


def legend_name(label: str) -> str:
    """A series' or level's value in the data, as `series` and `levels` list it."""
    return wrapped(label, _LEGEND_LETTERS)


def wrapped(label: str, letters: int = _LABEL_LETTERS) -> str:
    """On several lines where it is long."""
    return "\n".join(textwrap.wrap(label, letters)) or label


def layer(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A chart of these rows, to be given a mark and channels."""
    import altair

    return altair.Chart(altair.InlineData(values=[dict(row) for row in rows]))


def draw(
    layers: Sequence[Any], title: str, description: str, *, height: float = HEIGHT, key: Sequence[str] = ()
) -> Chart:
    """The layers in one picture."""
    import altair
    import vl_convert

    chart = altair.layer(*layers).properties(
        width=WIDTH, height=height, autosize=altair.AutoSizeParams(type="fit-x", contains="padding")
    )
    declared = {**_drawable(chart.to_dict()), "config": _CONFIG}
    for one in declared["layer"]:
        if "description" not in one["encoding"]:
            one["mark"]["aria"] = False  # Vega's own words would be the hint
    drawn = vl_convert.vegalite_to_svg(declared, vl_version=_VEGA_LITE)
    return Chart(
        title=title, description=description, svg=_embedded(drawn, _drawable(f"{title}. {description}")), key=tuple(key)
    )  # fmt: skip


# Without limits: Vega shortens a text to its limit by UTF-16 units, and vl-convert refuses half a character.
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--dim)", "labelFontSize": 12, "titleColor": "var(--ink)", "titleFontSize": 12,
        "titleFontWeight": "normal", "gridColor": "var(--line)", "domainColor": "var(--dim)",
        "tickColor": "var(--dim)", "labelLimit": 0,
    },
    "legend": {"labelColor": "var(--ink)", "labelLimit": 0, "labelFontSize": 12, "symbolSize": 70,
               "rowPadding": 3, "offset": 8,
               "layout": {"bottom": {"direction": "vertical", "anchor": "start", "margin": 2}},
               "symbolStrokeColor": "var(--dim)", "symbolFillColor": "transparent"},
    "rule": {"color": "var(--dim)"},
    "text": {"color": "var(--ink)", "fontSize": 12},
}  # fmt: skip


_NOT_DRAWABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")


def _drawable(declared: Any) -> Any:
    """The declaration with the replacement character for what XML does not allow, at which vl-convert ends the process,
    and for line separators that Vega does not quote in its expressions."""
    if isinstance(declared, dict):
        return {name: _drawable(value) for name, value in declared.items()}
    if isinstance(declared, list):
        return list(map(_drawable, declared))
    return (
        _NOT_DRAWABLE.sub("\N{REPLACEMENT CHARACTER}", printable(declared)) if isinstance(declared, str) else declared
    )


def _embedded(svg: str, label: str) -> str:
    """Vega's SVG as a picture within a page: sized by the page, labelled as a whole, each mark titled.

    Its own labels are for a document that a screen reader walks through; a picture has one."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - drawn here from our own declaration
    view = root.get("viewBox", "")
    for element in root.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)  # a page knows SVG without it
    for parent in root.iter():
        for child in [one for one in parent if _invisible(one)]:
            parent.remove(child)
    for element in list(root.iter()):
        described = element.get(_DESCRIBED)
        if described and element.get("role") == "graphics-symbol" and element.get("aria-roledescription") != "legend":
            hint = ElementTree.Element("title")
            hint.text = described
            if not _is_axis(element):
                element.insert(0, hint)
        for name in _DROPPED & set(element.keys()):
            del element.attrib[name]
        for name, value in element.attrib.items():
            element.set(name, _LONG.sub(lambda found: f"{float(found[0]):.1f}", value))
    root.attrib.clear()
    root.attrib |= {"class": "plot", "viewBox": view, "role": "img", _DESCRIBED: label}
    return ElementTree.tostring(root, encoding="unicode")


def _is_axis(element: ElementTree.Element) -> bool:
    return element.get("aria-roledescription") in ("axis", "legend", "title")


def _invisible(element: ElementTree.Element) -> bool:
    return element.get("opacity") == "0" or element.get("display") == "none" or element.get("class") == "background"


def decades(low: float, high: float, most: int = 8) -> tuple[float, ...]:
    """Round numbers from `low` to `high` for a logarithmic axis: steps of 1, 2 and 5, or powers of ten where those are
    more than `most`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    finer = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    inside = [step for step in finer if low <= step <= high]
    if len(inside) > most:
        inside = [10.0**power for power in range(first, last + 1) if low <= 10.0**power <= high]
        inside = inside[:: -(-len(inside) // most)]
    return tuple(inside) or (low, high)
