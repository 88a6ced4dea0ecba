"""Which of a teacher's rationales a student learns: of which way of asking, which of those, and what of their text."""

from __future__ import annotations

import hashlib
import random
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.rationales.best_of import Sampled, best_of
from tinyllm_cli.rationales.gates import GateSettings, Verdict
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.rationales.weights import ModelScores, Use, scores_of, weights
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The defaults take every rationale of the way of asking that covers most questions, as it is."""

    gates: GateSettings | None = None
    """Learn what these gates leave."""

    usefulness: Use = "none"
    """Weigh the rationales of a teacher by how useful they scored, or leave out those that are of no use."""

    usefulness_model: str | None = None
    """Whose scores count, or the beginning of its name; None for the only model that scored."""

    samples: int | None = None
    """Of several samples for a question, the best so many: the most useful ones, where they were scored."""

    icl: int | None = None
    """Only rationales whose prompts held so many in-context examples."""

    shuffled: bool = False
    """A control: each question gets the rationales of another."""

    def identity(self) -> dict[str, Any]:
        """What of it differs from the defaults, for a run's settings. Whose scores counted is said in its record,
        however the name was typed."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "usefulness_model"}
        values["gates"] = self.gates.hash if self.gates else None
        return {one.name: values[one.name] for one in fields(self) if values.get(one.name, one.default) != one.default}


EVERY_RATIONALE = Selection()

_Judged = tuple[Rationale, Verdict]


def best_covered(
    variants: Sequence[RationaleSet], teacher: str, dataset: str, icl: int | None = None, split: str = "train"
) -> RationaleSet:
    """The way of asking `teacher` that covers most questions, of those that saw the gold answer if any did; of
    several one with in-context examples, so that asking without them for an ablation changes nothing else, then the
    newest. With `icl`, among those with so many in-context examples.

    Raises UsageProblem when there are none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split {split}.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}{_of(split)}",
        )
    fitting = [variant for variant in own if icl is None or variant.recipe.icl == icl]
    if not fitting:
        raise UsageProblem(
            f"{teacher} has no rationales for {dataset} that were asked for with {icl} in-context examples.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}{_of(split)} --icl {icl}",
        )
    return max(fitting, key=lambda one: (one.teacher_forcing, one.questions, one.recipe.icl != 0, one.latest))


def _of(split: str) -> str:
    return "" if split == "train" else f" --split {split}"


def selected(
    store: Store,
    dataset: str,
    variant: RationaleSet,
    selection: Selection,
    *,
    limit: int,
    seed: int,
) -> tuple[dict[str, list[SelectedRationale]], dict[str, Any]]:
    """What to learn of one teacher, by question key, for the first `limit` training questions; and the record of
    which rationales these are.

    Raises UsageProblem when none is left."""
    kept, left_out = _passed(store, dataset, variant, selection.gates, limit)
    scores = _scores(store, dataset, variant, kept, selection, limit)
    gains = scores.gains if scores else {}
    if selection.usefulness == "filter":
        left_out["of no use"] = sum(gains[one.id] <= 0 for one, _ in kept)
        kept = [(one, verdict) for one, verdict in kept if gains[one.id] > 0]
    chosen = kept if selection.samples is None else _best(kept, gains, selection.samples)
    if not chosen:
        raise _nothing_left(dataset, variant.teacher, left_out)
    weighted = weights({one.id: gains[one.id] for one, _ in chosen}) if selection.usefulness == "weight" else {}
    taught, digest = _taught(chosen, None if selection.usefulness == "none" else weighted)
    empty = left_out.pop("empty", 0)
    rejected = {why: count for why, count in left_out.items() if count}
    unchosen = len(kept) - len(chosen)
    record = {
        **variant.source,
        "questions": len(taught),
        "rationales": len(chosen),
        "empty": empty,
        **({"rejected": rejected} if selection.gates or rejected else {}),
        **({"scored_by": scores.scorer.name} if scores else {}),
        **({"unchosen": unchosen} if unchosen else {}),
        "digest": digest,
    }
    return _shuffled(taught, f"{seed}:{variant.teacher}") if selection.shuffled else taught, record


def _passed(
    store: Store, dataset: str, variant: RationaleSet, gates: GateSettings | None, limit: int
) -> tuple[list[_Judged], Counter[str]]:
    """What the gates leave, and how many they reject, by the gate that objected first.

    Raises UsageProblem when they leave none."""
    kept: list[_Judged] = []
    left_out: Counter[str] = Counter()
    for rationale, verdict in judged(store, dataset, "train", variant, gates, limit):
        refused = [finding.gate for finding in verdict.findings if not finding.repaired]
        if refused:
            left_out[refused[0]] += 1
        else:
            kept.append((rationale, verdict))
    if not kept and not left_out:
        raise UsageProblem(
            f"{variant.teacher} has no rationale for the first {limit} training questions of {dataset}.",
            "Raise --limit, or leave the teacher out.",
        )
    if not kept:
        raise _nothing_left(dataset, variant.teacher, left_out)
    return kept, left_out


def _taught(
    chosen: Sequence[_Judged], weighted: Mapping[int, float] | None
) -> tuple[dict[str, list[SelectedRationale]], str]:
    """The texts by question key, and a digest that tells what is learnt; `weighted` has weights by rationale id (where
    one isn't there it is 1), None where usefulness plays no part."""
    taught: dict[str, list[SelectedRationale]] = {}
    digest = hashlib.sha256()
    for rationale, verdict in chosen:
        one = SelectedRationale(text=verdict.text, weight=(weighted or {}).get(rationale.id, 1.0))
        taught.setdefault(rationale.key, []).append(one)
        told = one.text if weighted is None else f"{one.text}\0{one.weight:.6f}"
        digest.update(f"{rationale.question}\0{rationale.sample}\0{told}\0".encode())
    return taught, digest.hexdigest()[:16]


def _scores(
    store: Store,
    dataset: str,
    variant: RationaleSet,
    kept: Sequence[_Judged],
    selection: Selection,
    limit: int,
) -> ModelScores | None:
    """One model's scores of the texts that passed. For the best of several samples whatever was scored is good; to
    weigh or to filter, each text must be.

    Raises UsageProblem when one isn't, and when several models scored all and the selection names none."""
    named = selection.usefulness_model
    if selection.usefulness == "none" and selection.samples is None:
        if named is None:
            return None
        raise UsageProblem(
            f"Nothing is to be learnt by the scores of {named}.", "Add --usefulness weight or filter, or --samples 1."
        )
    questions = {question.key: question for question in store.questions.iterate(dataset, "train", limit)}
    texts = [(one, verdict.text) for one, verdict in kept]
    found = scores_of(store, dataset, texts, questions)
    if named is not None:
        found = _by(named, found)
    if selection.usefulness == "none" and (named is None or any(one.gains for one in found)):
        return next((one for one in found if one.gains), None)
    wanted = len({one.id for one, _ in kept})  # a question that stands in two places has one rationale
    whole = [one for one in found if len(one.gains) == wanted]
    if len(whole) > 1:
        raise UsageProblem(
            f"Several models scored the rationales of {variant.teacher} for {dataset}.",
            f"Say whose scores count with --usefulness-model: {choices([one.scorer.name for one in whole])}.",
        )
    if not whole:
        questions_in_all = store.questions.splits(dataset)["train"]
        best = max(found, key=lambda one: len(one.gains), default=None)
        missing = wanted - (len(best.gains) if best else 0)
        scorer = best.scorer.model if best and (best.gains or named) else named
        raise UsageProblem(
            f"{missing} of {wanted} rationales of {variant.teacher} for {dataset} have no score"
            + (f" by {named or scorer}." if named or scorer else "."),
            f"Run: {_how_to_score(dataset, variant, selection, scorer, limit if limit < questions_in_all else None)}",
        )
    return whole[0]


def _by(typed: str, found: Sequence[ModelScores]) -> list[ModelScores]:
    """The scores of the model that is called so, with or without what tells its states apart; where none is, of those
    whose names begin so."""
    called = [one for one in found if typed in (one.scorer.name, one.scorer.model)]
    return called or [one for one in found if one.scorer.name.startswith(typed)]


def _how_to_score(
    dataset: str, variant: RationaleSet, selection: Selection, model: str | None, limit: int | None
) -> str:
    """The command by which `model` scores the very texts that this selection takes."""
    words = ["tinyllm", "usefulness", "--dataset", dataset, "--teacher", variant.teacher]
    words += ["--model", model] if model else []
    words += ["--limit", str(limit)] if limit is not None else []
    words += ["--icl", str(selection.icl)] if selection.icl is not None else []
    if selection.gates is None:
        words += ["--no-gates"]
    elif selection.gates.max_tokens is not None:
        words += ["--max-target", str(selection.gates.max_tokens)]
    return shlex.join(words)


def _best(kept: Sequence[_Judged], gains: Mapping[int, float], count: int) -> list[_Judged]:
    """The best `count` samples of each question, in their order."""
    chosen: list[_Judged] = []
    for _, group in groupby(kept, key=lambda entry: entry[0].key):
        own = list(group)
        scored = all(one.id in gains for one, _ in own)  # else the scored ones would win for being scored
        samples = [
            Sampled(verdict=verdict.verdict, text=verdict.text, gain=gains[one.id] if scored else None)
            for one, verdict in own
        ]
        chosen += [own[index] for index in sorted(best_of(samples, count))]
    return chosen


def _nothing_left(dataset: str, teacher: str, left_out: Counter[str]) -> UsageProblem:
    if not any(count for gate, count in left_out.items() if gate != "empty"):
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} has any text.",
            f"Ask again, in another way: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    if left_out["of no use"]:
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} that the gates leave raises the gold answer's probability.",
            "Weigh them instead (--usefulness weight), or see which: tinyllm usefulness --show 3",
        )
    most = ", ".join(f"{gate} {count}" for gate, count in left_out.most_common(3))
    return UsageProblem(
        f"The gates reject every rationale of {teacher} for {dataset} ({most}).",
        f"See why: tinyllm gate --dataset {dataset} --teacher {teacher}. Learn them all the same: --no-gates.",
    )


def _shuffled(taught: dict[str, list[SelectedRationale]], seed: str) -> dict[str, list[SelectedRationale]]:
    """Every question's rationales at another question: along a circle of random order, each moves on by one."""
    order = list(taught)
    random.Random(seed).shuffle(order)
    return {key: taught[order[index - 1]] for index, key in enumerate(order)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedRationale:
    """A rationale that is fit to learn, and its weight among those of its teacher."""

    text: str
    weight: float = 1.0
