# Verbs for people and CI. Each one sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv/.bench-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_FLAGS := --quiet
S ?=
N ?= 25
SEED ?=
TRACES ?=
WORKERS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup up down status logs demo check test test-pure test-platform test-long faults contracts format lock bench

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMP)  ## create .venv from requirements.lock (checked hashes)

$(STAMP): requirements.lock requirements-setup.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Baton needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "==> .venv: creating the environment"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "==> .venv: installing pinned packages, hashes checked (10 to 60 s the first time)"
	@$(PIP) install $(PIP_FLAGS) --require-hashes --requirement requirements-setup.lock && \
		$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes \
			--requirement requirements.lock || \
		{ echo "==> .venv: the fast installer did not work here, taking pip"; \
		  $(PIP) install $(PIP_FLAGS) --require-hashes --requirement requirements.lock; }
	@$(PIP) install $(PIP_FLAGS) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

up: setup  ## start Kafka, PostgreSQL and every service; TRACES=1: with a page of traces
	@$(BIN)/baton up $(if $(TRACES),--traces) $(ARGS)

down: setup  ## stop everything that `make up` started
	@$(BIN)/baton down

status: setup  ## what runs where
	@$(BIN)/baton status

logs: setup  ## follow a log: make logs S=tasks
	@test -n "$(S)" || { echo "say which: make logs S=tasks" >&2; exit 2; }
	@$(BIN)/baton logs $(S) --follow

demo: setup  ## the main job on real input, in one go; leaves the platform up
	@$(BIN)/baton demo $(if $(TRACES),--traces) $(ARGS)

check: setup  ## format, lint, types, import rules, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/house

test: test-pure test-platform  ## all tests but the long ones

test-pure: setup  ## tests that need no platform (seconds)
	$(BIN)/pytest -q -n $(WORKERS) -m "not platform and not long" --ignore=tests/house --ignore=tests/integration $(ARGS)

test-platform: setup  ## tests on the real Kafka and PostgreSQL
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not long" tests/integration $(ARGS)

test-long: setup  ## randomized and fault runs (each prints its seed)
	@seed=$${BATON_SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbits(31))')}; \
	echo "seed of the properties: $$seed"; \
	$(BIN)/pytest -q --hypothesis-profile=long --hypothesis-seed=$$seed \
		-m "hypothesis and not platform and not long" $(ARGS) && \
	$(BIN)/pytest -q --hypothesis-profile=long-platform --hypothesis-seed=$$seed \
		tests/integration/test_journal_model.py tests/integration/test_view_model.py $(ARGS)
	$(BIN)/pytest -s -m long $(ARGS)

faults: setup  ## faults of every kind under load: make faults N=300 SEED=7
	BATON_FAULTS=$(N) BATON_SEED=$(SEED) $(BIN)/pytest -s -m long tests/faults/test_cluster.py tests/faults/test_faults.py \
		-k "controller or faults_of_every_kind" $(ARGS)

contracts: setup  ## what Baton says, for other languages: contracts/, and a page of it
	@$(BIN)/python -m tests.contracts.samples
	@$(BIN)/python -m infra.contracts

bench: setup $(BENCH_STAMP)  ## figures beside the peers (half an hour; ARGS="--only append --rounds 3")
	$(BIN)/python -m bench $(ARGS)

$(BENCH_STAMP): $(STAMP) bench/requirements.lock bench/node/package-lock.json
	@echo "==> bench: installing the peers, hashes checked"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement bench/requirements.lock
	@if command -v npm >/dev/null; then cd bench/node && npm ci --silent --no-audit --no-fund; \
		else echo "==> bench: no npm here; message-db and Emmett will be absent"; fi
	@touch $@

format: setup  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## resolve requirements*.in anew
	@for name in requirements requirements-setup bench/requirements; do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
			--no-annotate --python-version 3.11 $$name.in -o $$name.lock; done
