"""One question: its positions, its rationales and its predictions."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from typing import Any

from backends.base import Message
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store.database import Database
from tinyllm_cli.store.human_verdicts import HumanVerdictQueries
from tinyllm_cli.store.rationale_rows import messages_of
from tinyllm_cli.store.rationale_stats import OUTSTANDING

_WORDS = "q.text || ' ' || (SELECT group_concat(value, ' ') FROM json_each(q.options))"
_SHORTEST_HASH = 6  # fewer hexadecimal digits may be a word
_HASH = 32
_MOST_WORDS = 200  # different ones; SQLite accepts 1000 conditions


@dataclass(frozen=True, kw_only=True)
class Place:
    """A question of a data set. `question` is its hash."""

    dataset: str
    split: str
    key: str
    question: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict of the gates with the settings `gates` (a hash). `text` is what is left of a repaired rationale."""

    gates: str
    verdict: str
    text: str | None
    findings: tuple[tuple[str, str, bool], ...]
    """(gate, reason, repaired)."""


@dataclass(frozen=True, kw_only=True)
class GainRow:
    """How much a rationale raises the log-probability of the gold option among the options, in nats. `text_hash` is the
    hash of the text that was scored."""

    model: str
    gain: float
    text_hash: str


@dataclass(frozen=True, kw_only=True)
class ReplyRow:
    """A rationale with its prompt, sampling, verdicts and usefulness. `text` is raw; `recipe` is a name."""

    id: int
    teacher: str
    model: str
    backend: str
    recipe: str
    teacher_forcing: bool
    sampling: str
    temperature: float | None
    sample: int
    text: str
    reasoning: str | None
    answer: int | None
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    cost: float | None
    attempts: int
    created: str
    messages: tuple[Message, ...]
    judgements: tuple[Judgement, ...]
    gains: tuple[GainRow, ...]
    human: tuple[HumanVerdict, ...] = ()
    """What people decided, the verdict that counts last."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request without a usable reply."""

    teacher: str
    recipe: str
    sample: int
    reason: str
    attempts: int
    at: str


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """The answer of a student, a model or a teacher; `option` is None when it is unparseable."""

    who: str
    kind: str
    run: int | None
    method: str | None
    student: str | None
    dataset: str
    split: str
    scoring: str
    option: int | None
    correct: bool
    text: str | None
    created: str


class LookupQueries:
    """Queries of `store.lookup`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def places(self, wanted: str, dataset: str | None, split: str | None) -> list[Place]:
        """The questions that `wanted` identifies: by key, else by the beginning of a hash, else by words of the
        question and its options."""
        found = self._places("dq.key = ?", (wanted,), dataset, split)
        if not found and _SHORTEST_HASH <= len(wanted) <= _HASH and set(wanted.lower()) <= set(string.hexdigits):
            start = wanted.lower()
            found = self._places("dq.question BETWEEN ? AND ?", (start, f"{start}g"), dataset, split)
        words = tuple(dict.fromkeys(word.casefold() for word in wanted.split()))[:_MOST_WORDS]
        if not found and words:
            has = " AND ".join(f"instr(casefold({_WORDS}), ?)" for _ in words)
            found = self._places(has, words, dataset, split)
        return found

    def _places(self, condition: str, values: tuple[str, ...], dataset: str | None, split: str | None) -> list[Place]:
        rows = self._db.rows(
            "SELECT dq.dataset, dq.split, dq.key, dq.question, q.text FROM datasets d CROSS JOIN json_each(?) s"
            " CROSS JOIN dataset_questions dq ON dq.dataset = d.name AND dq.split = s.value"
            f" CROSS JOIN questions q ON q.hash = dq.question WHERE ({condition})"
            " AND (? IS NULL OR d.name = ?) AND (? IS NULL OR s.value = ?) ORDER BY d.name, s.key, dq.position",
            (json.dumps(SPLITS), *values, dataset, dataset, split, split),
        )
        return [Place(**row) for row in rows]

    def question_at(self, place: Place) -> Question:
        """The content of a question that `places` found."""
        row = self._db.one("SELECT * FROM questions WHERE hash = ?", (place.question,))
        assert row is not None
        return Question(
            dataset=place.dataset, split=place.split, key=place.key, text=row["text"],
            options=tuple(self._db.decoded(row["options"], list, "questions.options")),
            answer=row["answer"], context=row["context"],
        )  # fmt: skip

    def everywhere(self, question: str) -> list[Place]:
        """All positions of a question, by its hash."""
        return self._places("dq.question = ?", (question,), None, None)

    def replies(self, question: str) -> list[ReplyRow]:
        """Every rationale for a question, by teacher, the newest last."""
        rows = self._db.rows(
            "SELECT r.id, r.teacher, s.model, s.backend, p.recipe, c.teacher_forcing, r.sampling, s.temperature,"
            " r.sample,"
            " r.text, r.reasoning, r.answer, r.finish_reason, r.prompt_tokens, r.completion_tokens, r.seconds, r.cost,"
            " r.attempts, r.created, p.messages FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            " JOIN samplings s ON s.hash = r.sampling JOIN recipes c ON c.name = p.recipe WHERE r.question = ?"
            " ORDER BY r.teacher, r.id",
            (question,),
        )
        return [self._reply(row) for row in list(rows)]

    def _reply(self, row: dict[str, Any]) -> ReplyRow:
        verdicts = self._db.rows(
            "SELECT v.* FROM verdicts v JOIN gates g ON g.hash = v.gates WHERE v.rationale = ? ORDER BY g.created,"
            " g.rowid",
            (row["id"],),
        )
        gains = self._db.rows(
            "SELECT trim(model || ' ' || model_fingerprint) AS model, gain, text_hash FROM usefulness"
            " WHERE rationale = ? ORDER BY 1, created",
            (row["id"],),
        )
        return ReplyRow(
            **{
                **row,
                "teacher_forcing": bool(row["teacher_forcing"]),
                "messages": messages_of(self._db, row["messages"]),
            },
            judgements=tuple(
                Judgement(
                    gates=one["gates"], verdict=one["verdict"], text=one["text"],
                    findings=tuple(
                        (found[0], found[1], bool(found[2]))
                        for found in self._db.decoded(one["findings"], list, "verdicts.findings")
                    ),
                )
                for one in verdicts
            ),
            gains=tuple(GainRow(**one) for one in gains),
            human=tuple(HumanVerdictQueries(self._db).history(row["id"])),
        )  # fmt: skip

    def refusals(self, question: str) -> list[Refusal]:
        """Failures of a question without a later reply."""
        rows = self._db.rows(
            "SELECT f.teacher, p.recipe, f.sample, f.reason, f.attempts, f.at FROM failures f"
            f" JOIN prompts p ON p.hash = f.prompt WHERE f.question = ? AND {OUTSTANDING} ORDER BY f.teacher, f.at",
            (question,),
        )
        return [Refusal(**row) for row in rows]

    def predictions(self, place: Place) -> list[PredictionRow]:
        """All predictions for a question."""
        rows = self._db.rows(
            "SELECT e.subject AS who, e.kind, e.run, u.method, u.student, e.dataset, e.split, e.scoring, p.option,"
            " p.correct, p.text, e.created FROM evaluations e"
            " JOIN predictions p ON p.evaluation = e.id AND p.key = ? LEFT JOIN runs u ON u.id = e.run"
            " WHERE e.dataset = ? AND e.split = ? AND p.question = ? ORDER BY e.id",
            (place.key, place.dataset, place.split, place.question),
        )
        return [PredictionRow(**{**row, "correct": bool(row["correct"])}) for row in rows]
