# `make demo` and `make test` install from locks/ into .venv; a second run reuses it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TRANSFORMERS4 := $(VENV)/transformers4

.PHONY: demo showcase test unit coverage fuzz lint docs docs-site tutorial dist test-wheel lock clean

demo: $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" sh demo.sh

# The positive control of the demo with a pretrained student: hours on a CPU, resumable.
showcase: $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" sh showcase.sh

test: $(VENV)/.installed-dev $(VENV)/.installed-vllm
	$(BIN)/python -m pytest -n 2 --dist loadgroup --durations=40

# The tests that import no torch, start no process or server and build no package or page, with few random examples: for
# the loop of edit and test. tests/unit.py leaves out the others.
unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --unit

# All tests with coverage of the two packages, processes included; the report is in htmlcov/. Fails below the threshold.
coverage: $(VENV)/.installed-dev $(VENV)/.installed-vllm
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term:skip-covered --cov-report=html

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

# The documentation site, in site/. Fails on a broken link or an unknown name.
docs-site: $(VENV)/.installed-dev
	$(BIN)/python -m mkdocs build --strict

# Run the tutorial's commands and write their output into docs/tutorial.md.
tutorial: $(VENV)/.installed-dev
	$(BIN)/python docs/tutorial.py

# The wheel and the sdist, the same bytes from the same commit.
dist:
	PYTHON=$(PYTHON) .ci/build

# The installed wheel in a new environment with the newest dependencies; .ci/test-wheel says how to choose others.
test-wheel: dist
	PYTHON=$(PYTHON) .ci/test-wheel dist/*.whl

$(VENV)/.installed: locks/requirements.txt locks/embedded.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r locks/requirements.txt
	$(PIP) install --no-deps -r locks/embedded.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed locks/dev.txt locks/export.txt locks/view.txt locks/cluster.txt \
		locks/transformers4.txt
	$(PIP) install -r locks/dev.txt
	$(PIP) install --no-deps -r locks/export.txt -r locks/view.txt -r locks/cluster.txt
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
	rm -rf $(VENV) build dist site htmlcov .coverage *.egg-info
