"""A vLLM server of our own: its command line, its life and end, what its log tells. For the `vllm` backend."""
