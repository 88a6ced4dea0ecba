"""`tinyllm usefulness`: how much each rationale raises a small model's probability of the gold answer."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.resolve import dataset_with_rationales, loader, resolved, variants_of
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Gates, Json, MaxTarget, Quiet, Session, guarded
from tinyllm_cli.terminal import plain, plain_table, printable

if TYPE_CHECKING:
    from tinyllm_cli.cli.console import Meter
    from tinyllm_cli.datasets.question import Question
    from tinyllm_cli.rationales.leakage import Probed
    from tinyllm_cli.rationales.usefulness import Scored, Texts
    from tinyllm_cli.store import Store
    from tinyllm_cli.students.base import Student


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
    gates: Gates = True,
    max_target: MaxTarget = 256,
    icl: Annotated[
        int | None, typer.Option(min=0, help="The rationales that were asked for with so many in-context examples.")
    ] = None,
    mask_answer: Annotated[
        bool,
        typer.Option(
            help="Mask the answer's name, so that naming it alone is of no use. distill learns by such scores."
        ),
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

    Example: tinyllm usefulness --dataset obqa --limit 1000 --show 3
    """
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.rationales.usefulness import score as score_stage
    from tinyllm_cli.rationales.usefulness import texts_with_questions
    from tinyllm_cli.records.usefulness import Scorer
    from tinyllm_cli.students.loading import model_fingerprint

    if leakage is not None and (show or not mask_answer):
        raise UsageProblem(
            "--leakage shows no examples and reads both, masked and not.", "Leave out --show and --no-mask-answer."
        )
    session = Session(db, config, Console(json=json, quiet=quiet))
    standing = session.gates(gates, max_target)
    model = resolved(model)
    load = loader(model, trust_remote_code=trust_remote_code)
    # The words by which a next command takes the very same texts.
    same = _words({"--limit": limit, "--icl": icl}) + ([] if gates else ["--no-gates"])
    same += _words({"--max-target": max_target}, usual={256})
    with closing(session.open_store(create=False)) as store:
        chosen = dataset_with_rationales(session, store, split, dataset)
        texts = {
            variant.teacher: partial(texts_with_questions, store, chosen, split, variant, standing, limit)
            for variant in variants_of(store, chosen, split, teacher or [], icl)
        }
        if leakage is not None:
            _leak(session, store, chosen, split, texts, load, leakage)
            of = [word for name in teacher or [] for word in ("--teacher", name)]
            of += _words({"--split": split, "--model": model}, usual={"train", "smollm2"})
            session.console.next(shlex.join(["tinyllm", "usefulness", "--dataset", chosen, *of, *same]))
            return
        scorer = Scorer(model=model, fingerprint=model_fingerprint(model))
        found = {}
        for who, of_teacher in texts.items():
            with session.console.meter(f"scoring {who}") as meter:
                watch = partial(_count, meter)
                scored = score_stage(store, of_teacher(), model=scorer, load=load, mask=mask_answer, watch=watch)
                found[who] = _summed(scored, show)
        if not any(summary.count for summary in found.values()):
            raise UsageProblem(
                f"The gates reject every rationale of {', '.join(found)} here.",
                f"See why: tinyllm gate --dataset {shlex.quote(chosen)} --split {split}",
            )
        several = len(store.usefulness.models(chosen)) > 1
    session.console.show(_table(chosen, split, model, found, mask=mask_answer))
    for who, summary in found.items():
        _say_cut(session, f"{who}'s", summary.cut)
        for one in summary.extremes:
            session.console.show(_example(who, one))
    session.console.result({"dataset": chosen, "split": split, "model": model, "teachers": _as_json(found)})
    if split == "train" and mask_answer:
        alpha = ",".join(f"{who}=1" for who in found) if teacher else None
        by = _words({"--alpha": alpha, "--usefulness-model": scorer.name if several else None})
        weighing = ["tinyllm", "distill", "--dataset", chosen, "--usefulness", "weight"]
        session.console.next(shlex.join([*weighing, *by, *same]))
    else:
        session.console.next(shlex.join(["tinyllm", "audit", "--dataset", chosen]))


def _words(options: Mapping[str, object], usual: Container[object] = ()) -> list[str]:
    """The options that are given and not as `usual`, as words of a command."""
    given = {option: value for option, value in options.items() if value is not None and value not in usual}
    return [word for option, value in given.items() for word in (option, str(value))]


def _say_cut(session: Session, whose: str, count: int) -> None:
    if count:
        session.console.say(f"{count} of {whose} inputs were longer than the model reads, and lost their end.")


def _count(meter: Meter, done: int) -> None:
    meter(done, 0)


@dataclass(kw_only=True)
class _Summary:
    """What a teacher's rationales are worth, and those that are worth most and least."""

    count: int = 0
    of_use: int = 0
    total: float = 0.0
    cut: int = 0
    extremes: list[Scored] = field(default_factory=list)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


def _summed(scored: Iterable[Scored], show: int) -> _Summary:
    """Holds no more than the `show` best and worst. Of equal ones the earlier."""
    summary = _Summary()
    best: list[tuple[float, int, Scored]] = []
    worst: list[tuple[float, int, Scored]] = []
    for number, one in enumerate(scored):
        summary.count += 1
        summary.of_use += one.gain > 0
        summary.total += one.gain
        summary.cut += one.cut
        for heap, value in ((best, one.gain), (worst, -one.gain)):
            heappush(heap, (value, -number, one))
            if len(heap) > show:
                heappop(heap)
    kept = {-number: one for _, number, one in (*best, *worst)}
    summary.extremes = sorted(kept.values(), key=lambda one: -one.gain)
    return summary


def _leak(
    session: Session, store: Store, dataset: str, split: str, texts: Mapping[str, Callable[[], Texts]],
    load: Callable[[], Student], count: int,
) -> None:  # fmt: skip
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.rationales.leakage import probe
    from tinyllm_cli.rationales.teacher_answers import unforced_sets
    from tinyllm_cli.report.terminal import percent
    from tinyllm_cli.students.base import Limits

    pairs: dict[str, list[tuple[Question, str]]] = {}
    for teacher, of_teacher in texts.items():
        first = ((question, text) for rationale, text, question in of_teacher() if rationale.sample == 0)
        pairs[teacher] = list(islice(first, count))
        if not pairs[teacher]:  # said before a model has worked for the others
            raise UsageProblem(
                f"There is no rationale of {teacher} for {dataset}/{split} to probe, or none that the gates leave.",
                f"See why: tinyllm gate -d {dataset} --split {split} -t {teacher}."
                " Probe them all the same: --no-gates. Or others alone: --teacher.",
            )
    found: dict[str, list[Probed]] = {}
    for teacher, own_pairs in pairs.items():
        session.console.note(f"Probing {teacher} with {len(own_pairs)} rationales.")
        found[teacher] = probe(load(), own_pairs, Limits())
    rows = [
        (name, one.condition, str(one.n), percent(one.accuracy), f"{100 * one.low:.1f} to {100 * one.high:.1f} %")
        for name, results in found.items() for one in results
    ]  # fmt: skip
    free = unforced_sets(store, dataset, split)
    own = {teacher: _own_accuracy(store, dataset, split, teacher) for teacher in texts if teacher in free}
    rows += [(name, "the teacher itself, without the answer", str(n), percent(right / n), "-")
             for name, (right, n) in own.items() if n]  # fmt: skip
    head = ["rationales of", "what is read", ">n", ">accuracy", "95 % interval"]
    session.console.show(plain_table(f"What a probe answers on {dataset}/{split}", head, rows))
    for name, results in found.items():
        _say_cut(session, f"{name}'s", sum(one.inputs_cut for one in results))
    session.console.result(
        {
            "dataset": dataset, "split": split,
            "teachers": {name: [asdict(one) | {"accuracy": one.accuracy} for one in results]
                         for name, results in found.items()},
            "own": {name: {"right": right, "n": n} for name, (right, n) in own.items()},
        }
    )  # fmt: skip


def _own_accuracy(store: Store, dataset: str, split: str, teacher: str) -> tuple[int, int]:
    """How many questions the teacher answered right by itself, of how many."""
    from tinyllm_cli.rationales.teacher_answers import load_teacher_answers

    own = load_teacher_answers(store, teacher, dataset, split)
    asked = [question for question in store.questions.iterate(dataset, split) if own.asked(question)]
    return sum(own.option(question) == question.answer for question in asked), len(asked)


def _table(dataset: str, split: str, model: str, found: Mapping[str, _Summary], *, mask: bool) -> Any:
    from tinyllm_cli.report.terminal import percent

    rows = [
        (
            name, str(one.count),
            "-" if one.mean is None else f"{one.mean:+.3f}",
            percent(one.of_use / one.count) if one.count else "-",
        )
        for name, one in found.items()
    ]  # fmt: skip
    title = f"Usefulness on {dataset}/{split} for {model}{', answer masked' if mask else ''}"
    caption = "gain: log-probability of the gold option, with the rationale minus without; of use: above 0"
    return plain_table(title, ["teacher", ">rationales", ">mean gain", ">of use"], rows, caption)


def _as_json(found: Mapping[str, _Summary]) -> list[dict[str, Any]]:
    return [
        {
            "teacher": name, "rationales": one.count, "mean_gain": one.mean, "of_use": one.of_use,
            "inputs_cut": one.cut,
            "examples": [{"key": each.rationale.key, "gain": each.gain, "text": each.text} for each in one.extremes],
        }
        for name, one in found.items()
    ]  # fmt: skip


def _example(teacher: str, one: Scored) -> Any:
    text = plain(f"{teacher}, {one.rationale.key}: {one.gain:+.3f}\n", "bold")
    return text.append(f"  {printable(' '.join(one.text.split()))}", style="not bold")
