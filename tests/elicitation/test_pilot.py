"""What a run that costs money does first: five questions, what came of them, and whether to go on."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, environment, write_dataset, write_host
from tests.endpoint import Answer, Body, Endpoint, completion, serving
from tests.models import make_folder, tiny_tokenizer

ELICIT = ("elicit", "-t", "host", "-d", "toy")
PRICES = {"price_prompt": 1.0, "price_completion": 20.0}  # a reply of 100 tokens in and 10 out costs 300 millionths


@pytest.fixture(autouse=True)
def toy(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=12)


def teacher(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What `--json` says of the one teacher."""
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["teachers"]
    assert isinstance(found, dict)
    return found


def each_once(endpoint: Endpoint, count: int) -> None:
    assert len(endpoint.asked()) == len(set(endpoint.asked())) == count


def at_a_terminal(folder: Path, typed: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command with a terminal for everything but its results, and type when it asks whether to go on. Returns
    exit code, results, and what the terminal showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyllm_cli", *arguments],
        cwd=folder,
        env=environment(),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    shown, answered = b"", False
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:  # nobody has the other end any more
            break
        if not answered and b"[y/N]" in shown:
            os.write(master, typed.encode())
            answered = True
    out, _ = process.communicate(timeout=60)
    os.close(master)
    return process.returncode, out, shown.decode()


def test_a_check_asks_five_questions_and_tells_what_the_rest_would_take(inside: Command, tmp_path: Path) -> None:
    cut = Answer(body=completion("It foll", finish_reason="length", tokens=(100, 10)))
    with serving(lambda number, _b: cut if number < 2 else Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, length_retry_factor=1.0, max_in_flight=1, **PRICES)
        done = inside(*ELICIT, "--pilot")
        each_once(endpoint, 5)
        assert done.returncode == 0, done.stderr
        assert f"[user]\n{endpoint.asked()[-1]}\n" in done.stdout
        assert "--- Reply:\nIt follows.\n---" in done.stdout
        assert "host: 5 replies, on average 100 tokens in and 10 out" in done.stdout
        assert "2 of them truncated at 256 tokens; 0.0015 USD spent." in done.stdout
        assert "Estimate for the other 7 requests: about 700 tokens in and 70 out, about 0.0021 USD" in done.stdout
        assert "The replies so far are stored and count." in done.stderr
        found = teacher(inside(*ELICIT, "--yes", "--json"))
        each_once(endpoint, 12)
    assert (found["pilot_replies"], found["pilot_cost"], found["rest"]["requests"]) == (5, pytest.approx(0.0015), 2)
    assert (found["left"], found["failed"]) == (0, 0)
    assert found["already"] + found["new"] == 12


def test_a_check_as_json_is_one_object(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, max_in_flight=2, **PRICES)
        found = teacher(inside(*ELICIT, "--pilot", "--json"))
    assert (found["new"], found["already"], found["left"], found["cost"]) == (5, 0, 7, pytest.approx(0.0015))
    seconds = found["rest"].pop("seconds")
    assert seconds > 0
    assert found["rest"] == {
        "requests": 7,
        "prompt_tokens": 700,
        "completion_tokens": 70,
        "upper": False,
        "cost": pytest.approx(0.0021),
        "in_flight": 2,
    }


def test_without_a_terminal_nothing_is_asked_that_costs_money(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT)
    assert done.returncode == 2
    assert endpoint.bodies == []
    assert "Asking host costs money, and there is no terminal to confirm it." in done.stderr
    assert "--pilot, then add --yes; --budget sets a limit" in done.stderr


def test_with_yes_the_check_runs_and_nobody_is_asked(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT, "--yes")
        each_once(endpoint, 12)
    assert done.returncode == 0, done.stderr
    assert "host: 5 replies" in done.stdout
    assert "Estimate for the other 7 requests:" in done.stdout
    assert "[y/N]" not in done.stderr
    assert inside(*ELICIT).returncode == 0, "nothing is missing, so nothing can cost money"
    each_once(endpoint, 12)


@pytest.mark.parametrize("prices", [{}, {"price_prompt": 0, "price_completion": 0.0}], ids=["none", "zero"])
def test_an_endpoint_of_ones_own_is_asked_without_ado(
    inside: Command, tmp_path: Path, prices: dict[str, object]
) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **prices)
        done = inside(*ELICIT)
        each_once(endpoint, 12)
    assert done.returncode == 0, done.stderr
    assert "12 new rationales" in done.stdout
    assert "What it wrote" not in done.stdout


def test_so_few_questions_as_a_check_asks_are_simply_asked(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        assert teacher(inside(*ELICIT, "--limit", "5", "--json"))["new"] == 5
        assert inside(*ELICIT, "--limit", "11").returncode == 2
        each_once(endpoint, 5)
        assert teacher(inside(*ELICIT, "--limit", "10", "--json"))["new"] == 5
        each_once(endpoint, 10)


@pytest.mark.parametrize("typed", ["y\n", "n\n", "\n", "\x04"], ids=["yes", "no", "enter", "end of input"])
def test_at_a_terminal_only_yes_continues(tmp_path: Path, typed: str) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        code, out, shown = at_a_terminal(tmp_path, typed, *ELICIT)
        each_once(endpoint, 12 if typed == "y\n" else 5)
    assert code == 0, shown
    assert "Estimate for the other 7 requests: about 700 tokens in and 70 out" in out
    assert shown.count("Continue? [y/N]") == 1
    assert ("Stopped. The replies so far are stored; the same command continues." in shown) == (typed != "y\n")


@pytest.mark.parametrize("how", ["--yes", "--pilot"])
def test_when_all_five_fail_nothing_more_is_asked(inside: Command, tmp_path: Path, how: str) -> None:
    wrong = Answer(status=400, body=json.dumps({"error": {"message": "max_tokens is not known here"}}))
    with serving(lambda _n, _b: wrong) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT, how)
    assert done.returncode == 1
    each_once(endpoint, 5)
    assert "All 5 questions of the pilot of host failed: HTTP 400" in done.stderr
    assert "max_tokens is not known here" in done.stderr
    assert "Nothing else was asked." in done.stderr


def test_what_failed_in_the_check_is_asked_again_in_the_run(inside: Command, tmp_path: Path) -> None:
    empty = Answer(body=completion("", tokens=(100, 10)))
    with serving(lambda number, _b: empty if number < 2 else Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, max_in_flight=1, **PRICES)
        done = inside(*ELICIT, "--yes")
        asked = Counter(endpoint.asked())
    assert done.returncode == 0, done.stderr
    assert "host: 3 replies, on average 100 tokens in and 10 out" in done.stdout
    assert "2 failed: empty reply." in done.stdout
    assert "Estimate for the other 9 requests:" in done.stdout
    assert sorted(asked.values()) == [1] * 10 + [2] * 2


def test_replies_that_this_run_did_not_want_do_not_hide_what_it_will_cost(inside: Command, tmp_path: Path) -> None:
    warm = (*ELICIT, "--temperature", "0.7")
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        assert teacher(inside(*warm, "--limit", "4", "--samples", "3", "--yes", "--json"))["new"] == 7
        code, out, shown = at_a_terminal(tmp_path, "n\n", *warm, "--json")
        assert code == 0, shown
    found = json.loads(out)["teachers"][0]
    assert found["declined"]
    assert found["rest"]["requests"] == found["left"] == 12 - 4 - 5
    assert len(endpoint.bodies) == 12 + 5


def test_what_lies_beyond_the_first_page_is_counted_exactly(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "long", train=450)
    asked = ("elicit", "-t", "host", "-d", "long", "--icl", "0", "--yes", "--json")
    mute = {f"number {number} of train" for number in (*range(20), 440)}

    def behaviour(_number: int, body: Body) -> Answer:
        silent = any(f"{name}?" in body["messages"][-1]["content"] for name in mute)
        return Answer(body=completion("" if silent else "It follows."))

    with serving(behaviour) as endpoint:
        write_host(tmp_path, endpoint.url)
        assert teacher(inside(*asked))["failed"] == 21
        mute.clear()
        found = teacher(inside(*asked, "--pilot"))
        assert (found["new"], found["already"], found["left"], found["rest"]["requests"]) == (5, 429, 16, 16)
        found = teacher(inside(*asked, "--max-tokens-total", "1000"))
    assert found["out_of_budget"]
    assert found["already"] == 434
    assert found["new"] + found["left"] == 16
    assert found["new"] < 16


def test_a_check_that_the_budget_has_no_room_for_says_what_the_most_would_be(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT, "--yes", "--budget", "0.0001")
    assert endpoint.bodies == []
    assert "Estimate for the other 12 requests: up to" in done.stdout
    assert "9,216 out, up to 0.18" in done.stdout
    assert "0.0000 of 0.0001 USD spent, 0.0001 left; one request needs up to 0.0" in done.stdout
    assert "USD: this budget allows none. 12 requests were not asked." in done.stdout


def test_a_dry_run_counts_every_reply_as_cut_until_replies_tell_better(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        before = inside(*ELICIT, "--dry-run")
        cold = teacher(inside(*ELICIT, "--dry-run", "--json"))["estimate"]
        assert endpoint.bodies == []
        assert teacher(inside(*ELICIT, "--limit", "3", "--json"))["new"] == 3
        size = sum(len(content) for content in endpoint.asked()) / 3
        after = inside(*ELICIT, "--dry-run")
        warm = teacher(inside(*ELICIT, "--dry-run", "--json"))["estimate"]
        each_once(endpoint, 3)
    assert "Would ask host (m) 12 times about toy/train; 0 are answered already. Nothing was asked." in before.stdout
    assert (cold["requests"], cold["completion_tokens"], cold["upper"]) == (12, 12 * (256 + 512), True)
    assert cold["prompt_tokens"] == pytest.approx(2 * 12 * size / 4, rel=0.02)
    assert cold["cost"] == pytest.approx((cold["prompt_tokens"] + 20 * 12 * (256 + 512)) / 1e6)
    assert f"Estimate: up to {cold['prompt_tokens']:,} tokens in and 9,216 out, up to {cold['cost']:.4f} USD" in (
        before.stdout
    )
    assert "Would ask host (m) 9 times about toy/train; 3 are answered already." in after.stdout
    assert "Estimate: about 900 tokens in and 90 out, about 0.0027 USD." in after.stdout
    assert (warm["requests"], warm["prompt_tokens"], warm["completion_tokens"], warm["upper"]) == (9, 900, 90, False)


def test_an_unknown_price_is_never_nothing(inside: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url)
        dry, json_dry = inside(*ELICIT, "--dry-run"), inside(*ELICIT, "--dry-run", "--json")
        check, json_check = inside(*ELICIT, "--pilot"), inside(*ELICIT, "--pilot", "--json")
    for done in (dry, check):
        assert "cost unknown (no price)" in done.stdout
        assert "0.0000" not in done.stdout
    assert teacher(json_dry)["estimate"]["cost"] is None
    assert teacher(json_check)["cost"] is None
    assert teacher(json_check)["rest"]["cost"] is None


def test_a_public_endpoint_of_unknown_price_may_cost_money(inside: Command, tmp_path: Path) -> None:
    write_host(tmp_path, "http://models.example.com/v1")
    done = inside(*ELICIT)
    assert done.returncode == 2
    assert "costs money, and there is no terminal" in done.stderr


def test_what_a_teacher_wrote_can_not_steer_the_terminal(inside: Command, tmp_path: Path) -> None:
    def behaviour(_number: int, _body: Body) -> Answer:
        return Answer(body=completion("\x1b[2J[bold]wiped[/bold] \x07:smile:"))

    with serving(behaviour) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside(*ELICIT, "--pilot")
    assert "\N{REPLACEMENT CHARACTER}[2J[bold]wiped[/bold] \N{REPLACEMENT CHARACTER}:smile:" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_local_models_prompt_is_shown_as_its_chat_template_makes_it(inside: Command, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(ends=False)
    tokenizer.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    make_folder(tmp_path / "tiny", "causal", tokenizer=tokenizer)
    (tmp_path / "tinyllm.toml").write_text('[teachers.tiny]\nbackend = "huggingface"\nmodel = "./tiny"\n')
    done = inside("elicit", "-t", "tiny", "-d", "toy", "--icl", "0", "--max-tokens", "8", "--pilot")
    assert done.returncode == 0, done.stderr
    assert "--- Prompt for tiny, as the model reads it:\n<|user|>Explain in one" in done.stdout
    assert "step by step.<|end|><|assistant|>\n--- Reply:" in done.stdout
    assert "Estimate for the other 7 requests:" in done.stdout
    assert "cost unknown (no price)" in done.stdout


def test_a_pilot_builds_a_page_of_prompts_and_not_those_of_the_whole_data_set(
    inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinyllm_cli.elicitation import requests

    write_dataset(tmp_path / "toy", train=320)
    built: list[str] = []
    original = requests.build_prompt

    def counting(*arguments: Any) -> Any:
        built.append(arguments[0].key)
        return original(*arguments)

    monkeypatch.setattr(requests, "build_prompt", counting)
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        found = teacher(inside("elicit", "-t", "host", "-d", "toy", "--icl", "0", "--pilot", "--json"))
    assert (found["new"], found["left"], found["rest"]["requests"]) == (5, 315, 315)
    assert len(built) <= 40
