"""Is a rationale fit to teach from, and what can be mended? Pure functions of a text and its question.

Repairs come first, each on what the one before left; then objections to what is left. A gate has a name, and gives a
reason in words. The store, the student and the command line are other modules' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import objections, repairs
from tinyllm_cli.rationales.gates.language import wrong_language
from tinyllm_cli.rationales.gates.repetition import without_repetition
from tinyllm_cli.rationales.gates.settings import GATES, GateSettings, gate_settings
from tinyllm_cli.rationales.gates.text import words

__all__ = ["GATES", "GateFinding", "GateSettings", "Verdict", "gate_settings", "judge"]

_CHARACTERS_PER_TOKEN = 3.2
"""Of English text, for the vocabularies of T5 and of SmolLM2, on the short side. They have few others: a letter with an
accent, of another script or an emoji takes a token or more."""

_PLACEHOLDERS = frozenset({"nan", "none", "null", "n/a", "na"})
"""What tables say instead of nothing."""

_ROUNDS = 4
"""One repair may lay open the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFinding:
    """What a gate found, and whether it could be mended."""

    gate: str
    reason: str
    repaired: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`text` is what is left to teach from, also of a rejected rationale."""

    verdict: Literal["kept", "repaired", "rejected"]
    text: str
    findings: tuple[GateFinding, ...] = ()


def judge(text: str, question: Question, settings: GateSettings) -> Verdict:
    """Judge a rationale as the teacher wrote it. For the gate too-long the student's tokens are estimated."""
    rest = text.strip()
    nothing = rest.strip("\"'.()[]<>").lower() in _PLACEHOLDERS and settings.stands("empty")
    if nothing or not words(rest):
        return _verdict("", [GateFinding(gate="empty", reason="has no text", repaired=False)], settings)
    found: list[GateFinding] = []
    style = repairs.ends_sentences(rest)
    stops = repairs.up_to_whole_sentence(rest, style)
    if stops is not None:  # said also where the end is part of what another repair cuts away
        found.append(GateFinding(gate="cut-off", reason=stops[1], repaired=settings.cut_off == "trim"))
    steps = [one for one in _repairs(settings, style) if settings.stands(one[0])]
    fine: dict[int, str] = {}  # what a step has seen and let be
    claims = ""  # the text in which something was said twice, which may be what it claims
    for _ in range(_ROUNDS):
        before = rest
        for number, (gate, repair) in enumerate(steps):
            mended = repair(rest) if fine.get(number) != rest else None
            if mended is None:
                fine[number] = rest
            else:
                if gate == "repetition":
                    claims = claims or rest
                trims = gate != "cut-off" or settings.cut_off == "trim"
                found.append(GateFinding(gate=gate, reason=mended[1], repaired=trims))
                rest = mended[0].strip()
        if rest == before:
            break
    if claims and (whole := repairs.up_to_whole_sentence(claims, style)):
        claims = whole[0]
    found += [
        GateFinding(gate=gate, reason=reason, repaired=False)
        for gate, reason in _objections(rest, claims or rest, question, settings)
        if reason is not None
    ]
    return _verdict(rest, found, settings)


def _repairs(settings: GateSettings, style: bool) -> list[tuple[str, Callable[[str], repairs.Repair | None]]]:
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


def _objections(text: str, claims: str, question: Question, settings: GateSettings) -> list[tuple[str, str | None]]:
    """To what is left; what the answer is may be said in `claims`, the text before a repetition was taken out.

    What is in another language isn't called an echo as well, nor an echo a bare answer."""
    count = len(words(text))
    short = f"has {count} words" if count < settings.min_words else None
    foreign = wrong_language(text, question)
    echo = objections.echo(text, question, settings.new_words) if foreign is None else None
    return [
        ("echo", echo),
        ("wrong-answer", objections.wrong_answer(claims, question)),
        ("letter-only", objections.letter_only(text, question) if echo is None else None),
        ("wrong-language", foreign),
        ("too-short", short),
    ]


def _verdict(text: str, found: list[GateFinding], settings: GateSettings) -> Verdict:
    standing = {one.gate: one for one in reversed(found) if settings.stands(one.gate)}
    if not words(text) and all(one.repaired for one in standing.values()):  # nothing is never learnt, whatever is off
        standing["empty"] = GateFinding(
            gate="empty", reason="has nothing left" if found else "has no text", repaired=False
        )
    ordered = tuple(sorted(standing.values(), key=lambda finding: GATES.index(finding.gate)))
    if any(not finding.repaired for finding in ordered):
        return Verdict(verdict="rejected", text=text, findings=ordered)
    return Verdict(verdict="repaired" if ordered else "kept", text=text, findings=ordered)


def _estimated(text: str) -> int:
    plain = len(text) if text.isascii() else sum(map(str.isascii, text))
    return round(plain / _CHARACTERS_PER_TOKEN) + len(text) - plain
