"""Conv-TasNet without torch: waves in, enhanced waves out, as a stream or a whole recording."""

from edge.tasnet.stream import TasNetStream

__all__ = ["TasNetStream"]
