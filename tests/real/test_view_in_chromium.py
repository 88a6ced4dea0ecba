"""`tinyllm view` in a real browser: every page, reviews by keyboard and offline, changing numbers, refused writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import start, write_dataset
from tests.real.test_page_in_chromium import FAINT
from tests.view.app import IMAGE, SCRIPT, App, fill, serving
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import open_store

pytest.importorskip("datasette", reason="the extra view is not installed")
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("chromium")]

PAGES = ("/", "/questions", "/question?in=toy&of=train&id=train-1", "/review", "/review/agreement", "/runs",
         "/runs/compare?run=1&run=2&run=3", "/data", "/teachers", "/report")  # fmt: skip

# Fields and buttons without a name, images without one, repeated ids, and headings that skip a level.
NAMELESS = """[
  ...[...document.querySelectorAll('input, select, textarea, button, progress')].filter(one =>
    one.checkVisibility() && one.type !== 'hidden' && !one.textContent.trim() && !one.getAttribute('aria-label')
    && !one.labels?.length).map(one => one.outerHTML.slice(0, 80)),
  ...[...document.querySelectorAll('svg[role=img]')].filter(one => !one.getAttribute('aria-label')).map(() => 'svg'),
  ...[...document.querySelectorAll('[id]')].map(one => one.id).filter((id, place, all) => all.indexOf(id) !== place),
  ...(document.querySelectorAll('h1').length === 1 ? [] : ['h1']),
  ...(document.querySelector('main') && document.documentElement.lang === 'en' ? [] : ['main or lang']),
]"""


@contextmanager
def person(
    browser: Any, app: App, path: str = "/", *, name: str = "", token: bool = True, **look: Any
) -> Iterator[Any]:
    """A page in a profile of its own, with `said`, what the console reported, and `asked`, the addresses it loaded."""
    context = browser.new_context(**look)
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    if token:
        page.goto(app.url)
        page.wait_for_url(f"{app.base}/")
    if name:
        page.evaluate("name => localStorage.setItem('tinyllm:reviewer', name)", name)
    page.goto(app.base + path)
    yield page
    context.close()


def until(found: Callable[[], Any]) -> Any:
    """The first true value of `found`, within two minutes."""
    end = time.monotonic() + 120
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def verdicts(folder: Path) -> list[HumanVerdict]:
    with open_store(folder / "tinyllm.db") as store:
        return [one for history in store.human_verdicts.everything() for one in history]


def shown(page: Any) -> str:
    """The rationale that the review page shows."""
    page.wait_for_selector("#item article")
    return str(page.inner_text("#item .dim")).split("rationale ")[1].split(",")[0].split()[0]


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_every_page_loads_nothing_else_is_readable_and_keeps_hostile_text(
    browser: Any, app: App, width: int, scheme: str
) -> None:
    look = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with person(browser, app, **look) as page:
        texts = ""
        for path in PAGES:
            page.goto(app.base + path)
            if path == "/review":
                shown(page)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
            assert page.evaluate(FAINT, 4.5) == [], path
            assert page.evaluate(NAMELESS) == [], path
            assert page.locator("[aria-current=page]").count() == 1, path
            texts += page.inner_text("body")
        assert SCRIPT in texts
        assert IMAGE in texts
        assert page.title() != "taken"
        assert {one.split("/")[2] for one in page.asked if not one.startswith("data:")} == {f"127.0.0.1:{app.port}"}
        assert page.said == []


def test_tables_of_datasette_run_without_inline_code_of_others(browser: Any, app: App) -> None:
    with person(browser, app, "/store/rationales_readable") as page:
        assert page.locator("table tbody tr").count() > 10
        assert page.inner_text("body").count(SCRIPT) > 0
        page.goto(app.base + "/store?sql=select+count(*)+as+n+from+rationales")
        page.wait_for_selector(".CodeMirror")
        assert page.said == []


def test_three_rationales_are_reviewed_by_keyboard(browser: Any, app: App, folder: Path) -> None:
    before = len(verdicts(folder))
    with person(browser, app, "/review", name="ann") as page:
        ids = [shown(page)]
        page.keyboard.press("a")
        until(lambda: shown(page) != ids[-1])
        ids.append(shown(page))
        assert page.evaluate("document.activeElement.id") == "item-title", "a screen reader reads the next one"
        page.keyboard.press("r")
        page.keyboard.type("names the wrong thing")
        page.keyboard.press("Enter")
        until(lambda: shown(page) != ids[-1])
        ids.append(shown(page))
        page.keyboard.press("e")
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.keyboard.press("Control+a")
        page.keyboard.type("A better explanation of it.")
        page.keyboard.press("Control+Enter")
        until(lambda: len(verdicts(folder)) == before + 3)
        assert page.inner_text("#said") == f"Edited: rationale {ids[-1]}."
        page.keyboard.press("p")
        until(lambda: shown(page) == ids[-1])
        assert "You decided" in page.inner_text("#said")
        assert page.said == []
    found = {str(one.rationale): one for one in verdicts(folder) if one.reviewer == "ann"}
    assert [found[id].verdict for id in ids] == ["accept", "reject", "edit"]
    assert found[ids[1]].reason == "names the wrong thing"
    assert found[ids[2]].text == "A better explanation of it."


def test_blind_the_page_does_not_get_the_teacher(browser: Any, app: App) -> None:
    with person(browser, app, "/review", name="blind") as page:
        shown(page)
        assert page.locator("#item .state").count() > 0
        with page.expect_response("**/queue.json**") as loaded:
            page.keyboard.press("b")
        until(lambda: page.locator("#item .state").count() == 0)
        assert "kept" not in page.inner_text("#item")
        assert "<strong>ann</strong>" not in loaded.value.text()
        assert not page.locator("#teacher").is_visible()


def test_two_people_review_at_once_and_one_is_offline_for_an_hour(browser: Any, app: App, folder: Path) -> None:
    with person(browser, app, "/review?again=1", name="bob") as bob, person(browser, app, name="eve") as eve:
        eve.clock.install()
        eve.goto(app.base + "/review")
        same = shown(eve)
        assert shown(bob) == same, "both get the same order"
        eve.context.set_offline(True)
        eve.keyboard.press("r")
        eve.keyboard.type("offline")
        eve.keyboard.press("Enter")
        until(lambda: eve.get_attribute("#review", "data-waiting") == "1")
        second = shown(eve)
        eve.keyboard.press("a")
        bob.keyboard.press("a")
        until(lambda: any(one.reviewer == "bob" for one in verdicts(folder)))
        eve.clock.fast_forward(3_600_000)
        assert "wait in this browser" in eve.inner_text("#offline")
        assert not [one for one in verdicts(folder) if one.reviewer == "eve"]
        eve.context.set_offline(False)
        until(lambda: (eve.clock.run_for(2500), eve.get_attribute("#review", "data-waiting") == "0")[1])
    own = [one for one in verdicts(folder) if str(one.rationale) == same and one.reviewer in ("bob", "eve")]
    assert [(one.reviewer, one.verdict) for one in own] == [("eve", "reject"), ("bob", "accept")], "both are kept"
    hours = [(float(one.at[11:13]) * 60 + float(one.at[14:16])) / 60 for one in own]
    assert (hours[1] - hours[0]) % 24 == pytest.approx(1, abs=0.1), "of one hour ago"
    with open_store(folder / "tinyllm.db") as store:
        assert store.human_verdicts.latest([int(same)])[int(same)].reviewer == "bob", "the later one counts"
        assert [one.reviewer for one in store.human_verdicts.history(int(second)) if one.reviewer == "eve"] == ["eve"]


def test_a_verdict_waits_for_the_next_start(browser: Any, tmp_path: Path) -> None:
    fill(tmp_path, questions=4)
    with serving(tmp_path) as app:
        context = browser.new_context()
        page = context.new_page()
        page.goto(app.url)
        page.wait_for_url(f"{app.base}/")
        page.evaluate("localStorage.setItem('tinyllm:reviewer', 'ann')")
        page.goto(app.base + "/review")
        shown(page)
    page.keyboard.press("a")
    until(lambda: page.get_attribute("#review", "data-waiting") == "1")
    assert verdicts(tmp_path) == []
    with serving(tmp_path, port=str(app.port)) as again:
        until(lambda: "open the address" in page.inner_text("#offline"))
        assert verdicts(tmp_path) == [], "the token of the earlier start is not enough"
        page.goto(again.url)
        page.wait_for_url(f"{again.base}/")
        page.goto(again.base + "/review")
        until(lambda: len(verdicts(tmp_path)) == 1)
    context.close()


def test_without_the_token_nothing_is_written(browser: Any, app: App, folder: Path) -> None:
    before = len(verdicts(folder))
    with person(browser, app, "/review", token=False) as page:
        shown(page)
        assert "Read only" in page.inner_text("#review")
        assert page.locator("#accept").is_disabled()
        page.keyboard.press("a")
        status = page.evaluate(
            "fetch('/review/verdict', {method: 'POST', headers: {'x-csrf': 'x'}, body: '{}'}).then(one => one.status)"
        )
        assert status == 403
    assert len(verdicts(folder)) == before


def test_questions_are_searched_and_read_by_keyboard(browser: Any, app: App) -> None:
    with person(browser, app, "/questions") as page:
        page.keyboard.press("/")
        page.keyboard.type("train")
        page.keyboard.press("Enter")
        page.wait_for_url("**/questions?words=train*")
        page.select_option("#verdict", "rejected")
        page.wait_for_url("**verdict=rejected**")
        assert page.inner_text("[role=status].dim").startswith("6 questions")
        page.keyboard.press("Enter") if page.evaluate("document.activeElement === document.body") else page.click(".q")
        page.wait_for_url("**/question?**")
        heading = page.inner_text("h1")
        assert page.locator("del").count() > 0
        page.keyboard.press("n")
        until(lambda: page.inner_text("h1") != heading)
        page.wait_for_load_state()  # its script reads the next key
        page.keyboard.press("p")
        until(lambda: page.inner_text("h1") == heading)


def test_a_number_changes_while_elicit_runs_and_a_kill_is_shown(browser: Any, tmp_path: Path) -> None:
    settings = '[teachers.slow]\nbackend = "scripted"\nreplies = ["It floats, since cork is light."]\ndelay = 0.2\n'
    (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=2000)
    process = start(tmp_path, "elicit", "--teacher", "slow", "--dataset", "toy")
    until(lambda: (tmp_path / "tinyllm.db").exists() and asked(tmp_path) > 0)
    with serving(tmp_path) as app, person(browser, app) as page:
        number = "[data-number=replies]"
        page.wait_for_selector(number)
        page.evaluate("document.querySelector('.card').marked = true")
        before = int(page.inner_text(number).replace(",", ""))
        until(lambda: int(page.inner_text(number).replace(",", "")) > before)
        until(lambda: "–" not in page.inner_text(".card dl").split("Tokens in")[0])
        assert page.evaluate("document.querySelector('.card').marked"), "the page was not loaded again"
        process.kill()
        process.communicate()
        page.wait_for_selector(".state-killed", timeout=120_000)
        assert "Nothing running." in page.inner_text("main")
        assert page.said == []


def asked(folder: Path) -> int:
    with open_store(folder / "tinyllm.db") as store:
        return sum(one.replies for one in store.elicitations.everything())
