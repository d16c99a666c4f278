"""Microphone array geometry: positions in metres, steering delays, what the array can resolve."""
