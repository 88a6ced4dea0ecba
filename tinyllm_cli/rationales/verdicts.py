"""The gates at the store: a variant's rationales with their verdicts, each judged once and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import rationale_text, without_thinking
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict, judge
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store
from tinyllm_cli.store.verdicts import StoredVerdict

_CHUNK = 500


def judged(
    store: Store,
    dataset: str,
    split: str,
    variant: RationaleSet,
    settings: GateSettings | None,
    limit: int | None = None,
) -> Iterator[tuple[Rationale, Verdict]]:
    """A variant's rationales for the first `limit` questions of a split, in their order, each with its verdict.
    Verdicts that the store lacks are made and kept. Without gates (None) only an empty text is rejected."""
    rationales = store.rationales.iterate(dataset, split, variant)
    if limit is not None:
        rationales = _before(rationales, limit)
    if settings is None:
        yield from ((rationale, _ungated(rationale)) for rationale in rationales)
        return
    store.verdicts.add_gates(settings.hash, asdict(settings))
    asked = _asked(rationales, store.questions.iterate(dataset, split))
    while chunk := list(islice(asked, _CHUNK)):
        known = store.verdicts.stored(settings.hash, [rationale.id for rationale, _ in chunk])
        fresh = []
        for rationale, question in chunk:
            if rationale.id not in known:
                verdict = judge(without_thinking(rationale.text), question, settings)
                known[rationale.id] = _stored(rationale, verdict)
                fresh.append(known[rationale.id])
        if fresh:
            store.verdicts.add(settings.hash, fresh)
        yield from ((rationale, _verdict(rationale, known[rationale.id])) for rationale, _ in chunk)


def _ungated(rationale: Rationale) -> Verdict:
    text = rationale_text(rationale.text)
    empty = () if text else (GateFinding(gate="empty", reason="has no text", repaired=False),)
    return Verdict(verdict="kept" if text else "rejected", text=text, findings=empty)


def _before(rationales: Iterable[Rationale], limit: int) -> Iterator[Rationale]:
    for rationale in rationales:
        if rationale.position >= limit:
            return
        yield rationale


def _asked(rationales: Iterable[Rationale], questions: Iterator[Question]) -> Iterator[tuple[Rationale, Question]]:
    """Each rationale with its question: both come in the order of the split."""
    question: Question | None = None
    for rationale in rationales:
        while question is None or question.key != rationale.key:
            question = next(questions)
        yield rationale, question


def _stored(rationale: Rationale, verdict: Verdict) -> StoredVerdict:
    return StoredVerdict(
        rationale=rationale.id,
        verdict=verdict.verdict,
        text=None if verdict.text == without_thinking(rationale.text).strip() else verdict.text,
        findings=[[one.gate, one.reason, one.repaired] for one in verdict.findings],
    )


def _verdict(rationale: Rationale, stored: StoredVerdict) -> Verdict:
    text = without_thinking(rationale.text).strip() if stored.text is None else stored.text
    findings = tuple(
        GateFinding(gate=gate, reason=reason, repaired=bool(mended)) for gate, reason, mended in stored.findings
    )
    return Verdict(verdict=stored.verdict, text=text, findings=findings)  # type: ignore[arg-type]
