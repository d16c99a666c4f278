"""How commands reach a running daemon from outside the audio thread."""

from __future__ import annotations

from typing import Any, Protocol


class Controller(Protocol):
    """Implemented by the runtime; called from a side thread (MQTT, signal handler), never from the audio thread."""

    def command(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Check and queue one command; it takes effect at the next hop.

        Names and payloads:
          look {"azimuth_deg": float, "elevation_deg": float = current}    stays there
          look {"track": bool}            follow the talker, or stay where the beam is
          gain_floor {"gain_floor_db": float | "auto"}
          bypass {"enabled": bool}        output = reference microphone, latency unchanged
          echo {"enabled": bool}          take playback off the microphones; refused without a reference channel
          mask {"kind": "network" | "wiener" | "spectral_subtraction" | "bypass"}
          model {"model": str, "precision": "int8" | "float" | "auto"}     either; runs that network, faded in
          beamformer {"kind": "mvdr" | "superdirective" | "delay_sum" | "none"}
          reset {}                        forget all adaptive state
          reload {}                       read the configuration file again
        Returns what is now in force, for the reply. Raises EdgeError with one sentence on anything unacceptable.
        """
