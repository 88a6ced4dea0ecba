"""Terminal output of `tinyllm usefulness`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.terminal import plain, plain_table, printable

if TYPE_CHECKING:
    from rich.text import Text

    from tinyllm_cli.rationales.leakage_summary import LeakageResult
    from tinyllm_cli.rationales.score_summary import LearnabilityResult, UsefulnessResult


def show_usefulness(console: Console, found: UsefulnessResult) -> None:
    """Gains by teacher, truncated inputs, and the examples; the JSON result."""
    from tinyllm_cli.report.terminal import percent

    rows = [
        (
            one.teacher,
            str(one.rationales),
            "-" if one.mean_gain is None else f"{one.mean_gain:+.3f}",
            percent(one.useful / one.rationales) if one.rationales else "-",
        )
        for one in found.teachers
    ]
    title = f"Usefulness on {found.dataset}/{found.split} for {found.model}{', answer masked' if found.masked else ''}"
    caption = "gain: log-probability (nats) of the gold option, with the rationale minus without; useful: gain above 0"
    console.show(plain_table(title, ["teacher", ">rationales", ">mean gain", ">useful"], rows, caption))
    for one in found.teachers:
        _show_truncated(console, one.teacher, one.inputs_cut)
        for example in one.examples:
            console.show(_example(one.teacher, example.key, example.gain, example.text))
    console.result(found)


def show_learnability(console: Console, found: LearnabilityResult) -> None:
    """Log-likelihoods by teacher, truncated inputs, and the examples; the JSON result."""
    rows = [
        (one.teacher, str(one.rationales), "-" if one.mean is None else f"{one.mean:.3f}") for one in found.teachers
    ]
    title = f"Learnability on {found.dataset}/{found.split} for {found.model}"
    caption = "log-likelihood: nats per token of the rationale after its question, before training, on average"
    console.show(plain_table(title, ["teacher", ">rationales", ">mean log-likelihood"], rows, caption))
    for one in found.teachers:
        _show_truncated(console, one.teacher, one.inputs_cut)
        for example in one.examples:
            console.show(_example(one.teacher, example.key, example.log_likelihood, example.text))
    console.result(found)


def show_leakage(console: Console, found: LeakageResult) -> None:
    """Accuracy under each condition; the JSON result."""
    from tinyllm_cli.report.terminal import percent

    rows = [
        (name, one.condition, str(one.n), percent(one.accuracy), f"{100 * one.low:.1f} to {100 * one.high:.1f} %")
        for name, probes in found.teachers.items()
        for one in probes
    ]
    rows += [
        (name, "the teacher's own answer, without the gold answer", str(one.n), percent(one.correct / one.n), "-")
        for name, one in found.own.items()
        if one.n
    ]
    head = ["rationales of", "input", ">n", ">accuracy", "95 % interval"]
    console.show(plain_table(f"Accuracy of a probe on {found.dataset}/{found.split}", head, rows))
    for name, probes in found.teachers.items():
        _show_truncated(console, name, sum(one.inputs_cut for one in probes))
    console.result(found)


def _show_truncated(console: Console, teacher: str, count: int) -> None:
    if count:
        console.say(f"{count} inputs with rationales of {teacher} exceed the model's input limit and were truncated.")


def _example(teacher: str, key: str, score: float, text: str) -> Text:
    head = plain(f"{teacher}, {key}: {score:+.3f}\n", "bold")
    return head.append(f"  {printable(' '.join(text.split()))}", style="not bold")
