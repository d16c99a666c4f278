"""`edge enhance` with what hears a recording at once: offline enhancers, and noise that was told in advance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.audio.wav_source import WavSource
from edge.config.schema import Config
from edge.enhancers import make_enhancer
from edge.enhancers.base import SANE_MAX
from edge.enhancers.factory import least_gain_db
from edge.errors import AudioFileError, UsageError
from edge.kinds import MASK_KINDS
from edge.meters import peak_dbfs, rms_dbfs

F32 = NDArray[np.float32]


class Whole:
    """An enhancer of whole recordings with the face of a streaming one: everything comes out at the flush."""

    def __init__(self, args: argparse.Namespace, config: Config, rate_hz: int) -> None:
        if args.output != "listen":
            raise UsageError(
                f"--output {args.output} is of the pipeline alone; leave it out, or leave out what hears the whole "
                "recording (--mask with another name, --noise, --noise-from, --over-subtraction)"
            )
        self._args, self._config, self._rate_hz = args, config, rate_hz
        name = args.mask or config.mask.kind
        noise, noise_rate_hz = _read_noise(args.noise) if args.noise else (None, rate_hz)
        self.enhancer = make_enhancer(
            name,
            config,
            None if name in MASK_KINDS else args.model,  # the configuration of the pipeline has it already
            noise,
            noise_rate_hz=noise_rate_hz,
            noise_from_s=args.noise_from,
            over_subtraction=args.over_subtraction,
            floor_db=args.floor_db,
        )
        self._heard: list[F32] = []
        self._measured: dict[str, Any] = {}

    def push(self, samples: F32) -> F32:
        """Nothing yet. samples float32 (frames, channels)."""
        self._heard.append(np.array(samples))
        return np.zeros((0, 1), np.float32)

    def flush(self) -> F32:
        """All of it, float32 (frames, 1)."""
        if not self._heard:
            return np.zeros((0, 1), np.float32)
        heard = np.concatenate(self._heard)
        made = self.enhancer.enhance(heard, self._rate_hz)[:, np.newaxis]
        bad = ~(np.abs(heard) < SANE_MAX)
        heard = np.where(bad, np.float32(0.0), heard)
        self._measured = {
            "seconds": len(made) / self._rate_hz,
            "nonfinite_samples": int(np.count_nonzero(bad)),
            "clipped_out": int(np.count_nonzero(np.abs(made) > 1.0)),
            "level_in_dbfs": rms_dbfs(np.sum(heard.astype(np.float64) ** 2, axis=0), len(heard)),
            "peak_in_dbfs": peak_dbfs(np.abs(heard).max(axis=0)),
            "level_out_dbfs": rms_dbfs(np.sum(made.astype(np.float64) ** 2, axis=0), len(made)),
            "peak_out_dbfs": peak_dbfs(np.abs(made).max(axis=0)),
        }
        return made

    @property
    def warnings(self) -> list[str]:
        """What a user should know of the samples, one sentence each."""
        bad, clipped = self._measured["nonfinite_samples"], self._measured["clipped_out"]
        found = [f"{bad} samples were not finite or beyond +-{SANE_MAX:.0f} and became silence"] if bad else []
        return [*found, f"{clipped} samples of the output are beyond full scale"] if clipped else found

    def report(self) -> dict[str, Any]:
        """What was used and measured, as plain values."""
        args = self._args
        stretch = None if args.noise_from is None else "{:g} to {:g} s".format(*args.noise_from)
        return {
            "outputs": ["listen"],
            "beamformer": self._config.beamformer.kind,
            "mask": self.enhancer.name,
            "model": args.model,
            "gain_floor_db": least_gain_db(self.enhancer.name, self._config),
            "noise": args.noise or stretch,
            "over_subtraction": args.over_subtraction,
            "identity": self.enhancer.identity,
            **self._measured,
        }


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
    print(f"  {report['wall_s'] / max(report['seconds'], 1e-9):.4f} of real time")
