"""Which architectures write text: encoder-decoders, and decoders that read no word after the one that they predict."""

from __future__ import annotations

from typing import Any

from backends.base import ModelUnavailable

__all__ = ["WRITERS", "check_architecture"]

WRITERS = "Use an encoder-decoder such as T5, or a decoder-only model such as GPT-2, Llama or Qwen."


def check_architecture(name: str, config: Any) -> None:
    """Raises ModelUnavailable for an encoder such as BERT, unless its configuration makes it a decoder, and for a model
    that has no head for text. Code that comes with a model is not judged here."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    if config.is_encoder_decoder:
        writes = kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    elif kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        # XLM and Flaubert call it `causal`.
        if not (getattr(config, "is_decoder", False) or getattr(config, "causal", False)):
            raise ModelUnavailable(
                f"{name} is an encoder ({kind}): it reads the words after the one that it predicts.", WRITERS
            )
        writes = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    else:
        writes = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if not writes and not getattr(config, "auto_map", None):
        raise ModelUnavailable(f"{name} can't write text: transformers has no such model for '{kind}'.", WRITERS)
