"""The model card of a saved student: what it is, how it was made, which input it reads."""

from __future__ import annotations

import json
import re

from tinyllm_cli.records.runs import Run
from tinyllm_cli.students.inputs import ANSWER_PREFIX, EXPLAIN_PREFIX
from tinyllm_cli.training.methods import METHODS


def model_card(run: Run, step: int, valid_accuracy: float | None) -> str:
    """Markdown with the front matter that the hub reads. Names and texts are escaped: none can add markup or rows."""
    student, dataset = escaped(run.student), escaped(run.dataset)
    chosen = "the last" if valid_accuracy is None else f"chosen on the valid split by {run.settings.train.select_by}"
    rows = [
        ("data set", f"{dataset}, split train"),
        ("alpha", ", ".join(f"{escaped(name)}={weight:g}" for name, weight in run.alpha.items()) or "none"),
        ("checkpoint", f"step {step}, {chosen}"),
        ("valid accuracy", "no valid split" if valid_accuracy is None else f"{valid_accuracy:.1%}"),
        ("seed", str(run.seed)),
        ("started", run.started),
        ("versions", ", ".join(f"{name} {number}" for name, number in run.versions.items())),
    ]
    for teacher, record in run.sources.items():
        what = "rationales" if "rationales" in record else "answers"
        source = f"{record[what]} by {escaped(str(record['model']))}, prompt '{escaped(str(record['recipe']))}'"
        rows.append((f"{what} of {escaped(teacher)}", f"{source}, digest {record['digest']}"))
    settings = {name: value for name, value in run.settings.to_json().items() if value is not None}
    lines = [
        "---",
        f"base_model: {json.dumps(run.student)}",
        f"tags: [tinyllm, {run.method}]",
        "library_name: transformers",
        "---",
        "",
        f"# {student} on {dataset}",
        "",
        f"A student trained with tinyllm {run.versions['tinyllm']} on {METHODS[run.method].learns}.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "Made by:",
        "",
        f"    {one_line(run.command)}",
        "",
        "Settings:",
        "",
        f"    {json.dumps(settings)}",
        "",
        "## Input",
        "",
        *usage_lines(run),
    ]
    return "\n".join(lines) + "\n"


_LAST_LINES = {
    "multitask": "A causal student reads one more line, `Answer:`. The answer is the text of an option.",
    "answer-first": "A causal student reads one more line, `Answer:`. The text of an option and a rationale follow.",
    "rationale-first": "A causal student reads one more line, `Rationale:`. Rationales, `Answer:` and the text of an"
    " option follow.",
}


def usage_lines(run: Run) -> list[str]:
    """How to ask a run's student, in Markdown."""
    return [*input_lines(run), "", _LAST_LINES[run.explains or "multitask"]]


def input_lines(run: Run) -> list[str]:
    """An input as the run's student was trained to read it, without a context; in Markdown, as code."""
    return [
        f"    {EXPLAIN_PREFIX if run.explains == 'rationale-first' else ANSWER_PREFIX}QUESTION",
        "    Options:",
        "    (a) FIRST OPTION",
        "    (b) SECOND OPTION",
        *(f"    Rationale: WHAT {one_line(name)} WRITES, WITHOUT THE GOLD ANSWER" for name in read_beside(run)),
    ]


def read_beside(run: Run) -> tuple[str, ...]:
    """The teachers whose texts are in every input of the run's student, in their order."""
    return tuple(run.sources) if run.method == "pinto" else ()


def escaped(text: str) -> str:
    """`text` in a line of Markdown, as it is: no markup, no HTML, no table cell, no control characters."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def one_line(text: str) -> str:
    """`text` without control and direction characters, and white space as single spaces."""
    return " ".join("".join(one for one in text if one.isprintable() or one.isspace()).split())
