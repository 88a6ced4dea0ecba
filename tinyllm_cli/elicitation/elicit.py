"""The elicitation stage: drive a teacher through what is missing, and keep what comes back before it counts.

Knows nothing of engines (`backends` does) and of terminals (`cli` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from backends.base import Answer, Hosted, PaceChange, Teacher
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.requests import Job, MissingRationales, RequestQueue
from tinyllm_cli.store import Store
from tinyllm_cli.store.elicitations import Worker

OnCounts = Callable[[ElicitationCounts], None]


def elicit(
    store: Store,
    job: Job,
    teacher: Teacher,
    watch: OnCounts,
    *,
    budget: Budget | None = None,
    most: int | None = None,
) -> ElicitationCounts:
    """Ask `teacher` for what is missing, at most `most` requests, within `budget`, and commit replies before they
    count. `watch` is called after each commit.

    Raises UsageProblem when the job can't be done on this data set or the budget can't be kept, TeacherError when
    the teacher gives up."""
    budget = budget or Budget()
    missing = MissingRationales(store, job, teacher)
    budget.check(job.spec.name, teacher)
    store.rationales.add_asking(missing.asking)
    with _working(store, job, missing, teacher) as worker:
        pending = RequestQueue(missing, worker, teacher, budget, most)
        tally = ElicitationCounts(wanted=missing.wanted)
        described = False
        for answers in _generate(teacher, pending):
            worker.settle([pending.settle(request, outcome) for request, outcome in answers])
            if not described:
                store.rationales.describe_engine(missing.asking, teacher.describe())
                described = True
            for request, outcome in answers:
                tally.count(request.key, outcome)
            _look(tally, missing, pending)
            watch(tally)
        _look(tally, missing, pending)
        tally.out_of_budget = pending.held
    for _ in missing.pages():  # those that were not reached tell what is answered already
        pass
    _look(tally, missing, pending)
    return tally


def _generate(teacher: Teacher, pending: RequestQueue) -> Iterator[list[Answer]]:
    """The teacher's answers. When the budget holds a request back until others have shown what they really took,
    the teacher is asked once more for what fits then."""
    progress = True
    while progress:
        progress = False
        for answers in teacher.generate(iter(pending), pending.missing.asking.sampling):
            progress = True
            yield answers
        progress = progress and pending.held


def _look(tally: ElicitationCounts, missing: MissingRationales, pending: RequestQueue) -> None:
    tally.wanted, tally.already = missing.wanted, missing.already + pending.again
    tally.absent, tally.elsewhere, tally.pending = missing.absent, missing.elsewhere, missing.pending


@contextmanager
def _working(store: Store, job: Job, missing: MissingRationales, teacher: Teacher) -> Iterator[Worker]:
    """An elicitation whose row says how it ended."""
    before = _pace(teacher)
    with store.elicitations.working(missing.asking, job.dataset, job.split, job.recipe) as worker:
        try:
            yield worker
        except (KeyboardInterrupt, GeneratorExit):
            worker.finish("stopped", _since(before, _pace(teacher)))
            raise
        except Exception as error:
            with suppress(Exception):  # what ended the run may be that nothing can be written
                worker.finish("failed", _since(before, _pace(teacher)), str(error) or type(error).__name__)
            raise
        worker.finish("done", _since(before, _pace(teacher)))


def _pace(teacher: Teacher) -> list[PaceChange]:
    return teacher.pace() if isinstance(teacher, Hosted) else []


def _since(before: list[PaceChange], after: list[PaceChange]) -> list[PaceChange]:
    """How it went from `before` on: the last known state of each endpoint, and what changed then."""
    last = {change.endpoint: change for change in before}
    return [*last.values(), *after[len(before) :]]
