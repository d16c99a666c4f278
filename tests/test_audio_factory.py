"""Which source and sink a configuration means, and when the clocks of both are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
from edge.audio.factory import clocks_shared, make_sink, make_source
from edge.audio.null_sink import NullSink
from edge.audio.portaudio import PortAudioSink, PortAudioSource
from edge.audio.queued_sink import QueuedSink
from edge.audio.resample import ResampledSink, ResampledSource
from edge.audio.wav_sink import WavSink
from edge.audio.wav_source import WavSource
from edge.config.schema import ArrayConfig, Config, InputConfig, OutputConfig

PAIR = ArrayConfig(positions_m=((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)), roles="MXMR")
MIC = InputConfig(device="hw:CARD=Mic")


def config(given: InputConfig = MIC, output: OutputConfig = OutputConfig(), profile: str = "assistant") -> Config:  # noqa: B008
    return Config(profile=profile, array=PAIR, input=given, output=output)


def test_alsa_input_has_one_channel_per_role_and_periods_of_a_hop():
    source = make_source(config())
    assert isinstance(source, AlsaSource)
    assert (source.channels, source.rate_hz) == (4, 16000)
    assert (source.request.period_frames, source.request.periods) == (128, 4)
    assert make_source(config(profile="hearing")).request.period_frames == 32
    assert make_source(config(replace(MIC, period_frames=500))).request.period_frames == 500


@pytest.mark.parametrize(("rate", "period"), [(48000, 384), (44100, 353)])
def test_devices_at_other_rates_are_resampled(rate, period):
    source = make_source(config(replace(MIC, rate_hz=rate)))
    assert isinstance(source, ResampledSource)
    assert (source.rate_hz, source.inner.rate_hz, source.inner.request.period_frames) == (16000, rate, period)
    sink = make_sink(config(output=OutputConfig(kind="alsa", device="hw:CARD=Mic", rate_hz=rate)))
    assert isinstance(sink, ResampledSink)
    assert (sink.rate_hz, sink.inner.rate_hz, sink.inner.request.period_frames) == (16000, rate, period)
    assert sink.drift_ppm is None


@pytest.mark.parametrize("kind", ["loopback", "alsa"])
def test_outputs_on_another_clock_are_locked(kind):
    sink = make_sink(config(output=OutputConfig(kind=kind, channels=("listen",))))
    assert isinstance(sink, ResampledSink)
    assert isinstance(sink.inner, AlsaSink)
    assert sink.channels == 1


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (MIC, OutputConfig(kind="alsa", device="hw:CARD=Mic")),
        (MIC, OutputConfig(clock="shared")),
        (InputConfig(kind="file", path="in.wav", realtime=False), OutputConfig()),
    ],
)
def test_outputs_on_the_clock_of_the_input_are_not(given, output):
    assert isinstance(make_sink(config(given, output)), AlsaSink)


def test_the_lock_can_be_asked_for():
    output = OutputConfig(kind="alsa", device="hw:CARD=Mic", clock="resample")
    assert isinstance(make_sink(config(output=output)), ResampledSink)


@pytest.mark.parametrize(
    ("timer_source", "shared"),
    [
        ("hw:Mic,0,1\n", True),
        ("Mic.0.1", True),
        ("hw:3,0,1", True),
        ("hw:2,0,1", False),
        ("Other", False),
        ("\n", False),
    ],
)
def test_a_loopback_bound_to_the_microphones_shares_their_clock(tmp_path, timer_source, shared):
    (tmp_path / "cards").write_text(
        " 2 [Loopback       ]: Loopback - Loopback\n 3 [Mic            ]: USB-Audio - Mic\n"
    )
    (tmp_path / "Loopback").mkdir()
    (tmp_path / "Loopback" / "timer_source").write_text(timer_source)
    assert clocks_shared(config(), tmp_path) is shared


def test_file_input(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros((300, 4)), 16000)
    source = make_source(config(InputConfig(kind="file", path=str(tmp_path / "in.wav"), realtime=False)))
    assert isinstance(source, WavSource)
    source.open()
    block = np.ones((256, 4), np.float32)
    assert [source.read(block), source.read(block), source.read(block)] == [256, 44, 0]


def test_file_output_at_its_own_rate(tmp_path):
    given = OutputConfig(kind="file", path=str(tmp_path / "out.wav"), rate_hz=48000, format="FLOAT_LE")
    sink = make_sink(config(output=given))
    sink.open()
    for _ in range(100):
        sink.write(np.full((128, 2), 0.5, np.float32))
    sink.close()
    got, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 48000
    assert len(got) == 100 * 128 * 3
    assert np.allclose(got[200:-200], 0.5, atol=1e-3)


def test_only_a_live_run_writes_its_file_behind_a_queue():
    to_file = OutputConfig(kind="file", path="out.wav")
    assert isinstance(make_sink(config(output=to_file)), QueuedSink)
    given = InputConfig(kind="file", path="in.wav", realtime=True)
    assert isinstance(make_sink(config(given, to_file)), QueuedSink)
    assert isinstance(make_sink(config(given, replace(to_file, rate_hz=48000))).inner, QueuedSink)
    assert isinstance(make_sink(config(replace(given, realtime=False), to_file)), WavSink)


def test_other_kinds():
    assert isinstance(make_sink(config(output=OutputConfig(kind="null"))), NullSink)
    assert isinstance(make_source(config(InputConfig(kind="portaudio"))), PortAudioSource)
    sink = make_sink(config(output=OutputConfig(kind="portaudio")))
    assert isinstance(sink, ResampledSink)
    assert isinstance(sink.inner, PortAudioSink)
    assert sink.inner.request.device == "default", "the default of the schema names an ALSA card"


def test_unpaced_file_lets_the_device_set_the_pace():
    given = InputConfig(kind="file", path="in.wav", realtime=False)
    assert make_sink(config(given))._paces
    assert not make_sink(config(output=OutputConfig(clock="shared")))._paces
