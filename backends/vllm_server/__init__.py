"""A vLLM server of our own for the `vllm` backend: its command line, its processes, its log."""
