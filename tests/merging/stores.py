"""Small databases with every kind of row, and their contents without numbers."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from backends.base import Completion, Failure, Sampling
from tests.conftest import keep, make_questions, ring
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import RunSettings, SelectionRecord, TrainSettings
from tinyllm_cli.records.usefulness import Scorer, TextScore
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.store.experiments import CellOutcome
from tinyllm_cli.store.verdicts import StoredVerdict

QUESTIONS = (*make_questions(4), *make_questions(2, split="test"))
TEACHERS = ("parrot", "owl")
_START = count()


def asking(teacher: str, **changes: Any) -> ElicitationConfig:
    plain = ElicitationConfig(teacher=teacher, backend="scripted", model="m", revision="", sampling=Sampling())
    return replace(plain, **changes)


@contextmanager
def opened(path: Path, template: Path) -> Iterator[Store]:
    """A database with the data set; `template` is copied, which is quicker than its migrations."""
    if not template.exists():
        with open_store(template) as store:
            store.questions.replace("toy", "here", "1", QUESTIONS)
            store.execute("UPDATE datasets SET imported = '2026-01-01'")
    shutil.copyfile(template, path)
    with open_store(path) as store:
        yield store


def prompt_for(question: Question, icl: int = 1) -> Any:
    recipe = Recipe(icl=icl)
    pool = [one for one in QUESTIONS if one.split == "train"]
    return build_prompt(question, recipe, draw_examples(question, recipe, ring(pool)))


@dataclass(frozen=True)
class Row:
    """One thing that a database holds. `kind` says what; the numbers choose from small lists."""

    kind: str
    question: int
    teacher: int
    value: int

    def put(self, store: Store) -> None:
        getattr(self, f"_{self.kind}")(store)

    @property
    def _asked(self) -> Question:
        return QUESTIONS[self.question % len(QUESTIONS)]

    @property
    def _teacher(self) -> str:
        return TEACHERS[self.teacher % len(TEACHERS)]

    def _reply(self, store: Store) -> int:
        config = asking(self._teacher)
        store.rationales.add_asking(config)
        outcome = Completion(text=f"Because {self.value}.", finish_reason="stop", prompt_tokens=3, cost=0.5)
        keep(store, config, prompt_for(self._asked), self.value % 2, outcome)
        row = store.one("SELECT id FROM rationales ORDER BY id DESC LIMIT 1")
        assert row is not None
        return int(row["id"])

    def _failure(self, store: Store) -> None:
        config = asking(self._teacher)
        store.rationales.add_asking(config)
        prompt = prompt_for(self._asked)
        if (prompt.hash, self.value % 2) not in store.rationales.answered(config, [self._asked.hash]):
            keep(store, config, prompt, self.value % 2, Failure(reason=f"reason {self.value}", attempts=1))

    def _verdict(self, store: Store) -> None:
        store.verdicts.add_gates("g" * 8, {"echo": True})
        id = self._reply(store)
        store.verdicts.add("g" * 8, [StoredVerdict(rationale=id, verdict="kept", text=None, findings=[])])

    def _human(self, store: Store) -> None:
        id = self._reply(store)
        at = f"2026-01-0{1 + self.value % 9}T00:00:00.000+00:00"
        who = ("ann", "bo")[self.teacher % 2]
        reason = f"reason {self.value}"
        store.human_verdicts.add(
            [HumanVerdict(rationale=id, reviewer=who, at=at, verdict="reject", text=None, reason=reason, sheet=None)]
        )

    def _score(self, store: Store) -> None:
        score = TextScore(rationale=self._reply(store), text_hash="t", value=float(self.value), input_truncated=False)
        store.usefulness.add(Scorer(model="m", fingerprint=""), [score])
        store.learnability.add(Scorer(model="m", fingerprint=""), [score])

    def _elicitation(self, store: Store) -> None:
        config = asking(self._teacher)
        store.rationales.add_asking(config)
        with store.elicitations.working(config, "toy", "train", Recipe(), "EUR") as worker:
            worker.finish("done", [])
        store.execute("UPDATE elicitations SET started = ? WHERE id = ?", (f"2026-02-{next(_START)}", worker.number))

    def _run(self, store: Store) -> int:
        identity = RunIdentity(
            method="tinyllm", student="s", dataset="toy", alpha={self._teacher: 1.0}, seed=next(_START),
            settings=RunSettings(
                train=TrainSettings(), limit=None, prefixes={}, selection=SelectionRecord(), fingerprint="", data="d",
                environment=None,
            ),
            sources={}, versions={},
        )  # fmt: skip
        run = store.runs.start(identity, command="distill")
        store.runs.locate(run.id, str(store.path.parent / f"{store.path.stem}-runs" / f"{run.id}-s-toy"))
        store.runs.finish(run.id, ("done", "stopped", "failed")[self.value % 3], {"best_step": self.value})
        return run.id

    def _evaluation(self, store: Store) -> tuple[int, int]:
        run = self._run(store)
        split = EvaluatedQuestions(dataset="toy", split="test", count=2, chance=0.25, majority=0.5)
        found = store.evaluations.open(Subject(kind="run", name=f"run {run}", run=run, step=1), "rank", split)
        those = [one for one in QUESTIONS if one.split == "test"][: 1 + self.value % 2]
        store.evaluations.add_predictions(
            found.id,
            [
                Prediction(key=one.key, question=one.hash, option=0, correct=one.answer == 0, scores=(0.5, 1.0),
                           text=None, input_truncated=False)
                for one in those
            ],
        )  # fmt: skip
        if len(those) == 2:
            store.evaluations.complete(found.id, 1.0)
        return run, found.id

    def _experiment(self, store: Store) -> None:
        cells = [{"label": {"seed": number}, "identity": f"identity {self.value} {number}"} for number in (0, 1)]
        number = store.experiments.open_experiment("seeds", {"cells": cells, "value": self.value}, "experiment")
        run, evaluation = self._evaluation(store)
        store.experiments.note(number, 0, "done", CellOutcome(run=run, evaluation=evaluation, seconds=1.0))
        search = store.experiments.open_experiment("alpha-search", {"search": "s"}, "search")
        place = store.experiments.add_cell(search, {"trial": self.value})
        store.experiments.note(search, place, "done", CellOutcome(run=run))


OF_TEACHERS = ("reply", "failure", "verdict", "human", "score", "elicitation")
KINDS = (*OF_TEACHERS, "run", "evaluation", "experiment")
rows = st.lists(
    st.builds(Row, st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 1), st.integers(0, 5)), max_size=8
)

_RATIONALE = "r.question, r.teacher, r.prompt, r.sampling, r.sample, r.text"
_JOINED = {
    "verdicts": f"SELECT {_RATIONALE}, t.* FROM verdicts t JOIN rationales r ON r.id = t.rationale",
    "usefulness": f"SELECT {_RATIONALE}, t.* FROM usefulness t JOIN rationales r ON r.id = t.rationale",
    "learnability": f"SELECT {_RATIONALE}, t.* FROM learnability t JOIN rationales r ON r.id = t.rationale",
    "human_verdicts": f"SELECT {_RATIONALE}, t.* FROM human_verdicts t JOIN rationales r ON r.id = t.rationale",
    "evaluations": "SELECT u.started, t.* FROM evaluations t LEFT JOIN runs u ON u.id = t.run",
    "predictions": "SELECT e.created AS of, u.seed, t.* FROM predictions t JOIN evaluations e ON e.id = t.evaluation"
    " LEFT JOIN runs u ON u.id = e.run",
    "cells": "SELECT e.plan, u.seed, t.* FROM cells t JOIN experiments e ON e.id = t.experiment LEFT JOIN runs u ON"
    " u.id = t.run",
}
_NUMBERS = ("id", "rationale", "run", "evaluation", "experiment", "elicitation", "folder", "subject", "number")
TABLES = (
    "datasets", "questions", "dataset_questions", "recipes", "prompts", "samplings", "gates", "rationales", "failures",
    "verdicts", "usefulness", "learnability", "human_verdicts", "elicitations", "batches", "claims", "runs",
    "evaluations", "predictions", "experiments", "cells", "other_shards", "currency",
)  # fmt: skip
RESULTS = ("runs", "evaluations", "predictions", "experiments", "cells")


def content(store: Store) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of every table, with what they refer to in place of its number; trials of searches without places."""
    found = {}
    for table in TABLES:
        kept = []
        for row in store.rows(_JOINED.get(table, f"SELECT * FROM {table}")):
            if table == "cells" and row["identity"] is None:
                row.pop("position")
            kept.append(tuple(value for name, value in row.items() if name not in _NUMBERS))
        found[table] = Counter(kept)
    return found
