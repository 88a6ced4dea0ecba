"""Counts over rationales and failures: what is missing, what failed, what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import Sampling
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store.database import Database

_REPLIES = (
    "SELECT 1 FROM rationales r JOIN prompts own ON own.hash = r.prompt WHERE r.question = f.question"
    " AND r.teacher = f.teacher AND r.sampling = f.sampling AND own.recipe = p.recipe"
)
OUTSTANDING = f"NOT EXISTS ({_REPLIES} AND r.sample = f.sample)"
"""Of a failure f and its prompt p: there is no reply, also to no other prompt of the same recipe, such as one with
other in-context examples."""

NEWEST = "max(r.created || printf(' %020d', r.id))"
"""Chooses the newest of several rationales r: SQLite takes the other columns of the row with the maximum. A merge may
add an older one later, with a greater number."""

_SAME_SET = "f.teacher = ? AND f.sampling = ? AND p.recipe = ?"


@dataclass(frozen=True, kw_only=True)
class ElicitationUsage:
    """Tokens and cost; None when unknown. `partly`: the cost is known for some calls only, so it is a lower bound."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    partly: bool


@dataclass(frozen=True, kw_only=True)
class Faulty:
    """A rationale with a finding of `gate`."""

    gate: str
    rationale: int
    key: str


class StatsQueries:
    """Queries of `store.rationale_stats`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def unanswered(self, dataset: str, split: str, variant: RationaleSet) -> int:
        """The number of questions of a split with a failure and no reply in this set."""
        row = self._db.one(
            "SELECT count(DISTINCT dq.position) AS n FROM dataset_questions dq JOIN failures f ON f.question ="
            " dq.question"
            f" JOIN prompts p ON p.hash = f.prompt WHERE dq.dataset = ? AND dq.split = ? AND {_SAME_SET}"
            f" AND NOT EXISTS ({_REPLIES})",
            (dataset, split, variant.teacher, variant.sampling, variant.recipe.name),
        )
        return int(row["n"]) if row else 0

    def silent(self, dataset: str, split: str) -> list[str]:
        """Teachers with failures and without any reply for a split."""
        rows = self._db.rows(
            "SELECT f.teacher FROM dataset_questions dq JOIN failures f ON f.question = dq.question"
            " WHERE dq.dataset = ? AND dq.split = ? EXCEPT"
            " SELECT r.teacher FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
            " WHERE dq.dataset = ? AND dq.split = ? ORDER BY 1",
            (dataset, split, dataset, split),
        )
        return [row["teacher"] for row in rows]

    def spent(self, dataset: str, split: str, how: tuple[str, str, str]) -> ElicitationUsage:
        """The tokens and cost of every call, failures and retries included; where no elicitation is recorded, of the
        replies alone. A reply that counts for several data sets is paid in one of them. `how` is (teacher, sampling,
        name of the recipe)."""
        columns = ("prompt_tokens", "completion_tokens", "cost")
        sums = ", ".join(f"sum({{0}}{name}) AS {name}" for name in columns)
        asked = "teacher = ? AND sampling = ? AND recipe = ?"
        if self._db.one(f"SELECT 1 AS found FROM elicitations WHERE {asked} LIMIT 1", how):
            row = self._db.one(
                f"SELECT {sums.format('')}, coalesce(max(cost IS NULL AND calls > 0), 0) AS partly FROM elicitations"
                f" WHERE {asked} AND dataset = ? AND split = ?",
                (*how, dataset, split),
            )
        else:
            row = self._db.one(
                f"SELECT {sums.format('r.')}, coalesce(max(r.cost IS NULL), 0) AS partly"
                " FROM (SELECT DISTINCT dataset, split, question FROM dataset_questions) dq"
                " JOIN rationales r ON r.question = dq.question JOIN prompts p ON p.hash = r.prompt"
                " WHERE r.teacher = ? AND r.sampling = ? AND p.recipe = ? AND dq.dataset = ? AND dq.split = ?",
                (*how, dataset, split),
            )
        assert row is not None
        return ElicitationUsage(**{**row, "partly": bool(row["partly"]) and row["cost"] is not None})

    def sampling_of(self, variant: RationaleSet) -> tuple[str, Sampling]:
        """The backend and the sampling parameters."""
        row = self._db.one(
            "SELECT backend, temperature, top_p, max_tokens, stop, seed FROM samplings WHERE hash = ?",
            (variant.sampling,),
        )
        assert row is not None
        backend = row.pop("backend")
        return backend, Sampling(**{**row, "stop": tuple(self._db.decoded(row["stop"], list, "samplings.stop"))})

    def one_by_gate(self, dataset: str, variant: RationaleSet, gates: str) -> list[Faulty]:
        """For each gate the first training rationale of this set with a finding of it, run with the settings `gates`
        (a hash), and without a human verdict; the gate with most findings first. The rationales are those of
        `rationales.iterate`."""
        rows = self._db.rows(
            f"WITH learned AS (SELECT {NEWEST} AS newest, r.id, dq.key FROM dataset_questions dq"
            " JOIN rationales r ON r.question = dq.question JOIN prompts p ON p.hash = r.prompt WHERE dq.dataset = ?"
            " AND dq.split = 'train' AND r.teacher = ? AND r.sampling = ? AND p.recipe = ? GROUP BY dq.position,"
            " r.sample)"
            " SELECT json_extract(f.value, '$[0]') AS gate, min(learned.id) AS rationale, learned.key"
            " FROM learned JOIN verdicts v ON v.rationale = learned.id, json_each(v.findings) f WHERE v.gates = ?"
            " AND NOT EXISTS (SELECT 1 FROM human_verdicts h WHERE h.rationale = learned.id)"
            " GROUP BY 1 ORDER BY count(*) DESC",
            (dataset, variant.teacher, variant.sampling, variant.recipe.name, gates),
        )
        return [Faulty(**row) for row in rows]
