"""What a hosted teacher's unset temperature or top_p means for this database, so that nobody pays unawares."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import backends
from tinyllm_cli.elicitation.job import Job, asking_for
from tinyllm_cli.errors import as_word
from tinyllm_cli.store import Store


def unset_sampling_notice(store: Store, job: Job) -> str | None:
    """A sentence about the settings that are left to the endpoint; None when there are none.

    Earlier versions sent temperature 0 and top_p 1 for them. Replies that were elicited so are another set."""
    sampling = job.sampling
    if None not in (sampling.temperature, sampling.top_p):
        return None
    sent = replace(
        sampling,
        temperature=0.0 if sampling.temperature is None else sampling.temperature,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
    )
    with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
        ours, former = asking_for(job, teacher).hash, asking_for(replace(job, sampling=sent), teacher).hash
    sets = [
        one
        for one in store.rationales.variants(job.dataset, job.split)
        if one.teacher == job.spec.name and one.recipe == job.recipe
    ]
    stored = sum(one.rationales for one in sets if one.sampling == former)
    stored += sum(one.requests for one in store.batches.open_ones(job.spec.name) if one.sampling == former)
    if stored and not any(one.sampling == ours for one in sets):
        options = f"--temperature {as_word(sent.temperature)}"
        options += f" --top-p {as_word(sent.top_p)}" if sent.temperature else ""
        return (
            f"{stored} rationales of {job.spec.name} for {job.dataset}/{job.split} were elicited with {options}."
            " Add this to continue them; without it, their questions are asked again."
        )
    if sampling.temperature is None:
        return f"{job.spec.name}: no temperature is set, so the endpoint's default applies; --temperature 0 is greedy."
    return None
