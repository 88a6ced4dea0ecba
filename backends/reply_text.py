"""Which part of a reply is its text: without reasoning, without chat markup; and whether it refuses to answer.

Models write markup where a server has no parser for it, or the wrong chat template. Functions of text, without
dependencies: nothing here knows endpoints, questions or the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ALL_REASONING", "has_marker", "is_refusal", "opened_reasoning", "text_span", "visible_text"]


ALL_REASONING = "empty reply: all tokens went into the reasoning; raise --max-tokens"
"""Why a truncated reply without text failed."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of reasoning at the beginning of a reply. `unopened`: an end without a beginning counts, because the
    prompt of some models opens the block."""

    opens: str
    closes: str
    unopened: bool = True


_TAGS = (
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reason",
    "reflection",
    "analysis",
    "scratchpad",
    "inner_monologue",
    "seed:think",
    "think:opensource",
    "longcat_think",
)
_BLOCKS = (
    *(_Block(f"<{tag}>", f"</{tag}>") for tag in _TAGS),
    _Block("<start_working_out>", "<end_working_out>"),
    _Block("[THINK]", "[/THINK]"),
    _Block("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
    _Block("<|begin_of_thought|>", "<|end_of_thought|>"),
    _Block("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    _Block("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    _Block("<|think|>", "<|/think|>"),
    _Block("<|think_start|>", "<|think_end|>"),
    _Block("<|channel>thought", "<channel|>"),  # Gemma 4
    _Block("<unused94>", "<unused95>"),  # MedGemma
    _Block("Here is my thought process:", "Here is my response:", unopened=False),  # Granite
    _Block("Here's my thought process:", "Here's my response:", unopened=False),
)
_MOST_PARTS = 16
"""Headers and blocks before a text. Real replies have up to four; a flood of markers must not take minutes."""

_MARKERS = frozenset({"<|channel|>", *(block.opens for block in _BLOCKS), *(block.closes for block in _BLOCKS)})
_HARMONY_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_HARMONY_BARE = re.compile(r"(?:assistant)?(?:analysis|commentary)(?=[A-Z\"'(])")
"""gpt-oss where the server drops special tokens: `analysisWe need to ...assistantfinalRain falls.`"""

_BARE_FINAL = "assistantfinal"

_HEADER = re.compile(
    r"(?:(?:<s>|<bos>|<\|begin_of_text\|>|<\|startoftext\|>|<\uff5cbegin\u2581of\u2581sentence\uff5c>|\[gMASK\]|<sop>)\s*)*"
    r"(?:<\|im_start\|>\s*assistant\b(?:<\|im_sep\|>)?"
    r"|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>"
    r"|<\|header_start\|>\s*assistant\s*<\|header_end\|>"
    r"|<\|start_of_role\|>\s*assistant\s*<\|end_of_role\|>"
    r"|<\|im_assistant\|>\s*assistant\s*<\|im_middle\|>"
    r"|<\|start\|>\s*assistant\b"
    r"|<\|assistant\|>|<\uff5cAssistant\uff5c>|\[\|assistant\|\]|<\|assistant_start\|>"
    r"|<start_of_turn>\s*model\b|<\|turn>\s*model\b"
    r"|<\|START_OF_TURN_TOKEN\|>\s*<\|CHATBOT_TOKEN\|>"
    r"|\[/INST\]|<role>ASSISTANT</role>"
    r"|###\s*(?:Response|Assistant):"
    r"|(?:ASSISTANT|Assistant|AI):(?=\s)"
    r"|<\|START_RESPONSE\|>|<\|begin_of_solution\|>|<\|start_of_text\|>"
    r"|<(?:answer|response|output|solution|final|SOLUTION)>"
    r"|<s>|<bos>|<\|begin_of_text\|>|<\|startoftext\|>|<\uff5cbegin\u2581of\u2581sentence\uff5c>|\[gMASK\]|<sop>)\s*",
)
"""What may stand before the text: special tokens, the assistant's header, the tag of a wrapped answer."""

_END = re.compile(
    r"<\|[^\s|<>][^|<>\n]{0,38}\|?>"  # <|im_end|>, <|eot_id|>, <|END_OF_TURN_TOKEN|>, <|turn>
    r"|<[a-z]+\|>"  # <turn|>
    r"|<\uff5c[^\uff5c<>\n]{1,40}\uff5c>"  # DeepSeek
    r"|</?s>|<eos>|<bos>|<pad>|<EOT>|<eod>"
    r"|<(?:start|end)_of_(?:turn|text|image)>|<(?:end|start)_of_utterance>|<end_of_turn>"
    r"|\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[\|[a-z]+\|\]|\[EOS\]|<role>|<reserved_10[67]>"
    r"|\[e~\[|\]~b\]"  # MiniMax
    r"|</(?:answer|response|output|solution|final|SOLUTION)>"
    r"|^###?#?\s*(?:Instruction|Human|User|Input|System|Assistant|Response)s?:"
    r"|^(?:USER|User|HUMAN|Human|SYSTEM|Q):(?=\s)",
    re.MULTILINE,
)
"""Where a reply ends: markup of a chat, or the next turn."""


def text_span(raw: str) -> tuple[int, int]:
    """(begin, end) of the text in a raw reply: after reasoning and headers, before chat markup. Empty when the reply
    never leaves its reasoning."""
    begin = _after_reasoning(raw)
    found = _END.search(raw, begin)
    return begin, found.start() if found else len(raw)


def visible_text(raw: str) -> str:
    """The text of a raw reply, as `text_span` finds it, without outer white space."""
    begin, end = text_span(raw)
    return raw[begin:end].strip()


def opened_reasoning(prompt: str) -> str:
    """The marker with which a rendered prompt opens a block of reasoning at its end; empty when it opens none."""
    end = prompt.rstrip()
    return next((block.opens for block in _BLOCKS if end.endswith(block.opens)), "")


def has_marker(tokens: Iterable[str]) -> bool:
    """Whether one of a tokenizer's special tokens marks reasoning, so that a decoded text must keep them."""
    return not _MARKERS.isdisjoint(tokens)


def _after_reasoning(raw: str) -> int:
    """Where the text begins after any number of headers and blocks; the end when a block never ends."""
    begin = 0
    blocks = [block for block in _BLOCKS if block.opens in raw or block.closes in raw]  # nearly always none
    for _ in range(_MOST_PARTS):
        after = _after_harmony(raw, begin)
        if header := _HEADER.match(raw, _skip_space(raw, after)):
            after = header.end()
        for block in blocks:
            after = _after_block(raw, after, block)
        if after == begin:
            break
        begin = after
    return begin


def _after_harmony(raw: str, begin: int) -> int:
    channels = list(_HARMONY_CHANNEL.finditer(raw, begin))
    if channels:
        final = [channel.end() for channel in channels if channel[1] == "final"]
        return final[-1] if final else len(raw)
    if _HARMONY_BARE.match(raw, _skip_space(raw, begin)):
        place = raw.rfind(_BARE_FINAL, begin)
        return len(raw) if place < 0 else place + len(_BARE_FINAL)
    return begin


def _after_block(raw: str, begin: int, block: _Block) -> int:
    opened = raw.startswith(block.opens, _skip_space(raw, begin))
    first = raw.find(block.closes, begin)
    if first >= 0 and (opened or (block.unopened and raw.find(block.opens, begin, first) < 0)):
        return raw.rfind(block.closes, begin) + len(block.closes)
    return len(raw) if opened else begin


def _skip_space(raw: str, begin: int) -> int:
    return _SPACE.match(raw, begin).end()  # type: ignore[union-attr]  # it matches everywhere


_SPACE = re.compile(r"\s*")
_CANNOT = (
    r"(?:can'?t|can ?not|could ?n[o']t|won'?t|will not|am unable to|am not able to|'m unable to|'m not able to"
    r"|must decline|have to decline|must refuse|have to refuse|refuse to|decline to|do not feel comfortable"
    r"|don'?t feel comfortable|'m not comfortable|am not comfortable|am not allowed to|'m not allowed to"
    r"|am not programmed to|'m not programmed to|would rather not|'d rather not|prefer not to)"
)
_DO = (
    r"(?:\s+(?:really|in good conscience|directly|actually))?\s*(?:to\s+)?"
    r"(?:assist|help|answer|provide|offer|give|comply|fulfil|fulfill|discuss|engage|support|respond|continue|proceed"
    r"|do (?:that|this|so)|create|generate|produce|write|participate|complete|process|address|advise|share|talk about"
    r"|assisting|helping|answering|providing|discussing|engaging|responding|writing|generating|creating"
    r"|(?:this|the|your) (?:request|question)|satisfy|accommodate|facilitate|recommend"
    r"|make (?:a )?(?:medical|legal)|diagnose|handle|endorse|$|[.,;:!])"
)
_REFUSAL = re.compile(
    "|".join(
        (
            # I'm sorry, but I can't assist with that.  I apologize, but I am unable to provide ...
            r"^(?:oh,? )?(?:I(?:'m| am)? ?(?:so |very |truly |really |deeply )?(?:sorry|afraid|apologi[sz]e)"
            r"|(?:my )?(?:sincere )?apologies|sorry|unfortunately|regrettably|I regret)"
            rf"[^.!?]{{0,60}}?\b(?:I|we) ?{_CANNOT}{_DO}",
            # I cannot assist with this request.
            rf"^(?:no[,.] |well, |thank you[^.]{{0,40}}[,.] )?I ?{_CANNOT}{_DO}",
            # As an AI language model, I cannot ...
            r"^(?:as|being|because I'm|since I'm|I'm (?:just|only)?|I am (?:just|only)?) ?(?:an? )(?:responsible )?"
            r"(?:AI\b|artificial intelligence|large language model|language model|text-based|virtual assistant|chatbot)"
            r"[^.!?]{0,120}?\b(?:" + _CANNOT + r"|don'?t have|do not have|have no|must decline)",
            r"^(?:I(?:'m| am) sorry,? )?(?:but )?(?:it (?:is|would be|'s)|it's|that is|that's|this is)"
            r" (?:(?:not appropriate|inappropriate|unethical) (?:to|for me)\b"
            r"|against my (?:programming|guidelines|policies|principles)"
            r"|not something I can)",
            r"^(?:this|the|your) (?:request|question|prompt|content|message) (?:violates|goes against|may violate"
            r"|was flagged|has been flagged|is against|cannot be|can't be) ?(?:our|my|the|as|for|answered|fulfilled"
            r"|processed)?",
            r"^I(?:'m| am) (?:designed|programmed|trained|only able) (?:to|not)[^.!?]{0,80}?(?:safe|helpful|harmless"
            r"|cannot|can't|not )",
            # other languages
            r"^(?:lo siento|lamento)[^.!?]{0,40}\bno puedo",
            r"^(?:je suis d\u00e9sol\u00e9e?|d\u00e9sol\u00e9e?)[^.!?]{0,40}\bje ne (?:peux|suis) pas",
            r"^(?:es tut mir leid|tut mir leid|entschuldigung)[^.!?]{0,40}\bich (?:kann|darf)\b[^.!?]{0,60}\bnicht",
            r"^(?:desculpe|sinto muito|lamento)[^.!?]{0,40}\bn\u00e3o (?:posso|consigo)",
            r"^mi dispiace[^.!?]{0,40}\bnon posso",
            r"^(?:\u62b1\u6b49|\u5bf9\u4e0d\u8d77|\u5f88\u62b1\u6b49)[^\u3002]{0,12}(?:\u65e0\u6cd5|\u4e0d\u80fd)",
            r"^(?:\u7533\u3057\u8a33\u3042\u308a\u307e\u305b\u3093|\u3059\u307f\u307e\u305b\u3093)[^\u3002]{0,60}(?:\u3067\u304d\u307e\u305b\u3093|\u304b\u306d\u307e\u3059)",
            r"^(?:\u043a \u0441\u043e\u0436\u0430\u043b\u0435\u043d\u0438\u044e"
            r"|\u0438\u0437\u0432\u0438\u043d\u0438\u0442\u0435)"
            r"[^.!?]{0,30}\u043d\u0435 \u043c\u043e\u0433\u0443",
        )
    ),
    re.IGNORECASE,
)
_BEGINNING = 400
"""Characters in which a refusal shows itself."""

_OUTER = " \t\n\r\"'*_#>-\u201c\u201d"


def is_refusal(text: str) -> bool:
    """Whether a reply's text declines to answer, by how it begins. A text that apologizes and then answers is none."""
    begin = text[:_BEGINNING].lstrip(_OUTER).replace("\u2019", "'")
    return _REFUSAL.match(" ".join(begin.split())) is not None
