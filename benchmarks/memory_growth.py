"""Does processing allocate anything that stays? Ten minutes of audio through the pipeline, as fast as it goes.

The input alternates between noise, speech-like bursts and digital silence, with a bad sample now and then, so that
every state of the stages is passed through many times. Growth is counted from the end of the first minute.

Usage: python -m benchmarks.memory_growth [--minutes 10] [--board NAME ...] [--profile assistant hearing]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.record import record
from edge.config import default_config_for_board
from edge.pipeline import Pipeline, build_pipeline

BOARDS = ("respeaker_4mic_square", "matrix_voice")
PROFILES = ("assistant", "hearing")
SIGNAL_S = 10.0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def signal(pipeline: Pipeline) -> NDArray[np.float32]:
    """Blocks (blocks, hop, channels): noise, bursts of a harmonic tone, two seconds of silence, bad samples."""
    generator = np.random.default_rng(11)
    hop, rate = pipeline.hop_samples, pipeline.rate_hz
    blocks = int(SIGNAL_S * rate) // hop
    time_s = np.arange(blocks * hop) / rate
    tone = sum(np.sin(2 * np.pi * 140.0 * k * time_s) / k for k in range(1, 12))
    burst = 0.05 * tone * (np.sin(2 * np.pi * 1.3 * time_s) > 0.2)
    samples = burst[:, None] + 0.01 * generator.standard_normal((blocks * hop, pipeline.channels))
    samples[time_s > SIGNAL_S - 2.0] = 0.0
    samples[generator.integers(0, len(samples), 20), 0] = np.nan
    return samples.astype(np.float32).reshape(blocks, hop, pipeline.channels)


def measure(board: str, profile: str, minutes: int) -> dict[str, Any]:
    """Growth over `minutes` of audio after one minute of settling, in bytes and Python memory blocks."""
    pipeline = build_pipeline(default_config_for_board(board, {"profile": profile}))
    blocks = signal(pipeline)
    out = np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
    hops_per_minute = 60 * pipeline.rate_hz // pipeline.hop_samples

    def run(hops: int) -> None:
        for hop in range(hops):
            pipeline.process(blocks[hop % len(blocks)], out)

    # Twice: plain, for what the system sees, and a shorter part traced, for what Python and numpy hold.
    rss = python_blocks = 0
    for minute in tqdm(range(minutes + 1), desc=f"{board}, {profile}", unit="min", file=sys.stderr, disable=None):
        run(hops_per_minute)
        if minute == 0:
            assert np.isfinite(out).all()
            gc.collect()
            rss, python_blocks = resident_bytes(), sys.getallocatedblocks()
    gc.collect()
    rss_growth, block_growth = resident_bytes() - rss, sys.getallocatedblocks() - python_blocks
    tracemalloc.start()
    run(200)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    run(hops_per_minute)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "minutes": minutes,
        "rss_growth_bytes": rss_growth,
        "python_block_growth": block_growth,
        "traced_growth_bytes_in_a_minute": after - before,
        "traced_peak_above_rest_bytes": peak - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.memory_growth", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--board", nargs="+", default=list(BOARDS), dest="boards")
    parser.add_argument("--profile", nargs="+", default=list(PROFILES), dest="profiles")
    args = parser.parse_args()
    results = {}
    for board in args.boards:
        for profile in args.profiles:
            results[f"{board}, {profile}"] = result = measure(board, profile, args.minutes)
            print(
                f"{board}, {profile}: resident {result['rss_growth_bytes'] / 1024:+.0f} KiB, "
                f"Python blocks {result['python_block_growth']:+d} in {result['minutes']} minutes; "
                f"traced {result['traced_growth_bytes_in_a_minute']:+d} bytes in one minute, "
                f"at most {result['traced_peak_above_rest_bytes']} in flight"
            )
    print(f"wrote {record('memory_growth', results)}")


if __name__ == "__main__":
    main()
