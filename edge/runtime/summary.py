"""What a live run comes to, as a table for people and a dictionary for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.runtime.loop import AudioLoop
from edge.runtime.timing import Cost, RunStatistics
from edge.snr import TIME_CONSTANT_S
from edge.telemetry.payload import json_ready
from edge.telemetry.snapshot import Snapshot


@dataclass(frozen=True)
class RunSummary:
    """A finished run. Times in ms; counts since start."""

    reason: str
    """why it ended: 'end of input', 'duration reached', 'SIGTERM', ..."""
    hops: int
    seconds: float
    """audio processed"""
    deadline_ms: float
    deadline_misses: int
    hop_ms: Cost
    stage_ms: dict[str, Cost]
    latency_ms: dict[str, float]
    overruns: int
    underruns: int
    gap_ms: float
    dropped_ms: float
    reopens: int
    nonfinite_samples: int
    clipped_samples: tuple[int, ...]
    mode: str
    model: str
    """network in use at the end, empty without one"""
    snr_in_db: float | None
    snr_out_db: float | None
    """estimates at the end, of the last seconds alone"""
    rss_mib: float | None
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `deadline_met_share` is the share of hops in time."""
        share = 1.0 - self.deadline_misses / self.hops if self.hops else None
        values: dict[str, Any] = json_ready(asdict(self) | {"deadline_met_share": share}, 4)
        return values

    def as_text(self) -> str:
        """Table of the run, about 20 lines."""
        lines = [
            f"{self.seconds:.1f} s in {self.hops} hops of {self.deadline_ms:g} ms; {self.reason}",
            f"{'time per hop, ms':<18}" + "".join(f"{name:>9}" for name in ("p50", "p95", "p99", "p99.9", "max")),
            *(_row(name, cost) for name, cost in self.stage_ms.items()),
            _row("whole hop", self.hop_ms),
            f"deadline misses    {self.deadline_misses} of {self.hops}",
            f"overruns           {self.overruns} ({self.gap_ms:.0f} ms replaced by silence, {self.reopens} reopened)",
            f"underruns          {self.underruns} ({self.dropped_ms:.0f} ms of output not taken)",
            f"bad samples        {self.nonfinite_samples} not finite, {sum(self.clipped_samples)} clipped",
            "latency, ms        " + ", ".join(f"{name} {ms:.1f}" for name, ms in self.latency_ms.items()),
        ]
        if self.snr_in_db is not None and self.snr_out_db is not None:
            estimates = f"{self.snr_in_db:.1f} at the first microphone, {self.snr_out_db:.1f} out"
            lines.append(f"SNR estimate, dB   {estimates} (of the last {TIME_CONSTANT_S:g} s alone)")
        if self.mode != "normal":
            lines.append(f"mode               {self.mode}")
        return "\n".join(lines)


def _row(name: str, cost: Cost) -> str:
    return f"  {name:<16}" + "".join(f"{v:9.3f}" for v in (cost.p50, cost.p95, cost.p99, cost.p99_9, cost.max))


def summarize(
    loop: AudioLoop, statistics: RunStatistics, last: Snapshot, reason: str, warnings: Sequence[str]
) -> RunSummary:
    """Summary of a finished loop; `last` is a snapshot made after its end."""
    clock = loop.clock
    hop_ms, stage_ms = statistics.costs()
    latency_ms = {name: ms for name, ms in last.latency_ms.items() if name != "total"} | {"processing": hop_ms.p99}
    return RunSummary(
        reason=reason,
        hops=clock.hops,
        seconds=clock.hops * clock.deadline_ns / 1e9,
        deadline_ms=clock.deadline_ns / 1e6,
        deadline_misses=clock.misses,
        hop_ms=hop_ms,
        stage_ms=stage_ms,
        latency_ms=latency_ms | {"total": sum(latency_ms.values())},
        overruns=last.overruns,
        underruns=last.underruns,
        gap_ms=last.gap_ms,
        dropped_ms=last.dropped_ms,
        reopens=last.reopens,
        nonfinite_samples=last.nonfinite_samples,
        clipped_samples=last.clipped_samples,
        mode=last.mode,
        model=last.model,
        snr_in_db=last.snr_in_db,
        snr_out_db=last.snr_out_db,
        rss_mib=last.rss_mib,
        warnings=tuple(warnings),
    )
