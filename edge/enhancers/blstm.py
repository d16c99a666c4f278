"""The bidirectional mask network on whole recordings: an upper bound for the causal one, which shares its front end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.config.schema import NETWORK_FLOOR_DB
from edge.enhancers.base import digest, one_channel
from edge.enhancers.rates import at_rate
from edge.errors import ModelError
from edge.kernels import bands
from edge.manifests import Reader, network_file, open_manifest, read_files, resolve
from edge.mask.features import BandLayout, Rates, layout_from_centres
from edge.mask.manifest import FEATURES
from edge.mask.network import open_session
from edge.profiles import PROFILES
from edge.resources import data_folder
from edge.stft import Stft

F32 = NDArray[np.float32]

KIND = "blstm"
FORMAT = 1
SHIPPED = "blstm"
FOLDER = "lab"


class BlstmEnhancer:
    """A bidirectional mask network of this project. See edge.enhancers.base.OfflineEnhancer.

    model: name of a shipped one or path of a manifest, None for the shipped one; floor_db: least gain; precision:
    'float' or 'int8'. It needs about 0.7 MB of memory for a second of sound. Raises ModelError.
    """

    name = "blstm"

    def __init__(self, model: str | None = None, floor_db: float = NETWORK_FLOOR_DB, precision: str = "float") -> None:
        self._path = resolve(model or SHIPPED, data_folder("models") / FOLDER)
        self.floor_db, self.precision = floor_db, precision
        read = open_manifest(self._path, "the model's path")
        if read.value(str, "kind") != KIND or read.value(int, "format") != FORMAT:
            raise ModelError(
                f"model {self._path} is a {read.data['kind']!r} of format {read.data.get('format')}, expected a "
                f"{KIND!r} of format {FORMAT}; give another model"
            )
        name = read.value(str, "profile")
        if name not in PROFILES:
            raise read.wrong("profile", f"one of {', '.join(PROFILES)}")
        self._profile = PROFILES[name]
        self._layout = _read_layout(read, self._profile.bins)
        self._power_floor = np.float32(read.value(float, "features", "power_floor"))
        self._least_deviation = np.float32(read.value(float, "features", "least_deviation"))
        self._files = read_files(read)
        path = network_file(self._path, read.value(str, "name"), self._files, precision)
        self._session = open_session(path)
        self._input, self._output = read.value(str, "input", "name"), read.value(str, "output", "name")
        count = self._layout.bands
        found = {n.name: n.shape[1:] for n in (*self._session.get_inputs(), *self._session.get_outputs())}
        if found != {self._input: [1, 2 * count], self._output: [1, count]}:
            raise ModelError(f"network {path} is not what its manifest says; install the model again")

    def __reduce__(self) -> tuple[type[BlstmEnhancer], tuple[str, float, str]]:
        return type(self), (str(self._path), self.floor_db, self.precision)

    @property
    def identity(self) -> str:
        sha256 = self._files[self.precision][1]
        return digest(self.name, "1", manifest=self._path.read_bytes(), network=sha256, floor_db=self.floor_db)

    def enhance(self, samples: F32, rate_hz: int) -> F32:
        return at_rate(one_channel(samples, self.name), rate_hz, self._profile.rate_hz, self._at_own_rate)

    def _at_own_rate(self, samples: F32) -> F32:
        hop = self._profile.hop_samples
        stft = Stft(self._profile, 1)
        gains = self._session.run([self._output], {self._input: self.features(samples)})[0]
        # the transform is run again instead of keeping every spectrum of a long recording
        floor = np.float32(10.0 ** (self.floor_db / 20.0))
        out = np.empty((len(gains), hop), np.float32)
        per_bin, copy = np.ones((2, self._profile.bins), np.float32)
        for t, spectrum in enumerate(_spectra(stft, samples)):
            bands.bands_to_bins(gains[t, 0], self._layout.band, self._layout.fraction, per_bin, copy)
            masked = spectrum * np.maximum(per_bin, floor)
            stft.synthesize(masked, masked)
            out[t] = stft.signals[0]
        late = stft.latency_samples
        return out.reshape(-1)[late : late + samples.size]

    def features(self, samples: F32) -> F32:
        """What the network is fed, float32 (frames, 1, 2 * bands), normalised over the recording float32 (n,)."""
        layout, count = self._layout, self._layout.bands
        rates = Rates(self._profile.hop_ms)
        stft = Stft(self._profile, 1)
        hops = _hops(stft, samples)
        raw = np.empty((hops, 2 * count), np.float32)
        smooth, noise = np.zeros((2, count), np.float32)
        zero, unused = np.zeros((2, 2 * count), np.float32)
        one = np.ones(2 * count, np.float32)
        for t, spectrum in enumerate(_spectra(stft, samples)):
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
                raw[t],
                zero,
                one,
                unused,
            )
        deviation = np.maximum(raw.std(0, dtype=np.float64), self._least_deviation)
        normalised = (raw - raw.mean(0, dtype=np.float64)) / deviation
        return normalised.astype(np.float32)[:, np.newaxis]


def _hops(stft: Stft, samples: F32) -> int:
    """Until the last sample has left the overlap-add."""
    return -(-(samples.size + stft.latency_samples) // stft.profile.hop_samples)


def _spectra(stft: Stft, samples: F32) -> Iterator[NDArray[np.complex64]]:
    """Spectra complex64 (bins,) of the hops of a recording, as the live path makes them."""
    hop, hops = stft.profile.hop_samples, _hops(stft, samples)
    padded = np.pad(samples, (0, hops * hop - samples.size))
    for t in range(hops):
        stft.history[0, :-hop] = stft.history[0, hop:]
        stft.history[0, -hop:] = padded[t * hop : (t + 1) * hop]
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
