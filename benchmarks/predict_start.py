"""From `tinyllm predict` with the embedded model to its answer, against the imports of torch and transformers alone.

    python benchmarks/predict_start.py [TURNS]

Each side is a process of its own, in turns; the least wall time and the least processor time of each count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = ("Where do fish live?", "--option", "in water", "--option", "in trees")
SIDES = {
    "torch alone": ("-c", "import torch"),
    "torch and transformers' class": (
        "-c",
        "import torch; from transformers.models.llama.modeling_llama import LlamaForCausalLM",
    ),
    "tinyllm predict": ("-m", "tinyllm_cli", "predict", *QUESTION, "--model", "smollm2", "--quiet"),
}


def cost(arguments: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Wall and processor seconds of a Python process."""
    before, started = os.times(), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    seconds, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used


def main() -> None:
    turns = int(sys.argv[1]) if sys.argv[1:] else 5
    with tempfile.TemporaryDirectory() as folder:
        cost(SIDES["tinyllm predict"], folder)  # converts the model and compiles modules, once
        found = [{name: cost(arguments, folder) for name, arguments in SIDES.items()} for _ in range(turns)]
    for name in SIDES:
        wall, used = (min(turn[name][which] for turn in found) for which in (0, 1))
        print(f"{name}: {wall:.2f} s, {used:.2f} s of processor time")


if __name__ == "__main__":
    main()
