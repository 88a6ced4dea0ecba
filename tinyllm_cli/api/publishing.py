"""`push`: a student or rationales to a model hub, with a card."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, choices, command_text
from tinyllm_cli.events import Notice, OnEvent, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.publish.facts import Facts
    from tinyllm_cli.publish.files import PublishedFile

Published = Literal["student", "rationales"]


class PushOptions(TypedDict, total=False):
    """Keywords of `push`."""

    run: int | None
    """Whose student; default: the latest finished run."""

    dataset: str | None
    """Whose rationales; default: the only data set that has some."""

    teachers: Sequence[str]
    """Whose rationales; default: all teachers'."""

    gates: bool
    """Publish only rationales that pass the gates; default: True."""

    license: str | None
    """The licence of what is published, such as apache-2.0; default: none stated."""

    source_licenses: Mapping[str, str]
    """Licences of the data set, of teachers and of the base model, by name."""

    private: bool | None
    """Whether a new repository is private; an existing one keeps its visibility; default: True."""


@dataclass(frozen=True, kw_only=True)
class UploadFile:
    """A file of the repository, with its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class PushResult:
    """What `push` publishes. `private` is the visibility of the repository, `exists`: it was there before. `left_out`
    are files of the student's folder that are not uploaded, `unlicensed` the sources without a licence. `commit` is
    null while nothing is published."""

    what: Published
    url: str
    account: str
    private: bool
    exists: bool
    files: tuple[UploadFile, ...]
    left_out: tuple[str, ...]
    license: str | None
    unlicensed: tuple[str, ...]
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Content:
    files: Sequence[PublishedFile]
    left_out: Sequence[str]
    facts: Facts
    message: str


def push(
    project: Project, to: str, *, what: Published = "student", confirm: Callable[[PushResult], bool],
    on_event: OnEvent = ignore_events, **options: Unpack[PushOptions],
) -> PushResult:  # fmt: skip
    """Publish a run's student, or a data set's rationales, as the repository `to` ("hub:me/name") of the hub that
    HF_ENDPOINT names, with a card: sources, licences, gates, costs, and results with intervals. The token is
    HF_TOKEN. `confirm` gets what would be uploaded; nothing is when it returns False.

    Raises UsageProblem for a wrong name, a missing or refused token and a visibility that differs from the existing
    repository's, and WorldProblem when the hub can't be reached."""
    from tinyllm_cli.publish.card import check_license
    from tinyllm_cli.publish.hub import Hub, parse_target

    repository = parse_target(to)
    license = options.get("license")
    license = check_license(license) if license is not None else None
    endpoint, token = _endpoint(), _token()
    content = (_student if what == "student" else _rationales)(project, options, license, on_event)
    hub = Hub(endpoint, token, repository, "model" if what == "student" else "dataset")
    before = hub.state()
    private = _visibility(before.private, options.get("private"), hub.url)
    planned = PushResult(
        what=what, url=hub.url, account=before.account, private=private, exists=before.private is not None,
        files=tuple(UploadFile(path=one.path, size=one.size) for one in content.files),
        left_out=tuple(content.left_out), license=license, unlicensed=content.facts.unlicensed,
    )  # fmt: skip
    if not confirm(planned):
        return planned
    if not planned.exists:
        hub.create(private=private)
    on_event(Notice(message=f"Uploading to {hub.url}."))
    return replace(planned, commit=hub.commit(content.files, content.message))


def _visibility(existing: bool | None, wanted: bool | None, url: str) -> bool:
    """Whether the repository is private after the upload, which changes no existing one."""
    if existing is None:
        return True if wanted is None else wanted
    if wanted is not None and wanted != existing:
        state = "private" if existing else "public"
        raise UsageProblem(
            f"{url} exists and is {state}; an upload does not change that.",
            f"Use --{state}, or change it in the settings of the repository.",
        )
    return existing


def _token() -> str:
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise UsageProblem(
            "Publishing needs a token of the hub.", "Set HF_TOKEN in the environment or in .env to one that may write."
        )
    return token


def _endpoint() -> str:
    """The hub's URL. One that a folder's .env sets gets no token from elsewhere."""
    from tinyllm_cli.config.env_file import env_file_values

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if not endpoint.startswith(("http://", "https://")):
        raise UsageProblem(f"HF_ENDPOINT is no URL: {endpoint!r}.", "Give it with https://, or unset it.")
    values = env_file_values()
    if values.get("HF_ENDPOINT") == endpoint and values.get("HF_TOKEN") != os.environ.get("HF_TOKEN"):
        raise UsageProblem(
            f".env sends uploads to {endpoint}, and HF_TOKEN is from the environment.",
            "Set HF_ENDPOINT in the environment, or HF_TOKEN in .env, if this token is meant for that hub.",
        )
    return endpoint


def _student(project: Project, options: PushOptions, license: str | None, on_event: OnEvent) -> _Content:
    from tinyllm_cli.publish.card import student_card
    from tinyllm_cli.publish.facts import facts_of_run
    from tinyllm_cli.publish.files import CARD, PublishedFile, student_files
    from tinyllm_cli.training.run_lookup import run_with_student

    run = run_with_student(project.store, options.get("run"))
    facts = _licensed(facts_of_run(project.store, run), options)
    files, left_out = student_files(Path(run.folder))
    card = PublishedFile.of_text(CARD, student_card(run, facts, license))
    return _Content(files=[card, *files], left_out=left_out, facts=facts, message="Student trained with tinyllm")


def _rationales(project: Project, options: PushOptions, license: str | None, on_event: OnEvent) -> _Content:
    from tinyllm_cli.api.training import DistillOptions, plan_distillation
    from tinyllm_cli.export.data_rows import training_rows
    from tinyllm_cli.publish.card import rationales_card
    from tinyllm_cli.publish.facts import facts_of_rationales
    from tinyllm_cli.publish.files import CARD, PublishedFile, rationale_files

    teachers = options.get("teachers") or ()
    gates = project.gates(options.get("gates", True))
    planned = plan_distillation(
        project, on_event=on_event,
        **DistillOptions(
            dataset=options.get("dataset"), alpha=dict.fromkeys(teachers, 1.0) if teachers else None,
            gates=gates is not None,
        ),
    )  # fmt: skip
    dataset, data = planned.plan.dataset, planned.data
    rows = training_rows(data.training_questions, "columns", {one.teacher: one.alpha for one in planned.plan.active})
    files = rationale_files(rows)
    if not files:
        command = command_text("elicit", "--teacher", "NAME", "--dataset", dataset)
        raise UsageProblem(f"{dataset} has no rationales to publish.", f"Run: {command}")
    facts = facts_of_rationales(project.store, dataset, data.lineage, asdict(gates) if gates else None)
    facts = _licensed(facts, options)
    paths = {teacher: file.path for teacher, file in files.items()}
    card = PublishedFile.of_text(CARD, rationales_card(dataset, paths, facts, license))
    return _Content(files=[card, *files.values()], left_out=(), facts=facts, message=f"Rationales for {dataset}")


def _licensed(facts: Facts, options: PushOptions) -> Facts:
    from tinyllm_cli.publish.card import check_license

    given = {name: check_license(license) for name, license in options.get("source_licenses", {}).items()}
    unknown = sorted(set(given) - {one.name for one in facts.sources})
    if unknown:
        raise UsageProblem(
            f"'{unknown[0]}' is no source of this.", f"Sources: {choices([one.name for one in facts.sources])}."
        )
    return replace(facts, sources=tuple(replace(one, license=given.get(one.name)) for one in facts.sources))
