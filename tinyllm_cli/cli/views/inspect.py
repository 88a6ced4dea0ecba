"""One question in the terminal. Everything in it is untrusted: plain text, without control characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tinyllm_cli.currency import amount
from tinyllm_cli.datasets.question import LETTERS, option_line
from tinyllm_cli.terminal import plain, plain_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from tinyllm_cli.audit.question_view import QuestionView, ReplyView
    from tinyllm_cli.store.question_lookup import PredictionRow

_CUT_STYLE = "dim strike"


def show(found: QuestionView, *, prompts: bool) -> Iterator[RenderableType]:
    """The question, each rationale, what failed, and who answered what."""
    from rich.padding import Padding

    yield _question(found)
    if any(not kept for one in found.reply_views for _, kept in one.pieces):
        yield _text("What the gates or an editor cut is in [- -].", "dim")
    for one in found.reply_views:
        yield _heading(one, found)
        yield Padding(_marked(one), (0, 0, 0, 2))
        if prompts:
            yield Padding(_prompt(one), (0, 0, 0, 4))
    if not found.reply_views:
        yield _text("No teacher has written about it.", "dim")
    for refusal in found.refusals:
        yield _text(
            f"\n{refusal.teacher} ({refusal.recipe}{f', sample {refusal.sample}' if refusal.sample else ''}) gave no"
            f" usable reply, {refusal.attempts} times asked, last"
            f" {refusal.at[:16]}: {refusal.reason}"
        )
    if found.predictions:
        yield plain_table(
            "\nAnswers",
            ["who", "method", "split", "scoring", "answer", "", "text"],
            [_prediction_row(guess) for guess in found.predictions],
        )
    else:
        yield _text("\nNot evaluated yet.", "dim")


def _text(text: str, style: str = "") -> Text:
    return plain(text.replace("\r\n", "\n"), style)


def _question(found: QuestionView) -> Text:
    question = found.question
    text = _text(f"{question.text}\n", "bold")
    for index, option in enumerate(question.options):
        gold = index == question.answer
        mark, style = ("  <- right", "green") if gold else ("", "not bold")
        text.append(_text(f"  {option_line(index, option)}{mark}\n", style))
    if question.context:
        text.append(_text(f"Context: {question.context}\n", "not bold"))
    places = ", ".join(f"{place.dataset}/{place.split} {place.key}" for place in found.places)
    return text.append(_text(f"{places}; hash {question.hash}", "not bold dim"))


def _heading(one: ReplyView, found: QuestionView) -> Text:
    reply = one.reply
    text = _text("\n").append(_text(reply.teacher, "bold")).append(_text(f"  id {reply.id}"))
    text.append(_text(f"  {', '.join(_facts(one, found.currency))}", "dim"))
    text.append(_text(f"\n  states {_option(one.stated, found)}" if one.stated is not None else "\n  states no option"))
    if reply.teacher_forcing:
        text.append(_text(", having seen the right one"))
    reasons = "; ".join(f"{gate}: {reason}" for gate, reason in one.findings)
    judge = "human" if reply.human else "gates"
    text.append(_text(f"\n  {judge}: {one.verdict}{f' ({reasons})' if reasons else ''}"))
    for earlier in reply.human[:-1]:
        text.append(_text(f"\n  earlier: {earlier.verdict} by {earlier.reviewer}, {earlier.at[:16]}", "dim"))
    for gain, model, what in one.uses:
        text.append(_text(f"\n  usefulness: {gain:+.3f} nats for the right option, read by {model}, {what}"))
    return text


def _facts(one: ReplyView, currency: str | None) -> Iterator[str]:
    reply = one.reply
    yield reply.model
    if reply.recipe != reply.model:
        yield reply.recipe
    if reply.temperature is None:
        yield "sampled with the endpoint's defaults"
    elif reply.sample or reply.temperature:
        yield f"sample {reply.sample} at temperature {reply.temperature:g}"
    if reply.finish_reason == "length":
        yield "cut off at its limit"
    if reply.prompt_tokens is not None and reply.completion_tokens is not None:
        yield f"{reply.prompt_tokens} tokens in, {reply.completion_tokens} out"
    if reply.cost is not None:
        yield f"cost {amount(reply.cost, currency, digits=6)}"
    yield reply.created[:16].replace("T", " ")
    if reply.messages:
        yield f"prompt of {sum(len(message.content) for message in reply.messages)} characters"


def _marked(one: ReplyView) -> Text:
    text = _text("")
    for piece, kept in one.pieces:
        text.append(_text(piece if kept else f"[-{piece}-]", "" if kept else _CUT_STYLE))
    if one.edited is not None:
        text.append(_text(f"\nedited: {one.edited}"))
    if one.reply.reasoning:
        text.append(_text(f"\nthought: {one.reply.reasoning}", "dim"))
    return text


def _prompt(one: ReplyView) -> Text:
    if not one.reply.messages:
        return _text("Its prompt is unknown: it lay in a file.", "dim")
    return _text("\n".join(f"{message.role}: {message.content}" for message in one.reply.messages), "dim")


def _prediction_row(guess: PredictionRow) -> list[str]:
    who = guess.who if guess.student is None else f"{guess.who}, {guess.student.rpartition('/')[2]}"
    said: Any = guess.text or ""
    return [
        who,
        guess.method or ("teacher" if guess.kind == "teacher" else "inference"),
        f"{guess.dataset}/{guess.split}",
        guess.scoring,
        "none" if guess.option is None else f"({LETTERS[guess.option]})",
        "right" if guess.correct else "wrong",
        " ".join(said.split()),
    ]


def _option(option: int, found: QuestionView) -> str:
    """An option index that a file gave may lie outside the options."""
    options = found.question.options
    if not 0 <= option < len(options):
        return f"option {option}, which does not exist"
    return f"{option_line(option, options[option])}, {'right' if option == found.question.answer else 'wrong'}"
