"""Measurements of this project: speed, footprint and quality. Results are JSON; no data is copied into them."""
