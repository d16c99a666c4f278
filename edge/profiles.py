"""Processing profiles: the window, hop and latency that everything else follows from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One STFT set-up. Algorithmic latency is 2 hops, one of buffering and one of overlap-add."""

    name: str
    rate_hz: int
    window_samples: int
    hop_samples: int

    @property
    def bins(self) -> int:
        return self.window_samples // 2 + 1

    @property
    def hop_ms(self) -> float:
        return 1000.0 * self.hop_samples / self.rate_hz

    @property
    def algorithmic_latency_ms(self) -> float:
        """From a sample entering the first hop buffer to its leaving the chain, one hop included."""
        return 2.0 * self.hop_ms


PROFILES: dict[str, Profile] = {
    "assistant": Profile("assistant", rate_hz=16000, window_samples=512, hop_samples=128),
    "hearing": Profile("hearing", rate_hz=16000, window_samples=256, hop_samples=32),
}
