"""Wiener filters and spectral subtraction beside those that anybody can install."""
