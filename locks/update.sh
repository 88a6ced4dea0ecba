#!/bin/sh
# Write locks/requirements.txt, locks/dev.txt, locks/export.txt, locks/vllm.txt and locks/cluster.txt: every package that the
# project or its checks need, at one version.
# transformers4.txt and embedded.txt hold a handful of pins each and are kept by hand.
set -eu
python3 -m venv .venv/lock
.venv/lock/bin/python -m pip install --quiet pip-tools
compile() {
    .venv/lock/bin/pip-compile --quiet --strip-extras --no-emit-options --no-emit-index-url --no-emit-find-links \
        --no-annotate --no-header "$@"
}
# setuptools builds the editable install, without isolation, from the same lock.
compile --allow-unsafe --output-file locks/requirements.txt locks/requirements.in pyproject.toml
compile --constraint locks/requirements.txt --output-file locks/dev.txt locks/dev.in
# What the extra `export` adds to that.
compile --allow-unsafe --extra export --constraint locks/requirements.txt --output-file .venv/lock/export.txt pyproject.toml
grep -v -x -F -f locks/requirements.txt .venv/lock/export.txt | grep -v -E '^(#|$|(pip|torch)==)' > locks/export.txt
# vLLM joins the same environment: resolved under our pins but for two packages, of which it asks for older releases and
# works with ours, and installed without dependencies. Left out: what we have, torch's companions, which fail to import
# beside this torch, and triton, a gigabyte that vLLM doesn't use on a CPU.
grep -v -E '^(numpy|setuptools)==' locks/requirements.txt > .venv/lock/ours.txt
compile --allow-unsafe --constraint .venv/lock/ours.txt --output-file .venv/lock/vllm.txt locks/vllm.in
grep -v -x -F -f locks/requirements.txt .venv/lock/vllm.txt \
    | grep -v -E '^(#|$|(pip|numpy|setuptools|torch|torchaudio|torchcodec|torchvision|triton)==)' > locks/vllm.txt
# What the extra `cluster` adds, with the versions that the others have.
compile --allow-unsafe --extra cluster --constraint locks/requirements.txt --constraint locks/dev.txt \
    --constraint locks/vllm.txt --output-file .venv/lock/cluster.txt pyproject.toml
grep -v -x -F -f locks/requirements.txt .venv/lock/cluster.txt | grep -v -E '^(#|$|(pip|torch)==)' > locks/cluster.txt
# A machine may lend its own build of torch; the lock names the release. pip is the machine's own business.
sed -i -e 's/^\(torch==[0-9.]*\)+.*/\1/' -e '/^pip==/d' locks/requirements.txt
rm -rf .venv/lock
