"""Which of an endpoint's errors end the run, because no other request would succeed either."""

from __future__ import annotations

from typing import Any

from backends.base import TeacherError
from backends.hosted.client import ApiKey
from backends.hosted.retries import may_pass, message_of, out_of_money

__all__ = ["FatalErrors"]

_HOPELESS = 10  # requests refused in a row, after which the rest is not tried
_KEPT = "What was answered is kept."


class FatalErrors:
    """Counts the refused requests since the last reply. `key` is removed from texts."""

    def __init__(self, model: str, key: ApiKey) -> None:
        self._model, self._key = model, key
        self._answered, self._in_a_row = False, 0

    def note_answer(self) -> None:
        self._answered, self._in_a_row = True, 0

    def check(self, error: Any) -> None:
        """Raises TeacherError with the server's message when no request can succeed because of `error`."""
        if may_pass(error):
            return
        status = error.status_code
        where = str(error.request.url.copy_with(query=None)).removesuffix("/chat/completions")
        where = where.removesuffix("/completions")
        message = self._key.redact(message_of(error))
        said = f"HTTP {status}: {message}" if message else f"HTTP {status}"
        self._in_a_row += 1
        if status == 401 or (status == 403 and self._is_locked_out(message)):
            raise TeacherError(f"{where} refuses the key ({said}).", f"Check {self._key.name} in .env.")
        if status in (404, 405):
            raise TeacherError(
                f"{where} knows no such address, or no model '{self._model}' ({said}).",
                "Check model and base_url, which usually ends in /v1.",
            )
        if out_of_money(error):
            raise TeacherError(f"{where} reports that the account has no money left ({said}).", _KEPT)
        if self._in_a_row >= _HOPELESS and not self._answered:
            raise TeacherError(
                f"{where} refuses every request ({said}).",
                "Check the teacher's settings: only a temperature, top_p or seed that is set is sent; max_tokens_field,"
                ' omit and extra shape the request, such as omit = ["stop"].',
            )

    def _is_locked_out(self, message: str) -> bool:
        """Whether a 403 is about the key: some endpoints send it for a question that their moderation flags."""
        return self._in_a_row >= _HOPELESS or not (self._answered or "flagged" in message.lower())
