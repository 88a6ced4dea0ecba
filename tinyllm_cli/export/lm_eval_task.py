"""An lm-evaluation-harness task for the test split: a folder for its --include_path, which loads offline.

The YAML names columns of the JSONL and has no template, so the harness evaluates no text of a data set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.students.inputs import ANSWER_CUE, ANSWER_PREFIX, student_input

TASK_FOLDER = "lm-eval"
_ROWS = "test.jsonl"

_LOADER = f'''"""The questions beside this file, wherever the folder is."""

from pathlib import Path

import datasets


def load(**_):
    return datasets.load_dataset("json", data_files={{"test": str(Path(__file__).parent / "{_ROWS}")}})
'''

_TASK = """task: {name}
# {what}
custom_dataset: !function questions.load
test_split: test
output_type: multiple_choice
doc_to_text: {column}
doc_to_choice: options
doc_to_target: answer
target_delimiter: "{delimiter}"
num_fewshot: 0
metric_list:
  # The most likely option, by the sum over its tokens; acc_norm: by the sum per character.
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata:
  version: 1.0
"""


def task_name(dataset: str) -> str:
    """The name of a data set's task. It begins with `tinyllm_`: the harness has tasks called piqa and sciq."""
    return "tinyllm_" + re.sub(r"[^A-Za-z0-9_-]", "_", dataset)


def task_names(dataset: str) -> tuple[str, str]:
    """The task for decoder-only models, and the one for encoder-decoder models."""
    return task_name(dataset), f"{task_name(dataset)}_seq2seq"


def write_task(folder: Path, dataset: str, questions: Sequence[Question]) -> None:
    """Write the task to the new folder `folder`. Students read the same input as in `tinyllm eval`."""
    folder.mkdir()
    causal, seq2seq = task_names(dataset)
    rows = (json.dumps(_row(question), ensure_ascii=False) + "\n" for question in questions)
    (folder / _ROWS).write_text("".join(rows), encoding="utf-8")
    (folder / "questions.py").write_text(_LOADER, encoding="utf-8")
    for name, column, delimiter, what in (
        (causal, "prompt", " ", "For decoder-only models: they continue the line `Answer:`."),
        (seq2seq, "input", "", "For encoder-decoder models, such as T5."),
    ):
        text = _TASK.format(name=name, column=column, delimiter=delimiter, what=what)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def _row(question: Question) -> dict[str, object]:
    read = student_input(ANSWER_PREFIX, question)
    return {
        "id": question.key, "input": read, "prompt": read + ANSWER_CUE, "options": list(question.options),
        "answer": question.answer,
    }  # fmt: skip
