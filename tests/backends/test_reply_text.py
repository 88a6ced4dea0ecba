"""Real spellings of finish reasons, reasoning, chat markup and refusals, from servers and models as they answer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.finish_reasons import Ending, ending_of
from backends.reply_text import is_refusal, opened_reasoning, text_span, visible_text

RAIN = "Rain falls because the droplets get heavy."

FINISH_REASONS: dict[Ending, tuple[object, ...]] = {
    "complete": (
        "stop",  # OpenAI, Azure, Groq, DeepSeek, Mistral, OpenRouter, Gemini's compatible API, llama.cpp, Ollama, vLLM
        None,  # servers that leave it out
        "",
        "eos",  # Together
        "eos_token",  # TGI
        "stop_sequence",  # Anthropic, TGI
        "end_turn",  # Anthropic, Bedrock
        "STOP",  # Gemini
        "FinishReason.STOP",  # Gemini's Python client
        "FINISH_REASON_STOP",
        "COMPLETE",  # Cohere
        "STOP_SEQUENCE",
        "REASON_STOP",  # xAI
        "eosFound",  # LM Studio
        "stopStringFound",
        "completed",
        "done",
    ),
    "truncated": (
        "length",  # OpenAI and most others
        "max_tokens",  # Anthropic, Bedrock
        "MAX_TOKENS",  # Gemini, Cohere
        "FinishReason.MAX_TOKENS",
        "max_output_tokens",  # OpenAI's Responses API
        "model_length",  # Mistral
        "model_context_window_exceeded",  # Anthropic
        "REASON_MAX_LEN",  # xAI
        "REASON_MAX_CONTEXT",
        "maxPredictedTokensReached",  # LM Studio
        "contextLengthReached",
        "limit",  # llama.cpp
        "token_limit",  # watsonx
        "incomplete",
    ),
    "filtered": (
        "content_filter",  # OpenAI, Azure, DeepSeek, OpenRouter
        "content_filtered",  # Bedrock
        "content_filter: RECITATION",  # Gemini's compatible API
        "SAFETY",  # Gemini
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "FinishReason.SAFETY",
        "refusal",  # Anthropic
        "guardrail_intervened",  # Bedrock
        "ERROR_TOXIC",  # Cohere
        "sensitive",  # Zhipu
    ),
    "tool call": (
        "tool_calls",  # OpenAI, Mistral, Groq
        "function_call",
        "tool_use",  # Anthropic, Bedrock
        "pause_turn",
        "MALFORMED_FUNCTION_CALL",  # Gemini
        "UNEXPECTED_TOOL_CALL",
        "toolCalls",  # LM Studio
    ),
    "failed": (
        "error",  # OpenRouter, Mistral, vLLM
        "ERROR",  # Cohere
        "ERROR_LIMIT",
        "USER_CANCEL",
        "TIMEOUT",
        "abort",  # vLLM, SGLang
        "repetition",  # vLLM
        "insufficient_system_resource",  # DeepSeek
        "load",  # Ollama
        "unload",
        "OTHER",  # Gemini
        "FINISH_REASON_UNSPECIFIED",
        "cancelled",
        "time_limit",  # watsonx
        "userStopped",  # LM Studio
        "modelUnloaded",
        "failed",
        "unknown",
        "null",
        "stop and more",
        0,
        True,
        ["stop"],
        {"reason": "stop"},
    ),
}


@pytest.mark.parametrize(
    ("finish_reason", "ending"), [(reason, ending) for ending, all_ in FINISH_REASONS.items() for reason in all_]
)
def test_every_finish_reason_has_one_ending(finish_reason: object, ending: Ending) -> None:
    assert ending_of(finish_reason) == ending


@given(st.text() | st.integers() | st.none())
def test_any_value_has_an_ending(value: object) -> None:
    assert ending_of(value) in FINISH_REASONS


HARMONY = "<|channel|>analysis<|message|>The user asks about rain.<|end|><|start|>assistant<|channel|>final<|message|>"
BEFORE = (  # what may stand before the text
    "",
    "<think>Let me see. Is it sand?</think>\n\n",
    "Let me see. Is it sand?</think>",  # the prompt opened the block
    "<think>\n\n</think>\n\n",  # Qwen 3 without thinking
    "<think>a</think><think>b</think>",
    "<thinking>Hm.</thinking>",
    "<thought>\nHm.\n</thought>\n",  # Gemini, EXAONE
    "<reasoning>Hm.</reasoning>\n",
    "<analysis>Hm.</analysis>",
    "<scratchpad>Hm.</scratchpad>",
    "<seed:think>Hm.</seed:think>",  # Seed-OSS
    "<longcat_think>Hm.</longcat_think>",
    "<start_working_out>Hm.<end_working_out>",
    "[THINK]Hm.[/THINK]",  # Magistral
    "\u25c1think\u25b7Hm.\u25c1/think\u25b7",  # Kimi
    "<|begin_of_thought|>Hm.<|end_of_thought|>\n\n<|begin_of_solution|>",  # OpenThinker, Sky-T1
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>",  # Command A
    "<|inner_prefix|>Hm.<|inner_suffix|>",  # Apertus
    "<|channel>thought\nHm.<channel|>",  # Gemma 4
    "<unused94>thought\nHm.<unused95>",  # MedGemma
    "Here is my thought process:\nHm.\n\nHere is my response:\n",  # Granite
    HARMONY,  # gpt-oss
    "<|channel|>final<|message|>",
    "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>Hm."
    "<|end|><|start|>assistant<|channel|>final <|constrain|>text<|message|>",
    "analysisWe need to find out.assistantfinal",  # gpt-oss without special tokens
    "<|im_start|>assistant\n",
    "<|im_start|>assistant\n<think>\nHm.\n</think>\n\n",
    "<|im_start|>assistant<|im_sep|>",  # Phi 4
    "<|start_header_id|>assistant<|end_header_id|>\n\n",  # Llama 3
    "<|header_start|>assistant<|header_end|>\n\n",  # Llama 4
    "<|assistant|>\n",
    "<\uff5cAssistant\uff5c><think>Hm.</think>",  # DeepSeek
    "<start_of_turn>model\n",  # Gemma
    "[/INST] ",
    "<s> ",
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "<|start_of_role|>assistant<|end_of_role|>",
    "<think>Hm.</think>\n<answer>\n",  # Hunyuan
    "ASSISTANT: ",
    "### Response:\n",
)
AFTER = (  # what may follow it
    "",
    "<|im_end|>\n<|im_start|>user\nWhat else?",
    "<|im_end|>",
    "<|endoftext|>Human: more",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|eot|>",
    "<|end|>\n<|user|>\nAnd?",  # Phi 3
    "<|user|>",
    "<|return|>",  # gpt-oss
    "<|call|>",
    "</s>[INST] And? [/INST]",
    " [INST] And?",
    "<end_of_turn>\n<start_of_turn>user",  # Gemma
    "<turn|>",
    "<eos>",
    "<|END_OF_TURN_TOKEN|>",
    "<|END_RESPONSE|>",
    "<|end_of_solution|>",
    "<|end_of_role|>",
    "<|endofturn|>",
    "[|endofturn|]",  # EXAONE
    "<\uff5cend\u2581of\u2581sentence\uff5c>",  # DeepSeek
    "<\uff5cUser\uff5c>And?",
    "<|observation|>",  # GLM
    "<|im_user|>user<|im_middle|>",  # Kimi
    "<|EOT|>",
    "<end_of_utterance>",
    "</answer>",
    "\n### Instruction:\nName another.",
    "\n### Human: and?",
    "\nUSER: and?",
    "\nUser: and?",
    "\n\nHuman: and?",
    "<<SYS>>",
    "<reserved_106>",  # Baichuan
    "[e~[",  # MiniMax
)


@pytest.mark.parametrize("before", BEFORE)
def test_reasoning_and_headers_are_no_part_of_the_text(before: str) -> None:
    assert visible_text(f"{before}{RAIN}") == RAIN
    assert visible_text(f"\n {before} {RAIN} \n") == RAIN


@pytest.mark.parametrize("after", AFTER)
def test_chat_markup_ends_the_text(after: str) -> None:
    assert visible_text(f"{RAIN}{after}") == RAIN
    assert visible_text(f"{HARMONY}{RAIN}\n{after}") == RAIN


@pytest.mark.parametrize(
    "raw",
    [
        "<think>",
        "<think>\nThe sky, well",
        "<think>a</think>\n<think>b",
        "[THINK]The sky, well",
        "\u25c1think\u25b7The sky, well",
        "<|channel|>analysis<|message|>The sky, well",
        "<|channel|>analysis<|message|>The sky.<|end|><|start|>assistant<|channel|>commentary<|message|>Well",
        "analysisThe sky, well",
        "<|START_THINKING|>The sky, well",
        "<|begin_of_thought|>The sky, well",
        "<thought>The sky, well",
        "<seed:think>The sky, well",
        "Here is my thought process:\nThe sky, well",
        "<|im_start|>assistant\n<think>The sky, well",
        "<|channel>thought\nThe sky, well",
        "<unused94>thought\nThe sky, well",
    ],
)
def test_a_reply_that_never_leaves_its_reasoning_has_no_text(raw: str) -> None:
    assert visible_text(raw) == ""
    assert text_span(raw)[0] == text_span(raw)[1]


@pytest.mark.parametrize(
    "text",
    [
        "The tag <think> opens a block, and </think> ends it.",
        "If x < 3 and y > 2, then x|y is 3.",
        "analysis of the options shows that it is rain",
        "An <b>oak</b> is a tree.",
        "The user asked: what is rain?",
        "Here is my response: rain.",
        "A [THINK] tag is no [/THINK] tag.",
        "Final answer: rain.",
        "C# uses <T>, F# uses |> and <|.",
    ],
)
def test_what_only_looks_like_markup_is_text(text: str) -> None:
    assert visible_text(text) == text


PIECES = st.sampled_from([*BEFORE, *AFTER, RAIN, "\n", " ", "x", "<think>", "</think>"])


@given(st.text(max_size=80) | st.lists(PIECES, max_size=7).map("".join))
def test_the_text_is_one_piece_of_the_reply(raw: str) -> None:
    begin, end = text_span(raw)
    assert 0 <= begin <= end <= len(raw)
    assert visible_text(raw) == raw[begin:end].strip()


def test_a_flood_of_markers_takes_no_time() -> None:
    began = time.perf_counter()
    for marker in ("<think>", "</think>", "<|im_start|>assistant\n", "<", "<|", " ", "<|channel|>x<|message|>"):
        visible_text(marker * (400_000 // len(marker)))
        is_refusal(marker * 1000)
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("prompt", "marker"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("[/INST][THINK]", "[THINK]"),
        ("Why?", ""),
        ("<think></think>", ""),
    ],
)
def test_a_prompt_that_opens_a_block_of_reasoning(prompt: str, marker: str) -> None:
    assert opened_reasoning(prompt) == marker


REFUSALS = (
    "I'm sorry, but I can't assist with that request.",
    "I\u2019m sorry, but I can\u2019t help with that.",
    "I'm sorry, I can't help with that.",
    "I am sorry, but I cannot provide an answer to this question.",
    "Sorry, but I can't assist with that.",
    "Sorry, I am unable to help with this request.",
    "I apologize, but I cannot fulfill this request.",
    "I apologise, but I am not able to answer that.",
    "I apologize, but I am unable to provide a rationale for this.",
    "My apologies, but I can't continue with this topic.",
    "I'm afraid I can't help with that.",
    "I'm really sorry, but I can't engage in this discussion.",
    "Unfortunately, I cannot assist with this request.",
    "Unfortunately, I am not able to provide medical advice.",
    "I cannot assist with this request.",
    "I can't help you with that.",
    "I can not answer this question.",
    "I cannot fulfill your request. I am just an AI.",
    "I cannot provide a rationale for a harmful act.",
    "I can't provide that information.",
    "I won't help with this.",
    "I will not provide instructions for that.",
    "I am unable to comply with this request.",
    "I'm unable to generate that content.",
    "I'm not able to discuss this topic.",
    "I must decline to answer.",
    "I have to decline this request.",
    "I must refuse to answer this question.",
    "I don't feel comfortable answering that.",
    "I'm not comfortable discussing this.",
    "I do not feel comfortable providing an explanation.",
    "I'd rather not answer that.",
    "I prefer not to discuss this.",
    "No, I can't do that.",
    "I can't do that.",
    "I cannot.",
    "As an AI language model, I cannot have personal opinions.",
    "As an AI language model, I do not have the ability to see.",
    "As a large language model, I can't provide medical advice.",
    "As an AI, I am unable to answer this.",
    "As an AI assistant, I don't have access to the passage.",
    "As an artificial intelligence, I cannot experience rain.",
    "I'm just an AI, I cannot provide an explanation.",
    "I am an AI language model and cannot answer.",
    "It is not appropriate to answer this question.",
    "It's against my guidelines to discuss this.",
    "I'm sorry, but it is not appropriate to discuss that.",
    "This request violates our usage policies.",
    "Your request was flagged as potentially violating our policy.",
    "**I'm sorry, but I can't assist with that.**",
    "> I cannot help with that.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Je suis d\u00e9sol\u00e9, mais je ne peux pas r\u00e9pondre.",
    "Es tut mir leid, aber ich kann diese Frage nicht beantworten.",
    "Desculpe, mas n\u00e3o posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u56de\u7b54\u8fd9\u4e2a\u95ee\u9898\u3002",
    "\u5bf9\u4e0d\u8d77\uff0c\u6211\u4e0d\u80fd\u63d0\u4f9b\u8fd9\u4e9b\u4fe1\u606f\u3002",
    "\u7533\u3057\u8a33\u3042\u308a\u307e\u305b\u3093\u304c\u3001\u304a\u7b54\u3048\u3067\u304d\u307e\u305b\u3093\u3002",
    "\u041a \u0441\u043e\u0436\u0430\u043b\u0435\u043d\u0438\u044e, \u044f \u043d\u0435 \u043c\u043e\u0433\u0443.",
)
ANSWERS = (
    RAIN,
    "I cannot be a fire, because fires don't fall from clouds. The answer is (b).",
    "I can't stand up without bones, so a skeleton supports the body.",
    "I'm sorry for the confusion: the answer is (b) because rain falls.",
    "I apologize for the earlier mistake. Rain falls because droplets get heavy.",
    "Sorry is what one says to apologize, so the answer is (a).",
    "Unfortunately for the fish, the pond freezes, so the answer is (c).",
    "As an AI researcher would say, the model learns from data.",
    "As an artificial sweetener, aspartame has no calories.",
    "Sorry, none of the options is exact, but (b) is closest because rain falls.",
    "A plant cannot help growing towards light.",
    "He cannot provide for himself, so he needs help.",
    "It is not appropriate clothing for rain, so the answer is a coat.",
    "The request was refused because the form was wrong.",
    "An AI language model cannot rain, so it is a cloud.",
    "This question is about weather. Rain falls from clouds.",
    "I think the answer is (b), because nobody can help with the weather.",
    "",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_in_prose_is_recognized(text: str) -> None:
    assert is_refusal(text)
    assert is_refusal(f"\n{text}\n\nLet me know what else I can do.")


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_the_table_is_large() -> None:
    spellings = [*(one for all_ in FINISH_REASONS.values() for one in all_), *BEFORE, *AFTER, *REFUSALS]
    assert len(spellings) >= 150
