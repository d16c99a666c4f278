"""The bidirectional mask network on whole recordings: an upper bound for the causal one, which shares its front end."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import NETWORK_FLOOR_DB
from edge.enhancers.base import digest
from edge.enhancers.spool import Spool
from edge.enhancers.streams import AtRate, RecordingStream, through
from edge.errors import ModelError
from edge.kernels import bands
from edge.manifests import Reader, check_kind, network_file, open_manifest, read_files, resolve_lab
from edge.mask.features import BandLayout, Rates, layout_from_centres
from edge.mask.manifest import FEATURES
from edge.mask.network import open_session
from edge.profiles import PROFILES, Profile
from edge.steps import Cutter
from edge.stft import Stft

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]

KIND = "blstm"
FORMAT = 1
SHIPPED = "blstm"

PIECE_S = 60.0
"""of a recording that the network hears in one run"""
OVERLAP_S = 12.0
"""of neighbouring pieces; the first third only serves the later one as its past, the last the earlier as its future"""


class BlstmEnhancer:
    """A bidirectional mask network of this project. See edge.enhancers.base.OfflineEnhancer.

    model: name of a shipped one or path of a manifest, None for the shipped one; floor_db: least gain; precision:
    'float' or 'int8'. The network hears at most PIECE_S at once, so that memory does not grow with the recording.
    Raises ModelError.
    """

    name = "blstm"

    def __init__(self, model: str | None = None, floor_db: float = NETWORK_FLOOR_DB, precision: str = "float") -> None:
        self._path = resolve_lab(model, SHIPPED)
        self.floor_db, self.precision = floor_db, precision
        read = open_manifest(self._path, "the model's path")
        check_kind(read, KIND)
        if read.value(int, "format") != FORMAT:
            raise read.wrong("format", f"{FORMAT}, which this program reads")
        name = read.value(str, "profile")
        if name not in PROFILES:
            raise read.wrong("profile", f"one of {', '.join(PROFILES)}")
        self.profile = PROFILES[name]
        self.layout = _read_layout(read, self.profile.bins)
        self._power_floor = np.float32(read.value(float, "features", "power_floor"))
        self.least_deviation = np.float32(read.value(float, "features", "least_deviation"))
        self._files = read_files(read)
        path = network_file(self._path, read.value(str, "name"), self._files, precision)
        self._session = open_session(path)
        self._input, self._output = read.value(str, "input", "name"), read.value(str, "output", "name")
        count = self.layout.bands
        found = {n.name: n.shape[1:] for n in (*self._session.get_inputs(), *self._session.get_outputs())}
        if found != {self._input: [1, 2 * count], self._output: [1, count]}:
            raise ModelError(f"network {path} is not what its manifest says; install the model again")

    def __reduce__(self) -> tuple[type[BlstmEnhancer], tuple[str, float, str]]:
        return type(self), (str(self._path), self.floor_db, self.precision)

    @property
    def identity(self) -> str:
        sha256 = self._files[self.precision][1]
        return digest(self.name, "3", manifest=self._path.read_bytes(), network=sha256, floor_db=self.floor_db)

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        return through(self.stream(rate_hz), samples)

    def stream(self, rate_hz: int) -> RecordingStream:
        """See edge.enhancers.streams.open_stream."""
        return AtRate(_InPieces(self), self.name, rate_hz, self.profile.rate_hz)

    def features(self, samples: F32) -> F32:
        """What the network is fed, float32 (frames, 1, 2 * bands), normalised over the recording float32 (n,)."""
        raw = np.stack([row.copy() for _, row in self.frames([samples], samples.size)])
        deviation = np.maximum(raw.std(0, dtype=np.float64), self.least_deviation)
        normalised = (raw - raw.mean(0, dtype=np.float64)) / deviation
        return normalised.astype(np.float32)[:, np.newaxis]

    def gains(self, features: F32) -> F32:
        """Gains of bands float32 (frames, bands) for normalised features (frames, 1, 2 * bands), in one run."""
        made: F32 = self._session.run([self._output], {self._input: features})[0]
        return made[:, 0]

    def frames(self, blocks: Iterable[F32], samples: int) -> Iterator[tuple[C64, F32]]:
        """Spectrum complex64 (bins,) and features float32 (2 * bands,), not normalised, of every hop of a recording
        that comes in blocks; `samples` of it in all. Both are written over by the next hop.
        """
        layout, count = self.layout, self.layout.bands
        rates = Rates(self.profile.hop_ms)
        smooth, noise = np.zeros((2, count), np.float32)
        raw, zero, unused = np.zeros((3, 2 * count), np.float32)
        one = np.ones(2 * count, np.float32)
        for t, spectrum in enumerate(_spectra(self.profile, blocks, samples)):
            bands.features(
                spectrum,
                layout.band,
                layout.fraction,
                layout.inverse_weight,
                self._power_floor,
                t,
                rates.smoothing,
                rates.fall,
                rates.rise,
                smooth,
                noise,
                raw,
                zero,
                one,
                unused,
            )
            yield spectrum, raw


class _InPieces:
    """A recording at the network's own rate, heard twice: first what its features are like, then piece by piece.

    Pieces overlap, and the gains of one fade into those of the next in the middle of the overlap, where both have heard
    enough before and after. Only the samples themselves are kept (edge.enhancers.spool). See RecordingStream.
    """

    def __init__(self, enhancer: BlstmEnhancer) -> None:
        self._enhancer, self._profile = enhancer, enhancer.profile
        self._spool = Spool()

    def push(self, samples: F32) -> F32:
        self._spool.add(samples)
        return np.zeros(0, np.float32)

    def finish(self) -> Iterator[F32]:
        samples, hop = self._spool.samples, self._profile.hop_samples
        if not samples:
            return
        early, owed = Stft(self._profile, 1).latency_samples, samples
        for made in self._made(samples):
            out = made.reshape(-1)
            out, early = out[early:], max(0, early - len(made) * hop)
            yield out[:owed]
            owed -= min(owed, out.size)

    def _made(self, samples: int) -> Iterator[F32]:
        """Hops (n, hop) of the output, late by the transform."""
        enhancer, hop_s = self._enhancer, self._profile.hop_ms / 1000.0
        mean, deviation = self._statistics(samples)
        hops = _hops(self._profile, samples)
        overlap = round(OVERLAP_S / hop_s)
        longest = min(hops, round(PIECE_S / hop_s))
        spectra = np.empty((longest, enhancer.layout.bins), np.complex64)
        raw = np.empty((longest, 2 * enhancer.layout.bands), np.float32)
        third = overlap // 3
        later = np.clip((np.arange(overlap) - third + 1.0) / (third + 1.0), 0.0, 1.0).astype(np.float32)[:, np.newaxis]
        before: F32 | None = None
        synthesis = Stft(self._profile, 1)
        filled = 0
        for t, (spectrum, row) in enumerate(enhancer.frames(self._spool.blocks(), samples)):
            spectra[filled], raw[filled] = spectrum, row
            filled += 1
            last = t == hops - 1
            if filled < longest and not last:
                continue
            gains = enhancer.gains(((raw[:filled] - mean) / deviation).astype(np.float32)[:, np.newaxis])
            if before is not None:
                gains[:overlap] = before + later * (gains[:overlap] - before)
            done = filled if last else filled - overlap
            yield self._masked(synthesis, spectra[:done], gains[:done])
            if not last:
                before = gains[done:].copy()
                spectra[:overlap], raw[:overlap] = spectra[done:filled].copy(), raw[done:filled].copy()
                filled = overlap

    def _masked(self, stft: Stft, spectra: C64, gains: F32) -> F32:
        layout, floor = self._enhancer.layout, np.float32(10.0 ** (self._enhancer.floor_db / 20.0))
        per_bin, copy = np.ones((2, layout.bins), np.float32)
        out = np.empty((len(gains), self._profile.hop_samples), np.float32)
        for spectrum, gain, hop in zip(spectra, gains, out, strict=True):
            bands.bands_to_bins(gain, layout.band, layout.fraction, per_bin, copy)
            masked = spectrum * np.maximum(per_bin, floor)
            stft.synthesize(masked, masked)
            hop[:] = stft.signals[0]
        return out

    def _statistics(self, samples: int) -> tuple[F64, F64]:
        """Mean and deviation of every feature over the whole recording."""
        total, squares = np.zeros((2, 2 * self._enhancer.layout.bands))
        for _, row in self._enhancer.frames(self._spool.blocks(), samples):
            wide = row.astype(np.float64)
            total += wide
            squares += wide * wide
        hops = _hops(self._profile, samples)
        mean = total / hops
        deviation = np.sqrt(np.maximum(squares / hops - mean**2, 0.0))
        return mean, np.maximum(deviation, self._enhancer.least_deviation)


def _hops(profile: Profile, samples: int) -> int:
    """Until the last sample has left the overlap-add."""
    return -(-(samples + Stft(profile, 1).latency_samples) // profile.hop_samples)


def _spectra(profile: Profile, blocks: Iterable[F32], samples: int) -> Iterator[C64]:
    """Spectra complex64 (bins,) of the hops of a recording, as the live path makes them."""
    stft, hop = Stft(profile, 1), profile.hop_samples
    behind = _hops(profile, samples) * hop - samples
    cutter = Cutter(hop, 1)
    for block in itertools.chain(blocks, [np.zeros(behind, np.float32)]):
        for piece in cutter.pieces(block[:, np.newaxis]):
            stft.history[0, :-hop] = stft.history[0, hop:]
            stft.history[0, -hop:] = piece[:, 0]
            stft.analyze()
            yield (stft.spectrum_re[0] + 1j * stft.spectrum_im[0]).astype(np.complex64)


def _read_layout(read: Reader, bins: int) -> BandLayout:
    if read.value(str, "features", "kind") != FEATURES:
        raise read.wrong("features.kind", f'"{FEATURES}", the only features this program computes')
    centres = read.value(list, "features", "band_centre_bins")
    try:
        layout = layout_from_centres(centres)
    except (TypeError, ValueError) as error:
        raise read.wrong("features.band_centre_bins", f"whole numbers rising from 0 ({error})") from None
    if layout.bins != bins:
        raise read.wrong("features.band_centre_bins", f"a last bin of {bins - 1}")
    return layout
