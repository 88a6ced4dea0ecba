"""The elicitation stage: ask a teacher for the missing rationales, and store each reply before it counts as done.

Knows nothing of engines (`backends` does) and of terminals (`cli` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from backends.base import Answer, Hosted, PaceChange, Sampling, Teacher
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.job import Job
from tinyllm_cli.elicitation.live import LiveProgress
from tinyllm_cli.elicitation.requests import MissingRationales, RequestQueue
from tinyllm_cli.records.elicitation import ElicitationConfig
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
    """Ask `teacher` for the missing rationales, at most `most` requests, within `budget`, and commit replies before
    they count. `watch` is called after each commit.

    Raises UsageProblem when the job can't be done on this data set, the budget can't be kept, or the store's costs are
    in another currency, TeacherError when the teacher gives up."""
    budget = budget or Budget()
    missing = MissingRationales(store, job, teacher)
    budget.check(job.spec.name, teacher)
    store.rationales.add_asking(missing.config)
    counts = ElicitationCounts(wanted=missing.requests)
    with _working(store, job, missing.config, teacher, budget.charged(teacher)) as worker:
        queue = RequestQueue(missing, worker, teacher, budget, most)
        live = LiveProgress(worker, teacher)
        described = False
        for answers in _generate(teacher, queue, missing.sampling):
            settled = [queue.settle(request, outcome) for request, outcome in answers]
            if settled:
                worker.settle(settled)
            if settled and not described:
                store.rationales.describe_engine(missing.config, teacher.describe())
                described = True
            for (request, _), one in zip(answers, settled, strict=True):
                counts.count(request.key, one.outcome)
            counts.skip(missing.requests, queue.skipped)
            live(counts, queue.in_flight)
            watch(counts)
        counts.out_of_budget = queue.held
    counts.skip(missing.requests, queue.skipped + missing.rest())
    return counts


def _generate(teacher: Teacher, queue: RequestQueue, sampling: Sampling) -> Iterator[list[Answer]]:
    """The teacher's answers. When the budget holds a request back until others have shown what they really cost, the
    teacher is asked once more for what fits then."""
    progress = True
    while progress:
        progress = False
        for answers in teacher.generate(iter(queue), sampling):
            progress = progress or bool(answers)
            yield answers
        progress = progress and queue.held


@contextmanager
def _working(
    store: Store, job: Job, config: ElicitationConfig, teacher: Teacher, currency: str | None
) -> Iterator[Worker]:
    """An elicitation whose row says how it ended."""
    before = _pace(teacher)
    with store.elicitations.working(config, job.dataset, job.split, job.recipe, currency) as worker:
        try:
            yield worker
        except (KeyboardInterrupt, GeneratorExit):
            worker.finish("stopped", _since(before, _pace(teacher)))
            raise
        except Exception as error:
            with suppress(Exception):  # perhaps the run ended because nothing can be written
                worker.finish("failed", _since(before, _pace(teacher)), str(error) or type(error).__name__)
            raise
        worker.finish("done", _since(before, _pace(teacher)))


def _pace(teacher: Teacher) -> list[PaceChange]:
    return teacher.pace() if isinstance(teacher, Hosted) else []


def _since(before: list[PaceChange], after: list[PaceChange]) -> list[PaceChange]:
    """The concurrency since `before`: the last known state of each endpoint, and the changes after it."""
    last = {change.endpoint: change for change in before}
    return [*last.values(), *after[len(before) :]]
