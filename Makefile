# Everything a newcomer, a developer or CI does with this repository. `make` alone lists it.
# Needs Python 3.11 or newer and make; takes uv when it is there and pip when it is not.

.DEFAULT_GOAL := help
.PHONY: help setup demo run test chaos fuzz check bench format
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Tests wait for processes more than they compute. Each worker has databases, folders and ports of its own.
WORKERS ?= 3
export PYTHONPATH := .
# The tests start hundreds of processes; without compiled files each of them reads and compiles the same sources again.
unexport PYTHONDONTWRITEBYTECODE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## Create .venv and install everything the targets below need
	@echo "Ready. Try: make demo"

demo: $(VENV)/.demo ## See a pipeline step wait for a person, run once and come back masked (ARGS=--auto decides by itself)
	@$(BIN)/python manage.py demo $(ARGS)

run: $(VENV)/.demo ## Start the gateway, all in one process (ARGS="--config holdgate.yaml --port 8000")
	@$(BIN)/python manage.py rungateway $(ARGS)

test: $(VENV)/.dev node-packages ## Run the whole suite (ARGS="tests/proxy -k held" runs a part)
	$(BIN)/python -m pytest $(or $(ARGS),-n $(WORKERS) --dist loadscope)
	$(if $(ARGS),,$(BIN)/python -m pytest tests/browser)

chaos: $(VENV)/.dev ## Run faults, races and tampering in their long form (ARGS="-k sqlite" runs a part); needs PostgreSQL's programs and redis-server
	$(BIN)/python -m pytest tests/chaos tests/sessions/test_mutations.py tests/sessions/test_evidence.py tests/proxy/test_stdio_limits.py -m "chaos or not chaos" -n $(WORKERS) --dist worksteal $(ARGS)

fuzz: $(VENV)/.dev ## Run the fuzzers of the wire in their long form, a quarter of an hour on two cores (ARGS="-k json" runs a part)
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz -n $(WORKERS) $(ARGS)

check: $(VENV)/.dev ## Lint, types, imports, shape, locks, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@if find templates -name '*.html' | grep -q .; then set -x; $(BIN)/djlint templates --quiet --lint --check; fi
	$(BIN)/codespell
	$(BIN)/python -m tests.house.shape
	$(BIN)/python -m tests.house.locks
	$(BIN)/python -m tests.house.hygiene
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.dev ## Bring code and templates into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m tests.house.settings_page
	$(BIN)/python -m tests.house.reference_pages
	@if find templates -name '*.html' | grep -q .; then set -x; $(BIN)/djlint templates --quiet --reformat; fi

bench: $(VENV)/.dev ## Measure (ARGS= goes to python -m benchmarks)
	$(BIN)/python -m benchmarks $(ARGS)

# --- installing ---------------------------------------------------------------------------------------------------
# A stamp per requirements file: nothing is installed while the file is older than its stamp. The developers' set
# holds the demo's, so that one stamp serves both. uv makes a .venv without pip, hence the ensurepip.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Holdgate needs Python 3.11 or newer (make PYTHON=... names another)." >&2; exit 1; }
	$(if $(UV),$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV),$(PYTHON) -m venv $(VENV))

define install
$(if $(UV),VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r $(1),\
    @{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; } && \
    echo "installing $(1) with pip" && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1))
endef

$(VENV)/.dev: requirements/dev.txt | $(BIN)/python
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.dev $(VENV)/.demo

$(VENV)/.demo: requirements/demo.txt | $(BIN)/python
	$(call install,requirements/demo.txt)
	@touch $(VENV)/.demo

# The TypeScript SDK, for the tests that drive it. Pinned exactly in package.json: a lock would name the registry.
NODE_PROJECT := $(wildcard tests/node/package.json)
NODE := $(and $(NODE_PROJECT),$(shell command -v node 2>/dev/null),$(shell command -v npm 2>/dev/null))

.PHONY: node-packages
node-packages: $(if $(NODE),tests/node/node_modules/.installed)
ifdef NODE_PROJECT
ifndef NODE
	@echo "skipped: tests with Node.js (node and npm are not installed)"
endif
endif

tests/node/node_modules/.installed: tests/node/package.json
	@cd tests/node && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error \
	    && touch node_modules/.installed \
	    || { echo "skipped: tests with Node.js (npm install failed)"; test "$$HOLDGATE_REQUIRE_NODE" != 1; }
