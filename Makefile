# Everything starts here, with nothing preinstalled but make and Python 3.11 to 3.14.
#   make run [ARGS="--port 8080"]    set up, build the dashboard, start a data center
#   make test [PYTEST_ARGS="-x"]     every check there is, by two processes; JOBS=0 takes one
# Another Python: make run PYTHON=python3.12

PYTHON ?= python3
UV ?= uv
ARGS ?=
PYTEST_ARGS ?=
JOBS ?= 2
SUITE ?= emulator

BIN := .venv/bin
RUN_STAMP := .venv/.run
DEV_STAMP := .venv/.dev
SETUP := pyproject.toml requirements-build.lock tools/setup_venv.py

.PHONY: run test setup dashboard check lint type bench clean lock help

run: dashboard
	@$(BIN)/isotherm up $(ARGS)

# pytest comes last: its closing line is the verdict.
test: check lint type
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

setup: $(DEV_STAMP)

dashboard: $(RUN_STAMP)
	@$(BIN)/python tools/build_dashboard.py

check: $(DEV_STAMP)
	@$(BIN)/python tools/build_dashboard.py --check

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(DEV_STAMP)
	$(BIN)/mypy
	$(BIN)/mypy tools

bench: $(RUN_STAMP)
	$(BIN)/isotherm bench $(SUITE) $(ARGS)

$(RUN_STAMP): requirements.lock $(SETUP)
	@$(PYTHON) tools/check_python.py
	@$(PYTHON) tools/setup_venv.py run
	@touch $@

# What the run needs is part of the development lock, in the same versions.
$(DEV_STAMP): requirements.lock requirements-dev.lock $(SETUP)
	@$(PYTHON) tools/check_python.py
	@$(PYTHON) tools/setup_venv.py dev
	@touch $(RUN_STAMP) $@

# Raises every pinned version to the newest that pyproject.toml and package.json allow.
LOCK := $(UV) pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate
lock:
	@command -v $(UV) >/dev/null || { echo "error: make lock needs uv: pip install uv" >&2; exit 1; }
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --group build -c requirements-dev.lock -o requirements-build.lock
	$(LOCK) --group node -o requirements-node.lock
	cd api/dashboard && npm update --package-lock-only --omit-lockfile-registry-resolved

# All that make built; the data under var/ stay.
clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf api/static api/dashboard/node_modules build dist

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -4
