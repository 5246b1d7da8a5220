# Each target makes its own environment in .venv, from nothing.
#   make demo       the main job on a made volume: pictures and a report in demo-output
#   make test       all checks and all tests
#   make check      the checks without the tests: seconds
#   make benchmark  the figures, one JSON line each

# The first that is there; the pinned versions were tried with 3.11.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint Testing/constraints.txt
SOURCES := pyproject.toml Testing/constraints.txt MedSAGaSlicer/MedSAGaSlicerLib/__init__.py

# Two torch processes that spin while they wait slow each other down many times over.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test check benchmark clean

demo: $(VENV)/.demo-ready
	$(BIN)/medsaga demo --output demo-output

test: $(VENV)/.test-ready
	$(BIN)/python Testing/check.py

check: $(VENV)/.test-ready
	$(BIN)/python Testing/check.py --no-tests

benchmark: $(VENV)/.test-ready
	$(BIN)/python Testing/benchmark/run_all.py

clean:
	rm -rf $(VENV) demo-output

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# What the command line needs, and no more: a newcomer should not wait for VTK and Qt.
$(VENV)/.demo-ready: $(SOURCES) | $(BIN)/python
	$(PIP) --editable .
	touch $@

# galore-torch asks for transformers and bitsandbytes, which nothing here uses.
$(VENV)/.test-ready: $(SOURCES) | $(BIN)/python
	$(PIP) --editable '.[dask,dev,gui,scene,test,train]'
	$(PIP) --no-deps galore-torch
	touch $@ $(VENV)/.demo-ready
