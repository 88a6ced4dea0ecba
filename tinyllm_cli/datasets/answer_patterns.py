"""The regular expressions of `matching`: what comes before, around and behind the answer in a reply.

Another way of stating an answer is another alternative here.
"""

from __future__ import annotations

import re

# Quantifiers are possessive (*+) where the next part of a pattern could match the same characters: otherwise a text of
# a thousand asterisks is tried in billions of ways.

OPEN = r"[\s\"'“”‘’*_`$\[{]*+(?:\\(?:boxed|text|textbf|mathrm|mathbf)\s*+\{\s*+)*+[\"'“‘*_`]*+"
"""Quotes, Markdown and LaTeX in front of an answer."""

CLOSE = r"[\"'“”‘’*_`$\]}]*"
ADVERB = (
    r"(?:therefore|thus|hence|then|clearly|obviously|simply|just|indeed|certainly|surely|actually|really|definitely"
    r"|(?:most\s+)?likely|(?:most\s+)?probably|in\s+fact|,)"
)
IS = r"(?:is|must\s+be|should\s+be|would\s+be|will\s+be|has\s+to\s+be|can\s+only\s+be)"

SIGN = re.compile(
    # "the correct answer (to this question) is therefore", "Final answer:", "Answer choice ="
    r"\b(?:answer|option|choice|solution)(?:\s+choice)?[*_`\"']*"
    r"(?:\s+(?:(?:to|for|of|in|here)\b[^.:;\n?!()]{0,60}?|left|remaining|that\s+(?:remains|is\s+left)))?"
    rf"\s*(?:{ADVERB}\s*)*(?:\b{IS}\b|:|=|→|->|\s[-–—]\s)[*_]*"
    r"|\bans(?:\.\s*:?|\s*[:=]|\s+is\b)"
    r"|<answer>"
    r"|^[ \t]*+####"
    r"|(?=\\boxed\s*\{)"
    r"|\b(?:I|we|you)\s+(?:would\s+|will\s+|should\s+|must\s+)?(?:choose|select|pick|go\s+with)\b:?",
    re.IGNORECASE | re.MULTILINE,
)
"""What comes before an answer."""

BETWEEN = re.compile(rf"(?:\s*{ADVERB})*\s*:?", re.IGNORECASE)

NO_CLAIM = re.compile(
    r"(?:\b(?:one|another|other|second|third|fourth|next|each|every|any|wrong|incorrect|worst|bad|possible|tempting"
    r"|common|no|not|non)[ \t]+|\b(?:if|whether|unless|suppose|supposing|assume|assuming|imagine"
    r"|(?:may|might|could|would)[ \t]+(?:think|say|guess))[ \t]+(?:that[ \t]+)?(?:(?:the|your)[ \t]+)?(?:\w+[ \t]+)?)$",
    re.IGNORECASE,
)
"""In front of a sign: what follows is no claim of the writer."""

UNSURE = re.compile(
    r"[\s*_\"':]*+(?:not|n['’]t|neither|nor|either|both|never|unlikely|incorrect|wrong|one\s+of|any\s+of|between)\b",
    re.IGNORECASE,
)
"""Behind a sign: what follows is denied, or several options."""

DENIED = re.compile(
    r"[\s,:*_–—-]*+(?:(?:which|that|it|this|answer|option|choice)\s+)?"
    r"(?:(?:is|was|are|would\s+be|must\s+be|seems|may\s+be|can\s+be|could\s+be|has\s+been)\s+(?:\w+ly\s+|also\s+)?"
    r"(?:not\b(?!\s+(?:only|just)\b)|never\b|incorrect|invalid|wrong|false|untrue|impossible|unlikely|ruled\s+out"
    r"|eliminated|excluded)"
    r"|(?:is|was|does|do|ca|could|would|wo|are)n['’]t\b|(?:can|does|do|will|could|would)\s*not\b"
    r"|(?:wrong|incorrect|false)\b)",
    re.IGNORECASE,
)
"""Behind an option: it is not the answer."""

ALSO = re.compile(
    r"\s*+,?\s*(?:(?:and/or|or|and|nor|versus|vs)\b\.?|[/&+])\s*[\"'(\[*]*(?:option\s+|choice\s+)?|\s*,\s*\((?=[a-z]\))",
    re.IGNORECASE,
)
"""Between two options that are named together: `(a) or (b)`."""

ENDED = re.compile(
    r"\s*(?:$|\n|[.,;:!?)\]}\"'”’*_`$(–—]|-\s|->|</"
    r"|(?:because|since|as|for|which|due|so|given|but|not|is|was|can|does|isn['’]t)\b)",
    re.IGNORECASE,
)
"""Behind an option: its text is at an end."""

LETTER = re.compile(
    OPEN + r"(?:(?:option|choice|answer|letter)\s+)?" + OPEN
    + r"(?:(?P<round>\(\s*[\"'*_`]*)(?P<in>[a-z])[\"'*_`]*\s*\)|(?P<bare>[a-z])(?!\w|['’-]\w)(?P<bracket>\))?)"
    + rf"(?P<close>{CLOSE})(?P<mark>[.:,;]?){CLOSE}",
    re.IGNORECASE,
)  # fmt: skip
RIGHT = re.compile(
    r"(?:\(([a-z])\)|\b(?:option|choice|answer|letter)\s+[\"'*(]*([a-z])\b[\"'*)]*+"
    r"|(?:^|(?<=[.!?:]\s))[*_\"']*([b-hj-z])[*_\"').]*+)\s*+[*_]*+"
    rf"\b{IS}\s+(?:\w+ly\s+|therefore\s+|thus\s+)?(?:the\s+)?(?:only\s+|most\s+|single\s+)?"
    r"(?:correct|right|best|answer)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""`(b) is the correct answer`, `Option B is right`."""

THEREFORE = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently)\b,?\s*+(?:it\s+is|it['’]s|it\s+must\s+be)?\s*[*_]*\(([a-z])\)[*_]*[.\s]*$",
    re.IGNORECASE,
)
"""`Therefore, (b).` at the end."""

LISTED = re.compile(OPEN + r"\(?[a-z][).:](?:\s[^\n]*)?", re.IGNORECASE)
"""A line of a list of options."""
