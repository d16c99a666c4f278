"""Beamformers: target weights from geometry (delay-and-sum) or from geometry and the noise field (MVDR)."""
