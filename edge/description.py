"""What a configuration means: one dictionary for scripts, one text for people."""

from __future__ import annotations

import math
from typing import Any

from edge.boards import load_board
from edge.config.schema import Config
from edge.drawing import draw_from_above
from edge.errors import ModelError
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry, geometry_from_config
from edge.latency import latency_lines
from edge.mask.choice import choose, mics_in_beam
from edge.profiles import PROFILES

_ROLE_NAMES = {"R": "playback reference", "X": "unused"}
_SHAPES = ("point", "line", "plane", "body")


def describe(config: Config) -> dict[str, Any]:
    """Everything that follows from `config`, JSON-ready (None where a number does not exist). Opens no device."""
    profile = PROFILES[config.profile]
    geometry = geometry_from_config(config.array)
    lines = latency_lines(config, profile)
    from_file = config.input.kind == "file"
    return {
        "profile": {
            "name": profile.name,
            "rate_hz": profile.rate_hz,
            "window_samples": profile.window_samples,
            "hop_samples": profile.hop_samples,
            "hop_ms": profile.hop_ms,
            "algorithmic_latency_ms": profile.algorithmic_latency_ms,
        },
        "array": _array(config, geometry, profile.rate_hz),
        "channels": _channels(config),
        "input": {
            "kind": config.input.kind,
            "from": config.input.path if from_file else config.input.device,
            "channels": len(config.array.roles),
            # a file has its own
            "rate_hz": None if from_file else config.input.rate_hz,
            "format": None if from_file else config.input.format,
        },
        "output": {
            "kind": config.output.kind,
            "to": _sink(config),
            "channels": list(config.output.channels),
            "rate_hz": config.output.rate_hz,
            "format": config.output.format,
        },
        "echo": _echo(config),
        "beamformer": {
            "kind": config.beamformer.kind,
            "steering": _steering(config, geometry),
            "azimuth_deg": config.beamformer.azimuth_deg,
            "elevation_deg": config.beamformer.elevation_deg,
            "sector_deg": config.beamformer.sector_deg,
        },
        "health": {
            "enabled": config.health.enabled and geometry.mics > 1,
            "channel_order": config.health.channel_order,
        },
        "mask": {"kind": config.mask.kind, "floor_db": config.gain_floor_db, **_network(config)},
        "latency_ms": {line.name: line.ms for line in lines} | {"total": sum(line.ms for line in lines)},
        "latency_why": {line.name: line.why for line in lines},
        "board": _board(config),
        "notes": _notes(config, geometry, profile.rate_hz),
    }


def _array(config: Config, geometry: ArrayGeometry, rate_hz: int) -> dict[str, Any]:
    beam = config.beamformer
    delays = geometry.steering_delays_s(beam.azimuth_deg, beam.elevation_deg) * rate_hz
    aliasing = geometry.spatial_aliasing_hz
    return {
        "board": config.array.board or None,
        "calibration": config.array.calibration or None,
        "mics": geometry.mics,
        "positions_m": geometry.positions_m.tolist(),
        "shape": _SHAPES[geometry.dimensions],
        "ambiguity": geometry.ambiguity,
        "aperture_m": geometry.aperture_m,
        "min_spacing_m": geometry.min_spacing_m,
        "max_delay_samples": geometry.max_delay_samples(rate_hz),
        "spatial_aliasing_hz": aliasing if math.isfinite(aliasing) else None,
        "look_delay_samples": delays.tolist(),
        "drawing": draw_from_above(geometry, beam.azimuth_deg, beam.elevation_deg),
    }


def _channels(config: Config) -> list[dict[str, Any]]:
    channels: list[dict[str, Any]] = []
    mic = 0
    for channel, role in enumerate(config.array.roles):
        entry: dict[str, Any] = {"channel": channel, "role": role}
        if role == "M":
            entry["meaning"] = f"microphone {mic}"
            entry["gain_db"] = config.array.gains_db[mic] if config.array.gains_db else 0.0
            entry["delay_us"] = config.array.delays_us[mic] if config.array.delays_us else 0.0
            mic += 1
        else:
            entry["meaning"] = _ROLE_NAMES[role]
        channels.append(entry)
    return channels


def _echo(config: Config) -> dict[str, Any]:
    references = [channel for channel, role in enumerate(config.array.roles) if role == "R"]
    return {
        "enabled": config.echo.enabled and bool(references),
        "references": references,
        "tail_ms": config.echo.tail_ms,
        "max_delay_ms": config.echo.max_delay_ms,
    }


def _steering(config: Config, geometry: ArrayGeometry) -> str | None:
    """How the beam gets its direction; None where there is no beam."""
    if config.beamformer.kind == "none":
        return None
    return config.beamformer.steering if geometry.hears_azimuth else "fixed"


def _sink(config: Config) -> str:
    return {"file": config.output.path, "null": "nowhere"}.get(config.output.kind, config.output.device)


def _network(config: Config) -> dict[str, Any]:
    """The network that is chosen, its checksum verified; or, under "problem", why there is none to run."""
    if config.mask.kind != "network":
        return {"model": None, "manifest": None, "precision": None, "chosen": None, "problem": None}
    found: dict[str, Any] = {"model": None, "manifest": None, "precision": config.mask.precision}
    found |= {"chosen": None, "problem": None}
    profile = PROFILES[config.profile]
    try:
        chosen = choose(config.mask, profile, mics_in_beam(config))
        found |= {"manifest": str(chosen.manifest), "precision": chosen.precision, "chosen": chosen.why}
        manifest = chosen.open(profile)
        found["model"] = manifest.name
        manifest.network_file(chosen.precision)
    except ModelError as error:
        found["problem"] = str(error)
    return found


def _board(config: Config) -> dict[str, Any] | None:
    if not config.array.board:
        return None
    board = load_board(config.array.board)
    return {
        "name": board.name,
        "description": board.description,
        "confidence": board.source.confidence,
        "source": board.source.where,
        "unseen": list(board.unseen),
    }


def _notes(config: Config, geometry: ArrayGeometry, rate_hz: int) -> list[str]:
    """Things that are allowed and still worth a sentence."""
    notes = []
    if geometry.mics > 1 and geometry.spatial_aliasing_hz < rate_hz / 2:
        notes.append(
            f"Above {geometry.spatial_aliasing_hz:.0f} Hz some direction beside the look direction adds up in phase "
            "too (spatial aliasing); microphones closer together would move that up."
        )
    if geometry.mics > 1 and geometry.ambiguity:
        notes.append(geometry.ambiguity)
    if config.beamformer.kind != "none" and config.beamformer.steering == "track" and not geometry.hears_azimuth:
        notes.append("An upright line of microphones cannot tell azimuths apart: the beam does not follow the talker.")
    if config.beamformer.kind == "none" and geometry.mics > 1:
        notes.append('beamformer.kind is "none": only the first microphone is heard.')
    input_rate_hz = config.input.rate_hz
    if config.input.kind == "file":
        channels, input_rate_hz = read_header(config.input.path) or (len(config.array.roles), rate_hz)
        notes += _wrong_channels(config, channels)
    for side, rate in (("input", input_rate_hz), ("output", config.output.rate_hz)):
        if rate != rate_hz:
            notes.append(f"The {side} runs at {rate} Hz and the profile at {rate_hz} Hz: it is resampled.")
    mqtt = config.telemetry.mqtt
    local = mqtt.host in ("127.0.0.1", "::1", "localhost")
    if mqtt.enabled and not mqtt.tls and mqtt.username and not local:
        notes.append("The MQTT password goes over the network unencrypted: set telemetry.mqtt.tls = true.")
    return notes


def read_header(path: str) -> tuple[int, int] | None:
    """(channels, rate_hz) that a sound file's header tells; None where there is no such file or it cannot be read."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError):
        return None
    return info.channels, info.samplerate


def _wrong_channels(config: Config, channels: int) -> list[str]:
    """A note if the input file has other channels than the array; if it has just the microphones, with the remedy."""
    roles, mics = config.array.roles, len(config.array.positions_m)
    if channels == len(roles):
        return []
    remedy = f'; for just the microphones set array.roles = "{"M" * mics}"' if channels == mics else ""
    return [f"{config.input.path} has {channels} channels, expected {len(roles)} (roles {roles}){remedy}."]


def render(description: dict[str, Any]) -> str:
    """The dictionary of describe() as text for a terminal of 100 columns or more."""
    d = description
    array, profile, board = d["array"], d["profile"], d["board"]
    out: list[str] = []
    out.append(
        f"profile     {profile['name']}: {profile['rate_hz']} Hz, window {profile['window_samples']}, "
        f"hop {profile['hop_samples']} ({profile['hop_ms']:g} ms)"
    )
    source, sink = d["input"], d["output"]
    said = f"{source['channels']} channels, {source['rate_hz']} Hz, {source['format']}"
    if source["kind"] == "file":
        said = f"{source['channels']} channels expected (one per role)"
    out.append(f"input       {source['kind']} {source['from']}: {said}")
    to = "" if sink["kind"] == "null" else f" {sink['to']}, {sink['rate_hz']} Hz, {sink['format']}"
    out.append(f"output      {sink['kind']}{to}: {', '.join(sink['channels'])}")
    mask = d["mask"]
    out.append(f"echo        {_render_echo(d['echo'])}")
    out.append(f"beamformer  {_render_beam(d['beamformer'])}")
    out.append(f"health      {_render_health(d['health'], array['mics'])}")
    network = f" {mask['model'] or 'that cannot run'}, {mask['precision']}" if mask["kind"] == "network" else ""
    out.append(f"mask        {mask['kind']}{network}; least gain {mask['floor_db']:g} dB")
    if mask["problem"]:
        out.append(f"            PROBLEM: {mask['problem']}")
    if board:
        out.append(f"board       {board['name']}: {board['description']}")
    if array["calibration"]:
        delays_us = [entry["delay_us"] for entry in d["channels"] if entry["role"] == "M"]
        shown = "delays " + ", ".join(f"{us + 0.0:.1f}" for us in delays_us) + " us" if any(delays_us) else "no delays"
        out.append(f"calibration {array['calibration']}: gains below, {shown}")
    out += ["", *_render_array(array, d["channels"]), "", "latency (upper bounds)"]
    for name, ms in d["latency_ms"].items():
        out.append(f"  {name:<12}{ms:8.2f} ms   {d['latency_why'].get(name, '')}".rstrip())
    if board:
        out += ["", f"coordinates of {board['name']}: confidence {board['confidence']}", f"  {board['source']}"]
        out += ["never seen on hardware", *(f"  - {line}" for line in board["unseen"])]
    if d["notes"]:
        out += ["", "notes", *(f"  - {note}" for note in d["notes"])]
    return "\n".join(out) + "\n"


def _render_echo(echo: dict[str, Any]) -> str:
    references = echo["references"]
    if not references:
        return "nothing to cancel: no channel has role R"
    named = f"reference channel{'s' * (len(references) > 1)} {' and '.join(str(channel) for channel in references)}"
    if not echo["enabled"]:
        return f"off, {named} not used"
    return f"cancelled: {named}, tail {echo['tail_ms']:g} ms, found up to {echo['max_delay_ms']:g} ms late"


def _render_beam(beam: dict[str, Any]) -> str:
    at = f"azimuth {beam['azimuth_deg']:g}, elevation {beam['elevation_deg']:g} degrees"
    if beam["steering"] is None:
        return str(beam["kind"])
    if beam["steering"] == "fixed":
        return f"{beam['kind']}, fixed at {at}"
    where = "everywhere" if beam["sector_deg"] >= 180.0 else f"within {beam['sector_deg']:g} degrees of its start"
    return f"{beam['kind']}, follows the talker {where}, starts at {at}"


def _render_health(health: dict[str, Any], mics: int) -> str:
    if not health["enabled"]:
        return "off" if mics > 1 else "one microphone: none to leave out"
    order = {"correct": "put right", "alarm": "reported", "ignore": "not looked for"}[health["channel_order"]]
    return f"microphones that fail are left out, channels that have changed places are {order}"


def _render_array(array: dict[str, Any], channels: list[dict[str, Any]]) -> list[str]:
    out = ["channel  role                  x mm     y mm     z mm   gain dB   delay towards look (samples)"]
    mic = 0
    for entry in channels:
        line = f"{entry['channel']:>7}  {entry['meaning']:<18}"
        if entry["role"] == "M":
            x, y, z = (1000 * c for c in array["positions_m"][mic])
            line += f"{x:9.1f}{y:9.1f}{z:9.1f}{entry['gain_db']:10.1f}{array['look_delay_samples'][mic] + 0.0:12.2f}"
            mic += 1
        out.append(line.rstrip())
    out += ["", *array["drawing"], ""]
    if array["mics"] == 1:
        return [*out, "one microphone: no beam, no direction"]
    aliasing = f"{array['spatial_aliasing_hz']:.0f} Hz"
    return [
        *out,
        f"aperture                  {array['aperture_m'] * 1000:8.1f} mm",
        f"smallest spacing          {array['min_spacing_m'] * 1000:8.1f} mm",
        f"largest delay between two {array['max_delay_samples']:8.2f} samples",
        f"spatial aliasing from     {aliasing:>11} (sound at {SPEED_OF_SOUND_M_S:g} m/s)",
    ]
