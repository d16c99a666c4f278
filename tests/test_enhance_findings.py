"""What `edge enhance` says of microphones, channels and a beam that looks elsewhere."""

import json

import numpy as np
import pytest
import soundfile
from health_scenes import RATE_HZ, SQUARE, broken, scene

from edge.cli.main import main
from edge.demo.bundled import MIX
from edge.heard import HeardDirections
from edge.offline import Enhancer

SOUND = scene(seconds=6.0)


def enhance(tmp_path, samples, capsys, *options):
    """Exit code 0, the sentences on standard error, the summary."""
    soundfile.write(tmp_path / "in.wav", samples, RATE_HZ, subtype="PCM_16")
    roles = "M" * len(SQUARE) + "X" * (samples.shape[1] - len(SQUARE))
    (tmp_path / "edge.toml").write_text(
        f'[array]\npositions_m = {[list(p) for p in SQUARE]}\nroles = "{roles}"\n[mask]\nkind = "wiener"\n'
    )
    files = [str(tmp_path / name) for name in ("in.wav", "out.wav")]
    assert main(["enhance", *files, "--config", str(tmp_path / "edge.toml"), "--json", *options]) == 0
    said = capsys.readouterr()
    return [line for line in said.err.splitlines() if "compiling" not in line], json.loads(said.out)


def test_sound_microphones_are_not_mentioned(tmp_path, capsys):
    lines, report = enhance(tmp_path, SOUND, capsys)
    assert lines == []
    assert (report["microphones_out"], report["channel_order"]) == ([], "as configured")


def test_a_dead_microphone_is_told_once_with_its_reason(tmp_path, capsys):
    lines, report = enhance(tmp_path, broken(SOUND, 2, "zero", 0.0), capsys)
    (entry,) = report["microphones_out"]
    assert (entry["microphone"], entry["channel"], entry["reason"]) == (2, 2, "dead")
    assert entry["seconds"] > 4.0
    assert lines == ["edge: microphone 2 (channel 2) is dead: digital zero; going on with 3"]


def test_a_microphone_that_works_again_at_the_end_is_told_all_the_same(tmp_path, capsys):
    lines, report = enhance(tmp_path, broken(SOUND, 1, "zero", 1.0, 2.5), capsys)
    (entry,) = report["microphones_out"]
    assert entry["microphone"] == 1
    assert 1.0 < entry["seconds"] < 4.5
    assert len(lines) == 1
    assert lines[0].startswith("edge: microphone 1 (channel 1) is ")
    assert lines[0].endswith("; going on with 3")


def test_channels_that_have_moved_are_told(tmp_path, capsys):
    rng = np.random.default_rng(3)
    captured = np.concatenate([SOUND, (1e-4 * rng.standard_normal((len(SOUND), 2))).astype(np.float32)], axis=1)
    lines, report = enhance(tmp_path, np.roll(captured, 1, axis=1), capsys)
    assert report["channel_order"] == "rotated, corrected"
    assert "edge: the captured channels have moved on by 1; corrected" in lines


# ---- a beam that looks elsewhere ----


class Heard:
    """What a localizer says."""

    def __init__(self, azimuth_deg, confidence=1.0, age_s=0.0):
        self.azimuth_deg, self.confidence, self.age_s = azimuth_deg, confidence, age_s


def heard(*said):
    directions = HeardDirections()
    for localizer in said:
        directions.note(localizer)
    return directions


def test_directions_are_told_only_when_they_are_clear():
    assert heard(*[Heard(70.0)] * 10).elsewhere_deg(-110.0, 0.0) == 70.0
    assert heard(*[Heard(70.0)] * 10).elsewhere_deg(50.0, 0.0) is None, "near enough"
    assert heard(*[Heard(175.0)] * 10).elsewhere_deg(-170.0, 0.0) is None, "across the back"
    assert heard(*[Heard(70.0)] * 10).elsewhere_deg(-110.0, 85.0) is None, "nearly straight up is near to all azimuths"
    assert heard(*[Heard(70.0)] * 3).elsewhere_deg(-110.0, 0.0) is None, "too short"
    assert heard(*[Heard(70.0, confidence=0.5)] * 10).azimuth_deg is None, "not certain"
    assert heard(*[Heard(70.0, age_s=2.0)] * 10).azimuth_deg is None, "silence"
    assert heard(*[Heard(None, None, None)] * 10).azimuth_deg is None
    half = heard(*[Heard(70.0)] * 5, *[Heard(0.0)] * 5)
    assert half.elsewhere_deg(0.0, 0.0) is None, "half the time only"
    assert heard(*[Heard(-179.0)] * 5, *[Heard(179.0)] * 4).azimuth_deg == -179.0


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--azimuth", "-110"], True), (["--azimuth", "35"], False), ([], False)],
    ids=["wrong", "right", "follows"],
)
def test_a_beam_that_looks_elsewhere_is_told(tmp_path, capsys, options, told):
    samples = soundfile.read(MIX, dtype="float32")[0][: 12 * RATE_HZ]
    soundfile.write(tmp_path / "in.wav", samples, RATE_HZ, subtype="PCM_16")
    files = [str(tmp_path / name) for name in ("in.wav", "out.wav")]
    assert main(["enhance", *files, "--board", "respeaker_4mic_square", "--json", *options]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["heard_azimuth_deg"] == pytest.approx(40.0, abs=8.0)
    lines = [line for line in said.err.splitlines() if "talker" in line]
    assert len(lines) == told
    if told:
        assert lines[0].startswith("edge: the talker was heard at ")
        assert lines[0].endswith(
            ' degrees, the beam looked at -110; leave out --azimuth (steering = "track") to follow'
        )


def test_one_microphone_hears_no_direction():
    from edge.config import config_from_dict

    enhancer = Enhancer(config_from_dict({"mask": {"kind": "bypass"}, "output": {"kind": "null"}}), RATE_HZ)
    enhancer.push(SOUND[:, 0])
    report = enhancer.report()
    assert (report["heard_azimuth_deg"], report["microphones_out"], enhancer.findings) == (None, [], ())
