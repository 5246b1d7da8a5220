# Each target makes its own environment in .venv, from nothing.
#   make demo       the main job on a made volume: pictures and a report in demo-output
#   make test       all checks and all tests
#   make check      the checks without the tests: seconds
#   make benchmark  the figures of speed, one JSON line each: less than 20 minutes on two quiet cores;
#                   DEVICE=cuda for those of a GPU, OFFICIAL=... for a clone of MobileSAM to compare with
#   make benchmark-accuracy DATA=...    the tables of accuracy: hours, in pieces that are kept
#   make benchmark-page                 BENCHMARKS.md, README's figures and pictures, from the lines

# The first that is there; the pinned versions were tried with 3.11.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
VENV := .venv
DEVICE := cpu
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint Testing/constraints.txt
SOURCES := pyproject.toml Testing/constraints.txt MedSAGaSlicer/MedSAGaSlicerLib/__init__.py

# Two torch processes that spin while they wait slow each other down many times over.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test check benchmark benchmark-accuracy benchmark-page clean

demo: $(VENV)/.demo-ready
	$(BIN)/medsaga demo --output demo-output

test: $(VENV)/.test-ready
	$(BIN)/python Testing/check.py

check: $(VENV)/.test-ready
	$(BIN)/python Testing/check.py --no-tests

benchmark: $(VENV)/.test-ready
	$(BIN)/python Testing/benchmark/run_all.py --device $(DEVICE) $(if $(OFFICIAL),--official "$(OFFICIAL)")
	$(BIN)/python Testing/benchmark/make_page.py

benchmark-accuracy: $(VENV)/.test-ready
	@test -n "$(DATA)" || { echo "DATA=... has to name the folder with 2d/ and 3d/"; exit 2; }
	$(BIN)/python Testing/benchmark/run_accuracy.py --data "$(DATA)"
	$(BIN)/python Testing/benchmark/make_page.py

benchmark-page: $(VENV)/.test-ready
	$(BIN)/python Testing/benchmark/make_page.py

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
	$(PIP) --editable '.[benchmark,dask,dev,gui,openvino,scene,test,train]'
	$(PIP) --no-deps galore-torch
	touch $@ $(VENV)/.demo-ready
