"""`elicit`, `preview_elicitation` and `pilot`: teachers write rationales into the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Notice, OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from backends.base import Sampling
    from tinyllm_cli.config import TeacherSpec
    from tinyllm_cli.elicitation.job import Job
    from tinyllm_cli.elicitation.results import ElicitResult, PreviewResult
    from tinyllm_cli.elicitation.session import Consent, ElicitationSession


class ElicitOptions(TypedDict, total=False):
    """Keywords of `elicit`, `pilot` and `preview_elicitation`."""

    split: Literal["train", "valid", "test"]
    """Default: train."""

    icl: int
    """In-context examples, drawn from train; default: 2."""

    teacher_forcing: bool
    """Show the teacher the gold answer; default: True. False: the teacher answers on its own."""

    limit: int | None
    """Only the first N questions; default: all."""

    samples: int
    """Rationales per question; default: 1."""

    temperature: float | None
    """Default: the teacher's setting; else the endpoint's default for hosted teachers, 0 (greedy) for others."""

    top_p: float | None
    """Default: the teacher's setting; else the endpoint's default for hosted teachers, 1 for others."""

    max_tokens: int | None
    """Longest reply in tokens; default: the teacher's setting, else 256."""

    seed: int | None
    """Seed of in-context examples and sampling; default: 0."""

    budget: float | None
    """Most money to spend, in the currency of the settings file; default: no limit."""

    max_tokens_total: int | None
    """Most tokens to use, prompt and completion together; default: no limit."""

    batch: bool
    """Use the endpoint's batch API; default: False."""

    wait: bool
    """Wait until the batches are done; default: True."""

    on: Literal["local", "ray"] | None
    """Where the teachers' engines run: here, or as replicas on a Ray cluster; default: by the teachers' settings."""

    replicas: int | None
    """Replicas on the cluster; default: the teacher's setting, else 1."""

    consent: Consent
    """Confirms the cost after a pilot of a few questions; default: the caller has decided."""


def elicit(
    project: Project, teachers: Sequence[str], dataset: str, *, on_event: OnEvent = ignore_events,
    **options: Unpack[ElicitOptions],
) -> ElicitResult:  # fmt: skip
    """Elicit a rationale for each question that has none. What is stored is never asked again; each reply is stored
    before it counts.

    Raises UsageProblem for an unknown teacher or data set, a budget that can't be kept or costs in another currency
    than the stored ones, TeacherError when a teacher gives up, and InterruptedByUser on Ctrl-C."""
    from tinyllm_cli.elicitation.batch_session import BatchSession
    from tinyllm_cli.elicitation.results import ElicitResult

    session = _session(project, options, on_event)
    jobs = _jobs(project, teachers, dataset, options, on_event)
    session.check_costs(jobs)
    if options.get("batch", False):
        results = BatchSession(session=session, wait=options.get("wait", True)).run(jobs)
    else:
        results = tuple(session.run(job) for job in jobs)
    return ElicitResult(
        dataset=jobs[0].dataset, split=jobs[0].split, currency=session.budget.currency, teachers=results
    )


def pilot(
    project: Project, teachers: Sequence[str], dataset: str, *, on_event: OnEvent = ignore_events,
    **options: Unpack[ElicitOptions],
) -> ElicitResult:  # fmt: skip
    """Ask each teacher five questions, store the replies, and estimate the rest.

    Raises WorldProblem when all of them fail."""
    from tinyllm_cli.elicitation.batch_session import check_batching
    from tinyllm_cli.elicitation.results import ElicitResult

    session = _session(project, options, on_event)
    jobs = _jobs(project, teachers, dataset, options, on_event)
    session.check_costs(jobs)
    if options.get("batch", False):
        check_batching(jobs)
        on_event(Notice(message="A pilot asks its questions one by one; only the estimate is that of batches."))
    results = tuple(session.pilot(job) for job in jobs)
    return ElicitResult(
        dataset=jobs[0].dataset, split=jobs[0].split, currency=session.budget.currency, teachers=results
    )


def preview_elicitation(
    project: Project, teachers: Sequence[str], dataset: str, *, on_event: OnEvent = ignore_events,
    **options: Unpack[ElicitOptions],
) -> PreviewResult:  # fmt: skip
    """The first prompt of each teacher and an estimate of tokens and cost; asks nothing."""
    from tinyllm_cli.elicitation.batch_session import check_batching
    from tinyllm_cli.elicitation.results import PreviewResult

    session = _session(project, options, on_event)
    jobs = _jobs(project, teachers, dataset, options, on_event)
    if options.get("batch", False):
        check_batching(jobs)
    results = tuple(session.preview(job) for job in jobs)
    return PreviewResult(
        dataset=jobs[0].dataset, split=jobs[0].split, currency=session.budget.currency, teachers=results
    )


def _session(project: Project, options: ElicitOptions, on_event: OnEvent) -> ElicitationSession:
    from tinyllm_cli.elicitation.budget import Budget
    from tinyllm_cli.elicitation.session import AlwaysConsent, ElicitationSession

    return ElicitationSession(
        store=project.store,
        budget=Budget(
            money=options.get("budget"), tokens=options.get("max_tokens_total"), currency=project.settings.currency
        ),
        consent=options.get("consent") or AlwaysConsent(),
        on_event=on_event,
        batch=options.get("batch", False),
    )


def _jobs(
    project: Project, teachers: Sequence[str], dataset: str, options: ElicitOptions, on_event: OnEvent
) -> list[Job]:
    from tinyllm_cli.config import match_name
    from tinyllm_cli.elicitation.job import Job
    from tinyllm_cli.elicitation.unset_sampling import unset_sampling_notice
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.records.elicitation import Recipe

    if not options.get("wait", True) and not options.get("batch", False):
        raise UsageProblem("--no-wait needs --batch.", "Add --batch, or remove --no-wait.")
    known = project.settings.teachers
    specs = [
        _placed(known[name], options) for name in dict.fromkeys(match_name(name, known, "teacher") for name in teachers)
    ]
    if not specs:
        raise UsageProblem("No teacher is named.", "Name one: --teacher NAME")
    for notice in [*_origins(specs), *_without_effect(specs, options)]:
        on_event(Notice(message=notice))
    ingested = ingest_named(
        project.store, dataset, project.settings, lambda rows: on_event(Progress(label=f"reading {dataset}", done=rows))
    )
    for warning in ingested.warnings:
        on_event(Notice(message=warning, warning=True))
    on_shard = _of_shard(project, ingested.name, options)
    if on_shard is not None:
        on_event(Notice(message=on_shard))
    recipe = Recipe(
        icl=options.get("icl", 2),
        seed=options.get("seed") or 0,
        teacher_forcing=options.get("teacher_forcing", True),
    )
    jobs = [
        Job(
            dataset=ingested.name, split=options.get("split", "train"), spec=spec, recipe=recipe,
            sampling=_sampling(spec, options), samples=options.get("samples", 1), limit=options.get("limit"),
        )
        for spec in specs
    ]  # fmt: skip
    for unset in filter(None, (unset_sampling_notice(project.store, job) for job in jobs)):
        on_event(Notice(message=unset))
    return jobs


def _of_shard(project: Project, dataset: str, options: ElicitOptions) -> str | None:
    """What a shard asks about; None in another database."""
    split, limit = options.get("split", "train"), options.get("limit")
    size = project.store.questions.splits(dataset).get(split, 0)
    size, own = min(size, limit or size), project.store.questions.count_to_ask(dataset, split, limit)
    return None if own == size else f"A shard: it asks about {own} of the {size} questions of {dataset}/{split}."


def _placed(spec: TeacherSpec, options: ElicitOptions) -> TeacherSpec:
    """The teacher where its engine is to run."""
    from tinyllm_cli.config import ClusterSettings

    where, count = options.get("on"), options.get("replicas")
    cluster = None if where == "local" else spec.cluster or (ClusterSettings() if where == "ray" else None)
    if count is not None and cluster is None:
        raise UsageProblem(
            f"--replicas needs a cluster, and {spec.name} runs here.",
            f"Add --on ray, or the table [teachers.{spec.name}.cluster] to tinyllm.toml.",
        )
    if cluster is not None and options.get("batch", False):
        raise UsageProblem(f"--batch is for endpoints, and {spec.name} runs on a cluster.", "Remove --batch.")
    return replace(spec, cluster=cluster.with_replicas(count) if cluster and count is not None else cluster)


def _origins(specs: Sequence[TeacherSpec]) -> list[str]:
    """Where teachers and the endpoint come from, where a file in the current folder decides it."""
    from tinyllm_cli.config.env_file import endpoint_from_env_file

    notices = [notice for spec in specs for notice in spec.notices()]
    endpoint = endpoint_from_env_file()
    if endpoint and any(spec.backend == "openai" and not spec.options.get("base_url") for spec in specs):
        notices.append(f"Endpoint: {endpoint} (OPENAI_BASE_URL of .env).")
    return notices


def _without_effect(specs: Sequence[TeacherSpec], options: ElicitOptions) -> list[str]:
    """Options that some of the teachers can't follow. No errors: the others may need them."""
    given = [f"--{name.replace('_', '-')}" for name in ("temperature", "top_p", "max_tokens", "seed")
             if options.get(name) is not None]  # fmt: skip
    given += [] if options.get("teacher_forcing", True) else ["--no-teacher-forcing"]
    recorded = [spec.name for spec in specs if spec.backend == "recorded"]
    notices = [f"{name} is recorded: {', '.join(given)} without effect." for name in recorded if given]
    for spec in specs:
        sampling = _sampling(spec, options)
        if spec.backend != "recorded" and sampling.temperature == 0 and sampling.top_p not in (None, 1):
            notices.append(f"{spec.name} decodes greedily: --top-p needs a --temperature above 0.")
    return notices


def _sampling(spec: TeacherSpec, options: ElicitOptions) -> Sampling:
    """Keywords win over the teacher's settings, and these over the defaults. What is not set for a hosted teacher is
    not sent: some models refuse any temperature."""
    from backends.base import Sampling
    from tinyllm_cli.elicitation.replies import STOP

    typed = {
        "temperature": options.get("temperature"), "top_p": options.get("top_p"),
        "max_tokens": options.get("max_tokens"), "seed": options.get("seed"),
    }  # fmt: skip
    chosen = {"stop": STOP, **spec.sampling, **{name: value for name, value in typed.items() if value is not None}}
    if spec.backend == "openai" and chosen.setdefault("temperature", None) != 0:
        chosen.setdefault("top_p", None)
    return Sampling(**{**chosen, "stop": tuple(chosen["stop"])})
