"""The best texts of a question among those of all its teachers, and the learnability that they may be chosen by."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, write_dataset
from tests.models import KINDS, Kind, make_folder
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.correct import RationaleSources, passed_rationales
from tinyllm_cli.rationales.learnability import Learnability
from tinyllm_cli.rationales.per_question import Candidate, best_texts
from tinyllm_cli.rationales.score import Scored, Scoring, score
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.settings import TextChoice, TrainSettings
from tinyllm_cli.records.usefulness import Scorer, TextScore
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.students.base import IGNORED, Limits, Ranker
from tinyllm_cli.students.inputs import Task, student_input
from tinyllm_cli.students.loading import load_student, model_fingerprint
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingData, TrainingPlan, load_training_data

TEXTS = ("a b", "a b c", "c d e", "x", "y z", "a b d")

candidates = st.lists(
    st.builds(
        Candidate,
        question=st.just("q"),
        teacher=st.sampled_from(("ann", "bob", "eve")),
        sample=st.integers(0, 3),
        text=st.sampled_from(TEXTS),
        score=st.sampled_from((-2.0, -1.0, 0.0, 1.5)),
    ),
    max_size=8,
    unique_by=lambda one: (one.teacher, one.sample),
)
choices = st.sampled_from(("learnability", "usefulness", "agreement", "random"))


def chosen(own: list[Candidate], count: int, choice: TextChoice, seed: int = 0) -> list[Candidate]:
    return [own[index] for index in best_texts(own, count, choice, seed)]


@given(own=candidates, count=st.integers(1, 6), choice=choices, seed=st.integers(0, 5), order=st.randoms())
def test_the_choice_is_of_different_texts_nested_and_independent_of_the_order(
    own: list[Candidate], count: int, choice: TextChoice, seed: int, order: random.Random
) -> None:
    found = chosen(own, count, choice, seed)
    assert len({one.text for one in found}) == len(found) == min(count, len({one.text for one in own}))
    assert found[: count - 1] == (chosen(own, count - 1, choice, seed) if count > 1 else []), "fewer are the best of it"
    shuffled = list(own)
    order.shuffle(shuffled)
    assert chosen(shuffled, count, choice, seed) == found
    if choice != "random":
        assert chosen(own, count, choice, seed + 1) == found, "only a random choice depends on the seed"


@given(own=candidates, count=st.integers(1, 6), choice=st.sampled_from(("learnability", "usefulness")))
def test_no_better_text_is_left_out(own: list[Candidate], count: int, choice: TextChoice) -> None:
    found = chosen(own, count, choice)
    scores = [one.score or 0.0 for one in found]
    assert scores == sorted(scores, reverse=True)
    left = [one.score or 0.0 for one in own if one.text not in {taken.text for taken in found}]
    assert not left or not scores or max(left) <= min(scores)


def test_a_random_choice_takes_every_text_of_equal_ones_about_equally_often() -> None:
    own = [Candidate(question="q", teacher=name, sample=0, text=name) for name in ("ann", "bob", "eve")]
    taken = [chosen(own, 1, "random", seed)[0].teacher for seed in range(600)]
    assert all(150 < taken.count(name) < 250 for name in ("ann", "bob", "eve"))


def test_equal_texts_of_two_teachers_are_taken_from_either() -> None:
    """Else the teacher whose name comes first would teach all of them."""
    taken = [
        chosen(
            [Candidate(question=str(n), teacher=name, sample=0, text="same") for name in ("ann", "bob")], 2, "agreement"
        )
        for n in range(200)
    ]
    assert all(len(one) == 1 for one in taken)
    assert 70 < sum(one[0].teacher == "ann" for one in taken) < 130


def test_agreement_takes_the_text_that_the_others_resemble() -> None:
    texts = ("Plants need light from the sun", "Whales sing", "Plants need light from the sun to grow", "Iron rusts")
    own = [Candidate(question="q", teacher=f"t{n}", sample=0, text=text) for n, text in enumerate(texts)]
    assert chosen(own, 1, "agreement")[0].text in (texts[0], texts[2])


def test_a_text_without_a_score_is_an_error() -> None:
    own = [Candidate(question="q", teacher="ann", sample=0, text="a")]
    with pytest.raises(ValueError, match="no score"):
        best_texts(own, 1, "learnability", 0)


TEACHERS = ("ann", "bob")


def prepared(store: Store, folder: Path, count: int = 6, samples: int = 2) -> list[Question]:
    """Two teachers with several texts for each question."""
    ingest(store, from_path(write_dataset(folder / "toy", train=count, valid=2, test=2)))
    questions = list(store.questions.iterate("toy", "train"))
    for teacher in TEACHERS:
        asking = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
        store.rationales.add_asking(asking)
        for question in questions:
            for sample in range(samples):
                text = f"So says {teacher} of {question.key} the {'very ' * sample}first time."
                keep(store, asking, recorded_prompt(question, teacher_forcing=True), sample,
                     Completion(text=text, finish_reason="recorded"))  # fmt: skip
    return questions


def gathered(store: Store, selection: Selection, *, student: str = "tiny", seed: int = 0) -> TrainingData:
    teachers = tuple(WeightedTeacher(teacher=name, prefix=f"{name}: ", alpha=1.0) for name in TEACHERS)
    return load_training_data(
        store,
        TrainingPlan(
            method="tinyllm", dataset="toy", student=student, teachers=teachers, settings=TrainSettings(seed=seed),
            selection=selection,
        ),
    )  # fmt: skip


def texts(data: TrainingData) -> dict[str, list[tuple[str, str, float]]]:
    return {
        one.question.key: [
            (part.name, part.text, part.share) for task in one.tasks for part in task.segments if part.name != "answer"
        ]
        for one in data.training_questions
    }


def sources(store: Store) -> dict[str, RationaleSources]:
    return {
        one.teacher: RationaleSources(kind="forced", answered=None, forced=one)
        for one in store.rationales.variants("toy", "train")
    }


def scored(store: Store, ranker: Ranker, teacher: str, *, model: str = "tiny") -> list[Scored]:
    own = passed_rationales(store, store.questions.iterate("toy", "train"), sources(store)[teacher], None)
    scoring = Scoring(scorer=Scorer(model=model), load=lambda: ranker)
    measure = Learnability(teacher=teacher, prefix=f"{teacher}: ")
    return list(score(store.learnability, own, scoring, measure, lambda _done: None))


def test_every_question_has_at_most_so_many_texts_and_each_keeps_its_task(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    every = texts(gathered(store, Selection()))
    for count in (1, 2, 3, 4):
        data = gathered(store, Selection(per_question=count, choose="agreement"))
        for key, own in texts(data).items():
            assert len(own) == count
            assert {(name, text) for name, text, _ in own} <= {(name, text) for name, text, _ in every[key]}
            for name in TEACHERS:
                shares = [share for teacher, _, share in own if teacher == name]
                assert sum(shares) == pytest.approx(1 if shares else 0), "a question counts once for a teacher"
        record = data.lineage
        assert sum(one["rationales"] for one in record.values()) == 6 * count
        assert all(one["rationales"] + one.get("unchosen", 0) == 12 for one in record.values())
    assert texts(gathered(store, Selection(per_question=4, choose="agreement"))) == every


def test_runs_of_a_random_choice_that_differ_in_the_seed_have_one_digest(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    selection = Selection(per_question=1, choose="random")
    first, second = (gathered(store, selection, seed=seed) for seed in (0, 1))
    assert texts(first) != texts(second)
    assert texts(first) == texts(gathered(store, selection))
    digests = [{name: one["digest"] for name, one in data.lineage.items()} for data in (first, second)]
    assert digests[0] == digests[1], "so that the report takes them for seeds of one arm"
    by_agreement = gathered(store, Selection(per_question=1, choose="agreement"))
    assert texts(by_agreement) == texts(gathered(store, Selection(per_question=1, choose="agreement"), seed=1))


def test_what_is_chosen_is_part_of_what_makes_a_run_the_same() -> None:
    assert Selection().identity() == {}
    assert Selection(rationales="correct", per_question=2, choose="random").identity() == {
        "rationales": "correct", "per_question": 2, "choose": "random",
    }  # fmt: skip


def gains_by_hand(store: Store, model: str, gains: Mapping[str, float]) -> None:
    """Usefulness scores: of each teacher's texts, this gain."""
    for teacher, own in sources(store).items():
        for one in passed_rationales(store, store.questions.iterate("toy", "train"), own, None):
            hashed = text_hash(one.text, one.question, mask=True)
            gain = TextScore(rationale=one.rationale.id, text_hash=hashed, value=gains[teacher])
            store.usefulness.add(Scorer(model=model), [gain] if teacher in gains else [])


def test_the_most_useful_texts_are_taken_by_one_model_s_scores(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    useful = Selection(per_question=1, choose="usefulness")
    with pytest.raises(UsageProblem, match="12 of 12 rationales of ann for toy have no score") as refused:
        gathered(store, useful)
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann --no-gates"
    gains_by_hand(store, "by hand", {"ann": 1.0, "bob": 2.0})
    data = gathered(store, useful)
    assert {name for own in texts(data).values() for name, _, _ in own} == {"bob"}
    assert data.lineage["bob"]["scored_by"] == "by hand"
    assert (data.lineage["ann"]["rationales"], data.lineage["ann"]["questions"]) == (0, 0)


def test_scores_of_different_models_are_not_compared(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    for model, teacher in (("one", "ann"), ("other", "bob")):
        own = sources(store)[teacher]
        for one in passed_rationales(store, store.questions.iterate("toy", "train"), own, None):
            hashed = text_hash(one.text, one.question, mask=True)
            store.usefulness.add(
                Scorer(model=model), [TextScore(rationale=one.rationale.id, text_hash=hashed, value=1.0)]
            )
    with pytest.raises(UsageProblem, match="scored by different models: one, other"):
        gathered(store, Selection(per_question=1, choose="usefulness"))


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ranker:
    kind: Kind = request.param
    return load_student(str(make_folder(tmp_path_factory.mktemp("student"), kind)))


def test_learnability_is_the_mean_log_likelihood_of_the_target(store: Store, tmp_path: Path, student: Ranker) -> None:
    """Naively: one example at a time, the loss that training begins with."""
    questions = {one.key: one for one in prepared(store, tmp_path, count=3)}
    for one in scored(store, student, "ann"):
        text = student_input("ann: ", questions[one.rationale.key])
        [example] = student.encode([Task.single("ann", text, one.text)], Limits())
        with torch.inference_mode():
            logits, labels = student.target_logits([example])  # type: ignore[attr-defined]
        loss = torch.nn.functional.cross_entropy(logits[0].float(), labels[0], ignore_index=IGNORED)
        assert one.value == pytest.approx(-float(loss), abs=2e-3)


def test_learnability_is_computed_once_and_again_for_another_prefix(
    store: Store, tmp_path: Path, student: Ranker
) -> None:
    prepared(store, tmp_path)
    first = scored(store, student, "ann")
    own = list(passed_rationales(store, store.questions.iterate("toy", "train"), sources(store)["ann"], None))

    def refuse() -> Ranker:
        raise AssertionError("nothing is missing, so no model is needed")

    scoring = Scoring(scorer=Scorer(model="tiny"), load=refuse)
    measure = Learnability(teacher="ann", prefix="ann: ")
    again = list(score(store.learnability, own, scoring, measure, lambda _done: None))
    assert [one.value for one in again] == [one.value for one in first]
    other = Learnability(teacher="ann", prefix="explain: ")
    with pytest.raises(AssertionError, match="no model is needed"):
        list(score(store.learnability, own, scoring, other, lambda _done: None))


def test_the_most_learnable_texts_are_those_with_the_highest_score(
    store: Store, tmp_path: Path, student: Ranker
) -> None:
    prepared(store, tmp_path)
    likely = Selection(per_question=1, choose="learnability")
    with pytest.raises(UsageProblem, match="12 of 12 rationales of ann for toy have no learnability for tiny") as why:
        gathered(store, likely)
    assert why.value.hint == (
        "Run: tinyllm usefulness --dataset toy --teacher ann --measure learnability --model tiny --no-gates"
    )
    by_key: dict[str, list[Scored]] = {}
    for name in TEACHERS:
        for one in scored(store, student, name):
            by_key.setdefault(one.rationale.key, []).append(one)
    best = {key: max(own, key=lambda one: one.value).text for key, own in by_key.items()}
    data = gathered(store, likely)
    assert {key: own[0][1] for key, own in texts(data).items()} == best
    assert {one["scored_by"] for one in data.lineage.values()} == {"tiny"}


def test_the_command_in_the_error_computes_what_is_missing(inside: Command, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "causal")
    with open_store(tmp_path / "tinyllm.db") as store:
        prepared(store, tmp_path, count=5)
    command = ("distill", "--alpha", "ann=1,bob=1", "--student", "student", "--per-question", "1", "--choose",
               "learnability", "--limit", "4", "--max-target", "64")  # fmt: skip
    for teacher in TEACHERS:
        refused = inside(*command, "--dry-run")
        assert refused.returncode == 2
        line = next(line for line in refused.stderr.splitlines() if "Run: tinyllm" in line)
        words = shlex.split(line.partition("Run: tinyllm")[2])
        assert words[words.index("--teacher") + 1] == teacher
        done = inside(*words)
        assert done.returncode == 0, done.stderr
        assert "mean log-likelihood" in done.stdout
        assert "Next: tinyllm distill --dataset toy --per-question 1 --choose learnability" in done.stderr
    shown = inside("usefulness", "--measure", "learnability", "--model", "student", "--show", "1", "--limit", "4",
                   "--max-target", "64", "--json")  # fmt: skip
    found = json.loads(shown.stdout)
    assert [one["rationales"] for one in found["teachers"]] == [8, 8]
    assert all(one["mean"] < 0 and len(one["examples"]) == 2 for one in found["teachers"])
    done = inside(*command)
    assert done.returncode == 0, done.stderr
    with open_store(tmp_path / "tinyllm.db") as store:
        [run] = store.runs.everything()
    settings = run.settings.to_json()
    assert (settings["per_question"], settings["choose"]) == (1, "learnability")
    assert sum(one["rationales"] for one in run.sources.values()) == 4
    assert {one["scored_by"] for one in run.sources.values()} == {f"{folder} {model_fingerprint(str(folder))}"}


def test_a_teacher_none_of_whose_texts_is_chosen_takes_no_part(inside: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    with open_store(tmp_path / "tinyllm.db") as store:
        prepared(store, tmp_path, count=4)
        gains_by_hand(store, "by hand", {"ann": 1.0, "bob": 2.0})
    done = inside("distill", "--alpha", "ann=1,bob=1", "--student", "student", "--no-gates", "--per-question", "1",
                  "--choose", "usefulness")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 rationales of ann" in done.stderr
    with open_store(tmp_path / "tinyllm.db") as store:
        [run] = store.runs.everything()
    assert (run.state, run.method) == ("done", "tinyllm")
    assert [run.sources[name]["rationales"] for name in TEACHERS] == [0, 4]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("distill", "--choose", "random"), "--choose has no effect without --per-question."),
        (("usefulness", "--measure", "learnability", "--leakage", "3"), "have no effect on learnability"),
        (("experiment", "table1", "--", "--choose", "random"), "--choose has no effect without --per-question."),
    ],
)
def test_options_without_effect_are_refused(inside: Command, words: tuple[str, ...], error: str) -> None:
    done = inside(*words)
    assert done.returncode == 2
    assert error in done.stderr
