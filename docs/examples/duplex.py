"""Microphone to headphones in real time through the public Enhancer, with PortAudio (sounddevice).

    python duplex.py                                  # the system's microphone and output, until Ctrl-C
    python duplex.py --list
    python duplex.py --input USB --output Headphones --seconds 60
    python duplex.py --board respeaker_4mic_square --input ReSpeaker

Use headphones: a loudspeaker in the same room feeds back. This is an example of the Python class; `edge run` is the
daemon for everyday use: real-time priority, devices that come and go, two clocks held together.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import numpy as np
import sounddevice

from edge import Enhancer
from edge.errors import EdgeError


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="list the sound devices and stop")
    parser.add_argument("--input", metavar="DEVICE", help="number of a device, or part of its name")
    parser.add_argument("--output", metavar="DEVICE", help="number of a device, or part of its name")
    parser.add_argument("--rate-hz", metavar="HZ", type=int, default=16000, help="of both devices (16000)")
    parser.add_argument("--board", metavar="NAME", help="array preset; without one the first channel is the microphone")
    parser.add_argument("--mask", default="network", help="network, wiener, spectral_subtraction or bypass")
    parser.add_argument("--model", metavar="NAME", help="shipped network, or path of a manifest")
    parser.add_argument("--seconds", metavar="S", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--latency-ms", metavar="MS", type=float, default=20.0, help="asked of each device (20)")
    return parser.parse_args()


def device(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text


def warmed_up(args: argparse.Namespace) -> Enhancer:
    """An enhancer that has run for a second, so that nothing is compiled or opened while sound is flowing."""
    more = {"rate_hz": args.rate_hz, "mask": args.mask, "model": args.model, "low_latency": True}
    enhancer = Enhancer.array(args.board, **more) if args.board else Enhancer.mono(**more)
    enhancer.push(np.zeros((args.rate_hz, enhancer.channels), np.float32))
    enhancer.reset()
    return enhancer


class Duplex:
    """Blocks of one length in and out, and what went wrong on the way."""

    def __init__(self, enhancer: Enhancer) -> None:
        self.enhancer = enhancer
        # What comes out is at most so far behind: with that much silence ahead there is always a whole block to play.
        self.ready = np.zeros(enhancer.lag_frames, np.float32)
        self.blocks = self.overruns = self.underruns = 0
        self.busiest_s = 0.0

    def block(self, heard: np.ndarray) -> np.ndarray:
        """float32 (frames, channels) of the microphones in, as many (frames, 1) to be played out."""
        started_s = time.perf_counter()
        self.ready = np.concatenate([self.ready, self.enhancer.push(heard)])
        played, self.ready = self.ready[: len(heard)], self.ready[len(heard) :]
        self.blocks += 1
        self.busiest_s = max(self.busiest_s, time.perf_counter() - started_s)
        return played[:, np.newaxis]


def main() -> int:
    args = parse()
    if args.list:
        print(sounddevice.query_devices())
        return 0
    enhancer = warmed_up(args)
    duplex = Duplex(enhancer)
    # a hop of the network at a time, in frames of the devices
    frames = round(enhancer.pipeline.hop_samples * args.rate_hz / enhancer.pipeline.rate_hz)
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    how = {"samplerate": args.rate_hz, "dtype": "float32", "latency": args.latency_ms / 1000.0}
    with (
        sounddevice.InputStream(device=device(args.input), channels=enhancer.channels, **how) as microphone,
        sounddevice.OutputStream(device=device(args.output), channels=1, **how) as headphones,
    ):
        late_ms = 1000.0 * (microphone.latency + headphones.latency + enhancer.lag_frames / args.rate_hz)
        print(f"about {late_ms:.0f} ms from microphone to headphones; Ctrl-C stops", flush=True)
        # a full buffer to play from while the next block is heard, and nothing that was heard while it was filled
        headphones.write(np.zeros((round(headphones.latency * args.rate_hz), 1), np.float32))
        microphone.read(microphone.read_available)
        while not stopped and duplex.blocks * frames < args.seconds * args.rate_hz:
            heard, overrun = microphone.read(frames)
            underrun = headphones.write(duplex.block(heard))
            duplex.overruns += overrun
            duplex.underruns += underrun
            if (duplex.blocks * frames) % args.rate_hz < frames:
                tell(duplex, frames, args.rate_hz, "\r")
    tell(duplex, frames, args.rate_hz, "\n")
    for sentence in enhancer.findings:
        print(sentence)
    return 0


def tell(duplex: Duplex, frames: int, rate_hz: int, end: str) -> None:
    print(
        f"{duplex.blocks * frames / rate_hz:7.1f} s, {duplex.overruns} overruns, {duplex.underruns} underruns, slowest "
        f"block {1000.0 * duplex.busiest_s:.1f} of {1000.0 * frames / rate_hz:.1f} ms",
        end=end,
        flush=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EdgeError, sounddevice.PortAudioError, ValueError) as error:
        sys.exit(f"duplex: {error}")
