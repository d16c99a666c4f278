"""Simulated arrays for training: rooms, their bank, what an item holds, shards."""

import dataclasses

import numpy as np
import pytest

from edge.config.schema import ArrayConfig, BeamformerConfig, Config
from edge.errors import UsageError
from edge.geometry import SPEED_OF_SOUND_M_S, ArrayGeometry
from edge.mask.network import NetworkMask, resolve_model
from edge.stft import Stft
from models import array_bank
from models.array_bank import BankConfig, load_bank
from models.array_items import FRAMES, HOP, PROFILE, Heard, Scene, SceneMaker, hear, make_item, spectra
from models.array_rooms import PLACES, SOURCES, Shoebox, make_room, random_array
from models.array_scenes import Job, claim
from models.array_shards import BANDS, BINS, COLUMNS, pack, pooling, read_shards, unpack, write_shard
from models.data import RATE_HZ, Clip, Corpus


@pytest.fixture(scope="module")
def rooms():
    return [make_room(np.random.default_rng([5, number])) for number in range(6)]


@pytest.fixture(scope="module")
def network():
    return NetworkMask(resolve_model("mono-assistant"), PROFILE)


@pytest.fixture(scope="module")
def maker():
    """Voices are bursts of harmonics, noises are filtered noise."""
    rng = np.random.default_rng(0)
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    pieces, clips = [], []
    for group in range(3):
        voiced = sum(np.sin(2 * np.pi * (110 + 30 * group) * k * t) / k for k in range(1, 30))
        pieces.append(0.05 * voiced * (np.sin(2 * np.pi * 3.0 * t) > -0.3))
        pieces.append(0.1 * np.convolve(rng.standard_normal(t.size), np.ones(3 + group) / 3, "same"))
    samples = np.concatenate(pieces)
    int16 = np.round(samples * 32767).astype(np.int16)
    clips = [Clip(i * t.size, t.size, str(i), "made", 30.0) for i in range(6)]
    return SceneMaker(Corpus(int16, tuple(clips[0::2])), Corpus(int16, tuple(clips[1::2])))


def si_sdr_db(estimate, reference):
    """Of two complex arrays."""
    scale = np.vdot(reference, estimate) / np.vdot(reference, reference)
    rest = estimate - scale * reference
    return 10.0 * np.log10(np.vdot(scale * reference, scale * reference).real / max(np.vdot(rest, rest).real, 1e-20))


# ---- rooms ----


def test_arrays_are_of_the_promised_sizes():
    rng = np.random.default_rng(1)
    arrays = [random_array(rng) for _ in range(200)]
    assert {len(a) for a in arrays} >= set(range(2, 9))
    geometries = [ArrayGeometry(a) for a in arrays]  # raises where microphones coincide
    assert all(g.hears_azimuth for g in geometries)
    assert max(g.aperture_m for g in geometries) < 0.30
    assert min(g.aperture_m for g in geometries) > 0.01


def test_the_direct_sound_arrives_when_it_should_and_the_room_decays(rooms):
    for room in rooms:
        assert room.responses.shape[:2] == (SOURCES, room.mics)
        assert np.all(np.isfinite(room.responses))
        alive = np.flatnonzero(room.alive)
        # nothing before the direct sound, which is about 1
        for place in range(PLACES):
            for mic in alive:
                response, at = room.responses[place, mic], room.arrival[place, mic]
                assert np.abs(response[: at - 12]).max() < 0.1
                assert 0.4 < np.abs(response[at - 1 : at + 2]).max() < 2.0
        energy = np.sum(room.responses[:PLACES, alive] ** 2, axis=(0, 1))
        left_db = 10.0 * np.log10(np.cumsum(energy[::-1])[::-1] / np.sum(energy) + 1e-12)
        # the decay from -5 to -20 dB, of all frequencies together, so no slower than at low ones
        measured_s = 4.0 * (np.argmax(left_db < -20.0) - np.argmax(left_db < -5.0)) / RATE_HZ
        assert 0.3 * room.rt60_s < measured_s < 1.3 * room.rt60_s


def test_delays_are_exact_to_a_fraction_of_a_sample():
    box = Shoebox(np.array([5.0, 4.0, 3.0]), 0.2, 0.15)
    rng = np.random.default_rng(2)
    source_m, mics_m = np.array([3.5, 2.9, 1.3]), np.array([[2.0, 2.0, 1.2], [2.05, 2.0, 1.2], [2.0, 2.031, 1.2]])
    responses = box.responses(rng, source_m, mics_m, 4096)
    distance_m = np.linalg.norm(mics_m - source_m, axis=1)
    for mic in range(3):
        expected = distance_m[mic] / SPEED_OF_SOUND_M_S * RATE_HZ
        at = int(expected)
        piece = responses[mic, at - 12 : at + 13]
        grid = np.arange(at - 3, at + 4, 0.02)
        band_limited = [float(np.sum(piece * np.sinc(g - np.arange(at - 12, at + 13)))) for g in grid]
        assert abs(grid[int(np.argmax(band_limited))] - expected) < 0.1
        assert max(band_limited) * distance_m[mic] == pytest.approx(1.0, abs=0.15)


def test_the_field_of_a_room_is_diffuse():
    rng = np.random.default_rng(3)
    box = Shoebox(np.array([6.0, 5.0, 3.0]), 0.5, 0.4)
    mics_m = np.array([3.0, 2.5, 1.2]) + np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]])
    cross, power = np.zeros(257, complex), np.zeros((2, 257))
    for _ in range(24):
        h = np.fft.rfft(box.field(rng, mics_m, 8192).reshape(2, 16, 512) * np.hanning(512), axis=2)
        cross += np.sum(h[0] * h[1].conj(), axis=0)
        power += np.sum(np.abs(h) ** 2, axis=1)
    coherence = np.convolve((cross / np.sqrt(power[0] * power[1])).real, np.full(8, 0.125), "valid")
    expected = ArrayGeometry(mics_m).diffuse_coherence(np.arange(257) * 31.25)[0, 1]
    np.testing.assert_allclose(coherence, np.convolve(expected, np.full(8, 0.125), "valid"), atol=0.2)


def test_the_early_part_keeps_50_ms_and_fades_out_over_20(rooms):
    room = rooms[0]
    early = room.early()
    for place in range(PLACES):
        for mic in np.flatnonzero(room.alive):
            at = room.arrival[place, mic]
            keep, gone = at + int(0.050 * RATE_HZ), at + int(0.070 * RATE_HZ)
            np.testing.assert_array_equal(early[place, mic, :keep], room.responses[place, mic, :keep])
            assert np.all(early[place, mic, gone:] == 0.0)
            between = np.abs(early[place, mic, keep:gone]) <= np.abs(room.responses[place, mic, keep:gone])
            assert np.all(between)


def test_a_bank_is_reproducible_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(array_bank, "PART", 1)
    config = BankConfig(rooms=3, seed=8)
    bank = load_bank(config, tmp_path / "one")
    whole = bank.room(2)
    made = make_room(np.random.default_rng([8, 2]))
    np.testing.assert_array_equal(whole.responses, made.responses.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(whole.positions_m, made.positions_m)
    np.testing.assert_array_equal(whole.arrival, made.arrival)
    # one room is there already, and is taken as it is
    folder = tmp_path / "two" / f"array-rooms-{array_bank._key(config)}"
    folder.mkdir(parents=True)
    part = array_bank._Part(8, folder, 1, 1)
    assert array_bank._make_part(part) == 1
    before = part.data.stat().st_mtime_ns
    assert array_bank._make_part(part) == 1
    assert part.data.stat().st_mtime_ns == before
    again = load_bank(config, tmp_path / "two")
    assert not folder.exists()
    for number in range(3):
        np.testing.assert_array_equal(again.room(number).responses, bank.room(number).responses)
    assert len(again) == 3
    capsys.readouterr()


# ---- items ----


def test_spectra_are_those_of_the_live_transform():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((HOP * 12, 3)).astype(np.float32)
    stft = Stft(PROFILE, 3)
    found = spectra(x, stft.analysis_window)
    for i in range(12):
        stft.history[:, :-HOP] = stft.history[:, HOP:].copy()
        stft.history[:, -HOP:] = x[i * HOP : (i + 1) * HOP].T
        stft.analyze()
        np.testing.assert_allclose(found[i], stft.spectrum_re + 1j * stft.spectrum_im, atol=2e-4)


@pytest.mark.parametrize("beamformer", ["delay_sum", "mvdr"])
def test_in_a_free_field_without_noise_beam_target_and_sound_are_one(maker, network, beamformer):
    rng = np.random.default_rng(6)
    positions = 0.03 * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], float)
    delays_s = ArrayGeometry(positions).steering_delays_s(40.0, 0.0)
    dry = maker._talkers.draw(rng)[: HOP * 300]
    spectrum = np.fft.rfft(dry, 2 * dry.size)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(2 * dry.size, 1 / RATE_HZ)[:, None] * (delays_s + 0.002))
    x = np.ascontiguousarray(0.05 * np.fft.irfft(spectrum[:, None] * turn, axis=0)[: dry.size], np.float32)
    heard = hear(
        Config(
            array=ArrayConfig(positions_m=tuple(map(tuple, positions.tolist())), roles="MMMM"),
            beamformer=BeamformerConfig(kind=beamformer, steering="fixed", azimuth_deg=40.0),
        ),
        network,
        Scene(mixture=x, early=x, lead_hops=50, moving=False, snr_db=60.0),
    )
    at_first = spectra(x, Stft(PROFILE, 1).analysis_window)[50:, 0]
    assert heard.beam.shape == heard.target.shape == at_first.shape
    assert si_sdr_db(heard.beam, heard.target) > 60.0
    assert si_sdr_db(heard.target, at_first) > 20.0
    assert heard.talker_gain_db == pytest.approx(0.0, abs=0.3)
    row0, row1 = heard.cue_power.sum(axis=(0, 2))
    assert row1 < 0.01 * row0
    assert np.sum(np.abs(heard.beam) ** 2) == pytest.approx(row0, rel=0.07)


def test_items_are_reproducible_and_their_parts_belong_together(maker, network, rooms):
    gains_db = []
    for number, room in enumerate(rooms):
        heard, facts = make_item(np.random.default_rng([9, number]), maker, room, network)
        assert heard.beam.shape == heard.target.shape == (FRAMES, BINS)
        assert heard.cue_power.shape == (FRAMES, 2, BINS)
        assert np.all(np.isfinite(heard.beam))
        assert np.all(heard.cue_power >= 0.0)
        if facts["snr_db"] is None:
            assert not heard.target.any()
            continue
        gains_db.append(facts["talker_gain_db"])
        if facts["snr_db"] > 10.0:
            assert si_sdr_db(heard.beam, heard.target) > 0.0
    assert np.median(gains_db) > -4.0
    again, _ = make_item(np.random.default_rng([9, len(rooms) - 1]), maker, rooms[-1], network)
    np.testing.assert_array_equal(again.beam, heard.beam)
    np.testing.assert_array_equal(again.target, heard.target)


def test_scenes_have_the_snr_and_the_level_they_say(maker, rooms):
    for number in range(8):
        room = rooms[number % len(rooms)]
        scene = maker.draw(np.random.default_rng([10, number]), room)
        assert scene.mixture.shape == scene.early.shape == ((scene.lead_hops + FRAMES) * HOP, room.mics)
        assert np.abs(scene.mixture).max() <= 0.991
        level_db = 10.0 * np.log10(np.mean(scene.mixture[:, int(room.alive.argmax())] ** 2))
        assert -60.0 < level_db < -4.0
        if scene.snr_db is None or scene.snr_db > 30.0:
            continue
        assert -8.5 < scene.snr_db < 25.5
        assert np.all(scene.early[:, ~room.alive] == 0.0)


# ---- shards ----


def test_a_shard_gives_back_what_was_packed(tmp_path):
    rng = np.random.default_rng(11)
    level = 10.0 ** rng.uniform(-4.0, 1.0, (FRAMES, BINS))
    signal = rng.standard_normal((FRAMES, BINS)) + 1j * rng.standard_normal((FRAMES, BINS))
    beam = (level * signal).astype(np.complex64)
    power = np.stack([level**2, 0.0 * level], axis=1).astype(np.float32)
    heard = Heard(beam, 0.5 * beam, power, 0.0, 0.0)
    packed, scale = pack(heard)
    assert packed.dtype == np.float16
    assert packed.shape == (FRAMES, COLUMNS)
    write_shard(tmp_path / "train-00000", packed[None], [{"item": 0, "scale": scale}])
    np.save(tmp_path / "train-00001.npy", packed[None])  # not finished: no index
    shards, rows = read_shards(tmp_path, "train")
    assert len(shards) == len(rows) == 1
    found, target, logs = unpack(shards[rows[0]["shard"]][rows[0]["place"]], rows[0]["scale"])
    np.testing.assert_allclose(found, beam, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(target, 0.5 * beam, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(logs[:, 0], np.log10(level**2 @ pooling()), atol=5e-3)
    assert np.all(logs[:, 1] == -12.0)
    assert logs.shape == (FRAMES, 2, BANDS)
    batch, _, _ = unpack(np.stack([packed, packed]), np.array([scale, 2 * scale], np.float32).reshape(2, 1, 1))
    np.testing.assert_allclose(batch[1], 2 * batch[0])


def test_shards_of_other_options_are_never_mixed(tmp_path):
    job = Job(tmp_path, tmp_path, tmp_path, tmp_path, "train", 1, 500, "mono-assistant", first=0, count=64)
    claim(job)
    claim(dataclasses.replace(job, first=64))
    claim(dataclasses.replace(job, part="held-out", rooms=48))
    with pytest.raises(UsageError, match=r"train scenes made otherwise: rooms was 500 and is 400 now; give another"):
        claim(dataclasses.replace(job, rooms=400))
