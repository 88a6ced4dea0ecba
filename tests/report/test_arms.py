"""From evaluations to arms, the main table, ablations, sweeps and contests: what is grouped, chosen and compared, and
what comes out for known counts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_questions
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.report.collect import Report, collect
from tinyllm_cli.report.csv_files import files
from tinyllm_cli.report.html import html_page
from tinyllm_cli.report.main_table import MainTable
from tinyllm_cli.report.sheets import sheets
from tinyllm_cli.stats import mcnemar
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.evaluations import EvaluatedQuestions

BOTH = {"ann": 1.0, "bob": 1.0}


def data(store: Store, name: str, count: int, train: int = 80) -> None:
    asked = make_questions(count, dataset=name, split="test")
    store.questions.replace(name, "here", "1", [*make_questions(train, dataset=name), *asked])


def evaluated(
    store: Store, dataset: str, right: set[int], *, method: str = "tinyllm", seed: int = 0, count: int = 40,
    alpha: dict[str, float] | None = None, valid: float | None = None, student: str = "tiny", teacher: str = "",
    state: str = "done", subject: dict[str, Any] | None = None, **settings: object,
) -> None:  # fmt: skip
    """A run, an untrained model, or a teacher that answers these questions right and no others."""
    state_of = subject or {"model_fingerprint": "f"}
    answerer = Subject(kind="model", name=student, **state_of)
    if teacher:
        answerer = Subject(kind="teacher", name=teacher, **state_of)
    elif method != "inference":
        weights = {"tinyllm": BOTH, "distill-step-by-step": {"ann": 1.0}}.get(method, {})
        run = store.runs.start(
            RunIdentity(
                method=method,
                student=student,
                dataset=dataset,
                alpha=weights if alpha is None else alpha,
                seed=seed,
                settings=RunSettings.from_json({"seed": seed, **settings}),
                sources={},
                versions={},
            ),
            command="tinyllm distill",
        )
        figures = {"valid": [{"step": 9, "accuracy": valid}, {"step": 10, "accuracy": 0.0}], "best_step": 9}
        store.runs.finish(run.id, state, {} if valid is None else figures)
        checkpoint = state_of if valid is None else {"step": 9}
        answerer = Subject(kind="run", name=f"run {run.id}", run=run.id, **checkpoint)
    questions = EvaluatedQuestions(dataset=dataset, split="test", count=count, chance=0.25, majority=0.25)
    opened = store.evaluations.open(answerer, "generate" if teacher else "rank", questions)
    asked = make_questions(count, dataset=dataset, split="test")
    store.evaluations.add_predictions(
        opened.id,
        [Prediction(key=q.key, question=q.hash, option=0, correct=n in right) for n, q in enumerate(asked)],
    )  # fmt: skip
    store.evaluations.complete(opened.id, 1.0)


def first(count: int) -> set[int]:
    return set(range(count))


def report(store: Store, *, with_paper: bool = False) -> Report:
    return collect(store, samples=0, with_paper=with_paper)


def only_table(store: Store) -> MainTable:
    [table] = report(store).paper.tables
    return table


def test_runs_that_differ_in_the_seed_alone_are_one_arm(store: Store) -> None:
    data(store, "toy", 40)
    for seed, right in ((0, 20), (1, 24), (2, 22)):
        evaluated(store, "toy", first(right), seed=seed, gates="g")
    evaluated(store, "toy", first(30), seed=0)
    gated, raw = report(store).arms
    assert (gated.label, gated.treatment, gated.seeds) == ("tinyllm (gated)", "gates", (0, 1, 2))
    assert (gated.mean, gated.spread) == (pytest.approx(0.55), pytest.approx(0.05))
    assert (raw.label, raw.treatment, raw.spread) == ("tinyllm (raw)", "", None)


def test_what_an_earlier_checkpoint_answered_is_not_the_finished_runs(store: Store) -> None:
    """A run that was stopped, evaluated and taken up again: its folder holds another student in the end."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(10), subject={"step": 4})
    [one] = store.evaluations.everything()
    figures = {"valid": [{"step": 4, "accuracy": 0.2}, {"step": 8, "accuracy": 0.5}], "best_step": 8}
    store.runs.finish(one.subject.run or 0, "done", figures)
    found = report(store)
    assert found.arms == ()
    assert [(one.result.accuracy, one.why) for one in found.left_out] == [
        (0.25, "an earlier checkpoint answered, before the run was done")
    ]
    for extra_context in (None, "1234"):
        subject = replace(one.subject, step=8, extra_context=extra_context)
        questions = EvaluatedQuestions(dataset="toy", split="test", count=40, chance=0.25, majority=0.25)
        opened = store.evaluations.open(subject, "rank", questions)
        store.evaluations.complete(opened.id, 1.0)
        assert len(report(store).arms) == 1


def test_what_has_no_effect_on_the_result_makes_no_other_arm(store: Store) -> None:
    data(store, "toy", 40, train=80)
    evaluated(store, "toy", first(20), seed=0, token_budget=3000, limit=None)
    evaluated(store, "toy", first(20), seed=1, token_budget=16000, limit=80)
    evaluated(store, "toy", first(20), seed=2, lr=1e-4)
    both, other = report(store).arms
    assert (both.seeds, both.size, other.seeds) == ((0, 1), 80, (2,))


def test_an_interrupted_run_is_no_seed_of_an_arm(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), seed=0)
    evaluated(store, "toy", first(10), seed=1, state="stopped")
    found = report(store)
    [arm] = found.arms
    assert (arm.seeds, arm.accuracies) == ((0,), (0.75,))
    assert [(one.result.accuracy, one.why) for one in found.left_out] == [(0.25, "the run is stopped, not done")]


def test_seeds_stay_together_whoever_was_named_for_their_scores(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), seed=0, gates="g", usefulness="weight", usefulness_model="tiny")
    evaluated(store, "toy", first(10), seed=1, gates="g", usefulness="weight")
    [arm] = report(store).arms
    assert arm.seeds == (0, 1)


def test_other_prefixes_make_another_arm(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), prefixes={"ann": "A: ", "bob": "B: "})
    evaluated(store, "toy", first(10), prefixes={"ann": "explain: ", "bob": "explain: "})
    assert sorted(arm.mean for arm in report(store).arms) == [0.25, 0.75]


def test_two_states_of_a_model_are_two_arms_and_the_table_says_so(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), method="inference")
    evaluated(store, "toy", first(3), method="inference", subject={"model_fingerprint": "g"})
    [entry] = (line.entries["toy"] for line in only_table(store).blocks[0].lines)
    assert (entry.arm.mean, entry.tried, entry.on_valid) == (3 / 40, 2, False)


def test_evaluations_of_questions_that_are_gone_are_left_out_and_listed(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), method="finetune")
    asked = make_questions(40, split="test")
    corrected = [replace(question, answer=(question.answer + 1) % 4) for question in asked[1:]]
    store.questions.replace("toy", "here", "2", [*make_questions(80), asked[0], *corrected])
    found = report(store)
    assert (found.arms, found.results) == ((), ())
    assert [(one.result.accuracy, one.why) for one in found.left_out] == [
        (0.75, "the data set no longer holds these questions as they were")
    ]
    page, [sheet] = html_page(found), sheets(found)
    assert sheet.groups[0].rows[0].label in page
    assert "no longer holds these questions" in page
    assert "Not evaluated yet" not in page
    assert "No evaluation is left to show" in page
    [row] = files(found)["left-out"]
    assert (row["accuracy"], row["why"]) == (0.75, found.left_out[0].why)


def test_the_first_questions_of_a_split_in_another_order_are_other_questions(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(10), method="inference", count=20)
    store.questions.replace("toy", "here", "2", [*make_questions(80), *reversed(make_questions(40, split="test"))])
    assert [one.why for one in report(store).left_out] == ["the data set no longer holds these questions as they were"]


def test_an_evaluation_that_was_made_again_is_not_listed(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), method="inference")
    data(store, "toy", 30)
    assert len(report(store).left_out) == 1
    evaluated(store, "toy", first(20), method="inference", count=30)
    assert report(store).left_out == ()


def test_an_older_or_a_smaller_evaluation_replaces_none(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(8), method="inference", count=10)
    evaluated(store, "toy", first(30), method="inference")
    asked = make_questions(40, dataset="toy", split="test")
    asked[36] = replace(asked[36], answer=(asked[36].answer + 1) % 4)
    store.questions.replace("toy", "here", "2", [*make_questions(80), *asked])
    assert [one.result.n for one in report(store).left_out] == [40]


def test_an_ablation_and_a_sweep_hold_the_gates_and_the_questions(store: Store) -> None:
    """Arms of other gates, or of other training questions, are not what the whole lacks a part of."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), gates="strict", data="new")
    for gates, asked in (("loose", "new"), ("strict", "old")):
        evaluated(store, "toy", first(10), method="distill-step-by-step", gates=gates, data=asked)
        evaluated(store, "toy", first(10), alpha={"ann": 0.1, "bob": 1.0}, gates=gates, data=asked)
    found = report(store).paper
    assert (found.ablations, found.alphas) == ((), ())
    evaluated(store, "toy", first(12), method="distill-step-by-step", gates="strict", data="new")
    [ablation] = report(store).paper.ablations
    assert [one.label for one in ablation.variants] == ["without bob: ann alone"]


def test_a_training_on_an_earlier_state_of_the_data_represents_nothing(store: Store) -> None:
    """Its valid split may have been easier, and what is compared has to have learnt the same questions."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), valid=0.9, data="old")
    evaluated(store, "toy", first(10), method="finetune", valid=0.3, data="old")
    evaluated(store, "toy", first(20), valid=0.5, data="new")
    assert only_table(store).columns[0].data == "old", "of more methods"
    evaluated(store, "toy", first(18), method="finetune", valid=0.3, data="new")
    evaluated(store, "toy", first(9), method="inference")
    found = report(store)
    [block] = found.paper.tables[0].blocks
    assert {line.method: line.entries["toy"].arm.mean * 40 for line in block.lines} == {
        "inference": 9, "finetune": 18, "tinyllm": 20,
    }  # fmt: skip
    assert {one.difference * 40 for one in found.paper.comparisons} == {11, 2}
    words = re.sub("<[^>]+>", "", html_page(found))  # without the links to definitions
    assert "2 of all arms were trained on another state of the data set" in words


@pytest.mark.parametrize(("method", "beside"), [("lora", False), ("finetune", False), ("pinto", True)])
def test_what_learns_gold_answers_is_beside_others_on_the_same_questions(
    store: Store, method: str, beside: bool
) -> None:
    """Labels and hints of teachers make other data of the same questions."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), valid=0.5, data="new")
    evaluated(store, "toy", first(18), method="distill-step-by-step", valid=0.3, data="new")
    evaluated(store, "toy", first(30), method=method, valid=0.9, data="old")
    [block] = report(store).paper.tables[0].blocks
    assert (method in {line.method for line in block.lines}) == beside


def test_the_size_of_a_training_is_what_it_had(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), valid=0.5)
    metrics = store.one("SELECT metrics FROM runs WHERE id = 1")
    assert metrics is not None
    store.execute("UPDATE runs SET metrics = ?", (json.dumps({**json.loads(metrics["metrics"]), "questions": 60}),))
    assert [arm.size for arm in report(store).arms] == [60]


def test_the_setting_that_represents_a_method_is_chosen_on_valid(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), alpha={"ann": 0.1, "bob": 1.0}, valid=0.4)
    evaluated(store, "toy", first(20), alpha={"ann": 0.5, "bob": 1.0}, valid=0.6)
    [line] = only_table(store).blocks[0].lines
    entry = line.entries["toy"]
    assert (entry.arm.alpha["ann"], entry.arm.mean, entry.tried, entry.on_valid) == (0.5, 0.5, 2, True)
    for seed in (0, 1):
        evaluated(store, "toy", first(10), alpha={"ann": 1.0, "bob": 1.0}, valid=0.2, seed=seed)
    entry = only_table(store).blocks[0].lines[0].entries["toy"]
    assert (len(entry.arm.seeds), entry.tried, entry.finalists) == (2, 3, 1), (
        "one lucky seed outdoes no mean of several"
    )


def test_a_tie_on_valid_is_not_decided_by_age(store: Store) -> None:
    """29 and 27 on test with the same accuracy on valid: neither run hides the other, whichever is newer."""
    data(store, "toy", 100)
    settings = {"count": 100, "valid": 0.2}
    evaluated(store, "toy", first(29), alpha={"ann": 0.5, "bob": 1.0}, **settings)
    evaluated(store, "toy", first(27), alpha={"ann": 1.0, "bob": 1.0}, **settings)
    evaluated(store, "toy", first(20), method="finetune", **settings)
    found = report(store)
    [block] = found.paper.tables[0].blocks
    entry = block.lines[1].entries["toy"]
    assert [arm.mean for arm in entry.tied] == [0.29, 0.27]
    assert entry.arm.mean == pytest.approx(0.28)
    assert block.gains[0].by_dataset["toy"] == pytest.approx(0.4)
    [tested] = found.paper.comparisons
    assert (tested.difference, tested.seeds) == (pytest.approx(0.08), 1), "over both settings"
    row = next(row for group in sheets(found)[0].groups for row in group.rows if row.label == "TinyLLM")
    assert row.note == "mean of 2 settings that tie on valid (ann=0.5, bob=1 29.0; ann=1, bob=1 27.0)"
    [line] = [line for line in files(found)["table1"] if line["method"] == "tinyllm"]
    assert (line["tied"], line["seeds"]) == (2, 1)


def test_the_loss_on_valid_decides_a_tie_where_it_is_known(store: Store) -> None:
    data(store, "toy", 40)
    for right, loss in ((30, 0.7), (20, 0.5), (25, 0.6)):
        evaluated(store, "toy", first(right), alpha={"ann": loss, "bob": 1.0}, valid=0.4)
        run = max(one.id for one in store.runs.everything())
        figures = {"valid": [{"step": 9, "accuracy": 0.4, "loss": loss}], "best_step": 9}
        store.runs.finish(run, "done", figures)
    entry = only_table(store).blocks[0].lines[0].entries["toy"]
    assert (entry.arm.alpha["ann"], entry.arm.mean, entry.tied) == (0.5, 0.5, ())


def test_settings_without_a_valid_split_are_pooled_too(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), alpha={"ann": 0.5, "bob": 1.0})
    evaluated(store, "toy", first(10), alpha={"ann": 2.0, "bob": 1.0})
    found = report(store)
    assert found.paper.tables[0].blocks[0].lines[0].entries["toy"].arm.mean == 0.5
    assert "mean of 2 settings that have no valid accuracy to choose by" in html_page(found)


def test_every_gain_has_an_interval_and_a_p(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30))
    evaluated(store, "toy", first(20), method="finetune")
    evaluated(store, "toy", first(10), method="distill-step-by-step", seed=3)
    rows = [row for group in sheets(report(store))[0].groups for row in group.rows]
    under = {row.label: row.cells[0].under.replace("\u00a0", " ") for row in rows}
    assert under["TinyLLM over Full fine-tuning"] == "+25.0 (+12.5 to +40.0), Holm p 0.002"
    assert under["TinyLLM over Distill-step-by-step"] == "not tested: no seed in common"


def test_labels_say_what_distinguishes_runs(store: Store) -> None:
    data(store, "toy", 40)
    usual = {"lr": 0.1, "data": "0123456789abcdef0123456789abcdef"}
    evaluated(store, "toy", first(20), **usual)
    evaluated(store, "toy", first(20), seed=1, **usual)
    evaluated(store, "toy", first(20), shuffled=True, **usual)
    evaluated(store, "toy", first(20), limit=16, **usual)
    evaluated(store, "toy", first(20), gates="strict", **usual)
    evaluated(store, "toy", first(20), **usual | {"lr": 0.2})
    evaluated(store, "toy", first(20), alpha={"ann": 1.0, "cat": 1.0}, **usual)
    found = report(store)
    assert [one.label for one in found.results] == [
        "tinyllm (raw); lr=0.1; teachers=ann, bob",
        "tinyllm (raw); lr=0.1; teachers=ann, bob",
        "tinyllm (raw, shuffled)",
        "tinyllm (raw, first 16)",
        "tinyllm (gated)",
        "tinyllm (raw); lr=0.2; teachers=ann, bob",
        "tinyllm (raw); lr=0.1; teachers=ann, cat",
    ]
    assert "tinyllm (raw, first 16)" in html_page(found)


def test_the_main_table_has_what_the_papers_has(store: Store) -> None:
    for name, count in (("one", 40), ("two", 60)):
        data(store, name, count)
        evaluated(store, name, first(10), method="inference", count=count)
        evaluated(store, name, first(20), method="finetune", count=count)
        evaluated(store, name, first(18), method="distill-step-by-step", count=count, valid=0.5)
        evaluated(store, name, first(26), method="distill-step-by-step", count=count, valid=0.4, alpha={"bob": 1.0})
        evaluated(store, name, first(24), count=count)
        evaluated(store, name, first(30), teacher="ann", count=count)
    table = only_table(store)
    [block] = table.blocks
    assert [line.label for line in block.lines] == [
        "Inference", "Full fine-tuning", "Distill-step-by-step", "TinyLLM",
    ]  # fmt: skip
    chosen = block.lines[2].entries["one"]
    assert (chosen.arm.alpha, chosen.arm.mean, chosen.best) == ({"ann": 1.0}, 0.45, False), "test has no say"
    tinyllm = block.lines[3]
    assert (tinyllm.mean, tinyllm.best, tinyllm.entries["one"].best) == (pytest.approx((0.6 + 0.4) / 2), True, True)
    over_finetune, over_chosen = block.gains
    assert over_finetune.by_dataset == {"one": pytest.approx(0.2), "two": pytest.approx(0.2)}
    assert over_chosen.mean == pytest.approx(24 / 18 - 1)
    [teacher] = table.teachers
    assert (teacher.label, teacher.entries["one"].arm.mean) == ("ann", 0.75)
    assert [(column.n, column.size, column.chance) for column in table.columns] == [(40, 80, 0.25), (60, 80, 0.25)]


def test_controls_other_sizes_and_other_data_sets_stay_out_of_the_main_table(store: Store) -> None:
    data(store, "toy", 40)
    data(store, "far", 40)
    for method in ("tinyllm", "finetune"):
        evaluated(store, "toy", first(20), method=method, limit=30)
    evaluated(store, "toy", first(30), shuffled=True, limit=30)
    evaluated(store, "toy", first(31), icl=0, limit=30)
    evaluated(store, "toy", first(32), limit=10)
    evaluated(store, "toy", first(33))
    run = max(one.id for one in store.runs.everything())
    away = Subject(kind="run", name=f"run {run}", model_fingerprint="f", run=run)
    opened = store.evaluations.open(
        away, "rank", EvaluatedQuestions(dataset="far", split="test", count=40, chance=0.25, majority=0.25)
    )
    store.evaluations.complete(opened.id, 1.0)
    table = only_table(store)
    assert [(column.dataset, column.size, column.whole) for column in table.columns] == [("toy", 30, 80)]
    assert [line.entries["toy"].arm.mean for line in table.blocks[0].lines] == [0.5, 0.5]


def test_an_ablation_changes_one_thing(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), lr=1.0)
    evaluated(store, "toy", first(25), lr=1.0, alpha={"ann": 2.0, "bob": 1.0}, valid=0.9)
    evaluated(store, "toy", first(20), lr=1.0, method="distill-step-by-step")
    evaluated(store, "toy", first(21), lr=1.0, method="distill-step-by-step", alpha={"bob": 1.0})
    evaluated(store, "toy", first(39), lr=1.0, method="distill-step-by-step", alpha={"bob": 3.0})
    evaluated(store, "toy", first(18), lr=1.0, method="finetune")
    evaluated(store, "toy", first(38), lr=2.0, method="finetune")
    evaluated(store, "toy", first(17), lr=1.0, shuffled=True)
    evaluated(store, "toy", first(28), lr=1.0, icl=0)
    [one] = report(store).paper.ablations
    assert one.whole["toy"].mean == 0.75
    assert {variant.label: variant.arms["toy"].mean * 40 for variant in one.variants} == {
        "without in-context examples": 28, "without bob: ann alone": 20, "without ann: bob alone": 21,
        "no rationales": 18, "rationales shuffled": 17,
    }  # fmt: skip


def test_an_ablation_and_its_contests_call_the_whole_as_the_main_table_does(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30))
    evaluated(store, "toy", first(28), gates="g")
    evaluated(store, "toy", first(20), gates="g", shuffled=True)
    found = report(store)
    labels = {line.label for line in found.paper.tables[0].blocks[0].lines}
    assert labels == {"TinyLLM", "TinyLLM + gates"}
    [one] = found.paper.ablations
    assert (one.label, one.whole["toy"].mean) == ("TinyLLM + gates", 0.7)
    parts = {contest.arm: contest.difference for contest in found.paper.comparisons if contest.part != "methods"}
    assert parts == {"TinyLLM + gates": pytest.approx(0.2)}
    assert files(found)["ablation"][0]["variant"] == "TinyLLM + gates"


def test_an_ablation_compares_seeds_that_both_have(store: Store) -> None:
    data(store, "toy", 40)
    for seed, right in enumerate((30, 12, 12)):
        evaluated(store, "toy", first(right), seed=seed)
    evaluated(store, "toy", first(28), shuffled=True)
    evaluated(store, "toy", first(20), method="finetune", seed=7)
    found = report(store)
    [sheet] = [one for one in sheets(found) if one.name.startswith("ablation")]
    under = {row.label: row.cells[0].under for row in sheet.groups[0].rows}
    assert under["rationales shuffled"] == "-5.0 (-12.5\u00a0to\u00a0+0.0), Holm\u00a0p\u00a00.500 (1 of 3 seeds)"
    assert under["no rationales"] == "no seed in common"
    rows = {row["variant"]: row["difference"] for row in files(found)["ablation"]}
    assert rows["rationales shuffled"] == pytest.approx(-0.05)
    assert rows["no rationales"] is None


def test_fine_tuning_alone_makes_no_ablation(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30))
    evaluated(store, "toy", first(20), method="finetune")
    assert report(store).paper.ablations == ()


def test_three_teachers_are_left_out_one_by_one(store: Store) -> None:
    data(store, "toy", 40)
    three = {"ann": 1.0, "bob": 0.5, "cat": 1.0}
    evaluated(store, "toy", first(30), alpha=three)
    evaluated(store, "toy", first(25), alpha={"ann": 1.0, "cat": 1.0})
    evaluated(store, "toy", first(20), method="distill-step-by-step", alpha={"bob": 0.5})
    [one] = report(store).paper.ablations
    assert [variant.label for variant in one.variants] == ["without bob", "bob alone"]


def test_figure_2_has_a_line_for_each_method_and_one_across(store: Store) -> None:
    data(store, "toy", 40)
    for size in (10, 40, 80):
        evaluated(store, "toy", first(size // 4), limit=size)
        evaluated(store, "toy", first(size // 5), limit=size, method="distill-step-by-step")
    evaluated(store, "toy", first(15), method="finetune")
    evaluated(store, "toy", first(39), limit=40, shuffled=True)
    [sweep] = report(store).paper.sizes
    assert [line.label for line in sweep.series] == ["TinyLLM", "Distill-step-by-step (ann)"]
    assert [(point.x, point.arm.mean) for point in sweep.series[0].points] == [(10, 0.05), (40, 0.25), (80, 0.5)]
    assert sweep.level is not None
    assert sweep.level.mean == 15 / 40


def test_figure_2_is_of_one_recipe(store: Store) -> None:
    data(store, "toy", 40)
    for size in (10, 80):
        evaluated(store, "toy", first(20), limit=size, lr=3.0, valid=0.6)
        evaluated(store, "toy", first(10), limit=size, lr=1.0, valid=0.5)
    evaluated(store, "toy", first(30), method="finetune", lr=1.0, valid=0.9)
    evaluated(store, "toy", first(25), method="finetune", lr=3.0, valid=0.5)
    [sweep] = report(store).paper.sizes
    assert [point.arm.mean for point in sweep.series[0].points] == [0.5, 0.5], "the best on valid"
    assert sweep.level is not None
    assert sweep.level.mean == 25 / 40


def test_figure_3_varies_one_teachers_alpha_and_leaves_the_others(store: Store) -> None:
    data(store, "toy", 40)
    for value in (0.01, 0.1, 1.0):
        evaluated(store, "toy", first(round(20 + value * 10)), alpha={"ann": value, "bob": 1.0})
    evaluated(store, "toy", first(5), alpha={"ann": 1.0, "bob": 3.0})
    evaluated(store, "toy", first(6), alpha={"ann": 2.0, "bob": 2.0})
    [sweep] = report(store).paper.alphas
    assert [line.label for line in sweep.series] == ["alpha of ann, with bob=1", "alpha of bob, with ann=1"]
    assert [(point.x, point.arm.mean * 40) for point in sweep.series[0].points] == [(0.01, 20), (0.1, 21), (1.0, 30)]
    assert [point.x for point in sweep.series[1].points] == [1.0, 3.0]


def test_a_contest_of_one_seed_is_mcnemars(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", set(range(8, 24)), method="finetune")
    [contest] = report(store).paper.comparisons
    assert (contest.arm, contest.against, contest.n) == ("TinyLLM", "Full fine-tuning", 40)
    assert contest.difference == pytest.approx(0.1)
    assert contest.p == contest.adjusted == mcnemar(8, 4)
    assert contest.low < 0.1 < contest.high
    assert contest.discordant == pytest.approx(12 / 40)


def test_too_little_discord_shows_no_difference(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(20), method="finetune")
    evaluated(store, "toy", first(22), method="lora")
    for contest in report(store).paper.comparisons:
        assert contest.smallest is None
        assert contest.p > 0.3


def test_data_sets_are_compared_apart_and_together(store: Store) -> None:
    for name, count in (("one", 40), ("two", 60)):
        data(store, name, count)
        evaluated(store, name, first(30), count=count)
        evaluated(store, name, set(range(10, 30)), method="finetune", count=count)
        evaluated(store, name, first(5), method="inference", count=count)
    found = {(one.dataset, one.against): one for one in report(store).paper.comparisons}
    assert set(found) == {
        (where, other) for where in ("one", "two", "one + two") for other in ("Full fine-tuning", "Inference")
    }
    assert found["one + two", "Full fine-tuning"].n == 100
    assert found["one + two", "Full fine-tuning"].difference == pytest.approx(0.2)
    assert all(one.adjusted >= one.p for one in found.values())


def test_data_sets_with_other_numbers_of_seeds_are_named(store: Store) -> None:
    for name, seeds in (("one", 3), ("two", 1)):
        data(store, name, 40)
        for seed in range(seeds):
            evaluated(store, name, first(30), seed=seed)
            evaluated(store, name, first(20), seed=seed, method="finetune")
    found = report(store)
    notes = {one.dataset: (one.fewest_seeds, one.seeds) for one in found.paper.comparisons}
    assert notes == {"one": (3, 3), "two": (1, 1), "one + two": (1, 3)}
    assert "n = 80, 1 to 3 seeds" in html_page(found)


def test_seeds_are_paired_with_their_own(store: Store) -> None:
    data(store, "toy", 40)
    for seed in range(2):
        evaluated(store, "toy", set(range(seed, 20 + seed)), seed=seed)
        evaluated(store, "toy", set(range(seed, 10 + seed)), seed=seed, method="finetune")
    [contest] = report(store).paper.comparisons
    assert (contest.seeds, contest.difference) == (2, pytest.approx(0.25))
    assert contest.p < 0.01


def test_arms_without_a_common_seed_are_not_compared(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), seed=0)
    evaluated(store, "toy", first(10), seed=1, method="finetune")
    assert report(store).paper.comparisons == ()


def test_other_questions_make_no_contest(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(10), method="finetune", count=30)
    assert report(store).paper.comparisons == ()


def test_a_search_says_how_many_settings_it_tried(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    number = store.experiments.open_experiment("alpha-search", {"search": "s"}, "tinyllm experiment alpha")
    for trial, state in enumerate(("done", "done", "pruned")):
        position = store.experiments.add_cell(number, {"dataset": "toy", "trial": trial})
        store.experiments.note(number, position, state)  # type: ignore[arg-type]
    store.experiments.add_cell(number, {"dataset": "toy", "best": "alpha"})
    found = report(store)
    assert [(one.dataset, one.trials) for one in found.paper.searches] == [("toy", {"done": 2, "pruned": 1})]
    assert "tried 3 settings on valid: 2 completed, 1 pruned." in html_page(found)


def test_what_is_missing_is_said_with_the_command_that_makes_it(store: Store) -> None:
    commands = [part.command for part in report(store).paper.missing]
    names = ("table1", "ablation", "train-size", "alpha")
    assert commands == [f"tinyllm experiment {name} --db {store.path}" for name in names]
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), method="finetune")
    named = f"--dataset toy --student tiny --db {store.path}"
    commands = [part.command for part in report(store).paper.missing]
    assert commands == [f"tinyllm experiment {one} {named}" for one in names[1:]]


def test_commands_name_paths_as_the_user_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the folder in which the command runs; from another folder with it."""
    (tmp_path / "db").mkdir()
    monkeypatch.chdir(tmp_path)
    for given, named in (
        ("tinyllm.db", ""),
        ("db/one.db", " --db db/one.db"),
        ("./db/../two.db", " --db db/../two.db"),
    ):
        with open_store(Path(given)) as store:
            data(store, "toy", 40)
            evaluated(store, "toy", first(20), method="finetune", student=str(tmp_path / "db" / "tiny"))
            assert report(store).paper.place == f" --dataset toy --student db/tiny{named}"
            monkeypatch.chdir("db")
            whole = f" --dataset toy --student tiny --db {store.path}"
            assert report(store).paper.place == whole
            monkeypatch.chdir("..")


def test_the_page_names_arms_as_text(store: Store, tmp_path: Path) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), alpha={"<b>ann": 2.0, "bob": 1.0})
    evaluated(store, "toy", set(range(8, 24)), method="finetune")
    page = html_page(report(store))
    assert "&lt;b&gt;ann=2" in page
    assert "<b>ann" not in page


def test_runs_that_choose_other_rationales_are_arms_of_their_own(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(10))
    evaluated(store, "toy", first(20), rationales="correct")
    evaluated(store, "toy", first(20), rationales="correct-or-forced", gates="0123456789abcdef")
    for seed in (0, 1):
        evaluated(store, "toy", first(30), per_question=1, choose="random", seed=seed)
    evaluated(store, "toy", first(30), per_question=1, choose="learnability")
    found = report(store)
    assert {(arm.label, arm.treatment, arm.seeds) for arm in found.arms} == {
        ("tinyllm (raw)", "", (0,)),
        ("tinyllm (raw, correct)", "correct rationales", (0,)),
        ("tinyllm (gated, correct-or-forced)", "correct-or-forced rationales + gates", (0,)),
        ("tinyllm (raw, 1 per question at random)", "1 per question at random", (0, 1)),
        ("tinyllm (raw, 1 per question by learnability)", "1 per question by learnability", (0,)),
    }
    assert "TinyLLM + correct rationales" in html_page(found)
