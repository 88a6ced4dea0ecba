"""Which settings and variables hold secrets. A secret belongs into a variable of the environment, never into a setting:
settings reach the database, reports, messages and the command lines of other processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from backends.base import BadTeacherConfig

__all__ = ["check_url", "is_secret_name", "refuse_secrets", "without_secrets"]

_ALWAYS = frozenset(
    """secret secrets password passwd passphrase pwd apikey authorization credential credentials cookie bearer
    signature sig""".split()  # noqa: SIM905 - a list of words
)
_QUALIFIED = {
    "key": frozenset(("api", "access", "secret", "private", "auth", "account", "license", "subscription", "service")),
    "token": frozenset(
        """hf hub huggingface auth access api bearer refresh session security github gitlab
        id service""".split()  # noqa: SIM905
    ),
    "auth": frozenset(("basic", "http", "proxy", "api")),
}
"""Words that are a secret's name alone or after one of these: `hf_token`, but not `pad_token` or `prompt_cache_key`."""

_QUERY = frozenset({"key", "token", "auth", "code", "jwt"})
"""Names of secrets in a URL's query beside those above."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_VALUE = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gsk_[A-Za-z0-9]{20,}"
    r"|xai-[A-Za-z0-9]{20,}|AIza[\w-]{30,}|AKIA[A-Z0-9]{12,}|nvapi-[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
)
"""The form of well-known keys: OpenAI, Hugging Face, GitHub, Groq, xAI, Google, AWS, NVIDIA, JSON web tokens."""

_MARK = "***"
_ADVICE = "Put it into .env under a name of your own, and give that name as api_key_env."
_MOST_DEEP = 20


def is_secret_name(name: str) -> bool:
    """Whether a setting, header or variable called `name` holds a secret: OPENAI_API_KEY, hf_token, clientSecret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    if words in (["key"], ["token"], ["auth"]) or _ALWAYS.intersection(words):
        return True
    return any(_QUALIFIED.get(word.removesuffix("s"), frozenset()) & {*words[:at]} for at, word in enumerate(words))


def check_url(stated: str) -> None:
    """Raises BadTeacherConfig, which doesn't show the secret, for a URL with a password or a secret in its query."""
    try:
        parts = urlsplit(stated)
    except ValueError:
        return  # no URL at all
    if "@" in parts.netloc:
        raise BadTeacherConfig(
            f"The URL of {parts.hostname} holds a user name or password, which would be stored.", _ADVICE
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name.lower() in _QUERY or is_secret_name(name):
            raise BadTeacherConfig(
                f"The URL of {parts.hostname} holds a secret in its parameter '{name}', which would be stored.", _ADVICE
            )


def refuse_secrets(settings: Mapping[str, object]) -> None:
    """Check a teacher's settings, tables inside them included.

    Raises BadTeacherConfig, which names the setting and doesn't show the secret."""
    for name, value in _texts("", settings, _MOST_DEEP):
        own = name.rpartition(".")[2]
        if is_secret_name(own) and own != "api_key_env" and value:
            advice = "Set HF_TOKEN in the environment or in .env instead." if "token" in own.lower() else _ADVICE
            raise BadTeacherConfig(f"The setting '{name}' holds a secret, which would be stored and shown.", advice)
        if own == "api_key_env":
            continue
        if "://" in value:
            check_url(value)
        if _VALUE.search(value):
            raise BadTeacherConfig(f"The setting '{name}' holds what looks like a key, which would be stored.", _ADVICE)


def _texts(name: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    """(dotted name, text) of every text in a setting's value."""
    if isinstance(value, str):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(f"{name}.{key}" if name else str(key), inner, depth - 1)
    elif depth and isinstance(value, (list, tuple)) and name != "replies":
        for inner in value:
            yield from _texts(name, inner, depth - 1)


def without_secrets(text: str, key: str = "") -> str:
    """`text` with `key`, everything that looks like a key, and passwords in URLs replaced."""
    if key:
        text = text.replace(key, _MARK)
    return _PASSWORD.sub(rf"\1{_MARK}@", _VALUE.sub(_MARK, text))


_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]*:[^\s/@]*@", re.IGNORECASE)
