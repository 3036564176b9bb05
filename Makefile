# Every target does its own set-up: only python3 (3.11+), its venv module and make are assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run demo test test-system screenshots soak bench binary dist supply check format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("hooklab needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module here. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (once) ..." >&2
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) for development (once) ..." >&2
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev
	@echo "Adding what draws the curves to $(VENV) (once) ..." >&2
	@$(PIP) -e '.[dev,bench]'
	@touch $@

$(VENV)/.pack: $(VENV)/.run
	@echo "Adding what packs hooklab to $(VENV) (once) ..." >&2
	@$(PIP) -e '.[binary,dist]'
	@touch $@

run: $(VENV)/.run ## start hooklab: the receiver and its screen (ARGS="--bind HOST:PORT" to change)
	@$(BIN)/hooklab run $(ARGS)

demo: $(VENV)/.run ## see hooklab alive: made-up reports in a temporary folder, nothing is kept
	@$(BIN)/python tests/demo.py

test: $(VENV)/.dev ## run the test suite (ARGS="-k name" to choose)
	@$(BIN)/python -m pytest $(ARGS)

test-system: $(VENV)/.dev $(VENV)/.pack ## the tests that need root, mounts or Debian packages; says by name what cannot run here
	@$(BIN)/python -m pytest -m system -n 0 -rs $(ARGS)

screenshots: $(VENV)/.dev ## draw every screen anew, the references of the visual tests; then look at what git shows
	@$(BIN)/python tests/gallery.py $(ARGS)

soak: $(VENV)/.dev ## long fault campaigns (ARGS="kill" for one, ARGS="--help" says which)
	@PYTHONPATH=tests $(BIN)/python -m faults $(ARGS)

bench: $(VENV)/.bench ## measure hooklab beside references, against targets, in half an hour (ARGS="--help" says what else)
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

binary: $(VENV)/.pack ## build dist/hooklab: hooklab and its Python in one executable file, and the bill of what is in it
	@PYTHONPATH=tests $(BIN)/python -m binary $(ARGS)

dist: $(VENV)/.pack ## build the wheel and the sdist in dist/, as pipx and pip install them
	@rm -f dist/*.whl dist/*.tar.gz
	@PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build -qq --outdir dist
	@ls dist/*.whl dist/*.tar.gz

supply: $(VENV)/.dev $(VENV)/.pack ## what hooklab is made of: versions, licences (ARGS="--index" asks for the last releases)
	@$(BIN)/python tests/supply.py $(ARGS)

check: $(VENV)/.dev ## lint, formatting, strict types, the floors of the design
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.venv/lint-imports.log 2>&1 || { cat .venv/lint-imports.log; exit 1; }

format: $(VENV)/.dev ## format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean: ## remove the environment and caches (never your data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
