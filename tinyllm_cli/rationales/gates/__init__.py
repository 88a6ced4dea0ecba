"""Gates: is a rationale fit to learn from, and what can be repaired? Pure functions of a text and its question.

Repairs come first, each on the text that the one before left; then objections to what is left. A gate has a name, and
gives a reason in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import objections, repairs
from tinyllm_cli.rationales.gates.language import wrong_language
from tinyllm_cli.rationales.gates.refusal import refusal
from tinyllm_cli.rationales.gates.repetition import without_repetition
from tinyllm_cli.rationales.gates.settings import GATES, GateSettings, gate_settings
from tinyllm_cli.rationales.gates.text import sentences, words
from tinyllm_cli.rationales.gates.topic import echo, off_topic

__all__ = ["GATES", "GateFinding", "GateSettings", "Verdict", "gate_settings", "judge"]

_CHARACTERS_PER_TOKEN = 3.2
"""Of English text, for the vocabularies of T5 and SmolLM2, rounded down. They have few other characters: a letter with
an accent, one of another script and an emoji take a token or more."""

_PLACEHOLDERS = frozenset({"nan", "none", "null", "n/a", "na"})
"""How tables mark a missing value."""

_ROUNDS = 4
"""One repair may make another one possible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFinding:
    """What a gate found, and whether it was repaired."""

    gate: str
    reason: str
    repaired: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`text` is what the repairs left, also of a rejected rationale."""

    verdict: Literal["kept", "repaired", "rejected"]
    text: str
    findings: tuple[GateFinding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Repaired:
    """A text after the repairs. `claims` is the text in which claims about the answer are looked for: before a
    repetition was removed, since the repeated sentence may be the claim, and before a repair that left nothing."""

    text: str
    claims: str
    findings: tuple[GateFinding, ...]


def judge(text: str, question: Question, settings: GateSettings) -> Verdict:
    """Judge a rationale as the teacher wrote it. For the gate too-long, the student's tokens are estimated."""
    whole = text.strip()
    missing = whole.strip("\"'.()[]<>").lower() in _PLACEHOLDERS and settings.is_on("empty")
    if missing or not words(whole):
        return _verdict("", [GateFinding(gate="empty", reason="has no text", repaired=False)], settings)
    repaired = _repair(whole, settings)
    found = list(repaired.findings)
    found += [
        GateFinding(gate=gate, reason=reason, repaired=False)
        for gate, reason in _objections(whole, repaired, question, settings)
        if reason is not None
    ]
    return _verdict(repaired.text, found, settings)


def _repair(whole: str, settings: GateSettings) -> _Repaired:
    rest, claims = whole, ""
    found: list[GateFinding] = []
    style = repairs.ends_sentences(rest)
    stops = repairs.up_to_whole_sentence(rest, style)
    if stops is not None:  # reported even if another repair removes the end
        found.append(GateFinding(gate="cut-off", reason=stops[1], repaired=settings.cut_off == "trim"))
    steps = [one for one in _steps(settings, style) if settings.is_on(one[0])]
    unchanged: dict[int, str] = {}  # by step, the text that it has seen and left as it was
    for _ in range(_ROUNDS):
        before = rest
        for number, (gate, repair) in enumerate(steps):
            result = repair(rest) if unchanged.get(number) != rest else None
            if result is None:
                unchanged[number] = rest
                continue
            left = result[0].strip()
            if not claims and (gate == "repetition" or not words(left)):
                claims = rest
            rest = left
            if gate == "cut-off" and repair is not repairs.without_marker and stops is None:
                continue  # another repair cut the sentence; the teacher ended it
            trims = gate != "cut-off" or settings.cut_off == "trim"
            found.append(GateFinding(gate=gate, reason=result[1], repaired=trims))
        if rest == before:
            break
    if claims and words(rest) and (complete := repairs.up_to_whole_sentence(claims, style)):
        claims = complete[0]
    return _Repaired(text=rest, claims=claims or rest, findings=tuple(found))


def _steps(settings: GateSettings, style: bool) -> list[tuple[str, Callable[[str], repairs.Repair | None]]]:
    steps: list[tuple[str, Callable[[str], repairs.Repair | None]]] = [
        ("boilerplate", repairs.without_opening),
        ("run-on", repairs.before_next_question),
        ("cut-off", repairs.without_marker),
        ("repetition", without_repetition),
        ("cut-off", lambda text: repairs.up_to_whole_sentence(text, style)),
    ]
    limit = settings.max_tokens
    if limit is not None:
        steps.append(("too-long", lambda text: repairs.that_fits(text, limit, _estimated)))
    return steps


def _objections(
    whole: str, repaired: _Repaired, question: Question, settings: GateSettings
) -> list[tuple[str, str | None]]:
    """Each defect has one objection: a text in another language is not called an echo, and an echo is not off-topic."""
    text = repaired.text
    foreign = wrong_language(text, question)
    refused = refusal(text)
    repeated = echo(text, question, settings.new_words) if foreign is None else None
    judged = settings.off_topic == "reject" and foreign is None and refused is None and repeated is None
    return [
        ("refusal", refused),
        ("echo", repeated),
        ("off-topic", off_topic(text, question) if judged else None),
        ("wrong-answer", objections.wrong_answer(repaired.claims, question)),
        ("letter-only", _letter_only(text if words(text) else repaired.claims, question, is_echo=repeated is not None)),
        ("wrong-language", foreign),
        ("too-short", _too_short(whole, text, settings.min_words)),
    ]


def _letter_only(text: str, question: Question, *, is_echo: bool) -> str | None:
    """An echo is called a bare answer as well if it is nothing but a sentence that states the answer."""
    if is_echo and (len(sentences(text)) > 1 or objections.claim(text, question) is None):
        return None
    return objections.letter_only(text, question)


def _too_short(whole: str, text: str, fewest: int) -> str | None:
    """Counts the words that the repairs left, and says how many there were."""
    count, before = len(words(text)), len(words(whole))
    if count >= fewest:
        return None
    return f"has {count} words" if count == before else f"keeps {count} of its {before} words"


def _verdict(text: str, found: list[GateFinding], settings: GateSettings) -> Verdict:
    by_gate = {one.gate: one for one in reversed(found) if settings.is_on(one.gate)}
    if not words(text) and all(one.repaired for one in by_gate.values()):  # an empty text is never learned
        reason = "has nothing left after the repairs" if found else "has no text"
        by_gate["empty"] = GateFinding(gate="empty", reason=reason, repaired=False)
    ordered = tuple(sorted(by_gate.values(), key=lambda finding: GATES.index(finding.gate)))
    if any(not finding.repaired for finding in ordered):
        return Verdict(verdict="rejected", text=text, findings=ordered)
    return Verdict(verdict="repaired" if ordered else "kept", text=text, findings=ordered)


def _estimated(text: str) -> int:
    """Tokens of a text, without a tokenizer."""
    plain = len(text) if text.isascii() else sum(map(str.isascii, text))
    return round(plain / _CHARACTERS_PER_TOKEN) + len(text) - plain
