"""Similarity of two texts."""

from __future__ import annotations


def overlap(one: str, other: str) -> float:
    """Similarity of the words of two texts, 0 to 1 (rapidfuzz's token set ratio): 1 if all words of one are in the
    other. Words are compared by letters, so unrelated texts of one language have about a third: compare with the value
    for unrelated texts."""
    from rapidfuzz.fuzz import token_set_ratio
    from rapidfuzz.utils import default_process

    return token_set_ratio(one, other, processor=default_process) / 100
