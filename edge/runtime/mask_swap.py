"""Another gain estimator for a running pipeline, with everything made beforehand that the audio thread needs for it."""

from __future__ import annotations

from edge.errors import ConfigError
from edge.listener import Listener
from edge.mask.base import MaskEstimator
from edge.mask.crossfade import CrossfadeMask
from edge.pipeline import Pipeline


class MaskSwap:
    """Puts `estimator` (made and warmed) into `pipeline` with a crossfade; the listener's network follows in step.

    Made on any thread; `begin` and `finish` are the audio thread's and allocate nothing. listener: that of `estimator`
    where it had one already. Raises ConfigError for an estimator of another latency: sound would be lost or repeated.
    """

    def __init__(self, pipeline: Pipeline, estimator: MaskEstimator, kind: str, listener: Listener | None) -> None:
        if estimator.latency_samples != pipeline.latency_samples - pipeline.hop_samples:
            raise ConfigError(
                f"mask {kind} delays by {estimator.latency_samples} samples and the one in use by "
                f"{pipeline.latency_samples - pipeline.hop_samples}; restart to change it"
            )
        self.estimator = estimator
        self.kind = kind
        self.listener = listener
        self.fade = CrossfadeMask(estimator, pipeline.profile)
        self._ears_fade = CrossfadeMask(listener.own, pipeline.profile) if listener is not None else None

    def begin(self, pipeline: Pipeline) -> None:
        """Have the new one listen beside the one in use."""
        self.estimator.reset()
        self.fade.begin(pipeline.estimator)
        before = pipeline.listener
        if self.listener is not None and self._ears_fade is not None:
            self.listener.reset()
            self.listener.awaited = True
            if before is not None and before is not self.listener and pipeline.mask_kind == "network":
                self._ears_fade.begin(before.estimator)
                self.listener.estimator = self._ears_fade
        # the old kind is in force until the fade is over
        pipeline.set_mask(self.fade, pipeline.mask_kind, self.listener)

    @property
    def done(self) -> bool:
        return self.fade.done

    def finish(self, pipeline: Pipeline) -> None:
        """Leave the new one in alone, at once if the fade is not over yet."""
        if self.listener is not None:
            self.listener.estimator = self.listener.own
            self.listener.awaited = False
        pipeline.set_mask(self.estimator, self.kind, self.listener)
