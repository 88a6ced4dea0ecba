"""Prices of an endpoint as genai-prices lists them, in US dollars, for its provider; the user's own prices go first."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from backends.base import Prices

__all__ = ["is_private", "listed_prices"]

OPENAI_URL = "https://api.openai.com/v1"


def listed_prices(url: str, model: str) -> Prices | None:
    """Prices of `model` at the provider behind `url`, for short prompts; None when the list has none."""
    from genai_prices import Usage, calc_price

    try:
        prompt = calc_price(Usage(input_tokens=1000, output_tokens=0), model_ref=model, provider_api_url=url)
        completion = calc_price(Usage(input_tokens=0, output_tokens=1000), model_ref=model, provider_api_url=url)
    except LookupError:
        return None
    return Prices(
        prompt=float(prompt.total_price) * 1000,
        completion=float(completion.total_price) * 1000,
        source="genai-prices",
    )


def is_private(url: str) -> bool:
    """Whether the endpoint is on this machine or in this network, and so free of charge."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".lan"))
    return address.is_private or address.is_loopback
