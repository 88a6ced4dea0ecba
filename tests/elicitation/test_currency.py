"""The currency of prices, costs and budgets: shown with every amount, recorded, and never mixed in one database."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from backends.base import Completion
from tests.batch_endpoint import configure, serving_batches
from tests.conftest import Command, keep, make_questions, write_dataset, write_host
from tests.endpoint import Answer, serving
from tests.files import rows
from tests.merging.stores import asking, opened, prompt_for
from tinyllm_cli.currency import amount, is_currency, with_currency
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.merging.merge import merge
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.migrations import APPLICATION_ID, migrations

ELICIT = ("elicit", "-t", "host", "-d", "toy", "--yes")
PRICES = {"price_prompt": 1.0, "price_completion": 20.0}  # a reply of 100 tokens in and 10 out costs 300 millionths


_START = count()


def in_currency(folder: Path, code: str | None) -> None:
    """tinyllm.toml with this currency alone."""
    text = "" if code is None else f"currency = {json.dumps(code)}\n"
    (folder / "tinyllm.toml").write_text(text, encoding="utf-8")


def test_every_amount_has_the_currency_of_the_settings(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12)
    in_currency(tmp_path, "EUR")
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, max_in_flight=1, **PRICES)
        dry = inside(*ELICIT, "--dry-run", "--json")
        done = inside(*ELICIT, "--budget", "0.1")
        again = inside(*ELICIT, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(dry.stdout)["currency"] == json.loads(again.stdout)["currency"] == "EUR"
    assert "0 of them truncated at 256 tokens; 0.0015 EUR spent." in done.stdout
    assert "700 tokens in and 70 out, about 0.0021 EUR" in done.stdout
    assert "7 new rationales, 5 already stored; 0.0021 EUR spent." in done.stdout
    assert rows(tmp_path, "SELECT code FROM currency") == [("EUR",)]
    for view, cost in (("costs", 0.0036), ("rationales_readable", 0.0036)):
        assert rows(tmp_path, f"SELECT DISTINCT currency, round(sum(cost), 6) FROM {view}") == [("EUR", cost)]
    for command, shown in (
        (("report",), "cost, EUR"), (("audit",), "cost, EUR"), (("list", "teachers"), "cost, EUR"),
        (("list", "activity"), "cost, EUR"), (("inspect", "train-3"), "cost 0.000300 EUR"),
        (("delete", "teacher", "host"), "rationales that cost 0.0036 EUR"),
    ):  # fmt: skip
        found = inside(*command)
        assert shown in " ".join(found.stdout.split()), (command, found.stdout, found.stderr)
        if command[0] != "delete":
            assert json.loads(inside(*command, "--json").stdout)["currency"] == "EUR"
    inside("report", "--html", "r.html")
    assert '<th scope="col" class="n">cost, EUR</th>' in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_budget_says_its_currency(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12)
    in_currency(tmp_path, "CHF")
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT, "--budget", "0.0001")
    assert "0.0000 of 0.0001 CHF spent, 0.0001 left; one request needs up to 0.0" in done.stdout
    assert "CHF: this budget allows none. 12 requests were not asked." in done.stdout


def test_costs_in_another_currency_are_refused_before_anything_is_asked(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12, test=2)
    with serving(lambda _n, _b: Answer()) as endpoint:
        in_currency(tmp_path, None)
        write_host(tmp_path, endpoint.url, **PRICES)
        assert inside(*ELICIT, "--limit", "3").returncode == 0
        asked = len(endpoint.bodies)
        in_currency(tmp_path, "EUR")
        write_host(tmp_path, endpoint.url, **PRICES)
        write_host(tmp_path, endpoint.url, "free", price_prompt=0, price_completion=0)
        refused = inside(*ELICIT)
        assert (refused.returncode, len(endpoint.bodies)) == (2, asked)
        assert refused.stderr.splitlines()[-2:] == [
            "Error: tinyllm.db counts costs in USD, and this command would add costs in EUR.",
            'Put currency = "USD" at the top of tinyllm.toml, or use another database with --db.',
        ]
        free = inside("elicit", "-t", "free", "-d", "toy")
        assert free.returncode == 0, "nothing is added to the costs"
        assert inside(*ELICIT, "--db", "other.db").returncode == 0
        merged = inside("merge", "other.db")
        assert merged.returncode == 2
        assert merged.stderr.splitlines()[-2:] == [
            "Error: Costs are in USD here and in EUR in other.db: sums would mix them.",
            "Keep the databases apart: each has a report of its own.",
        ]
        assert inside("delete", "teacher", "host", "--yes").returncode == 0
        assert inside("merge", "other.db").returncode == 0, "there are no costs any more"
    assert rows(tmp_path, "SELECT code FROM currency") == [("EUR",)]


@pytest.mark.usefixtures("key")
def test_an_open_batch_is_collected_in_its_own_currency(inside: Command, tmp_path: Path) -> None:
    with serving_batches() as endpoint:
        configure(tmp_path, endpoint.url, questions=3, **PRICES)
        endpoint.held = True
        elicit = ("elicit", "-t", "gpt", "-d", "toy", "--yes", "--batch", "--no-wait")
        assert inside(*elicit).returncode == 0
        endpoint.held = False
        settings = tmp_path / "tinyllm.toml"
        before = settings.read_text(encoding="utf-8")
        settings.write_text(f'currency = "EUR"\n{before}', encoding="utf-8")
        refused = inside(*elicit)
        assert refused.returncode == 2
        assert "counts costs in USD" in refused.stderr
        settings.write_text(before, encoding="utf-8")
        assert inside("elicit", "-t", "gpt", "-d", "toy", "--yes", "--batch").returncode == 0
    assert rows(tmp_path, "SELECT count(*), cost > 0 FROM rationales") == [(3, 1)]


def test_listed_prices_are_unknown_in_another_currency(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12)
    dry = ("elicit", "-t", "gpt", "-d", "toy", "--dry-run")
    in_currency(tmp_path, None)
    write_host(tmp_path, "https://api.openai.com/v1", "gpt", model="gpt-4o-mini")
    listed = inside(*dry)
    assert " USD." in listed.stdout
    assert "listed prices" not in listed.stderr
    in_currency(tmp_path, "EUR")
    write_host(tmp_path, "https://api.openai.com/v1", "gpt", model="gpt-4o-mini", listed_prices=True)
    unlisted = inside(*dry)
    assert "cost unknown (no price)." in unlisted.stdout
    why = "What gpt charges is unknown: listed prices are in USD, and costs in EUR."
    put = "Put price_prompt and price_completion into [teachers.gpt]"
    assert f"{why} {put}." in unlisted.stderr
    kept = inside(*dry[:-1], "--budget", "1")
    assert kept.returncode == 2
    assert "so --budget can't be kept: listed prices are in USD, and costs in EUR.\n" + put in kept.stderr


@pytest.mark.parametrize("code", ["eur", "EURO", "€", "ÄÖÜ", "EU1", "EUR\n", ""])
def test_what_is_no_code_is_refused_in_one_line(inside: Command, tmp_path: Path, code: str) -> None:
    in_currency(tmp_path, code)
    done = inside("elicit", "-t", "expert", "-d", "everyday")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: tinyllm.toml: currency can't be {code!r}: it takes an ISO 4217 code")


def test_amounts_as_text() -> None:
    assert amount(0.1234, "USD") == "0.1234 USD"
    assert amount(1234.5, "EUR") == "1,234.5000 EUR"
    assert amount(0.0, None) == "0.0000"
    assert (with_currency(">cost", "EUR"), with_currency("cost", None)) == (">cost, EUR", "cost")
    assert not is_currency(["USD"])


def ask(store: Store, number: int, currency: str | None, cost: float | None) -> None:
    """An elicitation that brings one reply."""
    config = asking("parrot")
    store.rationales.add_asking(config)
    with store.elicitations.working(config, "toy", "train", Recipe(), currency) as worker:
        prompt = prompt_for(make_questions(4)[number % 4])
        reply = Completion(text=f"So {number}.", finish_reason="stop", cost=cost)
        keep(store, config, prompt, number, reply)
        started = f"2026-02-{next(_START)}"
        store.execute("UPDATE elicitations SET cost = ?, started = ? WHERE id = ?", (cost, started, worker.number))
        worker.finish("done", [])


def costs(store: Store) -> float:
    row = store.one("SELECT sum(cost) AS cost FROM elicitations")
    return row["cost"] or 0.0 if row else 0.0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.booleans(), st.sampled_from(["USD", "EUR", None])),
        st.tuples(st.just("merge"), st.booleans(), st.none()),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, paid=st.lists(st.sampled_from([0.0, 0.25]), min_size=8, max_size=8))
def test_whatever_is_asked_and_merged_costs_are_in_one_currency(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool, str | None]], paid: list[float]
) -> None:
    """The model: the currency of each database's costs, and their sum."""
    template = tmp_path_factory.getbasetemp() / "currency-template.db"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        stores = [held.enter_context(opened(Path(folder) / f"{name}.db", template)) for name in ("a", "b")]
        model: list[str | None] = [None, None]
        for number, (kind, second, currency) in enumerate(steps):
            here, there = int(second), 1 - int(second)
            cost = None if currency is None else paid[number]
            wanted = currency if kind == "ask" else model[there]
            mixes = wanted is not None and model[here] not in (None, wanted)
            before = costs(stores[here])
            try:
                if kind == "ask":
                    ask(stores[here], number, currency, cost)
                else:
                    merge(stores[here], stores[there].path)
            except UsageProblem:
                assert mixes
                assert costs(stores[here]) == before
                continue
            assert not mixes
            adds = bool(cost) if kind == "ask" else model[there] is not None
            model[here] = wanted if adds else model[here]
            assert (costs(stores[here]) > 0) == (model[here] is not None)
            assert model[here] in (None, stores[here].currency.code())


def test_a_running_elicitation_keeps_its_currency(store: Store) -> None:
    """The other process has paid nothing yet, but may."""
    store.questions.replace("toy", "here", "1", make_questions(4))
    config = asking("parrot")
    store.rationales.add_asking(config)
    with store.elicitations.working(config, "toy", "train", Recipe(), "USD") as worker:
        with pytest.raises(UsageProblem, match="would add costs in EUR"):
            ask(store, 0, "EUR", 1.0)
        worker.finish("done", [])
    ask(store, 0, "EUR", 1.0)
    assert store.currency.code() == "EUR"


@pytest.mark.parametrize(("cost", "code"), [(0.5, "USD"), (0.0, None), (None, None)])
def test_the_costs_of_an_older_database_are_in_dollars(tmp_path: Path, cost: float | None, code: str | None) -> None:
    path = tmp_path / "tinyllm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations.apply(Database(db), stop_before="m013_currency")
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        db.execute("INSERT INTO samplings VALUES ('s', 'openai', 'm', '', 0.0, 1.0, 9, '[]', 0, '{}')")
        db.execute("INSERT INTO recipes VALUES ('r', 'v1', 0, NULL, 1)")
        db.execute(
            "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, calls, cost, started)"
            " VALUES ('gpt', 's', 'toy', 'train', 'r', 'done', 1, ?, '2026-01-01')",
            (cost,),
        )
    with open_store(path) as store:
        assert store.currency.code() == code
        assert store.one("SELECT cost, currency FROM costs") == {"cost": cost, "currency": code}
        assert store.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
