"""tinyllm: distil a small student model from the rationales of several large language models."""

__version__ = "0.1.0"
