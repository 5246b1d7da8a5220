"""BENCHMARKS.md and its pictures, made of the lines under `results` and of nothing else."""
