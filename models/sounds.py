"""Kinds of noise made at run time: recordings changed in pitch, textures, babble, colours, wind, hum, clicks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models import synthetic
from models.data import RATE_HZ, Corpus

F32 = NDArray[np.float32]


def unit(audio: F32) -> F32:
    """Scaled to an rms of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    return audio * np.float32(1.0 / rms) if rms > 1e-7 else audio


def stretch(audio: F32, speed: float) -> F32:
    """Played `speed` times as fast: pitch and duration change together."""
    import soxr

    return soxr.resample(audio, RATE_HZ * speed, RATE_HZ, quality="LQ").astype(np.float32, copy=False)


def looped(audio: F32, samples: int, start: int) -> F32:
    """`samples` from `start` of `audio` repeated, 20 ms cross-faded at the seam."""
    fade = min(320, audio.size // 4)
    if fade > 0:
        ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        head = audio[:fade] * ramp + audio[-fade:] * (1.0 - ramp)
        audio = np.concatenate([head, audio[fade:-fade]])
    return np.take(audio, np.arange(start, start + samples), mode="wrap")


class NoiseMaker:
    """Draws one noise segment of unit rms; everything random comes from the generator that is handed in."""

    def __init__(self, noise: Corpus, speech: Corpus, samples: int) -> None:
        self.noise, self.speech, self.samples = noise, speech, samples
        # long ambiences are few; by the root of the duration they are heard more often than a 5 s clip
        weight = np.sqrt([c.samples for c in noise.clips])
        self._noise_cdf = np.cumsum(weight / weight.sum())
        self._kinds = (
            (0.30, self.recording),
            (0.13, self.texture),
            (0.11, self.babble),
            (0.09, self.coloured),
            (0.03, self.wind),
            (0.04, self.hum),
            (0.03, self.clicks),
            (0.09, self.over_floor(synthetic.machine)),
            (0.06, self.over_floor(synthetic.tones)),
            (0.06, self.over_floor(synthetic.rain)),
            (0.04, self.over_floor(synthetic.notes)),
        )
        self._several = 0.20
        """share of segments in which two to four of these sound at once (a cafe: babble, dishes, a ventilator)"""

    def draw(self, rng: np.random.Generator) -> F32:
        """One float32 (samples,) segment of unit rms."""
        out = self._one(rng)
        if rng.random() < self._several:
            for _ in range(int(rng.integers(1, 4))):
                out = out + self._one(rng) * np.float32(10.0 ** (rng.uniform(-12.0, 3.0) / 20.0))
        if rng.random() < 0.12:
            out = out * self._coming_and_going(rng)
        if rng.random() < 0.3:  # a room or a microphone adds its own steady floor
            out = unit(out) + self.coloured(rng) * np.float32(10.0 ** (rng.uniform(-30.0, -6.0) / 20.0))
        return unit(out)

    def _one(self, rng: np.random.Generator) -> F32:
        shares = np.cumsum([share for share, _ in self._kinds])
        kind = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
        return unit(self._kinds[min(kind, len(self._kinds) - 1)][1](rng))

    def _coming_and_going(self, rng: np.random.Generator) -> F32:
        """Gain curve that steps between up to 30 dB down and full, each level held for 0.3 to 2 s: doors, switches."""
        level_db, at = np.empty(self.samples, np.float32), 0
        while at < self.samples:
            held = int(rng.uniform(0.3, 2.0) * RATE_HZ)
            level_db[at : at + held] = rng.uniform(-30.0, 0.0)
            at += held
        # 10 ms from one level to the next
        curve = np.convolve(np.pad(level_db, 80, mode="edge"), np.full(160, 1.0 / 160.0), "same")[80:-80]
        return (10.0 ** (curve / 20.0)).astype(np.float32)

    def over_floor(self, make: Callable[[np.random.Generator, F32], F32]) -> Callable[[np.random.Generator], F32]:
        """One of models.synthetic over coloured noise."""
        return lambda rng: unit(make(rng, self.coloured(rng)))

    def recording(self, rng: np.random.Generator) -> F32:
        """Part of a recorded clip at 0.7 to 1.4 times its speed."""
        for _ in range(6):
            clip = self.noise.clips[min(int(np.searchsorted(self._noise_cdf, rng.random())), len(self.noise.clips) - 1)]
            speed = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4)))) if rng.random() < 0.5 else 1.0
            need = int(self.samples * speed) + 64
            start = int(rng.integers(0, max(1, clip.samples - need)))
            audio = self.noise.audio(clip, start, need)
            if speed != 1.0:
                audio = stretch(audio, speed)
            if float(np.mean(np.square(audio))) > 1e-8:
                break
        first = 0 if audio.size >= self.samples else int(rng.integers(0, audio.size))
        return looped(audio, self.samples, first) if audio.size < self.samples + 640 else audio[: self.samples]

    def texture(self, rng: np.random.Generator) -> F32:
        """Grains of one recording, shuffled and overlapped: an endless ambience from a short clip."""
        source = unit(self.recording(rng))
        grain = int(rng.uniform(0.05, 0.4) * RATE_HZ)
        window = np.hanning(grain).astype(np.float32)
        out = np.zeros(self.samples + grain, np.float32)
        for where in range(0, self.samples, max(1, grain // int(rng.integers(2, 5)))):
            start = int(rng.integers(0, source.size - grain))
            out[where : where + grain] += source[start : start + grain] * window * np.float32(rng.uniform(0.5, 1.5))
        return out[: self.samples]

    def babble(self, rng: np.random.Generator) -> F32:
        """Three to sixteen talkers at once."""
        out = np.zeros(self.samples, np.float32)
        for _ in range(int(rng.integers(3, 17))):
            clip = self.speech.clips[int(rng.integers(len(self.speech.clips)))]
            audio = self.speech.audio(clip, 0, self.samples)
            if rng.random() < 0.3:
                audio = stretch(audio, float(rng.uniform(0.85, 1.2)))
            start = int(rng.integers(0, max(1, audio.size)))
            out += unit(looped(audio, self.samples, start)) * np.float32(10.0 ** (rng.uniform(-8.0, 0.0) / 20.0))
        return out

    def coloured(self, rng: np.random.Generator) -> F32:
        """Gaussian noise with a random smooth spectrum, sometimes slowly modulated (fans, wind, traffic)."""
        import scipy.fft

        n = scipy.fft.next_fast_len(self.samples, real=True)
        bins = n // 2 + 1
        hz = np.arange(1, bins + 1, dtype=np.float32) * (RATE_HZ / n)
        slope_db = rng.uniform(-12.0, 3.0) * np.log2(hz / 1000.0)
        points = np.geomspace(40.0, 8000.0, 8)
        shape_db = np.clip(slope_db, -60.0, 40.0) + np.interp(np.log(hz), np.log(points), rng.uniform(-8.0, 8.0, 8))
        gain = (10.0 ** (shape_db / 20.0)).astype(np.float32)
        spectrum = rng.standard_normal(bins, np.float32) + 1j * rng.standard_normal(bins, np.float32)
        out = unit(scipy.fft.irfft(spectrum * gain, n)[: self.samples])
        if rng.random() < 0.4:
            knots = max(2, int(self.samples / RATE_HZ * rng.uniform(0.5, 8.0)))
            level_db = rng.uniform(-rng.uniform(3.0, 20.0), 0.0, knots + 1)
            curve = np.interp(np.linspace(0, knots, self.samples), np.arange(knots + 1), level_db)
            out = out * (10.0 ** (curve / 20.0)).astype(np.float32)
        return out

    def wind(self, rng: np.random.Generator) -> F32:
        """Gusts on a microphone: noise that falls steeply above a corner of 60 to 1000 Hz; level and corner move."""
        import scipy.fft

        n = scipy.fft.next_fast_len(self.samples, real=True)
        hz = np.arange(1, n // 2 + 2, dtype=np.float32) * (RATE_HZ / n)
        spectrum = rng.standard_normal(hz.size, np.float32) + 1j * rng.standard_normal(hz.size, np.float32)
        corner_hz = np.exp(rng.uniform(np.log(60.0), np.log(250.0)))
        order = rng.uniform(1.0, 2.2)
        knots = max(2, int(self.samples / RATE_HZ * rng.uniform(1.0, 5.0)))
        strength = np.interp(np.linspace(0, knots, self.samples), np.arange(knots + 1), rng.random(knots + 1) ** 2)
        calm, gust = (
            scipy.fft.irfft(spectrum / (1.0 + (hz / corner) ** order), n)[: self.samples]
            for corner in (corner_hz, corner_hz * rng.uniform(1.5, 4.0))
        )
        return unit((calm * (0.1 + strength) + gust * strength**2).astype(np.float32))

    def hum(self, rng: np.random.Generator) -> F32:
        """Mains or motor harmonics with a slight drift over a floor of coloured noise."""
        base = rng.choice([50.0, 60.0, 100.0, 120.0]) if rng.random() < 0.6 else rng.uniform(40.0, 400.0)
        t = np.arange(self.samples) / RATE_HZ
        wobble = 1.0 + rng.uniform(0.0, 0.02) * np.sin(2 * np.pi * rng.uniform(0.1, 4.0) * t + rng.uniform(0, 6.28))
        phase = 2.0 * np.pi * base * np.cumsum(wobble) / RATE_HZ
        out = np.zeros(self.samples)
        for order in range(1, int(rng.integers(3, 20))):
            if order * base < 7500.0:
                out += rng.uniform(0.0, 1.0) / order ** rng.uniform(0.3, 1.5) * np.sin(order * phase + order)
        floor = self.coloured(rng) * np.float32(10.0 ** (rng.uniform(-25.0, 0.0) / 20.0))
        return unit(out.astype(np.float32)) + floor

    def clicks(self, rng: np.random.Generator) -> F32:
        """Short decaying bursts at random times (typing, cutlery, knocks) over a faint floor."""
        out = self.coloured(rng) * np.float32(10.0 ** (rng.uniform(-40.0, -15.0) / 20.0))
        for _ in range(int(rng.integers(2, 30))):
            length = int(rng.uniform(0.002, 0.08) * RATE_HZ)
            t = np.arange(length) / RATE_HZ
            burst = rng.standard_normal(length)
            if rng.random() < 0.5:
                burst = burst * 0.3 + np.sin(2.0 * np.pi * rng.uniform(200.0, 6000.0) * t)
            burst *= np.exp(-t * 6.0 / (length / RATE_HZ)) * rng.uniform(0.3, 3.0)
            where = int(rng.integers(0, self.samples - length))
            out[where : where + length] += burst.astype(np.float32)
        return out
