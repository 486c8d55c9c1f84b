# make run    the lab in a browser          make test   everything that has to hold
# make bench  what it costs, in numbers     make fuzz   ten thousand inputs of any kind
# make clean  forget the virtual environment

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

run: $(INSTALLED)
	$(BIN)/python app.py

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

fuzz: $(INSTALLED)
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile fuzz

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench.values
	$(BIN)/python -m tests.bench.lane
	$(BIN)/python -m tests.bench.page
	$(BIN)/python -m tests.bench.rounds
	$(BIN)/python -m tests.bench.solves --dims 4096

$(INSTALLED): requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

clean:
	rm -rf $(VENV)

.PHONY: run test fuzz bench clean
