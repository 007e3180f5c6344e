# Two commands do all the set-up: `make demo` and `make test`. They need python3 (3.11 or newer) and make.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage check format chaos bench clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(DEV_STAMP) ## Make .venv with everything in it

# $(call into_venv,WHAT): with uv where it is there, else with pip (25.1 or newer knows --group).
define into_venv
	@if command -v uv >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python $(1); \
	else \
	  [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1); \
	fi
	@touch $@
endef

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 …" >&2; exit 2; }
	@echo "Installing into $(VENV); this is done once." >&2
	$(call into_venv,-e '.[embedded]')

$(DEV_STAMP): $(STAMP)
	$(call into_venv,--group dev)

demo: $(STAMP) ## Run the main job on this machine alone: no account, no server, no Docker
	@$(BIN)/msg91-destination demo $(ARGS)

test: install ## Run all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

coverage: install ## Run all tests and report what they cover, in child processes too; takes twice as long
	@$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term $(ARGS)

check: install ## Lint and check the types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install ## Write the code the way `make check` wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

chaos: install ## Prove it: kill workers and store, break the provider, and count what MSG91 took
	@$(BIN)/python -m tests.chaos $(ARGS)

bench: install ## Measure the speed end to end, beside a naive worker and a bare loop
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove everything that was made here
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
