"""Carrying masks from some slices of a volume to the others: plain algorithms without a model."""
