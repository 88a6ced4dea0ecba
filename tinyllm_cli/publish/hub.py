"""The border to a Hugging Face hub: whose account, which repository, one commit. The token is given, never stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.errors import TinyLLMError, UsageProblem, WorldProblem
from tinyllm_cli.publish.files import PublishedFile

Kind = Literal["model", "dataset"]
_TARGET = re.compile(r"hub:(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)", re.ASCII)
_SHOWN = 200


def parse_target(text: str) -> str:
    """`hub:me/name` -> `me/name`. Raises UsageProblem for another form."""
    found = _TARGET.fullmatch(text)
    repository = found["repository"] if found else ""
    if not found or len(repository) > 96 or "--" in repository or ".." in repository or repository.endswith(".git"):
        raise UsageProblem(
            f"{text!r} is not a repository of the hub.", "Give an account and a name: --to hub:me/my-student"
        )
    return repository


@dataclass(frozen=True, kw_only=True)
class RepositoryState:
    """What the hub says about a repository before anything is written. `private` is None where it does not exist."""

    account: str
    private: bool | None


class Hub:
    """One repository at one endpoint.

    Its methods raise UsageProblem when the hub refuses the token or the name, and WorldProblem when it can't be
    reached or fails."""

    def __init__(self, endpoint: str, token: str, repository: str, kind: Kind) -> None:
        from huggingface_hub import HfApi

        self.endpoint = endpoint.rstrip("/")
        self.repository = repository
        self.kind = kind
        self._token = token
        self._api = HfApi(endpoint=self.endpoint, token=token, library_name="tinyllm")

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"

    def state(self) -> RepositoryState:
        """Whose token it is, and whether the repository exists."""
        with self._problems():
            account = str(self._api.whoami().get("name", ""))
            return RepositoryState(account=account, private=self._private())

    def _private(self) -> bool | None:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return bool(self._api.repo_info(self.repository, repo_type=self.kind).private)
        except RepositoryNotFoundError:
            return None

    def create(self, *, private: bool) -> None:
        """Create the repository, unless it exists."""
        with self._problems():
            self._api.create_repo(self.repository, repo_type=self.kind, private=private, exist_ok=True)

    def commit(self, files: Sequence[PublishedFile], message: str) -> str:
        """Upload all files in one commit, and give its ID."""
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        operations = [CommitOperationAdd(path_in_repo=one.path, path_or_fileobj=one.content) for one in files]
        shown = not are_progress_bars_disabled()
        disable_progress_bars()
        try:
            with self._problems():
                done = self._api.create_commit(self.repository, operations, commit_message=message, repo_type=self.kind)
        finally:
            if shown:
                enable_progress_bars()
        return str(done.oid)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

        try:
            yield
        except OfflineModeIsEnabled as error:
            raise UsageProblem("HF_HUB_OFFLINE is set.", "Unset it to publish.") from error
        except HfHubHTTPError as error:
            raise self._refused(error) from error
        except (OSError, RuntimeError, ValueError, HTTPError) as error:
            said = self._clean(str(error.__cause__ or error))  # the cause says which request failed
            raise WorldProblem(f"{self.endpoint} can't be used: {said}", "Check HF_ENDPOINT and the network.") from None

    def _refused(self, error: Any) -> TinyLLMError:
        status = error.response.status_code if error.response is not None else 0
        said = self._clean(error.server_message or "")
        if status == 401:
            return UsageProblem(
                f"{self.endpoint} does not accept HF_TOKEN.", "Create a token that may write, and set it."
            )
        if status == 403:
            return UsageProblem(
                f"HF_TOKEN may not write to {self.repository}.{f' {said}' if said else ''}",
                "Use an account or organization of yours, and a token that may write.",
            )
        return WorldProblem(
            f"{self.endpoint} answered with HTTP {status}.{f' {said}' if said else ''}",
            "Nothing was published. Try again.",
        )

    def _clean(self, text: str) -> str:
        """A line of what a server or library said, without the token."""
        return " ".join(text.replace(self._token, "***").split())[:_SHOWN]
