"""The JSON file beside a Conv-TasNet: its sizes, its states, its network files and their checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import ModelError
from edge.manifests import (
    Files,
    States,
    check_kind,
    is_whole,
    network_file,
    open_manifest,
    read_files,
    read_states,
    resolve_lab,
)

KIND = "conv_tasnet"
FORMAT = 1
SHIPPED = "conv-tasnet"
_MOST_SAMPLES = 1 << 16


@dataclass(frozen=True)
class TasNetManifest:
    """Checked; what a stream needs to know of a network."""

    path: Path
    name: str
    rate_hz: int
    stride_samples: int
    overlap: int
    """strides in a frame"""
    block_frames: int
    """frames of a step; 0: the network is not causal and takes whole recordings"""
    parameters: int
    receptive_field_samples: int
    input_name: str
    output_name: str
    states: States
    files: Files

    @property
    def causal(self) -> bool:
        return self.block_frames > 0

    @property
    def block_samples(self) -> int:
        """Samples of a step."""
        return self.block_frames * self.stride_samples

    @property
    def late_samples(self) -> int:
        """By how much the output of the network follows its input: until all frames over a sample are there."""
        return (self.overlap - 1) * self.stride_samples

    @property
    def latency_samples(self) -> int:
        """From a sample entering to its leaving, the collecting of a block included; only of a causal network."""
        return self.block_samples + self.late_samples

    @property
    def about(self) -> str:
        """One line for people."""
        field, rate = self.receptive_field_samples, self.rate_hz
        latency = f", latency {1000.0 * self.latency_samples / rate:.1f} ms" if self.causal else ", offline"
        return (
            f"{self.name}: {self.parameters:,} parameters, receptive field {field} samples "
            f"({1000.0 * field / rate:.1f} ms){latency}"
        )

    def network_file(self, precision: str) -> Path:
        """Path of the network of a precision, size and checksum verified. Raises ModelError."""
        return network_file(self.path, self.name, self.files, precision)


def resolve_tasnet(name_or_path: str | None) -> Path:
    """Path of the manifest of a Conv-TasNet by name or path; None is the shipped one. Raises ModelError."""
    return resolve_lab(name_or_path, SHIPPED)


def load_tasnet_manifest(path: Path) -> TasNetManifest:
    """Read and check a manifest. Raises ModelError, one sentence, for anything wrong with it."""
    read = open_manifest(path, "the model's path")
    check_kind(read, KIND)
    if read.value(int, "format") != FORMAT:
        raise ModelError(
            f"model manifest {path} has format {read.data['format']}, this program reads format {FORMAT}; update one"
        )
    numbers = {}
    for key, low, high in (
        ("rate_hz", 1000, 192000),
        ("stride_samples", 1, _MOST_SAMPLES),
        ("overlap", 2, 64),
        ("block_frames", 0, _MOST_SAMPLES),
        ("parameters", 1, 1 << 40),
        ("receptive_field_samples", 1, 1 << 40),
    ):
        numbers[key] = read.value(int, key)
        if not low <= numbers[key] <= high:
            raise read.wrong(key, f"from {low} to {high}")
    for key in ("input", "output"):
        shape = read.value(list, key, "shape")
        expected = [numbers["block_frames"] or "rows", numbers["stride_samples"]]
        if shape != expected or not is_whole(shape[1]):
            raise read.wrong(f"{key}.shape", str(expected))
    return TasNetManifest(
        path=path,
        name=read.value(str, "name"),
        input_name=read.value(str, "input", "name"),
        output_name=read.value(str, "output", "name"),
        states=read_states(read),
        files=read_files(read),
        **numbers,
    )
