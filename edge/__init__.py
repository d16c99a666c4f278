"""Edge runtime for microphone arrays: capture, beamform, enhance, publish."""

__version__ = "0.1.0"
