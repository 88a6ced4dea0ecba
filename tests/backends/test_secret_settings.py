"""A secret in a setting is refused before anything is stored, and never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import backends
from backends.base import BadTeacherConfig
from backends.secrets import check_url, is_secret_name, without_secrets
from tests.conftest import Command, answers, write_dataset
from tests.endpoint import SAMPLING, Answer, ask, serving

pytestmark = pytest.mark.usefixtures("key")
SECRET = "PASSW0RD1234567890abcdef"
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a password in the URL": ("openai", {"base_url": f"http://alice:{SECRET}@host/v1"}),
    "a password in one of several URLs": ("openai", {"base_urls": ["http://a/v1", f"http://:{SECRET}@host/v1"]}),
    "a user name in the URL": ("openai", {"base_url": f"http://{SECRET}@host/v1"}),
    "a token in the query": ("openai", {"base_url": f"http://host/v1?token={SECRET}"}),
    "a key in the query": ("openai", {"base_url": f"http://host/v1?api-version=1&api-key={SECRET}"}),
    "a signature in the query": ("openai", {"base_url": f"http://host/v1?sig={SECRET}"}),
    "a key in extra": ("openai", {"extra": {"api_key": SECRET}}),
    "a key deep in extra": ("openai", {"extra": {"extra_body": {"credentials": [{"password": SECRET}]}}}),
    "a header in extra": ("openai", {"extra": {"extra_headers": {"Authorization": f"Bearer {SECRET}"}}}),
    "what looks like a key": ("openai", {"extra": {"user": f"sk-{SECRET}"}}),
    "hf_token of the engine": ("vllm", {"engine": {"hf_token": f"hf_{SECRET}"}}),
    "hf-token of the engine": ("vllm", {"engine": {"hf-token": SECRET}}),
    "a key of the engine": ("vllm", {"engine": {"api_key": SECRET}}),
    "a token of the model": ("huggingface", {"token": SECRET}),
    "a token in the command": ("vllm", {"command": ["vllm", "serve", f"--hf-token=hf_{SECRET}"]}),
    "a password in the model's URL": ("vllm", {"model": f"s3://user:{SECRET}@bucket/model"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_secret_in_a_setting_is_refused_and_not_shown(case: str) -> None:
    backend, settings = REFUSED[case]
    with pytest.raises(BadTeacherConfig) as caught:
        backends.create(backend, {"model": "m", **settings})
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert caught.value.hint


@pytest.mark.parametrize("case", ["a password in the URL", "a token in the query", "hf_token of the engine"])
def test_a_run_with_a_secret_in_a_setting_stores_nothing_of_it(inside: Command, tmp_path: Path, case: str) -> None:
    backend, settings = REFUSED[case]
    write_dataset(tmp_path / "toy", train=2)
    assert inside("import", "toy").returncode == 0
    lines = [f"{name} = {toml(value)}" for name, value in {"backend": backend, "model": "m", **settings}.items()]
    (tmp_path / "tinyllm.toml").write_text("[teachers.host]\n" + "\n".join(lines), encoding="utf-8")
    done = inside("elicit", "-t", "host", "-d", "toy", "--icl", "0")
    report = inside("report", "--json")
    assert done.returncode == 2
    assert "defect" not in done.stderr
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "tinyllm.toml"]
    shown = f"{done.stdout}{done.stderr}{report.stdout}{report.stderr}".encode()
    assert not any(SECRET.encode() in content for content in [*kept, shown])


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + " }"
    return json.dumps(value)


def test_a_secret_in_the_endpoint_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://alice:{SECRET}@host/v1")
    with pytest.raises(BadTeacherConfig, match="user name or password") as caught:
        backends.create("openai", {"model": "m"})
    assert SECRET not in str(caught.value)


def test_a_query_that_is_no_secret_goes_with_every_request() -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        url = f"{endpoint.url.removesuffix('/v1')}/openai/deployments/gpt?api-version=2024-10-21"
        teacher = backends.create("openai", {"model": "m", "base_url": url})
        answers(teacher, ask(2), SAMPLING)
    assert set(endpoint.paths) == {"/openai/deployments/gpt/chat/completions?api-version=2024-10-21"}
    assert teacher.describe()["endpoints"] == [url]


@pytest.mark.parametrize(
    ("backend", "settings"),
    [
        ("openai", {"api_key_env": "MY_API_KEY"}),
        ("openai", {"max_tokens_field": "max_completion_tokens", "tokens_per_minute": 9}),
        ("openai", {"extra": {"stop_token_ids": [1], "prompt_cache_key": "a", "skip_special_tokens": True}}),
        ("openai", {"extra": {"thinking": {"type": "enabled", "budget_tokens": 1000}, "pad_token": "x"}}),
        ("vllm", {"engine": {"max_num_batched_tokens": 9, "tokenizer": "x", "hf_token": True}}),
        ("scripted", {"replies": ["The password is sk-0123456789abcdefghij."]}),
    ],
)
def test_ordinary_settings_are_accepted(backend: str, settings: dict[str, Any]) -> None:
    model = {} if backend == "scripted" else {"model": "m"}
    assert backends.create(backend, {**model, **settings})


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "hf_token",
        "HF_TOKEN",
        "api-key",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "DB_PASSWORD",
        "Authorization",
        "token",
        "key",
        "clientSecret",
        "GITHUB_TOKEN",
        "WANDB_API_KEY",
        "x-api-key",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "max_tokens",
        "tokens",
        "pad_token",
        "eos_token_id",
        "tokenizer",
        "keyboard",
        "prompt_cache_key",
        "author",
        "KEYS_DIR",
        "HOME",
        "monkey",
        "-",
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


def test_text_is_shown_without_secrets() -> None:
    text = f"http://u:{SECRET}@h/v1 said: Bearer {SECRET}, sk-{SECRET}, hf_{SECRET}"
    assert SECRET not in without_secrets(text, SECRET)
    assert SECRET not in without_secrets(f"http://u:{SECRET}@h/v1 and sk-{SECRET}")
    assert without_secrets("nothing to hide at http://h:8000/v1") == "nothing to hide at http://h:8000/v1"


@pytest.mark.parametrize("url", ["no url", "http://[::1", "http://host:1/v1?api-version=1", "http://host/a@b"])
def test_urls_without_secrets_pass(url: str) -> None:
    check_url(url)
