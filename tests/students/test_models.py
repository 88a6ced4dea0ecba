"""What a student does with texts: encoding and its limits, padding, scoring options, generating, grouping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from backends.base import Message, ModelUnavailable, Request, Sampling
from backends.huggingface import HuggingFaceTeacher
from tests.conftest import make_questions
from tests.models import KINDS, make_folder, make_student, tiny_tokenizer, word_tokenizer
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.students.base import IGNORED, Example, Limits, Student, by_budget
from tinyllm_cli.students.causal import ANSWER_CUE, RATIONALE_CUE
from tinyllm_cli.students.inputs import ANSWER, ANSWER_PREFIX, Task, student_input
from tinyllm_cli.students.loading import load_ruler, load_student
from tinyllm_cli.students.predict import generate, rank

WIDE = Limits(input=500, target=80)


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), request.param)


def task(text: str, target: str, name: str = ANSWER) -> Task:
    return Task.single(name, text, target)


def ids(student: Student, text: str) -> list[int]:
    found: list[int] = student.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_what_fits_is_not_marked_as_cut_and_ends_in_the_end_token(student: Student) -> None:
    [example] = student.encode([task("Which of these?", "thing 3")], WIDE)
    assert not example.input_cut
    assert not example.target_cut
    assert example.target[-1] == student.tokenizer.eos_token_id
    assert student.tokenizer.decode(example.target[:-1]).strip() == "thing 3"
    assert example.size == len(example.input) + example.length


def test_a_cut_target_is_marked_and_has_no_end_token(student: Student) -> None:
    text = "It follows from what the thing is for. " * 5
    [example] = student.encode([task("Why?", text, "t5")], Limits(input=100, target=10))
    assert example.target_cut
    assert example.length == 10
    assert student.tokenizer.eos_token_id not in example.target
    assert text.startswith(student.tokenizer.decode(example.target).strip())


@settings(deadline=None)
@given(words=st.integers(1, 30), limit=st.integers(2, 40))
def test_a_target_that_fits_with_its_end_token_is_whole(student: Student, words: int, limit: int) -> None:
    text = " ".join(["thing"] * words)
    [example] = student.encode([task("Why?", text)], Limits(input=100, target=limit))
    whole = ids(student, text if student.kind == "seq2seq" else f" {text}")
    assert example.target_cut == (len(whole) + 1 > limit)
    assert example.length == min(len(whole) + 1, limit)


def test_a_cut_input_is_marked_and_keeps_to_the_limit(student: Student) -> None:
    [example] = student.encode([task("Which of these is number 4? " * 20, "thing")], Limits(input=40, target=10))
    assert example.input_cut
    assert len(example.input) == 40
    if student.kind == "seq2seq":
        assert example.input[-1] == student.tokenizer.eos_token_id
    else:
        assert example.input[-len(ids(student, ANSWER_CUE)) :] == tuple(ids(student, ANSWER_CUE))


def test_a_long_context_is_cut_and_the_options_survive(student: Student) -> None:
    question = Question(
        dataset="toy", split="train", key="1", text="Which of these?", options=("thing a", "thing b"), answer=0,
        context="It follows from what the thing is for. " * 100,
    )  # fmt: skip
    [example] = student.encode([task(student_input(ANSWER_PREFIX, question), question.gold)], Limits(input=90))
    text = student.tokenizer.decode(example.input)
    assert example.input_cut
    assert "Which of these?\nOptions:\n(a) thing a\n(b) thing b\nContext: It follows" in text


def test_a_causal_student_hears_a_cue_for_answers_and_another_for_rationales(tmp_path: Path) -> None:
    student = make_student(tmp_path, "causal")
    answer, rationale = student.encode([task("Why?", "x"), task("Why?", "x", "t5")], WIDE)
    assert student.tokenizer.decode(answer.input) == f"Why?{ANSWER_CUE}"
    assert student.tokenizer.decode(rationale.input) == f"Why?{RATIONALE_CUE}"


def test_a_causal_student_is_asked_in_training_as_anybody_asks_it_elsewhere(tmp_path: Path) -> None:
    """With a tokenizer that joins a full stop and the line break behind it, as those of Llama 3 and Qwen do."""
    text = "Why?\nOptions:\n(a) thing.\n(b) number."
    inner = Tokenizer(models.BPE())
    joins = pre_tokenizers.Split(Regex(r"[^\s\p{L}]+[\r\n]*|\s*[\r\n]+|\s?\p{L}+|\s+"), "isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence([joins, pre_tokenizers.ByteLevel(use_regex=False)])
    trainer = trainers.BpeTrainer(special_tokens=["<pad>", "</s>"], show_progress=False)
    inner.train_from_iterator([f"{text}{ANSWER_CUE} thing."] * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")
    student = load_student(str(make_folder(tmp_path, "causal", tokenizer=tokenizer)))
    assert ids(student, text) + ids(student, ANSWER_CUE) != ids(student, text + ANSWER_CUE)
    [example] = student.encode([task(text, "thing.")], WIDE)
    assert [*example.input] == ids(student, text + ANSWER_CUE)
    [cut] = student.encode([task(text, "thing.")], Limits(input=len(example.input) - 1))
    assert cut.input_cut
    assert len(cut.input) < len(example.input)


def test_logits_of_an_example_do_not_depend_on_the_batch_it_is_in(student: Student) -> None:
    texts = [("Which?", "thing 1 a"), ("Which of these is number 3 of train? " * 6, "b"), ("a b c " * 4, "d e f " * 9)]
    batch = student.encode([task(*pair) for pair in texts], WIDE)
    with torch.no_grad():
        logits, labels = student.target_logits(batch)
        for row, example in enumerate(batch):
            alone, own = student.target_logits([example])
            kept = labels[row] != IGNORED
            assert labels[row][kept].tolist() == own[0].tolist() == list(example.target)
            torch.testing.assert_close(logits[row][kept], alone[0], rtol=1e-4, atol=1e-4)


def naive_score(student: Student, read: Sequence[int], option: Sequence[int]) -> float:
    """Mean log-likelihood of the option's tokens, as a full sequence of its own."""
    with torch.no_grad():
        if student.kind == "causal":
            logits = student.model(input_ids=torch.tensor([[*read, *option]])).logits[0, len(read) - 1 : -1]
        else:
            decoder = torch.tensor([[student.model.config.decoder_start_token_id, *option[:-1]]])
            logits = student.model(input_ids=torch.tensor([list(read)]), decoder_input_ids=decoder).logits[0]
    return float(logits.log_softmax(-1)[range(len(option)), list(option)].mean())


TOKENS = st.lists(st.integers(2, 360), min_size=1, max_size=7)
SCORED = st.lists(
    st.tuples(st.lists(st.integers(2, 360), min_size=1, max_size=30), st.lists(TOKENS, min_size=2, max_size=26)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(asked=SCORED)
def test_option_scores_equal_scoring_each_option_alone(
    student: Student, asked: list[tuple[list[int], list[list[int]]]]
) -> None:
    inputs, options = [read for read, _ in asked], [own for _, own in asked]
    scored = student.option_scores(inputs, options)
    assert [len(scores) for scores in scored] == [len(own) for own in options]
    for read, own, scores in zip(inputs, options, scored, strict=True):
        assert scores == pytest.approx([naive_score(student, read, option) for option in own], abs=1e-4)


def test_options_of_one_token_each_are_scored(student: Student) -> None:
    inputs, options = [[5, 6, 7], [8]], [[[9], [10]], [[11], [12], [13]]]
    expected = [[naive_score(student, read, o) for o in own] for read, own in zip(inputs, options, strict=True)]
    assert student.option_scores(inputs, options) == [pytest.approx(scores, abs=1e-4) for scores in expected]


def mixed_questions() -> list[Question]:
    return [
        question
        for options in (2, 26, 4, 3)
        for question in make_questions(3, dataset=f"toy{options}", split=f"split{options}", options=options)
    ]


def test_rank_answers_every_question_as_the_naive_way_does(student: Student) -> None:
    """The option's text is scored without the end token: how surely it ends there is not part of it."""
    questions = mixed_questions()
    predictions = {prediction.key: prediction for prediction in rank(student, questions, WIDE)}
    assert len(predictions) == len(questions)
    for question in questions:
        text = student_input(ANSWER_PREFIX, question)
        encoded: list[Example] = student.encode([task(text, option) for option in question.options], WIDE)
        scores = [naive_score(student, option.input, option.target[:-1]) for option in encoded]
        prediction = predictions[question.key]
        assert prediction.scores == pytest.approx(tuple(scores), abs=1e-4)
        assert prediction.option == max(range(len(scores)), key=(prediction.scores or ()).__getitem__)
        assert prediction.correct == (prediction.option == question.answer)


def test_generated_text_does_not_depend_on_the_batch(student: Student) -> None:
    inputs = [list(example.input) for example in student.encode([task("Which? " * n, "") for n in (1, 9, 4)], WIDE)]
    together = student.generate(inputs, 12)
    assert together == [student.generate([read], 12)[0] for read in inputs]
    assert len(set(together)) > 1


def test_a_generated_text_that_is_no_option_is_no_answer(student: Student) -> None:
    questions = mixed_questions()[:4]
    predictions = list(generate(student, questions, WIDE))
    assert {prediction.key for prediction in predictions} == {question.key for question in questions}
    for prediction in predictions:
        assert prediction.option is None
        assert not prediction.correct
        assert prediction.text


@given(sizes=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 1000))
def test_groups_hold_every_item_once_within_the_budget(sizes: list[int], budget: int) -> None:
    groups = list(by_budget(range(len(sizes)), sizes, budget))
    assert sorted(item for group in groups for item in group) == list(range(len(sizes)))
    longest = [max(sizes[item] for item in group) for group in groups]
    assert longest == sorted(longest, reverse=True)
    for group, length in zip(groups, longest, strict=True):
        assert len(group) == 1 or length * len(group) <= budget


def test_a_tokenizer_without_line_breaks_reads_question_options_and_letters(tmp_path: Path) -> None:
    """As T5's: question, options and their letters must be readable without the line breaks."""
    student = load_student(str(make_folder(tmp_path, "seq2seq", tokenizer=word_tokenizer())))
    [question] = make_questions(1)
    [example] = student.encode([task(student_input(ANSWER_PREFIX, question), question.gold)], WIDE)
    text = student.tokenizer.decode(example.input, skip_special_tokens=True)
    assert text == " ".join(student_input(ANSWER_PREFIX, question).split())
    assert example.input[-1] == example.target[-1] == student.tokenizer.eos_token_id
    assert student.tokenizer.unk_token_id not in example.input


def test_a_model_whose_tokenizer_has_no_end_token_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(ends=False)
    folder = make_folder(tmp_path / "student", "causal", tokenizer=tokenizer)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelUnavailable, match="no end-of-sequence token") as refused:
        load_student(str(folder))
    assert "Llama" in refused.value.hint


ENCODERS = {
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "xlm-roberta": "XLMRobertaForMaskedLM",
    "electra": "ElectraForMaskedLM",
    "albert": "AlbertForMaskedLM",
    "deberta": "DebertaForMaskedLM",
    "deberta-v2": "DebertaV2ForMaskedLM",
    "distilbert": "DistilBertForMaskedLM",
    "modernbert": "ModernBertForMaskedLM",
    "xlm": "XLMWithLMHeadModel",
}


def make_encoder(folder: Path, kind: str, head: str, **more: object) -> str:
    """A tiny model with random weights of the usual size: what it reads from a later word is almost nothing."""
    import transformers

    tokenizer = tiny_tokenizer(ends=False)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 8, "embedding_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1,
             "cls_token_id": 1, "sep_token_id": 1}  # fmt: skip
    names = {"xlm": {"emb_dim": 8, "n_layers": 1, "n_heads": 2}, "distilbert": {"dim": 8, "n_layers": 1, "n_heads": 2}}
    config = transformers.CONFIG_MAPPING[kind](**sizes, **names.get(kind, {}), **more)
    getattr(transformers, head)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("kind", "head"), ENCODERS.items(), ids=ENCODERS)
def test_an_encoder_is_refused_by_its_architecture(tmp_path: Path, kind: str, head: str) -> None:
    name = make_encoder(tmp_path / "model", kind, head)
    message = rf"is an encoder \({kind}\): it reads the words after the one that it predicts"
    for load in (load_student, load_ruler):
        with pytest.raises(ModelUnavailable, match=message) as refused:
            load(name)
        assert "Llama" in refused.value.hint
    with pytest.raises(ModelUnavailable, match=message):
        list(HuggingFaceTeacher({"model": name}).generate([request()], Sampling(max_tokens=4)))


def request() -> Request:
    return Request(split="train", key="1", messages=(Message(role="user", content="Why?"),))


@pytest.mark.parametrize(
    ("kind", "head"),
    [("bert", "BertLMHeadModel"), ("roberta", "RobertaForCausalLM"), ("electra", "ElectraForCausalLM")],
)
def test_an_encoder_that_is_configured_as_a_decoder_is_a_student(tmp_path: Path, kind: str, head: str) -> None:
    student = load_student(make_encoder(tmp_path / "model", kind, head, is_decoder=True))
    assert student.kind == "causal"
    [example] = student.encode([task("Which of these?", "thing 3")], WIDE)
    assert example.length


@pytest.mark.parametrize(
    ("kind", "head", "names"),
    [("bert-generation", "BertGenerationDecoder", {}),
     ("xlnet", "XLNetLMHeadModel", {"d_model": 8, "n_layer": 1, "n_head": 2, "d_inner": 8})],
)  # fmt: skip
def test_a_small_random_model_that_reads_ahead_is_refused(
    tmp_path: Path, kind: str, head: str, names: dict[str, object]
) -> None:
    name = make_encoder(tmp_path / "model", kind, head, **names)
    with pytest.raises(ModelUnavailable, match="reads the words after the one that it predicts"):
        load_student(name)


def test_a_model_without_a_head_for_text_is_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig

    tiny_tokenizer(ends=False).save_pretrained(tmp_path / "model")
    ViTConfig(hidden_size=8, num_hidden_layers=1).save_pretrained(tmp_path / "model")
    with pytest.raises(ModelUnavailable, match="can't write text: transformers has no such model for 'vit'"):
        load_student(str(tmp_path / "model"))


def test_an_end_token_that_a_tokenizer_adds_is_no_part_of_a_causal_input(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "causal", tokenizer=tiny_tokenizer(ends=True))
    student = load_student(str(folder))
    text = "Which of these is number 3?"
    assert student.tokenizer(text)["input_ids"][-1] == student.tokenizer.eos_token_id
    for limit in (500, 8):
        [example] = student.encode([task(text, "thing")], Limits(input=limit))
        assert student.tokenizer.eos_token_id not in example.input
        assert example.input_cut == (limit == 8)
        assert load_ruler(str(folder)).inputs([text]) == [len(ids(student, text + ANSWER_CUE))]


def test_scores_that_are_not_finite_are_no_answer(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", "causal")
    with torch.no_grad():
        student.model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(WorldProblem, match="not finite"):
        list(rank(student, make_questions(2), WIDE))
