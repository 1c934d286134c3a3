# One file that knows how to start, test and measure the service. Needs only Python 3.11 (or later) and make.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Three sets, each within the next: what serves, what tests, what the yardsticks of the bench need.
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench

.DEFAULT_GOAL := run
.PHONY: run proof test faults fuzz audit sbom scenarios-http lint bench bench-large lock clean migrate-status stores env backup \
	restore import export schema-check

# `exec` lets signals reach the service itself.
run: $(STAMP)
	@exec $(BIN)/python -m service run

stores: $(STAMP)
	@exec $(BIN)/python -m service stores

# One page about what the running instance can show: losses, consent, audit, roll-backs.
proof: $(STAMP)
	@exec $(BIN)/python -m service proof

# make backup TO=file.tar.gz · make restore FROM=file.tar.gz
backup: $(STAMP)
	@exec $(BIN)/python -m service backup $(TO)

restore: $(STAMP)
	@exec $(BIN)/python -m service restore $(FROM)

# make import FILE=links.csv [MAP=map.json] [KIND=links|events] [ERRORS=file.jsonl] · make export DIR=folder
import: $(STAMP)
	@exec $(BIN)/python -m service import "$(FILE)" $(if $(MAP),--map "$(MAP)") $(if $(KIND),--kind "$(KIND)") \
		$(if $(ERRORS),--errors "$(ERRORS)")

export: $(STAMP)
	@exec $(BIN)/python -m service export "$(DIR)"

# For a team's CI: make schema-check OLD=old.json NEW=new.json [LEVEL=addition|revision|model]
schema-check: $(STAMP)
	@exec $(BIN)/python -m service schema-check "$(OLD)" "$(NEW)" $(if $(LEVEL),--level $(LEVEL))

migrate-status: $(STAMP)
	@exec $(BIN)/python -m service migrate-status

# Two files at a time, each with stores of its own: much of a test is waiting. PARALLEL=0 runs one after the other.
PARALLEL ?= 2
test: lint
	@$(BIN)/python -m pytest -n $(PARALLEL) --dist loadfile

# All scenario files through HTTP, each on an instance of its own; `make test` plays some of them so.
scenarios-http: $(DEV)
	@exec env ALL_SCENARIOS=1 $(BIN)/python -m pytest tests/scenarios/test_through_the_api.py

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict service
	@if [ -f .importlinter ] || grep -q '^\[tool.importlinter\]' pyproject.toml; then $(BIN)/lint-imports --no-logo; fi

bench: $(BENCH)
	@exec $(BIN)/python -m tests.bench

# What a million identifiers cost beside fifty thousand: about an hour.
bench-large: $(BENCH)
	@exec env LARGE=1 $(BIN)/python -m tests.bench

# The service under faults, on stores of its own: make faults MINUTES=30 SEED=7 [ONLY="kill neo4j,cut connection"]
faults: $(DEV)
	@exec env MINUTES="$(MINUTES)" SEED="$(SEED)" ONLY="$(ONLY)" CURE_OFF="$(CURE_OFF)" $(BIN)/python -m tests.faults

# Schemathesis with all its checks on a running instance: make fuzz BASE_URL=http://127.0.0.1:8080 API_KEY=…
fuzz: $(DEV)
	@exec env BASE_URL="$(BASE_URL)" API_KEY="$(API_KEY)" $(BIN)/python -m tests.fuzz --max-examples $(or $(EXAMPLES),200)

# Known vulnerabilities of the locked packages (asks the advisory database), and what the service is made of.
audit: $(DEV)
	@exec $(BIN)/pip-audit --disable-pip --require-hashes -r requirements.lock

sbom: $(DEV)
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements --output-reproducible --of JSON -o build/sbom.json requirements.lock
	@echo "build/sbom.json"

env: $(DEV)

# Installs again only when a lock changed; a later start with a fresh stamp asks the network for nothing.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $@ || $(PYTHON) -m venv $(VENV)

$(STAMP): requirements.lock | $(BIN)/python
	@echo "installing the locked packages into $(VENV) (about 250 MB, the first time only)"
	@$(INSTALL) $<
	@touch $@

$(DEV): requirements-dev.lock $(STAMP)
	@echo "installing what the tests need into $(VENV) (the first time only)"
	@$(INSTALL) $<
	@touch $@

$(BENCH): requirements-bench.lock $(DEV)
	@echo "installing the yardsticks of the benchmarks into $(VENV) (the first time only)"
	@$(INSTALL) $<
	@touch $@

# Pins every package with its hashes for all platforms; names no index. `UPGRADE=--upgrade` takes newer versions.
COMPILE = build/lock-env/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)

lock:
	@$(PYTHON) -m venv build/lock-env && build/lock-env/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(COMPILE) -o requirements.lock pyproject.toml
	@$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	@$(COMPILE) --extra dev --extra bench -c requirements-dev.lock -o requirements-bench.lock pyproject.toml
	@echo "the locks are up to date"

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache $(VENV)
