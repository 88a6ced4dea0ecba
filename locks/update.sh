#!/bin/sh
# Write locks/requirements.txt and locks/dev.txt: every package that the project or its checks need, at one version.
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
# A machine may lend its own build of torch; the lock names the release. pip is the machine's own business.
sed -i -e 's/^\(torch==[0-9.]*\)+.*/\1/' -e '/^pip==/d' locks/requirements.txt
rm -rf .venv/lock
