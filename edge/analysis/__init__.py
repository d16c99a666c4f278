"""What sound is made of: long-term spectra, spectrograms, and the shape of spectra as numbers, over time and on the
whole; of recordings of any length in bounded memory.
"""

from edge.analysis.analyzer import Analyzer, analyze_array
from edge.analysis.files import FileAnalysis, analyze_file
from edge.analysis.result import ChannelAnalysis

__all__ = ["Analyzer", "ChannelAnalysis", "FileAnalysis", "analyze_array", "analyze_file"]
