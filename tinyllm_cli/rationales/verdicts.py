"""Rationales with their verdicts: the gates judge each rationale once for given settings, and a human verdict, where
there is one, replaces theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import explanation, rationale_text, without_thinking
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict, judge
from tinyllm_cli.rationales.gates.settings import HUMAN
from tinyllm_cli.rationales.pairing import rationales_by_question
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import Store
from tinyllm_cli.store.verdicts import StoredVerdict

_CHUNK = 500
"""Rationales whose verdicts are committed together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRationale:
    """A rationale, its question and the verdict on it: that of a person, `human`, or else of the gates. `fallback`: its
    teacher saw the gold answer, and has no correct rationale of this question."""

    question: Question
    rationale: Rationale
    verdict: Verdict
    fallback: bool = False
    human: HumanVerdict | None = None

    @property
    def passed(self) -> bool:
        """Whether a student may learn from it."""
        return self.verdict.verdict != "rejected"

    @property
    def text(self) -> str:
        """What a student learns: the repaired text, or the one that a person accepted or wrote."""
        return self.verdict.text


def judged(
    store: Store,
    questions: Iterable[Question],
    source: RationaleSet,
    settings: GateSettings | None,
    *,
    explanations: bool = False,
) -> Iterator[JudgedRationale]:
    """The rationales of a set for the first questions of a split, in their order, each with the verdict that counts: a
    person's before the gates', also where there are no gates. With `explanations`, the verdict is on the reply without
    what only states its answer."""
    for chunk in batched(gated(store, questions, source, settings, explanations=explanations), _CHUNK):
        human = store.human_verdicts.latest([one.rationale.id for one in chunk])
        for one in chunk:
            own = human.get(one.rationale.id)
            if own is not None and explanations and own.verdict == "accept" and own.text is not None:
                own = replace(own, text=explanation(own.text, one.question.options))
            yield one if own is None else replace(one, verdict=decided(own, one.rationale.text, one.verdict), human=own)


def decided(human: HumanVerdict, raw: str, gates: Verdict) -> Verdict:
    """A person's verdict on the raw reply `raw`, with one finding that names the person, instead of the gates'."""
    if human.text is None:
        reason = f"{human.reviewer}: {human.reason}"
        return Verdict(
            verdict="rejected", text=gates.text, findings=(GateFinding(gate=HUMAN, reason=reason, repaired=False),)
        )
    reason = f"{'accepted' if human.verdict == 'accept' else 'edited'} by {human.reviewer}"
    whole = human.text == without_thinking(raw).strip()
    return Verdict(
        verdict="kept" if whole else "repaired", text=human.text,
        findings=(GateFinding(gate=HUMAN, reason=reason, repaired=True),),
    )  # fmt: skip


def gated(
    store: Store,
    questions: Iterable[Question],
    source: RationaleSet,
    settings: GateSettings | None,
    *,
    explanations: bool = False,
) -> Iterator[JudgedRationale]:
    """As `judged`, with the verdicts of the gates alone.

    Verdicts that the store lacks are computed and stored. Without gates (None) only an empty text is rejected."""
    pairs = (
        (question, rationale)
        for question, rationales in rationales_by_question(store, questions, source)
        for rationale in rationales
    )
    if settings is None:
        for question, rationale in pairs:
            verdict = _ungated(_read(rationale, question, explanations))
            yield JudgedRationale(question=question, rationale=rationale, verdict=verdict)
        return
    gates = settings.explanation_hash if explanations else settings.hash
    store.verdicts.add_gates(gates, asdict(settings) | ({"explanations": True} if explanations else {}))
    for chunk in batched(pairs, _CHUNK):
        known = store.verdicts.stored(gates, [rationale.id for _, rationale in chunk])
        read = {rationale.id: _read(rationale, question, explanations) for question, rationale in chunk}
        missing = {rationale.id: question for question, rationale in chunk if rationale.id not in known}
        computed = [
            encode(read[id], judge(without_thinking(read[id].text), question, settings))
            for id, question in missing.items()
        ]
        if computed:
            store.verdicts.add(gates, computed)
        known |= {one.rationale: one for one in computed}
        for question, rationale in chunk:
            verdict = decode(read[rationale.id].text, known[rationale.id])
            yield JudgedRationale(question=question, rationale=rationale, verdict=verdict)


def _read(rationale: Rationale, question: Question, explanations: bool) -> Rationale:
    """The rationale with the text that is judged."""
    return replace(rationale, text=explanation(rationale.text, question.options)) if explanations else rationale


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
