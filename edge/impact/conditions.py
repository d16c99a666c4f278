"""What is heard of a noisy recording: as it is, the beam, enhanced, enhanced with some of the noisy mixed back."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.config import Config
from edge.enhancers import OfflineEnhancer, make_enhancer
from edge.errors import UsageError

F32 = NDArray[np.float32]

CLEAN, NOISY, BEAM = "clean", "noisy", "beam"


@dataclass(frozen=True)
class Condition:
    """One line of the table."""

    name: str
    mask: str = ""
    """name of an enhancer, or nothing"""
    model: str | None = None
    share: float = 0.0
    """of what the mask heard, mixed back: 0 to 1"""
    config: Config | None = None
    """of the array, or of a pipeline other than the default"""
    identity: str = ""
    """of everything that decides what is heard, the recording aside"""


def conditions(masks: list[str], shares: list[float], config: Config | None) -> list[Condition]:
    """Those for masks ("NAME" or "NAME=MODEL") and shares, with the beam where the configuration forms one.

    Raises ConfigError, UsageError and ModelError.
    """
    array = config is not None and len(config.array.roles) > 1
    found = [Condition(NOISY, identity=NOISY)]
    if array:
        found.append(_identified(Condition(BEAM, config=config)))
    for text in masks:
        name, _, model = text.partition("=")
        plain = _identified(Condition(text, name, model or None, 0.0, config))
        found.append(plain)
        for share in shares:
            mixed = Condition(f"{text} + {share:g}", name, model or None, share, config)
            found.append(_identified(mixed))
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{', '.join(twice)}: named twice; every condition needs a name of its own")
    return found


class Recording:
    """A noisy recording (n, channels) under any condition; what several of them need is made once."""

    def __init__(self, noisy: F32, rate_hz: int) -> None:
        self._noisy, self._rate_hz = noisy, rate_hz
        self._made: dict[tuple[str, str | None], F32] = {}

    def heard(self, condition: Condition) -> F32:
        """What a recogniser hears, float32 (n,), aligned with the recording.

        Mixing back gives (1 - share) enhanced + share heard, of what the mask heard: the microphone, or the beam.
        A recogniser suffers more from what a mask does to speech than from the noise that it leaves (Iwamoto, Ochiai,
        Delcroix, Ikeshita, Sato, Araki and Katagiri, "How bad are artifacts?", Interspeech 2022).
        """
        if condition.name == NOISY:
            return self._microphone
        if condition.name == BEAM:
            return self._through(BEAM, None, condition.config)
        enhanced = self._through(condition.mask, condition.model, condition.config)
        if not condition.share:
            return enhanced
        array = self._noisy.shape[1] > 1
        before = self._through(BEAM, None, condition.config) if array else self._microphone
        return np.asarray((1.0 - condition.share) * enhanced + condition.share * before, np.float32)

    @property
    def _microphone(self) -> F32:
        return np.ascontiguousarray(self._noisy[:, 0])

    def _through(self, name: str, model: str | None, config: Config | None) -> F32:
        if (name, model) not in self._made:
            enhancer = _beam(config) if name == BEAM else _enhancer(name, model, config)
            self._made[name, model] = enhancer.enhance(self._noisy, self._rate_hz)
        return self._made[name, model]


def _identified(condition: Condition) -> Condition:
    parts = []
    if condition.mask:
        parts.append(_enhancer(condition.mask, condition.model, condition.config).identity)
    if condition.config is not None and len(condition.config.array.roles) > 1:
        parts.append(_beam(condition.config).identity)
    identity = " ".join((*parts, f"{condition.share:g}"))
    return Condition(condition.name, condition.mask, condition.model, condition.share, condition.config, identity)


@functools.lru_cache(maxsize=16)
def _enhancer(name: str, model: str | None, config: Config | None) -> OfflineEnhancer:
    return make_enhancer(name, config, model)


@functools.lru_cache(maxsize=4)
def _beam(config: Config | None) -> OfflineEnhancer:
    from edge.enhancers.pipeline import PipelineEnhancer

    assert config is not None
    # the mask of the configuration tells the beam who speaks when
    return PipelineEnhancer(config.mask.kind, config, output="asr")
