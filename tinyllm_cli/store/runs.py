"""Runs, evaluations and predictions: what was trained and what it answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from tinyllm_cli.records.evaluations import Evaluation, Prediction, Scoring, Subject
from tinyllm_cli.records.runs import Run, RunState
from tinyllm_cli.store.database import Store, now
from tinyllm_cli.store.locks import holding

_JSON_COLUMNS = ("alpha", "settings", "lineage", "figures", "versions")


def start(
    store: Store,
    *,
    method: str,
    student: str,
    dataset: str,
    alpha: Mapping[str, float],
    seed: int,
    settings: Mapping[str, Any],
    lineage: Mapping[str, Any],
    command: str,
    versions: Mapping[str, str],
) -> Run:
    """A new run in state 'running'. Its folder is set by `locate`, since it is named by the run's number."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (alpha, settings, lineage, {}, versions)]
    row = store.one(
        "INSERT INTO runs (method, student, dataset, seed, state, folder, command, started,"
        " alpha, settings, lineage, figures, versions)"
        " VALUES (?, ?, ?, ?, 'running', '', ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (method, student, dataset, seed, command, now(), *texts),
    )
    assert row is not None
    return _run(row)


def same(store: Store, wanted: Mapping[str, Any]) -> list[Run]:
    """The runs of exactly this (method, student, dataset, alpha, seed, settings, lineage): those that are done first,
    then the newest first."""
    texts = [json.dumps(wanted[name], ensure_ascii=False) for name in ("alpha", "settings", "lineage")]
    rows = store.rows(
        "SELECT * FROM runs WHERE method = ? AND student = ? AND dataset = ? AND seed = ?"
        " AND alpha = ? AND settings = ? AND lineage = ? ORDER BY state = 'done' DESC, id DESC",
        (wanted["method"], wanted["student"], wanted["dataset"], wanted["seed"], *texts),
    )
    return list(map(_run, rows))


def resume(store: Store, run: int) -> Run:
    """Go on with a run that was broken off."""
    row = store.one("UPDATE runs SET state = 'running', error = NULL, finished = NULL WHERE id = ? RETURNING *", (run,))
    assert row is not None
    return _run(row)


def mark_killed(store: Store) -> None:
    """Runs that say 'running' while nobody holds their lock were killed."""
    for row in list(store.rows("SELECT id FROM runs WHERE state = 'running'")):
        with claiming(store, row["id"]) as held:
            if held:
                store.execute(
                    "UPDATE runs SET state = 'stopped', finished = ?, error = 'killed'"
                    " WHERE id = ? AND state = 'running'",
                    (now(), row["id"]),
                )


def claiming(store: Store, run: int) -> AbstractContextManager[bool]:
    """Hold the lock that shows that a run's process lives; False where another process has it."""
    return holding(store, f"run-{run}")


def locate(store: Store, run: int, folder: str) -> None:
    store.execute("UPDATE runs SET folder = ? WHERE id = ?", (folder, run))


def note_figures(store: Store, run: int, figures: Mapping[str, Any]) -> None:
    """Keep the figures of a run that goes on."""
    store.execute("UPDATE runs SET figures = ? WHERE id = ?", (json.dumps(figures, allow_nan=False), run))


def in_work(store: Store, student: str, dataset: str, alpha: Mapping[str, float], seed: int) -> list[Run]:
    """The runs of this student with these alphas that are in work, the newest first."""
    rows = store.rows(
        "SELECT * FROM runs WHERE state = 'running' AND student = ? AND dataset = ? AND alpha = ? AND seed = ?"
        " ORDER BY id DESC",
        (student, dataset, json.dumps(alpha, ensure_ascii=False), seed),
    )
    return list(map(_run, rows))


def finish(store: Store, run: int, state: RunState, figures: Mapping[str, Any], error: str | None = None) -> None:
    store.execute(
        "UPDATE runs SET state = ?, figures = ?, error = ?, finished = ? WHERE id = ?",
        (state, json.dumps(figures, allow_nan=False), error, now(), run),
    )


def find(store: Store, run: int) -> Run | None:
    row = store.one("SELECT * FROM runs WHERE id = ?", (run,))
    return _run(row) if row else None


def latest(store: Store) -> Run | None:
    """The newest one that is done."""
    row = store.one("SELECT * FROM runs WHERE state = 'done' ORDER BY id DESC LIMIT 1")
    return _run(row) if row else None


def everything(store: Store) -> list[Run]:
    return [_run(row) for row in store.rows("SELECT * FROM runs ORDER BY id")]


def _run(row: dict[str, Any]) -> Run:
    return Run(**{**row, **{name: json.loads(row[name]) for name in _JSON_COLUMNS}})


def open_evaluation(
    store: Store,
    subject: Subject,
    dataset: str,
    split: str,
    scoring: Scoring,
    *,
    questions: int,
    chance: float,
    majority: float,
) -> Evaluation:
    """The evaluation of this subject on these questions: the stored one, complete or begun, or a new one."""
    store.execute(
        "INSERT INTO evaluations (kind, subject, fingerprint, run, dataset, split, scoring, questions, chance,"
        " majority, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " chance = excluded.chance, majority = excluded.majority",
        (subject.kind, subject.name, subject.fingerprint, subject.run, dataset, split, scoring, questions, chance,
         majority, now()),
    )  # fmt: skip
    row = store.one(
        "SELECT * FROM evaluations WHERE kind = ? AND subject = ? AND fingerprint = ? AND dataset = ? AND split = ?"
        " AND scoring = ? AND questions = ?",
        (subject.kind, subject.name, subject.fingerprint, dataset, split, scoring, questions),
    )
    assert row is not None
    return _evaluation(row)


def forget_stale(store: Store, evaluation: Evaluation) -> None:
    """Drop predictions of questions that are no longer among those asked as they were answered; the evaluation is
    open again then."""
    with store.writing():
        dropped = store.execute(
            "DELETE FROM predictions WHERE evaluation = ? AND NOT EXISTS (SELECT 1 FROM dataset_questions dq WHERE"
            " dq.dataset = ? AND dq.split = ? AND dq.position < ?"
            " AND dq.key = predictions.key AND dq.question = predictions.question)",
            (evaluation.id, evaluation.dataset, evaluation.split, evaluation.questions),
        ).rowcount
        if dropped:
            store.execute("UPDATE evaluations SET correct = NULL WHERE id = ?", (evaluation.id,))


def predicted_keys(store: Store, evaluation: int) -> set[str]:
    return {row["key"] for row in store.rows("SELECT key FROM predictions WHERE evaluation = ?", (evaluation,))}


def add_predictions(store: Store, evaluation: int, predictions: Iterable[Prediction]) -> None:
    """Keep predictions; committed when this returns."""
    with store.atomic():
        store.executemany(
            "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    evaluation,
                    p.key,
                    p.question,
                    p.option,
                    p.correct,
                    json.dumps(p.scores) if p.scores else None,
                    p.text,
                    p.input_cut,
                )
                for p in predictions
            ],
        )


def complete_evaluation(store: Store, evaluation: int, seconds: float) -> Evaluation:
    """Count the predictions and mark the evaluation complete. `seconds` adds to those of earlier, broken-off runs."""
    row = store.one(
        "UPDATE evaluations SET seconds = coalesce(seconds, 0) + ?,"
        " correct = (SELECT coalesce(sum(correct), 0) FROM predictions WHERE evaluation = evaluations.id),"
        " unparseable = (SELECT count(*) FROM predictions WHERE evaluation = evaluations.id AND option IS NULL),"
        " inputs_cut = (SELECT coalesce(sum(input_cut), 0) FROM predictions WHERE evaluation = evaluations.id)"
        " WHERE id = ? RETURNING *",
        (seconds, evaluation),
    )
    assert row is not None
    return _evaluation(row)


def evaluations(store: Store) -> list[Evaluation]:
    """Every complete evaluation, in the order in which they were begun."""
    return [_evaluation(row) for row in store.rows("SELECT * FROM evaluations WHERE correct IS NOT NULL ORDER BY id")]


def outdated(store: Store) -> set[int]:
    """The complete evaluations that answered a question which their split, or as much of it as they were limited to,
    no longer holds as it was."""
    rows = store.rows(
        "SELECT id FROM evaluations e WHERE correct IS NOT NULL AND EXISTS ("
        " SELECT 1 FROM predictions p LEFT JOIN dataset_questions dq ON dq.dataset = e.dataset AND dq.split = e.split"
        " AND dq.key = p.key AND dq.question = p.question AND dq.position < e.questions"
        " WHERE p.evaluation = e.id AND dq.key IS NULL)"
    )
    return {row["id"] for row in rows}


def predictions(store: Store, evaluation: int) -> Iterator[Prediction]:
    for row in store.rows("SELECT * FROM predictions WHERE evaluation = ? ORDER BY key", (evaluation,)):
        yield Prediction(
            key=row["key"],
            question=row["question"],
            option=row["option"],
            correct=bool(row["correct"]),
            scores=tuple(json.loads(row["scores"])) if row["scores"] else None,
            text=row["text"],
            input_cut=bool(row["input_cut"]),
        )


def _evaluation(row: dict[str, Any]) -> Evaluation:
    subject = Subject(kind=row["kind"], name=row["subject"], fingerprint=row["fingerprint"], run=row["run"])
    rest = {key: row[key] for key in row if key not in ("kind", "subject", "fingerprint", "run")}
    return Evaluation(subject=subject, **rest)
