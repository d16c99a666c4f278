"""Commands and reloads: refused with one sentence, or in force at the next hop."""

import pytest
from live_parts import ArraySink, ArraySource, live_config, recording

from edge.config.schema import Config
from edge.errors import ConfigError, EdgeError
from edge.runtime.chain import Chain
from edge.runtime.controller import LiveController
from edge.runtime.loop import AudioLoop
from edge.runtime.reload import changed_keys, live_part, needs_restart

HOP = 128


class Seconds:
    """A clock that is a second further on at each look."""

    def __init__(self, step_s: float = 1.0) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Daemon:
    """A loop whose blocks the test lets through one at a time."""

    def __init__(self, config: Config, reread=None, hops: int = 100, clock=None) -> None:
        self.script = {}
        source = ArraySource(
            recording(hops * HOP, len(config.array.roles)), lambda i: self.script.get(i, lambda: None)()
        )
        self.loop = AudioLoop(source, ArraySink(len(config.output.channels)), Chain(config))
        self.controller = LiveController(config, self.loop, reread, clock or Seconds())

    def run_with(self, *commands):
        """Run with one command ahead of each of the blocks from 3 on. Returns the pipeline in use at the end."""
        self.replies = []
        for index, (name, payload) in enumerate(commands):
            self.script[3 + index] = lambda n=name, p=payload: self.replies.append(self.controller.command(n, p))
        self.loop.run()
        assert self.loop.error is None
        return self.loop.chain.pipeline


def test_look_takes_effect_and_keeps_the_elevation():
    daemon = Daemon(live_config(beamformer__elevation_deg=12.0))
    pipeline = daemon.run_with(("look", {"azimuth_deg": 90}))
    assert (pipeline.azimuth_deg, pipeline.elevation_deg) == (90.0, 12.0)
    assert daemon.replies[0]["azimuth_deg"] == 90.0
    assert daemon.replies[0]["elevation_deg"] == 12.0


def test_look_fixes_the_direction_and_track_lets_it_go_again():
    daemon = Daemon(live_config())
    pipeline = daemon.run_with(("look", {"azimuth_deg": 90}), ("look", {"track": True}))
    assert [reply["steering"] for reply in daemon.replies] == ["fixed", "track"]
    assert pipeline.spatial.tracking
    daemon = Daemon(live_config(beamformer__azimuth_deg=25.0))
    pipeline = daemon.run_with(("look", {"track": False}))
    assert not pipeline.spatial.tracking
    assert daemon.replies[0]["steering"] == "fixed"
    assert daemon.replies[0]["azimuth_deg"] == pipeline.azimuth_deg == daemon.controller.config.beamformer.azimuth_deg


def test_nothing_is_tracked_by_microphones_that_hear_no_azimuth():
    upright = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.05))
    daemon = Daemon(live_config(array__positions_m=upright, array__roles="MM"))
    with pytest.raises(EdgeError, match="upright line"):
        daemon.controller.command("look", {"track": True})
    assert not daemon.loop.chain.pipeline.spatial.tracking


def test_gain_floor_bypass_mask_and_beamformer_take_effect():
    daemon = Daemon(live_config())
    pipeline = daemon.run_with(
        ("gain_floor", {"gain_floor_db": -12}),
        ("bypass", {"enabled": True}),
        ("mask", {"kind": "spectral_subtraction"}),
        ("beamformer", {"kind": "delay_sum"}),
    )
    assert pipeline.gain_floor_db == -12.0
    assert pipeline.bypass is True
    assert pipeline.mask_kind == "spectral_subtraction"
    assert pipeline.beamformer_kind == "delay_sum"
    assert daemon.replies[-1] == {
        "steering": "track",
        "azimuth_deg": 0.0,
        "elevation_deg": 0.0,
        "beamformer": "delay_sum",
        "mask": "spectral_subtraction",
        "model": "",
        "gain_floor_db": -12.0,
        "bypass": True,
        "echo": None,
    }
    assert daemon.controller.config.mask.kind == "spectral_subtraction"


def test_a_look_direction_outlives_a_change_of_beamformer():
    pipeline = Daemon(live_config()).run_with(("look", {"azimuth_deg": 45.0}), ("beamformer", {"kind": "delay_sum"}))
    assert pipeline.azimuth_deg == 45.0
    reference = Chain(live_config(beamformer__kind="delay_sum", beamformer__azimuth_deg=45.0)).pipeline
    # the weights glide, so compare where they are heading to
    assert abs(pipeline.beamformer.target_re - reference.beamformer.target_re).max() < 1e-6


def test_commands_that_were_carried_out_are_told_and_refused_ones_and_own_reloads_are_not():
    told = []
    config = live_config()
    source = ArraySource(recording(4 * HOP), lambda index: None)
    loop = AudioLoop(source, ArraySink(2), Chain(config))
    controller = LiveController(config, loop, lambda: config, Seconds(), lambda *done: told.append(done))
    result = controller.command("bypass", {"enabled": True})
    with pytest.raises(EdgeError):
        controller.command("bypass", {"enabled": 7})
    controller.reload()
    assert told == [("bypass", result)]
    controller.command("reload", {})
    assert told[1][0] == "reload"
    assert told[1][1]["changed"] == []


def test_reset_forgets_but_keeps_settings():
    pipeline = Daemon(live_config()).run_with(("look", {"azimuth_deg": 10.0}), ("reset", {}))
    assert pipeline.azimuth_deg == 10.0


@pytest.mark.parametrize(
    ("name", "payload", "words"),
    [
        ("sing", {}, ["sing", "not known", "look"]),
        ("look", {}, ["azimuth_deg", "missing"]),
        ("look", {"track": True, "azimuth_deg": 3.0}, ["track", "one of them"]),
        ("look", {"track": 1}, ["track", "true or false"]),
        ("look", {"azimuth_deg": "left"}, ["azimuth_deg", '"left"', "number"]),
        ("look", {"azimuth_deg": True}, ["azimuth_deg", "true"]),
        ("look", {"azimuth_deg": float("nan")}, ["azimuth_deg", "NaN"]),
        ("look", {"azimuth_deg": 0, "elevation_deg": 91}, ["elevation_deg", "91", "-90 to 90"]),
        ("look", {"azimuth_deg": 10**4000}, ["azimuth_deg is a number of more than 60 digits", "-360 to 360"]),
        ("look", {"azimut_deg": 0}, ["azimut_deg", "azimuth_deg"]),
        ("gain_floor", {"gain_floor_db": 3}, ["gain_floor_db", "-120 to 0"]),
        ("bypass", {"enabled": 1}, ["enabled", "true or false"]),
        ("mask", {"kind": "magic"}, ["magic", "wiener"]),
        ("mask", {"kind": ["wiener"]}, ["wiener"]),
        ("beamformer", {"kind": None}, ["kind", "mvdr"]),
        ("reset", {"now": True}, ["now", "no arguments"]),
        ("reload", {}, ["without a configuration file"]),
    ],
)
def test_nonsense_is_refused_in_one_sentence_and_changes_nothing(name, payload, words):
    daemon = Daemon(live_config())
    before = daemon.controller.config
    with pytest.raises(EdgeError) as caught:
        daemon.controller.command(name, payload)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert daemon.controller.config == before
    assert not daemon.loop._changes


def test_one_microphone_cannot_be_steered_nor_beamformed():
    config = live_config(array__positions_m=[[0.0, 0.0, 0.0]], beamformer__kind="none")
    controller = Daemon(config).controller
    with pytest.raises(EdgeError, match="one microphone"):
        controller.command("look", {"azimuth_deg": 5.0})
    with pytest.raises(EdgeError, match="2 microphones"):
        controller.command("beamformer", {"kind": "mvdr"})
    assert controller.config.beamformer.kind == "none"


def test_a_missing_model_refuses_the_mask_and_leaves_the_old_one():
    daemon = Daemon(live_config(mask__model="no-such-model"))
    with pytest.raises(EdgeError, match="no-such-model"):
        daemon.controller.command("mask", {"kind": "network"})
    assert daemon.run_with().mask_kind == "wiener"


def test_reload_changes_what_can_change_and_names_the_rest():
    wanted = live_config(
        beamformer__kind="delay_sum", mask__floor_db=-6.0, input__path="other.wav", telemetry__interval_s=5.0
    )
    daemon = Daemon(live_config(), lambda: wanted)
    pipeline = daemon.run_with(("bypass", {"enabled": True}), ("reload", {}))
    reply = daemon.replies[-1]
    assert reply["changed"] == ["beamformer.kind", "mask.floor_db"]
    assert reply["restart_needed"] == ["input.path", "telemetry.interval_s"]
    assert (pipeline.beamformer_kind, pipeline.gain_floor_db) == ("delay_sum", -6.0)
    assert pipeline.bypass is True, "not in the file, so not the file's to change"
    assert daemon.controller.config.input.path == "in.wav"


def test_commands_after_a_reload_reach_the_new_pipeline():
    daemon = Daemon(live_config(), lambda: live_config(mask__floor_db=-6.0))
    pipeline = daemon.run_with(("reload", {}), ("look", {"azimuth_deg": 33.0}), ("mask", {"kind": "bypass"}))
    assert (pipeline.gain_floor_db, pipeline.azimuth_deg, pipeline.mask_kind) == (-6.0, 33.0, "bypass")


def test_reload_takes_back_what_commands_had_changed():
    config = live_config()
    daemon = Daemon(config, lambda: config)
    pipeline = daemon.run_with(("gain_floor", {"gain_floor_db": -3.0}), ("reload", {}))
    assert daemon.replies[-1]["changed"] == ["mask.floor_db"]
    assert pipeline.gain_floor_db == -24.0


def test_the_gain_floor_may_follow_the_mask_again():
    daemon = Daemon(live_config())
    floors = ({"gain_floor_db": -12}, {"gain_floor_db": "auto"})
    pipeline = daemon.run_with(*(("gain_floor", floor) for floor in floors))
    assert [reply["gain_floor_db"] for reply in daemon.replies] == [-12.0, -24.0]
    assert pipeline.gain_floor_db == -24.0
    for bad in ("low", "-12", 3, None, True, 10**5000):
        with pytest.raises(EdgeError, match="expected a number from -120 to 0 or auto"):
            daemon.controller.command("gain_floor", {"gain_floor_db": bad})


def test_reload_of_the_same_file_swaps_nothing():
    config = live_config()
    daemon = Daemon(config, lambda: config)
    chain = daemon.loop.chain
    daemon.run_with(("reload", {}))
    assert daemon.replies[-1]["changed"] == []
    assert daemon.loop.chain is chain


def test_a_bad_file_leaves_the_old_configuration():
    def reread():
        raise ConfigError("mask.kind: got 7")

    daemon = Daemon(live_config(), reread)
    with pytest.raises(ConfigError, match="got 7"):
        daemon.controller.reload()
    assert daemon.run_with().mask_kind == "wiener"


def test_another_number_of_channels_waits_for_a_restart():
    running, wanted = live_config(), live_config(array__roles="MMMMR", array__gains_db=[1.0] * 4)
    assert live_part(running, wanted) == running
    assert needs_restart(running, wanted) == ["array.roles", "array.gains_db"]
    assert changed_keys(running, running) == []
