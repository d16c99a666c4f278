"""The shipped networks that the live path does not use: small, proven, and doing what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.enhancers import make_enhancer
from edge.resources import data_folder
from edge.tasnet import TasNetStream
from edge.tasnet.manifest import KIND, load_tasnet_manifest

MANIFESTS = sorted((data_folder("models") / "lab").glob("*.json"))
MOST_BYTES = 1_500_000
"""of a file of a Conv-TasNet"""

pytestmark = pytest.mark.skipif(not MANIFESTS, reason="no network for recordings alone is shipped")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_it_makes_noise_softer_and_has_a_card(path: Path) -> None:
    kind = json.loads(path.read_text())["kind"]
    noise = (0.05 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    out = make_enhancer(kind, model=str(path)).enhance(noise, 16000)
    assert out.shape == noise.shape
    later = slice(16000, None)
    assert np.sum(out[later] ** 2) < 0.1 * np.sum(noise[later] ** 2)
    assert path.with_suffix(".md").is_file()


@pytest.mark.parametrize("path", [p for p in MANIFESTS if json.loads(p.read_text())["kind"] == KIND], ids=str)
def test_a_conv_tasnet_is_small_and_streams_in_both_precisions(path: Path) -> None:
    manifest = load_tasnet_manifest(path)
    assert manifest.causal
    assert all(size < MOST_BYTES for _, _, size in manifest.files.values())
    noise = (0.05 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    for precision in ("float", "int8"):
        stream = TasNetStream(path, precision)
        whole = np.concatenate([stream.push(noise), stream.flush()])
        pieces = [stream.push(piece) for piece in np.array_split(noise, 61)]
        np.testing.assert_array_equal(np.concatenate([*pieces, stream.flush()]), whole)
