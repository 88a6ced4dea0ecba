"""The best texts of a question, of all its teachers' texts. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tinyllm_cli.rationales.similarity import overlap
from tinyllm_cli.records.settings import TextChoice


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A text for a question. `score` is its learnability or usefulness, the higher the better; None where the choice
    reads none."""

    question: str
    teacher: str
    sample: int
    text: str
    score: float | None = None


def best_texts(candidates: Sequence[Candidate], count: int, choice: TextChoice, seed: int) -> list[int]:
    """The positions of the `count` best candidates of one question, best first; fewer if there are fewer texts.

    By learnability and usefulness the highest score is the best; by agreement the text with the highest mean similarity
    to the other texts; at random, the order is drawn with `seed`. Ties are broken by a fixed draw, which depends on the
    question, the teacher and the sample alone. Of identical texts the first one counts, so the result has `count`
    different texts. The order of the candidates has no effect."""
    salt = f"{seed}" if choice == "random" else ""
    draws = [_draw(one, salt) for one in candidates]
    values = _values(candidates, choice)
    order = sorted(range(len(candidates)), key=lambda index: (-values[index], draws[index]))
    chosen: dict[str, int] = {}
    for index in order:
        if len(chosen) == count:
            break
        chosen.setdefault(candidates[index].text, index)
    return list(chosen.values())


def _values(candidates: Sequence[Candidate], choice: TextChoice) -> Sequence[float]:
    if choice == "random":
        return [0.0] * len(candidates)
    if choice == "agreement":
        return _agreement([one.text for one in candidates])
    scores = [one.score for one in candidates if one.score is not None]
    if len(scores) < len(candidates):
        raise ValueError("a candidate has no score")
    return scores


def _agreement(texts: Sequence[str]) -> list[float]:
    """The mean similarity of each text to the others; 0 for one alone."""
    similar: Mapping[tuple[int, int], float] = {
        (a, b): overlap(texts[a], texts[b]) for b in range(len(texts)) for a in range(b)
    }
    return [
        round(fmean(similar[min(a, b), max(a, b)] for b in range(len(texts)) if b != a), 9) if len(texts) > 1 else 0.0
        for a in range(len(texts))
    ]


def _draw(one: Candidate, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{one.question}\0{one.teacher}\0{one.sample}".encode()).digest()
