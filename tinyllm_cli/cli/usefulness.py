"""`tinyllm usefulness`: what a rationale does for a model's probability of the gold answer, or how likely it is."""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.api.scores import UsefulnessOptions
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Config,
    DatasetWithRationales,
    Db,
    Debug,
    Gates,
    Icl,
    Json,
    MaxTarget,
    QuestionLimit,
    Quiet,
    Rationales,
    Split,
    TeacherFilter,
    TrustRemoteCode,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.usefulness import show_leakage, show_learnability, show_usefulness
from tinyllm_cli.errors import UsageProblem, command_text

if TYPE_CHECKING:
    from tinyllm_cli.rationales.score_summary import TeacherLearnability, TeacherUsefulness


@guarded
def usefulness(
    dataset: DatasetWithRationales = None,
    teacher: TeacherFilter = None,
    measure: Annotated[
        Literal["usefulness", "learnability"],
        typer.Option(
            help="usefulness: the gain in probability of the gold answer; learnability: how likely the text is for the"
            " model, for `distill --choose learnability`."
        ),
    ] = "usefulness",
    model: Annotated[
        str, typer.Option(help="The model that reads: a hub name, a folder, a .gguf file, or smollm2.")
    ] = "smollm2",
    split: Split = "train",
    limit: QuestionLimit = None,
    rationales: Rationales = "forced",
    gates: Gates = True,
    max_target: MaxTarget = 256,
    icl: Icl = None,
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
    if measure == "learnability" and (leakage is not None or not mask_answer):
        raise UsageProblem("--leakage and --no-mask-answer have no effect on learnability.", "Remove them.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    options = UsefulnessOptions(
        dataset=dataset, split=split, teachers=teacher or (), model=model, limit=limit, gates=gates,
        max_target=max_target, icl=icl, rationales=rationales, mask_answer=mask_answer,
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    same_texts = _words({"--limit": limit, "--icl": icl}) + ([] if gates else ["--no-gates"])
    same_texts += _words({"--max-target": max_target, "--rationales": rationales}, default={256, "forced"})
    with session.project() as project, console.events() as on_event:
        if leakage is not None:
            leaks = api.leakage(project, count=leakage, on_event=on_event, **options)
        elif measure == "learnability":
            learned = api.learnability(project, examples=show, on_event=on_event, **options)
        else:
            found = api.usefulness(project, examples=show, on_event=on_event, **options)
    if leakage is not None:
        show_leakage(console, leaks)
        of = [word for name in teacher or [] for word in ("--teacher", name)]
        of += _words({"--split": split, "--model": model}, default={"train", "smollm2"})
        console.next(shlex.join(["tinyllm", "usefulness", "--dataset", leaks.dataset, *of, *same_texts]))
        return
    if measure == "learnability":
        show_learnability(console, learned)
        if split != "train":
            console.next(command_text("audit", "--dataset", learned.dataset))
            return
        by_student = _words({"--student": model, "--alpha": _alpha(teacher, learned.teachers)})
        choosing = ["tinyllm", "distill", "--dataset", learned.dataset, "--per-question", "1"]
        console.next(shlex.join([*choosing, "--choose", "learnability", *by_student, *same_texts]))
        return
    show_usefulness(console, found)
    if split == "train" and mask_answer:
        alpha = _alpha(teacher, found.teachers)
        by = _words({"--alpha": alpha, "--usefulness-model": found.scorer if found.several_scorers else None})
        weighting = ["tinyllm", "distill", "--dataset", found.dataset, "--usefulness", "weight"]
        console.next(shlex.join([*weighting, *by, *same_texts]))
    else:
        console.next(shlex.join(["tinyllm", "audit", "--dataset", found.dataset]))


def _alpha(typed: Sequence[str] | None, teachers: Sequence[TeacherUsefulness | TeacherLearnability]) -> str | None:
    """The weights of these teachers, where some were typed."""
    return ",".join(f"{one.teacher}=1" for one in teachers) if typed else None


def _words(options: Mapping[str, object], default: Container[object] = ()) -> list[str]:
    """The options that are given and differ from their default, as words of a command."""
    given = {option: value for option, value in options.items() if value is not None and value not in default}
    return [word for option, value in given.items() for word in (option, str(value))]
