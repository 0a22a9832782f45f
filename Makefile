# Two commands for a fresh machine with Python 3.11 or newer, git and make:
#   make demo    set up, then raw text to trees on the invented languages
#   make test    set up, then the tests
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test test-all check format clean
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## Make a private virtual environment with everything the demo and the tests need.

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh

demo: setup ## Train, align and parse the family of invented languages (about 4 minutes on 2 cores).
	@$(BIN)/isogloss run recipes/invented.toml -o runs/invented

# A worker takes whole files, so that what their tests share is made once. WORKERS=0 runs all in one process.
PYTEST_WORKERS := --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile

test: setup ## Run the tests (about eight minutes on 2 cores).
	@$(BIN)/python -m pytest $(PYTEST_WORKERS) -m "not slow and not gpu" $(PYTEST)

test-all: setup ## Run every test that this machine can run.
	@$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST)

check: setup ## Lint, format check and types, then the tests.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright
	@$(MAKE) test

format: setup ## Format the code.
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean: ## Remove the virtual environment and caches (not your runs).
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
