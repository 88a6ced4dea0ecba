"""`tinyllm usefulness`: how much each rationale raises a small model's probability of the gold answer."""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping
from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.api.rationales import UsefulnessOptions
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Config,
    DatasetWithRationales,
    Db,
    Debug,
    Gates,
    Json,
    MaxTarget,
    QuestionLimit,
    Quiet,
    Split,
    TeacherFilter,
    TrustRemoteCode,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.usefulness import show_leakage, show_usefulness
from tinyllm_cli.errors import UsageProblem


@guarded
def usefulness(
    dataset: DatasetWithRationales = None,
    teacher: TeacherFilter = None,
    model: Annotated[
        str, typer.Option(help="The model that reads: a hub name, a folder, a .gguf file, or smollm2.")
    ] = "smollm2",
    split: Split = "train",
    limit: QuestionLimit = None,
    gates: Gates = True,
    max_target: MaxTarget = 256,
    icl: Annotated[
        int | None, typer.Option(min=0, help="Only rationales elicited with this number of in-context examples.")
    ] = None,
    mask_answer: Annotated[
        bool, typer.Option(help="Mask the answer's name in the rationale. `distill` uses masked scores.")
    ] = True,
    leakage: Annotated[
        int | None, typer.Option(min=1, help="Instead: answer questions with and without the first N rationales.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="How many of the most and least useful rationales to show.")] = 0,
    trust_remote_code: TrustRemoteCode = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how much each rationale raises a model's probability of the gold answer, for `distill --usefulness`.

    Example: tinyllm usefulness --dataset obqa --limit 1000 --show 3
    """
    if leakage is not None and (show or not mask_answer):
        raise UsageProblem(
            "--leakage shows no examples, and reads masked and unmasked texts.", "Remove --show and --no-mask-answer."
        )
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    options = UsefulnessOptions(
        dataset=dataset, split=split, teachers=teacher or (), model=model, limit=limit, gates=gates,
        max_target=max_target, icl=icl, mask_answer=mask_answer, trust_remote_code=trust_remote_code,
    )  # fmt: skip
    same_texts = _words({"--limit": limit, "--icl": icl}) + ([] if gates else ["--no-gates"])
    same_texts += _words({"--max-target": max_target}, default={256})
    with session.project() as project, console.events() as on_event:
        if leakage is not None:
            leaks = api.leakage(project, count=leakage, on_event=on_event, **options)
        else:
            found = api.usefulness(project, examples=show, on_event=on_event, **options)
    if leakage is not None:
        show_leakage(console, leaks)
        of = [word for name in teacher or [] for word in ("--teacher", name)]
        of += _words({"--split": split, "--model": model}, default={"train", "smollm2"})
        console.next(shlex.join(["tinyllm", "usefulness", "--dataset", leaks.dataset, *of, *same_texts]))
        return
    show_usefulness(console, found)
    if split == "train" and mask_answer:
        alpha = ",".join(f"{one.teacher}=1" for one in found.teachers) if teacher else None
        by = _words({"--alpha": alpha, "--usefulness-model": found.scorer if found.several_scorers else None})
        weighting = ["tinyllm", "distill", "--dataset", found.dataset, "--usefulness", "weight"]
        console.next(shlex.join([*weighting, *by, *same_texts]))
    else:
        console.next(shlex.join(["tinyllm", "audit", "--dataset", found.dataset]))


def _words(options: Mapping[str, object], default: Container[object] = ()) -> list[str]:
    """The options that are given and differ from their default, as words of a command."""
    given = {option: value for option, value in options.items() if value is not None and value not in default}
    return [word for option, value in given.items() for word in (option, str(value))]
