"""Pages as HTML, with the report's style and filters. Every value is escaped: teachers' texts are untrusted."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from tinyllm_cli.currency import amount
from tinyllm_cli.report.html import environment as report_environment
from tinyllm_cli.terminal import printable
from tinyllm_cli.view.page import File, Html, PageRequest, address

MENU = (
    ("/", "Now"), ("/questions", "Questions"), ("/review", "Review"), ("/runs", "Runs"), ("/data", "Data"),
    ("/teachers", "Teachers"), ("/report", "Report"), ("/store", "SQL"),
)  # fmt: skip
"""(path, title) of the pages; the last one is Datasette's."""

_KINDS = {"css": "text/css", "js": "text/javascript"}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of the app, and those of the report that it includes."""
    made = report_environment()
    assert made.loader is not None
    made.loader = ChoiceLoader([PackageLoader("tinyllm_cli", "view/templates"), made.loader])
    made.filters |= {"duration": duration, "count": count, "money": money, "moment": moment}
    made.globals |= {"address": address, "menu": MENU}
    return made


def html(page: Html, request: PageRequest, database: str, reviewer: str) -> str:
    """The whole page, or with the parameter `part` its main part alone, which replaces the one on a page."""
    template = environment().get_template(page.template)
    frame = "part.html.j2" if request.one("part") else "base.html.j2"
    return template.render(
        frame=frame, title=page.title, database=database, path=request.path, writes=request.writes, csrf=request.csrf,
        reviewer=reviewer, **page.values,
    )  # fmt: skip


def fragment(template: str, **values: Any) -> str:
    """A part of a page."""
    return environment().get_template(template).render(**values)


def file(name: str) -> File | None:
    """A script or style sheet of the app; None where there is none of this name. The style begins with the report's."""
    stem, _, kind = name.rpartition(".")
    known = {entry.name: entry for entry in files("tinyllm_cli").joinpath("view/static").iterdir()}
    if name not in known or kind not in _KINDS or not stem:
        return None
    text = known[name].read_text(encoding="utf-8")
    if kind == "css":
        text = environment().get_template("_style.css.j2").render() + text
    return File(text=text, kind=f"{_KINDS[kind]}; charset=utf-8")


def duration(seconds: float | None) -> str:
    """A time in the largest unit that fits; a dash when unknown."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(value: float | None) -> str:
    """A number with its thousands; a dash when unknown."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def money(cost: float | None, currency: str | None, digits: int = 4) -> str:
    """A cost with its currency; unknown is never 0."""
    return "unknown" if cost is None else amount(cost, currency, digits)


def moment(text: str | None) -> str:
    """A time of the store, to the second; a dash without."""
    return "–" if text is None else printable(text[:19].replace("T", " "))
