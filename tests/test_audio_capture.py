"""ALSA capture on a card in virtual time: overruns, EIO, unplugging, short reads; silence exact, nothing misaligned."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from alsa_pcm import CODES, FakeCard, VirtualClock, frame_codes

from edge.audio.alsa_source import AlsaSource
from edge.audio.capture import LONGEST_GAP_S
from edge.errors import DeviceError

RATE, HOP, CHANNELS = 16000, 128, 4


def make(card: FakeCard, **options) -> AlsaSource:
    options = {"period_frames": HOP, "periods": 4, **options}
    return AlsaSource("hw:CARD=Fake", RATE, CHANNELS, opener=card.open, clock=card.clock, **options)


def read_blocks(source: AlsaSource, blocks: int, hop: int = HOP) -> np.ndarray:
    out = np.full((blocks * hop, CHANNELS), 7.0, np.float32)
    for b in range(blocks):
        assert source.read(out[b * hop : (b + 1) * hop]) == hop
    return out


def start() -> tuple[FakeCard, AlsaSource]:
    card = FakeCard(VirtualClock())
    source = make(card)
    source.open()
    return card, source


def timeline_error(codes: np.ndarray) -> np.ndarray:
    """How far each captured frame is from where the first one says that it belongs."""
    heard = np.flatnonzero(codes)
    error = (codes[heard] - codes[heard[0]] - (heard - heard[0])) % CODES
    return np.where(error > CODES // 2, error - CODES, error)


@pytest.mark.parametrize("period", [32, 100, 128, 441, 1024])
@pytest.mark.parametrize("hop", [32, 128])
def test_every_frame_arrives_once_whatever_the_period(period, hop):
    card = FakeCard(VirtualClock(), period_size=period, buffer_size=4 * period)
    source = make(card)
    source.open()
    codes = frame_codes(read_blocks(source, 60, hop))
    assert np.all(np.diff(codes) == 1)
    assert (source.overruns, source.gap_frames, source.reopens) == (0, 0, 0)
    assert source.latency_frames == period


def test_short_reads_are_put_together():
    card, source = start()
    card.largest_read = 37
    assert np.all(np.diff(frame_codes(read_blocks(source, 50))) == 1)


def test_blocks_of_any_length():
    _card, source = start()
    parts = []
    for length in (1, 7, 300, 128, 2000):
        block = np.zeros((length, CHANNELS), np.float32)
        assert source.read(block) == length
        parts.append(block)
    assert np.all(np.diff(frame_codes(np.concatenate(parts))) == 1)


def test_overrun_becomes_exactly_the_lost_time_of_silence():
    card, source = start()
    before = read_blocks(source, 20)
    card.clock.pass_s(0.200)  # the buffer holds 32 ms
    after = read_blocks(source, 60)
    codes = frame_codes(np.concatenate([before, after]))
    assert source.overruns == 1
    silent = np.flatnonzero(codes == 0)
    assert len(silent) == source.gap_frames
    assert np.all(np.diff(silent) == 1), "one gap, in one piece"
    assert abs(source.gap_frames - 0.200 * RATE) <= 16 + 1  # the fake is polled every millisecond
    assert np.abs(timeline_error(codes)).max() <= 16 + 1
    assert source.reopens == 0


def test_stalls_within_the_buffer_lose_nothing():
    card, source = start()
    parts = []
    for _ in range(30):
        card.clock.pass_s(0.020)
        parts.append(read_blocks(source, 3))
    assert np.all(np.diff(frame_codes(np.concatenate(parts))) == 1)
    assert (source.overruns, source.gap_frames) == (0, 0)


def test_a_hundred_overruns_do_not_add_up():
    card, source = start()
    parts = [read_blocks(source, 4)]
    rng = np.random.default_rng(1)
    for _ in range(100):
        card.clock.pass_s(rng.uniform(0.05, 0.3))
        parts.append(read_blocks(source, 60))
    codes = frame_codes(np.concatenate(parts))
    assert source.overruns == 100
    assert np.count_nonzero(codes == 0) == source.gap_frames
    # each gap is right to within the polling; over all of them nothing may pile up in one direction
    assert np.abs(timeline_error(codes)).max() <= 100


def test_standstill_is_bounded():
    card, source = start()
    read_blocks(source, 4)
    card.clock.pass_s(3600.0)
    read_blocks(source, 600)
    assert source.gap_frames == LONGEST_GAP_S * RATE


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.EBADFD, errno.ESTRPIPE])
def test_an_error_reopens_at_once_and_costs_its_time_only(number):
    card, source = start()
    before = read_blocks(source, 10)
    card.fail_with = number
    after = read_blocks(source, 30)
    codes = frame_codes(np.concatenate([before, after]))
    assert source.reopens == 1
    assert len(card.opened) == 2
    assert card.opened[0].closed
    assert np.abs(timeline_error(codes)).max() <= 32
    assert "[hw:CARD=Fake]" in source.last_error


def test_unplugged_card_gives_silence_at_real_time_pace_until_it_is_back():
    card, source = start()
    read_blocks(source, 10)
    card.unplug()
    block = np.full((HOP, CHANNELS), 7.0, np.float32)
    start_ns, slowest_ns = card.clock.ns, 0
    for _ in range(375):  # three seconds
        call_ns = card.clock.ns
        source.read(block)
        slowest_ns = max(slowest_ns, card.clock.ns - call_ns)
    assert not block.any()
    assert abs(card.clock.ns - start_ns - 3e9) < 2e7
    assert slowest_ns <= 2 * HOP * 1e9 / RATE
    assert source.reopens == 0
    assert not source.connected
    gap = source.gap_frames
    card.plug()
    codes = frame_codes(read_blocks(source, 600))
    assert source.reopens == 1
    assert source.connected
    assert np.count_nonzero(codes == 0) == source.gap_frames - gap
    assert codes[-1] != 0
    assert np.abs(timeline_error(codes)).max() <= 1


def test_timeline_holds_over_an_unplugging():
    card, source = start()
    parts = [read_blocks(source, 10)]
    card.unplug()
    parts.append(read_blocks(source, 200))
    card.plug()
    parts.append(read_blocks(source, 500))
    codes = frame_codes(np.concatenate(parts))
    assert source.reopens == 1
    assert np.abs(timeline_error(codes)).max() <= 32


def test_attempts_to_reopen_back_off():
    card, source = start()
    read_blocks(source, 2)
    card.unplug()
    card.attempts_ns.clear()
    read_blocks(source, 20 * 125)
    pauses = np.diff(card.attempts_ns) / 1e9
    assert np.allclose(pauses[:6], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], atol=0.02)
    assert np.allclose(pauses[6:], 5.0, atol=0.02)


def test_a_card_that_falls_silent_is_reopened():
    card, source = start()
    read_blocks(source, 4)
    card.silent = True
    call_ns = card.clock.ns
    read_blocks(source, 1)
    assert card.clock.ns - call_ns < 0.6e9
    assert source.reopens == 1
    # it opens but still gives nothing: silence, and attempts ever more seldom
    start_ns = card.clock.ns
    assert not read_blocks(source, 20 * 125).any()
    assert abs(card.clock.ns - start_ns - 20e9) < 2e9
    assert source.reopens <= 8
    card.silent = False
    assert frame_codes(read_blocks(source, 10 * 125))[-1] != 0


def test_a_card_stuck_in_overruns_is_reopened_at_the_pace_of_time():
    card, source = start()
    read_blocks(source, 4)
    card.stuck = True
    card.reads = 0
    start_ns = card.clock.ns
    assert not read_blocks(source, 10 * 125).any()
    assert abs(card.clock.ns - start_ns - 10e9) < 0.1e9
    assert card.reads <= 8 * 10, "eight reads for each attempt to reopen, which become ever more seldom"
    assert "again and again" in source.last_error
    card.stuck = False
    codes = frame_codes(read_blocks(source, 10 * 125))
    assert codes[-1] != 0
    assert np.abs(timeline_error(codes)).max() <= 1


def test_a_torn_frame_never_reaches_the_channels():
    card, source = start()
    parts = [read_blocks(source, 4)]
    card.tear_bytes = 3
    parts.append(read_blocks(source, 40))
    frame_codes(np.concatenate(parts))  # fails on any mixed row
    assert source.reopens == 1


def test_device_that_comes_back_different_is_not_taken():
    card, source = start()
    read_blocks(source, 2)
    card.fail_with = errno.EIO
    card.limits["channels"] = 2
    assert not read_blocks(source, 30)[HOP:].any()
    assert source.reopens == 0
    assert "offers 2 channels, not 4" in source.last_error
    assert all(pcm.closed for pcm in card.opened)
    card.limits.clear()
    read_blocks(source, 700)
    assert source.reopens == 1


def test_capture_time_is_when_the_last_frame_of_the_block_was_captured():
    card, source = start()
    block = np.zeros((HOP, CHANNELS), np.float32)
    for stall_s in (0.0, 0.0, 0.010, 0.0, 0.025, 0.0, 0.0):
        card.clock.pass_s(stall_s)
        source.read(block)
        code = int(frame_codes(block)[-1])
        captured = source.capture_time_ns * RATE / 1e9
        assert abs((captured - code) % CODES) <= 17 or abs((captured - code) % CODES - CODES) <= 17


def test_read_after_close_and_close_twice():
    card, source = start()
    source.close()
    source.close()
    assert card.opened[0].closed


REFUSALS = {
    "channels": ({"channels": 2}, ["offers 2 channels, not 4", "array.roles"]),
    "rate": ({"rate": 44100}, ["44100", "not 16000 Hz", "input.rate_hz", "resamples"]),
    "format": ({"format_name": "S32_LE"}, ["S32_LE", "not S16_LE", "input.format"]),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_the_device_took_is_checked_after_opening(what):
    limits, words = REFUSALS[what]
    card = FakeCard(VirtualClock(), **limits)
    with pytest.raises(DeviceError) as caught:
        make(card).open()
    assert all(w in str(caught.value) for w in ["hw:CARD=Fake", *words])
    assert "\n" not in str(caught.value)
    assert card.opened[0].closed


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "in use by another program"),
        (errno.ENODEV, "there is no ALSA device"),
        (errno.ENOENT, "there is no ALSA device"),
        (errno.EACCES, "group audio"),
        (errno.EINVAL, "refused"),
        (errno.ECONNREFUSED, "sound server"),
        (errno.ENOTTY, "Inappropriate ioctl"),
    ],
)
def test_errors_of_opening_are_one_sentence(number, words):
    from alsa_pcm import alsa_error

    def refuse(**asked):
        raise alsa_error(number, asked["device"])

    source = AlsaSource("hw:CARD=Fake", RATE, CHANNELS, opener=refuse)
    with pytest.raises(DeviceError, match=words) as caught:
        source.open()
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


def test_cards_by_number_are_refused():
    with pytest.raises(DeviceError, match="changes between boots"):
        AlsaSource("hw:1,0", RATE, CHANNELS).open()


def test_missing_card_is_named_without_asking_alsa(capfd):
    with pytest.raises(DeviceError, match=r"there is no ALSA device .*edge devices"):
        AlsaSource("hw:CARD=NoSuchCard", RATE, CHANNELS).open()
    assert capfd.readouterr().err == "", "alsa-lib writes to stderr at every failed attempt"
