"""The terms of a report: their definitions, which are those of docs/glossary.md, and links to them within the page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

TERMS = {
    "Rationale": "A teacher's explanation of an answer: one stored reply to one prompt.",
    "Gate": "A check of one rationale, such as cut-off or wrong-answer.",
    "Verdict": "The result of all gates for one rationale: kept, repaired or rejected, with the findings and the"
    " remaining text.",
    "Usefulness": "The gain in log-probability of the gold option, for a small model that reads the rationale beside"
    " the question.",
    "Leakage": "The part of a rationale's effect that comes from naming the answer instead of from reasoning.",
    "Krippendorff's alpha": "A measure of agreement between several raters: 1 is complete agreement, 0 is agreement by"
    " chance.",
    "Alpha": "The weight of a teacher's rationales in the objective.",
    "Fine-tuning": "Training on the gold answers only.",
    "Distill-step-by-step": "Training on the gold answers and the rationales of one teacher.",
    "LoRA": "Low-rank adaptation: training small additional matrices (adapters) instead of the weights (--lora-rank).",
    "Checkpoint": "The student after some step of a training.",
    "Scoring": "How an answer is chosen.",
    "Chance": "The accuracy of a random guess: the mean of 1 / number of options.",
    "Majority class": "The accuracy of always choosing the option position that is right most often.",
    "Unparseable": "A generated text that matches no option.",
    "Wilson interval": "A 95 % confidence interval for an accuracy.",
    "Arm": "All runs that differ only in the seed, as one side of a comparison.",
    "Paired test": "A test that compares two arms on the same questions: the exact McNemar test for one seed, a"
    " permutation test for several seeds.",
    "Holm correction": "An adjustment of p-values for the number of comparisons.",
    "Minimum detectable difference": "The smallest true difference in accuracy that a paired test on these questions"
    " finds with a power of 80 %.",
}
"""Term -> the first sentence of its entry in the glossary."""

_FORMS = {
    "Holm correction": r"Holm(?:'s correction)?",
    "Krippendorff's alpha": r"Krippendorff's",
    "Paired test": r"paired tests?|McNemar's test|sign-flip test",
    "Scoring": r"scored by",
    "Fine-tuning": r"full fine-tuning",
}
"""How texts name a term, where it is not the term itself, with or without an s."""

_BY_GROUP = {f"t{number}": term for number, term in enumerate(TERMS)}
_TERM = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(
        f"(?P<{group}>{_FORMS.get(term, re.escape(term) + 's?')})"
        for group, term in sorted(_BY_GROUP.items(), key=lambda pair: -len(pair[1]))
    )
    + r")(?![\w-])",
    re.IGNORECASE,
)


def anchor(term: str) -> str:
    """The fragment of a term in the page."""
    return "term-" + re.sub(r"[^a-z]+", "-", term.lower()).strip("-")


def with_terms(text: str) -> Markup:
    """A text in which the first mention of each term links to its definition, which is its hint as well."""
    parts, end, linked = [], 0, set()
    for found in _TERM.finditer(text):
        term = _BY_GROUP[str(found.lastgroup)]
        if term in linked:
            continue
        linked.add(term)
        link = Markup('<a class="term" href="#{}" title="{}">{}</a>').format(anchor(term), TERMS[term], found[0])
        parts += [escape(text[end : found.start()]), link]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
