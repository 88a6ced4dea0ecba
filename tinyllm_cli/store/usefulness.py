"""How much each rationale raised the log-probability of the gold option for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from tinyllm_cli.iteration import batched
from tinyllm_cli.store.database import Database, now

_PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class UsefulnessGain:
    """`text` is the hash of what was scored, `gain` in nats. `cut`: the model read less than question and text."""

    rationale: int
    text: str
    gain: float
    cut: bool = False


class UsefulnessQueries:
    """Queries of `store.usefulness`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def stored(self, model: str, texts: Mapping[int, str]) -> dict[int, UsefulnessGain]:
        """The gains of these rationales as these texts (hashes), by id, as far as they are known."""
        marks = ",".join("?" * len(texts))
        rows = self._db.rows(
            f"SELECT rationale, text, gain, input_cut FROM usefulness WHERE model = ? AND rationale IN ({marks})",
            (model, *texts),
        )
        return {
            row["rationale"]: UsefulnessGain(
                rationale=row["rationale"], text=row["text"], gain=row["gain"], cut=bool(row["input_cut"])
            )
            for row in rows
            if texts[row["rationale"]] == row["text"]
        }

    def of(self, rationales: Sequence[int]) -> dict[str, list[UsefulnessGain]]:
        """Every stored gain of these rationales, by model; one for each text of a rationale that was scored."""
        found: dict[str, list[UsefulnessGain]] = {}
        for page in batched(rationales, _PAGE):
            marks = ",".join("?" * len(page))
            rows = self._db.rows(
                f"SELECT model, rationale, text, gain, input_cut FROM usefulness WHERE rationale IN ({marks})", page
            )
            for row in rows:
                gain = UsefulnessGain(
                    rationale=row["rationale"], text=row["text"], gain=row["gain"], cut=bool(row["input_cut"])
                )
                found.setdefault(row["model"], []).append(gain)
        return found

    def add(self, model: str, gains: Sequence[UsefulnessGain]) -> None:
        """Keep gains; committed when this returns."""
        moment = now()
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO usefulness (rationale, text, model, gain, created, input_cut)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(one.rationale, one.text, model, one.gain, moment, one.cut) for one in gains],
            )

    def scored(self, dataset: str) -> list[tuple[str, int, str]]:
        """(model, how many of a data set's rationales it scored, when it last did)."""
        rows = self._db.rows(
            "SELECT u.model, count(*) AS n, max(u.created) AS at FROM usefulness u JOIN rationales r ON r.id ="
            " u.rationale"
            " WHERE r.question IN (SELECT question FROM dataset_questions WHERE dataset = ?) GROUP BY 1 ORDER BY 1",
            (dataset,),
        )
        return [(row["model"], row["n"], row["at"]) for row in rows]

    def models(self, dataset: str) -> list[str]:
        """The models that scored rationales for a data set, the last one first."""
        return [model for model, _, _ in sorted(self.scored(dataset), key=itemgetter(2), reverse=True)]
