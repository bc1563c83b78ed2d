# `make demo`, `make test` and `make docs` install all that they need on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
FOLDERS := api contract engine video model calibration export training serve bench
SOURCES := $(shell find $(FOLDERS) -type f -not -name '*.pyc') setup.py pyproject.toml

# `make demo TORCH_INDEX=URL` takes torch, and only torch, from the package index at URL: there pip finds the CPU build.
# Without it, pip takes torch from the usual index: on Linux a CUDA build of 2.9 GB.
TORCH_INDEX ?=

# Table I compares with networks of torchvision, which needs another torch: a CUDA build of 5.5 GB.
TABLE1_VENV ?= .venv-table1
TABLE1_OUT ?= table1
TABLE1_OPTIONS ?=
TABLE1_TESTS := tests/model/table1 tests/bench/table1 tests/bench/gpu/test_combination.py \
	tests/training/labelling tests/training/test_published_training.py
TABLE1_PIP := $(TABLE1_VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
	--constraint $(TABLE1_VENV)/constraints.txt

# The wheel with Triton's server takes an older NumPy.
TRITON_VENV ?= .venv-triton
TRITON_PIP := $(TRITON_VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
	--constraint $(TRITON_VENV)/constraints.txt

.PHONY: demo test lint docs table1 test-table1 test-triton clean

demo: $(VENV)/.installed
	$(BIN)/python -m mostnet.bench.demo

# Two processes; the tests of a file stay together, because they share what they prepare.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/check_types.py

# Without Sphinx's cache (-E), because pages in the cache are not checked again.
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -b html -c docs -E -W --keep-going -q . docs/_build
	@echo "Open docs/_build/docs/index.html"

table1: $(TABLE1_VENV)/.installed
	$(TABLE1_VENV)/bin/python -m mostnet.bench.table1.report $(TABLE1_OUT) $(TABLE1_OPTIONS)

# The tests that `make test` skips for lack of these networks; here they fail instead of being skipped.
test-table1: $(TABLE1_VENV)/.installed
	MOSTNET_REQUIRE_TABLE1=1 $(TABLE1_VENV)/bin/python -m pytest $(TABLE1_TESTS)

# The tests that need a Triton server; `make test` skips them.
test-triton: $(TRITON_VENV)/.installed
	MOSTNET_REQUIRE_TRITON=1 $(TRITON_VENV)/bin/python -m pytest tests/serve/triton

$(VENV)/.dependencies: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url '$(TORCH_INDEX)' torch,$(BIN)/python tell_torch_build.py)
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

$(TABLE1_VENV)/.dependencies: setup.py constraints.txt constraints-table1.txt
	$(PYTHON) -m venv $(TABLE1_VENV)
	grep -v '^torch==' constraints.txt | cat - constraints-table1.txt > $(TABLE1_VENV)/constraints.txt
	$(TABLE1_PIP) setuptools
	$(TABLE1_PIP) --no-build-isolation '.[cpu,export,rtx,train,dev,table1]'
	touch $@

$(TABLE1_VENV)/.installed: $(TABLE1_VENV)/.dependencies $(SOURCES)
	$(TABLE1_PIP) --no-build-isolation --no-deps --force-reinstall .
	rm -rf build *.egg-info
	touch $@

$(TRITON_VENV)/.dependencies: setup.py constraints.txt constraints-triton.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 12) or sys.exit( \
		"test-triton: nvidia-pytriton needs NumPy 1.26, which has no wheel for Python %d.%d; give PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(TRITON_VENV)
	grep -v -e '^numpy==' -e '^opencv-python==' constraints.txt | cat - constraints-triton.txt > $(TRITON_VENV)/constraints.txt
	$(TRITON_PIP) setuptools
	$(TRITON_PIP) --no-build-isolation '.[cpu,triton-server]' onnx simpy pytest pytest-timeout
	rm -rf build *.egg-info
	touch $@

$(TRITON_VENV)/.installed: $(TRITON_VENV)/.dependencies $(SOURCES)
	$(TRITON_PIP) --no-build-isolation --no-deps --force-reinstall .
	rm -rf build *.egg-info
	touch $@

clean:
	rm -rf $(VENV) $(TABLE1_VENV) $(TRITON_VENV) build demo docs/_build *.egg-info
