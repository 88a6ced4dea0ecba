"""The verdicts that the store has on all rationales of a set, without reading their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates import GateSettings, Verdict
from tinyllm_cli.rationales.verdicts import decided, decode
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store
from tinyllm_cli.store.verdicts import StoredOutcome

_PAGE = 500
_PASSED = Verdict(verdict="kept", text="", findings=())


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The verdict that counts on one rationale, without the text; None where the gates have not judged it yet."""

    position: int
    verdict: Verdict | None


def outcomes(store: Store, dataset: str, split: str, source: RationaleSet, settings: GateSettings) -> Iterator[Outcome]:
    """As `judged` decides them: a person's before the gates', and of several rationales that differ only in the prompt
    the newest. Those of a question follow each other."""
    rows = store.verdicts.outcomes(settings.hash, dataset, split, source)
    newest = (one for _, own in groupby(rows, key=lambda row: row.position) for one in _newest(list(own)))
    for page in batched(newest, _PAGE):
        edited = {one.rationale: one.raw for one in page if one.raw is not None}
        human = store.human_verdicts.latest(list(edited)) if edited else {}
        for one in page:
            verdict = None if one.verdict is None else _PASSED if one.verdict == "kept" and not one.findings else (
                decode("", one)
            )  # fmt: skip
            if one.rationale in human:
                verdict = decided(human[one.rationale], edited[one.rationale], _PASSED)
            yield Outcome(position=one.position, verdict=verdict)


def _newest(own: Sequence[StoredOutcome]) -> Sequence[StoredOutcome]:
    if len(own) == 1:
        return own
    by_sample: dict[int, StoredOutcome] = {}
    for one in own:
        known = by_sample.get(one.sample)
        if known is None or (one.created, one.rationale) > (known.created, known.rationale):
            by_sample[one.sample] = one
    return [by_sample[sample] for sample in sorted(by_sample)]
