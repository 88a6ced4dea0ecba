"""What each gate finds, in a sentence, for people who read its findings."""

from __future__ import annotations

from collections.abc import Mapping

from tinyllm_cli.rationales.gates.settings import HUMAN

MEANINGS: Mapping[str, str] = {
    "empty": "The text has no words, or nothing is left of it after the repairs.",
    "boilerplate": "An opening without content is cut, such as: Let's think step by step.",
    "run-on": "The teacher continues into another question, options or comments; the text is cut there.",
    "refusal": "The teacher declines to answer, without an explanation.",
    "echo": "The text has no meaningful word that is not in the question or its options.",
    "off-topic": "The text shares no word with the question, its options and its context.",
    "repetition": "A sentence or phrase is repeated; the first one stays.",
    "cut-off": "The text stops in mid-sentence; it is trimmed to its last complete sentence.",
    "wrong-answer": "The text names another option than the right one as the answer, or denies the right one.",
    "letter-only": "The text is the answer without a reason.",
    "wrong-language": "The text is in another language or script than its question.",
    "too-short": "Too few words are left.",
    "too-long": "The text is longer than the student's limit; it is trimmed to the complete sentences that fit.",
    HUMAN: "A person decided; this counts before the gates.",
}
"""Gate -> meaning; docs/rationales.md has the rules."""
