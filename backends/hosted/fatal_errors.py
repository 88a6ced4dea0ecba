"""Which of an endpoint's refusals end the run, because no other request would get past them either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.base import TeacherError
from backends.hosted.retries import may_pass, out_of_money

__all__ = ["Refusals"]

_HOPELESS = 10  # requests that were refused in a row, after which the rest is not tried


class Refusals:
    """Those since the last reply. `key_name` is the variable that holds the key, which `clean` takes out of a text."""

    def __init__(self, model: str, key_name: str, clean: Callable[[str], str]) -> None:
        self._model, self._key_name, self._clean = model, key_name, clean
        self._answered, self._in_a_row = False, 0

    def end(self) -> None:
        """A request was answered."""
        self._answered, self._in_a_row = True, 0

    def weigh(self, error: Any) -> None:
        """Raises TeacherError, in our words (a server's may quote the key), when no request can get past `error`."""
        if may_pass(error):
            return
        url, status = str(error.request.url), error.status_code
        where = url.removesuffix("/chat/completions").removesuffix("/completions")
        self._in_a_row += 1
        if status == 401 or (status == 403 and self._locked_out(error)):
            raise TeacherError(f"{where} refuses the key (HTTP {status}).", f"Check {self._key_name} in .env.")
        if status == 404:
            raise TeacherError(
                f"{where} knows no such address, or no model '{self._model}' (HTTP 404).",
                "Check model and base_url, which mostly ends in /v1.",
            )
        if out_of_money(error):
            raise TeacherError(
                f"{where} says that the account has no money left (HTTP {status}).", "What was answered is kept."
            )
        if self._in_a_row >= _HOPELESS and not self._answered:
            raise TeacherError(
                f"{where} refuses every request (HTTP {status}: {self._clean(error.message)}).",
                "Check the teacher's settings; max_tokens_field, omit and extra shape the request.",
            )

    def _locked_out(self, error: Any) -> bool:
        """Whether a 403 is for the key: some endpoints say it to a question that their moderation flags."""
        return self._in_a_row >= _HOPELESS or not (self._answered or "flagged" in error.message.lower())
