"""The Hugging Face hub: whether it is there, so that nobody waits for what can't come.

Its client retries an unreachable hub for most of a minute, with a warning each time. Asked once, the answer holds
for the process: without a hub, the client works from its cache and says at once what is missing.
"""

from __future__ import annotations

import logging
from functools import cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen

__all__ = ["prepare"]

_PATIENCE = 8.0
"""Seconds to wait for the hub's first sign of life."""


@cache
def prepare() -> None:
    """Call before the hub's client is used: silences its retries, and takes it offline when the hub is out of reach."""
    from huggingface_hub import constants

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not constants.HF_HUB_OFFLINE and not _answers(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = True


def _answers(endpoint: str) -> bool:
    if not endpoint.startswith(("http://", "https://")):
        return False
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=_PATIENCE):  # noqa: S310 - the scheme is checked above
            return True
    except HTTPError:
        return True  # an answer all the same
    except OSError:
        return False
