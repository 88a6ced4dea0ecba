"""Rationales written without the gold answer, kept where they are right, and forced ones as their fallback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Message, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tests.models import make_folder
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.elicitation.replies import explanation
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.correct import INCORRECT, of_kind
from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Rationale, Recipe
from tinyllm_cli.records.settings import RationaleKind, TrainSettings
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingData, TrainingPlan, load_training_data

OPTIONS = ("sand", "rain", "a hot day")


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        ("Sand heats up.\nAnswer: (b)", "Sand heats up."),
        ("Sand heats up. Answer: (b)", "Sand heats up."),
        ("**Answer:** (b) rain\nSand heats up.", "Sand heats up."),
        ("Sand heats up.\n\n**Final answer: (b)**\n", "Sand heats up."),
        ("(b)\nSand heats up.", "Sand heats up."),
        ("Sand heats up.\nrain", "Sand heats up."),
        ("Sand heats up.\nAnswer: (b)\nQuestion: What?\nAnswer: (a)", "Sand heats up."),
        ("<think>Is it sand?</think>Sand heats up.\nAnswer: (b)", "Sand heats up."),
        ("Sand heats up. So the answer is rain.", "Sand heats up. So the answer is rain."),
        ("Answer: (b) because sand heats up.", "Answer: (b) because sand heats up."),
        ("Sand heats up.\nAnswer: (z)", "Sand heats up.\nAnswer: (z)"),
        ("a) sand\nb) rain\nIt falls.\nAnswer: rain", "a) sand\nb) rain\nIt falls."),
        ("Answer: (b)", ""),
        ("rain", ""),
    ],
)
def test_an_explanation_lacks_what_only_states_the_answer(reply: str, left: str) -> None:
    assert explanation(reply, OPTIONS) == left


pieces = st.sampled_from(("It heats.", "Answer: (b)", "(a)", "\n", " ", "rain", "Final answer: C", "**"))


@given(st.lists(pieces, max_size=8))
def test_an_explanation_adds_nothing_and_keeps_no_answer_line(parts: list[str]) -> None:
    text = "".join(parts)
    left = explanation(text, OPTIONS)
    assert set(left.split()) <= set(text.split())
    assert "Answer: (b)" not in left.splitlines()


@pytest.mark.parametrize("piece", ["* ", "\n", "Answer: ", ". ", "the ", "> ", " "])
def test_the_time_for_an_explanation_grows_no_faster_than_the_text(piece: str) -> None:
    """Not measured: with a pattern that backtracks, this test takes minutes."""
    assert len(explanation(piece * 20_000, OPTIONS)) <= len(piece) * 20_000


def reply(question: Question, number: int, *, passes: bool = True, answer: int | None = None) -> JudgedRationale:
    """A judged rationale; incorrect ones, as the rejected, do not pass."""
    finding = () if passes else (GateFinding(gate=INCORRECT, reason="states (a)", repaired=False),)
    return JudgedRationale(
        question=question,
        rationale=Rationale(
            id=number, position=0, key=question.key, question=question.hash, sample=number, text="text",
            finish_reason="stop", answer=answer,
        ),
        verdict=Verdict(verdict="kept" if passes else "rejected", text="text", findings=finding),
    )  # fmt: skip


replies = st.lists(st.booleans(), max_size=5)


@given(answered=replies, forced=replies)
def test_a_forced_rationale_is_a_fallback_only_without_a_correct_one(answered: list[bool], forced: list[bool]) -> None:
    [question] = make_questions(1)
    own = [reply(question, number, passes=passes) for number, passes in enumerate(answered)]
    others = [reply(question, 10 + number, passes=passes) for number, passes in enumerate(forced)]
    learned = {
        kind: [one.rationale.id for one in of_kind(kind, own, others) if one.passed]
        for kind in ("forced", "correct", "correct-or-forced")
    }  # fmt: skip
    assert learned["forced"] == [one.rationale.id for one in others if one.passed]
    assert learned["correct"] == [one.rationale.id for one in own if one.passed]
    assert learned["correct-or-forced"] == (learned["correct"] or learned["forced"])
    fallback = [one.rationale.id for one in of_kind("correct-or-forced", own, others) if one.fallback and one.passed]
    assert fallback == ([] if learned["correct"] else learned["forced"])
    every = [one.rationale.id for one in of_kind("correct-or-forced", own, others)]
    assert len(every) == len(set(every)), "nothing is counted twice"


def test_what_is_recorded_with_a_wrong_answer_is_no_fallback() -> None:
    [question] = make_questions(1)
    wrong = reply(question, 1, answer=(question.answer + 1) % 4)
    unknown = reply(question, 2)
    right = reply(question, 3, answer=question.answer)
    incorrect = [reply(question, number, passes=False) for number in (1, 2, 3)]
    found = of_kind("correct-or-forced", incorrect, [wrong, unknown, right])
    assert [one.rationale.id for one in found if one.passed] == [2, 3]


def toy(store: Store, folder: Path, count: int = 6) -> list[Question]:
    ingest(store, from_path(write_dataset(folder / "toy", train=count)))
    return list(store.questions.iterate("toy", "train"))


def wrote(store: Store, teacher: str, question: Question, texts: Sequence[str], *, forced: bool, seed: int = 0) -> None:
    """Samples of the teacher for a question."""
    asking = ElicitationConfig(
        teacher=teacher, backend="scripted", model="m", revision="1", sampling=Sampling(seed=seed, temperature=0.8)
    )
    store.rationales.add_asking(asking)
    prompt = Prompt(
        question=question.hash, recipe=Recipe(icl=0, teacher_forcing=forced),
        messages=(Message(role="user", content=question.text),),
    )  # fmt: skip
    for sample, text in enumerate(texts):
        keep(store, asking, prompt, sample, Completion(text=text, finish_reason="stop"))


def states(question: Question, option: int, why: str = "because of its number and its kind") -> str:
    return f"It belongs to {question.key} {why}.\nAnswer: ({LETTERS[option % 4]})"


def learned(store: Store, kind: RationaleKind, gates: GateSettings | None = None, **more: object) -> TrainingData:
    teachers = (WeightedTeacher(teacher="ann", prefix="ann: ", alpha=1.0),)
    return load_training_data(
        store,
        TrainingPlan(
            method="distill-step-by-step", dataset="toy", student="any", teachers=teachers, settings=TrainSettings(),
            selection=Selection(rationales=kind, gates=gates, **more),  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def texts(data: TrainingData) -> dict[str, list[str]]:
    return {
        one.question.key: [part.text for task in one.tasks for part in task.segments if part.name == "ann"]
        for one in data.training_questions
    }  # fmt: skip


def prepared(store: Store, folder: Path) -> list[Question]:
    """Ann explains every gold answer, and answers every question twice: of the first both are right, of the second one
    is, of the others none."""
    questions = toy(store, folder)
    for number, question in enumerate(questions):
        wrote(store, "ann", question, [f"Forced text about {question.key}."], forced=True)
        right = 2 - min(number, 2)
        answers = [question.answer + (sample >= right) for sample in range(2)]
        own = [states(question, answer, f"as sample {sample} says") for sample, answer in enumerate(answers)]
        wrote(store, "ann", question, own, forced=False)
    return questions


@pytest.mark.parametrize("gates", [None, GateSettings()])
def test_correct_answers_are_learned_without_their_last_line(
    store: Store, tmp_path: Path, gates: GateSettings | None
) -> None:
    prepared(store, tmp_path)
    data = learned(store, "correct", gates)
    first, second = (
        [f"It belongs to train-0 as sample {sample} says." for sample in range(2)],
        ["It belongs to train-1 as sample 0 says."],
    )
    assert texts(data) == {"train-0": first, "train-1": second} | {f"train-{n}": [] for n in range(2, 6)}
    record = data.lineage["ann"]
    assert (record["questions"], record["rationales"], record["rejected"]) == (2, 3, {INCORRECT: 9})
    assert record["recipe"] == "v1 free icl=0"
    assert "fallback" not in record
    assert {part.share for one in data.training_questions[0].tasks[1:] for part in one.segments} == {0.5}


def test_forced_rationales_are_the_default_and_the_fallback(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    forced = {f"train-{n}": [f"Forced text about train-{n}."] for n in range(6)}
    assert texts(learned(store, "forced")) == forced
    either = learned(store, "correct-or-forced")
    correct = {key: own for key, own in texts(learned(store, "correct")).items() if own}
    assert texts(either) == forced | correct
    record = either.lineage["ann"]
    assert record["questions"] == 6
    assert (record["fallback"]["questions"], record["fallback"]["recipe"]) == (4, "v1 forced icl=0")


def test_a_correct_text_that_the_gates_reject_is_replaced_by_a_forced_one(store: Store, tmp_path: Path) -> None:
    [question] = toy(store, tmp_path, 1)
    wrote(store, "ann", question, ["Forced text about its number and kind."], forced=True)
    wrote(store, "ann", question, [f"Answer: ({LETTERS[question.answer]})"], forced=False)
    assert texts(learned(store, "correct-or-forced", GateSettings())) == {
        "train-0": ["Forced text about its number and kind."]
    }
    with pytest.raises(UsageProblem, match="None of ann's rationales for toy has any text"):
        learned(store, "correct", GateSettings())


def test_a_teacher_without_answers_of_its_own_is_named_with_the_command(store: Store, tmp_path: Path) -> None:
    [question] = toy(store, tmp_path, 1)
    wrote(store, "ann", question, ["Forced text about its number."], forced=True)
    with pytest.raises(UsageProblem, match="ann has not answered toy, split train, without the gold answer") as refused:
        learned(store, "correct")
    wanted = "--teacher ann --dataset toy --split train --no-teacher-forcing --samples 8 --temperature 0.8"
    assert wanted in refused.value.hint
    assert texts(learned(store, "correct-or-forced")) == texts(learned(store, "forced"))


def test_a_teacher_that_is_never_right_is_named(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path, 2)
    for question in questions:
        wrote(store, "ann", question, [states(question, question.answer + 1)], forced=False)
    with pytest.raises(UsageProblem, match="None of ann's rationales for toy states the gold answer"):
        learned(store, "correct")


def test_the_set_with_more_samples_is_used(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path, 2)
    for question in questions:
        wrote(store, "ann", question, [states(question, question.answer, f"by {n}") for n in range(3)], forced=False)
        wrote(store, "ann", question, [states(question, question.answer, "once")], forced=False, seed=1)
    assert [len(own) for own in texts(learned(store, "correct")).values()] == [3, 3]


@pytest.mark.parametrize("forced", [True, False])
def test_a_recorded_answer_counts_before_the_text(store: Store, tmp_path: Path, forced: bool) -> None:
    questions = toy(store, tmp_path, 3)
    asking = ElicitationConfig(teacher="ann", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question, answer in zip(questions, (questions[0].answer, questions[1].answer + 1, None), strict=True):
        prompt = recorded_prompt(question, teacher_forcing=forced)
        text = f"It is in list {question.key} (see the others). Answer: ({LETTERS[question.answer]})"
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="recorded", answer=answer))
    own = [len(texts(learned(store, "correct"))[one.key]) for one in questions]
    assert own == [1, 0, 0 if forced else 1], "a teacher that saw the answer is not right by stating it"
    either = [len(texts(learned(store, "correct-or-forced"))[one.key]) for one in questions]
    assert either == [1, 0, 1]


def test_one_in_ten_wrong_loses_its_wrong_tenth(inside: Command, tmp_path: Path) -> None:
    done = inside("import", "--procedural", "coin-flip", "--train", "60", "--valid", "2", "--test", "2", "--json")
    assert done.returncode == 0, done.stderr

    def planned(alpha: str, kind: str) -> dict[str, object]:
        shown = inside("distill", "--alpha", alpha, "--student", "any", "--rationales", kind, "--no-gates", "--dry-run",
                       "--json")  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        found: dict[str, object] = json.loads(shown.stdout)["rationales"][alpha.partition("=")[0]]
        return found

    assert planned("one-in-ten-wrong=1", "forced")["questions"] == 60
    for kind in ("correct", "correct-or-forced"):
        record = planned("one-in-ten-wrong=1", kind)
        assert (record["questions"], record["rejected"]) == (54, {INCORRECT: 6})
    assert planned("stepwise=1", "correct")["questions"] == 60
    halves = inside("distill", "--alpha", "first-half=1", "--student", "any", "--rationales", "correct", "--dry-run")
    assert halves.returncode == 2
    assert "None of first-half's rationales for coin-flip states the gold answer." in halves.stderr


def test_an_experiment_checks_the_choice_of_rationales_before_it_starts(inside: Command, tmp_path: Path) -> None:
    done = inside("import", "--procedural", "coin-flip", "--train", "20", "--valid", "2", "--test", "2")
    assert done.returncode == 0, done.stderr
    make_folder(tmp_path / "student", "causal")
    plan = ("experiment", "table1", "--student", "student", "--methods", "tinyllm", "--dry-run", "--json")
    chosen = ("--", "--rationales", "correct", "--per-question", "1", "--choose", "random")
    right = inside(*plan, "--alpha", "stepwise=1,one-in-ten-wrong=1", *chosen)
    assert right.returncode == 0, right.stderr
    [cell] = json.loads(right.stdout)["cells"]
    chosen_options = {"rationales": "correct", "per_question": 1, "choose": "random"}
    assert cell["distill"]["options"] == {"gates": False, **chosen_options}
    half = inside(*plan, "--alpha", "stepwise=1,first-half=1", *chosen)
    assert half.returncode == 2
    assert "None of first-half's rationales for coin-flip states the gold answer." in half.stderr
    missing = inside(*plan, "--alpha", "stepwise=1,one-in-ten-wrong=1", *chosen[:-1], "learnability")
    assert missing.returncode == 2
    assert f"--measure learnability --model {tmp_path / 'student'} --rationales correct" in missing.stderr


def test_the_audit_shows_what_each_choice_leaves(store: Store, tmp_path: Path, inside: Command) -> None:
    prepared(store, tmp_path)
    store.close()
    found = json.loads(inside("audit", "--dataset", "toy", "--no-gates", "--json").stdout)
    [choices] = found["choices"]
    [ann] = choices["teachers"]
    assert ann["by_kind"] == {
        "forced": {"rationales": 6, "questions": 6, "sampled": None},
        "correct": {"rationales": 3, "questions": 2, "sampled": None},
        "correct-or-forced": {"rationales": 7, "questions": 6, "sampled": None},
    }
    assert ann["chosen"] is None
    chosen = ("--per-question", "1", "--rationales", "correct-or-forced", "--choose", "random")
    shown = inside("audit", "--dataset", "toy", "--no-gates", *chosen)
    row = next(line for line in shown.stdout.splitlines() if "6 (6)" in line and "3 (2)" in line)
    assert row.split() == ["ann", "6", "(6)", "3", "(2)", "7", "(6)", "6", "(6)"]
    refused = inside("audit", "--dataset", "toy", "--rationales", "correct")
    assert refused.returncode == 2
    assert "--rationales has no effect without --per-question." in refused.stderr
    learnable = inside("audit", "--dataset", "toy", "--per-question", "1", "--choose", "learnability")
    assert learnable.returncode == 2
    assert "tinyllm usefulness --dataset toy --teacher ann --measure learnability --model" in learnable.stderr


SAMPLED = """
[teachers.guesser]
backend = "scripted"
replies = [
  "Each of these things has its own number here.\\nAnswer: (a)",
  "Only this thing is of the number that was named.\\nAnswer: (b)",
  "One finds it by counting things in the list.\\nAnswer: (a)",
]
"""


def test_a_teacher_that_samples_is_filtered_from_the_command_line(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8, valid=4, test=4)
    make_folder(tmp_path / "student", "causal")
    (tmp_path / "tinyllm.toml").write_text(SAMPLED, encoding="utf-8")
    asked = inside(
        "elicit", "--teacher", "guesser", "--dataset", "toy", "--split", "train", "--no-teacher-forcing", "--icl", "0",
        "--samples", "6", "--temperature", "0.8",
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    command = ("distill", "--alpha", "guesser=1", "--student", "student", "--rationales", "correct")
    done = inside(*command, "--json")
    assert done.returncode == 0, done.stderr
    with open_store(tmp_path / "tinyllm.db") as store:
        [run] = store.runs.everything()
        questions = {one.key: one for one in store.questions.iterate("toy", "train")}
        rows = list(store.rows("SELECT text, question FROM rationales"))
    right = [row for row in rows if row["text"].endswith(f"({LETTERS[by_hash(questions, row['question']).answer]})")]
    assert 0 < len(right) < len(rows) == 48
    record = run.sources["guesser"]
    assert record["rationales"] == len(right)
    assert record["rejected"][INCORRECT] == 48 - len(right)
    assert run.settings.to_json()["rationales"] == "correct"
    again = inside(*command)
    assert "has this configuration and is done" in again.stderr
    forced = inside("distill", "--alpha", "guesser=1", "--student", "student")
    assert forced.returncode == 0
    with open_store(tmp_path / "tinyllm.db") as store:
        assert len(store.runs.everything()) == 2, "another choice is another run"


def by_hash(questions: dict[str, Question], wanted: str) -> Question:
    return next(one for one in questions.values() if one.hash == wanted)
