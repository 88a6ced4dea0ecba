"""How a reply ended, by the finish reason that the endpoint states: one closed list.

Sources: the API references of OpenAI, Azure, OpenRouter, DeepSeek, Mistral, Gemini (native and compatible), Anthropic,
Amazon Bedrock, Cohere, Groq, Together, Fireworks, xAI, Ollama, llama.cpp, LM Studio, vLLM, SGLang and TGI.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Ending", "ending_of"]

Ending = Literal["complete", "truncated", "filtered", "tool call", "failed"]
_LISTED: dict[Ending, str] = {
    "complete": """
        stop  stopsequence  stoptoken  stopstring  stopstringfound  eos  eostoken  eosfound  eot  endturn  endofturn
        endoftext  complete  completed  finished  done  matchedstop  matchedeos  normal
    """,
    "truncated": """
        length  maxtokens  maxoutputtokens  maxlength  maxlen  maxnewtokens  maxcontext  modellength  tokenlimit
        modelcontextwindowexceeded  contextlength  contextlengthreached  contextlengthexceeded
        maxpredictedtokensreached  limit  incomplete  notfinished
    """,
    "filtered": """
        contentfilter  contentfiltered  filtered  safety  refusal  recitation  blocklist  prohibitedcontent  spii
        errortoxic  guardrailintervened  guardrail  sensitive  moderation  moderated  flagged  imagesafety  language
        modelarmor
    """,
    "tool call": """
        toolcalls  toolcall  tooluse  functioncall  functioncalls  unexpectedtoolcall  malformedfunctioncall
        toomanytoolcalls  pauseturn  malformedtooluse
    """,
}
_ENDINGS: dict[str, Ending] = {word: ending for ending, words in _LISTED.items() for word in words.split()}
_NOISE = re.compile(r"[^a-z]+")
_PREFIX = re.compile(r"^(?:finishreason|reason)")
"""Enumerations of some servers: `FinishReason.STOP`, `FINISH_REASON_MAX_TOKENS`, `REASON_STOP`."""


def ending_of(finish_reason: object) -> Ending:
    """The ending that a stated finish reason means. None or an empty text, which some servers send with every
    reply, is "complete"; a value that is not in the list is "failed"."""
    if finish_reason is None or finish_reason == "":
        return "complete"
    if not isinstance(finish_reason, str):
        return "failed"
    stated = finish_reason.lower().partition(":")[0]  # "content_filter: RECITATION"
    word = _PREFIX.sub("", _NOISE.sub("", stated))
    return _ENDINGS.get(word, "failed")
