"""Checks of a hosted teacher's settings. Raises BadTeacherConfig, whose text never holds a key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from backends import secrets
from backends.base import BadTeacherConfig

__all__ = ["check_settings", "checked_url"]


def checked_url(stated: str) -> str:
    """A checked URL without a slash at the end of its path. A query, such as Azure's api-version, is kept."""
    secrets.check_url(stated)
    try:
        parts = urlsplit(stated)
        valid = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        valid = valid and not parts.fragment and stated.isprintable()
    except ValueError:
        valid = False
    if not valid:
        shown = secrets.without_secrets(stated)
        raise BadTeacherConfig(f"{shown!r} is no URL of an endpoint.", "Give one such as http://localhost:8000/v1.")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def check_settings(options: Mapping[str, Any]) -> None:
    if not options["model"]:
        raise BadTeacherConfig("An openai teacher needs a model.", 'Give `model = "..."` in its table of tinyllm.toml.')
    if options["api"] not in ("chat", "completions"):
        raise BadTeacherConfig(f"api can't be '{options['api']}'.", "Use chat or completions.")
    if options["api_key_env"] and not options["api_key_env"].isidentifier():  # not shown: it may be the key itself
        raise BadTeacherConfig(
            "api_key_env takes the name of a variable.", "Put the key into .env, such as MY_KEY=..., and its name here."
        )
    for name in ("base_url", "base_urls", "base_urls_file"):
        if options[name] is not None and not options[name]:  # rather than to ask, and to pay, somebody else
            raise BadTeacherConfig(f"{name} is empty.", "Say which endpoint to ask, or leave it out.")
    stated = [name for name in ("base_url", "base_urls", "base_urls_file") if options[name]]
    if len(stated) > 1:
        raise BadTeacherConfig(f"{stated[0]} and {stated[1]} exclude each other.", f"Put all URLs into {stated[1]}.")
    _check_numbers(options)
    _check_prices(options)
    ours = {"max_tokens", "max_completion_tokens", options["max_tokens_field"], "n", "stream"}
    if taken := sorted((ours & set(options["extra"])) | ({options["max_tokens_field"]} & set(options["omit"]))):
        raise BadTeacherConfig(
            f"omit and extra can't change {taken[0]}: what is asked, and what it may cost, goes by it.",
            "Use --max-tokens for the limit, and max_tokens_field for its name.",
        )
    try:
        json.dumps(options["extra"], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadTeacherConfig(f"extra holds what JSON can't: {error}.") from error


def _check_numbers(options: Mapping[str, Any]) -> None:
    for name in ("max_in_flight", "requests_per_minute", "tokens_per_minute"):
        value = options[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise BadTeacherConfig(f"{name} must be a whole number, 1 or more.")
    if options["max_attempts"] < 1 or not (options["timeout"] > 0 and options["give_up_after"] > 0):
        raise BadTeacherConfig("max_attempts must be 1 or more, timeout and give_up_after over 0.")
    if not 1 <= options["length_retry_factor"] < math.inf:
        raise BadTeacherConfig("length_retry_factor must be a number, 1 or more.")
    if options["batch_requests"] < 1 or options["batch_poll"] <= 0 or not 0 <= options["batch_discount"] <= 1:
        raise BadTeacherConfig("batch_requests must be 1 or more, batch_poll over 0, batch_discount from 0 to 1.")


def _check_prices(options: Mapping[str, Any]) -> None:
    prices = {name: options[name] for name in ("price_prompt", "price_completion")}
    for name, price in prices.items():
        if price is not None and (not isinstance(price, (int, float)) or not 0 <= price < math.inf):
            raise BadTeacherConfig(f"{name} must be a number, 0 or more.")
    if len({price is None for price in prices.values()}) > 1:
        raise BadTeacherConfig("price_prompt and price_completion go together.", "Give both; 0 is a price.")
