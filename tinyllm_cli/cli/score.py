"""`tinyllm score`: how much each rationale helps a small model to the gold answer; and whether it only names it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.choosing import dataset_with_rationales, loader, variants_of
from tinyllm_cli.cli.console import Console, printable
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.leakage import Probed
    from tinyllm_cli.records import Variant
    from tinyllm_cli.store import Store
    from tinyllm_cli.students.base import Student
    from tinyllm_cli.usefulness import Scored


@guarded
def score(
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="A data set.", show_default="the one that has rationales")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", "-t", help="Only this teacher; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="Who reads: a hub name, a folder, a .gguf file, or smollm2.")] = "smollm2",
    split: Annotated[str, typer.Option(help="Whose rationales: train, valid or test.")] = "train",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    gates: Annotated[
        str, typer.Option(help="default: what the gates leave, as distill learns it; none: all.")
    ] = "default",
    mask_answer: Annotated[
        bool, typer.Option(help="Mask the answer's name, so that naming it alone is of no use.")
    ] = True,
    leakage: Annotated[
        int | None, typer.Option(min=1, help="Instead: what the model answers with and without N rationales.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="How many of the most and least useful to show.")] = 0,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the model.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score how much each rationale raises a model's probability of the gold answer, for `distill --usefulness`.

    Example: tinyllm score --dataset obqa --limit 1000 --show 3
    """
    from tinyllm_cli.errors import UsageProblem

    if gates not in ("default", "none"):
        raise UsageProblem(f"--gates can't be '{gates}'.", "Choose one of: default, none.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    load = loader(model, trust_remote_code=trust_remote_code)
    with closing(session.open_store(create=False)) as store:
        chosen = dataset_with_rationales(session, store, dataset)
        variants = variants_of(store, chosen, split, teacher or [])
        if leakage is not None:
            _leak(session, store, chosen, split, variants, load, leakage, gated=gates == "default")
            return
        found = {
            variant.teacher: _score(session, store, chosen, split, variant, model, load, limit,
                                    gated=gates == "default", mask=mask_answer)
            for variant in variants
        }  # fmt: skip
    session.console.show(_table(chosen, split, model, found, mask=mask_answer))
    for name, scored in found.items():
        for one in _extremes(scored, show):
            session.console.show(_example(name, one))
    session.console.result({"dataset": chosen, "split": split, "model": model, "teachers": _summaries(found, show)})
    session.console.next(f"tinyllm distill --dataset {chosen} --usefulness weight")


def _score(
    session: Session, store: Store, dataset: str, split: str, variant: Variant, model: str, load: Callable[[], Student],
    limit: int | None, *, gated: bool, mask: bool,
) -> list[Scored]:  # fmt: skip
    from tinyllm_cli.gates import gate_settings
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.students.loading import model_fingerprint
    from tinyllm_cli.usefulness import score as score_stage

    limits = Limits()
    with session.console.meter(f"scoring {variant.teacher}") as meter:
        return list(
            score_stage(
                store, dataset, split, variant, model=f"{model} {model_fingerprint(model)}".strip(), load=load,
                gates=gate_settings(session.settings.gates, limits.target) if gated else None, mask=mask, limits=limits,
                limit=limit, watch=lambda done: meter(done, 0),
            )
        )  # fmt: skip


def _leak(
    session: Session, store: Store, dataset: str, split: str, variants: list[Variant], load: Callable[[], Student],
    count: int, *, gated: bool,
) -> None:  # fmt: skip
    from tinyllm_cli.gates import gate_settings
    from tinyllm_cli.leakage import probe
    from tinyllm_cli.reporting.tables import percent, simple_table
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.usefulness import texts_with_questions

    limits = Limits()
    gates = gate_settings(session.settings.gates, limits.target) if gated else None
    found: dict[str, list[Probed]] = {}
    for variant in variants:
        texts = texts_with_questions(store, dataset, split, variant, gates)
        pairs = {question.key: (question, text) for rationale, text, question in texts if rationale.sample == 0}
        session.console.note(f"Probing {variant.teacher} with {min(count, len(pairs))} rationales.")
        found[variant.teacher] = probe(load(), list(islice(pairs.values(), count)), limits)
    rows = [
        (name, one.condition, str(one.n), percent(one.accuracy), f"{100 * one.low:.1f} to {100 * one.high:.1f} %")
        for name, results in found.items() for one in results
    ]  # fmt: skip
    own = {variant.teacher: _own_accuracy(store, dataset, split, variant.teacher) for variant in variants}
    rows += [(name, "the teacher itself, without the answer", str(n), percent(right / n), "-")
             for name, (right, n) in own.items() if n]  # fmt: skip
    head = ["rationales of", "what is read", ">n", ">accuracy", "95 % interval"]
    session.console.show(simple_table(f"What a probe answers on {dataset}/{split}", head, rows))
    session.console.result(
        {
            "dataset": dataset, "split": split,
            "teachers": {name: [asdict(one) | {"accuracy": one.accuracy} for one in results]
                         for name, results in found.items()},
            "own": {name: {"right": right, "n": n} for name, (right, n) in own.items()},
        }
    )  # fmt: skip
    session.console.next(f"tinyllm score --dataset {dataset}")


def _own_accuracy(store: Store, dataset: str, split: str, teacher: str) -> tuple[int, int]:
    """How many questions the teacher answered right by itself, of how many; (0, 0) where it was never asked so."""
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.opinions import opinions
    from tinyllm_cli.store import questions as stored_questions

    try:
        own = opinions(store, teacher, dataset, split)
    except UsageProblem:
        return 0, 0
    asked = [question for question in stored_questions.iterate(store, dataset, split) if own.asked(question)]
    return sum(own.option(question) == question.answer for question in asked), len(asked)


def _table(dataset: str, split: str, model: str, found: dict[str, list[Scored]], *, mask: bool) -> Any:
    from tinyllm_cli.reporting.tables import percent, simple_table

    rows = [
        (
            name, str(len(scored)),
            f"{fmean(one.gain for one in scored):+.3f}" if scored else "-",
            percent(sum(one.gain > 0 for one in scored) / len(scored)) if scored else "-",
        )
        for name, scored in found.items()
    ]  # fmt: skip
    title = f"Usefulness on {dataset}/{split} for {model}{', answer masked' if mask else ''}"
    table = simple_table(title, ["teacher", ">rationales", ">mean gain", ">of use"], rows)
    table.caption = "gain: log-probability of the gold option, with the rationale minus without; of use: above 0"
    return table


def _extremes(scored: list[Scored], count: int) -> list[Scored]:
    ordered = sorted(scored, key=lambda one: -one.gain)
    return ordered[:count] + ordered[max(count, len(ordered) - count) :] if count else []


def _summaries(found: dict[str, list[Scored]], show: int) -> list[dict[str, Any]]:
    return [
        {
            "teacher": name, "rationales": len(scored),
            "mean_gain": fmean(one.gain for one in scored) if scored else None,
            "of_use": sum(one.gain > 0 for one in scored),
            "examples": [{"key": one.rationale.key, "gain": one.gain, "text": one.text}
                         for one in _extremes(scored, show)],
        }
        for name, scored in found.items()
    ]  # fmt: skip


def _example(teacher: str, one: Scored) -> Any:
    from rich.text import Text

    text = Text(f"{teacher}, {one.rationale.key}: {one.gain:+.3f}\n", style="bold")
    return text.append(f"  {printable(' '.join(one.text.split()))}", style="not bold")
