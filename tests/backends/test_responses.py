"""Reading what an endpoint sends: a reply, the reason why there is none, or the finding that it is no completion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import Failure
from backends.hosted.responses import Api, ErrorInBody, Reply, Usage, read_reply
from backends.hosted.retries import Malformed

APIS: tuple[Api, ...] = ("chat", "completions")


def chat(finish_reason: object = "stop", usage: object = None, **message: object) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish_reason, "message": message}], "usage": usage}


def tokens(prompt: object, completion: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def read(body: object, *, api: Api = "chat", cap: int = 50) -> tuple[Reply | Failure, Usage]:
    return read_reply(json.dumps(body).encode(), api, cap)


def reply(body: object, *, api: Api = "chat", cap: int = 50) -> Reply:
    found, usage = read(body, api=api, cap=cap)
    assert isinstance(found, Reply)
    assert found.usage == usage
    return found


def reason(body: object, *, api: Api = "chat", cap: int = 50) -> str:
    found, _ = read(body, api=api, cap=cap)
    assert isinstance(found, Failure)
    return found.reason


def test_a_reply_is_kept_as_it_came_with_its_tokens() -> None:
    found = reply(chat(content=" It follows.\n", usage=tokens(7, 3)))
    assert found == Reply(text=" It follows.\n", reasoning=None, usage=Usage(prompt=7, completion=3))


def test_the_completions_api_has_its_text_beside_the_reason() -> None:
    body = {"choices": [{"text": "So.", "finish_reason": "length", "index": 0}], "usage": tokens(7, 3)}
    assert reply(body, api="completions").text == "So."
    assert reply(body, api="completions").cut
    with pytest.raises(Malformed, match="no message"):
        read(body, api="chat")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_text(field: str) -> None:
    found = reply(chat(content="So.", **{field: "First I thought."}))
    assert (found.text, found.reasoning) == ("So.", "First I thought.")


def test_reasoning_that_is_no_text_is_left_out() -> None:
    assert reply(chat(content="So.", reasoning={"steps": []})).reasoning is None
    assert reply(chat(content="So.", reasoning="")).reasoning is None


@pytest.mark.parametrize(
    ("finish_reason", "completion", "cut"),
    [
        ("stop", 49, False),
        ("length", 3, True),
        ("length", None, True),
        ("stop", 50, True),
        ("stop", 51, True),
        (None, 50, True),
        ("eos", 49, False),
        ("stop", None, False),
    ],
)
def test_a_reply_is_cut_by_what_the_endpoint_says_or_by_its_tokens(
    finish_reason: str | None, completion: int | None, cut: bool
) -> None:
    assert reply(chat(finish_reason, content="So", usage=tokens(7, completion)), cap=50).cut is cut


def test_a_refusal_and_a_content_filter_are_failures() -> None:
    assert reason(chat(content=None, refusal="I can't\nhelp.")) == "refused: I can't help."
    assert reason(chat(content="Half", refusal="No.")) == "refused: No."
    assert len(reason(chat(content=None, refusal="no " * 10_000))) < 200
    assert reason(chat("content_filter", content="Half a")) == "stopped by the content filter"
    assert reason({"choices": [{"text": "x", "finish_reason": "content_filter"}]}, api="completions") == (
        "stopped by the content filter"
    )


@pytest.mark.parametrize("text", [None, "", " \n\t", 5, ["So."], {}])
def test_no_text_is_a_failure(text: object) -> None:
    assert reason(chat(content=text)) == "empty reply"


def test_a_reply_of_reasoning_only_advises_more_tokens() -> None:
    assert "raise --max-tokens" in reason(chat("length", content="", reasoning_content="Hm"))
    assert reason(chat("stop", content="", reasoning_content="Hm")) == "empty reply"


@pytest.mark.parametrize(("total", "completion"), [(810, 803), (10, 3), (9, 3), (None, 3), ("many", 3)])
def test_reasoning_counted_only_in_the_total_is_charged_and_truncates_nothing(total: object, completion: int) -> None:
    found = reply(chat(content="So.", usage={**tokens(7, 3), "total_tokens": total}), cap=50)
    assert (found.usage.completion, found.cut) == (completion, False)


def test_the_usage_of_a_failure_is_returned() -> None:
    _, usage = read(chat(content="", usage=tokens(7, 3)))
    assert usage == Usage(prompt=7, completion=3)


@pytest.mark.parametrize("count", [None, "12", 1.5, -1, True, [], 10**30])
def test_a_count_that_is_none_is_unknown(count: object) -> None:
    assert reply(chat(content="So.", usage=tokens(count, count))).usage == Usage()


@pytest.mark.parametrize("usage", [None, [], "many", 3])
def test_usage_that_is_none_is_unknown(usage: object) -> None:
    assert reply(chat(content="So.", usage=usage)).usage == Usage()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Bad gateway</html>",
        b'{"choices": [',
        b"null",
        b"[]",
        b'"text"',
        b"3",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": {"0": {}}}',
        b'{"choices": ["So."]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": "So."}]}',
        b"data: {}\n\ndata: [DONE]\n\n",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"choices": ' * 10_000,
        b"1" * 10_000,
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
def test_a_body_that_is_no_completion_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed, match="the answer"):
        read_reply(content, "chat", 50)


@pytest.mark.parametrize(
    ("body", "said", "status"),
    [
        ({"error": {"message": "Insufficient credits", "code": 402}}, "Insufficient credits", 402),
        ([{"error": {"message": "API key not valid", "code": 400}}], "API key not valid", 400),
        ({"error": "Unexpected endpoint or method. (GET /chat/completions)"}, "Unexpected endpoint", None),
        ({"object": "error", "message": "no such model", "code": 404}, "no such model", 404),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "slow down", 429),
        ({"error": {"message": "no", "status": "RESOURCE_EXHAUSTED"}}, "no", 429),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "Bad gateway"}}]}, "Bad", 502),
        ({"choices": [{"message": {"content": "x"}, "error": {"message": "broken off"}}]}, "broken off", None),
        ({"error": {"metadata": {"raw": '{"error": {"message": "inner"}}'}, "message": "outer"}}, "outer: inner", None),
    ],
)
def test_an_error_with_status_200_keeps_its_message_and_status(body: object, said: str, status: int | None) -> None:
    with pytest.raises(ErrorInBody, match=said) as raised:
        read(body)
    assert raised.value.error.status == status


@pytest.mark.parametrize("finish_reason", ["error", "abort", "insufficient_system_resource", "unheard-of", 7, ["stop"]])
def test_a_reply_that_the_server_aborted_is_no_reply(finish_reason: object) -> None:
    with pytest.raises(Malformed, match="finish reason"):
        read(chat(finish_reason, content="The correct answer is rain because when clouds get heavy the dropl"))


@pytest.mark.parametrize("finish_reason", ["model_length", "MAX_TOKENS", "max_tokens"])
def test_other_names_of_a_length_limit_are_truncations(finish_reason: str) -> None:
    assert reply(chat(finish_reason, content="So")).cut


@pytest.mark.parametrize("finish_reason", ["tool_calls", "function_call", "tool_use"])
def test_a_tool_call_is_no_answer(finish_reason: str) -> None:
    assert reason(chat(finish_reason, content="Let me look.")) == "the model called a tool instead of answering"


def test_reasoning_that_never_ends_is_no_text() -> None:
    assert "raise --max-tokens" in reason(chat("length", content="<think>Hm. It may be"))
    assert "nothing but reasoning" in reason(chat("stop", content="[THINK]Hm."))
    assert reply(chat(content="<think>Hm.</think>So.")).text == "<think>Hm.</think>So."


def test_reasoning_among_the_parts_of_a_content_is_kept_apart() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "So."}]
    found = reply(chat(content=parts))
    assert (found.text, found.reasoning) == ("So.", "Hm.")


def test_a_lone_surrogate_is_replaced() -> None:
    found = reply(chat(content="So \ud83d.", reasoning="\ude00 Hm", refusal=None))
    assert (found.text, found.reasoning) == ("So \ufffd.", "\ufffd Hm")
    assert reason(chat(content=None, refusal="No \ud83d.")) == "refused: No \ufffd."
    assert reply(chat(content="So \U0001f600.")).text == "So \U0001f600."


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(["choices", "message", "content", "text", "finish_reason", "usage", "refusal", "reasoning"])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)
MESSAGES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("content", "refusal", "reasoning", "reasoning_content"), ANYTHING)
)
COUNTS = st.fixed_dictionaries({}, optional={"prompt_tokens": ANYTHING, "completion_tokens": ANYTHING})
CHOICES = st.fixed_dictionaries(
    {"message": MESSAGES | ANYTHING},
    optional={"finish_reason": st.sampled_from(["stop", "length", "content_filter"]) | ANYTHING, "text": ANYTHING},
)
NEARLY = st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=2)}, optional={"usage": COUNTS | ANYTHING})


def holds(content: bytes, api: Api) -> None:
    """Whatever was sent, a Reply, a Failure or Malformed; and what is kept can be written down."""
    try:
        found, usage = read_reply(content, api, 50)
    except Malformed:
        return
    for count in (usage.prompt, usage.completion):
        assert count is None or 0 <= count < 2**63
    if isinstance(found, Failure):
        assert found.reason
        assert found.reason.encode()
        return
    assert found.text.strip()
    assert found.text.encode()
    assert found.reasoning is None or found.reasoning.encode()
    assert isinstance(found.cut, bool)


@settings(deadline=None, max_examples=400)
@given(body=ANYTHING | NEARLY, api=st.sampled_from(APIS))
def test_any_json_is_a_reply_a_failure_or_malformed(body: object, api: Api) -> None:
    holds(json.dumps(body).encode(), api)


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=200), api=st.sampled_from(APIS))
def test_any_bytes_are_a_reply_a_failure_or_malformed(content: bytes, api: Api) -> None:
    holds(content, api)


@settings(deadline=None, max_examples=200)
@given(body=NEARLY, end=st.floats(0, 1))
def test_a_truncated_body_is_malformed(body: object, end: float) -> None:
    whole = json.dumps(body).encode()
    with pytest.raises(Malformed):
        read_reply(whole[: int(end * (len(whole) - 1))], "chat", 50)
