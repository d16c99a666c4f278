"""A live run from opening the devices to closing them; supervises the audio thread and never stands in its way."""

from __future__ import annotations

import gc
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.audio.base import Sink, Source
from edge.audio.factory import make_sink, make_source
from edge.config.schema import Config
from edge.console import say
from edge.errors import DeviceError, EdgeError, UnfitDeviceError
from edge.profiles import PROFILES
from edge.runtime import realtime
from edge.runtime.chain import Chain
from edge.runtime.collect import SnapshotMaker
from edge.runtime.command_log import CommandLog, reload_event
from edge.runtime.controller import LiveController
from edge.runtime.footprint import release_compiler
from edge.runtime.health_watch import HealthWatch
from edge.runtime.loop import AudioLoop
from edge.runtime.notify import Notifier
from edge.runtime.signals import SignalInbox
from edge.runtime.summary import RunSummary, summarize
from edge.runtime.timing import RunStatistics
from edge.runtime.watch import DeviceWatch
from edge.telemetry.publisher import TelemetryThread, Transport, open_transports

TICK_S = 0.25
DRAIN_TIMEOUT_S = 4.0
"""longest wait for the audio thread after a stop; a device read gives up on its own after half a second"""
START_ALLOWANCE_S = 120.0
"""start-up time asked of systemd at a time: compiling the kernels, then each attempt at a missing device"""
GARBAGE_EVERY_S = 60.0
MAX_WARNINGS = 100
"""the latest so many are kept for the summary"""


class LiveRuntime:
    """One live run of a configuration.

    source, sink: other than those the configuration names (opened and closed here). transports: further ways out for
    snapshots and events beside those of the configuration. reread: reads the configuration again, for reloads.
    wait_device_s: how long to retry devices that cannot be opened at the start; infinite for a service.
    model_folders: where commands may take networks from, beside those shipped.
    Making one compiles or loads the kernels and opens the network: ConfigError, ModelError.
    """

    def __init__(
        self,
        config: Config,
        *,
        reread: Callable[[], Config] | None = None,
        source: Source | None = None,
        sink: Sink | None = None,
        transports: Sequence[Transport] = (),
        telemetry_file: str | Path | None = None,
        duration_s: float | None = None,
        wait_device_s: float = 0.0,
        notifier: Notifier | None = None,
        model_folders: Sequence[Path] = (),
        warn: Callable[[str], None] = say,
    ) -> None:
        self._notifier = notifier or Notifier()
        self._notifier.starting("compiling kernels and opening the network", START_ALLOWANCE_S)
        self._say = warn
        self._warnings: deque[str] = deque(maxlen=MAX_WARNINGS)
        self._publish_warning: Callable[[str], None] = lambda sentence: None
        self._wait_device_s = wait_device_s
        self._runtime = config.runtime
        # a file read as fast as it goes would take a core for itself, which is no business of a real-time thread
        self._paced = source is not None or config.input.kind != "file" or config.input.realtime
        profile = PROFILES[config.profile]
        limit = None if duration_s is None else max(1, math.ceil(duration_s * profile.rate_hz / profile.hop_samples))
        self.loop = AudioLoop(source or make_source(config), sink or make_sink(config), Chain(config), limit)
        self._command_log = CommandLog(warn, lambda *event: self._telemetry.event(*event))
        self.controller = LiveController(
            config,
            self.loop,
            reread,
            done=self._command_log.done,
            failed=self._command_log.failed,
            model_folders=model_folders,
        )
        self._transports = [*open_transports(config.telemetry, self.controller, self._warn, telemetry_file)]
        self._transports += transports
        self._interval_s = config.telemetry.interval_s
        # a file that is written is emptied by opening it, so what is read has to be there first; between two devices
        # the sink comes first: a source that runs while the sink is still opening would lose frames
        self._sink_first = config.input.kind != "file" and config.output.kind not in ("file", "null")
        self._maker = SnapshotMaker(self.loop)
        self._statistics = RunStatistics(self.loop.clock)
        self._watch = DeviceWatch(self.loop)
        self._health_watch = HealthWatch(self.loop)
        self._telemetry = TelemetryThread(self._maker.make, self._transports, self._interval_s, self._note)
        self._publish_warning = lambda sentence: self._telemetry.event("warning", sentence)
        for sentence in self._warnings:  # of the time before
            self._publish_warning(sentence)
        self._reason = ""
        self._stuck = False

    def stop(self) -> None:
        """End the run after the block in hand; from any thread."""
        self._reason = self._reason or "stopped"
        self.loop.stop()

    def run(self) -> RunSummary:
        """Run until the input or the duration ends, or SIGTERM, SIGINT or stop(); returns after everything is closed.

        Raises DeviceError or AudioFileError when a device cannot be opened, or what broke the loop.
        """
        with SignalInbox() as inbox:
            try:
                if self._open_devices(inbox):
                    self._run_threads(inbox)
            finally:
                errors = self._close_devices()
                self._telemetry.stop()
                realtime.release_interpreter()
                self._notifier.close()
        if self.loop.error:
            raise self.loop.error
        if errors:
            raise errors[0]
        return self._summary()

    # ---- start ----

    def _open_devices(self, inbox: SignalInbox) -> bool:
        """Open source and sink, retrying devices that are away or busy for as long as allowed. False when stopped."""
        give_up_s = time.monotonic() + self._wait_device_s
        pause_s = 1.0
        waiting = False
        while True:
            try:
                for open_ in (self._open_sink, self._open_source)[:: 1 if self._sink_first else -1]:
                    open_()
                return True
            except UnfitDeviceError:
                raise
            except DeviceError as error:
                self.loop.source.close()
                self.loop.sink.close()
                if time.monotonic() + pause_s > give_up_s:
                    raise
                if not waiting:
                    self._warn(f"{error}; trying again until it is there")
                    waiting = True
                self._notifier.starting(f"waiting for a device: {error}", START_ALLOWANCE_S)
            if self._stop_signals(inbox.wait(pause_s)):
                return False
            pause_s = min(2.0 * pause_s, 10.0)

    def _open_source(self) -> None:
        self.loop.source.open()
        self._check("input", self.loop.source, self.loop.chain.pipeline.channels)

    def _open_sink(self) -> None:
        self.loop.sink.open()
        self._check("output", self.loop.sink, len(self.loop.chain.pipeline.outputs))

    def _check(self, what: str, device: Source | Sink, channels: int) -> None:
        rate_hz = self.loop.chain.pipeline.rate_hz
        if device.channels != channels or device.rate_hz != rate_hz:
            raise UnfitDeviceError(
                f"the {what} gives {device.channels} channels at {device.rate_hz} Hz, "
                f"expected {channels} at {rate_hz} Hz"
            )

    def _run_threads(self, inbox: SignalInbox) -> None:
        release_compiler()
        if self._paced and self._runtime.lock_memory and (refused := realtime.lock_memory()):
            self._warn(refused)
        realtime.settle_interpreter()
        audio = threading.Thread(target=self._audio_thread, args=(inbox,), name="edge-audio", daemon=True)
        audio.start()
        self._telemetry.start()
        self._supervise(inbox)
        self._notifier.stopping()
        audio.join(DRAIN_TIMEOUT_S)
        if audio.is_alive():
            self._stuck = True
            self._warn("the audio device did not answer while draining; its last block is lost")
        self._statistics.drain()

    def _audio_thread(self, inbox: SignalInbox) -> None:
        # signals are the main thread's; one arriving here would interrupt a device call
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        if self._paced:
            for refused in realtime.set_up_audio_thread(self._runtime):
                self._warn(refused)
        self.loop.run()
        inbox.wake()

    # ---- while audio flows ----

    def _supervise(self, inbox: SignalInbox) -> None:
        """Until the loop has ended or was told to stop."""
        loop = self.loop
        ready = reload_wanted = False
        mode = loop.chain.mode
        next_garbage_s = next_allowance_s = time.monotonic()
        tick_s = min(TICK_S, self._notifier.watchdog_interval_s / 2 or TICK_S)
        while not loop.ended.is_set():
            signals = inbox.wait(tick_s)
            if self._stop_signals(signals):
                return
            reload_wanted = reload_wanted or bool(signals)
            if reload_wanted and not self.controller.reload_due_in_s:
                self._reload()
                reload_wanted = False
            self._statistics.drain()
            now_s = time.monotonic()
            if not ready and loop.delivered and loop.captured_frames > 0:
                ready = True
                self._notifier.ready(self._status())
            elif not ready and now_s >= next_allowance_s:
                self._notifier.starting("waiting for the first sound from the microphones", START_ALLOWANCE_S)
                next_allowance_s = now_s + START_ALLOWANCE_S / 4
            if ready:
                # blocks count, silence in place of lost microphones too: a restart would not bring those back
                self._notifier.watchdog(loop.delivered, now_s)
            if mode != (mode := loop.chain.mode):
                self._note(f"mode is now '{mode}'")
                self._notifier.status(self._status())
            for event in (*self._watch.look(), *self._health_watch.look()):
                self._say(event.message)
                self._telemetry.event(event.kind, event.message, event.details)
            replaced = bool(loop.retired)
            loop.retired.clear()
            if replaced or now_s >= next_garbage_s:
                # what the side threads leave behind in cycles: little, since all that the start made is frozen
                gc.collect(2 if replaced else 0)
                next_garbage_s = now_s + GARBAGE_EVERY_S

    def _stop_signals(self, signals: set[int]) -> bool:
        ending = sorted(signals & {signal.SIGINT, signal.SIGTERM})
        if ending:
            self._reason = signal.Signals(ending[0]).name
            self.loop.stop()
        return bool(ending)

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            now = self.controller.reload()
        except Exception as error:  # whatever a file can hold must not end the audio
            reason = str(error) if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"
            sentence = f"reload failed, the old configuration goes on: {reason}"
            details: dict[str, Any] = {"ok": False}
        else:
            sentence, details = reload_event(now)
        self._say(sentence)
        self._telemetry.event("reload", " ".join(sentence.split()), details)
        self._notifier.ready(self._status())

    def _status(self) -> str:
        pipeline, mode = self.loop.chain.pipeline, self.loop.chain.mode
        return f"{pipeline.beamformer_kind} and {pipeline.mask_kind} on {pipeline.channels} channels, {mode}"

    def _warn(self, sentence: str) -> None:
        """Say, keep and publish a warning."""
        self._note(sentence)
        self._publish_warning(sentence)

    def _note(self, sentence: str) -> None:
        """A warning of which telemetry knows already."""
        self._warnings.append(sentence)
        self._say(f"warning: {sentence}")

    # ---- end ----

    def _close_devices(self) -> list[EdgeError]:
        errors: list[EdgeError] = []
        if self._stuck:
            return errors  # the audio thread is still inside a device, where closing it could crash
        for device in (self.loop.source, self.loop.sink):
            try:
                device.close()
            except EdgeError as error:
                errors.append(error)
            warning = getattr(device, "warning", "")
            if warning and not errors:
                self._warn(warning)
        return errors

    def _summary(self) -> RunSummary:
        return summarize(
            self.loop, self._statistics, self._maker.make(), self._reason or self.loop.end_reason, self._warnings
        )
