"""What a job will take: tokens, money, time.

Estimated from earlier replies with the same configuration; without any, from the length of the prompts and the cap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backends.base import Charging, Hosted, Request, Sampling, Teacher
from tinyllm_cli.elicitation.counts import ElicitationCounts, SkippedCounts
from tinyllm_cli.elicitation.job import Job
from tinyllm_cli.elicitation.requests import MissingRationales
from tinyllm_cli.store import Store

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For `requests` more. `upper`: without replies to go by, each is counted at its cap, and twice where a reply that
    is cut off is requested again. None: unknown."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    upper: bool
    cost: float | None
    seconds: float | None = None
    in_flight: int | None = None


def unasked(
    store: Store, job: Job, missing: MissingRationales, teacher: Teacher | Charging
) -> tuple[Estimate, SkippedCounts]:
    """For all that is missing, without a call, and the counts of what is not. Walks through `missing`."""
    requests = size = most = 0
    skipped = SkippedCounts()
    for page in missing.pages():
        requests += len(page.requests)
        skipped += page.skipped
        for planned in page.requests:
            calls, tokens = _at_worst(teacher, planned.request, job.sampling)
            size += calls * sum(len(message.content.encode()) for message in planned.request.messages)
            most += tokens
    seen = store.rationales.seen(missing.config, job.dataset, job.split, job.recipe.name)
    known = seen.prompt_tokens is not None and seen.completion_tokens is not None
    prompt = requests * (seen.prompt_tokens or 0) if known else size / _BYTES_PER_TOKEN
    completion = requests * (seen.completion_tokens or 0) if known else most
    total = _Tokens(requests=requests, prompt=prompt, completion=completion, upper=not known)
    return _priced(teacher, total), skipped


def _at_worst(teacher: Teacher | Charging, request: Request, sampling: Sampling) -> tuple[int, int]:
    """(calls, completion tokens) when the reply comes cut."""
    most = teacher.at_most(request, sampling)[1] if isinstance(teacher, Charging) else sampling.max_tokens
    return (2 if most > sampling.max_tokens else 1), most


def after_pilot(counts: ElicitationCounts, teacher: Teacher | Charging) -> Estimate:
    """For the rest of the job, from the few requests that `counts` holds, at least one. The duration of a batch is
    unknown."""
    asked = counts.done + counts.failed
    requests = counts.left + counts.failed
    prompt, completion = requests * counts.prompt_tokens / asked, requests * counts.completion_tokens / asked
    tokens = _Tokens(requests=requests, prompt=prompt, completion=completion, upper=False)
    estimate = _priced(teacher, tokens)
    if isinstance(teacher, Charging) and not isinstance(teacher, Hosted):
        return estimate
    in_flight = teacher.concurrency() if isinstance(teacher, Hosted) else None
    seconds = requests * counts.seconds / max(1, counts.done) / min(in_flight or 1, max(1, requests))
    return replace(estimate, seconds=seconds, in_flight=in_flight)


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    requests: int
    prompt: float
    completion: float
    upper: bool


def _priced(teacher: Teacher | Charging, tokens: _Tokens) -> Estimate:
    prices = teacher.prices() if isinstance(teacher, Charging) else None
    prompt, completion = round(tokens.prompt), round(tokens.completion)
    return Estimate(
        requests=tokens.requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
        upper=tokens.upper,
        cost=prices.cost(prompt, completion) if prices else None,
    )
