# CairnFS: what CI runs is what you run.

PYTHON ?= python3
KEEP ?=
MINUTES ?= 5
SEED ?=
SEEDS ?=
BIN := .venv/bin
STAMP := .venv/.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test check soak spec bench lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything that is needed, at the locked versions

demo: $(STAMP) ## start a cluster, use it, break it and watch it heal (KEEP=1 leaves it running)
	KEEP=$(KEEP) $(BIN)/python -m cairnfs.cluster.demo

test: $(STAMP) ## run the tests, two at a time
	$(BIN)/python -m pytest -q -n 2

check: $(STAMP) ## lint, format, types, layers, tidiness
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_tidy.py

soak: $(STAMP) ## simulate whole clusters under faults for MINUTES (5), from SEED on (fresh ones)
	$(BIN)/cairn sim run --minutes $(MINUTES) $(if $(SEED),--first $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) --probes --save soak-failures
	test $(MINUTES) -lt 20 || $(MAKE) spec

spec: $(STAMP) ## explore all models of the protocol, then each with one safeguard off (minutes)
	$(BIN)/python -m spec
	$(BIN)/python -m spec --ablate

bench: $(STAMP) ## measure for about five minutes; prints tables
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/appends.py --producers 1,64 --files one --rounds 1
	$(BIN)/python benchmarks/metadata.py --callers 1,16,64 --only "stat,create,write 4 KiB,read 4 KiB" --rounds 1
	$(BIN)/python benchmarks/streaming.py --clients 1 --rounds 1

lock: $(STAMP) ## choose the newest versions anew and write requirements.lock
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install --quiet pip-tools
	.venv/lock/bin/pip-compile --quiet --upgrade --generate-hashes --extra test --extra test-data --build-deps-for editable \
		--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --no-header \
		--output-file requirements.lock pyproject.toml

clean: ## remove what the other commands made
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src spec tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
