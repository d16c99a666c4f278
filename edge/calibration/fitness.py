"""Whether a recording can say anything about microphones; each reason against it is one sentence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.calibration.delays import coherence
from edge.calibration.field import C128, Field
from edge.calibration.gains import usable_bands
from edge.errors import AudioFileError
from edge.kernels.levels import CLIP_LEVEL

SHORTEST_S = 10.0
SILENCE_DBFS = -90.0
"""rms of all but the lowest frequencies; a quiet room gives more with microphones of -26 dBFS at 94 dB SPL"""
CLIPPED_SHARE = 1e-4
DEAD_DB = 20.0
"""below the median of the others; calibration mends differences of a few dB, not broken parts"""
FEWEST_BANDS = 6
OWN_NOISE = 0.6
"""least share of the coherence that neighbours have in sound"""


def check_samples(samples: NDArray[np.floating], rate_hz: int, source: str) -> None:
    """Length, silence, clipping and dead microphones of (frames, mics). Raises AudioFileError naming `source`."""
    seconds = len(samples) / rate_hz
    if seconds < SHORTEST_S:
        raise AudioFileError(f"{source}: {seconds:.1f} s are too short, expected at least {SHORTEST_S:g} s")
    if bad := int(np.count_nonzero(~np.isfinite(samples))):
        raise AudioFileError(f"{source}: {bad} samples are not finite numbers; record again")
    # a difference filter takes DC and rumble away, 0 dB at a sixth of the rate
    levels_db = 10.0 * np.log10(np.mean(np.diff(samples, axis=0) ** 2, axis=0) + 1e-20)
    if levels_db.max() < SILENCE_DBFS:
        raise AudioFileError(
            f"{source}: silence ({levels_db.max():.0f} dBFS at the loudest microphone), expected room noise above "
            f"{SILENCE_DBFS:.0f} dBFS; turn up the capture level, or let something make noise"
        )
    clipped = np.mean(np.abs(samples) >= CLIP_LEVEL, axis=0)
    if clipped.max() > CLIPPED_SHARE:
        raise AudioFileError(
            f"{source}: microphone {int(clipped.argmax())} is clipped ({100.0 * clipped.max():.2g} % of its samples); "
            "turn down the capture level or the sound"
        )
    below_db = np.median(levels_db) - levels_db
    if below_db.max() > DEAD_DB:
        raise AudioFileError(
            f"{source}: microphone {int(below_db.argmax())} is {below_db.max():.0f} dB below the others; it is dead, "
            "covered or not connected, which no calibration mends"
        )


def check_bands(field: Field, source: str) -> None:
    """Whether the sound has noise in enough bands. Raises AudioFileError."""
    usable = int(np.count_nonzero(usable_bands(field)))
    if usable < FEWEST_BANDS:
        raise AudioFileError(
            f"{source}: too tonal, only {usable} of {len(field.flatness)} third-octave bands hold noise, expected "
            f"{FEWEST_BANDS} or more; switch off what hums or whistles, or play noise"
        )


def check_heard_together(field: Field, model: C128, source: str) -> None:
    """Whether the microphones hear the same sound rather than their own noise. Raises AudioFileError."""
    measured, expected = np.abs(coherence(field.cross.sum(axis=0))), np.abs(model)
    band = (field.frequencies_hz > 300.0) & (field.frequencies_hz < 2000.0)
    mics = len(expected)
    share = np.full((mics, mics), np.nan)
    for i in range(mics):
        for j in range(mics):
            good = band & (expected[i, j] > 0.5)
            if i != j and good.any():
                share[i, j] = np.median(measured[i, j, good] / expected[i, j, good])
    if np.isnan(share).all():
        return  # so far apart that nobody can tell
    # a bad microphone spoils the pairs of the good ones too, a good one has at least one good pair
    best = np.nanmax(np.where(np.isnan(share), -1.0, share), axis=1)
    known = best >= 0.0
    if known.any() and best[known].min() < OWN_NOISE:
        worst = int(np.argmin(np.where(known, best, np.inf)))
        who = "the microphones hear" if np.median(best[known]) < OWN_NOISE else f"microphone {worst} hears"
        raise AudioFileError(
            f"{source}: {who} mostly noise of {'their' if who.startswith('the') else 'its'} own (coherence "
            f"{best[worst]:.2f} of what one sound would have, expected {OWN_NOISE:g} or more); make the sound louder "
            "or check the positions"
        )
