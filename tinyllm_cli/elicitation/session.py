"""One command's elicitation: its budget, the cost confirmation, a pilot of a few questions, and the jobs themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import backends
from backends.base import Batching, Charging, Hosted, Rendering, Replicated, Request, Teacher
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.currency import amount
from tinyllm_cli.elicitation.budget import Budget, why_unlisted
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.estimate import after_pilot, unasked
from tinyllm_cli.elicitation.job import RECORDED, Job, config_of
from tinyllm_cli.elicitation.requests import MissingRationales
from tinyllm_cli.elicitation.results import ElicitationPreview, Exchange, Pilot, TeacherElicitation
from tinyllm_cli.errors import InterruptedByUser, WorldProblem
from tinyllm_cli.events import Finished, Notice, OnEvent, Progress
from tinyllm_cli.store import Store

PILOT_QUESTIONS = 5


class Consent(Protocol):
    """Who decides whether money is spent."""

    def require(self, teacher: str) -> None:
        """Called before a pilot costs anything. Raises UsageProblem when nobody can be asked."""

    def confirm(self, pilot: Pilot) -> bool:
        """Whether to continue after a pilot."""


class AlwaysConsent:
    """A program that calls the API has decided already; its budget is the limit."""

    def require(self, teacher: str) -> None:
        pass

    def confirm(self, pilot: Pilot) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """One finished job; `budget` is the command's budget in words, empty without one. Costs are in `currency`."""

    job: Job
    counts: ElicitationCounts
    budget: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class ElicitationSession:
    """What the jobs of one command share. `batch`: estimates use the prices of a batch API."""

    store: Store
    budget: Budget
    consent: Consent
    on_event: OnEvent
    batch: bool = False

    def check_costs(self, jobs: Sequence[Job]) -> None:
        """Raises UsageProblem when the budget can't be kept with one of the teachers, or one of them charges in another
        currency than that of the store's costs, before any of them is asked."""
        self.store.elicitations.mark_killed()
        for job in jobs:
            with closing(open_teacher(job.spec)) as teacher:
                self.budget.check(job.spec.name, teacher)
                charged = self.budget.charged(teacher)
            if charged is not None:
                with self.store.writing():
                    self.store.currency.use(charged)

    def run(self, job: Job) -> TeacherElicitation:
        """Create the job's teacher and elicit what is missing; a teacher that costs money starts with a pilot."""
        with closing(open_teacher(job.spec)) as teacher:
            pilot, declined = self.pilot_if_costly(job, teacher)
            if pilot is not None and declined:
                return TeacherElicitation.of(job.spec.name, pilot.counts, rest=pilot.estimate, declined=True)
            counts = self.elicit(job, teacher)
        if pilot is None:
            return TeacherElicitation.of(job.spec.name, counts)
        return TeacherElicitation.of(
            job.spec.name, counts, pilot_replies=pilot.counts.done, pilot_cost=pilot.counts.cost, rest=pilot.estimate
        )

    def elicit(self, job: Job, teacher: Teacher) -> ElicitationCounts:
        """Elicit one job with an open teacher."""
        counts = self._ask(job, teacher)
        self.report(job, counts)
        return counts

    def report(self, job: Job, counts: ElicitationCounts) -> None:
        """Emit what became of one job."""
        budget, currency = self.budget.describe(), self.budget.currency
        self.on_event(Finished(value=JobOutcome(job=job, counts=counts, budget=budget, currency=currency)))

    def pilot(self, job: Job) -> TeacherElicitation:
        """Ask a few questions and estimate the rest."""
        with closing(open_teacher(job.spec)) as teacher:
            found = self._pilot(job, teacher)
        return TeacherElicitation.of(job.spec.name, found.counts, rest=found.estimate)

    def preview(self, job: Job) -> ElicitationPreview:
        """The prompt of the first question, and an estimate; asks nothing."""
        with closing(open_teacher(job.spec)) as teacher:
            self._say_unlisted(job, teacher)
            missing = MissingRationales(self.store, job, teacher)
            estimate, skipped = unasked(self.store, job, missing, self._charging(teacher))
            first = missing.prompt(self.store.questions.at(job.dataset, job.split, 0))
        text = "\n\n".join(f"[{message.role}]\n{message.content}" for message in first.messages)
        return ElicitationPreview(
            teacher=job.spec.name, model=missing.config.model, prompt="" if job.spec.backend == RECORDED else text,
            requests=estimate.requests, already=skipped.already, pending=skipped.pending, estimate=estimate,
        )  # fmt: skip

    def pilot_if_costly(self, job: Job, teacher: Teacher) -> tuple[Pilot | None, bool]:
        """A pilot before more than a few questions cost money, and whether the user declined to continue."""
        if not isinstance(teacher, Hosted) or not teacher.costs_money():
            return None, False
        missing = MissingRationales(self.store, job, teacher)
        self.budget.check(job.spec.name, teacher)
        if not _more_than(missing, PILOT_QUESTIONS):
            return None, False
        self.consent.require(job.spec.name)
        found = self._pilot(job, teacher)
        return found, bool(found.estimate.requests) and not self.consent.confirm(found)

    def _say_unlisted(self, job: Job, teacher: Teacher) -> None:
        """Why a price is unknown that is known to those who count in the list's currency."""
        why = why_unlisted(self.budget.currency)
        if why and isinstance(teacher, Hosted) and teacher.costs_money() and teacher.prices() is None:
            name = job.spec.name
            put = f"Put price_prompt and price_completion into [teachers.{name}]."
            self.on_event(Notice(message=f"What {name} charges is unknown{why}. {put}"))

    def _pilot(self, job: Job, teacher: Teacher) -> Pilot:
        self._say_unlisted(job, teacher)
        counts = self._ask(job, teacher, most=PILOT_QUESTIONS)
        if counts.failed and not counts.done:
            raise WorldProblem(
                f"All {counts.failed} questions of the pilot of {job.spec.name} failed: {counts.failures[0][1]}.",
                "Nothing else was asked.",
            )
        if counts.done + counts.failed:
            estimate = after_pilot(counts, self._charging(teacher))
        else:
            estimate, _ = unasked(self.store, job, MissingRationales(self.store, job, teacher), self._charging(teacher))
        found = Pilot(
            teacher=job.spec.name, counts=counts, max_tokens=job.sampling.max_tokens, estimate=estimate,
            currency=self.budget.currency, exchange=self._exchange(job, teacher) if counts.done else None,
        )  # fmt: skip
        self.on_event(Finished(value=found))
        return found

    def _exchange(self, job: Job, teacher: Teacher) -> Exchange | None:
        newest = self.store.rationales.newest(config_of(self.store, job, teacher))
        if newest is None:
            return None
        request = Request(split=job.split, key="", messages=newest.messages)
        rendered = teacher.render(request) if isinstance(teacher, Rendering) else None
        plain = "\n\n".join(f"[{message.role}]\n{message.content}" for message in newest.messages)
        return Exchange(prompt=rendered or plain, rendered=rendered is not None, reply=newest.text)

    def _ask(self, job: Job, teacher: Teacher, most: int | None = None) -> ElicitationCounts:
        name = job.spec.name
        label = f"{name} on {job.dataset}/{job.split}"
        pace = _Pace(teacher)
        currency = self.budget.currency

        def watch(counts: ElicitationCounts) -> None:
            total = counts.wanted if most is None else most
            done = counts.done + counts.failed + (counts.already if most is None else 0)
            self.on_event(Progress(label=label, done=done, total=total, detail=_detail(counts, pace, currency)))

        try:
            return elicit(self.store, job, teacher, watch, budget=self.budget, most=most)
        except KeyboardInterrupt as error:
            kept = self.store.rationales.count(job.dataset, job.split, name)
            raise InterruptedByUser(
                f"Stopped: {kept} rationales of {name} are stored for {job.dataset}/{job.split}.",
                "Run the same command to continue.",
            ) from error

    def _charging(self, teacher: Teacher) -> Teacher | Charging:
        """Whose prices apply."""
        return teacher.batches() if self.batch and isinstance(teacher, Batching) else teacher


def open_teacher(spec: TeacherSpec) -> Teacher:
    """The adapter of a teacher: here, or as replicas on its cluster. Nothing starts before the first request."""
    if spec.cluster is None:
        return backends.create(spec.backend, spec.options)
    return backends.create_on_cluster(spec.backend, spec.options, spec.cluster)


def _more_than(missing: MissingRationales, count: int) -> bool:
    """Whether more than `count` requests are missing; reads no further than that takes."""
    found = 0
    for page in missing.pages():
        found += len(page.requests)
        if found > count:
            return True
    return False


class _Pace:
    """The replicas of a teacher on a cluster, and the tokens per second that they have written since the first ones."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher if isinstance(teacher, Replicated) else None
        self._since: tuple[float, int] | None = None

    def words(self, counts: ElicitationCounts) -> list[str]:
        if self._teacher is None:
            return []
        found, now = self._teacher.replicas(), time.monotonic()
        what = f"{found.ready} of {found.wanted} replicas on {found.nodes} node{'s' * (found.nodes != 1)}"
        if self._since is None and counts.completion_tokens:
            self._since = now, counts.completion_tokens
        if self._since is None or now - self._since[0] < 1:
            return [what]
        rate = (counts.completion_tokens - self._since[1]) / (now - self._since[0])
        return [what, f"{rate:,.0f} tokens/s"]


def _detail(counts: ElicitationCounts, pace: _Pace, currency: str) -> str:
    parts = pace.words(counts)
    if counts.completion_tokens:
        parts.append(f"{counts.prompt_tokens:,} tokens in, {counts.completion_tokens:,} out")
    if counts.cost is not None:
        parts.append(f"{amount(counts.cost, currency)} spent")
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    return ", ".join(parts)
