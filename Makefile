# Targets do one job each; CI calls the same ones. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first of these that runs: names of pyenv may be there and lead to no Python
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do $$name -c "" 2>/dev/null && command -v $$name && break; done)
BIN := .venv/bin
UV := $(BIN)/uv
# uv reads the machine's certificates, as pip and apt do
export UV_SYSTEM_CERTS := 1
# Workers for the tests that are not marked serial: one more than processors, as many tests wait for
# servers. Who is done takes over what others have left.
WORKERS := $(shell echo $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)))
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist worksteal
LINTED := preprocess gateway backends model_repository tests config/grafana

.PHONY: help setup setup-dev run demo test test-under-load lint format typecheck unit integration coverage bench perf-analyzer docs lock audit image-digests clean test-compose

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/.installed ## make .venv and install what Tezi runs on

setup-dev: .venv/.installed-dev ## the same, with what the tests need

run: setup ## start everything (the first time with a demo market and a model trained on it)
	@exec $(BIN)/tezi up --demo

demo: setup ## make the demo market and its model, if there is none
	@$(BIN)/tezi demo --if-missing

test: setup-dev ## lint, types, every test, coverage: what CI runs
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory --jobs=2 typecheck coverage

test-under-load: setup-dev ## make test while two busy loops take both cores; prints how long it took
	@busy() { while :; do :; done; }; busy & first=$$!; busy & second=$$!; \
		trap 'kill $$first $$second; echo "make test under load took $$SECONDS s"' EXIT; \
		$(MAKE) --no-print-directory test

lint: setup-dev ## ruff (rules and format) and the import contract
	@$(BIN)/ruff check $(LINTED)
	@$(BIN)/ruff format --check $(LINTED)
	@$(BIN)/lint-imports --no-cache

format: setup-dev ## let ruff rewrite the code
	@$(BIN)/ruff check --fix $(LINTED)
	@$(BIN)/ruff format $(LINTED)

typecheck: setup-dev ## mypy --strict
	@$(BIN)/mypy

unit: setup-dev ## the tests that start no server
	@$(BIN)/pytest --ignore tests/integration -m "not serial" $(SIDE_BY_SIDE)

integration: setup-dev ## the tests with a real Triton and a real gateway
	@$(BIN)/pytest tests/integration

# Where there is podman instead of Docker: make test-compose COMPOSE=podman-compose ENGINE=podman
test-compose: export COMPOSE ?= docker compose
test-compose: export ENGINE ?= docker
test-compose: setup-dev ## docker-compose.yml from a clean state to nothing, with real containers
	@$(BIN)/pytest -s tests/compose/live.py

coverage: setup-dev ## every test, with branch coverage of preprocess/ and gateway/
	@$(BIN)/coverage erase
	@export MADE_ONCE="$$(mktemp -d)"; trap 'rm -rf "$$MADE_ONCE"' EXIT; \
		$(BIN)/coverage run -m pytest -m "not serial" --durations=15 $(SIDE_BY_SIDE); \
		$(BIN)/coverage run -m pytest -m serial --durations=5
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=90

bench: setup-dev ## a benchmark, against its baseline in the same run: make bench NAME=serve
	@$(BIN)/python -m tests.performance $(or $(NAME),serve)

perf-analyzer: setup ## install NVIDIA's perf_analyzer into the data folder, and print where it is
	@$(BIN)/python -m tests.performance.perf_analyzer

docs: setup-dev ## write docs/openapi.json and the dashboard anew
	@$(BIN)/python -m gateway.api.openapi > docs/openapi.json
	@$(BIN)/python config/grafana/dashboard.py > config/grafana/dashboards/tezi.json

lock: $(UV) ## pin every dependency anew, with hashes
	@$(UV) pip compile pyproject.toml --generate-hashes --no-header -q -p 3.11 --upgrade -o requirements.lock
	@$(UV) pip compile pyproject.toml --extra dev -c requirements.lock --generate-hashes --no-header -q -p 3.11 --upgrade -o requirements-dev.lock

# pip-audit would call packages clean that it could not look up: hence --strict
audit: build/audit/.installed ## known faults of every locked package (it needs the advisories online); build/sbom-*.json
	@for lock in requirements requirements-dev; do PYTHONPATH=build/audit $(BIN)/python -m cyclonedx_py requirements --output-reproducible -o build/sbom-$$lock.json $$lock.lock; done
	@for lock in requirements-dev.lock requirements.lock config/setup/*.lock; do echo "$$lock"; \
		PYTHONPATH=build/audit $(BIN)/python -m pip_audit --strict --disable-pip --require-hashes --timeout 15 --progress-spinner off -r $$lock || { \
		echo "Not clean, or not checked. A table above names packages with known faults: raise them with \`make lock\`. \"Dependency not found\" or a connection error means that the advisories cannot be reached from here." >&2; exit 1; }; done

build/audit/.installed: config/setup/audit.lock $(UV)
	@$(UV) pip install --quiet --python $(BIN)/python --target build/audit --require-hashes -r config/setup/audit.lock
	@touch $@

image-digests: export ENGINE ?= docker
image-digests: ## pull the images that compose starts from; lines for .env that name them by digest
	@grep -hoE '[A-Z]+_IMAGE:-[^}]+' docker-compose.yml | sort -u | while IFS= read -r each; do image="$${each#*:-}"; $$ENGINE pull --quiet "$$image" >/dev/null; \
		echo "$${each%%:-*}=$$($$ENGINE image inspect --format '{{index .RepoDigests 0}}' "$$image")"; done

clean: ## remove the environment and the caches; data/ stays
	rm -rf .venv build *.egg-info .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV): config/setup/installer.lock config/setup/debian-packages
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { echo "Tezi needs Python 3.11 or 3.12 and found '$(PYTHON)'. Install one (for example \`uv python install 3.12\`) and name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@PYTHON="$(PYTHON)" config/setup/debian-packages run
	@echo "Making the environment in .venv ..."
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r config/setup/installer.lock
	@touch $@

.venv/.installed: requirements.lock pyproject.toml $(UV)
	@echo "Installing the packages of requirements.lock ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	@config/setup/debian-packages test
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@
