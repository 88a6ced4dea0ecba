"""Each gate on texts that show what it is for, and what holds for any text."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm_cli.config import load_settings
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales import gates as package
from tinyllm_cli.rationales.gates import GATES, GateSettings, Verdict, gate_settings, judge
from tinyllm_cli.rationales.gates.text import words

QUESTION = Question(
    dataset="toy",
    split="train",
    key="1",
    text="Which animal sleeps through the winter?",
    options=("a goose", "a hedgehog", "a red fox", "a fox"),
    answer=1,
)
GOOD = "Hedgehogs find no insects when it is cold, so they lower their heartbeat and wait for spring."

LIKE_IT = "Hedgehogs slow their heartbeat in the cold and live on fat."


def check(text: str, **settings: object) -> Verdict:
    return judge(text, QUESTION, GateSettings(**settings))  # type: ignore[arg-type]


def gates(verdict: Verdict) -> list[str]:
    return [finding.gate for finding in verdict.findings]


def test_a_good_rationale_is_kept_as_it_is() -> None:
    verdict = check(GOOD)
    assert (verdict.verdict, verdict.text, verdict.findings) == ("kept", GOOD, ())


@pytest.mark.parametrize(
    ("gate", "text", "left"),
    [
        ("boilerplate", f"Let's think step by step.\n{GOOD}", GOOD),
        ("boilerplate", f"Sure! Here is the rationale: {GOOD}", GOOD),
        ("boilerplate", f"Certainly, I'd be happy to explain. {GOOD}", GOOD),
        ("boilerplate", f"Certainly, {LIKE_IT}", LIKE_IT),
        ("boilerplate", f"Rationale: Let's think step by step. {GOOD}", GOOD),
        ("run-on", f"{GOOD}\nQuestion: What do geese eat?\nOptions:", GOOD),
        ("run-on", f"{GOOD}\n\n### 7\nWhich of these is a bird?", GOOD),
        ("run-on", f"{GOOD} Q: What do geese eat?", GOOD),
        ("repetition", f"{GOOD} {GOOD}", GOOD),
        ("repetition", f"{GOOD}\nSo {GOOD[0].lower()}{GOOD[1:]}\nTherefore, {GOOD}", GOOD),
        ("repetition", f"Hedgehogs slow their heartbeat in the cold. {LIKE_IT}", LIKE_IT),
        ("repetition", f"{LIKE_IT} So hedgehogs slow their heartbeat in the cold.", LIKE_IT),
        ("repetition", f"{LIKE_IT} Therefore, they slow their heartbeat in the cold and live on fat.", LIKE_IT),
        ("cut-off", f"{GOOD} A goose flies south and a fox hunts", GOOD),
        ("cut-off", f"{GOOD}\nAnswer:\nb\nRationale", GOOD),
        ("cut-off", f"{GOOD} Dr. Miller weighed 2.5 kg of", GOOD),
    ],
)
def test_a_defect_is_repaired(gate: str, text: str, left: str) -> None:
    verdict = check(text)
    assert (verdict.verdict, verdict.text) == ("repaired", left)
    assert gate in gates(verdict)
    assert all(finding.repaired for finding in verdict.findings)


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        ("empty", ""),
        ("empty", " \n... "),
        ("empty", "nan"),
        ("echo", "The animal that sleeps through the winter is the hedgehog."),
        ("wrong-answer", f"Geese rest a lot when it is cold. The answer is (a). {GOOD.replace('Hedgehogs', 'They')}"),
        ("wrong-answer", "Foxes stay in warm dens for months. So the answer is a red fox."),
        ("wrong-answer", "Geese, foxes and others are active, which leaves us with (d)."),
        ("wrong-answer", "The hedgehog does not sleep, it looks for beetles. A goose sleeps on the ice."),
        ("letter-only", "The correct answer is (b)."),
        ("wrong-language", "Der Igel findet im Winter keine Insekten und hält deshalb Winterschlaf."),
        ("wrong-language", "Только ёжик."),
        ("wrong-language", "Ёжик не находит насекомых зимой и поэтому спит до весны."),
        ("too-short", "It gets cold."),
        ("too-short", "Hedgehogs find no"),
    ],
)
def test_a_defect_that_cannot_be_repaired_is_rejected(gate: str, text: str) -> None:
    verdict = check(text)
    assert verdict.verdict == "rejected"
    assert gate in gates(verdict)


@pytest.mark.parametrize(
    "text",
    [
        "A goose is not the answer, because geese fly south. Option (c) is wrong as well: foxes hunt all year.",
        "Foxes and geese stay awake. So the answer is the hedgehog, which lives on its fat.",
        "(a) is incorrect since geese migrate. (b) is the correct answer because its body cools down.",
        "The fox stays awake, i.e. it hunts. The hedgehog, e.g. the European one, lives on 0.5 kg of fat.",
        "Geese do not find beetles in winter. Hedgehogs find beetles in spring.",
        "A goose flies south. A hedgehog finds no insects in the cold, so it lowers its heartbeat and rests.",
        "There is little food. It is cold. There is little food again in March. Fat bridges both",
        "Hedgehogs are able to lower their heartbeat",
    ],
)
def test_what_only_looks_like_a_defect_passes(text: str) -> None:
    assert check(text).verdict != "rejected"


def test_a_text_over_the_limit_keeps_the_whole_sentences_that_fit() -> None:
    text = f"{GOOD} Their fat lasts for about five months. Then they wake up and look for beetles."
    verdict = check(text, max_tokens=45)
    assert gates(verdict) == ["too-long"]
    assert verdict.text == f"{GOOD} Their fat lasts for about five months."
    assert check(text, max_tokens=10).verdict == "rejected"
    assert check(text, max_tokens=400).verdict == "kept"


def test_a_letter_that_small_vocabularies_lack_counts_as_a_token() -> None:
    russian = "Ёжик не находит насекомых зимой, и поэтому спит. Весной он снова охотится."
    asked = replace(QUESTION, text="Кто спит зимой?", options=("гусь", "лиса", "волк", "ёж"), answer=3)
    assert judge(russian, asked, GateSettings(max_tokens=60)).text == "Ёжик не находит насекомых зимой, и поэтому спит."
    assert judge(russian, asked, GateSettings(max_tokens=90)).verdict == "kept"


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_that_is_off_finds_nothing(gate: str) -> None:
    texts = {
        "empty": "nan", "boilerplate": f"Let's think step by step. {GOOD}", "run-on": f"{GOOD}\n#\nWhich?",
        "refusal": "I'm sorry, but I can't assist with that request.",
        "off-topic": "Copper and tin make bronze together.",
        "echo": "A hedgehog sleeps through the winter.", "repetition": f"{GOOD} {GOOD}",
        "cut-off": f"{GOOD} And then the", "wrong-answer": f"The answer is (a). {GOOD}",
        "letter-only": "The answer is (b), (b).", "wrong-language": "Der Igel ist ein Tier, das im Winter schläft.",
        "too-short": "It freezes.", "too-long": GOOD,
    }  # fmt: skip
    settings: dict[str, object] = {"off_topic": "reject", "max_tokens": 5 if gate == "too-long" else None}
    assert gate in gates(check(texts[gate], **settings))
    assert gate not in gates(check(texts[gate], off=(gate,), **settings))


@pytest.mark.parametrize("off", [("too-short",), ("empty", "too-short"), GATES])
@pytest.mark.parametrize("text", ["", "Let's think step by step.", "Because the", "\n#\n"])
def test_an_empty_text_is_never_trained_on_whatever_is_off(text: str, off: tuple[str, ...]) -> None:
    verdict = check(text, off=off, min_words=0)
    assert verdict.verdict == "rejected" or words(verdict.text)


@pytest.mark.parametrize(
    "text",
    [
        "Warm air moves into the den through a hole. Warm air moves out of the den through a hole.",
        "They eat a lot before a long winter. They eat a lot after a long winter.",
        "Animals with thick fat live through winter. Animals without thick fat live through winter in the south.",
        "Option (a) is wrong because birds fly south. Option (c) is wrong because birds fly south.",
        "Option A is wrong because birds fly south. Option C is wrong because birds fly south.",
    ],
)
def test_a_small_word_makes_another_sentence(text: str) -> None:
    assert "repetition" not in gates(check(text))


@pytest.mark.parametrize(
    "end", ["Answer: ({})", "**Answer: ({})**", "**Answer:** ({})", "Final answer: ({})", "Answer: ({}) an animal"]
)
def test_the_answer_that_prompts_ask_for_at_the_end_is_read_and_no_cut_off_sentence(end: str) -> None:
    assert check(f"{GOOD}\n{end.format('b')}", cut_off="reject").verdict == "kept"
    assert gates(check(f"{GOOD}\n{end.format('a')}")) == ["wrong-answer"]


@pytest.mark.parametrize(
    "text",
    [
        "Sure enough, the hedgehog slows its heartbeat in the frost and lives on fat.",
        "In 1990 the lake held 40 fish in total. In 2000 the lake held 20 fish in total. So hedgehogs sleep.",
        "Sleeping means that the thing is a fox hole. It is warm for hedgehogs there.",
        "Option B is correct, since hedgehogs live on fat.",
    ],
)
def test_a_reason_is_not_taken_for_a_phrase_a_repeat_or_a_claim(text: str) -> None:
    assert check(text).text == text
    assert check(text).verdict == "kept"


@pytest.mark.parametrize(("gold", "found"), [(0, []), (1, ["wrong-answer"]), (2, ["wrong-answer"])])
@pytest.mark.parametrize("said", ["yes", "no"])
def test_the_answer_no_is_one(said: str, gold: int, found: list[str]) -> None:
    order = (said, "yes" if said == "no" else "no", "maybe")
    question = Question(dataset="d", split="train", key="1", text="Does it help?", options=order, answer=gold)
    text = f"The trial saw as many strokes under the placebo as without. So, the answer is {said}."
    assert [one.gate for one in judge(text, question, GateSettings()).findings] == found


@pytest.mark.parametrize(
    ("asked", "options", "text"),
    [
        ("刺猬为什么冬眠？", ("没有昆虫", "没有水"), "刺猬在寒冷时找不到昆虫，所以降低心跳，靠脂肪过冬。"),
        (
            "ハリネズミはなぜ冬眠しますか？",
            ("虫がいない", "水がない"),
            "寒いと食べ物が見つからないので、脂肪で冬を越す。",
        ),
        ("काँटेचूहा क्यों सोता है?", ("कीड़े नहीं", "पानी नहीं"), "ठंड में उसे भोजन नहीं मिलता, इसलिए वह चर्बी पर जीता है।"),
    ],
)
def test_other_scripts_have_words_and_sentences_as_well(asked: str, options: tuple[str, ...], text: str) -> None:
    question = Question(dataset="d", split="train", key="1", text=asked, options=options, answer=0)
    assert judge(text, question, GateSettings()).verdict == "kept"


def test_a_wrong_answer_that_is_said_twice_is_one() -> None:
    said = "A goose slows its heartbeat during frost."
    assert (
        check(f"{said} So the correct answer is that a goose slows its heartbeat during frost.").verdict == "rejected"
    )
    assert check("Geese rest in cold winter nights. The answer is (a) geese rest in cold winter nights.").verdict == (
        "rejected"
    )


@pytest.mark.parametrize(
    ("text", "options", "gold", "asked"),
    [
        ("Weight decreases on the moon because gravity is weaker there. Mass is an amount of matter, so it does not"
         " change.", ("it increases", "it decreases", "it does not change", "it disappears"), 2, "What of its mass?"),
        ("Salt has no sugar. Yeast turns sugar of corn into alcohol. Nothing of salt is not salty.",
         ("corn", "salt"), 1, "All aside from which ferment?"),
        ("Heated particles move apart and push on the rubber. So the balloon of the same mass takes more space.",
         ("increase in mass", "increase in volume", "increase in weight"), 1, "What does heat do to a balloon?"),
        ("After winning the game, the child would be happy and feel joy.", ("joy", "anger"), 0,
         "What would a child feel after winning the game?"),
    ],
)  # fmt: skip
def test_a_right_rationale_is_not_taken_for_a_wrong_one(
    text: str, options: tuple[str, ...], gold: int, asked: str
) -> None:
    question = replace(QUESTION, text=asked, options=options, answer=gold)
    assert judge(text, question, GateSettings()).verdict != "rejected"


def test_an_answer_in_a_sentence_that_is_cut_off_is_none() -> None:
    assert check(f"{LIKE_IT} {LIKE_IT} The next best option is (a), though").verdict == "repaired"


def test_a_long_loop_is_said_once() -> None:
    """Every sentence against every other one would take minutes here."""
    loop = "The red fox hunts geese at night in the cold snow. " * 1000
    assert check(loop + "Hedgehogs curl up in a warm nest. " * 1000).text == (
        "The red fox hunts geese at night in the cold snow. Hedgehogs curl up in a warm nest."
    )


def test_a_cut_off_text_can_be_rejected_instead() -> None:
    assert check(f"{GOOD} And then the", cut_off="reject").verdict == "rejected"


rough = st.lists(
    st.sampled_from(
        ["It is cold", ". ", "\n", " The answer is (a)", "Question:", "Let's think step by step.", GOOD, "1. ", "(b) ",
         "hedgehog ", "So ", "the", "и", "ich bin ", "!?", '"', "\t", "..."]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(text=st.text(max_size=200) | rough)
def test_any_text_gets_a_verdict_and_what_is_left_is_part_of_it(text: str) -> None:
    verdict = check(text, max_tokens=60)
    assert len(verdict.text) <= len(text)
    remaining = iter(text.split())
    assert all(any(word.startswith(left) or word.endswith(left) for word in remaining) for left in verdict.text.split())
    assert (verdict.verdict == "kept") == (not verdict.findings)
    assert verdict.verdict == "rejected" or verdict.text
    assert (verdict.verdict == "rejected") == any(not finding.repaired for finding in verdict.findings)


@given(text=rough)
def test_a_repaired_text_needs_no_repair(text: str) -> None:
    verdict = check(text)
    if verdict.verdict != "rejected":
        assert check(verdict.text).text == verdict.text


def test_settings_come_from_the_file_and_make_other_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "tinyllm.toml"
    path.write_text('[gates]\noff = ["echo", "cut-off"]\nmin_words = 3\ncut_off = "reject"\n', encoding="utf-8")
    settings = gate_settings(load_settings(path).gates, max_target=64)
    assert settings == GateSettings(off=("cut-off", "echo"), min_words=3, cut_off="reject", max_tokens=64)
    assert settings.hash != GateSettings().hash
    assert gate_settings({"max_tokens": 10}, 64).max_tokens == 10


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"min_word": 3}, "no setting 'min_word'"),
        ({"off": ["echoes"]}, "no gate 'echoes'"),
        ({"off": 3}, "no gate '3'"),
        ({"cut_off": "keep"}, "cut_off can't be 'keep'"),
        ({"min_words": "three"}, "min_words must be a whole number"),
        ({"new_words": -1}, "new_words must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        gate_settings(table)


@pytest.mark.parametrize(
    "text",
    [
        "Geese fly south, so the answer isn't a goose. Hedgehogs sleep on their fat.",
        "We can't choose (a), since geese fly south. A hedgehog lowers its heartbeat.",
        "Geese don't sleep. They fly south when it is cold.",
        "Birds with fat sleep. Birds with fat don't sleep when it is warm outside.",
        "It's a hedgehog, whose heartbeat slows down when it's cold.",
        "The animal's winter sleep is a hedgehog's.",
    ],
)
def test_the_typographic_apostrophe_is_one(text: str) -> None:
    plain, curled = check(text), check(text.replace("'", "’"))
    assert (curled.verdict, curled.text.replace("’", "'"), gates(curled)) == (plain.verdict, plain.text, gates(plain))


def test_options_after_the_eighth_have_letters_as_well() -> None:
    many = replace(QUESTION, options=tuple(f"animal number {number}" for number in range(10)), answer=1)
    reason = "Its heartbeat slows down in the cold and it lives on fat."
    found = {end: judge(f"{reason} {end}", many, GateSettings()) for end in ("So the answer is (b).", "Answer: (b)")}
    assert {verdict.verdict for verdict in found.values()} == {"kept"}
    assert gates(judge(f"{reason} So the answer is (j).", many, GateSettings())) == ["wrong-answer"]
    assert gates(judge(f"{reason}\nAnswer: (j)", many, GateSettings())) == ["wrong-answer"]
    assert "letter-only" in gates(judge("The correct answer is (i).", replace(many, answer=8), GateSettings()))


@pytest.mark.parametrize("end", ["", "\nAnswer: (b)", " So the answer is (b).", " The answer is (b) Igel."])
def test_in_another_language_the_answer_may_be_stated_in_english(end: str) -> None:
    """As the prompt asks for it."""
    german = replace(
        QUESTION, text="Welches Tier schläft durch den Winter?", options=("die Gans", "Igel", "der Fuchs", "das Reh")
    )
    text = "Igel finden in der Kälte keine Insekten. Darum senken sie ihren Herzschlag und warten auf den Frühling."
    assert judge(text + end, german, GateSettings()) == Verdict(verdict="kept", text=text + end)


def test_headings_of_steps_begin_no_other_question() -> None:
    steps = (
        "## Step 1: Look at what is asked.\nIt is cold in winter.\n## Step 2: Conclude.\nHedgehogs then live on fat."
    )
    assert check(steps) == Verdict(verdict="kept", text=steps)
    assert gates(check(f"{GOOD}\n## Question 2\nWhich animal flies?")) == ["run-on"]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, but I cannot help with this.",
        "As an AI language model, I cannot provide medical advice.",
        "As an AI, I am unable to answer questions about animals that sleep through the winter.",
        "I cannot answer this question. Is there anything else I can help you with?",
        "I apologize, but I'm not able to provide an explanation of the hedgehog's winter sleep.",
        "Unfortunately, I cannot fulfill this request as it goes against my guidelines.",
    ],
)
def test_a_refusal_is_rejected_whatever_words_it_uses(text: str) -> None:
    verdict = check(text)
    assert verdict.verdict == "rejected"
    assert verdict.findings[0].gate == "refusal"
    assert verdict.findings[0].reason.startswith("refuses: '")


@pytest.mark.parametrize(
    "text",
    [
        "A hedgehog cannot find beetles in frozen ground, so it saves its energy until spring.",
        "I can't see why a goose would stay: it flies south. The hedgehog lowers its heartbeat and rests.",
        "As an AI language model, I cannot sleep. A hedgehog can: it lowers its heartbeat and lives on its fat.",
        "I'm sorry for the fox, which cannot rest. The hedgehog lowers its heartbeat and lives on its fat.",
    ],
)
def test_an_explanation_with_words_of_a_refusal_passes(text: str) -> None:
    assert check(text).verdict != "rejected"


def test_a_text_that_the_repairs_empty_is_reported_with_its_own_length_and_claim() -> None:
    verdict = check("The answer is a red fox because foxes have a")
    assert verdict.verdict == "rejected"
    reasons = {finding.gate: finding.reason for finding in verdict.findings}
    assert reasons["too-short"] == "keeps 0 of its 10 words"
    assert reasons["wrong-answer"] == "says that the answer is (c); it is (b)"


def test_quotes_in_reasons_begin_and_end_between_words() -> None:
    long = f"{GOOD} And then the considerable temperature differences of underground environments are a"
    [reason] = [finding.reason for finding in check(long).findings if finding.gate == "cut-off"]
    quote = reason.partition("'")[2].rstrip("'")
    assert quote.startswith("...")
    assert set(quote.removeprefix("...").split()) <= set(long.split())
    opening = "Certainly, I'd be happy to explain this rather difficult problem to you."
    quote = check(f"{opening} {GOOD}").findings[0].reason.partition("'")[2].rstrip("'")
    assert quote.endswith("...")
    assert set(quote.removesuffix("...").split()) <= set(opening.split())


def test_a_sentence_that_another_repair_cut_is_not_called_cut_off() -> None:
    verdict = check(f"{GOOD} Fat is fat is fat is fat is fat is fat.", cut_off="reject")
    assert (verdict.verdict, gates(verdict), verdict.text) == ("repaired", ["repetition"], GOOD)


CELLS = Question(
    dataset="toy", split="train", key="1", text="Which animal was the first whose genome was read?",
    options=("Drosophila", "C. elegans", "Danio rerio", "E. coli"), answer=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is C. elegans because it has 302 neurons.", []),
        ("The answer is (b) because it has 302 neurons.", []),
        ("The answer is E. coli because it has one chromosome.", ["wrong-answer"]),
        ("The answer is C. That fish has 25 chromosomes.", ["wrong-answer"]),
        ("Bacteria came earlier, but Answer: (c) is incorrect, since fish came later.", []),
        ("It is (d), since bacteria are simple.", ["wrong-answer"]),
    ],
)
def test_an_option_that_begins_with_a_letter_is_not_read_as_that_letter(text: str, found: list[str]) -> None:
    assert [one.gate for one in judge(text, CELLS, GateSettings()).findings] == found


REASON = "Take the last letter of each word in the given order and join them."


@pytest.mark.parametrize(
    ("options", "said", "other"),
    [
        (("arde", "ardy", "brdo"), "arde", "ardy"),
        (("plant", "plants", "planted"), "plants", "plant"),
        (("oxide", "oxides"), "oxides", "oxide"),
        (("quick", "quickly"), "quickly", "quick"),
        (("kinetic energy", "kinetic energies", "no change"), "kinetic energies", "kinetic energy"),
        (("an ion", "ions"), "ions", "an ion"),
    ],
)
@pytest.mark.parametrize(
    "claim",
    ["{reason} The answer is {said}.", "{reason} So it is {said}.", "It is {said}.", "The answer is {said}. {reason}"],
)
def test_options_that_differ_in_an_ending_stay_distinct(
    options: tuple[str, ...], said: str, other: str, claim: str
) -> None:
    text = claim.format(reason=REASON, said=said)
    right = replace(QUESTION, text="What do the last letters spell?", options=options, answer=options.index(said))
    assert "wrong-answer" not in gates(judge(text, right, GateSettings()))
    wrong = replace(right, answer=options.index(other))
    assert "wrong-answer" in gates(judge(text, wrong, GateSettings()))


def test_the_number_of_a_noun_does_not_matter_where_options_differ_otherwise() -> None:
    question = replace(QUESTION, text="What is it?", options=("igneous rock", "sedimentary rocks", "soil"), answer=0)
    assert gates(judge(f"{REASON} So the answer is sedimentary rock.", question, GateSettings())) == ["wrong-answer"]
    assert "wrong-answer" not in gates(judge(f"{REASON} The answer is igneous rocks.", question, GateSettings()))


@pytest.mark.parametrize(
    "options", [("RR", "Rr", "rr"), ("-5", "5", "+5"), ("x == y", "x != y", "z"), ("rain", "sand", "rain")]
)
def test_options_that_words_cannot_tell_apart_are_claimed_by_their_letter_only(options: tuple[str, ...]) -> None:
    for answer, option in enumerate(options):
        question = replace(QUESTION, text="Which is it?", options=options, answer=answer)
        assert "wrong-answer" not in gates(judge(f"{REASON} So the answer is {option}.", question, GateSettings()))
        other = "abc"[(answer + 1) % 3]
        assert gates(judge(f"{REASON} The answer is ({other}).", question, GateSettings())) == ["wrong-answer"]


CONTEXT = (
    "We followed 310 nurses on night shifts and 298 on day shifts. Sleep was recorded for two weeks in each season."
    " Nurses on night shifts slept 5.6 hours a day and day nurses 7.1 hours. Mood was rated with a questionnaire every"
    " month, and both groups had the same training, age and number of children at home when the study began."
)
ASKED = "Do night shifts of nurses reduce sleep?"
QUOTE = "Nurses on night shifts slept 5.6 hours a day and day nurses 7.1 hours."


@pytest.mark.parametrize("inside", [True, False])
def test_an_explanation_from_the_context_is_no_echo(inside: bool) -> None:
    question = Question(
        dataset="toy", split="train", key="1", text=f"{CONTEXT} {ASKED}" if inside else ASKED, options=("yes", "no"),
        answer=0, context=None if inside else CONTEXT,
    )  # fmt: skip
    for text in (QUOTE, f"{QUOTE} So, the answer is yes.", "Mood was rated with a questionnaire every month."):
        assert "echo" not in gates(judge(text, question, GateSettings()))
    assert gates(judge("Night shifts of nurses do reduce sleep.", question, GateSettings())) == ["echo"]


def test_a_quotation_with_only_words_of_the_question_is_evidence() -> None:
    context = "The sleep of nurses on night shifts was reduced. We asked 310 of them."
    question = Question(
        dataset="toy", split="train", key="1", text=ASKED, options=("yes", "no"), answer=0, context=context
    )
    assert judge("The sleep of nurses on night shifts was reduced.", question, GateSettings()).verdict == "kept"
    without = replace(question, context=None)
    assert gates(judge("The sleep of nurses on night shifts was reduced.", without, GateSettings())) == ["echo"]


def test_what_the_gates_keep_of_texts_is_limited() -> None:
    kept = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for name, one in vars(importlib.import_module(module.name)).items():
            if hasattr(one, "cache_info") and inspect.signature(one).parameters:
                kept[name] = one.cache_info().maxsize
    assert "stem" in kept
    assert None not in kept.values(), kept
