"""How useful a rationale is: what is masked, what is scored, what the scores make of a training."""

from __future__ import annotations

import json
import math
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tests.models import make_folder
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.correct import RationaleSources, passed_rationales
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.leakage import CONDITIONS, probe
from tinyllm_cli.rationales.masking import MASK, masked
from tinyllm_cli.rationales.score import Scored, Scoring, score
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.rationales.usefulness import Usefulness
from tinyllm_cli.rationales.weights import text_hash, weights
from tinyllm_cli.records.elicitation import ElicitationConfig, RationaleSet
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.records.usefulness import Scorer, TextScore
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits, Ranker
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.predict import rank
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingData, TrainingPlan, load_training_data

OWL = Question(
    dataset="toy", split="train", key="1", text="Who hunts at night?", options=("hens", "the owls", "a cow"), answer=1
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Owls see in the dark.", f"{MASK} see in the dark."),
        ("It must be the owl, an OWL indeed.", f"It must be {MASK}, {MASK} indeed."),
        ("So (b) is right, not (a).", f"So {MASK} is right, not (a)."),
        ("The answer is b because hens sleep.", f"The answer is {MASK} because hens sleep."),
        ("Option B hunts; option c grazes.", f"Option {MASK} hunts; option c grazes."),
        ("b) They see well.", f"{MASK} They see well."),
        ("The correct choice is B.", f"The correct choice is {MASK}."),
        ("Choice b hunts. **Answer:** B", f"Choice {MASK} hunts. **Answer:** {MASK}"),
        ("answer:b", f"answer:{MASK}"),
        ("The answer has to be b. It is clearly an owl.", f"The answer has to be {MASK}. It is clearly {MASK}."),
        ("It is clearly (b); the option left is b.", f"It is clearly {MASK}; the option left is {MASK}."),
        ("Answer = b", f"Answer = {MASK}"),
        ("It hunts, so it must be B.", f"It hunts, so it must be {MASK}."),
        ("B is right, and C is wrong.", f"{MASK} is right, and C is wrong."),
        ("It may be bright. Vitamin B helps, to be brief.", "It may be bright. Vitamin B helps, to be brief."),
        ("The blood type is B. Hepatitis B is the right name.", "The blood type is B. Hepatitis B is the right name."),
        ("Answer:\nB", f"Answer:\n{MASK}"),
        ("It must be B because it hunts; this is B.", f"It must be {MASK} because it hunts; this is {MASK}."),
        ("A is wrong and B is correct.", f"A is wrong and {MASK} is correct."),
        ("I think B is right. So the correct one is B.", f"I think {MASK} is right. So the correct one is {MASK}."),
        ("There are four options.\nB cells help.", "There are four options.\nB cells help."),
        ("The option bears fruit; the answer is brown.", "The option bears fruit; the answer is brown."),
        ("Fowls and bowls are something else.", "Fowls and bowls are something else."),
    ],
)
def test_the_answer_is_masked_and_nothing_else(text: str, left: str) -> None:
    assert masked(text, OWL) == left


@pytest.mark.parametrize(
    ("gold", "text", "left"),
    [
        ("boxes", "A box holds it.", f"{MASK} holds it."),
        ("berries", "The berry is red.", f"{MASK} is red."),
        ("a berry", "Berries are red.", f"{MASK} are red."),
        ("glass", "Glasses break.", f"{MASK} break."),
        ("classes", "In the class they learn.", f"In {MASK} they learn."),
        ("churches", "A church has a tower.", f"{MASK} has a tower."),
        ("leaf", "Leaves fall.", f"{MASK} fall."),
        ("knives", "One knife cuts.", f"One {MASK} cuts."),
        ("wood beams", "They need a wood beam.", f"They need {MASK}."),
        ("gas", "A gas fills it; gash and gast don't.", f"{MASK} fills it; gash and gast don't."),
        ("猫头鹰", "因为猫头鹰在夜间捕猎", f"因为{MASK}在夜间捕猎"),
        ("นกฮูก", "เพราะนกฮูกออกล่าตอนกลางคืน", f"เพราะ{MASK}ออกล่าตอนกลางคืน"),
        ("แม่", "แมวและแม่นอน", f"แมวและ{MASK}นอน"),
        ("notes", "This is not what a note is.", f"This is not what {MASK} is."),
        ("planes", "The plan was a plane.", f"The plan was {MASK}."),
        ("toes", "They need to be wide to leave room for a toe.", f"They need to be wide to leave room for {MASK}."),
        ("uses", "It helps us, and has a use.", f"It helps us, and has {MASK}."),
        ("a kangaroo", "Kangaroos jump.", f"{MASK} jump."),
        ("stomach", "Their stomachs digest.", f"Their {MASK} digest."),
        ("猫头鹰。", "因为猫头鹰在夜间捕猎", f"因为{MASK}在夜间捕猎"),
        ("X射线", "X射线能穿透身体", f"{MASK}能穿透身体"),
        ("?!", "It is ?! indeed.", f"It is {MASK} indeed."),
        ("4", "It is 4, not 4.5, 1.4 or 2,400.", f"It is {MASK}, not 4.5, 1.4 or 2,400."),
        ("4.5", "So 4.5. It is not 4.55.", f"So {MASK}. It is not 4.55."),
        ("no", "No, there is no proof.", f"{MASK}, there is no proof."),
        ("No", "No one knows. The answer is no.", f"No one knows. The answer is {MASK}."),
        (
            "no",
            'It has no drug. It must be "no" since none helps.',
            f'It has no drug. It must be "{MASK}" since none helps.',
        ),
        ("no", "Nothing helps. **No**", f"Nothing helps. **{MASK}**"),
        ("no", "The answer is (b) no.", f"The answer is (b) {MASK}."),
        ("no", "Answer: (b) no", f"Answer: (b) {MASK}"),
        ("no", "Therefore, no. So the answer is clearly no.", f"Therefore, {MASK}. So the answer is clearly {MASK}."),
        ("no", "So no drug helps.", "So no drug helps."),
        ("C++", "Vitamin C. The answer is (b) C++.", f"Vitamin C. The answer is (b) {MASK}."),
        ("A", "A cell has a wall. Answer: A", f"A cell has a wall. Answer: {MASK}"),
    ],
)
def test_a_noun_is_masked_in_any_number_and_any_script(gold: str, text: str, left: str) -> None:
    asked = Question(dataset="toy", split="train", key="1", text="What?", options=("a hen", "a cow", gold), answer=2)
    assert masked(text, asked) == left


def test_an_article_is_no_letter() -> None:
    asked = Question(dataset="toy", split="train", key="1", text="Who?", options=("an owl", "a hen"), answer=0)
    for text in ("The answer is a bird that hunts.", "This is the best choice. A warm den helps.", "It is A-shaped."):
        assert masked(text, asked) == text
    for text in (
        "Option {} describes it.",
        "Choice {} makes most sense.",
        "The answer is {} (it hunts).",
        "The answer is {} - it hunts.",
        "Option {} would be right.",
        "It must be {} because it hunts.",
    ):
        assert masked(text.format("A"), asked) == text.format(MASK)
    assert masked("The answer is a. The option is A because it hunts.", asked) == (
        f"The answer is {MASK}. The option is {MASK} because it hunts."
    )


@given(text=st.text(max_size=80), number=st.integers(0, 3))
def test_no_masked_text_holds_the_answer(text: str, number: int) -> None:
    question = make_questions(4)[number]
    left = masked(f"{text} {question.gold} {text} ({'abcd'[question.answer]})", question)
    assert question.gold not in left
    assert f"({'abcd'[question.answer]})" not in left


@given(gains=st.dictionaries(st.integers(), st.floats(-50, 50), max_size=30))
def test_weights_are_bounded_order_what_they_weigh_and_have_a_mean_of_one(gains: dict[int, float]) -> None:
    found = weights(gains)
    assert found.keys() == gains.keys()
    if gains:
        assert math.isclose(sum(found.values()) / len(found), 1, rel_tol=1e-9)
        assert all(weight > 0 for weight in found.values())
        assert all(found[one] <= found[two] + 1e-9 for one in gains for two in gains if gains[one] < gains[two])


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Ranker:
    return load_student(str(make_folder(tmp_path_factory.mktemp("student"), "causal")))


def prepared(store: Store, folder: Path, count: int = 12, samples: int = 1) -> RationaleSet:
    ingest(store, from_path(write_dataset(folder / "toy", train=count, valid=2)))
    asking = ElicitationConfig(teacher="ann", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question in store.questions.iterate("toy", "train"):
        for sample in range(samples):
            text = f"It is in list {sample} of {question.key}, where {question.gold} is beside its number."
            prompt = recorded_prompt(question, teacher_forcing=True)
            keep(store, asking, prompt, sample, Completion(text=text, finish_reason="recorded"))
    [variant] = store.rationales.variants("toy", "train")
    return variant


def scored(store: Store, variant: RationaleSet, ranker: Ranker | None, *, mask: bool = True, limit: int | None = None,
           model: str = "tiny", gates: GateSettings | None = GateSettings()) -> list[Scored]:  # noqa: B008 - frozen  # fmt: skip
    def load() -> Ranker:
        assert ranker is not None, "nothing is missing, so no model is needed"
        return ranker

    texts = passed_rationales(store, store.questions.iterate("toy", "train", limit), all_of(variant), gates)
    scoring = Scoring(scorer=scorer_named(model), load=load)
    return list(score(store.usefulness, texts, scoring, Usefulness(mask=mask), lambda _done: None))


def all_of(variant: RationaleSet) -> RationaleSources:
    return RationaleSources(kind="forced", answered=None, forced=variant)


def log_probability(ranker: Ranker, question: Question, *texts: str) -> float:
    """Naively: one question at a time, the probability of its gold option among its options."""
    [prediction] = rank(ranker, [question], Limits(), {question.key: texts} if texts else {})
    assert prediction.scores is not None
    return prediction.scores[question.answer] - math.log(sum(map(math.exp, prediction.scores)))


@pytest.mark.parametrize("mask", [True, False])
def test_a_gain_is_the_rise_of_the_gold_options_log_probability(
    store: Store, tmp_path: Path, ranker: Ranker, mask: bool
) -> None:
    variant = prepared(store, tmp_path, count=5, samples=2)
    found = scored(store, variant, ranker, mask=mask)
    questions = {question.key: question for question in store.questions.iterate("toy", "train")}
    assert len(found) == 10
    for one in found:
        question = questions[one.rationale.key]
        text = masked(one.text, question) if mask else one.text
        expected = log_probability(ranker, question, text) - log_probability(ranker, question)
        assert one.value == pytest.approx(expected, abs=1e-4)


def test_what_is_scored_is_not_scored_again(store: Store, tmp_path: Path, ranker: Ranker) -> None:
    variant = prepared(store, tmp_path)
    first = scored(store, variant, ranker, limit=6)
    assert [one.value for one in scored(store, variant, None, limit=6)] == [one.value for one in first]
    assert len(scored(store, variant, ranker)) == 12
    assert len(scored(store, variant, None)) == 12
    with pytest.raises(AssertionError, match="no model is needed"):
        scored(store, variant, None, mask=False)


def gathered(store: Store, selection: Selection, limit: int | None = None) -> TrainingData:
    teachers = (WeightedTeacher(teacher="ann", prefix="ann: ", alpha=1.0),)
    return load_training_data(
        store,
        TrainingPlan(
            method="distill-step-by-step", dataset="toy", student="any", teachers=teachers, settings=TrainSettings(),
            selection=selection, limit=limit,
        ),
    )  # fmt: skip


def learned(store: Store, selection: Selection) -> dict[str, list[tuple[str, float]]]:
    return {
        lesson.question.key: [
            (part.text, part.weight) for task in lesson.tasks for part in task.segments if part.name == "ann"
        ]
        for lesson in gathered(store, selection).training_questions
    }


def scorer_named(name: str) -> Scorer:
    model = name.removesuffix(" 0123456789ab")
    return Scorer(model=model, fingerprint="" if model == name else "0123456789ab")


def gains_by_hand(
    store: Store,
    variant: RationaleSet,
    gain: Callable[[int], float | None],
    model: str = "by hand",
    limit: int | None = None,
) -> dict[str, list[str]]:
    """Keep the gain of each sample's masked text as if this model had found it. The texts, by key."""
    texts: dict[str, list[str]] = {}
    for one in passed_rationales(
        store, store.questions.iterate("toy", "train", limit), all_of(variant), GateSettings()
    ):
        value = gain(one.rationale.sample)
        hashed = text_hash(one.text, one.question, mask=True)
        found = [] if value is None else [TextScore(rationale=one.rationale.id, text_hash=hashed, value=value)]
        store.usefulness.add(scorer_named(model), found)
        texts.setdefault(one.question.key, []).append(one.text)
    return texts


def test_a_question_at_two_positions_is_scored_once_and_weighted_at_both(
    store: Store, tmp_path: Path, ranker: Ranker
) -> None:
    variant = prepared(store, tmp_path)
    rows = list(store.questions.iterate("toy", "train"))
    store.questions.replace("toy", "here", "2", [*rows, replace(rows[0], key="again")])
    scored(store, variant, ranker)
    weighted = learned(store, Selection(gates=GateSettings(), usefulness="weight"))
    assert weighted["again"] == weighted[rows[0].key] != []


def test_scores_weigh_or_choose_what_is_learned(store: Store, tmp_path: Path, ranker: Ranker) -> None:
    variant = prepared(store, tmp_path)
    with pytest.raises(UsageProblem, match="12 of 12 rationales of ann for toy have no score") as refused:
        learned(store, Selection(gates=GateSettings(), usefulness="weight"))
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann"
    gains = {one.rationale.key: one.value for one in scored(store, variant, ranker)}
    weighted = learned(store, Selection(gates=GateSettings(), usefulness="weight"))
    best, worst = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    assert weighted[best][0][1] > 1 > weighted[worst][0][1]
    assert sum(own[0][1] for own in weighted.values()) == pytest.approx(12)
    useful = learned(store, Selection(gates=GateSettings(), usefulness="filter"))
    assert {key for key, own in useful.items() if own} == {key for key, gain in gains.items() if gain > 0}


def test_of_several_samples_the_most_useful_are_learned(store: Store, tmp_path: Path, ranker: Ranker) -> None:
    variant = prepared(store, tmp_path, count=4, samples=3)
    assert all(len(own) == 3 for own in learned(store, Selection()).values())
    assert all(len(own) == 1 for own in learned(store, Selection(samples=1)).values())
    found = scored(store, variant, ranker)
    chosen = learned(store, Selection(gates=GateSettings(), usefulness="weight", samples=1))
    for key, own in chosen.items():
        gains = {one.text: one.value for one in found if one.rationale.key == key}
        assert own[0][0] == max(gains, key=gains.__getitem__)


def test_the_best_samples_are_the_most_useful_ones_where_they_were_scored(
    store: Store, tmp_path: Path, ranker: Ranker
) -> None:
    variant = prepared(store, tmp_path, count=4, samples=3)
    typical = learned(store, Selection(gates=GateSettings(), samples=1))
    found = scored(store, variant, ranker)
    useful = learned(store, Selection(gates=GateSettings(), samples=1))
    assert useful != typical
    for key, own in useful.items():
        gains = {one.text: one.value for one in found if one.rationale.key == key}
        assert own == [(max(gains, key=gains.__getitem__), 1.0)]


def test_the_filter_comes_before_the_choice_of_samples(store: Store, tmp_path: Path) -> None:
    """A question keeps a useful sample although the gates like a useless one better."""
    variant = prepared(store, tmp_path, count=3, samples=2)
    kept = gains_by_hand(store, variant, lambda sample: (-1.0, 2.0)[sample])
    filtered = Selection(gates=GateSettings(), usefulness="filter", samples=1)
    assert learned(store, filtered) == {key: [(texts[1], 1.0)] for key, texts in kept.items()}
    material = gathered(store, filtered)
    assert material.lineage["ann"]["rejected"] == {"not useful": 3}
    assert material.lineage["ann"]["scored_by"] == "by hand"
    gains_by_hand(store, variant, lambda sample: -1.0)
    with pytest.raises(UsageProblem, match="None of ann's rationales for toy that pass the gates raises"):
        learned(store, filtered)


def test_the_model_whose_scores_count_is_the_one_that_is_named(store: Store, tmp_path: Path, ranker: Ranker) -> None:
    variant = prepared(store, tmp_path)
    scored(store, variant, ranker)
    gains_by_hand(store, variant, lambda sample: 1.0)
    weighing = Selection(gates=GateSettings(), usefulness="weight")
    with pytest.raises(UsageProblem, match="Several models scored the rationales of ann") as refused:
        learned(store, weighing)
    assert refused.value.hint == "Choose one with --usefulness-model: by hand, tiny."
    even = learned(store, replace(weighing, usefulness_model="by"))
    assert {weight for own in even.values() for _, weight in own} == {1.0}
    named = learned(store, replace(weighing, usefulness_model="tiny"))
    assert len({weight for own in named.values() for _, weight in own}) > 1
    with pytest.raises(UsageProblem, match="12 of 12 rationales of ann for toy have no score by other") as refused:
        learned(store, replace(weighing, usefulness_model="other"))
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann --model other"


def test_a_model_is_found_by_its_name_though_another_ones_begins_so(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    base, tuned = "org/small", "org/small-instruct"
    weighing = Selection(gates=GateSettings(), usefulness="weight", usefulness_model=base)
    gains_by_hand(store, variant, lambda sample: 1.0, tuned)
    gains_by_hand(store, variant, lambda sample: 1.0, f"{base} 0123456789ab")
    for typed in (base, f"{base} 0123456789ab"):
        found = gathered(store, replace(weighing, usefulness_model=typed))
        assert found.lineage["ann"]["scored_by"] == f"{base} 0123456789ab"
    assert gathered(store, replace(weighing, usefulness_model=tuned)).lineage["ann"]["scored_by"] == tuned
    with pytest.raises(UsageProblem) as refused:
        gathered(store, replace(weighing, usefulness_model="elsewhere 0123456789ab"))
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann --model 'elsewhere 0123456789ab'"
    with pytest.raises(UsageProblem, match="The selection does not use the scores"):
        gathered(store, replace(weighing, usefulness="none"))


def test_the_hint_names_the_model_that_scored_most(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    gains_by_hand(store, variant, lambda sample: 1.0, "org/few 0123456789ab", limit=2)
    gains_by_hand(store, variant, lambda sample: 1.0, "org/most 0123456789ab", limit=7)
    with pytest.raises(UsageProblem, match="5 of 12 rationales of ann for toy have no score by org/most") as refused:
        gathered(store, Selection(gates=GateSettings(), usefulness="weight"))
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann --model org/most"


def test_the_hint_names_the_model_whose_name_was_begun(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    gains_by_hand(store, variant, lambda sample: 1.0, "org/small 0123456789ab", limit=10)
    with pytest.raises(UsageProblem, match="2 of 12 rationales of ann for toy have no score by org") as refused:
        gathered(store, Selection(gates=GateSettings(), usefulness="weight", usefulness_model="org"))
    assert refused.value.hint == "Run: tinyllm usefulness --dataset toy --teacher ann --model org/small"


def test_the_best_sample_is_chosen_by_what_was_scored_also_where_the_model_is_named(
    store: Store, tmp_path: Path
) -> None:
    variant = prepared(store, tmp_path, count=4, samples=2)
    gains_by_hand(store, variant, lambda sample: (-1.0, 2.0)[sample], limit=4)
    best = Selection(gates=GateSettings(), samples=1)
    assert learned(store, replace(best, usefulness_model="by hand")) == learned(store, best)
    with pytest.raises(UsageProblem, match="have no score by nobody"):
        learned(store, replace(best, usefulness_model="nobody"))


def test_rationales_beyond_the_limit_are_not_called_empty(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    selection = Selection(gates=GateSettings())
    with pytest.raises(UsageProblem, match="ann has no rationale for the first 0 training questions of toy") as refused:
        gathered(store, selection, limit=0)
    assert "Raise --limit" in str(refused.value.hint)


def test_a_sample_does_not_win_for_being_the_only_one_that_was_scored(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path, count=4, samples=3)
    typical = learned(store, Selection(gates=GateSettings(), samples=1))
    gains_by_hand(store, variant, lambda sample: -3.0 if sample == 2 else None)
    assert learned(store, Selection(gates=GateSettings(), samples=1)) == typical


def test_where_the_gates_leave_nothing_they_are_blamed_and_not_the_scores(store: Store, tmp_path: Path) -> None:
    prepared(store, tmp_path)
    with pytest.raises(UsageProblem, match="The gates reject every rationale of ann for toy"):
        learned(store, Selection(gates=GateSettings(min_words=100), usefulness="weight"))


def test_scores_for_another_split_or_of_texts_that_name_the_answer_change_no_choice(
    store: Store, tmp_path: Path, ranker: Ranker
) -> None:
    variant = prepared(store, tmp_path)
    gains_by_hand(store, variant, lambda sample: 1.0)
    weighing = Selection(gates=GateSettings(), usefulness="weight")
    before = learned(store, weighing)
    scored(store, variant, ranker, mask=False, limit=5)
    assert learned(store, weighing) == before


def test_the_hint_scores_the_very_texts_that_are_wanted(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=10, valid=2)
    make_folder(tmp_path / "student", "causal")
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy", "--icl", "0").returncode == 0
    for options in (["--no-gates"], ["--max-target", "9"], ["--icl", "0"], ["--limit", "4"]):
        trains = ["distill", "--alpha", "parrot=1", "--student", "student", "--usefulness", "weight", "--dry-run"]
        refused = inside(*trains, "--usefulness-model", "student", *options)
        assert refused.returncode == 2
        [hint] = [line for line in refused.stderr.splitlines() if line.startswith("Run: tinyllm ")]
        assert inside(*shlex.split(hint.removeprefix("Run: tinyllm "))).returncode == 0
        done = inside(*trains, "--usefulness-model", "student", *options)
        assert done.returncode == 0, done.stderr
        with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection, connection:
            scored = connection.execute("DELETE FROM usefulness").rowcount
        assert (scored <= 4) == ("--limit" in options), "no more than is learned"


def test_texts_that_the_gates_reject_are_reported_before_a_model_runs(inside: Command, tmp_path: Path) -> None:
    replies = '[teachers.short]\nbackend = "scripted"\nreplies = ["Because."]\n'
    (tmp_path / "tinyllm.toml").write_text(replies, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=6, valid=2)
    make_folder(tmp_path / "student", "causal")
    assert inside("elicit", "--teacher", "short", "--dataset", "toy").returncode == 0
    done = inside("usefulness", "--model", "student", "--leakage", "2")
    assert (done.returncode, done.stderr.splitlines()[-2]) == (
        2, "Error: No rationale of short for toy/train can be probed: there is none, or the gates reject all."
    )  # fmt: skip
    long = '[teachers.ann]\nbackend = "scripted"\nreplies = ["The list of things shows its number."]\n'
    (tmp_path / "tinyllm.toml").write_text(long, encoding="utf-8")
    assert inside("elicit", "--teacher", "ann", "--dataset", "toy").returncode == 0
    refused = inside("usefulness", "--model", "student", "--leakage", "2")
    assert "No rationale of short" in refused.stderr
    assert "Probing" not in refused.stderr, "nothing is read before all teachers have something to read"
    done = inside("usefulness", "--model", "student")
    assert done.returncode == 0, done.stderr


def test_a_probe_tells_a_leak_from_a_reason(tmp_path: Path) -> None:
    """SmolLM2 finds an answer that is in the rationale, and not once it is masked."""
    embedded = load_student("smollm2")
    questions = make_questions(12)
    pairs = [(question, f"The right answer is {question.gold}.") for question in questions]
    found = {one.condition: one.accuracy for one in probe(embedded, pairs, Limits())}
    assert tuple(found) == CONDITIONS
    assert found["rationale"] >= 0.9
    assert found["question and rationale"] >= 0.9
    assert found["question and masked rationale"] <= found["question and rationale"] - 0.3


def test_inputs_that_lose_their_end_are_counted_whenever_they_were_scored(
    inside: Command, scripted: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "toy", train=4)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    rows[0]["context"] = "The thing is far away. " * 400
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_folder(tmp_path / "student", "causal")
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    for _ in range(2):
        done = inside("usefulness", "--model", "student")
        assert "1 inputs with rationales of parrot exceed the model's input limit" in done.stdout
        [parrot] = json.loads(inside("usefulness", "--model", "student", "--json").stdout)["teachers"]
        assert parrot["inputs_cut"] == 1
    leak = inside("usefulness", "--model", "student", "--leakage", "4", "--no-gates")
    assert "3 inputs with rationales of parrot exceed the model's input limit" in leak.stdout
    assert "Next: tinyllm usefulness --dataset toy --model " in leak.stderr
    assert "--no-gates" in leak.stderr
    plain = ("distill", "--alpha", "0", "--student", "student", "--usefulness", "filter", "--dry-run")
    assert (
        "finetune trains on no rationales: --usefulness, --samples, --rationales, --per-question and --no-gates have no"
        " effect." in inside(*plain).stderr
    )


def test_the_command_scores_and_distill_learns_by_it(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=10, valid=2)
    make_folder(tmp_path / "student", "causal")
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = inside("usefulness", "--model", "student", "--show", "1")
    assert done.returncode == 0, done.stderr
    assert "Usefulness on toy/train" in done.stdout
    assert "Next: tinyllm distill --dataset toy --usefulness weight" in done.stderr
    found = json.loads(inside("usefulness", "--model", "student", "--json").stdout)
    [parrot] = found["teachers"]
    assert parrot["rationales"] == 10
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        [(rows, mean)] = connection.execute("SELECT count(*), avg(gain) FROM usefulness").fetchall()
    assert (rows, mean) == (10, pytest.approx(parrot["mean_gain"]))
    again = inside("usefulness", "--model", tmp_path / "student", "--json")
    assert json.loads(again.stdout) == found, "another way to write the path is no other model"
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        assert connection.execute("SELECT count(*) FROM usefulness").fetchone() == (10,)
    by_name = ("--usefulness-model", "./student")
    learning = ("--alpha", "parrot=1", "--student", "student", "--usefulness", "weight")
    trained = inside("distill", *learning, *by_name, "--json")
    assert trained.returncode == 0, trained.stderr
    leaks = json.loads(inside("usefulness", "--model", "student", "--leakage", "6", "--json").stdout)
    assert [one["condition"] for one in leaks["teachers"]["parrot"]] == list(CONDITIONS)
    assert leaks["own"] == {}  # it was never asked without the answer


def test_many_blank_lines_are_masked_at_once() -> None:
    """Looking for a letter behind each of them would take minutes."""
    assert masked("\n" * 200_000 + "The owl.", OWL) == "\n" * 200_000 + f"{MASK}."
