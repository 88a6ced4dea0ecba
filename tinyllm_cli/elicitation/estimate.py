"""What a job will take before it is asked: tokens, money, time.

From the replies to the same way of asking where there are some; else from the length of the prompts and the cap.
"""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import Charging, Hosted, Request, Sampling, Teacher
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.requests import Job, MissingRationales
from tinyllm_cli.store import Store

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For `requests` more. `upper`: the replies are counted at their cap, for want of any to go by, and each as cut
    where cut ones are asked for once more. None: unknown."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    upper: bool
    cost: float | None
    seconds: float | None = None
    in_flight: int | None = None


def unasked(store: Store, job: Job, missing: MissingRationales, teacher: Teacher | Charging) -> Estimate:
    """For all that is missing, without a call. Walks through `missing`."""
    requests = size = most = 0
    for page in missing.pages():
        requests += len(page)
        for ask in page:
            calls, tokens = _at_worst(teacher, ask.request, job.sampling)
            size += calls * sum(len(message.content.encode()) for message in ask.request.messages)
            most += tokens
    seen = store.rationales.seen(missing.asking, job.dataset, job.split, job.recipe.name)
    known = seen.prompt_tokens is not None and seen.completion_tokens is not None
    prompt = requests * (seen.prompt_tokens or 0) if known else size / _BYTES_PER_TOKEN
    completion = requests * (seen.completion_tokens or 0) if known else most
    return _priced(teacher, requests, prompt, completion, upper=not known)


def _at_worst(teacher: Teacher | Charging, request: Request, sampling: Sampling) -> tuple[int, int]:
    """(calls, completion tokens) when the reply comes cut."""
    most = teacher.at_most(request, sampling)[1] if isinstance(teacher, Charging) else sampling.max_tokens
    return (2 if most > sampling.max_tokens else 1), most


def after_check(
    store: Store, job: Job, tally: ElicitationCounts, missing: MissingRationales, teacher: Teacher | Charging
) -> Estimate:
    """For the rest of the job, from the few replies that `tally` counts. Nobody knows how long a batch takes."""
    asked = tally.done + tally.failed
    if not asked:
        return unasked(store, job, missing, teacher)
    requests = tally.left + tally.failed
    prompt, completion = requests * tally.prompt_tokens / asked, requests * tally.completion_tokens / asked
    if isinstance(teacher, Charging) and not isinstance(teacher, Hosted):
        return _priced(teacher, requests, prompt, completion, upper=False)
    in_flight = teacher.concurrency() if isinstance(teacher, Hosted) else None
    seconds = requests * tally.seconds / max(1, tally.done) / min(in_flight or 1, max(1, requests))
    return _priced(teacher, requests, prompt, completion, upper=False, seconds=seconds, in_flight=in_flight)


def _priced(
    teacher: Teacher | Charging,
    requests: int,
    prompt: float,
    completion: float,
    *,
    upper: bool,
    seconds: float | None = None,
    in_flight: int | None = None,
) -> Estimate:
    prices = teacher.prices() if isinstance(teacher, Charging) else None
    return Estimate(
        requests=requests,
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        upper=upper,
        cost=prices.cost(round(prompt), round(completion)) if prices else None,
        seconds=seconds,
        in_flight=in_flight,
    )
