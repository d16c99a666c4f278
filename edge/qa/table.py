"""The numbers of a report: what each is called, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One number per file."""

    title: str
    digits: int
    gain_of: str = ""
    """it is that metric of the enhanced file less the one of the noisy file"""


COLUMNS: dict[str, Column] = {
    "snr_db": Column("SNR, dB", 2),
    "segmental_snr_db": Column("segmental SNR, dB", 2),
    "si_sdr_db": Column("SI-SDR, dB", 2),
    "pesq_wb": Column("PESQ-WB", 3),
    "stoi": Column("STOI", 3),
    "estoi": Column("ESTOI", 3),
    "spectral_distortion_db": Column("spectral distortion, dB", 2),
    "artifacts": Column("artifacts", 3),
    "dnsmos_sig": Column("DNSMOS speech", 2),
    "dnsmos_bak": Column("DNSMOS background", 2),
    "dnsmos_ovr": Column("DNSMOS overall", 2),
    "srmr": Column("SRMR", 2),
    "dynamic_range_db": Column("dynamic range, dB", 1),
    "clipping_percent": Column("clipping, %", 3),
    "snr_gain_db": Column("SNR gain, dB", 2, "snr_db"),
    "segmental_snr_gain_db": Column("segmental SNR gain, dB", 2, "segmental_snr_db"),
    "si_sdr_gain_db": Column("SI-SDR gain, dB", 2, "si_sdr_db"),
    "pesq_gain": Column("PESQ gain", 3, "pesq_wb"),
    "stoi_gain": Column("STOI gain", 3, "stoi"),
    "estoi_gain": Column("ESTOI gain", 3, "estoi"),
    "dnsmos_ovr_gain": Column("DNSMOS overall gain", 2, "dnsmos_ovr"),
    "srmr_gain": Column("SRMR gain", 2, "srmr"),
}
"""name, as in criteria and JSON -> column"""

METRICS = tuple(name for name, column in COLUMNS.items() if not column.gain_of)
"""those of edge.quality.evaluate"""
SLOW = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
"""metrics that take longer than all others together"""


def columns_of(wanted: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of a report in which these metrics are taken."""
    return tuple(name for name, column in COLUMNS.items() if (column.gain_of or name) in wanted)


def written(name: str, value: float | None) -> str:
    """A value as the report shows it, or a dash."""
    if value is None:
        return "-"
    digits = COLUMNS[name].digits
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus in front of zero
