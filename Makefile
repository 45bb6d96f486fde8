# Run `make` alone to list what can be done. Every target sets up what it needs; a set-up that is up to
# date takes a moment. Nothing is installed outside `.venv` and the user's cache folder.

PYTHON ?= python3
# Further arguments of a command: `make demo ARGS=--help`, `make test-unit ARGS='-k window'`.
ARGS ?=
# Seconds that `make fuzz` spends on each reader.
FUZZ_SECONDS ?= 60
# How many processes run the tests of `make test`; they mostly wait for servers that they started.
TEST_PROCESSES ?= 3
# `make setup ENGINE=portable` builds the engine for any processor of this kind, as images and CI need it.
ENGINE ?=

BOOTSTRAP = "$(PYTHON)" deployments/setup/bootstrap.py $(if $(filter portable,$(ENGINE)),--portable)
PYTEST = .venv/bin/python -m pytest
WORKFLOWS = .github/workflows/*.yml

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help python setup setup-dev doctor demo drills test test-unit test-integration test-e2e model fuzz lint format bench lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

python:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; \
	  exit 1; }

setup: python ## Install the locked packages and build the engine (once), all into .venv
	@$(BOOTSTRAP)

setup-dev: python
	@$(BOOTSTRAP) --dev

doctor: python ## Say what a set-up would find or miss, and change nothing
	@$(BOOTSTRAP) --check

demo: setup ## Start everything on this machine and release a model through every gate
	@.venv/bin/tidegate demo $(ARGS)

drills: setup ## Break the machinery on purpose under client traffic and report what clients got (a quarter of an hour)
	@.venv/bin/tidegate drill --all --report .tidegate/drills.md $(ARGS)

test: setup-dev ## Run every test: unit, integration, end to end
	@$(PYTEST) -n $(TEST_PROCESSES) --no-loadscope-reorder $(ARGS)

test-unit: setup-dev ## Run the fast tests, which start nothing
	@$(PYTEST) tests/unit $(ARGS)

test-integration: setup-dev ## Run the tests of one room against real processes
	@$(PYTEST) tests/integration $(ARGS)

test-e2e: setup-dev ## Run the tests that start the whole stack
	@$(PYTEST) tests/e2e $(ARGS)

model: setup-dev ## Explore every state of the release machine in small worlds, and the machine without each guard
	@.venv/bin/python -m tests.model $(ARGS)

fuzz: setup-dev ## Fuzz each reader of untrusted files for FUZZ_SECONDS (60); crashing inputs stay in .tidegate/fuzz
	@for target in gguf safetensors folder template pickle; do \
	  echo "== $$target"; \
	  .venv/bin/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) $(ARGS) || exit 1; \
	done

lint: setup-dev ## Check style, types, the direction of imports, the images and the workflows
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/basedpyright
	@.venv/bin/lint-imports
	@.venv/bin/hadolint deployments/images/*/Dockerfile
	@.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	@.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec deployments/monitoring/compose.yaml
	@if command -v actionlint >/dev/null; then actionlint; fi

format: setup-dev ## Format the code and apply the safe fixes
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: setup ## Measure on this machine what docs/benchmarks.md reports
	@.venv/bin/python -m benchmarks $(ARGS)

lock: python ## Resolve the lock files anew; UPGRADE=1 moves to the newest allowed versions
	@"$(PYTHON)" deployments/setup/bootstrap.py --lock $(if $(UPGRADE),--upgrade)

clean: ## Stop a running stack, then remove .venv, caches and .tidegate (the engine's wheel stays in the user's cache)
	@if [ -x .venv/bin/tidegate ] && [ -d .tidegate ]; then .venv/bin/tidegate down || { \
	  echo "A running stack could not be stopped, so nothing was removed. To remove all the same: make clean FORCE=1" >&2; \
	  [ -n "$(FORCE)" ]; }; fi
	@rm -rf .venv .tidegate .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -type d -name __pycache__ -prune -exec rm -rf {} +
