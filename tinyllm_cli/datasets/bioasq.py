"""BioASQ task B: the yes/no questions of the organisers' JSON. There is no open copy on the hub."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tinyllm_cli.datasets.parse import Where, answer_index
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import read_rows

OPTIONS = ("yes", "no")


def bioasq_questions(path: Path, dataset: str) -> Iterator[Question]:
    """Yes/no questions, their snippets as context. A fifth is test and a tenth valid, drawn with seed 0 over the
    questions in their order (the paper's 123 test questions are a fifth as well; it names no rule)."""
    total = sum(1 for row in read_rows(path) if row.get("type") == "yesno")
    order = list(range(total))
    random.Random(0).shuffle(order)
    test, valid = set(order[: total // 5]), set(order[total // 5 : total // 5 + total // 10])
    number = 0
    for place, row in enumerate(read_rows(path), start=1):
        if row.get("type") != "yesno":
            continue
        where = Where(file=path.name, row=place)
        for field in ("id", "body", "exact_answer"):
            if not row.get(field):
                raise where.problem(field, "it is missing.")
        answer = row["exact_answer"]
        answer = answer[0] if isinstance(answer, list) else answer
        yield Question(
            dataset=dataset,
            split="test" if number in test else "valid" if number in valid else "train",
            key=str(row["id"]),
            text=str(row["body"]).strip(),
            options=OPTIONS,
            answer=answer_index(str(answer).lower().rstrip("."), OPTIONS, (), where),
            context="\n".join(str(snippet.get("text", "")) for snippet in row.get("snippets") or ()) or None,
        )
        number += 1
