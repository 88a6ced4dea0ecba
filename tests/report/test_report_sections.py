"""The report's curves, costs, case studies and background: what is drawn and chosen for known runs and answers."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import keep, make_questions
from tests.report.test_arms import data, evaluated, first, report
from tests.report.test_report import HOSTILE, Page
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.records.runs import Run, RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.report.cases import TO_READ
from tinyllm_cli.report.charts import Chart
from tinyllm_cli.report.collect import collect
from tinyllm_cli.report.csv_files import files
from tinyllm_cli.report.curves import panels
from tinyllm_cli.report.html import html_page
from tinyllm_cli.report.pareto import Taken, Tradeoff, charts, front, legible, tradeoff_sheet, tradeoffs
from tinyllm_cli.report.provenance import data_sheets, run_sheet, teacher_sheets
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.store.rationale_rows import add_recipes


def trained(store: Store, dataset: str, right: set[int], *, seconds: float, method: str = "tinyllm", seed: int = 0,
            student: str = "tiny", lineage: dict[str, Any] | None = None, **figures: Any) -> Run:  # fmt: skip
    """A finished run with these figures that answered 40 questions."""
    alpha = {"ann": 1.0, "bob": 1.0} if method == "tinyllm" else {}
    run = store.runs.start(
        RunIdentity(
            method=method,
            student=student,
            dataset=dataset,
            alpha=alpha,
            seed=seed,
            settings=RunSettings.from_json({"seed": seed, "max_input": 64, "max_target": 32}),
            sources=lineage or {},
            versions={"tinyllm": "0"},
        ),
        command="tinyllm distill",
    )
    store.runs.finish(run.id, "done", {"training_seconds": seconds, **figures})
    best = figures.get("best_step")
    subject = Subject(kind="run", name=f"run {run.id}", run=run.id, step=best)
    asked = make_questions(40, dataset=dataset, split="test")
    opened = store.evaluations.open(
        subject, "rank", EvaluatedQuestions(dataset=dataset, split="test", count=40, chance=0.25, majority=0.25)
    )
    answers = [
        Prediction(key=q.key, question=q.hash, option=q.answer if n in right else 1 - q.answer % 2, correct=n in right)
        for n, q in enumerate(asked)
    ]
    store.evaluations.add_predictions(opened.id, answers)
    store.evaluations.complete(opened.id, 1.0)
    found = store.runs.find(run.id)
    assert found is not None
    return found


def explained(
    store: Store, dataset: str, split: str, numbers: list[int], text: str, *, cost: float | None = None
) -> None:
    """Ann's rationales for some questions of a split."""
    asking = ElicitationConfig(teacher="ann", backend="openai", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    asked = make_questions(80 if split == "train" else 40, dataset=dataset, split=split)
    for number in numbers:
        prompt = build_prompt(asked[number], Recipe(icl=0), [])
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="stop", cost=cost))


def texts_of(chart: Chart) -> list[str]:
    """Every word that the picture shows."""
    root = ElementTree.fromstring(chart.svg)
    return [" ".join(one.itertext()) for one in root.iter("text")]


def hints_of(chart: Chart) -> set[str]:
    """What the marks say when pointed at."""
    return {one.text or "" for one in ElementTree.fromstring(chart.svg).iter("title")}


def legend_of(chart: Chart) -> list[str]:
    """The series by their names, in order."""
    known = set(chart.description.replace("; finetune", "|finetune").split("|"))
    return [text for text in texts_of(chart) if any(part.startswith(f"{text}: from") for part in known)]


def test_curves_are_means_over_seeds_one_for_each_arm(store: Store) -> None:
    data(store, "toy", 40)
    for seed, last in ((0, 0.5), (1, 0.7)):
        curve = [
            {"step": 1, "answer": 4.0, "ann": 6.0, "bob": 2.0},
            {"step": 2, "answer": 2.0 + seed, "ann": 3.0, "bob": 1.0},
        ]
        valid = [{"step": 1, "accuracy": 0.25}, {"step": 2, "accuracy": last}]
        trained(store, "toy", first(20), seconds=9, seed=seed, curve=curve, valid=valid)
    trained(store, "toy", first(9), seconds=9, method="finetune", valid=[{"step": 2, "accuracy": 0.3}])
    [panel] = panels(store.runs.everything(), {"toy": 80})
    valid_chart, answers, rationale_chart = panel.charts
    assert panel.title == "tiny on toy"
    assert valid_chart.description == "tinyllm (raw): from 25.0 % at step 1 to 60.0 % at step 2", (
        "a curve of one point is not drawn"
    )
    assert "from 4 at step 1 to 2.5 at step 2" in answers.description
    assert "from 4 at step 1 to 2 at step 2" in rationale_chart.description, "the mean of both teachers"
    assert legend_of(rationale_chart) == ["tinyllm (raw)"]


def test_a_curve_is_of_finished_runs_one_for_each_seed_as_far_as_all_go(store: Store) -> None:
    """A training that was broken off, or done twice, makes no rise or fall that no run had."""
    data(store, "toy", 40)

    def train(state: str, *accuracies: float, **settings: object) -> None:
        valid = [{"step": step, "accuracy": accuracy} for step, accuracy in enumerate(accuracies, start=1)]
        run = trained(store, "toy", first(20), seconds=9, valid=valid, **settings)
        store.execute("UPDATE runs SET state = ? WHERE id = ?", (state, run.id))

    train("stopped", 0.1, 0.1, seed=0)
    train("done", 0.2, 0.2, seed=0)
    train("done", 0.4, 0.5, 0.6, seed=0)
    train("done", 0.6, 0.7, seed=1)
    train("stopped", 0.3, 0.4, method="finetune")
    train("done", 0.3, method="lora")
    [panel] = panels(store.runs.everything(), {"toy": 80})
    assert panel.charts[0].description == (
        "tinyllm (raw): from 50.0 % at step 1 to 60.0 % at step 2;"
        " finetune, stopped: from 30.0 % at step 1 to 40.0 % at step 2"
    )


def test_many_arms_are_drawn_in_several_panels_and_long_curves_in_few_points(store: Store) -> None:
    data(store, "toy", 40)
    curve = [{"step": step, "answer": 1000.0 / step} for step in range(1, 401)]
    for seed in range(7):
        run = trained(store, "toy", first(seed), seconds=9, method="finetune", student="tiny", curve=curve)
        store.execute("UPDATE runs SET settings = ? WHERE id = ?", (f'{{"lr": {seed}}}', run.id))
    first_panel, second_panel = panels(store.runs.everything(), {"toy": 80})
    assert (first_panel.title, second_panel.title) == ("tiny on toy, part 1", "tiny on toy, part 2")
    [chart] = first_panel.charts
    assert legend_of(chart) == [f"finetune; lr={seed}" for seed in range(6)]
    lines = [path.get("d", "") for path in ElementTree.fromstring(chart.svg).iter("path")
             if path.get("stroke", "").startswith("var(--s") and path.get("fill") is None]  # fmt: skip
    assert [line.count("L") for line in lines] == [24] * 6, "25 points"


def test_the_front_holds_what_no_other_arm_beats(store: Store) -> None:
    data(store, "toy", 40)
    for right, seconds in ((10, 5.0), (20, 50.0), (15, 60.0), (30, 500.0)):
        trained(store, "toy", first(right), seconds=seconds, method="finetune", student=f"tiny-{right}")
    evaluated(store, "toy", first(8), method="inference")
    found = report(store)
    [tradeoff] = tradeoffs(found.arms, found.runs, found.asked, found.currency)
    best = front((one.seconds or 0.0, one) for one in tradeoff.students)
    assert [one.arm.mean for one in best] == [0.2, 0.25, 0.5, 0.75]
    [chart] = charts(tradeoff)
    assert "minutes of training; logarithmic" in texts_of(chart)
    assert chart.key == ("tiny, Inference: 20.0 %", "tiny-10, Full fine-tuning (80 questions): 25.0 %",
                         "tiny-20, Full fine-tuning (80 questions): 50.0 %",
                         "tiny-30, Full fine-tuning (80 questions): 75.0 %")  # fmt: skip
    assert "4" in texts_of(chart), "the best has its number"
    bold = {row.note for row in tradeoff_sheet(tradeoff).groups[0].rows if row.cells[0].strong}
    assert bold == {"tiny", "tiny-10", "tiny-20", "tiny-30"}


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_every_arm_off_the_front_is_beaten_by_one_on_it(points: list[tuple[float, float]]) -> None:
    class Fake:
        def __init__(self, mean: float) -> None:
            self.mean = mean

    arms = [(x, Taken(arm=Fake(y), label=str(n), seconds=x, money=None)) for n, (x, y) in enumerate(points)]  # type: ignore[arg-type]
    best = front(arms)
    costs = {one.label: x for x, one in arms}
    assert all(one.arm.mean < other.arm.mean for one, other in pairwise(best))
    for x, one in arms:
        assert any(costs[top.label] <= x and top.arm.mean >= one.arm.mean for top in best)


def test_money_is_what_the_rationales_cost_that_an_arm_chose_from(store: Store) -> None:
    data(store, "toy", 40)
    store.currency.use("EUR")
    asking = ElicitationConfig(teacher="ann", backend="openai", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    store.execute("INSERT INTO recipes VALUES ('r', 'r', NULL, NULL, 1)")
    store.execute(
        "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, replies, failures, calls, cost,"
        " started) VALUES ('ann', ?, 'toy', 'train', 'r', 'done', 8, 1, 9, 2.0, 'now')",
        (asking.hash,),
    )
    source = {"model": "m", "revision": "1", "recipe": "r", "sampling": asking.hash}
    trained(store, "toy", first(20), seconds=5, lineage={"ann": {**source, "rationales": 4, "digest": "d"}})
    gated = source | {"rationales": 1, "rejected": {"echo": 1}, "empty": 1, "unchosen": 1}
    trained(store, "toy", first(24), seconds=6, gates="g", lineage={"ann": gated})
    trained(store, "toy", first(10), seconds=5, method="finetune")
    labels = source | {"answers": 3, "silent": 1}
    trained(store, "toy", first(8), seconds=7, method="standard-kd", lineage={"ann": labels})
    trained(store, "toy", first(12), seconds=5, student="other",
            lineage={"bob": {**source, "recipe": "recorded", "rationales": 4, "digest": "d"}})  # fmt: skip
    [tradeoff] = report(store).tradeoffs
    assert [(one.arm.student, one.arm.mean, one.money) for one in tradeoff.students] == [
        ("tiny", 0.5, 1.0), ("tiny", 0.6, 1.0), ("tiny", 0.25, 0.0), ("tiny", 0.2, 1.0),
        ("other", 0.3, None),
    ], "what the gates rejected and what named no option was paid for as well"  # fmt: skip
    by_time, by_money = charts(tradeoff)
    assert "seconds of training" in texts_of(by_time)
    assert "EUR spent on teachers; unknown for 1 arms" in texts_of(by_money)
    assert tradeoff_sheet(tradeoff).head[-1] == ">money, EUR"
    assert {row["currency"] for row in files(report(store))["costs"]} == {"EUR"}


def test_forced_rationales_that_are_a_fallback_have_their_own_price(store: Store) -> None:
    data(store, "toy", 40)
    asking = ElicitationConfig(teacher="ann", backend="openai", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for recipe, cost in (("forced", 2.0), ("free", 4.0)):
        store.execute("INSERT INTO recipes VALUES (?, ?, NULL, NULL, ?)", (recipe, recipe, recipe == "forced"))
        store.execute(
            "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, replies, failures, calls,"
            " cost, started) VALUES ('ann', ?, 'toy', 'train', ?, 'done', 8, 0, 8, ?, 'now')",
            (asking.hash, recipe, cost),
        )
    source = {"model": "m", "revision": "1", "sampling": asking.hash}
    fallback = {**source, "recipe": "forced", "questions": 1}
    record = {**source, "recipe": "free", "rationales": 3, "rejected": {"incorrect": 2}, "fallback": fallback}
    trained(store, "toy", first(20), seconds=5, rationales="correct-or-forced", lineage={"ann": record})
    trained(store, "toy", first(10), seconds=5, method="finetune")
    [tradeoff] = report(store).tradeoffs
    assert [one.money for one in tradeoff.students] == [4 * 0.5 + 1 * 0.25, 0.0]
    assert tradeoff.currency is None


def test_a_teachers_own_answers_cost_what_those_it_was_evaluated_on_did(store: Store) -> None:
    data(store, "toy", 40)
    for teacher, backend, costs in (("ann", "openai", 0.5), ("bob", "vllm", None)):
        asking = ElicitationConfig(teacher=teacher, backend=backend, model="m", revision="1", sampling=Sampling())
        store.rationales.add_asking(asking)
        evaluated_on = Recipe(teacher_forcing=False)
        for recipe, replies in ((Recipe(icl=0, teacher_forcing=False), 80), (evaluated_on, 40)):
            cost = None if costs is None else costs * replies * (1 if recipe == evaluated_on else 3)
            add_recipes(store, [recipe])
            store.execute(
                "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, replies, failures, calls,"
                " cost, started) VALUES (?, ?, 'toy', 'test', ?, 'done', ?, 0, ?, ?, 'now')",
                (teacher, asking.hash, recipe.name, replies, replies, cost),
            )
        evaluated(
            store, "toy", first(8), teacher=teacher, subject={"sampling": asking.hash, "recipe": evaluated_on.name}
        )
    for right in (5, 6):
        trained(store, "toy", first(right), seconds=5, method="finetune", student=f"tiny-{right}")
    [tradeoff] = report(store).tradeoffs
    assert {one.label: one.money for one in tradeoff.teachers} == {"ann": 20.0, "bob": 0.0}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_no_number_is_written_over_another_and_the_best_has_one(places: list[tuple[float, float]]) -> None:
    kept = legible(places)
    assert len(places) - 1 in kept
    for one in kept:
        assert all(
            abs(places[one][0] - places[other][0]) > 0.06 or abs(places[one][1] - places[other][1]) > 0.07
            for other in kept - {one}
        )


def test_what_costs_nothing_has_a_place_beside_wide_costs() -> None:
    def taken(label: str, mean: float, money: float | None, method: str = "tinyllm") -> Taken:
        arm = SimpleNamespace(method=method, student=label, mean=mean, low=mean - 0.1, high=min(1.0, mean + 0.1))
        return Taken(arm=arm, label=label, seconds=1.0, money=money)  # type: ignore[arg-type]

    students = (taken("cheap", 0.4, 1.0), taken("dear", 0.5, 20.0), taken("free", 0.3, 0.0))
    teachers = (taken("local", 0.95, 0.0, "teacher"), taken("other", 0.9, None, "teacher"))
    tradeoff = Tradeoff(currency="USD", dataset="toy", scoring="rank", n=40, students=students, teachers=teachers)
    _, by_money = charts(tradeoff)
    assert "USD spent on teachers; logarithmic" in texts_of(by_money)
    assert {"0", "1", "10", "20"} <= set(texts_of(by_money)), "a round tick, and 0"
    hints = hints_of(by_money)
    assert "free, free: 0 USD spent on teachers, 30.0 % (20.0 to 40.0)" in hints
    assert "other, a teacher: 90.0" in hints, "of unknown cost: a line across"


def test_a_case_shows_the_reply_that_distill_learns(store: Store) -> None:
    """Not a later trial with another recipe on a few questions."""
    data(store, "toy", 40)
    explained(store, "toy", "train", [0, 1, 2], "Because so it is.")
    asked = make_questions(80, dataset="toy")
    prompt = build_prompt(asked[1], Recipe(icl=0, teacher_forcing=False), [])
    teacher = store.rationales.variants("toy", "train")[0].teacher
    same = ElicitationConfig(teacher=teacher, backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(same)
    keep(store, same, prompt, 0, Completion(text="Answer: (b)", finish_reason="stop"))
    shown = {case.key: [one.reply.text for one in case.reply_views] for case in collect(store, samples=4).cases}
    assert shown["train-1"] == ["Because so it is."]


def test_cases_are_questions_on_which_the_methods_disagree(store: Store) -> None:
    data(store, "toy", 40)
    trained(store, "toy", {0, 1, 2, 3, 7}, seconds=5)
    trained(store, "toy", {2, 3, 4, 5}, seconds=5, method="finetune")
    explained(store, "toy", "test", [7, 30], HOSTILE)
    explained(store, "toy", "train", [3, 4], "Because so it is.")
    cases = collect(store, samples=4).cases
    shown = [(case.key, case.why) for case in cases if case.split == "test"]
    assert len(shown) == 4
    assert shown[0] == ("test-7", "TinyLLM is right, Full fine-tuning is wrong"), "first what a teacher wrote about"
    assert {why for _, why in shown} == {
        "TinyLLM is right, Full fine-tuning is wrong", "Full fine-tuning is right, TinyLLM is wrong",
    }  # fmt: skip
    assert {key for key, _ in shown} <= {"test-0", "test-1", "test-4", "test-5", "test-7"}
    assert [(one.who, one.right) for one in cases[0].answered] == [
        ("Full fine-tuning, tiny", 0.0),
        ("TinyLLM, tiny", 1.0),
    ]
    assert [case.why for case in cases if case.split == "train"] == [TO_READ] * 2
    shown = Page(html_page(report(store), None)).text
    assert HOSTILE not in shown, "report() asks for no cases"
    assert HOSTILE in Page(html_page(collect(store, samples=4))).text


def test_a_question_that_left_the_data_set_is_no_case(store: Store) -> None:
    data(store, "toy", 40)
    trained(store, "toy", {0, 1}, seconds=5)
    trained(store, "toy", {1}, seconds=5, method="finetune")
    kept = [q for q in make_questions(40, dataset="toy", split="test") if q.key != "test-0"]
    store.questions.replace("toy", "here", "2", [*make_questions(80, dataset="toy"), *kept])
    assert collect(store, samples=4).cases == ()


def test_answers_over_several_seeds_are_reported_together(store: Store) -> None:
    data(store, "toy", 40)
    for seed in range(2):
        trained(store, "toy", {0, 1} if seed else {0}, seconds=5, seed=seed)
        trained(store, "toy", {1, 5}, seconds=5, method="finetune", seed=seed)
    by_key = {case.key: case for case in collect(store, samples=9).cases}
    assert set(by_key) == {"test-0", "test-5"}, "where the seeds agree"
    assert [one.right for one in by_key["test-0"].answered] == [0.0, 1.0]


def test_splits_and_cuts_are_counted(store: Store) -> None:
    data(store, "toy", 40)
    figures = {
        "tasks": {"answer": 80, "ann": 20},
        "inputs_cut": 3,
        "targets_cut": 7,
        "questions_per_second": 4.5,
        "peak_memory": {"host": 2_600_000_000},
    }
    trained(store, "toy", first(20), seconds=5, **figures)
    found = report(store)
    splits, cut = data_sheets(found)
    train, test = splits.groups[0].rows
    assert (train.label, [cell.text for cell in train.cells][:1]) == ("train", ["80"])
    assert (test.label, test.cells[0].text, test.cells[3].text) == ("test", "40", "4")
    asked = store.questions.profiles("toy")[0]
    example = make_questions(1, dataset="toy")[0]
    assert asked.words == pytest.approx(len(f"{example.text} {' '.join(example.options)}".split()), abs=1)
    assert sum(asked.gold) == 80
    assert [cell.text for cell in cut.groups[0].rows[0].cells] == ["64", "3 of 100", "32", "7 of 100", "0 of 40"]
    assert [cell.text for cell in run_sheet(found.runs).groups[0].rows[0].cells][6:9] == ["5", "4.5", "2.6"]


def test_the_teachers_own_accuracy_is_with_them(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), teacher="ann")
    explained(store, "toy", "train", [1, 2], "Because.", cost=0.5)
    written, own = teacher_sheets(report(store))
    assert [cell.text for cell in written.groups[0].rows[0].cells][-1] == "1.0000"
    assert [cell.text for cell in own.groups[0].rows[0].cells] == ["toy/test, generate", "40", "75.0"]
