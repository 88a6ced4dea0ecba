"""The model card that a saved student carries: what it is, how it was made, how to ask it."""

from __future__ import annotations

import json

from tinyllm_cli.records.runs import Run
from tinyllm_cli.students.inputs import ANSWER_PREFIX
from tinyllm_cli.training.methods import METHODS


def model_card(run: Run, step: int, valid_accuracy: float | None) -> str:
    """Markdown with the front matter that the hub reads. All texts are ours or the user's, none a teacher's."""
    lines = [
        "---",
        f"base_model: {json.dumps(run.student)}",
        f"tags: [tinyllm, {run.method}]",
        "library_name: transformers",
        "---",
        "",
        f"# {run.student} on {run.dataset}",
        "",
        f"A student trained with tinyllm {run.versions['tinyllm']} on {METHODS[run.method].learns}.",
        "",
        "| | |",
        "| --- | --- |",
        f"| data set | {run.dataset}, split train |",
        f"| alpha | {', '.join(f'{name}={weight:g}' for name, weight in run.alpha.items()) or 'none'} |",
        f"| checkpoint | step {step}, {'the last' if valid_accuracy is None else 'chosen on the valid split'} |",
        f"| valid accuracy (rank) | {'no valid split' if valid_accuracy is None else f'{valid_accuracy:.1%}'} |",
        f"| seed | {run.seed} |",
        f"| started | {run.started} |",
        f"| versions | {', '.join(f'{name} {number}' for name, number in run.versions.items())} |",
    ]
    for teacher, record in run.sources.items():
        what = "rationales" if "rationales" in record else "answers"
        lines.append(
            f"| {what} of {teacher} | {record[what]} by {record['model']}, prompt '{record['recipe']}', "
            f"digest {record['digest']} |"
        )
    settings = {name: value for name, value in run.settings.items() if value is not None}
    lines += [
        "",
        "Made by:",
        "",
        f"    {run.command}",
        "",
        "Settings:",
        "",
        f"    {json.dumps(settings)}",
        "",
        "## How to ask it",
        "",
        *input_lines(run),
        "",
        "A causal student continues after a further line `Answer:`. It answers with the text of an option.",
    ]
    return "\n".join(lines) + "\n"


def input_lines(run: Run) -> list[str]:
    """An input as the run's student learned to read it, but for a context; in Markdown, as code."""
    return [
        f"    {ANSWER_PREFIX}QUESTION",
        "    Options:",
        "    (a) FIRST OPTION",
        "    (b) SECOND OPTION",
        *(f"    Rationale: WHAT {teacher} WRITES, WITHOUT THE GOLD ANSWER" for teacher in read_beside(run)),
    ]


def read_beside(run: Run) -> tuple[str, ...]:
    """The teachers whose texts stand in every input of the run's student, in their order."""
    return tuple(run.sources) if run.method == "pinto" else ()
