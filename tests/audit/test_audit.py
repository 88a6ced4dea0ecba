"""The audit: what it counts, what it warns of, and that its command says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backends.base import Completion, Failure, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tests.models import make_folder
from tinyllm_cli.audit.audit import audit
from tinyllm_cli.audit.checks import KINDS, CheckResult, findings
from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.audit.summary import Survey, Surveyor, survey
from tinyllm_cli.audit.teacher_stats import TeacherQuality
from tinyllm_cli.audit.thresholds import Thresholds
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import build_prompt, recorded_prompt
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.store import Store
from tinyllm_cli.students.loading import load_ruler
from tinyllm_cli.students.token_lengths import TokenCounter

Write = Callable[..., None]
LIGHT = "It follows from light, which every plant needs."
WHALES = "Whales are mammals and so they breathe above the sea."


@pytest.fixture
def asked(store: Store) -> list[Question]:
    """Ten questions to learn from, and four to test with, of which one is among the ten."""
    train = make_questions(10)
    test = [replace(one, split="test", key=f"test-{one.key}") for one in make_questions(13)[10:]]
    store.questions.replace("toy", "here", "1", [*train, *test, replace(train[0], split="test", key="copy")])
    return train


@pytest.fixture
def write(store: Store) -> Write:
    """Put a teacher's reply, or its failure, into the store."""

    def writing(
        teacher: str, question: Question, text: str | None, *, sample: int = 0, free: bool = False,
        backend: str = "scripted", cost: float | None = None,
    ) -> None:  # fmt: skip
        asking = ElicitationConfig(
            teacher=teacher, backend=backend, model="m", revision="1", sampling=Sampling(max_tokens=64)
        )
        store.rationales.add_asking(asking)
        recipe = Recipe(icl=0, teacher_forcing=not free)
        prompt = build_prompt(question, recipe, [])
        if backend == "recorded":
            prompt = recorded_prompt(question, teacher_forcing=not free)
        outcome = (
            Failure(reason="HTTP 500", attempts=3)
            if text is None
            else Completion(text=text, finish_reason="stop", cost=cost)
        )
        keep(store, asking, prompt, sample, outcome)

    return writing


def of_train(found: Survey) -> TeacherQuality:
    [one] = [one for one in found.teachers if one.split == "train"]
    return one


def of_kind(found: Survey, kind: str, measure: Measure | None = None) -> CheckResult:
    [one] = [finding for finding in findings(found, measure) if finding.kind == kind]
    return one


def test_what_is_missing_is_counted_and_the_way_to_ask_for_it_named(
    store: Store, asked: list[Question], write: Write
) -> None:
    for question in asked[:7]:
        write("t5", question, LIGHT, cost=0.5)
    write("t5", asked[7], None)
    write("t5", asked[0], None, sample=1)  # its other sample came: it is not unanswered
    found = survey(store, "toy")
    one = of_train(found)
    assert (one.covered, one.missing, one.failed, one.usable, one.rationales) == (7, 3, 1, 7, 7)
    assert one.cost == pytest.approx(3.5)
    assert one.characters == len(LIGHT)
    missing = of_kind(found, "missing")
    assert missing.text == "3 of 10 questions of toy, split train have no rationale of t5."
    asking = "tinyllm elicit --teacher t5 --dataset toy --split train --icl 0"
    assert missing.hint == f"Run: {asking} --temperature 0 --top-p 1 --max-tokens 64 --seed 0"
    assert missing.is_error
    failed = of_kind(found, "failed")
    assert failed.text == "1 of 10 questions of toy, split train were asked, and t5 gave no usable reply."
    assert failed.hint.endswith(f"To ask again: {asking} --temperature 0 --top-p 1 --max-tokens 64 --seed 0")


def test_samples_that_are_missing_are_found(store: Store, asked: list[Question], write: Write) -> None:
    for question in asked:
        write("t5", question, LIGHT)
    for sample in (1, 2):
        write("t5", asked[0], LIGHT, sample=sample)
        for question in asked[1:]:
            write("t5", question, None, sample=sample)
    found = of_kind(survey(store, "toy"), "missing")
    assert found.text == ("18 of 30 samples of t5 for toy, split train are missing: not every question has 3.")
    assert found.is_error
    assert "--samples 3" in found.hint


def test_a_recording_can_t_be_asked_for_more(store: Store, asked: list[Question], write: Write) -> None:
    write("expert", asked[0], LIGHT, backend="recorded")
    found = survey(store, "toy")
    assert found.teachers[0].command is None
    assert "elicit" not in of_kind(found, "missing").hint


def test_without_rationales_there_is_a_finding(store: Store, asked: list[Question]) -> None:
    found = survey(store, "toy")
    assert "tinyllm elicit" in of_kind(found, "no-rationales").hint


def test_a_teacher_that_only_failed_is_missed(store: Store, asked: list[Question], write: Write) -> None:
    """Training would continue without it, and without a message."""
    for question in asked:
        write("t5", question, LIGHT)
    write("llama", asked[0], None)
    found = of_kind(survey(store, "toy"), "no-rationales")
    assert found.text == "llama was asked about toy, split train, and gave no usable reply."
    assert found.is_error
    write("llama", asked[1], LIGHT)
    assert not [one for one in findings(survey(store, "toy"), None) if one.kind == "no-rationales"]


def test_copies_in_the_test_split_are_errors(store: Store, asked: list[Question], write: Write) -> None:
    for question in asked:
        write("t5", question, LIGHT)
    found = of_kind(survey(store, "toy"), "duplicates")
    assert found.is_error
    assert found.text.startswith("1 test question of toy is also in train")
    assert "copy (train train-0)" in found.hint


def test_a_copy_with_another_right_answer_is_a_contradiction_alone(
    store: Store, asked: list[Question], write: Write
) -> None:
    changed = replace(asked[0], key="copy", split="test", answer=(asked[0].answer + 1) % len(asked[0].options))
    store.questions.replace("toy", "here", "2", [*asked, changed])
    for question in asked:
        write("t5", question, LIGHT)
    found = [one for one in findings(survey(store, "toy"), None) if one.kind in ("duplicates", "contradictions")]
    assert [one.text for one in found] == ["1 test question of toy is also in train, with another answer."]


def test_several_samples_are_one_question(store: Store, asked: list[Question], write: Write) -> None:
    for sample, text in enumerate((LIGHT, WHALES, LIGHT)):
        write("t5", asked[0], text, sample=sample)
        write("t5", asked[1], text, sample=sample)
    found = survey(store, "toy")
    one = of_train(found)
    assert (one.covered, one.rationales, one.samples) == (2, 6, 3)
    assert "--samples 3" in str(one.command)
    own = next(one for one in found.overlaps if one.split == "train")
    assert (own.first, own.second, own.questions) == ("t5", "t5", 2)
    assert 1 / 3 < own.same < 1


def test_overlap_is_that_of_the_same_question_and_compared_with_that_of_others(
    store: Store, asked: list[Question], write: Write
) -> None:
    for number, question in enumerate(asked):
        write("a", question, f"The word{number} says it" if number else "")
        write("b", question, f"It is word{number} that says so")
    [shared] = [one for one in survey(store, "toy").overlaps if one.split == "train"]
    assert (shared.first, shared.second, shared.questions) == ("a", "b", 9)
    assert shared.elsewhere is not None
    assert shared.same > shared.elsewhere


def test_teachers_with_nearly_the_same_texts_are_reported(store: Store, asked: list[Question], write: Write) -> None:
    for number, question in enumerate(asked):
        write("a", question, f"{LIGHT} {number}")
        write("b", question, f"{number} {LIGHT}")
    assert (
        "The texts of a and b for toy, split train, are nearly the same" in of_kind(survey(store, "toy"), "alike").text
    )


def test_agreement_is_of_answers_given_without_the_gold_one(store: Store, asked: list[Question], write: Write) -> None:
    for number, question in enumerate(asked):
        write("a", question, "So. Answer: (a)")  # forced: says nothing of its own
        write("a", question, f"So. Answer: ({'abcd'[number % 4]})", free=True)
        write("b", question, f"So. Answer: ({'abcd'[number % 4 if number else 3]})" if number < 9 else "?", free=True)
    own = survey(store, "toy").own_answers[0]
    assert own.split == "train"
    assert own.teachers == ("a", "b")
    assert (own.agreement.questions, own.agreement.same) == (9, pytest.approx(8 / 9))
    assert 0.6 < own.agreement.alpha < 1


def test_answers_that_disagree_are_a_finding(store: Store, asked: list[Question], write: Write) -> None:
    for number, question in enumerate(asked):
        write("a", question, f"Answer: ({'abcd'[number % 4]})", free=True)
        write("b", question, f"Answer: ({'abcd'[(number + 1) % 4]})", free=True)
    found = survey(store, "toy")
    assert found.own_answers[0].agreement.alpha < 0
    assert "agree little beyond chance" in of_kind(found, "disagree").text
    assert of_kind(found, "disagree").is_error


def test_where_nearly_all_answers_are_one_option_agreement_by_chance_is_no_error(
    store: Store, asked: list[Question], write: Write
) -> None:
    for number, question in enumerate(asked):
        write("a", question, f"Answer: ({'b' if number == 0 else 'a'})", free=True)
        write("b", question, "Answer: (a)", free=True)
    found = of_kind(survey(store, "toy"), "disagree")
    assert "the same to 90 %" in found.text
    assert not found.is_error


def test_what_the_student_would_cut_is_counted(
    store: Store, asked: list[Question], write: Write, tmp_path: Path
) -> None:
    for number, question in enumerate(asked):
        write("t5", question, LIGHT if number else LIGHT * 20)
    ruler = load_ruler(str(make_folder(tmp_path / "student", "seq2seq")))
    tight = Measure(student="tiny", ruler=ruler, max_input=20, max_target=60)
    found = survey(store, "toy", measure=tight)
    one = of_train(found)
    assert one.targets_cut == 1
    assert one.longest == max(ruler.targets([LIGHT * 20]))
    assert one.tokens == pytest.approx(sum(ruler.targets([LIGHT] * 9 + [LIGHT * 20])) / 10)
    assert f"Train with --max-target {one.longest}" in of_kind(found, "targets-cut", tight).hint
    lengths = found.inputs[0]
    assert (lengths.split, lengths.questions, lengths.cut) == ("train", 10, 10)
    wide = replace(tight, max_input=max(one.longest for one in found.inputs), max_target=one.longest)
    assert not {"inputs-cut", "targets-cut"} & {one.kind for one in findings(survey(store, "toy", measure=wide), wide)}


def test_options_that_a_student_cannot_tell_apart_are_found(store: Store) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    own = [replace(one, options=("thing", "number")) for one in make_questions(3)]
    own += [replace(one, key="unread", options=("水", "树")) for one in own[:1]]
    own += [replace(one, key="twice", options=("thing", "thing")) for one in own[:1]]
    store.questions.replace("toy", "here", "1", own)
    inner = Tokenizer(models.WordLevel({"<unk>": 0, "thing": 1, "number": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ruler = TokenCounter(tokenizer=PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"), kind="seq2seq")
    measure = Measure(student="tiny", ruler=ruler, max_input=1024, max_target=256)
    found = of_kind(survey(store, "toy", measure=measure), "unreadable", measure)
    assert found.text.startswith("1 of 5 train questions of toy have options that are the same to tiny")
    assert found.is_error


def test_an_option_with_a_character_that_the_vocabulary_lacks_is_found_although_it_is_distinct(store: Store) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    own = [replace(one, options=("thing", "number")) for one in make_questions(4)]
    own += [replace(one, key="braces", options=("{ thing", "number")) for one in own[:1]]
    own += [replace(one, key="unread", options=("水", "树")) for one in own[:1]]
    store.questions.replace("toy", "here", "1", own)
    inner = Tokenizer(models.WordLevel({"<unk>": 0, "thing": 1, "number": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ruler = TokenCounter(tokenizer=PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"), kind="seq2seq")
    measure = Measure(student="tiny", ruler=ruler, max_input=1024, max_target=256)
    found = of_kind(survey(store, "toy", measure=measure), "unwritable", measure)
    assert found.text.startswith(
        "1 of 6 train questions of toy have an option with characters that the vocabulary of tiny"
    )
    assert "--scoring rank" in found.hint
    assert found.is_error


def test_a_question_with_the_same_option_twice_is_an_error(store: Store) -> None:
    own = make_questions(4)
    gold = replace(own[0], key="gold", options=("rain", "sand", "fire", "rain "), answer=3)
    other = replace(own[1], key="other", options=("rain", "sand", "fire", "sand"), answer=0)
    store.questions.replace("toy", "here", "1", [*own, gold, other])
    found = of_kind(survey(store, "toy"), "same-options")
    assert found.text.startswith("2 of 6 train questions of toy have the same option twice, 1 of them the right option")
    assert found.is_error
    assert "gold" in found.hint


def test_texts_that_share_no_word_with_their_question_are_counted(store: Store, write: Write) -> None:
    text = "Which plant grows best in wet garden soil, in row"
    own = [replace(one, text=f"{text} {number}?") for number, one in enumerate(make_questions(10))]
    store.questions.replace("toy", "here", "1", own)
    for number, question in enumerate(own):
        write("t5", question, "Copper and tin make bronze together." if number < 2 else f"{question.text} {LIGHT}")
    found = of_kind(survey(store, "toy", gates=GateSettings()), "off-topic")
    assert found.text.startswith("2 of 10 rationales of t5 for toy, split train, pass the gates")
    assert not found.is_error
    strict = survey(store, "toy", gates=GateSettings(off_topic="reject"))
    assert "off-topic" not in {one.kind for one in findings(strict, None)}
    assert of_train(strict).rejected_by["off-topic"] == 2


def test_a_finding_is_an_error_beyond_its_threshold_only(store: Store, asked: list[Question], write: Write) -> None:
    for question in asked[:9]:
        write("t5", question, LIGHT)
    found = survey(store, "toy")
    kinds = {one.kind: one.is_error for one in findings(found, None, Thresholds(missing=0.1, duplicates=0.5))}
    assert kinds == {"missing": False, "duplicates": False}
    allowed = audit(Surveyor(store=store, sets=KnownSets(store)), ["toy"], allowed=["duplicates"])
    assert [one.kind for one in allowed.errors] == ["missing"]
    assert {one.kind for one in allowed.findings} == {"missing", "duplicates"}
    assert set(kinds) <= set(KINDS)


def test_what_the_gates_leave_is_what_counts(store: Store, asked: list[Question], write: Write) -> None:
    whole = "Every plant needs light to grow well."
    for number, question in enumerate(asked):
        write("t5", question, ["thing", f"{whole} And so it", whole][min(number, 2)])
        write("t5", question, "thing" if number == 0 else WHALES, sample=1)
    found = survey(store, "toy", gates=GateSettings())
    one = of_train(found)
    assert (one.kept, one.repaired, one.rejected) == (17, 1, 2)
    assert (one.covered, one.usable) == (10, 9)
    assert one.gates["cut-off"] == 3
    assert (one.gates["too-short"], one.against["too-short"]) == (2, 2)
    assert "cut-off" not in one.against, "what could be repaired rejects nothing"
    assert one.characters == pytest.approx((9 * len(whole) + 9 * len(WHALES)) / 18)
    assert not of_kind(found, "rejected").is_error
    assert "2 of 20 rationales of t5" in of_kind(found, "rejected").text
    assert "too-short 2" in of_kind(found, "rejected").text
    assert "cut-off" not in of_kind(found, "rejected").text
    assert of_train(survey(store, "toy")).rejected == 0, "without gates every text counts"


def test_the_command_shows_tables_and_says_what_is_wrong(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=6, test=2)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy", "--limit", "4").returncode == 0
    done = inside("audit", "--dataset", "toy")
    assert done.returncode == 0
    assert re.search(r"parrot +train +4/6", done.stdout)
    assert "! 2 of 6 questions of toy, split train have no rationale of parrot." in done.stdout
    assert "Run: tinyllm elicit --teacher parrot --dataset toy --split train" in done.stdout
    assert "Lengths are in characters: google/flan-t5-small is not available" in done.stderr
    assert "Next: tinyllm inspect" in done.stderr


def test_the_command_that_is_named_asks_for_what_is_missing(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=6, test=2)
    how = ["--icl", "1", "--seed", "3", "--temperature", "0.5", "--samples", "2"]
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy", "--limit", "4", *how).returncode == 0
    [hint] = re.findall(r"Run: tinyllm (elicit .*parrot.*)", inside("audit").stdout)
    asked = json.loads(inside(*hint.split(), "--json").stdout)["teachers"][0]
    assert (asked["new"], asked["already"]) == (4, 8)
    assert "have no rationale" not in inside("audit").stdout


@pytest.mark.parametrize(
    ("toml", "how"),
    [("temperature = 0.7", ["--temperature", "0"]), ("max_tokens = 200", ["--max-tokens", "256"]), ("seed = 3", []),
     ("seed = 3", ["--icl", "0"]), ("seed = 3", ["--seed", "0"]), ("top_p = 0.5", ["--top-p", "1"])],
)  # fmt: skip
def test_the_command_that_is_named_asks_as_before_whatever_the_configuration_says(
    inside: Command, tmp_path: Path, toml: str, how: list[str]
) -> None:
    teacher = f'[teachers.parrot]\nbackend = "scripted"\nreplies = ["{LIGHT}"]\n{toml}\n'
    (tmp_path / "tinyllm.toml").write_text(teacher, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=6, test=2)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy", "--limit", "4", *how).returncode == 0
    [hint] = re.findall(r"Run: tinyllm (elicit .*parrot.*)", inside("audit").stdout)
    asked = json.loads(inside(*hint.split(), "--json").stdout)["teachers"][0]
    assert (asked["new"], asked["already"]) == (2, 4), hint


def test_json_has_the_same_figures_and_strict_fails(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=6, test=2)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy", "--limit", "4").returncode == 0
    make_folder(tmp_path / "student", "causal")
    strict = ["audit", "--json", "--quiet", "--strict", "--student", "student", "--max-target", "8", "--no-gates"]
    done = inside(*strict)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["measured_by"] == {"student": "student", "max_input": 1024, "max_target": 8}
    [data] = found["datasets"]
    assert (data["teachers"][0]["covered"], data["inputs"][0]["questions"]) == (4, 6)
    assert {one["kind"] for one in found["findings"]} >= {"missing", "targets-cut"}
    assert found["passed"] is False
    kinds = [part for kind in {one["kind"] for one in found["findings"]} for part in ("--allow", kind)]
    allowed = inside(*strict, *kinds)
    assert (allowed.returncode, json.loads(allowed.stdout)["passed"]) == (0, True)


def test_what_was_typed_wrong_is_said(inside: Command, scripted: Path, tmp_path: Path) -> None:
    assert inside("audit").returncode == 1
    write_dataset(tmp_path / "toy", train=2)
    assert inside("import", "toy").returncode == 0
    done = inside("audit")
    assert (done.returncode, "has rationales" in done.stderr) == (2, True)
    assert inside("audit", "--dataset", "toy", "--allow", "everything").returncode == 2
    unmeasured = inside("audit", "--dataset", "toy", "--strict", "--quiet")
    assert (unmeasured.returncode, "--allow inputs-cut" in unmeasured.stderr) == (2, True)
    nowhere = inside("audit", "--dataset", "toy", "--student", "./nowhere")
    assert (nowhere.returncode, "no model at nowhere" in nowhere.stderr) == (1, True)


def test_a_data_set_with_the_faults_of_real_ones_is_reported(inside: Command, tmp_path: Path) -> None:
    """As `tinyllm audit` is used: a file of questions, and rationales beside it."""
    folder = tmp_path / "rocks"
    (folder / "rationales").mkdir(parents=True)
    train = [
        {
            "id": f"t{n}",
            "question": f"What becomes of stone number {n}?",
            "options": ["sand", "gold"],
            "answer_index": 0,
        }
        for n in range(12)
    ]
    test = [{**row, "id": f"x{number}"} for number, row in enumerate(train[:3])]
    written = [
        {"id": row["id"], "rationale": f"Wind and ice break stone number {number} into grains over many years."}
        for number, row in enumerate(train)
    ]
    for name, rows in (("train", train), ("test", test), ("rationales/careful.train", written)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert inside("import", folder, "--quiet").returncode == 0
    found = json.loads(inside("audit", "--json", "--quiet").stdout)
    [data] = found["datasets"]
    [careful] = [one for one in data["teachers"] if one["split"] == "train"]
    assert (careful["covered"], careful["rejected"], careful["off_topic"]) == (12, 0, 0)
    assert [one["text"] for one in found["findings"] if one["kind"] == "duplicates"] == [
        "3 test questions of rocks are also in train, with the same answer."
    ]
