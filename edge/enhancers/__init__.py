"""Whole recordings through any enhancer there is, behind one face: `make_enhancer(name).enhance(samples, rate_hz)`."""

from edge.enhancers.base import OfflineEnhancer
from edge.enhancers.factory import ENHANCERS, make_enhancer

__all__ = ["ENHANCERS", "OfflineEnhancer", "make_enhancer"]
