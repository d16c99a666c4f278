"""The shipped networks that the live path does not use: small, proven, and doing what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.enhancers import blstm, make_enhancer
from edge.manifests import LAB
from edge.resources import data_folder
from edge.tasnet import TasNetStream
from edge.tasnet.manifest import SHIPPED as CONV_TASNET
from edge.tasnet.manifest import load_tasnet_manifest

FOLDER = data_folder("models") / LAB
NAMES = {"blstm": blstm.SHIPPED, "conv_tasnet": CONV_TASNET}
"""kind -> name of the one that ships"""
MOST_BYTES = 1_500_000
"""of a file of a Conv-TasNet"""


def shipped(kind: str) -> Path:
    """Its manifest."""
    return FOLDER / f"{NAMES[kind]}.json"


def test_they_ship_and_nothing_else() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES.values())


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_it_makes_noise_softer_and_has_a_card(kind: str, precision: str) -> None:
    path = shipped(kind)
    noise = (0.05 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    enhancer = make_enhancer(kind, precision=precision)
    out = enhancer.enhance(noise, 16000)
    assert out.shape == noise.shape
    later = slice(16000, None)
    assert np.sum(out[later] ** 2) < 0.1 * np.sum(noise[later] ** 2)
    assert path.with_suffix(".md").is_file()
    assert enhancer.identity == make_enhancer(kind, model=str(path), precision=precision).identity


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_a_conv_tasnet_is_small_and_streams_in_both_precisions(precision: str) -> None:
    path = shipped("conv_tasnet")
    manifest = load_tasnet_manifest(path)
    assert manifest.causal
    assert all(size < MOST_BYTES for _, _, size in manifest.files.values())
    noise = (0.05 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    stream = TasNetStream(path, precision)
    whole = np.concatenate([stream.push(noise), stream.flush()])
    pieces = [stream.push(piece) for piece in np.array_split(noise, 61)]
    np.testing.assert_array_equal(np.concatenate([*pieces, stream.flush()]), whole)
