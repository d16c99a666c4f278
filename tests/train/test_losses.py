"""What training minimises: least where it should be, finite, and blind to what does not matter."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from models import losses  # noqa: E402
from models.envelopes import Envelopes  # noqa: E402
from models.loudness import Loudness  # noqa: E402

pytestmark = pytest.mark.train


def test_loss_is_least_at_the_right_gain() -> None:
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(
        (rng.standard_normal((20, 2, 33)) + 1j * rng.standard_normal((20, 2, 33))).astype("complex64")
    )
    weight, envelopes = losses.bin_weights(33, 16000), Envelopes(33, 16000, 768)
    loudness = Loudness(33, 16000, 768)
    targets = losses.prepare(clean * 2.0, clean, weight)
    values = [
        float(losses.loss(torch.full((20, 2, 33), g), targets, envelopes, loudness)) for g in (0.1, 0.4, 0.5, 0.6, 1.0)
    ]
    assert int(np.argmin(values)) == 2


def test_an_item_of_digital_silence_leaves_the_gradient_finite() -> None:
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(rng.standard_normal((20, 3, 33)).astype(np.float32)).to(torch.complex64)
    noisy = clean + 0.5
    for spectra in (clean, noisy):
        spectra[:, 1] = 0.0
    targets = losses.prepare(noisy, clean, losses.bin_weights(33, 16000))
    logits = torch.zeros(20, 3, 33, requires_grad=True)
    terms = Envelopes(33, 16000, 768), Loudness(33, 16000, 768)
    losses.loss(torch.sigmoid(logits), targets, *terms).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert float(logits.grad[:, [0, 2]].abs().max()) > 0.0


def test_loss_of_silence_pulls_gains_down() -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy((rng.standard_normal((20, 2, 33)) + 1j).astype("complex64"))
    targets = losses.prepare(noise, torch.zeros_like(noise), losses.bin_weights(33, 16000))
    envelopes, loudness = Envelopes(33, 16000, 768), Loudness(33, 16000, 768)
    values = [float(losses.loss(torch.full((20, 2, 33), g), targets, envelopes, loudness)) for g in (0.0, 0.3, 1.0)]
    assert values == sorted(values)
    assert np.isfinite(values).all()


def test_envelope_correlation_falls_with_noise_and_ignores_level_and_pauses() -> None:
    rng = np.random.default_rng(1)
    envelopes = Envelopes(257, 16000, 128)
    shape = torch.from_numpy(rng.gamma(0.3, 1.0, (192, 2, 257)).astype(np.float32))
    shape[96:] *= 1e-5  # a pause
    noise = torch.from_numpy(rng.gamma(1.0, 1.0, (192, 2, 257)).astype(np.float32))
    values = [envelopes.correlation(shape + g * noise, shape) for g in (0.0, 0.1, 1.0, 10.0)]
    torch.testing.assert_close(values[0], torch.ones(2), atol=2e-3, rtol=0)
    for louder, fainter in zip(values[1:], values, strict=False):
        assert (louder < fainter).all()
    # noise in the pause alone changes next to nothing, for there is nothing to understand
    late = noise.clone()
    late[:96] = 0.0
    assert (envelopes.correlation(shape + 0.1 * late, shape) > 0.85).all()
    torch.testing.assert_close(envelopes.correlation(7.0 * shape, shape), torch.ones(2), atol=2e-3, rtol=0)


def test_loudness_is_lost_to_noise_and_to_muffling_but_not_to_level() -> None:
    rng = np.random.default_rng(2)
    loudness = Loudness(257, 16000, 128)
    speech = torch.from_numpy(rng.gamma(0.4, 2.5, (250, 1, 257)).astype(np.float32))
    noise = torch.from_numpy(rng.gamma(1.0, 1.0, (250, 1, 257)).astype(np.float32))

    def lost(power: torch.Tensor) -> float:
        return float(loudness.disturbance(power, speech))

    assert lost(speech) < 1e-2
    assert lost(3.0 * speech) < 1e-2
    steps = [lost(speech + g * noise) for g in (0.01, 0.1, 1.0, 10.0)]
    assert steps == sorted(steps)
    muffled = speech.clone()
    muffled[..., 100:] *= 1e-3
    assert lost(muffled) > 0.1
    # what was added disturbs more than what was left out
    assert lost(speech + 3.0 * noise) > lost(speech * (noise > 0.7))


def test_every_band_of_envelopes_holds_a_bin() -> None:
    """With the wide bins of a short window none lies in the lowest third octave."""
    bands = Envelopes(129, 16000, 128).bands
    assert bands.shape == (129, 14)
    assert float(bands.sum(0).min()) >= 1.0
    assert Envelopes(257, 16000, 128).bands.shape == (257, 15)
