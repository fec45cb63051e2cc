# `make demo` folds a few real sequences; `make test` runs the tests. Both install into .venv first.
# Needed: make, and Python 3.11 or newer (`make PYTHON=/path/to/python test` to say which).

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The first of these that is new enough
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help install demo test test-more soak lint format clean

help:
	@echo "make demo       fold a few real sequences with the demo model into out/demo"
	@echo "make test       run the tests (those that need a GPU or the published weights say so and are skipped)"
	@echo "make test-more  what takes longer: notebooks, the command for cards without a card, larger sizes"
	@echo "make soak       minutes to hours; what becomes of each is kept in benchmarks/results/soak.jsonl"
	@echo "make lint       ruff, mypy, and the layers that imports keep to"
	@echo "make format     let ruff rewrite what it can"
	@echo "make clean      remove .venv, out and the caches"

install: $(INSTALLED)

# Made anew when the requirements change, so that nothing stays installed that is no longer asked for. The two
# variables hold the build back end to the same pins (older and newer pip read one each).
$(INSTALLED): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "error: Python 3.11 or newer is needed, '$(or $(PYTHON),python3)' is older or missing." >&2; \
		echo "       Say where one is: make PYTHON=/path/to/python3.12 test" >&2; exit 1; fi
	"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "error: no virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/lowmem-fold fold -i benchmarks/data/demo.fasta -o out/demo --model demo --overwrite
	@$(BIN)/python -m lowmem_fold.view.pictures out/demo
	$(BIN)/lowmem-fold view out/demo
	@echo "In out/demo/: structures (*.pdb, pLDDT in the B-factor), a picture of each (*.png), scores (scores.csv), and"
	@echo "a page with all of them, view.html: open it in a browser, or run $(BIN)/lowmem-fold view out/demo --open"

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

test-more: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m more $(PYTEST_ARGS)

soak: $(INSTALLED)
	$(BIN)/python -m benchmarks.soak

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .mypy_cache
