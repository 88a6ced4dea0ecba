"""The rationale sets of each split, counted once for all that read them: in a large store counting takes seconds."""

from __future__ import annotations

from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store


class KnownSets:
    """Counts at the first request, which what is stored later does not change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._found: dict[tuple[str, str], list[RationaleSet]] = {}

    def of(self, dataset: str, split: str) -> list[RationaleSet]:
        """Every set of a split, the newest first."""
        if (dataset, split) not in self._found:
            self._found[dataset, split] = self.store.rationales.variants(dataset, split)
        return self._found[dataset, split]

    def chosen(self, dataset: str, split: str) -> list[RationaleSet]:
        """The set of each teacher that `distill` would learn from."""
        known = self.of(dataset, split)
        return [best_covered(known, teacher, dataset) for teacher in sorted({one.teacher for one in known})]
