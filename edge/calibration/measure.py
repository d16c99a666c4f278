"""From a recording to gains and delays of the microphones, with how sure each is and a check on unseen sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.calibration.delays import (
    coherence,
    delay_differences_s,
    heard_together,
    misfit,
    pair_weights,
    plane_wave_model,
    room_model,
)
from edge.calibration.field import C128, F64, Field, measure_field
from edge.calibration.fitness import check_bands, check_heard_together, check_samples
from edge.calibration.gains import gain_differences_db, gain_uncertainty_db
from edge.calibration.known_signal import measure_signal_field
from edge.calibration.polarity import check_polarity
from edge.errors import AudioFileError
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry, unit_vector

MOST_UNCERTAIN_DB = 1.0
MOST_UNCERTAIN_US = 10.0
UNEVEN_DELAY = 1.0
ECHO_DELAY = 0.5
"""part of the way across the array that a misfit of 1 is worth: what comes from one side of an uneven field, and what
single walls send back, looks like delays, and in simulated rooms it does so to about this extent"""
ECHO_GAIN_DB = 0.5
"""likewise for gains, where a single source leaves a pattern of louder and quieter places"""
NEAR_M = 1.0
"""how far a loudspeaker is taken to be that nobody has said the place of"""
TALKER_DB = 4.0
"""standard deviation of the level from quarter second to quarter second: noise has 1, speech 8 or more"""
UNEVEN = 0.25
"""misfit of a field that comes mostly from one side"""
DIRECTION_ERROR_DEG = 1.0
"""how well a person knows the direction of a source; at a radius of 4 cm a degree is 2 microseconds"""


@dataclass(frozen=True)
class SourcePlace:
    """Where the sound comes from. distance_m: 0 is far away."""

    azimuth_deg: float
    elevation_deg: float = 0.0
    distance_m: float = 0.0

    def delays_s(self, geometry: ArrayGeometry) -> F64:
        """Time of arrival at each microphone relative to the mean of all, (mics,)."""
        if not self.distance_m:
            return geometry.steering_delays_s(self.azimuth_deg, self.elevation_deg)
        ways_s = self._ways_m(geometry) / SPEED_OF_SOUND_M_S
        return np.asarray(ways_s - ways_s.mean())

    def levels_db(self, geometry: ArrayGeometry) -> F64:
        """Level at each microphone relative to the mean of all, (mics,): 1 / distance."""
        if not self.distance_m:
            return np.zeros(geometry.mics)
        levels_db = -20.0 * np.log10(self._ways_m(geometry))
        return np.asarray(levels_db - levels_db.mean())

    def _ways_m(self, geometry: ArrayGeometry) -> F64:
        source_m = geometry.centroid_m + self.distance_m * unit_vector(self.azimuth_deg, self.elevation_deg)
        return np.asarray(np.linalg.norm(geometry.positions_m - source_m, axis=1))


@dataclass(frozen=True)
class Deviation:
    """How the microphones differ from each other, each (mics,); delays are empty where they are not known."""

    gains_db: F64
    delays_us: F64


@dataclass(frozen=True)
class Measurement:
    """What was found. `found` is how each microphone is off, so what is applied is the negative of it."""

    method: str
    found: Deviation
    uncertainty: Deviation
    repeats: Deviation
    """one half of the recording corrected by what the other half says: what bends both alike does not show in it"""
    without_delays: str
    """why delays were not measured; empty when they were"""
    misfit: float
    """how far the sound is from the field that was assumed, 0 to 1"""
    doubts: tuple[str, ...] = ()
    """what else may be wrong, a sentence each"""


def measure(
    samples: NDArray[np.floating],
    rate_hz: int,
    geometry: ArrayGeometry,
    place: SourcePlace | None = None,
    test_signal: bool = False,
    source: str = "recording",
) -> Measurement:
    """Measure samples (frames, mics) without any calibration. Without a place the sound is taken to be diffuse.

    Raises AudioFileError with one sentence when the recording is unfit, naming `source`.
    """
    check_samples(samples, rate_hz, source)
    if test_signal:
        field = measure_signal_field(samples, rate_hz, source)
    else:
        field = measure_field(samples, rate_hz, loud=place is not None)
        check_bands(field, source)
    method = "signal" if test_signal else "direction" if place else "diffuse"
    check_polarity(field, geometry, source)
    model = _model(field, geometry, place, walls=not test_signal)
    if not test_signal:
        check_heard_together(field, model, source)
    expected_db = place.levels_db(geometry) if place else np.zeros(geometry.mics)
    gains_db = gain_differences_db(field) - expected_db
    gains_sd_db = gain_uncertainty_db(field)
    if method == "direction":
        gains_sd_db = np.hypot(gains_sd_db, ECHO_GAIN_DB * misfit(field, model, delay_differences_s(field, model)[0]))
    if gains_sd_db.max() > MOST_UNCERTAIN_DB:
        raise AudioFileError(
            f"{source}: the gain of microphone {int(gains_sd_db.argmax())} comes out differently from band to band and "
            f"moment to moment (standard deviation {gains_sd_db.max():.1f} dB, expected {MOST_UNCERTAIN_DB:g} or "
            "less); record longer, with steadier noise"
        )
    doubts: tuple[str, ...] = ()
    if test_signal and place is None:
        near_db = _unknown_place_db(geometry)
        gains_sd_db = np.hypot(gains_sd_db, near_db)
        if gains_sd_db.max() > MOST_UNCERTAIN_DB:
            raise AudioFileError(
                f"{source}: a loudspeaker at {NEAR_M:g} m is louder at the nearer microphones, in an array of this "
                f"size by {near_db.max():.1f} dB; say where it is with --azimuth and --distance"
            )
        doubts = (
            f"the place of the loudspeaker is not given, and it is louder at the nearer microphones: at {NEAR_M:g} m "
            f"that is +-{near_db.max():.2f} dB, which is in the uncertainty; --azimuth and --distance take it out",
        )
        why, delays_us, delays_sd_us, unfit = (
            "the direction of the source is not given (--azimuth)",
            _none(),
            _none(),
            0.0,
        )
    else:
        why, delays_us, delays_sd_us, unfit = _delays(field, model, geometry, place, test_signal)
    if method == "diffuse":
        doubts = _doubts(samples, rate_hz, unfit)
    halves = [_deviation(field.only(start), model, bool(delays_us.size)) for start in (0, 1)]
    repeats = Deviation(halves[1].gains_db - halves[0].gains_db, halves[1].delays_us - halves[0].delays_us)
    return Measurement(
        method,
        Deviation(gains_db, delays_us),
        Deviation(gains_sd_db, delays_sd_us),
        repeats,
        why,
        unfit,
        doubts,
    )


def referred_to(measurement: Measurement, microphone: int | None) -> Measurement:
    """The same relative to one microphone, which then stays as it is; None: relative to the mean of all."""
    if microphone is None:
        return measurement

    def shift(values: F64) -> F64:
        return values - values[microphone] if values.size else values

    def widen(values: F64) -> F64:
        if not values.size:
            return values
        wide = np.hypot(values, values[microphone])
        wide[microphone] = 0.0
        return np.asarray(wide)

    found, sd = measurement.found, measurement.uncertainty
    return replace(
        measurement,
        found=Deviation(shift(found.gains_db), shift(found.delays_us)),
        uncertainty=Deviation(widen(sd.gains_db), widen(sd.delays_us)),
    )


def _model(field: Field, geometry: ArrayGeometry, place: SourcePlace | None, walls: bool) -> C128:
    """Coherence that the sound would have at microphones that are all alike."""
    diffuse = geometry.diffuse_coherence(field.frequencies_hz).astype(np.complex128)
    if place is None:
        return diffuse
    direct = plane_wave_model(place.delays_s(geometry), field.frequencies_hz)
    return room_model(field, direct, diffuse) if walls else direct


def _deviation(field: Field, model: C128, with_delays: bool) -> Deviation:
    delays_us = 1e6 * delay_differences_s(field, model)[0] if with_delays else _none()
    return Deviation(gain_differences_db(field), delays_us)


def _delays(
    field: Field, model: C128, geometry: ArrayGeometry, place: SourcePlace | None, direct_alone: bool
) -> tuple[str, F64, F64, float]:
    """(why not, delays, standard deviations in us, misfit). direct_alone: the field has no walls in it."""
    weights = pair_weights(coherence(field.cross.sum(axis=0)), model, field.frequencies_hz)
    if not heard_together(weights):
        return "the microphones are too far apart to hear one phase of this sound", _none(), _none(), 1.0
    delays_s, sd_s = delay_differences_s(field, model)
    unfit = misfit(field, model, delays_s)
    radius_s = np.linalg.norm(geometry.positions_m - geometry.centroid_m, axis=1) / SPEED_OF_SOUND_M_S
    if place is None:
        sd_s = np.hypot(sd_s, UNEVEN_DELAY * unfit * radius_s)
        remedy = (
            "the sound does not come evenly from everywhere; use the test signal (--signal), or noise from all around"
        )
    else:
        turned = replace(place, azimuth_deg=place.azimuth_deg + DIRECTION_ERROR_DEG)
        sd_s = np.hypot(sd_s, np.abs(turned.delays_s(geometry) - place.delays_s(geometry)))
        remedy = "walls send too much of the sound back; use the test signal (--signal)"
        if not direct_alone:
            sd_s = np.hypot(sd_s, ECHO_DELAY * unfit * radius_s)
    delays_us, sd_us = 1e6 * delays_s, 1e6 * sd_s
    if sd_us.max() > MOST_UNCERTAIN_US:
        return f"they would be uncertain by {sd_us.max():.0f} us: {remedy}", _none(), _none(), unfit
    return "", delays_us, sd_us, unfit


def _unknown_place_db(geometry: ArrayGeometry) -> F64:
    """What a source at NEAR_M does to the level at each microphone, (mics,): rms over directions all round."""
    levels_db = [SourcePlace(float(azimuth), 0.0, NEAR_M).levels_db(geometry) for azimuth in range(0, 360, 10)]
    return np.asarray(np.sqrt(np.mean(np.square(levels_db), axis=0)))


def _doubts(samples: NDArray[np.floating], rate_hz: int, unfit: float) -> tuple[str, ...]:
    """What speaks against ambient noise from everywhere."""
    quarter = rate_hz // 4
    # the difference filter of check_samples
    power = np.mean(np.diff(samples[: len(samples) // quarter * quarter], axis=0, prepend=0.0) ** 2, axis=1)
    levels_db = 10.0 * np.log10(power.reshape(-1, quarter).mean(axis=1) + 1e-12)
    found = []
    if (swing_db := float(levels_db.std())) > TALKER_DB:
        found.append(
            f"the sound swells and fades like speech (level +-{swing_db:.0f} dB from moment to moment); measure steady "
            "noise, with nobody talking"
        )
    if unfit > UNEVEN:
        found.append(
            "the sound comes mostly from one side, which can make the nearer microphones look louder; measure noise "
            "from all around, or say where it comes from (--azimuth, --distance)"
        )
    return tuple(found)


def _none() -> F64:
    return np.zeros(0)
