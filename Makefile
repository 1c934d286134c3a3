# One file that knows how to start, test and measure the service. Needs only Python 3.11 (or later) and make.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := run
.PHONY: run test scenarios-http lint bench bench-large lock clean migrate-status stores env backup restore import export

# `exec` lets signals reach the service itself.
run: $(STAMP)
	@exec $(BIN)/python -m service run

stores: $(STAMP)
	@exec $(BIN)/python -m service stores

# make backup TO=file.tar.gz · make restore FROM=file.tar.gz
backup: $(STAMP)
	@exec $(BIN)/python -m service backup $(TO)

restore: $(STAMP)
	@exec $(BIN)/python -m service restore $(FROM)

# make import FILE=links.csv [MAP=map.json] [KIND=links] [ERRORS=file.jsonl] · make export DIR=folder
import: $(STAMP)
	@exec $(BIN)/python -m service import "$(FILE)" $(if $(MAP),--map "$(MAP)") $(if $(KIND),--kind "$(KIND)") \
		$(if $(ERRORS),--errors "$(ERRORS)")

export: $(STAMP)
	@exec $(BIN)/python -m service export "$(DIR)"

migrate-status: $(STAMP)
	@exec $(BIN)/python -m service migrate-status

test: lint
	@$(BIN)/python -m pytest

# All scenario files through HTTP, each on an instance of its own; `make test` plays some of them so.
scenarios-http: $(STAMP)
	@exec env ALL_SCENARIOS=1 $(BIN)/python -m pytest tests/scenarios/test_through_the_api.py

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict service
	@if [ -f .importlinter ] || grep -q '^\[tool.importlinter\]' pyproject.toml; then $(BIN)/lint-imports --no-logo; fi

bench: $(STAMP)
	@exec $(BIN)/python -m tests.bench

# What a million identifiers cost beside fifty thousand: about an hour.
bench-large: $(STAMP)
	@exec env LARGE=1 $(BIN)/python -m tests.bench

env: $(STAMP)

# Installs again only when the lock changed; a later start with a fresh stamp asks the network for nothing.
$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "installing the locked packages into $(VENV) (about 150 MB, the first time only)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r requirements.lock
	@touch $@

# Pins every package with its hashes for all platforms; names no index.
lock:
	@$(PYTHON) -m venv build/lock-env && build/lock-env/bin/python -m pip install --quiet --disable-pip-version-check uv
	@build/lock-env/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra dev --upgrade -o requirements.lock pyproject.toml
	@echo "requirements.lock is up to date"

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache $(VENV)
