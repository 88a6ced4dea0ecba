"""Replies that refuse to answer instead of explaining."""

from __future__ import annotations

import re

from tinyllm_cli.rationales.gates.repairs import short
from tinyllm_cli.rationales.gates.text import sentences, words

_NOT_ABLE = r"(?:can(?:no|['’])t|cannot|can\s+not|won['’]t|will\s+not|am\s+not\s+able\s+to|(?:am|['’]m)\s+unable\s+to)"
_REFUSES = re.compile(
    rf"""\b(?:
      i(?:['’]m|\s+am)\s+(?:\w+\s+)?(?:sorry|afraid)\b[^.!?]*?\b(?:{_NOT_ABLE}|not\s+able|unable|must\s+decline)
    | i\s+(?:must\s+|have\s+to\s+)?apologi[sz]e\b[^.!?]*?\b(?:{_NOT_ABLE}|not\s+able|unable)
    | as\s+an?\s+(?:\w+\s+){{0,3}}?(?:ai|artificial\s+intelligence|language\s+model|chatbot|assistant)\b[^.!?]*?
        \b(?:{_NOT_ABLE}|do\s+not|don['’]t|unable|not\s+able)
    | (?:i(?:['’]m)?|we)\s+(?:(?:am|are|must)\s+)?
        (?:{_NOT_ABLE}|unable\s+to|not\s+able\s+to|decline\s+to|refuse\s+to)
        \s+(?:\w+\s+){{0,2}}?(?:assist|help|answer|provide|comply|fulfil+|discuss|engage|respond|offer|continue|complete)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_OFFERS = re.compile(
    r"\b(?:is\s+there\s+(?:anything|something)\s+else|(?:happy|glad|here)\s+to\s+help|please\s+(?:let\s+me\s+know|provide|"
    r"rephrase|consult|feel\s+free)|feel\s+free|how\s+(?:else\s+)?(?:can|may)\s+i|let\s+me\s+know|thank\s+you|my\s+apologies)\b",
    re.IGNORECASE,
)
_ENOUGH = 8
"""Words beside the refusal that may be an explanation."""


def refusal(text: str) -> str | None:
    """The text refuses, and what remains beside the refusal and its courtesies is too short to explain."""
    found = sentences(text)
    refusing = [one for one in found if _REFUSES.search(one.text)]
    if not refusing:
        return None
    rest = [one.text for one in found if one not in refusing and not _OFFERS.search(one.text)]
    return f"refuses: '{short(refusing[0].text)}'" if sum(len(words(one)) for one in rest) < _ENOUGH else None
