"""Which of a teacher's rationales a student learns: of which way of asking, which of those, and what of their text."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from tinyllm_cli.agreement import Sampled, best_of
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.gates import Finding, GateSettings, Length, Verdict
from tinyllm_cli.gating import judged
from tinyllm_cli.prompts import rationale_text, recipe_icl
from tinyllm_cli.records import Rationale, Variant
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.tasks import Taught
from tinyllm_cli.weighing import Use, gains_of, weights


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The defaults take every rationale of the way of asking that covers most questions, as it is."""

    gates: GateSettings | None = None
    """Learn what these gates leave."""

    usefulness: Use = "none"
    """Weigh the rationales of a teacher by how useful they scored, or leave out those that are of no use."""

    samples: int | None = None
    """Of several samples for a question, the best so many."""

    icl: int | None = None
    """Only rationales whose prompts held so many in-context examples."""

    shuffled: bool = False
    """A control: each question gets the rationales of another."""

    def identity(self) -> dict[str, Any]:
        """What of it differs from the defaults, for a run's settings."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values["gates"] = self.gates.hash if self.gates else None
        return {one.name: values[one.name] for one in fields(self) if values[one.name] != one.default}


EVERY_RATIONALE = Selection()


def fullest(variants: Sequence[Variant], teacher: str, dataset: str, icl: int | None = None) -> Variant:
    """The way of asking `teacher` that covers most questions, of those that saw the gold answer if any did; of
    several one with in-context examples, so that asking without them for an ablation changes nothing else, then the
    newest. With `icl`, among those with so many in-context examples.

    Raises UsageProblem when there are none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split train.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    fitting = [variant for variant in own if icl is None or recipe_icl(variant.recipe) == icl]
    if not fitting:
        raise UsageProblem(
            f"{teacher} has no rationales for {dataset} that were asked for with {icl} in-context examples.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset} --icl {icl}",
        )
    return max(fitting, key=lambda one: (one.teacher_forcing, one.questions, recipe_icl(one.recipe) != 0, one.latest))


def selected(
    store: Store,
    dataset: str,
    variant: Variant,
    selection: Selection,
    *,
    limit: int,
    seed: int,
    length: Length | None = None,
) -> tuple[dict[str, list[Taught]], dict[str, Any]]:
    """What to learn of one teacher, by question key, for the first `limit` training questions; and the record of
    which rationales these are.

    Raises UsageProblem when none is left."""
    left_out: Counter[str] = Counter()
    kept: list[tuple[Rationale, Verdict]] = []
    for rationale, verdict in _judged(store, dataset, variant, selection.gates, limit, length):
        refused = [finding.gate for finding in verdict.findings if not finding.repaired]
        if refused:
            left_out[refused[0]] += 1
        else:
            kept.append((rationale, verdict))
    chosen = _chosen(store, dataset, variant.teacher, kept, selection, limit)
    taught: dict[str, list[Taught]] = {}
    digest = hashlib.sha256()
    for rationale, one in chosen:
        taught.setdefault(rationale.key, []).append(one)
        told = one.text if selection.usefulness == "none" else f"{one.text}\0{one.weight:.6f}"
        digest.update(f"{rationale.question}\0{rationale.sample}\0{told}\0".encode())
    if not taught:
        raise _nothing_left(dataset, variant.teacher, left_out)
    record = {
        **variant.source,
        "questions": len(taught),
        "rationales": len(chosen),
        "empty": left_out.pop("empty", 0),
        **({"rejected": dict(left_out)} if selection.gates else {}),
        "digest": digest.hexdigest()[:16],
    }
    return _shuffled(taught, f"{seed}:{variant.teacher}") if selection.shuffled else taught, record


def _judged(
    store: Store, dataset: str, variant: Variant, gates: GateSettings | None, limit: int, length: Length | None
) -> Iterator[tuple[Rationale, Verdict]]:
    """Each rationale with its verdict. Without gates only an empty one is rejected."""
    if gates is not None:
        yield from judged(store, dataset, "train", variant, gates, length, limit)
        return
    empty = (Finding(gate="empty", reason="has no text", repaired=False),)
    for rationale in stored_rationales.iterate(store, dataset, "train", variant):
        if rationale.position >= limit:
            return
        text = rationale_text(rationale.text)
        verdict = Verdict(verdict="kept", text=text) if text else Verdict(verdict="rejected", text="", findings=empty)
        yield rationale, verdict


def _chosen(
    store: Store,
    dataset: str,
    teacher: str,
    kept: Sequence[tuple[Rationale, Verdict]],
    selection: Selection,
    limit: int,
) -> list[tuple[Rationale, Taught]]:
    """What is learnt of the texts that passed, with their weights."""
    gains: dict[int, float] = {}
    if selection.usefulness != "none":
        questions = {question.key: question for question in stored_questions.iterate(store, dataset, "train", limit)}
        gains = gains_of(store, dataset, teacher, [(one, verdict.text) for one, verdict in kept], questions)
    if selection.samples is not None:
        kept = _best(kept, gains, selection.samples)
    if selection.usefulness == "filter":
        kept = [(one, verdict) for one, verdict in kept if gains[one.id] > 0]
    weighted = weights({one.id: gains[one.id] for one, _ in kept}) if selection.usefulness == "weight" else {}
    return [(one, Taught(text=verdict.text, weight=weighted.get(one.id, 1.0))) for one, verdict in kept]


def _best(
    kept: Sequence[tuple[Rationale, Verdict]], gains: Mapping[int, float], count: int
) -> list[tuple[Rationale, Verdict]]:
    """The best `count` samples of each question, in their order."""
    chosen: list[tuple[Rationale, Verdict]] = []
    for _, group in groupby(kept, key=lambda entry: entry[0].key):
        own = list(group)
        samples = [Sampled(verdict=verdict.verdict, text=verdict.text, gain=gains.get(one.id)) for one, verdict in own]
        chosen += [own[index] for index in sorted(best_of(samples, count))]
    return chosen


def _nothing_left(dataset: str, teacher: str, left_out: Counter[str]) -> UsageProblem:
    if left_out.keys() <= {"empty"}:
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} has any text.",
            f"Ask again, in another way: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    most = ", ".join(f"{gate} {count}" for gate, count in left_out.most_common(3))
    return UsageProblem(
        f"The gates reject every rationale of {teacher} for {dataset} ({most}).",
        f"See why: tinyllm gate --dataset {dataset} --teacher {teacher}. Learn them all the same: --gates none.",
    )


def _shuffled(taught: dict[str, list[Taught]], seed: str) -> dict[str, list[Taught]]:
    """Every question's rationales at another question: along a circle of random order, each moves on by one."""
    order = list(taught)
    random.Random(seed).shuffle(order)
    return {key: taught[order[index - 1]] for index, key in enumerate(order)}
