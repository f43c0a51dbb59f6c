# `make demo` and `make test` need Python 3.11 or newer and make; the Stan tests also a C++ compiler.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all lint clean

demo: .venv/numpyro.stamp
	$(BIN)/flowvi fit examples/eight_schools.py

test: .venv/test.stamp
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-all: .venv/test.stamp
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'slow or not slow'

lint: .venv/test.stamp
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python

clean:
	rm -rf .venv

# One stamp per extra, so that nothing is installed again until pyproject.toml changes.
.venv/%.stamp: pyproject.toml | .venv/bin/python
	@echo "installing flowvi[$*] into .venv (a few minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv
