"""`edge bench`, `edge warmup` and `edge doctor`: what they report, never how fast this machine is."""

import json
import os
import subprocess
import sys

import pytest
from live_parts import write_recording, write_toml

from edge import diagnosis
from edge.audio.loopback import LoopbackState
from edge.bench import measure, synthetic_config
from edge.cli.main import main
from edge.diagnosis import Finding
from edge.runtime.kernels import load_kernels

STAGES = {"condition", "analyze", "health", "wind", "listen", "localize", "beamform", "mask", "post", "synthesize"}
COST = {"p50", "p95", "p99", "p99_9", "max"}


def test_measure_counts_every_hop_and_finds_no_growth():
    result = measure(synthetic_config(3, {"mask": {"kind": "wiener"}}), seconds=2.0)
    assert result["hops"] == 251
    assert set(result["stage_ms"]) == STAGES
    assert set(result["hop_ms"]) == COST
    assert result["mics"] == 3
    # bookkeeping of the statistics, not something per hop
    assert result["python_block_growth"] < 200


@pytest.mark.parametrize("mics", [1, 2, 8])
def test_bench_on_a_made_up_array(mics, capsys):
    options = ["--mics", str(mics), "--seconds", "0.2", "--mask", "wiener", "--profile", "hearing", "--json"]
    assert main(["bench", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["mics"], result["profile"], result["mask"]) == (mics, "hearing", "wiener")
    assert result["beamformer"] == ("none" if mics == 1 else "mvdr")


def test_bench_on_a_configuration_in_words(tmp_path, capsys):
    path = write_toml(tmp_path)
    assert main(["bench", "--config", str(path), "--seconds", "0.2", "--beamformer", "delay_sum"]) == 0
    text = capsys.readouterr().out
    assert "4 microphones, delay_sum, wiener, assistant" in text
    for words in ("p99.9", "whole hop", "deadline misses", "real-time factor", "resident"):
        assert words in text


def test_bench_counts_one_microphone_in_the_singular(capsys):
    assert main(["bench", "--mics", "1", "--seconds", "0.1", "--mask", "bypass"]) == 0
    assert capsys.readouterr().out.startswith("1 microphone, none, bypass, ")


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--mics", "0"], "from 1 to 32"), (["--config", "x.toml", "--mics", "2"], "leave out --mics")],
)
def test_bench_refuses_nonsense(options, words, capsys):
    assert main(["bench", *options]) == 2
    assert words in capsys.readouterr().err


def test_warmup_tells_kernels_times_and_where_the_cache_is(tmp_path, capsys):
    assert main(["warmup", "--config", str(write_toml(tmp_path)), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["kernels"] == load_kernels().count > 10
    assert set(result["hop_ms"]) == {"assistant"}
    assert result["total_s"] >= max(result["steps_s"].values())


def test_a_cold_cache_is_said_once_and_a_warm_one_not(tmp_path):
    # one module, not all of them: the sentence comes with the first that has to be compiled
    code = "from edge.cli.common import say_when_compiling; say_when_compiling()\n"
    code += "import edge.kernels.pcm"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
        ).stderr
        for _ in range(2)
    ]
    assert said[0].splitlines() == [
        "edge: compiling the kernels for this machine, once (about 20 s; minutes on a small board)"
    ]
    assert said[1] == ""


def findings_of(capsys, *options):
    code = main(["doctor", "--json", *options])
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == code
    return code, {finding["check"]: finding for finding in report["findings"]}


def test_doctor_looks_at_everything_and_has_a_remedy_for_each_finding(capsys):
    code, findings = findings_of(capsys)
    assert code == 0
    wanted = {"python", "packages", "kernels", "model", "speed", "real time", "memory lock", "governor", "temperature"}
    assert wanted | {"network", "sound cards", "loopback"} == set(findings)
    for finding in findings.values():
        assert finding["status"] in ("ok", "warning", "fail")
        assert bool(finding["remedy"]) == (finding["status"] != "ok"), finding


def test_doctor_tries_what_the_configuration_names(tmp_path, capsys):
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path)
    code, findings = findings_of(capsys, "--config", str(path))
    assert code == 0
    assert {findings[name]["status"] for name in ("config", "input", "output", "broker")} == {"ok"}
    assert not (tmp_path / "out.wav").exists()
    # no sound device takes part
    assert not {"sound cards", "loopback"} & set(findings)
    (tmp_path / "in.wav").unlink()
    code, findings = findings_of(capsys, "--config", str(path))
    assert code == 6
    assert "no such file" in findings["input"]["found"]
    assert "edge devices" not in findings["input"]["remedy"]


def test_doctor_finds_an_output_that_cannot_be_written(tmp_path, capsys):
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path)
    path.write_text(path.read_text().replace("out.wav", "none/out.wav"))
    code, findings = findings_of(capsys, "--config", str(path))
    assert code == 6
    assert "does not exist" in findings["output"]["found"]


def test_doctor_does_not_promise_a_loopback_the_kernel_lacks(monkeypatch):
    lacking = LoopbackState(available=False, loaded=False, card="", timer_source="", at_boot=False, in_use="")
    monkeypatch.setattr("edge.audio.loopback.read_state", lambda: lacking)
    finding = next(finding for finding in diagnosis._sound() if finding.check == "loopback")
    assert "has no snd-aloop module" in finding.found
    assert "boot a kernel that has it" in finding.remedy
    assert "--setup" not in finding.remedy


def test_doctor_exits_with_the_first_failure_and_goes_on_after_it(tmp_path, capsys):
    code, findings = findings_of(capsys, "--config", str(write_toml(tmp_path, more="colour = 1")))
    assert code == 3
    assert findings["config"]["status"] == "fail"
    assert findings["kernels"]["status"] == "ok"


def test_doctor_finds_a_missing_broker(tmp_path, capsys, unused_port):
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path, more=f"[telemetry.mqtt]\nenabled = true\nport = {unused_port}")
    assert main(["doctor", "--config", str(path)]) == 7
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fail     broker") and str(unused_port) in line for line in lines)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def made_up_cpu(root, governor, driver="cpufreq-dt"):
    folder = root / "devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text(governor + "\n")
    (folder / "scaling_driver").write_text(driver + "\n")


@pytest.mark.parametrize(
    ("governor", "driver", "status"),
    [
        ("performance", "cpufreq-dt", "ok"),
        ("schedutil", "cpufreq-dt", "ok"),
        ("powersave", "cpufreq-dt", "warning"),
        ("powersave", "intel_pstate", "ok"),  # there it scales with the load
    ],
)
def test_governor(tmp_path, governor, driver, status):
    made_up_cpu(tmp_path, governor, driver)
    (finding,) = diagnosis._governor(tmp_path)
    assert finding.status == status
    assert governor in finding.found


@pytest.mark.parametrize(("millicelsius", "status"), [(50_000, "ok"), (81_000, "warning")])
def test_temperature(tmp_path, millicelsius, status):
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text(f"{millicelsius}\n")
    (finding,) = diagnosis._temperature(tmp_path)
    assert finding.status == status


def test_a_machine_that_tells_nothing_is_fine(tmp_path):
    assert [f.status for check in (diagnosis._governor, diagnosis._temperature) for f in check(tmp_path)] == [
        "ok",
        "ok",
    ]


def test_a_refusal_is_split_into_what_and_remedy():
    finding = diagnosis._allowed("real time", "allowed", "no right (denied); do this, or that")
    assert finding == Finding("real time", "warning", "no right (denied)", "do this, or that")
