"""`decide`, `review_queue`, `review_summary` and review sheets: what people think of rationales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import OnEvent, ignore_events
from tinyllm_cli.rationales.review_sheet import RefusedRow
from tinyllm_cli.records.human_verdicts import Decision

if TYPE_CHECKING:
    from tinyllm_cli.audit.review_queue import ReviewQueue
    from tinyllm_cli.audit.reviewers import ReviewResult
    from tinyllm_cli.store.question_search import SearchVerdict


@dataclass(frozen=True, kw_only=True)
class DecisionResult:
    """A human verdict on one rationale. `text` is what a student learns, null for a rejection. `changed` is false when
    the verdict that counts says the same already. `replaced_by` is a newer text of the teacher that is read instead of
    this one, so that the verdict has no effect; null without."""

    rationale: int
    dataset: str
    split: str
    key: str
    teacher: str
    reviewer: str
    verdict: Decision
    text: str | None
    reason: str | None
    changed: bool
    replaced_by: int | None


@dataclass(frozen=True, kw_only=True)
class SheetResult:
    """A review sheet that was written."""

    path: str
    dataset: str
    split: str
    rationales: int
    teachers: int
    blind: bool


@dataclass(frozen=True, kw_only=True)
class SheetImportResult:
    """A review sheet that was read. `new` of its `verdicts` were stored, the others were known; `blank` rows have no
    verdict, and `refused` ones can't be imported."""

    path: str
    verdicts: int
    new: int
    blank: int
    refused: tuple[RefusedRow, ...]


class DecideOptions(TypedDict, total=False):
    """Keywords of `decide`."""

    words: str | None
    """The reason of a rejection, or the edited text."""

    reviewer: str | None
    """Who decides; default: the user of this system."""

    at: str | None
    """When the person decided, in UTC and ISO 8601; default: now. Of two verdicts the later one counts."""

    entry: str | None
    """Identifies the decision, so that a repeated call stores it once; default: none."""

    check: str | None
    """Of the text that the person read, as `review_queue` gives it; default: none."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""


def decide(project: Project, rationale: int, verdict: Decision, **options: Unpack[DecideOptions]) -> DecisionResult:
    """Accept, reject or edit one rationale by its id. A human verdict counts before the gates', in all commands.

    Raises UsageProblem for an unknown id, another text than `check` says, a missing reason and an empty text."""
    from tinyllm_cli.audit.review_queue import text_check
    from tinyllm_cli.rationales.review import decision, reviewer_name

    gates = project.gates(True, options.get("max_target", 256))
    assert gates is not None
    who = reviewer_name(options.get("reviewer"))
    found, human = decision(project.store, rationale, verdict, gates, reviewer=who, words=options.get("words"))
    if options.get("check") not in (None, text_check(found.text)):
        raise UsageProblem(
            f"Rationale {rationale} has another text than the one that was reviewed.", "Reload the page."
        )
    human = replace(human, at=options.get("at") or human.at, sheet=options.get("entry"))
    changed = project.store.human_verdicts.add([human]) > 0
    question = found.question
    return DecisionResult(
        rationale=found.id, dataset=question.dataset, split=question.split, key=question.key, teacher=found.teacher,
        reviewer=who, verdict=verdict, text=human.text, reason=human.reason, changed=changed,
        replaced_by=project.store.human_verdicts.replaced_by(found.id),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReviewChoices:
    """What `review_queue` can be restricted to."""

    datasets: tuple[str, ...]
    teachers: tuple[str, ...]
    verdicts: tuple[str, ...]
    gates: tuple[str, ...]


def review_choices(project: Project, *, split: str = "train") -> ReviewChoices:
    """The data sets with rationales for a split, and what else `review_queue` can be restricted to."""
    from tinyllm_cli.rationales.gates.settings import GATES
    from tinyllm_cli.store.question_search import VERDICTS

    store = project.store
    return ReviewChoices(
        datasets=tuple(store.reviews.datasets(split)), teachers=tuple(store.search.teachers()), verdicts=VERDICTS,
        gates=GATES,
    )  # fmt: skip


class QueueOptions(TypedDict, total=False):
    """Keywords of `review_queue`; each restricts which rationales come."""

    dataset: str | None
    """Default: the first data set with rationales for the split."""

    split: str
    """train, valid or test; default: train."""

    teacher: str | None
    """Of this teacher."""

    verdict: SearchVerdict | None
    """Which the gates gave this verdict; `not judged`: none is stored."""

    gate: str | None
    """In which this gate found something."""

    reviewer: str | None
    """Whom the rationales are for."""

    again: bool
    """Also those that this reviewer decided about; default: False."""

    rationale: int | None
    """Only this one, whatever else is given."""

    blind: bool
    """Leave out teachers, verdicts and what other people decided; default: False."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""


def review_queue(
    project: Project, *, limit: int = 20, after: int | None = None, **options: Unpack[QueueOptions]
) -> ReviewQueue:
    """The next rationales to review, after the rationale `after`. The order is that of the questions' hashes, so it is
    random, and the same for every reviewer."""
    from tinyllm_cli.audit.review_queue import queue
    from tinyllm_cli.store.review_queue import QueueFilter

    gates = project.gates(True, options.get("max_target", 256))
    assert gates is not None
    split = options.get("split", "train")
    named = options.get("dataset")
    dataset = named or next(iter(sorted(project.store.reviews.datasets(split))), "")
    wanted = QueueFilter(
        gates=gates.hash, dataset=dataset, split=split, teacher=options.get("teacher"),
        verdict=options.get("verdict"), gate=options.get("gate"), rationale=options.get("rationale"),
        reviewer=options.get("reviewer"), again=options.get("again", False),
    )  # fmt: skip
    return queue(project.store, wanted, gates, count=limit, after=after, blind=options.get("blind", False))


class SheetOptions(TypedDict, total=False):
    """Keywords of `export_review_sheet`."""

    dataset: str | None
    """Default: the only data set with rationales for the split."""

    split: str
    """train, valid or test; default: train."""

    teachers: Sequence[str]
    """Names or unambiguous beginnings; default: all."""

    sample: int
    """How many rationales; default: 50."""

    seed: int
    """The same seed draws the same rationales; default: 0."""

    blind: bool
    """Leave out teachers and gates; default: False."""

    reviewer: str | None
    """Fill in this reviewer."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""


def export_review_sheet(
    project: Project, path: Path, *, on_event: OnEvent = ignore_events, **options: Unpack[SheetOptions]
) -> SheetResult:
    """Write a CSV file with rationales to judge, balanced over teachers and the verdicts of the gates.

    Raises UsageProblem when the file exists, since somebody may have filled it in, and when there is nothing to
    review."""
    from tinyllm_cli.config.names import check_name
    from tinyllm_cli.files import write_whole
    from tinyllm_cli.rationales.rationale_sets import dataset_with_rationales, rationale_sets
    from tinyllm_cli.rationales.review import ReviewSample, sample_rows
    from tinyllm_cli.rationales.review_sheet import sheet_text

    if path.exists() or path.is_symlink():
        raise UsageProblem(f"{path} exists: somebody may have filled it in.", "Give another name, or remove it.")
    if path.suffix.lower() != ".csv":
        raise UsageProblem(f"A review sheet is a CSV file, and {path} does not end in .csv.", f"Name it {path}.csv")
    reviewer = options.get("reviewer") or ""
    if reviewer:
        check_name(reviewer, "reviewer", "Give another with --reviewer.")
    split = options.get("split", "train")
    dataset = dataset_with_rationales(project.store, split, options.get("dataset"))
    sets = rationale_sets(project.store, dataset, split, options.get("teachers", ()))
    gates = project.gates(True, options.get("max_target", 256))
    assert gates is not None
    wanted = ReviewSample(dataset=dataset, split=split, count=options.get("sample", 50), seed=options.get("seed", 0))
    rows = sample_rows(project.store, wanted, sets, gates, on_event)
    blind = options.get("blind", False)
    # A spreadsheet recognises UTF-8 by the mark at the beginning.
    write_whole(path, "\ufeff" + sheet_text(rows, blind=blind, reviewer=reviewer))
    return SheetResult(
        path=str(path), dataset=dataset, split=split, rationales=len(rows),
        teachers=len({row.rationale.teacher for row in rows}), blind=blind,
    )  # fmt: skip


def import_review_sheet(project: Project, path: Path, *, reviewer: str | None = None) -> SheetImportResult:
    """Store the verdicts of a review sheet. Rows that can't be used are refused, the others stored. Importing a sheet
    again changes nothing. A verdict is as old as its row's `time`, else as the file: it does not replace a later one.

    Raises UsageProblem for a file that is no review sheet."""
    from tinyllm_cli.config.names import check_name
    from tinyllm_cli.rationales.review_sheet import read_sheet

    if reviewer is not None:
        check_name(reviewer, "reviewer", "Give another with --reviewer.")
    content = read_sheet(path, project.store.human_verdicts.reviewable, reviewer=reviewer)
    new = project.store.human_verdicts.add(content.verdicts) if content.verdicts else 0
    return SheetImportResult(
        path=str(path), verdicts=len(content.verdicts), new=new, blank=content.blank, refused=content.refused
    )


def review_summary(project: Project, *, dataset: str | None = None, max_target: int = 256) -> ReviewResult:
    """How people decided, how well they agree with each other, and the gates with them; of one data set or all."""
    from tinyllm_cli.audit.reviewers import review_result
    from tinyllm_cli.config import match_name

    gates = project.gates(True, max_target)
    assert gates is not None
    name = None if dataset is None else match_name(dataset, project.store.questions.names(), "data set")
    return review_result(project.store, name, gates)
