"""Reviews: one person's verdict on one rationale, and the sample of rationales that a sheet shows."""

from __future__ import annotations

import getpass
import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from tinyllm_cli.config.names import check_name
from tinyllm_cli.elicitation.replies import without_thinking
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.events import OnEvent, Progress
from tinyllm_cli.rationales.gates import GateSettings, judge
from tinyllm_cli.rationales.review_sheet import SheetRow
from tinyllm_cli.rationales.verdicts import JudgedRationale, gated
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.records.human_verdicts import Decision, HumanVerdict, ReviewableRationale
from tinyllm_cli.store import Store
from tinyllm_cli.store.database import now


@dataclass(frozen=True, kw_only=True)
class ReviewSample:
    """Which rationales a sheet shows: `count` of a split, drawn with `seed`."""

    dataset: str
    split: str
    count: int
    seed: int


def reviewer_name(typed: str | None) -> str:
    """The reviewer that was named, or the user of this system.

    Raises UsageProblem for a name that can't be one."""
    name = typed
    if name is None:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            raise UsageProblem("Who is the reviewer?", "Give a name with --reviewer.") from None
    check_name(name, "reviewer", "Give another with --reviewer.")
    return name


def decision(
    store: Store, id: int, verdict: Decision, gates: GateSettings, *, reviewer: str, words: str | None = None
) -> tuple[ReviewableRationale, HumanVerdict]:
    """The rationale `id` and a person's verdict on it. `words` are the reason of a rejection, or the text of an edit.
    An accepted text is what the repairs of the gates leave now, also of a text that they reject.

    Raises UsageProblem when there is no such rationale, or nothing to learn from."""
    rationale = store.human_verdicts.reviewable([id]).get(id)
    if rationale is None:
        raise UsageProblem(f"There is no rationale {id}.", f"{command_text('inspect', 'QUESTION')} shows the ids.")
    text = None
    if verdict == "accept":
        text = judge(without_thinking(rationale.text), rationale.question, gates).text.strip()
    elif verdict == "edit":
        text = (words or "").strip()
    if text == "":
        raise UsageProblem(
            f"Nothing is left of rationale {id} to learn." if verdict == "accept" else "The edited text is empty.",
            f"Write a text: {command_text('gate', '--edit', id, '--text', 'TEXT')}",
        )
    reason = (words or "").strip() if verdict == "reject" else None
    if reason == "":
        raise UsageProblem("A rejection needs a reason.", command_text("gate", "--reject", id, "--because", "TEXT"))
    return rationale, HumanVerdict(rationale=id, reviewer=reviewer, at=now(), verdict=verdict, text=text, reason=reason)


def sample_rows(
    store: Store, sample: ReviewSample, sets: list[RationaleSet], gates: GateSettings, on_event: OnEvent
) -> list[SheetRow]:
    """Rationales for a sheet: as equally many of each teacher and verdict of the gates as there are, in a random
    order. Human verdicts have no influence, so that a second reviewer gets the same sheet.

    Raises UsageProblem when there are none."""
    strata: dict[tuple[str, str], list[tuple[str, JudgedRationale]]] = {}
    for source in sets:
        questions = store.questions.iterate(sample.dataset, sample.split)
        drawn: dict[str, list[tuple[str, int, JudgedRationale]]] = {}
        for done, one in enumerate(gated(store, questions, source, gates), start=1):
            own = drawn.setdefault(one.verdict.verdict, [])
            entry = (_lot(sample.seed, one), -done, one)
            if len(own) < sample.count:
                heapq.heappush(own, entry)
            else:
                heapq.heappushpop(own, entry)
            on_event(Progress(label=f"reading {source.teacher}", done=done, total=source.rationales))
        for verdict, entries in drawn.items():
            strata[source.teacher, verdict] = sorted(((lot, one) for lot, _, one in entries), key=lambda pair: pair[0])
    chosen = sorted(_in_turn(strata, sample.count), key=lambda pair: pair[0])
    if not chosen:
        raise UsageProblem(f"{sample.dataset}, split {sample.split}, has no rationales to review.")
    known = store.human_verdicts.reviewable([one.rationale.id for _, one in chosen])
    return [_row(known[one.rationale.id], one) for _, one in chosen]


def _lot(seed: int, one: JudgedRationale) -> str:
    """A random place that does not depend on the others. The heap drops the smallest, so the largest are drawn."""
    return hashlib.sha256(f"{seed}:{one.rationale.id}".encode()).hexdigest()


def _in_turn(
    strata: dict[tuple[str, str], list[tuple[str, JudgedRationale]]], count: int
) -> Iterator[tuple[str, JudgedRationale]]:
    """One of each stratum in turn. A question at two positions has one rationale, which is taken once."""
    seen: set[int] = set()
    queues = [strata[name] for name in sorted(strata)]
    while len(seen) < count and any(queues):
        for queue in queues:
            while queue:
                lot, one = queue.pop()
                if one.rationale.id not in seen:
                    break
            else:
                continue
            seen.add(one.rationale.id)
            yield lot, one
            if len(seen) == count:
                return


def _row(rationale: ReviewableRationale, one: JudgedRationale) -> SheetRow:
    findings = "; ".join(f"{finding.gate}: {finding.reason}" for finding in one.verdict.findings)
    return SheetRow(rationale=rationale, text=one.text, gates=one.verdict.verdict, findings=findings)
