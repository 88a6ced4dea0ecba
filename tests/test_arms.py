"""Arms and contests: what is grouped, what is compared, and what comes out for known counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import make_questions
from tinyllm_cli.records import Prediction, Subject
from tinyllm_cli.reporting.data import Report, collect
from tinyllm_cli.reporting.page import html_page
from tinyllm_cli.stats import mcnemar
from tinyllm_cli.store import Store, questions, runs

BOTH = {"ann": 1.0, "bob": 1.0}


def data(store: Store, name: str, count: int) -> None:
    questions.replace(store, name, "here", "1", make_questions(count, dataset=name, split="test"))


def evaluated(
    store: Store, dataset: str, right: set[int], *, method: str = "tinyllm", seed: int = 0, count: int = 40,
    alpha: dict[str, float] | None = None, **settings: object,
) -> None:  # fmt: skip
    """A run, or an untrained model, that answers these questions right and no others."""
    subject = Subject(kind="model", name="tiny", fingerprint="f")
    if method != "inference":
        run = runs.start(
            store, method=method, student="tiny", dataset=dataset, alpha=BOTH if alpha is None else alpha, seed=seed,
            settings={"seed": seed, **settings}, lineage={}, command="tinyllm distill", versions={},
        )  # fmt: skip
        runs.finish(store, run.id, "done", {})
        subject = Subject(kind="run", name=f"run {run.id}", fingerprint="f", run=run.id)
    opened = runs.open_evaluation(
        store, subject, dataset, "test", "rank", questions=count, chance=0.25, majority=0.25
    )  # fmt: skip
    asked = make_questions(count, dataset=dataset, split="test")
    runs.add_predictions(
        store, opened.id,
        [Prediction(key=q.key, question=q.hash, option=0, correct=n in right) for n, q in enumerate(asked)],
    )  # fmt: skip
    runs.complete_evaluation(store, opened.id, 1.0)


def report(store: Store) -> Report:
    return collect(store, samples=0)


def test_runs_that_differ_in_the_seed_alone_are_one_arm(store: Store) -> None:
    data(store, "toy", 40)
    for seed, right in ((0, 20), (1, 24), (2, 22)):
        evaluated(store, "toy", set(range(right)), seed=seed, gates="g")
    evaluated(store, "toy", set(range(30)), seed=0)
    gated, raw = report(store).arms
    assert (gated.label, gated.seeds, gated.mean) == ("tinyllm (gated)", (0, 1, 2), pytest.approx(0.55))
    assert gated.spread == pytest.approx(0.05)
    assert (raw.label, raw.spread) == ("tinyllm (raw)", None)


def test_a_contest_of_one_seed_is_mcnemars(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", set(range(20)))
    evaluated(store, "toy", set(range(8, 24)), method="finetune", alpha={})
    [contest] = report(store).contests
    assert (contest.arm, contest.against, contest.n) == ("tinyllm (raw)", "finetune", 40)
    assert contest.difference == pytest.approx(0.1)
    assert contest.p == contest.adjusted == mcnemar(8, 4)
    assert contest.low < 0.1 < contest.high


def test_data_sets_are_compared_apart_and_together(store: Store) -> None:
    for name, count in (("one", 40), ("two", 60)):
        data(store, name, count)
        evaluated(store, name, set(range(30)), count=count)
        evaluated(store, name, set(range(10, 30)), method="finetune", alpha={}, count=count)
        evaluated(store, name, set(range(5)), method="inference", count=count)
    found = {(one.dataset, one.against): one for one in report(store).contests}
    assert set(found) == {
        (where, other) for where in ("one", "two", "one + two") for other in ("finetune", "inference")
    }
    assert found["one + two", "finetune"].n == 100
    assert found["one + two", "finetune"].difference == pytest.approx(0.2)
    assert all(one.adjusted >= one.p for one in found.values())


def test_seeds_are_paired_with_their_own(store: Store) -> None:
    data(store, "toy", 40)
    for seed in range(2):
        evaluated(store, "toy", set(range(seed, 20 + seed)), seed=seed)
        evaluated(store, "toy", set(range(seed, 10 + seed)), seed=seed, method="finetune", alpha={})
    [contest] = report(store).contests
    assert (contest.seeds, contest.difference) == (2, pytest.approx(0.25))
    assert contest.p < 0.01


def test_other_questions_or_another_scoring_make_no_contest(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", set(range(20)))
    evaluated(store, "toy", set(range(10)), method="finetune", alpha={}, count=30)
    assert report(store).contests == ()


def test_the_page_names_arms_as_text(store: Store, tmp_path: Path) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", set(range(20)), alpha={"<b>ann": 2.0, "bob": 1.0})
    evaluated(store, "toy", set(range(8, 24)), method="finetune", alpha={})
    page = html_page(report(store))
    assert "Who is better" in page
    assert "&lt;b&gt;ann=2" in page
    assert "<b>ann" not in page
