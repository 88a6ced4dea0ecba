"""Rationales with their verdicts: the gates judge each rationale once for given settings, and a human verdict, where
there is one, replaces theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import explanation, rationale_text, without_thinking
from tinyllm_cli.iteration import HERE, Workers, batched
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
    workers: Workers = HERE,
) -> Iterator[JudgedRationale]:
    """The rationales of a set for the first questions of a split, in their order, each with the verdict that counts: a
    person's before the gates', also where there are no gates. With `explanations`, the verdict is on the reply without
    what only states its answer."""
    found = gated(store, questions, source, settings, explanations=explanations, workers=workers)
    for chunk in batched(found, _CHUNK):
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
    workers: Workers = HERE,
) -> Iterator[JudgedRationale]:
    """As `judged`, with the verdicts of the gates alone.

    Verdicts that the store lacks are computed by `workers` and stored. Without gates (None) only an empty text is
    rejected."""
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
    begun: deque[_Chunk] = deque()
    for chunk in batched(pairs, _CHUNK):
        read = [_read(rationale, question, explanations) for question, rationale in chunk]
        known = store.verdicts.stored(gates, [one.id for one in read])
        missing = [(one, question) for one, (question, _) in zip(read, chunk, strict=True) if one.id not in known]
        computed = workers.start(_compute, missing, settings) if missing else list
        begun.append(_Chunk(pairs=chunk, read=read, known=known, computed=computed))
        if len(begun) > workers.ahead:
            yield from _decided_by_gates(store, gates, begun.popleft())
    while begun:
        yield from _decided_by_gates(store, gates, begun.popleft())


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Rationales with their questions, as the store has them and as the gates read them; the stored verdicts by
    rationale, and what waits for the other ones."""

    pairs: Sequence[tuple[Question, Rationale]]
    read: Sequence[Rationale]
    known: dict[int, StoredVerdict]
    computed: Callable[[], list[StoredVerdict]]


def _compute(missing: Sequence[tuple[Rationale, Question]], settings: GateSettings) -> list[StoredVerdict]:
    return [encode(one, judge(without_thinking(one.text), question, settings)) for one, question in missing]


def _decided_by_gates(store: Store, gates: str, chunk: _Chunk) -> Iterator[JudgedRationale]:
    computed = chunk.computed()
    if computed:
        store.verdicts.add(gates, computed)
    known = chunk.known | {one.rationale: one for one in computed}
    for (question, rationale), read in zip(chunk.pairs, chunk.read, strict=True):
        yield JudgedRationale(question=question, rationale=rationale, verdict=decode(read.text, known[rationale.id]))


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
