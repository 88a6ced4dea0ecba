"""What a teacher's unset or changed sampling means for this database, so that nobody pays unawares."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import backends
from backends.base import Sampling, Teacher
from tinyllm_cli.elicitation.job import RECORDED, Job, asking_for, continues_requested, requested_config, stored
from tinyllm_cli.errors import as_word
from tinyllm_cli.store import Store


def unset_sampling_notice(store: Store, job: Job) -> str | None:
    """A sentence about settings that are left to the endpoint, or that the teacher's table changes; None when there are
    none."""
    if job.spec.backend == RECORDED:
        return None
    with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
        if asking_for(job, teacher) != requested_config(job, teacher):
            return _changed(store, job, teacher)
        return None if None not in (job.sampling.temperature, job.sampling.top_p) else _unset(store, job, teacher)


def _changed(store: Store, job: Job, teacher: Teacher) -> str:
    """Earlier versions recorded what was set, not what was sent."""
    sent, requested = asking_for(job, teacher), requested_config(job, teacher)
    names = [name for name in ("temperature", "top_p", "stop")
             if getattr(sent.sampling, name) != getattr(requested.sampling, name)]  # fmt: skip
    notice = f"{job.spec.name}: its settings omit and extra apply: {_listed(sent.sampling, names)}."
    if not continues_requested(store, job, teacher):
        return notice
    count = stored(store, job, requested)
    return (
        f"{notice} {count} rationales for {job.dataset}/{job.split} are recorded with"
        f" {_listed(requested.sampling, names)}. They are continued under this record: nothing is asked again."
    )


def _listed(sampling: Sampling, names: list[str]) -> str:
    values = {name: getattr(sampling, name) for name in names}
    return ", ".join(
        f"no {name}" if value in (None, ()) else f"{name} {json.dumps(value)}" for name, value in values.items()
    )


def _unset(store: Store, job: Job, teacher: Teacher) -> str | None:
    """Earlier versions sent temperature 0 and top_p 1 for what is not set. Replies that were elicited so are another
    set."""
    sampling = job.sampling
    sent = replace(
        sampling,
        temperature=0.0 if sampling.temperature is None else sampling.temperature,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
    )
    count = stored(store, job, asking_for(replace(job, sampling=sent), teacher))
    if count and not stored(store, job, asking_for(job, teacher)):
        options = f"--temperature {as_word(sent.temperature)}"
        options += f" --top-p {as_word(sent.top_p)}" if sent.temperature else ""
        return (
            f"{count} rationales of {job.spec.name} for {job.dataset}/{job.split} were elicited with {options}."
            " Add this to continue them; without it, their questions are asked again."
        )
    if sampling.temperature is None:
        return f"{job.spec.name}: no temperature is set, so the endpoint's default applies; --temperature 0 is greedy."
    return None
