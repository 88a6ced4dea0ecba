"""How alike two texts are."""

from __future__ import annotations


def overlap(one: str, other: str) -> float:
    """How alike the words of two texts are, 0 to 1 (rapidfuzz's token set ratio): 1 where all words of one are in the
    other. Words count by their letters, so that unrelated texts of one language reach a third or so: compare with what
    unrelated texts give."""
    from rapidfuzz.fuzz import token_set_ratio
    from rapidfuzz.utils import default_process

    return token_set_ratio(one, other, processor=default_process) / 100
