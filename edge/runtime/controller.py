"""Commands and reloads: checked and prepared on the caller's thread, put in force between two hops."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.config.schema import Config, MaskConfig
from edge.decoding import Range, fitting, keys, show
from edge.errors import ConfigError, ModelError, UsageError
from edge.mask.base import model_name
from edge.runtime import realtime
from edge.runtime.chain import Chain
from edge.runtime.commanded_model import commanded_model, trusted_folders
from edge.runtime.loop import AudioLoop
from edge.runtime.reload import changed_keys, live_part, needs_restart

EXPENSIVE = ("mask", "model", "beamformer", "reload")
EXPENSIVE_EVERY_S = 1.0
"""what makes parts disturbs the audio thread a little: at most one such command in this time"""
PAUSE_S = 0.001
"""between the steps of making parts, for the audio thread to have the interpreter to itself"""

_ARGUMENTS: dict[str, dict[str, tuple[str, bool]]] = {
    "look": {
        "azimuth_deg": ("beamformer.azimuth_deg", False),
        "elevation_deg": ("beamformer.elevation_deg", False),
        "track": ("", False),
    },
    "gain_floor": {"gain_floor_db": ("mask.floor_db", True)},
    "mask": {"kind": ("mask.kind", True)},
    "model": {"model": ("mask.model", False), "precision": ("mask.precision", False)},
    "beamformer": {"kind": ("beamformer.kind", True)},
    "bypass": {"enabled": ("", True)},
    "echo": {"enabled": ("", True)},
    "reset": {},
    "reload": {},
}
"""command -> argument -> (configuration key with the same limits, or none for a switch; whether it has to be given)"""

_KEYS = {key.path: key for key in keys(Config)}


class LiveController:
    """Implements edge.telemetry.control.Controller for one audio loop.

    `config` is what is in force: the file, and what commands have changed since. `reread` reads the file again; None
    where the configuration did not come from one. clock: seconds, for the limit on expensive commands. done: told of
    each command() that was carried out, with its name and result, on the thread that called it; failed: of each whose
    network or configuration was no good, with its name and the sentence. model_folders: where else a command may take
    networks from.
    """

    def __init__(
        self,
        config: Config,
        loop: AudioLoop,
        reread: Callable[[], Config] | None = None,
        clock: Callable[[], float] = time.monotonic,
        done: Callable[[str, dict[str, Any]], None] = lambda name, result: None,
        failed: Callable[[str, str], None] = lambda name, sentence: None,
        model_folders: Sequence[Path] = (),
    ) -> None:
        self.config = config
        self._done, self._failed = done, failed
        self._model_folders = model_folders
        self._loop = loop
        self._chain = loop.chain
        self._chain.set_pause(_pause)
        self._reread = reread
        self._clock = clock
        self._next_expensive_s = -math.inf
        self._bypassed = False
        self._model = model_name(self._chain.estimator)
        self._configured_model = config.mask.model
        """the owner's choice: commands change the one in force, not whose folder is trusted"""
        # commands come from the telemetry connection, reloads from the main thread as well
        self._lock = threading.Lock()

    def command(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """See Controller.command. Raises EdgeError with one sentence; then nothing has changed."""
        try:
            result = self._carry_out(name, payload)
        except (ConfigError, ModelError) as error:
            self._failed(name, str(error))
            raise
        self._done(name, result)
        return result

    def _carry_out(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        carry_out: dict[str, Callable[..., dict[str, Any] | None]] = {
            "look": self._look,
            "gain_floor": self._gain_floor,
            "mask": self._mask,
            "model": self._network,
            "beamformer": self._beamformer,
            "bypass": self._bypass,
            "echo": self._echo,
            "reset": self._reset,
            "reload": self._reload,
        }
        if name not in carry_out:
            raise UsageError(f"command '{name}' is not known; expected one of {', '.join(carry_out)}")
        values = _checked(name, payload)
        with self._lock:
            if name not in EXPENSIVE:
                extra = carry_out[name](**values)
            else:
                self._limit_rate(name)
                try:
                    with realtime.preparing(self.config.runtime.realtime_priority):
                        extra = carry_out[name](**values)
                finally:  # the making itself may have taken longer than that
                    self._next_expensive_s = self._clock() + EXPENSIVE_EVERY_S
            return self._in_force() | (extra or {})

    @property
    def reload_due_in_s(self) -> float:
        """How long to wait before reload() is not refused for coming too soon."""
        return max(self._next_expensive_s - self._clock(), 0.0)

    def _limit_rate(self, name: str) -> None:
        now_s = self._clock()
        if now_s < self._next_expensive_s:
            raise UsageError(
                f"{name}: came within {EXPENSIVE_EVERY_S:g} s of another mask, model, beamformer or reload command, "
                "and many would disturb the audio; it was ignored, send it again later"
            )
        self._next_expensive_s = now_s + EXPENSIVE_EVERY_S

    def reload(self) -> dict[str, Any]:
        """Read the configuration file again and change what can change live. Raises EdgeError; then the old one stays.

        Returns what is in force, `changed` (keys now in force) and `restart_needed` (keys that wait for a restart).
        """
        return self._carry_out("reload", {})

    # ---- one method per command, arguments already checked ----

    def _look(
        self, azimuth_deg: float | None = None, elevation_deg: float | None = None, track: bool | None = None
    ) -> None:
        config, pipeline = self.config, self._chain.pipeline
        if len(config.array.positions_m) < 2:
            raise UsageError("look: one microphone has no direction, so there is nothing to steer")
        if track:
            if azimuth_deg is not None or elevation_deg is not None:
                raise UsageError("look: track together with a direction; expected one of them")
            if pipeline.spatial.localizer is None:
                raise UsageError("look: microphones on one upright line hear no azimuth, so there is nothing to track")
            beamformer = dataclasses.replace(config.beamformer, steering="track")
            self.config = dataclasses.replace(config, beamformer=beamformer)
            self._loop.at_next_hop(lambda: pipeline.set_tracking(True))
            return
        if azimuth_deg is None:
            if track is None:
                expected = _expected("beamformer.azimuth_deg")
                raise UsageError(f"look: azimuth_deg is missing; expected {expected}, or track to be given")
            azimuth_deg = pipeline.azimuth_deg  # stay where the beam is
        azimuth, elevation = azimuth_deg, config.beamformer.elevation_deg if elevation_deg is None else elevation_deg
        beamformer = dataclasses.replace(
            config.beamformer, steering="fixed", azimuth_deg=azimuth, elevation_deg=elevation
        )
        self.config = dataclasses.replace(config, beamformer=beamformer)
        self._loop.at_next_hop(lambda: pipeline.set_look(azimuth, elevation))

    def _gain_floor(self, gain_floor_db: float | str) -> None:
        mask = dataclasses.replace(self.config.mask, floor_db=gain_floor_db)
        self.config = dataclasses.replace(self.config, mask=mask)
        pipeline = self._chain.pipeline
        self._loop.at_next_hop(lambda: pipeline.set_gain_floor_db(gain_floor_db))

    def _bypass(self, enabled: bool) -> None:
        self._bypassed = enabled
        pipeline = self._chain.pipeline
        self._loop.at_next_hop(lambda: pipeline.set_bypass(enabled))

    def _echo(self, enabled: bool) -> None:
        canceller = self._chain.pipeline.front.canceller
        if canceller is None:
            raise UsageError("echo: no channel has the role R in array.roles, so there is no playback to take off")
        self.config = dataclasses.replace(self.config, echo=dataclasses.replace(self.config.echo, enabled=enabled))
        self._loop.at_next_hop(lambda: canceller.set_enabled(enabled))

    def _mask(self, kind: str) -> None:
        self._adopt(dataclasses.replace(self.config.mask, kind=kind), self.config.beamformer.kind)

    def _network(self, model: str | None = None, precision: str | None = None) -> None:
        if model is None and precision is None:
            raise UsageError(f"model: model or precision is missing; precision is {_expected('mask.precision')}")
        mask = dataclasses.replace(self.config.mask, kind="network")
        if model is not None:
            folders = trusted_folders(self._configured_model, self._model_folders)
            mask = dataclasses.replace(mask, model=commanded_model(model, folders))
        if precision is not None:
            mask = dataclasses.replace(mask, precision=precision)
        self._adopt(mask, self.config.beamformer.kind, keep_rung=True)

    def _beamformer(self, kind: str) -> None:
        self._adopt(self.config.mask, kind)

    def _adopt(self, mask: MaskConfig, beamformer: str, keep_rung: bool = False) -> None:
        """Put in what `mask` and `beamformer` name. Raises ConfigError or ModelError; then nothing has changed."""
        chain = self._chain
        parts = chain.prepare(mask, beamformer)
        self._loop.at_next_hop(lambda: chain.adopt(parts, keep_rung))
        self._model = model_name(parts.swap.estimator)
        shape = dataclasses.replace(self.config.beamformer, kind=beamformer)
        self.config = dataclasses.replace(self.config, mask=mask, beamformer=shape)

    def _reset(self) -> None:
        self._loop.at_next_hop(self._chain.pipeline.reset)

    def _reload(self) -> dict[str, Any]:
        if self._reread is None:
            raise UsageError("reload: this run was started without a configuration file, so there is none to read")
        self._loop.retired.clear()
        wanted = self._reread()
        _pause()
        config = live_part(self.config, wanted)
        changed, waiting = changed_keys(self.config, config), needs_restart(self.config, wanted)
        if not changed and config.mask.kind == "network" and self._chain.network_changed(config):
            changed = ["mask.model"]  # the same name, but other files, or another choice of edge bench --pick-model
        if changed and all(key.startswith("mask.") for key in changed):
            self._adopt(config.mask, config.beamformer.kind, keep_rung=True)
            self._gain_floor(config.mask.floor_db)
        elif changed:
            chain = Chain(config, pause=_pause)
            chain.pipeline.set_bypass(self._bypassed)
            self._loop.at_next_hop(lambda: self._loop.begin_swap(chain))
            self._chain, self.config, self._model = chain, config, model_name(chain.estimator)
        self._configured_model = wanted.mask.model
        return {"changed": changed, "restart_needed": waiting}

    def _in_force(self) -> dict[str, Any]:
        beamformer, mask = self.config.beamformer, self.config.mask
        tracking = beamformer.steering == "track"
        return {
            "steering": beamformer.steering,
            "azimuth_deg": self._chain.pipeline.azimuth_deg if tracking else beamformer.azimuth_deg,
            "elevation_deg": beamformer.elevation_deg,
            "beamformer": beamformer.kind,
            "mask": mask.kind,
            "model": self._model,
            "gain_floor_db": self.config.gain_floor_db,
            "bypass": self._bypassed,
            "echo": self.config.echo.enabled if self._chain.pipeline.front.canceller else None,
        }


def _pause() -> None:
    time.sleep(PAUSE_S)


def _checked(command: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command with the limits of the configuration. Raises UsageError with one sentence."""
    arguments = _ARGUMENTS[command]
    for name in payload:
        if name not in arguments:
            takes = ", ".join(arguments) or "no arguments"
            raise UsageError(f"{command}: unknown argument '{name}'; expected {takes}")
    values = {}
    for name, (path, required) in arguments.items():
        if name in payload:
            values[name] = _checked_value(f"{command}: {name}", payload[name], path)
        elif required:
            raise UsageError(f"{command}: {name} is missing; expected {_expected(path)}")
    return values


def _checked_value(what: str, raw: Any, path: str) -> Any:
    key = _KEYS.get(path)
    value: Any
    if key is None:
        value = raw if isinstance(raw, bool) else None
    elif isinstance(raw, str) and not key.constraints:
        value = raw  # what it may be is for the command to say
    else:
        value = fitting(raw, key)
    if value is None:
        shown = show(raw) if isinstance(raw, int) else json.dumps(raw, default=str)
        raise UsageError(f"{what} is {shown}, expected {_expected(path)}")
    return value


def _expected(path: str) -> str:
    key = _KEYS.get(path)
    if key is None:
        return "true or false"
    if not key.constraints:
        return "text"
    return " or ".join(f"a number {limit}" if isinstance(limit, Range) else str(limit) for limit in key.constraints)
