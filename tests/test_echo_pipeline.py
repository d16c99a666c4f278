"""Echo cancellation as a stage of the pipeline: on where a channel is a reference, switchable, told, followed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from echo_scenes import RATE_HZ, played, ratio_db, room, span, voice
from live_parts import ArraySink, ArraySource, live_config
from signal_path import SQUARE, make_pipeline, run

from edge.cli.main import main
from edge.config.schema import EchoConfig
from edge.errors import UsageError
from edge.pipeline import build_pipeline
from edge.quality.shadow import run_with_components
from edge.runtime.chain import Chain
from edge.runtime.collect import SnapshotMaker
from edge.runtime.controller import LiveController
from edge.runtime.loop import AudioLoop
from edge.telemetry.payload import telemetry_payload


def _captured(seed=1, seconds=6.0):
    """Four microphones that hear nothing but the loudspeaker, and the reference: (samples, 5)."""
    rng = np.random.default_rng(seed)
    reference = voice(rng, seconds)
    echo = played(reference, room(rng))
    noise = 1e-4 * rng.standard_normal(echo.shape)
    return np.concatenate([echo + noise, reference[:, None]], axis=1).astype(np.float32)


def test_the_stage_is_there_only_with_a_reference():
    assert "echo" not in [name for name, _ in make_pipeline().stages]
    assert make_pipeline().front.canceller is None
    names = [name for name, _ in make_pipeline(roles="MMMMR").stages]
    assert names[:3] == ["condition", "echo", "analyze"]
    pipeline = make_pipeline(roles="MMMMR", echo=EchoConfig(enabled=False))
    assert pipeline.front.canceller is not None
    assert not pipeline.front.canceller.enabled


@pytest.mark.parametrize("profile", ["assistant", "hearing"])
def test_echo_does_not_reach_the_outputs(profile):
    captured = _captured()
    on = run(make_pipeline(roles="MMMMR", profile=profile), captured)
    off = run(make_pipeline(roles="MMMMR", profile=profile, echo=EchoConfig(enabled=False)), captured)
    for output in range(2):
        assert ratio_db(span(off, 5, 6)[:, output], span(on, 5, 6)[:, output]) > 18.0


def test_calibration_and_channel_order_are_of_no_matter():
    captured = _captured()
    moved = captured[:, [4, 3, 2, 1, 0]] * np.float32([1, 0.5, 1, 2, 1])
    options = {"roles": "RMMMM", "gains_db": (6.0206, 0.0, -6.0206, 0.0)}
    on = run(make_pipeline(SQUARE, **options), moved)
    off = run(make_pipeline(SQUARE, **options, echo=EchoConfig(enabled=False)), moved)
    assert ratio_db(span(off, 5, 6), span(on, 5, 6)) > 18.0


def test_bypass_is_the_microphone_with_its_echo():
    captured = _captured(seconds=2.0)
    pipeline = make_pipeline(beamformer="mvdr", roles="MMMMR")
    pipeline.set_bypass(True)
    out = run(pipeline, captured)
    delay = pipeline.latency_samples
    np.testing.assert_allclose(out[8000 + delay : 31000 + delay, 0], captured[8000:31000, 0], atol=1e-5)
    pipeline.set_bypass(False)  # it went on learning
    out = run(pipeline, captured)
    assert ratio_db(span(captured, 0.5, 1.5)[:, 0], span(out, 0.5, 1.5)[:, 1]) > 12.0


def test_shadow_filtering_follows_what_was_taken_off():
    captured = _captured(seconds=3.0)
    talker = np.zeros_like(captured)
    talker[:, :4] = played(voice(np.random.default_rng(2), 3.0), room(np.random.default_rng(3)))
    pipeline = make_pipeline(roles="MMMMR", limiter_dbfs=0.0)
    result = run_with_components(pipeline, {"talker": talker, "echo": captured})
    np.testing.assert_allclose(result.asr["talker"] + result.asr["echo"], result.output[:, 1], atol=1e-5)
    assert ratio_db(span(captured, 2, 3)[:, 0], span(result.asr["echo"], 2, 3)) > 6.0
    with pytest.raises(ValueError, match="only one component may play"):
        run_with_components(make_pipeline(roles="MMMMR"), {"talker": captured, "echo": captured})


class _Daemon:
    def __init__(self, roles):
        self.script = {}
        config = live_config(array__roles=roles)
        captured = _captured(seconds=3.0)[:, : len(roles)]
        source = ArraySource(captured, lambda i: self.script.get(i, lambda: None)())
        self.loop = AudioLoop(source, ArraySink(2), Chain(config))
        self.controller = LiveController(config, self.loop)
        self.snapshots = SnapshotMaker(self.loop)

    def run(self):
        self.loop.run()
        assert self.loop.error is None
        return self.snapshots.make()


def test_the_command_switches_and_the_telemetry_tells():
    daemon = _Daemon("MMMMR")
    snapshot = daemon.run()
    assert (snapshot.echo_enabled, snapshot.echo_active, snapshot.echo_delay_ms) == (True, True, 0.0)
    assert snapshot.echo_erle_db > 10.0
    assert "echo" in snapshot.stage_ms
    assert telemetry_payload(snapshot)["echo_erle_db"] == round(snapshot.echo_erle_db, 2)

    daemon = _Daemon("MMMMR")
    replies = []
    daemon.script[100] = lambda: replies.append(daemon.controller.command("echo", {"enabled": False}))
    snapshot = daemon.run()
    assert replies[0]["echo"] is False
    assert daemon.controller.config.echo.enabled is False
    assert (snapshot.echo_enabled, snapshot.echo_active, snapshot.echo_erle_db) == (False, False, None)


def test_without_a_reference_the_command_is_refused():
    daemon = _Daemon("MMMM")
    with pytest.raises(UsageError, match="no channel has the role R"):
        daemon.controller.command("echo", {"enabled": True})
    snapshot = daemon.run()
    assert (snapshot.echo_enabled, snapshot.echo_active, snapshot.echo_erle_db) == (None, None, None)


def test_a_new_pipeline_goes_on_from_what_the_old_one_has_learnt():
    captured = _captured(seconds=4.0)
    config = live_config(array__roles="MMMMR")
    old, fresh = Chain(config), Chain(config)
    run(old.pipeline, captured[: 2 * RATE_HZ])
    loop = AudioLoop(ArraySource(captured), ArraySink(2), old)
    loop.begin_swap(fresh)
    out = run(fresh.pipeline, captured[2 * RATE_HZ :])
    unlearnt = run(build_pipeline(config), captured[2 * RATE_HZ :])
    assert ratio_db(span(unlearnt, 0.05, 0.3), span(out, 0.05, 0.3)) > 6.0


def test_enhance_with_a_board_that_has_a_reference(tmp_path, capsys):
    captured = _captured()
    file = np.concatenate([np.zeros((len(captured), 1), np.float32), captured], axis=1)  # roles XMMMMR
    soundfile.write(tmp_path / "in.wav", file, RATE_HZ, subtype="FLOAT")
    options = [
        "--board",
        "respeaker_usb_v2",
        "--mask",
        "bypass",
        "--beamformer",
        "delay_sum",
        "--output",
        "asr",
        "--json",
    ]
    assert main(["enhance", str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), *options]) == 0
    json.loads(capsys.readouterr().out)
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert ratio_db(span(captured[:, :4].mean(axis=1), 5, 6), span(out, 5, 6)) > 18.0
