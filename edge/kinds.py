"""The names by which configuration, commands and command line choose; light, since every command line loads them."""

from __future__ import annotations

BEAMFORMER_KINDS = ("mvdr", "superdirective", "delay_sum", "none")

MASK_KINDS = ("network", "wiener", "spectral_subtraction", "bypass")

ENHANCER_KINDS = (*MASK_KINDS, "wiener_offline", "spectral_subtraction_offline", "blstm", "conv_tasnet")
"""of whole recordings: the masks of the pipeline, and what needs more than the past"""

PRECISIONS = ("int8", "float")
"""of the weights of a network"""

PRECISION_CHOICES = ("auto", *PRECISIONS)
