"""`tinyllm inspect`: one question with everything that was written about it and answered to it."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, MaxTarget, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.store.question_lookup import Place

_SHOWN = 20


@guarded
def inspect(
    question: Annotated[
        list[str], typer.Argument(help="Its id in the data set, six or more digits of its hash, or words it holds.")
    ],
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Only in this data set.")] = None,
    split: Annotated[str | None, typer.Option(help="Only in this split: train, valid or test.")] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="Show the prompts as they were sent.")] = False,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show one question: every teacher's rationale, what the gates cut of it, and who answered right.

    Example: tinyllm inspect 7-980 --dataset obqa, or by words: tinyllm inspect grass snakes
    """
    from tinyllm_cli.audit.question_view import question_view
    from tinyllm_cli.cli.views.inspect import show
    from tinyllm_cli.rationales.gates import gate_settings

    session = Session(db, config, Console(json=json, quiet=quiet))
    wanted = " ".join(question)
    with closing(session.open_store(create=False)) as store:
        places = store.lookup.places(wanted, dataset, split)
        if not places:
            raise _unknown(store.lookup.places(wanted, None, None), wanted, dataset, split)
        if len({place.question for place in places}) > 1:
            _choose(session, places)
            return
        found = question_view(store, places[0], gate_settings(session.settings.gates, max_target))
    for renderable in show(found, prompts=prompts):
        session.console.show(renderable)
    session.console.result(found.as_json())
    session.console.next(f"tinyllm audit --dataset {shlex.quote(places[0].dataset)}")


def _unknown(elsewhere: list[Place], wanted: str, dataset: str | None, split: str | None) -> Exception:
    from tinyllm_cli.errors import UsageProblem, choices

    where = "/".join(filter(None, (dataset, split))) or "the database"
    hint = "Give its id, the first six digits or more of its hash, or some of its words."
    if elsewhere:
        hint = f"It stands in: {choices({f'{place.dataset}/{place.split}' for place in elsewhere})}."
    return UsageProblem(f"No question in {where} has the id or the words '{wanted}'.", hint)


def _choose(session: Session, places: list[Place]) -> None:
    """Several questions fit: a list to choose from."""
    from dataclasses import asdict

    from tinyllm_cli.terminal import plain_table

    rows = [(f"{one.dataset}/{one.split}", one.key, one.question[:8], one.text) for one in places[:_SHOWN]]
    more = f"{len(places) - _SHOWN} more; add words to narrow it down." if len(places) > _SHOWN else ""
    session.console.show(
        plain_table(f"{len(places)} questions fit", ["where", "id", "hash", "question"], rows, caption=more)
    )
    session.console.result({"candidates": [asdict(place) for place in places]})
    session.console.next(f"tinyllm inspect {places[0].question[:8]}")
