"""A language of tones and a recogniser of it, installed as a package: errors come from noise, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

F32 = NDArray[np.float32]

RATE_HZ = 16000
WORD_S = 0.25
TONES_HZ = {"ut": 500.0, "re": 750.0, "mi": 1000.0, "fa": 1500.0, "sol": 2000.0, "la": 3000.0}

_MODULE = """
import os, pathlib
import numpy as np
HERE = pathlib.Path(__file__).parent
TONES_HZ = {tones!r}

class Ears:
    identity = "tones 1"

    def transcribe(self, samples, rate_hz):
        with open(HERE / "calls", "a") as calls:
            calls.write(".")
        limit = HERE / "interrupt_after"
        if limit.exists() and (HERE / "calls").stat().st_size > int(limit.read_text()):
            raise KeyboardInterrupt
        if samples.size == {deadly}:
            os._exit(1)
        heard = []
        for start in range(0, samples.size - {word} + 1, {word}):
            power = np.abs(np.fft.rfft(samples[start : start + {word}] * np.hanning({word}))) ** 2
            if power.max() > 300.0 * np.median(power):
                hz = np.argmax(power) * rate_hz / {word}
                heard.append(min(TONES_HZ, key=lambda name: abs(TONES_HZ[name] - hz)))
        return " ".join(heard).upper() + "."

class Mute:
    def transcribe(self, samples, rate_hz):
        return ""

def broken():
    raise RuntimeError("no weights")
"""
DEADLY_SAMPLES = 12345
"""a sound of this length kills the process of who hears it"""


def install_recogniser(site: Path) -> Path:
    """A package of three recognisers with the metadata that pip would write, in a folder to be put on the path."""
    package, info = site / "tone_ears", site / "tone_ears-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    text = _MODULE.format(tones=TONES_HZ, word=round(WORD_S * RATE_HZ), deadly=DEADLY_SAMPLES)
    (package / "__init__.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tone-ears\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mic_edge.recognisers]\ntones = tone_ears:Ears\nmute = tone_ears:Mute\nbroken = tone_ears:broken\n"
    )
    return package


def said(words: str) -> F32:
    """Tones float32 (n,) of the words, with a fade at either end of each."""
    n = round(WORD_S * RATE_HZ)
    fade = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / 200.0)
    t = np.arange(n) / RATE_HZ
    parts = [0.2 * fade * np.sin(2.0 * np.pi * TONES_HZ[word] * t) for word in words.split()]
    return np.concatenate(parts).astype(np.float32)


def write(path: Path, samples: F32, rate_hz: int = RATE_HZ) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")


def write_material(
    folder: Path, sentences: tuple[str, ...] = ("ut re mi fa sol la", "la sol fa mi", "mi mi re ut")
) -> None:
    """speech/ with a .txt beside each file, and noise/ with two of them, below `folder`."""
    for i, sentence in enumerate(sentences):
        write(folder / "speech" / f"{i}.wav", said(sentence))
        (folder / "speech" / f"{i}.txt").write_text(sentence)
    rng = np.random.default_rng(0)
    for name in ("hiss", "rain"):
        write(folder / "noise" / f"{name}.wav", (0.1 * rng.standard_normal(24000)).astype(np.float32))
