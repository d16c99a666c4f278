"""Direction of the talker: grids, pairs, steered power and tracker, on synthetic speech-like sound."""

import math

import numpy as np
import pytest

from edge.beamform.doa import SteeredPower, choose_pairs, direction_grid, horizontal_mirror_deg
from edge.beamform.localizer import Localizer
from edge.beamform.tracking import EVIDENCE_MIN, DirectionTracker
from edge.boards import board_names, load_board
from edge.geometry import ArrayGeometry
from edge.profiles import PROFILES

SQUARE = 0.029 * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
LINE = 0.035 * np.array([[0, 1.5, 0], [0, 0.5, 0], [0, -0.5, 0], [0, -1.5, 0]])
PAIR = np.array([[0.0, 0.03, 0.0], [0.0, -0.03, 0.0]])
WALL = 0.03 * np.array([[0, 1, 1], [0, -1, 1], [0, -1, -1], [0, 1, -1]])
TILTED = 0.03 * np.array([[1, 1, 0.5], [-1, 1, 0.5], [-1, -1, -0.5], [1, -1, -0.5]])


def circle(mics, radius_m):
    angle = 2.0 * np.pi * np.arange(mics) / mics
    return radius_m * np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)


ARRAYS = {"square": SQUARE, "circle": circle(6, 0.046), "line": LINE, "pair": PAIR, "wall": WALL, "tilted": TILTED}
ARRAYS["sixteen"] = circle(16, 0.1)


def apart_deg(a, b):
    return abs((a - b + 180.0) % 360.0 - 180.0)


class Room:
    """Spectra of a talker in syllables, a reflection of his, a steady source elsewhere and the noise of sensors."""

    def __init__(self, positions, profile="assistant", seed=0):
        self.geometry, self.profile = ArrayGeometry(positions), PROFILES[profile]
        bins = self.profile.bins
        self.hz = np.arange(bins) * self.profile.rate_hz / self.profile.window_samples
        self.hop_s = self.profile.hop_ms / 1000.0
        self.rng = np.random.default_rng(seed)
        self.active = np.ones(self.geometry.mics, bool)

    def wave(self, azimuth_deg, elevation_deg=0.0):
        tau = self.geometry.steering_delays_s(azimuth_deg, elevation_deg)
        source = self.rng.standard_normal(len(self.hz)) + 1j * self.rng.standard_normal(len(self.hz))
        return source / np.sqrt(1.0 + (self.hz / 800.0) ** 2) * np.exp(-2j * np.pi * self.hz * tau[:, None])

    def frame(self, talker_deg=None, noise_deg=None, noise=1.0, reflection_deg=None):
        """x complex (mics, bins), presence as a network would give it. None: nobody speaks; no such source."""
        mics, bins = self.geometry.mics, len(self.hz)
        x = 0.02 * (self.rng.standard_normal((mics, bins)) + 1j * self.rng.standard_normal((mics, bins)))
        presence = self.rng.uniform(0.0, 0.1, bins)
        if noise_deg is not None:
            x += noise * self.wave(noise_deg)
        if talker_deg is not None:
            spoken = self.rng.random(bins) < 0.3
            speech = self.wave(talker_deg, 8.0)
            if reflection_deg is not None:
                speech += 0.5 * self.wave(reflection_deg, 30.0)
            x += 2.0 * spoken * speech
            presence = np.where(spoken, self.rng.uniform(0.4, 1.0, bins), presence)
        return x, presence.astype(np.float32)

    def localizer(self, azimuth_deg=0.0, sector_deg=180.0):
        return Localizer(self.geometry, self.hz, self.hop_s, azimuth_deg, 0.0, sector_deg)

    def play(self, localizer, seconds, **what):
        """Feed seconds of frames; returns the direction after each."""
        track = []
        for _ in range(round(seconds / self.hop_s)):
            x, presence = self.frame(**what)
            localizer.update(x.real.astype(np.float32), x.imag.astype(np.float32), presence, self.active)
            track.append(math.nan if localizer.azimuth_deg is None else localizer.azimuth_deg)
        return np.array(track)


# ---- what an array can tell ----


def test_grids_by_geometry():
    full = direction_grid(ArrayGeometry(SQUARE), 12.0)
    assert full.circular
    assert len(full.azimuth_deg) == 72
    assert 12.0 in full.azimuth_deg
    for positions, azimuth_deg, ends in ((LINE, 10.0, (-90.0, 90.0)), (WALL, 170.0, (90.0, 270.0))):
        half = direction_grid(ArrayGeometry(positions), azimuth_deg)
        assert not half.circular
        assert azimuth_deg in half.azimuth_deg
        assert ends[0] - 1e-6 <= half.azimuth_deg[0] < ends[0] + 5.0
        assert ends[1] - 5.0 < half.azimuth_deg[-1] <= ends[1] + 1e-6


def test_looking_along_a_line_takes_the_half_to_its_left():
    grid = direction_grid(ArrayGeometry(LINE), 90.0)
    assert (grid.azimuth_deg[0], grid.azimuth_deg[-1]) == (90.0, 270.0)
    grid = direction_grid(ArrayGeometry(LINE), -90.0)
    assert (grid.azimuth_deg[0], grid.azimuth_deg[-1]) == (-90.0, 90.0)


def test_who_hears_azimuth():
    assert not ArrayGeometry([[0.0, 0.0, 0.0]]).hears_azimuth
    assert not ArrayGeometry([[0.0, 0.0, 0.0], [0.0, 0.0, 0.05], [0.0, 0.0, 0.1]]).hears_azimuth
    assert all(ArrayGeometry(positions).hears_azimuth for positions in ARRAYS.values())
    assert horizontal_mirror_deg(ArrayGeometry(TILTED)) is None
    assert horizontal_mirror_deg(ArrayGeometry(LINE)) == pytest.approx(90.0)


def test_many_microphones_use_different_pairs_and_every_microphone():
    geometry = ArrayGeometry(circle(16, 0.1))
    pairs = choose_pairs(geometry)
    assert len(set(pairs)) == len(pairs) == 28
    uses = np.bincount(np.array(pairs).ravel(), minlength=16)
    assert uses.min() >= 2
    assert len(choose_pairs(ArrayGeometry(circle(8, 0.05)))) == 28


# ---- finding ----


@pytest.mark.parametrize("name", ARRAYS)
def test_a_talker_is_found_beside_a_noise_as_loud_and_a_reflection(name):
    """Told nothing; the noise is there first. In reach of the half plane for arrays with a mirror."""
    for seed, talker_deg in enumerate((-52.0, 3.0, 61.0)):
        room = Room(ARRAYS[name], seed=seed)
        localizer = room.localizer()
        before = room.play(localizer, 1.0, noise_deg=talker_deg + 75.0)
        assert np.isnan(before).all(), "noise is no talker"
        found = room.play(
            localizer, 1.5, talker_deg=talker_deg, noise_deg=talker_deg + 75.0, reflection_deg=talker_deg + 140.0
        )
        late = found[len(found) // 2 :]
        assert np.median(np.abs(late - talker_deg)) < (8.0 if name in ("line", "pair", "wall") else 5.0)
        start = np.flatnonzero(np.abs(found - talker_deg) < 15.0)[0] * room.hop_s
        assert start < 0.45


def test_behind_a_line_is_the_mirror_image():
    room = Room(LINE)
    found = room.play(room.localizer(), 1.0, talker_deg=150.0)
    assert found[-1] == pytest.approx(30.0, abs=5.0)
    found = room.play(room.localizer(azimuth_deg=180.0), 1.0, talker_deg=150.0)
    assert found[-1] == pytest.approx(150.0, abs=5.0)


@pytest.mark.parametrize("board", board_names())
def test_every_board_finds_somebody_ahead(board):
    positions = load_board(board).positions_m
    if not ArrayGeometry(positions).hears_azimuth:
        pytest.skip("one microphone, or an upright line")
    room = Room(positions)
    found = room.play(room.localizer(), 1.0, talker_deg=20.0)
    assert apart_deg(found[-1], 20.0) < 10.0


def test_hearing_profile():
    room = Room(SQUARE, "hearing")
    localizer = room.localizer()
    found = room.play(localizer, 1.0, talker_deg=-130.0, noise_deg=40.0)
    assert apart_deg(found[-1], -130.0) < 5.0


def test_microphones_left_out_do_not_matter():
    """A microphone full of noise would drown the rest, and comes back without a trace of it."""
    room = Room(circle(6, 0.046))
    localizer = room.localizer()
    room.active[2] = False
    for _ in range(200):
        x, presence = room.frame(talker_deg=100.0)
        x[2] = 1e3 * room.rng.standard_normal(len(room.hz))
        localizer.update(x.real.astype(np.float32), x.imag.astype(np.float32), presence, room.active)
    assert localizer.azimuth_deg == pytest.approx(100.0, abs=3.0)
    room.active[2] = True
    found = room.play(localizer, 1.0, talker_deg=100.0)
    assert np.abs(found - 100.0).max() < 5.0


def test_noise_and_silence_hold_the_last_direction():
    room = Room(SQUARE)
    localizer = room.localizer()
    room.play(localizer, 1.0, talker_deg=70.0)
    held, confidence = localizer.azimuth_deg, localizer.confidence
    assert held == pytest.approx(70.0, abs=3.0)
    assert localizer.age_s < 0.2
    room.play(localizer, 0.5)  # what the last syllable left is still evidence
    held, confidence = localizer.azimuth_deg, localizer.confidence
    room.play(localizer, 3.0, noise_deg=-90.0, noise=3.0)
    zeros, none = np.zeros((4, len(room.hz)), np.float32), np.zeros(len(room.hz), np.float32)
    for _ in range(1000):
        localizer.update(zeros, zeros, none, room.active)
    assert (localizer.azimuth_deg, localizer.confidence) == (held, confidence)
    assert localizer.age_s == pytest.approx(3.0 + 8.0, abs=0.7)
    found = room.play(localizer, 0.6, talker_deg=-100.0)
    assert apart_deg(found[-1], -100.0) < 5.0


def test_the_same_sound_gives_the_same_directions_also_after_a_reset():
    room = Room(SQUARE)
    localizer = room.localizer()
    tracks = []
    for _ in range(2):
        room.rng = np.random.default_rng(5)
        tracks.append(room.play(localizer, 1.0, talker_deg=33.0, noise_deg=120.0))
        localizer.reset()
        assert localizer.azimuth_deg is localizer.confidence is localizer.age_s is None
    assert np.array_equal(*tracks, equal_nan=True)


# ---- following ----


def test_a_walking_talker_is_followed():
    room = Room(SQUARE)
    localizer = room.localizer()
    true, found = [], []
    for azimuth_deg in np.linspace(-60.0, 60.0, 40):
        found.append(room.play(localizer, 0.1, talker_deg=azimuth_deg, noise_deg=150.0)[-1])
        true.append(azimuth_deg)
    error = np.abs(np.array(found) - np.array(true))[5:]
    assert np.median(error) < 8.0
    assert error.max() < 20.0


def test_two_talkers_take_turns():
    room = Room(SQUARE)
    localizer = room.localizer()
    room.play(localizer, 2.0, talker_deg=-40.0, noise_deg=150.0)
    for talker_deg in (60.0, -40.0, 175.0):
        found = room.play(localizer, 1.5, talker_deg=talker_deg, noise_deg=110.0)
        there = np.array([apart_deg(a, talker_deg) < 10.0 for a in found])
        assert np.flatnonzero(there)[0] * room.hop_s < 0.5
        assert there[np.flatnonzero(there)[0] :].all(), "and stays"


def test_sector_is_where_the_beam_may_go():
    room = Room(SQUARE)
    localizer = room.localizer(azimuth_deg=20.0, sector_deg=45.0)
    assert localizer.steer_from(20.0) == 20.0
    room.play(localizer, 1.0, talker_deg=120.0)
    assert localizer.azimuth_deg == pytest.approx(120.0, abs=3.0)
    assert localizer.steer_from(20.0) == 20.0
    room.play(localizer, 1.0, talker_deg=50.0)
    assert localizer.steer_from(20.0) == pytest.approx(50.0, abs=3.0)
    near = localizer.azimuth_deg + 0.9
    assert localizer.steer_from(near) == near


# ---- the tracker alone ----


def scan(grid, azimuth_deg, height=0.05, width_deg=25.0):
    away = np.array([apart_deg(a, azimuth_deg) for a in grid.azimuth_deg])
    return (height * np.exp(-0.5 * (away / width_deg) ** 2)).astype(np.float32)


def test_direction_between_two_of_the_grid_is_refined():
    grid = direction_grid(ArrayGeometry(SQUARE), 0.0)
    for azimuth_deg in (1.3, 42.4, -177.6, 178.9):
        tracker = DirectionTracker(grid)
        for _ in range(6):
            tracker.update(scan(grid, azimuth_deg), 0.1)
        assert apart_deg(tracker.azimuth_deg, azimuth_deg) < 0.5
        assert tracker.confidence > 0.9


def test_weak_evidence_changes_nothing_and_one_glitch_does_not_either():
    grid = direction_grid(ArrayGeometry(SQUARE), 0.0)
    tracker = DirectionTracker(grid)
    for evidence in (0.5 * EVIDENCE_MIN, math.nan):
        tracker.update(scan(grid, 50.0), evidence)
    assert tracker.azimuth_deg is None
    assert tracker.confidence == pytest.approx(5 / 72)
    for _ in range(10):
        tracker.update(scan(grid, 50.0), 0.1)
    held = tracker.azimuth_deg
    tracker.update(scan(grid, -120.0, height=0.01), 0.1)
    assert apart_deg(tracker.azimuth_deg, held) < 3.0
    confidence = tracker.confidence
    for _ in range(6):
        tracker.update(scan(grid, -120.0), 0.1)
    assert apart_deg(tracker.azimuth_deg, -120.0) < 3.0
    assert confidence > 0.6


def test_two_equal_directions_are_half_a_confidence():
    grid = direction_grid(ArrayGeometry(SQUARE), 0.0)
    tracker = DirectionTracker(grid)
    for _ in range(10):
        tracker.update(np.maximum(scan(grid, 90.0), scan(grid, -90.0)), 0.1)
    assert tracker.azimuth_deg is None
    tracker.update(scan(grid, 90.0), 0.1)
    for _ in range(10):
        tracker.update(np.maximum(scan(grid, 90.0), scan(grid, -90.0)), 0.1)
    assert apart_deg(tracker.azimuth_deg, 90.0) < 3.0


def test_estimates_come_five_to_ten_times_a_second_and_spread_over_the_hops():
    for name in ("assistant", "hearing"):
        room = Room(SQUARE, name)
        power = SteeredPower(room.geometry, room.hz, room.hop_s, direction_grid(room.geometry, 0.0))
        assert 5.0 <= 1.0 / (power.every_hops * room.hop_s) <= 10.5
        changed = []
        x, presence = room.frame(talker_deg=10.0)
        for _ in range(3 * power.every_hops):
            before = power.power.copy()
            power.update(x.real.astype(np.float32), x.imag.astype(np.float32), presence, room.active)
            changed.append(int(np.count_nonzero(power.power != before)))
        assert max(changed) <= math.ceil(72 / (power.every_hops - 2))
