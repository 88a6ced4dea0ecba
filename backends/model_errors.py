"""Why a model could not be loaded, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from backends.base import ModelUnavailable

__all__ = ["ALTERNATIVES", "alternatives", "model_errors"]

ALTERNATIVES = (
    "Alternatives: a local folder or .gguf file (give its path as the model), the embedded 'smollm2',"
    " or a teacher behind an endpoint (tinyllm.toml)."
)


def alternatives(name: str) -> str:
    """What to give instead of `name`, beginning with the models beside it whose names are similar."""
    similar = _similar(Path(name).expanduser())
    return f"Did you mean {' or '.join(similar)}? {ALTERNATIVES}" if similar else ALTERNATIVES


def _similar(path: Path) -> list[str]:
    try:
        beside = [one.name for one in path.parent.iterdir() if one.suffix == ".gguf" or (one / "config.json").is_file()]
    except (OSError, ValueError):  # no such folder, or one that can't be read
        return []
    return [str(path.parent / one) for one in get_close_matches(path.name, beside, n=3)]


@contextmanager
def model_errors(name: str) -> Iterator[None]:
    """Raises ModelUnavailable for whatever the libraries raise while they load `name`."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from safetensors import SafetensorError

    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:  # the libraries raise many types here, all because of this model
        chain = list(_causes(error))
        text = " ".join(str(link) for link in chain)
        if any(isinstance(link, GatedRepoError) for link in chain):
            raise ModelUnavailable(
                f"The model {name} is gated.",
                f"Ask for access at huggingface.co/{name}, then set HF_TOKEN. {ALTERNATIVES}",
            ) from error
        if any(isinstance(link, RepositoryNotFoundError) for link in chain):
            raise ModelUnavailable(f"The hub has no model called {name}.", alternatives(name)) from error
        if "safetensors" in text and ("no file named" in text or "have a file named" in text):
            raise ModelUnavailable(
                f"The model {name} has no safetensors weights, and pickle files are not loaded.",
                "Convert it with transformers' save_pretrained, or choose another model.",
            ) from error
        if any(isinstance(link, SafetensorError) for link in chain):
            raise ModelUnavailable(
                f"The model {name} can't be loaded: a weights file is empty, truncated or damaged ({error}).",
                "Download or save the model again.",
            ) from error
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # a problem of the disk, not of the model
        if not Path(name).expanduser().exists() and not _is_malformed(chain):
            raise ModelUnavailable(
                f"The model {name} is not on this machine and the hub can't be reached.", alternatives(name)
            ) from error
        raise ModelUnavailable(f"The model {name} can't be loaded: {error}".splitlines()[0]) from error


def _is_malformed(chain: list[BaseException]) -> bool:
    """Whether the model was found and its files are the problem."""
    return not any(isinstance(link, OSError) for link in chain)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
