"""The local teacher on tiny real models: what it writes equals what transformers alone would write, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import backends
from backends.base import (
    BadTeacherConfig,
    Completion,
    Failure,
    Message,
    ModelUnavailable,
    Rendering,
    Request,
    Sampling,
    Teacher,
)
from backends.batch_replies import Reply
from backends.huggingface import _outcome, _Prompt
from tests.conftest import answers
from tests.models import KINDS, Kind, make_folder, tiny_tokenizer

CHAT = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<assistant>"
GREEDY = Sampling(max_tokens=12)
WARM = Sampling(max_tokens=12, temperature=1.0)
PROMPTS = [f"Which of these is number {'of train ' * (number % 4)}{number}?" for number in range(6)]


@dataclass
class Tiny:
    """A folder of a tiny model, and the model itself for comparison."""

    folder: Path
    kind: Kind

    def __post_init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        loader = AutoModelForCausalLM if self.kind == "causal" else AutoModelForSeq2SeqLM
        self.model = loader.from_pretrained(self.folder).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)

    def teacher(self, **options: Any) -> Teacher:
        return backends.create("huggingface", {"model": str(self.folder), "device": "cpu", **options})

    def alone(self, prompt: str, *, tokens: int = 12) -> list[int]:
        """New token ids for a single prompt, decoded greedily."""
        encoded = self.tokenizer(prompt, return_tensors="pt")
        output = self.model.generate(**encoded, max_new_tokens=tokens, do_sample=False)
        skip = encoded["input_ids"].shape[1] if self.kind == "causal" else 1
        ids: list[int] = output[0, skip:].tolist()
        return ids

    def with_end(self, token: int, folder: Path) -> Tiny:
        """The same model, with `token` as the one that ends a reply."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        settings = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        (folder / "generation_config.json").write_text(
            json.dumps({**settings, "eos_token_id": token}), encoding="utf-8"
        )
        return Tiny(folder, self.kind)


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(make_folder(tmp_path_factory.mktemp(request.param), request.param), request.param)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(make_folder(tmp_path_factory.mktemp("causal"), "causal"), "causal")


def ask(prompt: str, *, key: str | None = None, sample: int = 0) -> Request:
    messages = (Message(role="user", content=prompt),)
    return Request(split="train", key=key or prompt, messages=messages, sample=sample)


def replies(teacher: Teacher, requests: list[Request], sampling: Sampling = GREEDY) -> dict[Request, Completion]:
    found = answers(teacher, iter(requests), sampling)
    assert len(found) == len(requests) == len(dict(found))
    kept = {request: outcome for request, outcome in found if isinstance(outcome, Completion)}
    assert set(kept) == set(requests)
    return kept


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_batch_writes_what_each_prompt_alone_would_get(tiny: Tiny, batch_size: int) -> None:
    found = replies(tiny.teacher(batch_size=batch_size), [ask(prompt) for prompt in PROMPTS])
    for request, reply in found.items():
        ids = tiny.alone(request.key)
        ended = tiny.tokenizer.eos_token_id in ids
        assert reply.text == tiny.tokenizer.decode(ids, skip_special_tokens=True)
        assert reply.finish_reason == ("stop" if ended else "length")
        assert reply.completion_tokens == len(ids) - ended
        assert reply.prompt_tokens == len(tiny.tokenizer(request.key)["input_ids"])


def test_no_more_than_a_window_of_requests_is_taken_ahead(causal: Tiny) -> None:
    taken = answered = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield ask(f"number {taken}")

    for together in islice(causal.teacher(batch_size=2).generate(endless(), Sampling(max_tokens=2)), 12):
        assert len(together) == 2
        assert taken - answered <= 8
        answered += 2


def test_a_reply_ends_before_the_first_stop_sequence(tiny: Tiny) -> None:
    prompt = PROMPTS[0]
    whole = replies(tiny.teacher(), [ask(prompt)])[ask(prompt)].text
    place = next(place for place in range(2, len(whole)) if whole[place].isascii() and whole[place].strip())
    stop = (whole[place], "\nQuestion:")
    cut = replies(tiny.teacher(), [ask(prompt)], Sampling(max_tokens=12, stop=stop))[ask(prompt)]
    assert cut.text == whole[: whole.index(stop[0])]
    assert cut.finish_reason == "stop"


def test_a_stop_sequence_of_one_reply_does_not_cut_its_neighbours(tiny: Tiny) -> None:
    requests = [ask(prompt) for prompt in PROMPTS]
    whole = {request: reply.text for request, reply in replies(tiny.teacher(batch_size=9), requests).items()}
    stop = next(text[place] for text in whole.values() for place in range(3, len(text)) if text[place].isalpha())
    cut = replies(tiny.teacher(batch_size=9), requests, Sampling(max_tokens=12, stop=(stop,)))
    for request, text in whole.items():
        assert cut[request].text == text.partition(stop)[0]
        assert stop not in text or cut[request].finish_reason == "stop"


def test_a_reply_that_ends_with_the_end_token_is_finished(tiny: Tiny, tmp_path: Path) -> None:
    ids = tiny.alone(PROMPTS[1])
    end = next(token for place, token in enumerate(ids) if place and token not in ids[:place])
    ended = tiny.with_end(end, tmp_path / "ended")
    reply = replies(ended.teacher(), [ask(PROMPTS[1])])[ask(PROMPTS[1])]
    assert reply.finish_reason == "stop"
    assert reply.completion_tokens == ids.index(end)
    assert reply.text == tiny.tokenizer.decode(ids[: ids.index(end)])


def test_an_empty_reply_fails_only_its_request(causal: Tiny, tmp_path: Path) -> None:
    first = {prompt: causal.alone(prompt, tokens=1)[0] for prompt in PROMPTS}
    mute = causal.with_end(first[PROMPTS[0]], tmp_path / "mute")
    found = {request.key: outcome for request, outcome in answers(mute.teacher(), map(ask, PROMPTS), GREEDY)}
    for prompt, token in first.items():
        if token == first[PROMPTS[0]]:
            assert found[prompt] == Failure(reason="empty reply")
        else:
            assert isinstance(found[prompt], Completion)


def test_a_prompt_over_the_limit_fails_and_is_not_truncated(tiny: Tiny) -> None:
    teacher = tiny.teacher(max_input_tokens=60)
    long = "number of train " * 40
    size = len(tiny.tokenizer(long)["input_ids"])
    found = dict(answers(teacher, [ask(PROMPTS[0]), ask(long), ask(PROMPTS[1])], GREEDY))
    assert found[ask(long)] == Failure(reason=f"the prompt has {size} tokens, over max_input_tokens=60")
    assert all(isinstance(found[ask(prompt)], Completion) for prompt in PROMPTS[:2])


def test_the_chat_template_is_used(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(ends=False)
    tokenizer.chat_template = CHAT
    chatty = Tiny(make_folder(tmp_path / "chat", "causal", tokenizer=tokenizer), "causal")
    [reply] = replies(chatty.teacher(), [ask("Why?")]).values()
    templated = "<user>Why?<assistant>"
    assert reply.text == chatty.tokenizer.decode(chatty.alone(templated), skip_special_tokens=True)
    assert reply.prompt_tokens == len(chatty.tokenizer(templated)["input_ids"])


@pytest.fixture
def templated(tmp_path: Path) -> Callable[[str], Tiny]:
    """A causal model with a chat template."""

    def make(template: str) -> Tiny:
        tokenizer = tiny_tokenizer(ends=False)
        tokenizer.chat_template = template
        return Tiny(make_folder(tmp_path / "templated", "causal", tokenizer=tokenizer), "causal")

    return make


def test_the_chat_template_gets_its_arguments_and_they_are_part_of_the_identity(
    templated: Callable[[str], Tiny],
) -> None:
    tiny = templated(CHAT + "{% if enable_thinking is defined and not enable_thinking %}quick{% endif %}")
    plain, quick = tiny.teacher(), tiny.teacher(chat_template_kwargs={"enable_thinking": False})
    slow = tiny.teacher(chat_template_kwargs={"enable_thinking": True})
    assert [isinstance(one, Rendering) and one.render(ask("Why?")) for one in (plain, quick, slow)] == [
        "<user>Why?<assistant>",
        "<user>Why?<assistant>quick",
        "<user>Why?<assistant>",
    ]
    assert len({one.identity()["revision"] for one in (plain, quick, slow)}) == 3
    assert quick.identity() == tiny.teacher(chat_template_kwargs={"enable_thinking": False}).identity()


def test_reasoning_that_the_limit_cuts_off_is_no_reply(templated: Callable[[str], Tiny]) -> None:
    tiny = templated(CHAT + "<think>")
    [(_, failed)] = answers(tiny.teacher(), [ask("Why?")], GREEDY)
    assert isinstance(failed, Failure)
    assert "raise --max-tokens" in failed.reason


def test_reasoning_that_the_prompt_opened_is_marked_in_the_reply() -> None:
    prompt = _Prompt(ids=[1, 2], opened="<think>")
    found = _outcome(Reply(text="Hm.</think>So.", tokens=5, finished=True), prompt, 0.5)
    assert isinstance(found, Completion)
    assert (found.text, found.completion_tokens) == ("<think>Hm.</think>So.", 5)


@pytest.mark.parametrize("template", ["{{ raise_exception('Only users may speak.') }}", "{{ messages[7].role.x }}"])
def test_a_chat_template_that_fails_is_a_wrong_setting(templated: Callable[[str], Tiny], template: str) -> None:
    with pytest.raises(BadTeacherConfig, match="The chat template of"):
        answers(templated(template).teacher(), [ask("Why?")], GREEDY)


def test_an_end_token_after_the_prompt_is_removed(tmp_path: Path) -> None:
    """Some tokenizers add one (`add_eos_token`), after which a causal model writes something unrelated."""
    folder = make_folder(tmp_path / "ends", "causal", tokenizer=tiny_tokenizer(ends=True))
    tiny = Tiny(folder, "causal")
    assert tiny.tokenizer("Why?")["input_ids"][-1] == tiny.tokenizer.eos_token_id
    [reply] = replies(tiny.teacher(), [ask("Why?")]).values()
    plain = Tiny(make_folder(tmp_path / "plain", "causal", tokenizer=tiny_tokenizer(ends=False)), "causal")
    assert reply.text == plain.tokenizer.decode(plain.alone("Why?"), skip_special_tokens=True)
    assert reply.prompt_tokens == len(plain.tokenizer("Why?")["input_ids"])


@pytest.mark.parametrize("batch_size", [1, 8])
def test_samples_of_one_prompt_are_different_draws_and_can_be_repeated(tiny: Tiny, batch_size: int) -> None:
    requests = [ask(PROMPTS[0], key="q", sample=sample) for sample in range(5)]

    def draw() -> list[str]:
        found = answers(tiny.teacher(batch_size=batch_size), requests, WARM)
        return [outcome.text if isinstance(outcome, Completion) else outcome.reason for _, outcome in found]

    drawn = draw()
    assert len(set(drawn)) >= 4
    assert draw() == drawn


def test_another_seed_draws_differently(causal: Tiny) -> None:
    drawn = [
        replies(causal.teacher(), [ask(PROMPTS[0])], Sampling(max_tokens=12, temperature=1.0, seed=seed))
        for seed in range(4)
    ]
    assert len({reply.text for found in drawn for reply in found.values()}) == 4


def test_nothing_is_loaded_before_the_first_request(tmp_path: Path) -> None:
    teacher = backends.create("huggingface", {"model": str(tmp_path / "nowhere"), "revision": "v2"})
    assert teacher.identity() == {"model": str(tmp_path / "nowhere"), "revision": "v2"}
    assert teacher.describe() == {}
    assert answers(teacher, []) == []
    with pytest.raises(ModelUnavailable, match="There is no model at") as raised:
        answers(teacher, [ask("Why?")], GREEDY)
    assert "Alternatives" in raised.value.hint


def test_a_closed_teacher_loads_again(causal: Tiny) -> None:
    teacher = causal.teacher(dtype="bfloat16")
    before = replies(teacher, [ask(PROMPTS[0])])
    assert {**teacher.describe()}.items() >= {"dtype": "torch.bfloat16", "device": "cpu"}.items()
    teacher.close()
    teacher.close()
    assert teacher.describe() == {}
    assert [reply.text for reply in replies(teacher, [ask(PROMPTS[0])]).values()] == [
        reply.text for reply in before.values()
    ]


def test_a_batch_that_does_not_fit_into_memory_is_halved(causal: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import GenerationMixin

    room, generate = 2, GenerationMixin.generate

    def in_little_memory(self: Any, *, input_ids: Any, **options: Any) -> Any:
        if len(input_ids) > room:
            raise torch.OutOfMemoryError("no more")
        return generate(self, input_ids=input_ids, **options)

    wanted = [reply.text for reply in replies(causal.teacher(), list(map(ask, PROMPTS))).values()]
    monkeypatch.setattr(GenerationMixin, "generate", in_little_memory)
    assert [reply.text for reply in replies(causal.teacher(), list(map(ask, PROMPTS))).values()] == wanted
    room = 0
    [(_, failed)] = answers(causal.teacher(), [ask("Why?")], GREEDY)
    assert isinstance(failed, Failure)
    assert failed.reason.startswith("out of memory")


def test_stop_sequences_that_a_vocabulary_cannot_spell_still_end_a_reply(causal: Tiny) -> None:
    whole = next(iter(replies(causal.teacher(), [ask(PROMPTS[0])]).values())).text
    stop = f" {whole.split()[1]}"
    [cut] = replies(causal.teacher(), [ask(PROMPTS[0])], Sampling(max_tokens=12, stop=(stop, "\u2603"))).values()
    assert cut.text == whole[: whole.index(stop)]


def test_half_precision_that_overflows_is_refused(causal: Tiny) -> None:
    with pytest.raises(BadTeacherConfig, match="dtype 'float16' is not supported"):
        answers(causal.teacher(dtype="float16"), [ask("Why?")], GREEDY)


def test_a_broken_folder_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    teacher = backends.create("huggingface", {"model": str(tmp_path)})
    with pytest.raises(ModelUnavailable) as raised:
        answers(teacher, [ask("Why?")], GREEDY)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
