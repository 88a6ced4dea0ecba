"""`tinyllm audit`: what is wrong with data and rationales, before a training costs hours."""

from __future__ import annotations

from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Gates, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.audit.audit import Audit
    from tinyllm_cli.audit.measure import Measure

_USUAL_STUDENT = "google/flan-t5-small"


@guarded
def audit(
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="A data set. May be repeated.", show_default="all with rationales"),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            "--student", "-s", help="Whose tokens to count: a hub name, a folder, a .gguf file, or smollm2.",
            show_default=f"{_USUAL_STUDENT}, where it can be had",
        ),
    ] = None,
    max_input: Annotated[int, typer.Option(min=8, help="The student's longest input in tokens.")] = 1024,
    max_target: Annotated[int, typer.Option(min=2, help="The student's longest target in tokens.")] = 256,
    gates: Gates = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 when a check reports an error.")] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A kind of finding that --strict lets pass, such as duplicates. May be repeated."),
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the student.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Check rationales and questions before training: what is missing, unfit, too long, or known from the test.

    Example: tinyllm audit --dataset riddle --student smollm2
    """
    from tinyllm_cli.audit.audit import audit as run_audit
    from tinyllm_cli.audit.audit import datasets_to_audit
    from tinyllm_cli.audit.checks import KINDS, MEASURED
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.ingestion.ingest import ingest_named

    unknown = sorted(set(allow or ()) - set(KINDS))
    if unknown:
        raise UsageProblem(f"--allow can't be '{unknown[0]}'.", f"Choose of: {', '.join(KINDS)}.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    standing = session.gates(gates, max_target)
    with closing(session.open_store(create=False)) as store:
        names = [ingest_named(store, name, session.settings).name for name in dataset or ()] or datasets_to_audit(store)
        measured = strict and not set(allow or ()) >= MEASURED
        measure = _measure(session, student, max_input, max_target, trust_remote_code, must=measured)
        with session.console.meter("reading") as meter:
            read = count(1)
            found = run_audit(
                store,
                names,
                gates=standing,
                measure=measure,
                allowed=allow or (),
                watch=lambda what: meter(next(read), 0, what),
            )
    _show(session, found)
    if strict and found.errors:
        raise typer.Exit(1)


def _measure(
    session: Session, student: str | None, max_input: int, max_target: int, trust_remote_code: bool, *, must: bool
) -> Measure | None:
    """The student's limits. A student that was named must be there; the usual one is a convenience, unless lengths
    `must` be known."""
    from backends.base import ModelUnavailable
    from tinyllm_cli.audit.checks import MEASURED
    from tinyllm_cli.audit.measure import Measure
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.students.loading import load_ruler

    name = student or _USUAL_STUDENT
    try:
        ruler = load_ruler(name, trust_remote_code=trust_remote_code)
    except ModelUnavailable:
        if student is not None:
            raise
        if must:
            raise UsageProblem(
                f"--strict can't tell what a student would cut: {name} can't be had here.",
                f"Name a --student, or let it pass: {' '.join(f'--allow {kind}' for kind in sorted(MEASURED))}",
            ) from None
        session.console.note(f"Lengths are in characters: {name} can't be had here. Name a --student to count tokens.")
        return None
    limits = ruler.limits(Limits(input=max_input, target=max_target))
    return Measure(student=name, ruler=ruler, max_input=limits.input, max_target=limits.target)


def _show(session: Session, audit: Audit) -> None:
    from tinyllm_cli.cli.views.audit import audit_tables

    console = session.console
    for table in audit_tables(audit):
        console.show(table)
    for finding in audit.findings:
        console.say(f"{'!' if finding.is_error else '-'} {finding.text}")
        if finding.hint:
            console.say(f"  {finding.hint}")
    if not audit.findings:
        console.say("Nothing is wrong with them.")
    elif audit.errors:
        console.say(f"{len(audit.errors)} of these {len(audit.findings)} findings are errors (!).")
    console.result(audit.as_json())
    name = audit.surveys[0].dataset
    console.next(f"tinyllm inspect QUESTION --dataset {name}, or tinyllm distill --dataset {name}")
