"""A job: what to ask which teacher, whether that can be done, and under which configuration the replies are stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backends.base import Sampling, Teacher
from backends.sampling import Shaping
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.config.ranges import SAMPLES, SAMPLING, check_icl, sampling_range
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import ElicitationConfig, RationaleSet, Recipe
from tinyllm_cli.store import Store
from tinyllm_cli.store.elicitations import RequestId

RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to ask which teacher. `limit` counts questions of the split, from its beginning."""

    dataset: str
    split: str
    spec: TeacherSpec
    recipe: Recipe
    sampling: Sampling
    samples: int = 1
    limit: int | None = None
    leave: frozenset[RequestId] = frozenset()
    """Missing replies that are not asked for."""

    edits: RationaleSet | None = None
    """For recorded rationales: the set that they are edits of, and that they join."""


def config_of(store: Store, job: Job, teacher: Teacher) -> ElicitationConfig:
    """The configuration of this job's rationales: its own, or that of the set that they edit or continue."""
    if job.edits is not None:
        return store.batches.asking_of(job.edits)
    requested = requested_config(job, teacher)
    return requested if continues_requested(store, job, teacher) else asking_for(job, teacher)


def asking_for(job: Job, teacher: Teacher) -> ElicitationConfig:
    """The identity that this job's rationales will have, apart from prompt and sample number. It has the sampling that
    the requests hold: `omit` and `extra` of a teacher change it."""
    requested = requested_config(job, teacher)
    if not isinstance(teacher, Shaping):
        return requested
    return replace(requested, sampling=teacher.sent(requested.sampling))


def continues_requested(store: Store, job: Job, teacher: Teacher) -> bool:
    """Whether this job continues a set under the sampling that was requested, as earlier versions recorded it, although
    the requests hold another: no question of it is asked again."""
    sent, requested = asking_for(job, teacher), requested_config(job, teacher)
    return sent.hash != requested.hash and bool(stored(store, job, requested)) and not stored(store, job, sent)


def stored(store: Store, job: Job, config: ElicitationConfig) -> int:
    """The rationales of a configuration for this job's split and recipe, and its requests in open batches."""
    sets = (
        one for one in store.rationales.variants(job.dataset, job.split)
        if one.teacher == job.spec.name and one.recipe == job.recipe and one.sampling == config.hash
    )  # fmt: skip
    open_ones = (one for one in store.batches.open_ones(job.spec.name) if one.sampling == config.hash)
    return sum(one.rationales for one in sets) + sum(one.requests for one in open_ones)


def requested_config(job: Job, teacher: Teacher) -> ElicitationConfig:
    """The configuration whose sampling is what the user set."""
    identity = teacher.identity()
    sampling = Sampling(max_tokens=0) if job.spec.backend == RECORDED else job.sampling
    return ElicitationConfig(
        teacher=job.spec.name,
        backend=job.spec.backend,
        model=identity["model"],
        revision=identity["revision"],
        sampling=sampling,
    )


def check(store: Store, job: Job) -> dict[str, int]:
    """Sizes of the data set's splits.

    Raises UsageProblem when the job can't be done with them."""
    counts = store.questions.splits(job.dataset)
    if job.split not in counts:
        raise UsageProblem(f"The data set {job.dataset} has no split '{job.split}'.", f"It has: {', '.join(counts)}.")
    recorded = job.spec.backend == RECORDED
    if job.recipe.icl and not counts.get("train") and not recorded:
        raise UsageProblem(
            f"In-context examples are drawn from train, and {job.dataset} has no train split.", "Use --icl 0."
        )
    if job.samples > SAMPLES[1] and not recorded:
        raise UsageProblem(f"--samples {job.samples} is more than {SAMPLES[1]}, the most for one question.")
    check_icl(job.recipe.icl)
    _check_sampling(job.sampling, 1 if recorded else job.samples)
    return counts


def _check_sampling(sampling: Sampling, samples: int) -> None:
    for name, (low, high) in SAMPLING.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:
            raise UsageProblem(f"{name} can't be {value}.", f"It is {sampling_range(name)}.")
    if samples > 1 and sampling.temperature == 0:
        raise UsageProblem(f"At temperature 0, {samples} samples would be {samples} copies.", "Add --temperature 0.7.")
    if samples > 1 and sampling.temperature is None:
        raise UsageProblem(
            f"{samples} samples need a temperature: at the endpoint's own default, they may be copies.",
            "Add --temperature 0.7, or --temperature 1 for a model that accepts no other.",
        )
