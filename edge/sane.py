"""What is still a sample."""

SANE_MAX = 1e4
"""80 dB above full scale: no device gives this, a broken one might; such samples become silence like NaN, live and in
recordings"""
