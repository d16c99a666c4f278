"""What the array gains: seeded simulated scenes, every beamformer, the oracles: python -m benchmarks.array."""
