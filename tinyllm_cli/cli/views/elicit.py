"""Terminal output of `tinyllm elicit`: previews, pilots, the cost confirmation, and what became of each teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.progress import clock
from tinyllm_cli.currency import amount
from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    from tinyllm_cli.elicitation.estimate import Estimate
    from tinyllm_cli.elicitation.results import ElicitationPreview, Pilot
    from tinyllm_cli.elicitation.session import JobOutcome


@dataclass(frozen=True)
class TerminalConsent:
    """Asks the user whether to continue after a pilot; `yes` skips the question."""

    console: Console
    yes: bool

    def require(self, teacher: str) -> None:
        if not self.yes and not self.console.can_ask:
            raise UsageProblem(
                f"Asking {teacher} costs money, and there is no terminal to confirm it.",
                "See the estimate with --dry-run or --pilot, then add --yes; --budget sets a limit.",
            )

    def confirm(self, pilot: Pilot) -> bool:
        if self.yes or self.console.confirm("Continue?"):
            return True
        self.console.note("Stopped. The replies so far are stored; the same command continues.")
        return False


def show_part(console: Console, part: object) -> None:
    """A pilot or a finished job, as soon as it is there."""
    from tinyllm_cli.elicitation.results import Pilot
    from tinyllm_cli.elicitation.session import JobOutcome

    if isinstance(part, Pilot):
        _show_pilot(console, part)
    elif isinstance(part, JobOutcome):
        _show_outcome(console, part)


def show_preview(console: Console, one: ElicitationPreview, where: str, currency: str) -> None:
    console.say(one.prompt or "(recorded rationales: nothing is asked)")
    pending = f", {one.pending} are pending in batches" if one.pending else ""
    console.say(
        f"\nWould ask {one.teacher} ({one.model}) {one.requests} times about {where};"
        f" {one.already} are answered already{pending}. Nothing was asked."
    )
    if one.prompt and one.requests:
        console.say(f"Estimate: {_taken(one.estimate, currency)}.")


def _show_pilot(console: Console, pilot: Pilot) -> None:
    exchange = pilot.exchange
    if exchange is not None:
        heading = "as the model reads it" if exchange.rendered else "before the endpoint's own chat template"
        console.say(f"--- Prompt for {pilot.teacher}, {heading}:\n{exchange.prompt}")
        console.say(f"--- Reply:\n{exchange.reply}\n---")
    if pilot.counts.done:
        console.say(_replies(pilot))
    if pilot.estimate.requests:
        taken = _taken(pilot.estimate, pilot.currency)
        console.say(f"Estimate for the other {pilot.estimate.requests} requests: {taken}.")
    else:
        console.say("Nothing else is missing.")


def _replies(pilot: Pilot) -> str:
    counts = pilot.counts
    asked = counts.done + counts.failed
    line = f"{pilot.teacher}: {counts.done} replies, on average {counts.prompt_tokens / asked:.0f} tokens in and"
    line += f" {counts.completion_tokens / asked:.0f} out, {counts.seconds / counts.done:.1f} s"
    line += f"; {counts.cut_off} of them truncated at {pilot.max_tokens} tokens"
    line += f"; {amount(counts.cost, pilot.currency)} spent" if counts.cost is not None else ""
    return line + (f"; {counts.failed} failed: {counts.failures[0][1]}." if counts.failed else ".")


def _taken(estimate: Estimate, currency: str) -> str:
    about = "up to" if estimate.upper else "about"
    parts = [f"{about} {estimate.prompt_tokens:,} tokens in and {estimate.completion_tokens:,} out"]
    cost = estimate.cost
    parts.append("cost unknown (no price)" if cost is None else f"{about} {amount(cost, currency)}")
    if estimate.seconds is not None:
        concurrency = f" with {estimate.in_flight} in flight" if estimate.in_flight else ""
        parts.append(f"about {clock(estimate.seconds)}{concurrency}")
    return ", ".join(parts)


def _show_outcome(console: Console, outcome: JobOutcome) -> None:
    job, counts = outcome.job, outcome.counts
    line = (
        f"{job.spec.name} on {job.dataset}/{job.split}: {counts.done} new rationales, {counts.already} already stored"
    )
    line += f", {counts.failed} failed" if counts.failed else ""
    line += f", {counts.absent} questions have none" if counts.absent else ""
    line += f", {counts.elsewhere} are being asked by another process" if counts.elsewhere else ""
    line += f", {counts.pending} are pending in batches" if counts.pending else ""
    line += f"; {counts.cut_off} were truncated at {job.sampling.max_tokens} tokens" if counts.cut_off else ""
    line += f"; {amount(counts.cost, outcome.currency)} spent" if counts.cost is not None else ""
    console.say(f"{line}.")
    if counts.out_of_budget:
        console.say(f"Stopped at the budget: {outcome.budget}. {counts.left} requests were not asked.")
    for key, reason in counts.failures:
        console.note(f"  failed: {key}: {reason}")
    if counts.failed > len(counts.failures):
        console.note(f"  and {counts.failed - len(counts.failures)} more; the table 'failures' has them all")
    if counts.failed and job.spec.backend != "recorded":
        console.note("The same command asks the failed ones again.")
    if counts.left and not counts.out_of_budget:
        console.note(f"{counts.left} have no answer yet; the same command asks them.")
