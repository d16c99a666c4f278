"""`edge enhance` with what is not the pipeline as it runs live: offline enhancers, and noise told in advance."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.audio.wav_source import WavSource
from edge.config.schema import Config
from edge.enhancers import make_enhancer
from edge.enhancers.factory import least_gain_db
from edge.enhancers.streams import open_stream
from edge.errors import AudioFileError, UsageError
from edge.kinds import MASK_KINDS
from edge.meters import peak_dbfs, rms_dbfs
from edge.sane import SANE_MAX

F32 = NDArray[np.float32]

_BECAME_SILENCE = f"were not finite or beyond +-{SANE_MAX:.0f} and became silence"


class Whole:
    """What `make_enhancer` gives for the options, over a recording that comes in blocks; measured on its way.

    Memory does not grow with the recording where the enhancer takes it piece by piece (edge.enhancers.streams).
    """

    def __init__(self, args: argparse.Namespace, config: Config, rate_hz: int) -> None:
        if args.output != "listen":
            raise UsageError(
                f"--output {args.output} is of the pipeline alone; leave it out, or leave out what hears the whole "
                "recording (--mask with another name, --noise, --noise-from, --over-subtraction)"
            )
        name = args.mask or config.mask.kind
        if args.profile is not None and name not in MASK_KINDS and len(config.array.roles) == 1:
            raise UsageError(f"--profile is of the pipeline, and {name} hears {args.input} without it; leave it out")
        self._args, self._config, self._rate_hz = args, config, rate_hz
        noise, noise_rate_hz = _read_noise(args.noise) if args.noise else (None, None)
        self._bad_noise = 0 if noise is None else int(np.count_nonzero(~(np.abs(noise) < SANE_MAX)))
        pipeline = name in MASK_KINDS  # its configuration has these already
        self.enhancer = make_enhancer(
            name,
            config,
            None if pipeline else args.model,
            noise,
            noise_rate_hz=noise_rate_hz,
            noise_from_s=args.noise_from,
            over_subtraction=args.over_subtraction,
            floor_db=args.floor_db,
            precision=None if pipeline else args.precision,
        )
        self._stream = open_stream(self.enhancer, rate_hz)
        self._in, self._out = _Level(), _Level()
        self._bad = self._clipped = 0
        self._busy_s = 0.0

    def push(self, samples: F32) -> F32:
        """samples float32 (frames, channels); what is finished, float32 (frames', 1)."""
        bad = ~(np.abs(samples) < SANE_MAX)
        self._bad += int(np.count_nonzero(bad))
        self._in.note(np.where(bad, np.float32(0.0), samples))
        started_s = time.perf_counter()
        made = self._stream.push(samples)
        self._busy_s += time.perf_counter() - started_s
        return self._noted(made)

    def finish(self) -> Iterator[F32]:
        """The rest, in pieces of the same."""
        pieces = self._stream.finish()
        while True:
            started_s = time.perf_counter()
            made = next(pieces, None)
            self._busy_s += time.perf_counter() - started_s
            if made is None:
                return
            yield self._noted(made)

    def _noted(self, made: F32) -> F32:
        self._clipped += int(np.count_nonzero(np.abs(made) > 1.0))
        self._out.note(made[:, np.newaxis])
        return made[:, np.newaxis]

    @property
    def warnings(self) -> list[str]:
        """What a user should know of the samples, one sentence each."""
        bad, clipped = self._bad, self._clipped
        found = [f"{bad} samples {_BECAME_SILENCE}"] if bad else []
        if self._bad_noise:
            found.append(f"{self._bad_noise} samples of {self._args.noise} {_BECAME_SILENCE}")
        return [*found, f"{clipped} samples of the output are beyond full scale"] if clipped else found

    def report(self) -> dict[str, Any]:
        """What was used and measured, as plain values."""
        args = self._args
        stretch = None if args.noise_from is None else "{:g} to {:g} s".format(*args.noise_from)
        seconds = self._out.frames / self._rate_hz
        return {
            "outputs": ["listen"],
            "beamformer": self._config.beamformer.kind,
            "mask": self.enhancer.name,
            "model": args.model,
            "precision": getattr(self.enhancer, "precision", None),
            "gain_floor_db": least_gain_db(self.enhancer.name, self._config),
            "noise": args.noise or stretch,
            "over_subtraction": args.over_subtraction,
            "identity": self.enhancer.identity,
            "seconds": seconds,
            "real_time_factor": self._busy_s / seconds if seconds else None,
            "nonfinite_samples": self._bad,
            "clipped_out": self._clipped,
            "level_in_dbfs": rms_dbfs(self._in.energy, self._in.frames),
            "peak_in_dbfs": peak_dbfs(self._in.peak),
            "level_out_dbfs": rms_dbfs(self._out.energy, self._out.frames),
            "peak_out_dbfs": peak_dbfs(self._out.peak),
        }


class _Level:
    """Energy, peak and number of the frames (frames, channels) that were noted."""

    def __init__(self) -> None:
        self.frames = 0
        self.energy, self.peak = np.zeros(1), np.zeros(1, np.float32)

    def note(self, samples: F32) -> None:
        self.frames += len(samples)
        self.energy = self.energy + np.sum(samples.astype(np.float64) ** 2, axis=0)
        self.peak = np.maximum(self.peak, np.abs(samples).max(axis=0, initial=0.0))


def _read_noise(path: str) -> tuple[F32, int]:
    """A recording of noise, float32 (n,), and its rate. Raises AudioFileError."""
    source = WavSource(Path(path))
    source.open()
    rate_hz, channels = source.file_rate_hz, source.channels
    source = WavSource(Path(path), rate_hz=rate_hz)
    source.open()
    try:
        if channels != 1:
            raise AudioFileError(f"{path} has {channels} channels, expected a recording of the noise with one")
        block = np.zeros((source.frames, 1), np.float32)
        return block[: source.read(block), 0], rate_hz
    finally:
        source.close()


def print_whole(report: dict[str, Any]) -> None:
    """The report for people."""
    print(f"{report['output']}: {report['seconds']:.2f} s, {report['rate_hz']} Hz")
    noise = f", noise from {report['noise']}" if report["noise"] else ""
    beam = "no beamformer" if report["beamformer"] == "none" else report["beamformer"]
    print(f"  {beam}, {report['mask']}{noise}" + (f" ({report['model']})" if report["model"] else ""))
    levels = ", ".join(f"{level:.1f}" for level in report["level_in_dbfs"])
    print(f"  level in {levels} dBFS, out {report['level_out_dbfs'][0]:.1f}")
    if report["real_time_factor"] is not None:
        print(f"  real-time factor {report['real_time_factor']:.4f} here")
