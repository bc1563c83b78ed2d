# `make demo`, `make test` and `make docs` install all that they need on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
FOLDERS := api contract engine video model calibration export training bench
SOURCES := $(shell find $(FOLDERS) -type f -not -name '*.pyc') setup.py pyproject.toml

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed
	$(BIN)/python -m mostnet.bench.demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/check_types.py

# Without Sphinx's cache (-E), because pages in the cache are not checked again.
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -b html -c docs -E -W --keep-going -q . docs/_build
	@echo "Open docs/_build/docs/index.html"

$(VENV)/.dependencies: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools
	$(PIP) --no-build-isolation '.[cpu,export,rtx,train]'
	touch $@

# Only the package, so that a changed source is installed in a second.
$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	$(PIP) --no-build-isolation --no-deps --force-reinstall .
	rm -rf build *.egg-info
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --no-build-isolation '.[cpu,export,rtx,train,dev]'
	rm -rf build *.egg-info
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --no-build-isolation '.[cpu,export,rtx,train,docs]'
	rm -rf build *.egg-info
	touch $@

clean:
	rm -rf $(VENV) build demo docs/_build *.egg-info
