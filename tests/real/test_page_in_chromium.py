"""The report's page in a real browser: nothing is asked of any network, nothing errs, what a teacher wrote is text, and
it can be read wide and narrow, in the light and in the dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.base import Completion, Sampling
from tests.conftest import keep, make_questions
from tests.report.test_arms import evaluated, first
from tests.report.test_report_sections import trained
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.report.audit_section import audit_section
from tinyllm_cli.report.collect import collect
from tinyllm_cli.report.html import html_page
from tinyllm_cli.store import open_store

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("chromium")]

SCRIPT = "<script>document.title = 'taken'; fetch('http://127.0.0.1:9/')</script>"
IMAGE = "<img src=http://127.0.0.1:9/x.png onerror=\"document.title = 'taken'\">"
MARKUP = "[bold red]loud[/bold red]"
LONG = "unbroken" * 40

# The contrast of every visible text with what lies behind it, by the WCAG's formula: the texts below `least`.
FAINT = """least => {
  const gamma = share => share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  const channel = value => gamma(value / 255);
  const parse = color => color.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || ["title", "desc", "STYLE"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const drawn = parse(element instanceof SVGElement ? style.fill : style.color);
    const [one, other] = [light(drawn), light(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < least) faint.push([text.slice(0, 40), contrast]);
  }
  return faint;
}"""


# The charts of which a text or a mark reaches out of the picture.
OUTSIDE = """[...document.querySelectorAll('svg.plot')].filter(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text, path, line')].some(one => {
    const own = one.getBoundingClientRect();
    return own.width && (own.left < box.left - 1 || own.right > box.right + 1
      || own.top < box.top - 1 || own.bottom > box.bottom + 1);
  });
}).map(svg => svg.getAttribute('aria-label'))"""


def fill(folder: Path) -> Path:
    """A page with every section, in which every name that a user or a teacher may choose is hostile."""
    with open_store(folder / "tinyllm.db") as store:
        for name in ("toy", MARKUP):
            asked = [
                *make_questions(80, dataset=name), *make_questions(20, dataset=name, split="valid"),
                *make_questions(40, dataset=name, split="test"),
            ]  # fmt: skip
            store.questions.replace(name, SCRIPT, "1", asked)
            curve = [{"step": step, "answer": 4 / step, "ann": 5 / step} for step in (1, 2, 3)]
            valid = [{"step": step, "accuracy": step / 4} for step in (1, 2, 3)]
            figures: dict[str, Any] = {"curve": curve, "valid": valid, "best_step": 3, "tasks": {"answer": 80},
                                       "inputs_cut": 1, "targets_cut": 2}  # fmt: skip
            for seed in range(2):
                trained(store, name, first(20 + seed), seconds=50, seed=seed, student=SCRIPT, **figures)
                trained(store, name, first(16), seconds=20, seed=seed, method="finetune", student=SCRIPT, **figures)
            for size in (20, 40):
                evaluated(store, name, first(size // 4), limit=size, alpha={"ann": 1.0, "bob": 1.0}, student=SCRIPT)
            for alpha in (0.1, 3.0):
                evaluated(store, name, first(18), alpha={"ann": alpha, "bob": 1.0}, student=SCRIPT)
            evaluated(store, name, first(30), teacher=IMAGE)
        for teacher in (IMAGE, MARKUP):
            asking = ElicitationConfig(
                teacher=teacher, backend="openai", model=SCRIPT, revision="1", sampling=Sampling()
            )
            store.rationales.add_asking(asking)
            for question in asked:
                text = f"{SCRIPT} {IMAGE} {MARKUP} {LONG}. So it is what it is for {question.key}."
                reply = Completion(text=text, finish_reason="stop", prompt_tokens=9, completion_tokens=9, cost=0.1)
                keep(store, asking, build_prompt(question, Recipe(icl=0), []), 0, reply)
        gates = GateSettings()
        page = html_page(collect(store, samples=3, with_paper=True, gates=gates), audit_section(store, gates))
    (folder / "out.html").write_text(page, encoding="utf-8")
    return folder / "out.html"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("page"))


def opened(browser: Any, made: Path, *, width: int = 1200, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(made.as_uri())
    return page


def test_nothing_is_asked_of_a_network_and_nothing_errs(browser: Any, made: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(made.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.wait_for_timeout(200)
    assert asked == [made.as_uri()]
    assert said == []
    assert page.title() == "tinyllm report: tinyllm.db", "no script ran"


def test_what_a_teacher_wrote_shows_as_text(browser: Any, made: Path) -> None:
    page = opened(browser, made)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    seen = page.inner_text("#cases")
    for text in (SCRIPT, IMAGE, MARKUP):
        assert text in seen
    assert page.locator("script, img, iframe, object, link").count() == 0


def test_every_section_is_there_and_the_contents_lead_to_it(browser: Any, made: Path) -> None:
    page = opened(browser, made)
    sections = page.evaluate("[...document.querySelectorAll('section')].map(one => one.id)")
    linked = page.evaluate("[...document.querySelectorAll('nav a')].map(one => one.hash.slice(1))")
    assert sections == linked
    assert set(sections) == {
        "finding", "results", "accuracy", "cases", "curves", "costs", "data", "teachers", "audit", "provenance",
        "terms",
    }  # fmt: skip
    assert page.locator("svg.plot").count() > 10
    unnamed = page.evaluate("[...document.querySelectorAll('svg[role=img]')].filter(one => !one.getAttribute("
                            "'aria-label') && !document.getElementById(one.getAttribute('aria-labelledby')?.split(' ')"
                            "[0])?.textContent).length")  # fmt: skip
    assert unnamed == 0, "every picture has a label"
    twice = page.evaluate(
        "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(o => o.id))"
    )
    assert twice == 0, "no id is there twice"


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_itself_never_scrolls_sideways(browser: Any, made: Path, width: int) -> None:
    page = opened(browser, made, width=width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Any, made: Path, scheme: str) -> None:
    page = opened(browser, made, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(FAINT, 4.5) == []


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_of_a_chart_leaves_its_box_and_marks_have_hints(browser: Any, made: Path, width: int) -> None:
    page = opened(browser, made, width=width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    outside = page.evaluate(OUTSIDE)
    assert outside == []
    assert page.locator("svg.plot path > title").count() > 20
    smallest = page.evaluate("Math.min(...[...document.querySelectorAll('svg.plot text')].map(one =>"
                             " one.getBoundingClientRect().height))")  # fmt: skip
    assert smallest >= 10, "pixels: legible on a phone"


@pytest.mark.parametrize("width", [390, 1200])
def test_notes_are_never_wider_than_the_page(browser: Any, made: Path, width: int) -> None:
    page = opened(browser, made, width=width)
    assert page.locator(".wide .notes, caption").count() == 0, "a note scrolls with no table"
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.notes')].map(one =>"
                         " one.getBoundingClientRect().right))") <= width  # fmt: skip


PAPER = 718
"""Pixels between the margins of a sheet of A4."""

# What is wider than the page, or reaches out of it.
TOO_WIDE = """width => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && (box.right > width + 1 || box.left < -1) && !one.closest('svg');
}).map(one => [one.tagName, one.className, one.textContent.trim().slice(0, 40)])"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_everything_is_open_and_fits_and_the_contents_are_left_out(
    browser: Any, made: Path, scheme: str
) -> None:
    page = opened(browser, made, width=PAPER, scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate(TOO_WIDE, PAPER) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(FAINT, 4.5) == []
    assert not page.locator("nav").is_visible()
    assert page.locator("details .sheet").count() > 0
    assert all(one.is_visible() for one in page.locator("details .sheet tbody").all())
    assert page.pdf().startswith(b"%PDF")
