"""The Hugging Face hub: check once whether it can be reached.

Its client retries an unreachable hub for most of a minute, with a warning each time. The check holds for the whole
process: offline, the client works from its cache and reports missing files at once.
"""

from __future__ import annotations

import logging
import threading
from functools import cache
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from backends.network import proxy_for

__all__ = ["prepare"]

_TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer, looking up its addresses and trying each of them included."""


@cache
def prepare() -> None:
    """Call before the hub's client is used: silences its retries, and sets it offline when the hub can't be reached.

    Raises BadTeacherConfig, which names the variable, for a proxy of the environment that can't be used."""
    from huggingface_hub import constants

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not constants.HF_HUB_OFFLINE:
        proxy_for(constants.ENDPOINT)
        constants.HF_HUB_OFFLINE = not _answers(constants.ENDPOINT)


def _answers(endpoint: str) -> bool:
    """Whether the hub answers in time. A thread asks: a look-up of an address knows no timeout."""
    if not endpoint.startswith(("http://", "https://")):
        return False
    answered = threading.Event()

    def ask() -> None:
        if _ask(endpoint):
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_TIMEOUT)
    return answered.is_set()


def _ask(endpoint: str) -> bool:
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=_TIMEOUT):  # noqa: S310 - the scheme is checked above
            return True
    except HTTPError:
        return True  # an error status is an answer, too
    except (OSError, HTTPException):
        return False
