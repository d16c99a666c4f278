"""Steered-power kernels against slow references in numpy."""

import numpy as np
import pytest

from edge.kernels import srp

MICS, FRAME_BINS, FIRST, BINS = 4, 40, 5, 24
PAIRS = np.array([(0, 1, 24), (0, 2, 24), (0, 3, 10), (1, 2, 24), (1, 3, 17), (2, 3, 24)], np.int64)
KEEP_S, KEEP_N = np.float32(0.9), np.float32(0.99)


class State:
    def __init__(self):
        self.s_re, self.s_im, self.n_re, self.n_im = np.zeros((4, len(PAIRS), BINS), np.float32)
        self.sums = np.zeros((5, BINS), np.float32)
        self.scratch = np.zeros((4, BINS), np.float32)
        self.w_re, self.w_im = np.zeros((2, len(PAIRS), BINS), np.float32)

    def accumulate(self, x, presence, active):
        re, im = np.ascontiguousarray(x.real, np.float32), np.ascontiguousarray(x.imag, np.float32)
        cross = self.s_re, self.s_im, self.n_re, self.n_im
        srp.accumulate(re, im, presence, active, FIRST, PAIRS, KEEP_S, KEEP_N, *cross, self.sums, self.scratch)

    def whiten(self, active, frames):
        cross = self.s_re, self.s_im, self.n_re, self.n_im
        per_frame = np.float32(1.0 / frames)
        return srp.whiten(active, PAIRS, per_frame, *cross, self.sums, self.scratch, self.w_re, self.w_im)


def frames(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.standard_normal((MICS, FRAME_BINS)) + 1j * rng.standard_normal((MICS, FRAME_BINS))
        yield x.astype(np.complex64), rng.uniform(0.0, 1.0, FRAME_BINS).astype(np.float32)


def reference(active, count, silent=()):
    """Speech and noise cross-spectra and their weights by definition, then what is left of speech."""
    used = slice(FIRST, FIRST + BINS)
    s, n = np.zeros((2, len(PAIRS), BINS), complex)
    sums = np.zeros((5, BINS))
    for t, (x, g) in enumerate(frames(count)):
        x, g = x[:, used].astype(complex), g[used].astype(float)
        power = np.mean(np.abs(x[active]) ** 2, axis=0)
        here, absent = np.where(g > 0.1, g**2, 0.0), (1.0 - g) ** 2
        if t in silent:
            here, absent = np.zeros(BINS), np.zeros(BINS)
        hold = 1.0 - (1.0 - float(KEEP_N)) * absent
        hold = np.where(power * sums[2] < 0.02 * sums[3], 0.8, hold)
        for p, (i, j, _) in enumerate(PAIRS):
            cross = x[i] * np.conj(x[j])
            s[p] = KEEP_S * s[p] + here * cross
            n[p] = hold * n[p] + absent * cross
        sums[0] = KEEP_S * sums[0] + here
        sums[1] = KEEP_S * sums[1] + here * power
        sums[2] = hold * sums[2] + absent
        sums[3] = hold * sums[3] + absent * power
        sums[4] += here
    speech, noise = sums[1] / (sums[0] + 0.01), sums[3] / (sums[2] + 0.01)
    evidence = sums[4] / count * np.maximum(speech - noise, 0.0) / speech
    w = (s / (sums[0] + 0.01) - n / (sums[2] + 0.01)) * evidence / speech
    on = np.array([active[i] and active[j] for i, j, _ in PAIRS])
    w[~on] = 0.0
    w /= PAIRS[on, 2].sum()
    for p, (_, _, limit) in enumerate(PAIRS):
        w[p, limit:] = 0.0
    return w, evidence.mean()


@pytest.mark.parametrize("left_out", [None, 2])
def test_whitened_speech_is_as_defined(left_out):
    active = np.ones(MICS, bool)
    if left_out is not None:
        active[left_out] = False
    state = State()
    for x, g in frames(30):
        state.accumulate(x, g, active)
    evidence = state.whiten(active, 30)
    w, wanted = reference(active, 30)
    assert evidence == pytest.approx(wanted, rel=1e-4)
    assert np.abs(state.w_re + 1j * state.w_im - w).max() < 1e-4 * np.abs(w).max()
    assert state.sums[4].max() == 0.0, "speech is evidence once"
    assert state.whiten(active, 30) == 0.0


def test_silence_holds_the_noise_and_forgets_the_speech():
    active = np.ones(MICS, bool)
    state = State()
    for x, g in frames(20):
        state.accumulate(x, g, active)
    noise, speech = state.n_re.copy(), np.abs(state.s_re).max()
    for _ in range(200):
        state.accumulate(np.zeros((MICS, FRAME_BINS)), np.ones(FRAME_BINS, np.float32), active)
    assert np.array_equal(state.n_re, noise)
    assert speech > 0.0
    assert not state.s_re.any(), "nor are there denormal numbers, which would cost time"


def test_a_noise_that_has_stopped_is_forgotten_soon():
    active = np.ones(MICS, bool)
    state = State()
    for x, g in frames(200):
        state.accumulate(10.0 * x, 0.0 * g, active)
    loud = state.sums[3] / state.sums[2]
    for x, g in frames(60, seed=1):
        state.accumulate(0.1 * x, 0.0 * g, active)
    assert (state.sums[3] / state.sums[2] < 0.01 * loud).all()


def test_what_is_not_a_number_does_not_get_in():
    active = np.ones(MICS, bool)
    state, clean = State(), State()
    for t, (x, g) in enumerate(frames(20)):
        clean.accumulate(x, g, active)
        if t == 10:
            for bad in (np.nan, np.inf, 1e15):
                broken = x.copy()
                broken[1, FIRST + 3] = bad
                state.accumulate(broken, np.full(FRAME_BINS, np.nan, np.float32), active)
        state.accumulate(x, g, active)
    assert np.isfinite(state.sums).all()
    assert np.isfinite(state.s_re).all()
    assert np.isfinite(state.n_im).all()
    assert np.isfinite(state.whiten(active, 23))
    assert np.isfinite(state.w_re).all()


def test_one_microphone_left_is_no_evidence():
    active = np.array([False, True, False, False])
    state = State()
    for x, g in frames(10):
        state.accumulate(x, g, active)
    assert state.whiten(active, 10) == 0.0
    assert not state.w_re.any()
    assert np.isfinite(state.sums).all()


def test_scan_is_the_real_part_over_the_bins_of_each_pair():
    rng = np.random.default_rng(3)
    w_re, w_im = rng.standard_normal((2, len(PAIRS), BINS)).astype(np.float32)
    table_re, table_im = rng.standard_normal((2, 9, len(PAIRS), BINS)).astype(np.float32)
    power = np.full(9, 7.0, np.float32)
    srp.scan(PAIRS, w_re, w_im, table_re, table_im, 2, 6, power)
    used = np.arange(BINS) < PAIRS[:, 2:]
    w = np.where(used, w_re + 1j * w_im, 0.0)
    wanted = np.real(np.sum(w * np.conj(table_re + 1j * table_im), axis=(1, 2)))
    assert np.allclose(power[2:6], wanted[2:6], rtol=1e-4, atol=1e-4)
    assert (power[[0, 1, 6, 7, 8]] == 7.0).all(), "the other directions are those of other hops"


@pytest.mark.parametrize("circular", [True, False])
def test_filter_moves_then_weighs(circular):
    rng = np.random.default_rng(4)
    belief = rng.uniform(0.1, 1.0, 12)
    belief /= belief.sum()
    power = rng.uniform(0.0, 0.2, 12).astype(np.float32)
    before, after = (
        (np.roll(belief, 1), np.roll(belief, -1))
        if circular
        else (
            np.concatenate([belief[:1], belief[:-1]]),
            np.concatenate([belief[1:], belief[-1:]]),
        )
    )
    moved = 0.95 * (belief + 0.2 * (before + after - 2.0 * belief)) + 0.05 / 12
    wanted = moved * np.exp(30.0 * power.astype(float))
    srp.bayes_step(power, 30.0, 0.2, 0.05, circular, belief, np.zeros(12))
    assert np.allclose(belief, wanted / wanted.sum())


def test_filter_survives_what_is_not_a_number_and_what_is_certain():
    belief = np.full(12, 1.0 / 12)
    for bad in (np.nan, np.inf, 1e7):
        power = np.zeros(12, np.float32)
        power[3] = bad
        srp.bayes_step(power, 30.0, 0.2, 0.05, True, belief, np.zeros(12))
        assert np.allclose(belief, 1.0 / 12)
    power[3] = 100.0
    for _ in range(1000):
        srp.bayes_step(power, 1e4, 0.2, 0.0, True, belief, np.zeros(12))
    assert belief[3] == pytest.approx(1.0)
    assert np.isfinite(belief).all()
