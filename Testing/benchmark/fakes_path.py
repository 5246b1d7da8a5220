"""Lets a benchmark import what stands in for models in tests; pytest has its own setting for it."""

import sys

from report import ROOT

FAKES = ROOT / "Testing" / "fakes"
sys.path.insert(0, str(FAKES))
