"""Rationales with their verdicts: each rationale is judged once for given settings, and its verdict stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import rationale_text, without_thinking
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict, judge
from tinyllm_cli.rationales.pairing import rationales_by_question
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store
from tinyllm_cli.store.verdicts import StoredVerdict

_CHUNK = 500
"""Rationales whose verdicts are committed together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRationale:
    """A rationale, its question and the verdict of the gates on it."""

    question: Question
    rationale: Rationale
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether a student may learn from it."""
        return self.verdict.verdict != "rejected"

    @property
    def text(self) -> str:
        """The repaired text."""
        return self.verdict.text


def judged(
    store: Store, questions: Iterable[Question], source: RationaleSet, settings: GateSettings | None
) -> Iterator[JudgedRationale]:
    """The rationales of a set for the first questions of a split, in their order, each with its verdict.

    Verdicts that the store lacks are computed and stored. Without gates (None) only an empty text is rejected."""
    pairs = (
        (question, rationale)
        for question, rationales in rationales_by_question(store, questions, source)
        for rationale in rationales
    )
    if settings is None:
        for question, rationale in pairs:
            yield JudgedRationale(question=question, rationale=rationale, verdict=_ungated(rationale))
        return
    store.verdicts.add_gates(settings.hash, asdict(settings))
    for chunk in batched(pairs, _CHUNK):
        known = store.verdicts.stored(settings.hash, [rationale.id for _, rationale in chunk])
        missing = {rationale.id: (question, rationale) for question, rationale in chunk if rationale.id not in known}
        computed = [
            encode(rationale, judge(without_thinking(rationale.text), question, settings))
            for question, rationale in missing.values()
        ]
        if computed:
            store.verdicts.add(settings.hash, computed)
        known |= {one.rationale: one for one in computed}
        for question, rationale in chunk:
            verdict = decode(rationale.text, known[rationale.id])
            yield JudgedRationale(question=question, rationale=rationale, verdict=verdict)


def encode(rationale: Rationale, verdict: Verdict) -> StoredVerdict:
    """A verdict as the store holds it."""
    return StoredVerdict(
        rationale=rationale.id,
        verdict=verdict.verdict,
        text=None if verdict.text == without_thinking(rationale.text).strip() else verdict.text,
        findings=[[one.gate, one.reason, one.repaired] for one in verdict.findings],
    )


def decode(raw: str, stored: StoredVerdict) -> Verdict:
    """The verdict that the store holds on the raw reply `raw`."""
    return Verdict(
        verdict=stored.verdict,  # type: ignore[arg-type]
        text=without_thinking(raw).strip() if stored.text is None else stored.text,
        findings=tuple(
            GateFinding(gate=gate, reason=reason, repaired=bool(repaired)) for gate, reason, repaired in stored.findings
        ),
    )


def _ungated(rationale: Rationale) -> Verdict:
    text = rationale_text(rationale.text)
    empty = () if text else (GateFinding(gate="empty", reason="has no text", repaired=False),)
    return Verdict(verdict="kept" if text else "rejected", text=text, findings=empty)
