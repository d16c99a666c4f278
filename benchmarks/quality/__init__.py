"""Quality of the gain estimators on held-out speech and noise: python -m benchmarks.quality."""
