"""The card of what is published, in Markdown with the hub's front matter. Pure; every foreign text is escaped."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from tinyllm_cli import __version__
from tinyllm_cli.currency import with_currency
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.publish.facts import Facts, ResultFacts, Source, TeacherFacts, public
from tinyllm_cli.records.runs import Run
from tinyllm_cli.training.methods import METHODS
from tinyllm_cli.training.model_card import escaped, usage_lines

_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def check_license(name: str) -> str:
    """Raises UsageProblem for a text that is no identifier of a licence."""
    if not _LICENSE.fullmatch(name) or len(name) > 60:
        raise UsageProblem(
            f"{name!r} is not the identifier of a licence.", "For example: apache-2.0, cc-by-4.0, other."
        )
    return name.lower()


def student_card(run: Run, facts: Facts, license: str | None) -> str:
    """Of a student: what it is, how to ask it, and the facts."""
    base = next(one.name for one in facts.sources if one.role == "base model")
    front = ["library_name: transformers", f"tags: [tinyllm, {run.method}]"]
    if _HUB_NAME.fullmatch(base):
        front.append(f"base_model: {base}")
    settings = {
        name: public(value) if isinstance(value, str) else value
        for name, value in run.settings.to_json().items() if value is not None
    }  # fmt: skip
    alpha = ", ".join(f"{escaped(name)}={weight:g}" for name, weight in run.alpha.items()) or "none"
    seconds = run.metrics.get("training_seconds")
    return _text(
        front, license, f"{escaped(base)} on {escaped(run.dataset)}",
        [f"A student trained with tinyllm {run.versions.get('tinyllm', '')} on {METHODS[run.method].learns}."],
        facts,
        [
            "## Training", "",
            f"Method {run.method}, alpha {alpha}, seed {run.seed}"
            + (f", {seconds:,.0f} seconds of training." if seconds is not None else "."),
            "", f"    {json.dumps(settings)}", "",
            "## Input", "", *usage_lines(run),
        ],
    )  # fmt: skip


def rationales_card(dataset: str, files: Mapping[str, str], facts: Facts, license: str | None) -> str:
    """Of rationales. `files` maps each teacher to its file, which the hub shows as a configuration of that name."""
    front = ["task_categories: [multiple-choice]", "tags: [tinyllm, rationales]", "configs:"]
    for teacher, path in files.items():
        front += [f"- config_name: {json.dumps(_configuration(teacher))}", "  data_files:"]
        front += ["  - split: train", f"    path: {json.dumps(path)}"]
    first_teacher, first = next(iter(files.items()))
    return _text(
        front, license, f"Rationales for {escaped(dataset)}",
        ["Rationales for the training questions of a multiple-choice data set, one file per teacher."],
        facts,
        [
            "## Use", "",
            "A row has `question`, `context`, `options`, `answer` (an index from 0), `rationale` and `weight` (in",
            "tinyllm's objective). With the data set imported:", "",
            f"    {shlex.join(['tinyllm', 'import', first, '--teacher', first_teacher, '--dataset', dataset])}",
        ],
    )  # fmt: skip


def _configuration(teacher: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", teacher)


def _text(
    front: Sequence[str], license: str | None, title: str, opening: Sequence[str], facts: Facts, rest: Iterable[str]
) -> str:
    lines = [
        "---", *front, *([f"license: {license}"] if license else []), "---", "",
        f"# {title}", "", *opening, "",
        "## Sources", "",
        *_table(("", "name", "from", "licence"), map(_source, facts.sources)), "",
        *_rationales(facts),
        "## Results", "", *_results(facts.results), "",
        *rest, "",
        f"Published with tinyllm {__version__}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _source(one: Source) -> tuple[str, ...]:
    return one.role, escaped(one.name), escaped(one.origin), one.license or "not stated"


def _rationales(facts: Facts) -> list[str]:
    if not facts.teachers:
        return []
    gates = (
        "All rationales were used, whatever the gates find in them."
        if facts.gates is None
        else f"Gates judged every rationale, with these settings: `{json.dumps(dict(facts.gates))}`"
    )
    head = (
        "teacher",
        "prompt",
        "rationales",
        "questions",
        "rejected by the gates",
        "tokens in",
        "tokens out",
        with_currency("cost", facts.currency),
    )
    return ["## Rationales, gates and costs", "", *_table(head, map(_teacher, facts.teachers)), "", gates, ""]


def _teacher(one: TeacherFacts) -> tuple[str, ...]:
    rejected = ", ".join(f"{gate} {count}" for gate, count in one.rejected.items() if count) or "none"
    cost = "unknown" if one.cost is None else f"{'at least ' if one.partly else ''}{one.cost:.4f}"
    tokens = ("unknown" if count is None else f"{count:,}" for count in (one.prompt_tokens, one.completion_tokens))
    return (
        escaped(one.name), escaped(one.recipe), f"{one.rationales:,}", f"{one.questions:,}", escaped(rejected), *tokens,
        cost,
    )  # fmt: skip


def _results(results: Sequence[ResultFacts]) -> list[str]:
    if not results:
        return ["Not evaluated."]
    head = ("who", "questions", "scoring", "n", "accuracy", "95 % interval", "chance")
    return _table(
        head,
        (
            (
                escaped(one.who), escaped(one.questions), one.scoring, f"{one.n:,}", f"{one.accuracy:.1%}",
                f"{one.low:.1%} to {one.high:.1%}", f"{one.chance:.1%}",
            )
            for one in results
        ),
    )  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = (f"| {' | '.join(cells)} |" for cells in rows)
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines]
