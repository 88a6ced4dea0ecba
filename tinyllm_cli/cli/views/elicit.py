"""Asking one teacher, as the terminal shows it: what it would take, a check on a few questions, the whole."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.console import Console, clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Charging, Teacher
    from tinyllm_cli.elicitation.budget import Budget
    from tinyllm_cli.elicitation.counts import ElicitationCounts
    from tinyllm_cli.elicitation.estimate import Estimate
    from tinyllm_cli.elicitation.requests import Job, MissingRationales
    from tinyllm_cli.store import Store

CHECKED = 5
"""Questions that a check asks."""


@dataclass(frozen=True)
class ElicitationView:
    """What the jobs of one command share. `yes`: money is spent without a question; `batch`: what is estimated goes
    into batches."""

    console: Console
    store: Store
    budget: Budget
    yes: bool = False
    batch: bool = False

    def vet(self, jobs: Sequence[Job]) -> None:
        """Raises UsageProblem when the budget can't be kept with one of the teachers, before any of them is asked."""
        import backends

        for job in jobs if self.budget.money is not None else ():
            with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
                self.budget.check(job.spec.name, teacher)

    def run(self, job: Job) -> dict[str, Any]:
        """Make the job's teacher and have it answer; what costs money is checked first."""
        import backends

        with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
            checked = self.check_money(job, teacher)
            if checked.get("declined"):
                return checked
            return {**drive(self.console, self.store, job, teacher, self.budget), **checked}

    def pilot(self, job: Job) -> dict[str, Any]:
        """Ask a few questions and estimate the rest."""
        import backends

        with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
            tally = self._ask_a_few(job, teacher)
            return {**summary(job.spec.name, tally), "rest": asdict(self._tell(job, teacher, tally))}

    def preview(self, job: Job) -> dict[str, Any]:
        """Show the prompt for the first question and what asking all would take; asks nothing."""
        import backends
        from tinyllm_cli.elicitation.estimate import unasked
        from tinyllm_cli.elicitation.requests import RECORDED, MissingRationales

        name = job.spec.name
        with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
            missing = MissingRationales(self.store, job, teacher)
            estimate, skipped = unasked(self.store, job, missing, self._charging(teacher))
            first = missing.prompt(self.store.questions.at(job.dataset, job.split, 0))
        text = "\n\n".join(f"[{message.role}]\n{message.content}" for message in first.messages)
        recorded, model = job.spec.backend == RECORDED, missing.config.model
        self.console.say("(recorded rationales: nothing is asked)" if recorded else text)
        self.console.say(
            f"\nWould ask {name} ({model}) {estimate.requests} times about {job.dataset}/{job.split};"
            f" {skipped.already} are answered already{_in_batches(skipped.pending)}. Nothing was asked."
        )
        if not recorded and estimate.requests:
            self.console.say(f"It would take {_amount(estimate)}.")
        told = {"teacher": name, "model": model, "prompt": text}
        return {**told, "ask": estimate.requests, "already": skipped.already, "estimate": asdict(estimate)}

    def check_money(self, job: Job, teacher: Teacher) -> dict[str, Any]:
        """Before money is spent: a check, and a question whether to go on. {} where none was needed."""
        from backends.base import Hosted
        from tinyllm_cli.elicitation.requests import MissingRationales

        if not isinstance(teacher, Hosted) or not teacher.costs_money():
            return {}
        missing = MissingRationales(self.store, job, teacher)
        self.budget.check(job.spec.name, teacher)
        if not _more_than(missing, CHECKED):
            return {}
        self._need_consent(job)
        tally = self._ask_a_few(job, teacher)
        estimate = self._tell(job, teacher, tally)
        if estimate.requests and not self.yes and not self.console.confirm("Go on?"):
            self.console.note("Stopped. The answers so far are kept; the same command goes on.")
            return {**summary(job.spec.name, tally), "rest": asdict(estimate), "declined": True}
        return {"checked": tally.done, "checked_cost": tally.cost, "rest": asdict(estimate)}

    def _charging(self, teacher: Teacher) -> Teacher | Charging:
        """Whose prices hold for what is asked."""
        from backends.base import Batching

        return teacher.batches() if self.batch and isinstance(teacher, Batching) else teacher

    def _need_consent(self, job: Job) -> None:
        from tinyllm_cli.errors import UsageProblem

        if not self.yes and not self.console.can_ask:
            raise UsageProblem(
                f"Asking {job.spec.name} costs money, and there is no terminal to ask whether to go on.",
                "Look first with --dry-run or --pilot, then add --yes; --budget sets a limit.",
            )

    def _ask_a_few(self, job: Job, teacher: Teacher) -> ElicitationCounts:
        from tinyllm_cli.errors import WorldProblem

        tally = _elicit(self.console, self.store, job, teacher, self.budget, most=CHECKED)
        if tally.failed and not tally.done:
            raise WorldProblem(
                f"None of the {tally.failed} questions that {job.spec.name} was asked first came to anything:"
                f" {tally.failures[0][1]}.",
                "The rest was not asked.",
            )
        return tally

    def _tell(self, job: Job, teacher: Teacher, tally: ElicitationCounts) -> Estimate:
        """Show an exchange, what the few replies were like, and what the rest will take."""
        from backends.base import Rendering, Request
        from tinyllm_cli.elicitation.estimate import after_pilot, unasked
        from tinyllm_cli.elicitation.requests import MissingRationales, config_of

        name, say = job.spec.name, self.console.say
        if tally.done + tally.failed:
            estimate = after_pilot(tally, self._charging(teacher))
        else:
            missing = MissingRationales(self.store, job, teacher)
            estimate, _ = unasked(self.store, job, missing, self._charging(teacher))
        exchange = self.store.rationales.newest(config_of(self.store, job, teacher))
        if exchange is not None and tally.done:
            request = Request(split=job.split, key="", messages=exchange.messages)
            rendered = teacher.render(request) if isinstance(teacher, Rendering) else None
            plain = "\n\n".join(f"[{message.role}]\n{message.content}" for message in exchange.messages)
            heading = "as the model reads it" if rendered else "before the endpoint's own chat template"
            say(f"--- What {name} was asked, {heading}:\n{rendered or plain}")
            say(f"--- What it wrote:\n{exchange.text}\n---")
        if tally.done:
            say(_few(name, tally, job))
        if estimate.requests:
            say(f"The other {estimate.requests} requests will take {_amount(estimate)}.")
        else:
            say("Nothing else is missing.")
        return estimate


def drive(console: Console, store: Store, job: Job, teacher: Teacher, budget: Budget | None = None) -> dict[str, Any]:
    """Elicit one job with progress; prints and returns what came of it."""
    from tinyllm_cli.elicitation.budget import Budget

    budget = budget or Budget()
    tally = _elicit(console, store, job, teacher, budget)
    say_outcome(console, job, tally, budget)
    return summary(job.spec.name, tally)


def _elicit(
    console: Console, store: Store, job: Job, teacher: Teacher, budget: Budget, most: int | None = None
) -> ElicitationCounts:
    from tinyllm_cli.elicitation.elicit import elicit as elicit_stage
    from tinyllm_cli.errors import InterruptedByUser

    name = job.spec.name
    with console.meter(f"{name} on {job.dataset}/{job.split}") as meter:

        def watch(tally: ElicitationCounts) -> None:
            total = tally.wanted if most is None else most
            done = tally.done + tally.failed + (tally.already if most is None else 0)
            meter(done, total, _detail(tally))

        try:
            return elicit_stage(store, job, teacher, watch, budget=budget, most=most)
        except KeyboardInterrupt as error:
            kept = store.rationales.count(job.dataset, job.split, name)
            raise InterruptedByUser(
                f"Stopped: {kept} rationales of {name} are kept for {job.dataset}/{job.split}.",
                "Run the same command to go on.",
            ) from error


def _more_than(missing: MissingRationales, count: int) -> bool:
    """Whether more than `count` requests are missing; looks no further than that takes."""
    found = 0
    for page in missing.pages():
        found += len(page.requests)
        if found > count:
            return True
    return False


def _amount(estimate: Estimate) -> str:
    about = "up to" if estimate.upper else "about"
    parts = [f"{about} {estimate.prompt_tokens:,} tokens in and {estimate.completion_tokens:,} out"]
    parts.append("money unknown (no price)" if estimate.cost is None else f"{about} {estimate.cost:.4f} in money")
    if estimate.seconds is not None:
        place = f" at {estimate.in_flight} in flight" if estimate.in_flight else ""
        parts.append(f"about {clock(estimate.seconds)}{place}")
    return ", ".join(parts)


def _few(name: str, tally: ElicitationCounts, job: Job) -> str:
    done, asked = tally.done, tally.done + tally.failed
    line = f"{name}: {done} replies, on average {tally.prompt_tokens / asked:.0f} tokens in and"
    line += f" {tally.completion_tokens / asked:.0f} out, {tally.seconds / done:.1f} s"
    line += f"; {tally.cut_off} of them cut off at {job.sampling.max_tokens} tokens"
    line += f"; {tally.cost:.4f} spent" if tally.cost is not None else ""
    return line + (f"; {tally.failed} failed: {tally.failures[0][1]}." if tally.failed else ".")


def _in_batches(count: int) -> str:
    return f", {count} are pending in batches" if count else ""


def _detail(tally: ElicitationCounts) -> str:
    tokens = f"{tally.prompt_tokens:,} tokens in, {tally.completion_tokens:,} out"
    parts = [tokens] if tally.completion_tokens else []
    parts += [f"{tally.cost:.4f} spent"] if tally.cost is not None else []
    parts += [f"{tally.failed} failed"] if tally.failed else []
    return ", ".join(parts)


def say_outcome(console: Console, job: Job, tally: ElicitationCounts, budget: Budget) -> None:
    line = f"{job.spec.name} on {job.dataset}/{job.split}: {tally.done} new rationales, {tally.already} were there"
    line += f", {tally.failed} failed" if tally.failed else ""
    line += f", {tally.absent} questions have none" if tally.absent else ""
    line += f", {tally.elsewhere} are in another process's hands" if tally.elsewhere else ""
    line += _in_batches(tally.pending)
    line += f"; {tally.cut_off} were cut off at {job.sampling.max_tokens} tokens" if tally.cut_off else ""
    line += f"; {tally.cost:.4f} spent" if tally.cost is not None else ""
    console.say(f"{line}.")
    if tally.out_of_budget:
        console.say(f"Stopped within the budget: {budget.describe()}. {tally.left} requests are not asked yet.")
    for key, reason in tally.failures:
        console.note(f"  failed: {key}: {reason}")
    if tally.failed > len(tally.failures):
        console.note(f"  and {tally.failed - len(tally.failures)} more; the table 'failures' has them all")
    if tally.failed and job.spec.backend != "recorded":
        console.note("The same command asks the failed ones again.")
    if tally.left and not tally.out_of_budget:
        console.note(f"{tally.left} have no answer yet; the same command asks them.")


def summary(name: str, tally: ElicitationCounts) -> dict[str, Any]:
    return {
        "teacher": name,
        "new": tally.done,
        "already": tally.already,
        "failed": tally.failed,
        "absent": tally.absent,
        "elsewhere": tally.elsewhere,
        "pending": tally.pending,
        "left": tally.left,
        "cut_off": tally.cut_off,
        "calls": tally.calls,
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
        "cost": tally.cost,
        "out_of_budget": tally.out_of_budget,
        "reason": tally.failures[0][1] if tally.failures else None,
    }
