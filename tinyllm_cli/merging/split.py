"""Split a database into shards: each asks teachers about its share of the questions, on a machine of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.errors import Busy, UsageProblem
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.merge_tables import shard


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard. `questions`: how many it asks about; `rationales`: how many of these it has."""

    path: str
    questions: int
    rationales: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The shards of a database. Together they ask about `questions`."""

    database: str
    questions: int
    shards: tuple[Shard, ...]


def split(store: Store, folder: Path, shards: int) -> tuple[Shard, ...]:
    """Write the shards into `folder`. Questions are dealt out in their order, so that each shard has the same number of
    each split, give or take one. The database stays as it is.

    Raises UsageProblem when a file exists or there are fewer questions than shards, and Busy while a teacher is being
    asked: its replies would be asked for again."""
    store.elicitations.mark_killed()
    waiting = store.merging.being_asked()
    if waiting is not None:
        raise Busy(f"{waiting}: a shard would ask for the same replies again.", "Split when that is over.")
    questions = list(store.merging.split_questions())
    if len(questions) < shards:
        raise UsageProblem(f"There are {len(questions)} questions, fewer than {shards} shards.", "Give fewer --shards.")
    paths = [folder / f"{store.path.stem}-{number}-of-{shards}.db" for number in range(1, shards + 1)]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageProblem(f"{path} exists.", "Give another folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    drafts = [path.with_name(f".{path.name}.tinyllm-new") for path in paths]
    try:
        for number, draft in enumerate(drafts):
            _remove(draft)  # of a split that was killed
            own = questions[number::shards]
            _write(store, draft, own + (store.merging.unasked_here() if number == 0 else []), set(questions) - {*own})
        found = [
            Shard(path=str(path), questions=len(questions[number::shards]), rationales=_rationales(draft),
                  bytes=draft.stat().st_size)
            for number, (draft, path) in enumerate(zip(drafts, paths, strict=True))
        ]  # fmt: skip
        for draft, path in zip(drafts, paths, strict=True):
            draft.rename(path)
    except BaseException:
        for draft in drafts:
            _remove(draft)
        raise
    return tuple(found)


def _write(store: Store, draft: Path, known: list[str], others: set[str]) -> None:
    """A shard with what is known about some questions, which leaves `others` out."""
    with open_store(draft) as part:
        part.merging.take(store.path, lambda run: run.folder, portion=shard(known))
        part.merging.leave_to_others(sorted({*others, *store.merging.unasked_here()}))


def _rationales(path: Path) -> int:
    with open_store(path, create=False) as part:
        return part.merging.rationales()


def _remove(draft: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        draft.with_name(draft.name + end).unlink(missing_ok=True)
