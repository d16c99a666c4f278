"""The scenes, references and metrics of benchmarks/array: what they claim to be is what they are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed (extra: development)")

from benchmarks import record
from benchmarks.array import __main__ as whole
from benchmarks.array import metrics, musts, references, report, rooms, systems
from benchmarks.array.angles import azimuth_error_deg
from benchmarks.array.candidates import CANDIDATES, oracle_presence
from benchmarks.array.candidates import run as run_candidate
from benchmarks.array.held_out import held_out_specs
from benchmarks.array.scenes import SceneSpec, Sounds, make_scene, render, standard_specs
from edge.geometry import ArrayGeometry

RATE_HZ = 16000
SPEC = SceneSpec("tiny", "static", seed=3, rt60_s=0.2, sir_db=0.0, sensor_db=50.0, speech_s=2.0, max_order=3)


def syllables(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Bursts of low-pass noise with pauses, like speech to a covariance."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= 1.0 + (np.fft.rfftfreq(samples, 1 / RATE_HZ) / 600.0) ** 2
    t = np.arange(samples) / RATE_HZ
    return np.fft.irfft(spectrum, samples) * np.maximum(np.sin(2 * np.pi * 2.3 * t), 0.0)


def sounds(spec: SceneSpec = SPEC) -> Sounds:
    rng = np.random.default_rng(8)
    whole = round((spec.lead_s + spec.speech_s) * RATE_HZ)
    speech = syllables(round(spec.speech_s * RATE_HZ), rng).astype(np.float32)
    noise = rng.standard_normal(RATE_HZ).astype(np.float32)
    return Sounds(speech, noise, rng.standard_normal((rooms.DIRECTIONS, whole)))


@pytest.fixture(scope="module")
def scene():
    return render(SPEC, sounds())


def test_speech_and_noise_add_up_to_the_mixture(scene) -> None:
    assert scene.mix.shape == (3 * RATE_HZ, 4)
    assert scene.mix.dtype == np.float32
    np.testing.assert_array_equal(scene.mix, scene.speech + scene.noise)
    assert np.abs(scene.speech[: scene.lead_samples]).max() < 1e-12
    assert scene.noise[: scene.lead_samples].any(axis=0).all()


@pytest.mark.parametrize("part", ["sir_db", "diffuse_db"])
@pytest.mark.parametrize("wanted_db", [-5.0, 10.0])
def test_ratio_at_microphone_0_is_what_was_asked_for(part: str, wanted_db: float) -> None:
    nothing = replace(SPEC, sir_db=None, diffuse_db=None, sensor_db=None)
    scene = render(replace(nothing, **{part: wanted_db}), sounds())
    speech, noise = (x[scene.lead_samples :, 0].astype(np.float64) for x in (scene.speech, scene.noise))
    assert 10 * np.log10(np.mean(speech**2) / np.mean(noise**2)) == pytest.approx(wanted_db, abs=0.01)


def test_early_and_direct_are_the_beginning_of_the_image() -> None:
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 1.0
    scene = render(SPEC, replace(sounds(), speech=click))
    image = scene.speech[:, 0]
    arrival = scene.lead_samples + 40 + 1.5 / 343 * RATE_HZ
    for part in (scene.direct, scene.early, image):
        # the microphone is up to 41 mm, two samples, from the middle of the array
        assert np.argmax(np.abs(part)) == pytest.approx(arrival, abs=3)
    end = int(arrival) + round(0.05 * RATE_HZ)
    np.testing.assert_allclose(scene.early[: end - 3], image[: end - 3], atol=1e-6)
    assert np.abs(scene.early[end + 3 :]).max() < 1e-6 < np.abs(image[end + 3 :]).max()
    assert np.sum(scene.direct**2) < np.sum(scene.early**2)


def test_direct_path_arrives_from_the_true_direction() -> None:
    anechoic = render(replace(SPEC, sir_db=None, diffuse_db=None, sensor_db=None, max_order=0), sounds())
    delays_s = anechoic.geometry.steering_delays_s(anechoic.azimuth_deg, anechoic.elevation_deg)
    spectra = np.fft.rfft(anechoic.speech[anechoic.lead_samples :].astype(np.float64), axis=0)
    f = np.fft.rfftfreq(2 * len(spectra) - 2, 1 / RATE_HZ)
    band = (f > 200) & (f < 1500)
    for m in (1, 2, 3):
        cross = spectra[band, m] * spectra[band, 0].conj()
        shift = np.exp(2j * np.pi * f[band] * (delays_s[m] - delays_s[0]))
        # far-field delays at 1.5 m: wrong by less than a degree's worth
        assert np.angle(np.sum(cross * shift)) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("from_s", [0.0, 1.5])
def test_dead_microphone_is_digital_zero_from_its_time_on(from_s: float) -> None:
    scene = render(replace(SPEC, dead_mic=2, dead_from_s=from_s), sounds())
    last = round(from_s * RATE_HZ)
    assert not scene.mix[last:, 2].any()
    assert scene.mix[last:, [0, 1, 3]].any(axis=0).all()
    assert bool(scene.mix[:last, 2].any()) == (from_s > 0.0)
    np.testing.assert_array_equal(scene.early, render(SPEC, sounds()).early)


def test_gains_and_positions_differ_when_asked_and_are_not_told() -> None:
    plain = render(SPEC, sounds())
    louder = render(replace(SPEC, gain_spread_db=3.0), sounds())
    ratio = np.sqrt(np.mean(louder.speech**2, axis=0) / np.mean(plain.speech**2, axis=0))
    assert np.ptp(20 * np.log10(ratio)) > 1.0
    assert np.abs(20 * np.log10(ratio)).max() <= 3.01
    moved = render(replace(SPEC, position_error_m=0.01), sounds())
    assert np.abs(moved.speech - plain.speech).max() > 0.01 * np.abs(plain.speech).max()
    assert moved.geometry == plain.geometry


def test_walking_talker_moves_at_the_asked_speed_and_is_heard_moving() -> None:
    spec = replace(SPEC, walk_deg=60.0, walk_m_s=1.5, speech_s=3.0, max_order=0, sir_db=None, diffuse_db=None)
    scene = render(spec, sounds(spec))
    track = np.unwrap(scene.azimuth_track_deg, period=360.0)
    assert track.max() - track.min() == pytest.approx(60.0, abs=0.5)
    fastest = np.abs(np.diff(track)).max() * RATE_HZ / 128
    assert np.radians(fastest) * 1.5 == pytest.approx(1.5, rel=0.02)
    for first in (scene.lead_samples, len(scene.mix) - RATE_HZ // 2):
        there = slice(first, first + RATE_HZ // 2)
        azimuth_deg, elevation_deg = scene.direction_at(first + RATE_HZ // 4)
        told, else_ = (scene.geometry.steering_delays_s(a, elevation_deg) for a in (azimuth_deg, azimuth_deg + 60.0))
        spectra = np.fft.rfft(scene.speech[there].astype(np.float64), axis=0)
        f = np.fft.rfftfreq(RATE_HZ // 2, 1 / RATE_HZ)[:, None]
        aligned, off = (
            np.sum(np.abs(np.sum(spectra * np.exp(2j * np.pi * f * d), axis=1)) ** 2) for d in (told, else_)
        )
        assert aligned > off


def test_isotropic_field_has_the_coherence_of_one() -> None:
    rng = np.random.default_rng(2)
    positions_m = np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]])
    field = rooms.isotropic_field(rng.standard_normal((rooms.DIRECTIONS, 8 * RATE_HZ)), positions_m, RATE_HZ)
    spectra = references.analyze(field)
    cross = references.covariance(spectra)
    coherence = cross[:, 0, 1].real / np.sqrt(cross[:, 0, 0].real * cross[:, 1, 1].real)
    wanted = np.sinc(2 * references.FREQUENCIES_HZ * 0.06 / 343)
    assert np.sqrt(np.mean((coherence - wanted)[4:-1] ** 2)) < 0.08


def test_stft_of_the_references_reconstructs(scene) -> None:
    back = references.synthesize(references.analyze(scene.mix[:, :1])[:, :, 0], len(scene.mix))
    np.testing.assert_allclose(back, scene.mix[:, 0], atol=1e-6)


def test_references_rank_as_theory_says(scene) -> None:
    snr_db = {name: metrics.score(scene, f(scene))["snr_db"] for name, f in references.REFERENCES.items()}
    assert snr_db["mic 0"] < snr_db["delay-and-sum, told"] < snr_db["lead-in MVDR, told"] < snr_db["oracle MVDR"]


def test_delay_and_sum_is_that_of_the_pipeline(scene) -> None:
    ours = systems.run(scene, told=True, overrides={"beamformer.kind": "delay_sum", "mask.kind": "bypass"}).asr
    theirs = references.delay_sum(scene)
    assert metrics.score(scene, ours)["snr_db"] == pytest.approx(metrics.score(scene, theirs)["snr_db"], abs=0.2)


def test_oracle_is_distortionless_towards_its_relative_transfer_function(scene) -> None:
    speech = references.covariance(references.analyze(scene.speech))
    noise = references.covariance(references.analyze(scene.noise))
    transfer = references.relative_transfer_functions(speech, 0)
    weights = references.mvdr(noise, transfer, references.ORACLE_LOADING)
    np.testing.assert_allclose(np.sum(weights.conj() * transfer, axis=-1), 1.0, atol=1e-9)
    np.testing.assert_allclose(transfer[:, 0], 1.0, atol=1e-9)
    anechoic = render(replace(SPEC, max_order=0), sounds())
    kept = references.oracle_mvdr(anechoic).speech
    assert np.sum((kept - anechoic.speech[:, 0]) ** 2) < 0.02 * np.sum(anechoic.speech[:, 0] ** 2)


def test_dead_microphone_has_no_weight_in_the_references() -> None:
    scene = render(replace(SPEC, dead_mic=1), sounds())
    alone = render(replace(SPEC, dead_mic=1, sir_db=None, diffuse_db=None), sounds())
    assert references.lead_in_mvdr(scene).speech.std() == pytest.approx(alone.speech[:, 0].std(), rel=0.3)


@pytest.mark.parametrize("name", CANDIDATES)
def test_candidates_gain_with_the_true_presence(scene, name: str) -> None:
    made = run_candidate(scene, CANDIDATES[name](scene), oracle_presence(scene))
    assert np.isfinite(made.output).all()
    gain_db = metrics.score(scene, made)["snr_db"] - metrics.score(scene, references.microphone(scene))["snr_db"]
    assert gain_db > 1.5


def test_direction_scores_wait_a_second_and_count_what_is_unknown() -> None:
    spec = replace(SPEC, speech_s=3.0)
    scene = render(spec, sounds(spec))
    hops = len(scene.mix) // 128
    found = np.full(hops, scene.azimuth_deg + 7.0)
    found[: (scene.lead_samples + RATE_HZ) // 128] = scene.azimuth_deg + 100.0
    assert metrics.direction_scores(scene, found, 128)["p90_deg"] == pytest.approx(7.0)
    found[: hops * 3 // 4] = np.nan
    scores = metrics.direction_scores(scene, found, 128)
    assert scores["median_deg"] == pytest.approx(7.0)
    assert 0.0 < scores["known"] < 1.0
    assert metrics.direction_scores(scene, np.full(hops, np.nan), 128)["known"] == 0.0


def test_azimuth_error_wraps_around() -> None:
    square = ArrayGeometry([[0.03, 0, 0], [0, 0.03, 0], [-0.03, 0, 0]])
    np.testing.assert_allclose(azimuth_error_deg(square, [179.0, -170.0], [-179.0, 190.0]), [2.0, 0.0])


def test_azimuth_error_on_a_line_is_that_of_the_cone() -> None:
    line = ArrayGeometry([[0.0, 0.03, 0.0], [0.0, 0.0, 0.0], [0.0, -0.03, 0.0]])
    np.testing.assert_allclose(azimuth_error_deg(line, [30.0, -170.0], [150.0, 0.0]), [0.0, 10.0], atol=1e-6)
    higher = np.degrees(np.arcsin(np.cos(np.radians(15.0)) * np.sin(np.radians(80.0))))
    np.testing.assert_allclose(azimuth_error_deg(line, 80.0, higher, 15.0), 0.0, atol=1e-6)


def test_scenes_come_back_from_the_cache_as_they_were(tmp_path) -> None:
    rng = np.random.default_rng(4)
    for folder in ("speech", "noise"):
        (tmp_path / folder).mkdir()
    for i in range(18):
        soundfile.write(tmp_path / "speech" / f"talker{i:02}.flac", 0.1 * rng.standard_normal(2 * RATE_HZ), RATE_HZ)
    for name in ("berlin", "rain"):
        soundfile.write(tmp_path / "noise" / f"{name}.flac", 0.1 * rng.standard_normal(RATE_HZ), RATE_HZ)
    first, again = (make_scene(replace(SPEC, diffuse="babble"), tmp_path, tmp_path / "kept") for _ in range(2))
    np.testing.assert_array_equal(first.mix, again.mix)
    np.testing.assert_array_equal(first.early, again.early)
    assert (first.azimuth_deg, first.lead_samples) == (again.azimuth_deg, again.lead_samples)
    make_scene(replace(SPEC, diffuse="babble", seed=4), tmp_path, tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 2


def test_standard_scenes_have_every_family_and_different_names() -> None:
    full, quick = standard_specs(), standard_specs(quick=True)
    assert {s.family for s in quick} == {s.family for s in full}
    assert len({s.name for s in full}) == len(full)
    assert {s.name for s in quick} < {s.name for s in full}
    assert {s.array for s in full if s.family == "static"} == {"square", "circle", "line"}


def _rows(ours: float) -> list[dict[str, object]]:
    values = {musts.OURS: ours, musts.LEAD_IN: 0.6, musts.DELAY_SUM: 0.5, musts.MIC: 0.45}
    return [
        {"scene": f"{family}-1", "family": family, "system": system, **dict.fromkeys(metrics.NAMES, value)}
        for family in ("static", "walk")
        for system, value in values.items()
    ]


@pytest.mark.parametrize(("ours", "reached"), [(0.61, 7), (0.55, 5), (0.4, 0)])
def test_musts_judge_as_written(ours: float, reached: int) -> None:
    found = musts.check(_rows(ours), [], 0.07)
    assert len(found) == 8
    assert sum(must.reached is True for must in found) == reached + 1
    assert musts.as_text(found).count("| NO |") == 7 - reached


@pytest.mark.parametrize("undefined", [float("nan"), None])
def test_a_scene_without_a_value_is_a_scene_short_of_it(undefined: float | None) -> None:
    rows = _rows(0.61)
    for row in rows:
        if row["system"] == musts.OURS and row["family"] == "walk":
            row["estoi"] = undefined
    found = {must.what: must for must in musts.check(rows, [], None)}
    for what in (
        "walking, within 10 % of lead-in MVDR: estoi",
        "every scene, at least delay-and-sum: estoi",
        "every scene, at most 0.01 below mic 0: estoi",
    ):
        assert found[what].reached is False
        assert "walk-1 undefined" in found[what].short
    assert found["static, at least lead-in MVDR: estoi"].reached
    assert "| NO | walking" in musts.as_text(list(found.values()))


def test_means_are_over_scenes_that_both_have() -> None:
    rows = [*_rows(0.61), *({**row, "scene": "static-2"} for row in _rows(0.7) if row["family"] == "static")]
    for row in rows:
        if row["scene"] == "static-2" and row["system"] == musts.LEAD_IN:
            row["estoi"] = float("nan")
    must = musts.check(rows, [], None)[0]
    assert (must.ours, must.needed, must.scenes) == (pytest.approx(0.61), pytest.approx(0.6), 1)
    assert must.reached
    assert must.left_out == ["static-2"]
    assert "nothing to compare with in 1: static-2" in musts.as_text([must])


def test_a_cost_that_was_not_measured_is_said_to_be_so() -> None:
    must = musts.check(_rows(0.7), [], None)[-1]
    assert must.reached is None
    assert "| not measured | listen, localize and beamform per hop, 4 microphones: ms | - | 0.080 |" in musts.as_text(
        [must]
    )


def test_stronger_baseline_is_shown_and_no_must() -> None:
    rows = _rows(0.61)
    rows += [{**row, "system": musts.SHARPER, "snr_db": 0.65} for row in rows if row["system"] == musts.LEAD_IN]
    found = musts.check(rows, [], 0.07)
    assert all(must.reached for must in found if must.binding)
    beside = {must.what: must.reached for must in found if not must.binding}
    assert beside["static, at least lead-in MVDR with loading -30 dB: estoi"]
    assert not beside["static, at least lead-in MVDR with loading -30 dB: snr_db"]
    assert "| NO |" in musts.as_text(found).partition("Not musts")[2]


def test_names_of_references_are_those_that_are_judged() -> None:
    assert {musts.MIC, musts.DELAY_SUM, musts.LEAD_IN, musts.SHARPER} < set(references.REFERENCES)


def test_direction_and_cost_have_their_limits() -> None:
    directions = [{"scene": "doa-snr5-0", "median_deg": 4.0}, {"scene": "doa-snr0-0", "median_deg": 12.0}]
    reached = {must.what: must.reached for must in musts.check(_rows(0.7), directions, 0.07)}
    assert reached["direction, doa-snr5: median error in degrees"]
    assert not reached["direction, doa-snr0: median error in degrees"]
    assert reached["listen, localize and beamform per hop, 4 microphones: ms"]
    too_much = {must.what: must.reached for must in musts.check(_rows(0.7), directions, 0.09)}
    assert too_much["listen, localize and beamform per hop, 4 microphones: ms"] is False


def test_held_out_scenes_are_none_of_the_standard_ones() -> None:
    standard, held_out = standard_specs(), held_out_specs()
    assert len(held_out) == len({s.name for s in held_out}) == 24
    assert not {s.seed for s in standard} & {s.seed for s in held_out}
    assert not {s.name for s in standard} & {s.name for s in held_out}
    assert {s.room_m for s in standard}.isdisjoint(s.room_m for s in held_out)
    counts = {"peers": 6, "static": 9, "walk": 3, "dead": 2, "mismatch": 2, "position": 2}
    assert {family: sum(s.family == family for s in held_out) for family in counts} == counts


def test_report_counts_what_is_undefined(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: quality)")
    rows = _rows(0.6)
    rows[0]["pesq_wb"] = None
    summary = report.summarise(rows)
    entry = next(r for r in summary if r["family"] == "all" and r["system"] == musts.OURS)
    assert entry["pesq_wb_missing"] == 1
    assert entry["estoi"] == 0.6
    assert "| static |" in report.markdown(summary)
    report.draw(tmp_path / "array.png", summary)
    assert (tmp_path / "array.png").stat().st_size > 10_000


def test_json_and_page_say_where_they_come_from(tmp_path, monkeypatch) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: quality)")
    direction = {"scene": "static-1", "family": "static", "median_deg": 2.0, "known": 1.0}
    monkeypatch.setattr(whole, "run_scenes", lambda job, specs, processes: [(_rows(0.61), direction)])
    for name in ("speech", "noise"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").touch()
    common = ["--data", str(tmp_path), "--out", str(tmp_path), "--no-cost"]
    assert whole.main(common) == 0
    document = json.loads((tmp_path / "array.json").read_text())
    assert next(iter(document)) == "stamp"
    assert document["stamp"] == record.stamp()
    page = (tmp_path / "array.md").read_text()
    assert page.splitlines()[0] == record.provenance(document["stamp"])
    assert f"code and networks {record.digest()}" in page
    assert "| static |" in page
    # whoever changes the beam while it is measured
    digests = iter(("before", "after"))
    monkeypatch.setattr(record, "digest", lambda: next(digests))
    assert whole.main(common) == 0
    assert json.loads((tmp_path / "array.json").read_text())["stamp"]["digest"] is None
