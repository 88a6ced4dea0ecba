"""`tinyllm inspect`: one question with everything that was written about it and answered to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, MaxTarget, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.inspect import show
from tinyllm_cli.errors import command_text

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
    """Show one question: every teacher's rationale, what the gates removed, and every answer.

    Example: tinyllm inspect 7-980 --dataset obqa, or by words: tinyllm inspect grass snakes
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        places = api.find_questions(project, " ".join(question), dataset=dataset, split=split)
        if len({place.question for place in places}) > 1:
            _choose(session, places)
            return
        found = api.inspect_question(project, places[0], max_target=max_target)
    for renderable in show(found, prompts=prompts):
        session.console.show(renderable)
    session.console.result(found.as_json())
    session.console.next(command_text("audit", "--dataset", places[0].dataset))


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
