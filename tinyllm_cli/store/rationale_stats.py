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

ONLY_RECIPE = (
    "LEFT JOIN (SELECT teacher, sampling, min(recipe) AS recipe FROM rationale_sets GROUP BY teacher, sampling"
    " HAVING count(*) = 1) only ON only.teacher = r.teacher AND only.sampling = r.sampling"
)
"""Joins to rationales r the recipe of those whose teacher had no other one with this sampling."""

RECIPE = "coalesce(only.recipe, (SELECT p.recipe FROM prompts p WHERE p.hash = r.prompt))"
"""The recipe of a rationale r joined so: most need no look at their prompt."""

IN_SET = (
    "CROSS JOIN rationales r ON r.question = dq.question AND r.teacher = ? AND r.sampling = ?"
    f" {ONLY_RECIPE} WHERE {RECIPE} = ?"
)
"""Joins to questions dq the rationales r of one set: teacher, sampling and recipe."""

_SAME_SET = "f.teacher = ? AND f.sampling = ? AND p.recipe = ?"


def contents(bound: str | None = None) -> str:
    """Each different question of a split, as `dq`; with `bound`, those up to this hash. A question at two positions of
    a split was requested, and paid for, once."""
    within = "" if bound is None else " AND question <= ?"
    return f"(SELECT DISTINCT question FROM dataset_questions WHERE dataset = ? AND split = ?{within}) dq"


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
            "SELECT count(DISTINCT dq.position) AS n FROM failures f CROSS JOIN prompts p ON p.hash = f.prompt"
            " CROSS JOIN dataset_questions dq ON dq.question = f.question"
            f" WHERE dq.dataset = ? AND dq.split = ? AND {_SAME_SET} AND NOT EXISTS ({_REPLIES})",
            (dataset, split, *variant.address),
        )
        return int(row["n"]) if row else 0

    def silent(self, dataset: str, split: str) -> list[str]:
        """Teachers with failures and without any reply for a split."""
        rows = self._db.rows(
            "SELECT t.teacher FROM (SELECT DISTINCT teacher FROM failures) t WHERE EXISTS (SELECT 1 FROM failures f"
            " CROSS JOIN dataset_questions dq ON dq.question = f.question WHERE f.teacher = t.teacher"
            " AND dq.dataset = ? AND dq.split = ?) AND NOT EXISTS (SELECT 1 FROM dataset_questions dq"
            " CROSS JOIN rationales r ON r.question = dq.question AND r.teacher = t.teacher"
            " WHERE dq.dataset = ? AND dq.split = ?) ORDER BY 1",
            (dataset, split, dataset, split),
        )
        return [row["teacher"] for row in rows]

    def distinct(self, dataset: str, split: str, variant: RationaleSet) -> int:
        """The number of (position, sample) of a split with a rationale in this set: of several that differ only in the
        prompt one counts."""
        if variant.samples == 1:
            return variant.questions
        row = self._db.one(
            f"SELECT count(DISTINCT dq.position || ' ' || r.sample) AS n FROM dataset_questions dq {IN_SET}"
            " AND dq.dataset = ? AND dq.split = ?",
            (*variant.address, dataset, split),
        )
        return int(row["n"]) if row else 0

    def replies(self, dataset: str, split: str, variant: RationaleSet) -> int:
        """The number of (content, sample) of a split with a rationale in this set: of several that differ only in the
        prompt one counts, and so does a question that a split holds twice."""
        (places,) = self._db.kept(
            "SELECT count(*) - count(DISTINCT question) AS again FROM dataset_questions"
            " WHERE dataset = ? AND split = ?",
            (dataset, split),
        )
        if variant.samples == 1 and places["again"] == 0:
            return variant.questions
        row = self._db.one(
            f"SELECT count(DISTINCT r.question || ' ' || r.sample) AS n FROM {contents()} {IN_SET}",
            (dataset, split, *variant.address),
        )
        return int(row["n"]) if row else 0

    def spent(self, dataset: str, split: str, how: tuple[str, str, str], bound: str | None = None) -> ElicitationUsage:
        """The tokens and cost of every call, failures and retries included; where no elicitation is recorded, of the
        replies alone. A reply that counts for several data sets is paid in one of them. `how` is (teacher, sampling,
        name of the recipe).

        With `bound`, the greatest hash of a sample, such replies are unknown where those of the sample are: files of
        recorded rationales rarely have tokens and costs."""
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
            query = f"SELECT {sums.format('r.')}, coalesce(max(r.cost IS NULL), 0) AS partly FROM {{}} {IN_SET}"
            row = None
            if bound is not None:
                row = self._db.one(query.format(contents(bound)), (dataset, split, bound, *how))
            if row is None or any(row[name] is not None for name in columns):
                row = self._db.one(query.format(contents()), (dataset, split, *how))
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

    def one_by_gate(self, dataset: str, variant: RationaleSet, gates: str, bound: str | None = None) -> list[Faulty]:
        """For each gate the first training rationale of this set with a finding of it, run with the settings `gates`
        (a hash), and without a human verdict; the gate with most findings first. The rationales are those of
        `rationales.of`, with `bound` those of the questions up to this hash."""
        rows = self._db.rows(
            f"WITH learned AS (SELECT {NEWEST} AS newest, r.id, dq.key FROM dataset_questions dq"
            f" CROSS JOIN rationales r ON r.question = dq.question AND r.teacher = ? AND r.sampling = ? {ONLY_RECIPE}"
            f" WHERE {RECIPE} = ? AND dq.dataset = ? AND dq.split = 'train'"
            f"{'' if bound is None else ' AND dq.question <= ?'} GROUP BY dq.position, r.sample)"
            " SELECT json_extract(f.value, '$[0]') AS gate, min(learned.id) AS rationale, learned.key"
            " FROM learned JOIN verdicts v ON v.rationale = learned.id, json_each(v.findings) f WHERE v.gates = ?"
            " AND NOT EXISTS (SELECT 1 FROM human_verdicts h WHERE h.rationale = learned.id)"
            " GROUP BY 1 ORDER BY count(*) DESC",
            (*variant.address, dataset, *(() if bound is None else (bound,)), gates),
        )
        return [Faulty(**row) for row in rows]
