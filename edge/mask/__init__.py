"""Gain estimators behind one contract: ONNX network, Wiener, spectral subtraction, bypass."""
