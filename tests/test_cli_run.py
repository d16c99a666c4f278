"""`edge run` as a process: signals, reload, the service manager, the summary."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import soundfile
from live_parts import write_recording, write_toml
from telemetry_samples import make_snapshot

from edge.cli.main import main
from edge.cli.run import VerboseLine
from edge.config import load_config
from edge.resources import data_folder

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX signals")


class Daemon:
    """`edge run` with a service manager's socket."""

    def __init__(self, folder, *options, watchdog_usec=None):
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(str(folder / "notify"))
        self.listener.settimeout(60.0)
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        environment.pop("WATCHDOG_PID", None)
        if watchdog_usec:
            environment["WATCHDOG_USEC"] = str(watchdog_usec)
        self.received = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "--config", str(folder / "edge.toml"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def wait_for(self, assignment):
        """Read messages of the daemon until one has this line."""
        while True:
            message = self.listener.recv(4096).decode().splitlines()
            self.received += message
            if assignment in message:
                return message

    def send(self, number):
        self.process.send_signal(number)

    def finish(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def close(self):
        self.listener.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def start(tmp_path):
    """Starts a daemon on a paced, endless recording."""
    running = []
    write_recording(tmp_path / "in.wav", 16000)

    def start_one(*options, more="", **how):
        write_toml(tmp_path, more=more)
        running.append(Daemon(tmp_path, *options, **how))
        return running[-1]

    yield start_one
    for daemon in running:
        daemon.close()


def test_sigterm_drains_and_exits_0(start, tmp_path):
    daemon = start("--json")
    daemon.wait_for("READY=1")
    # ready means that audio has already flowed into the sink
    assert soundfile.info(tmp_path / "out.wav").samplerate == 16000
    daemon.send(signal.SIGTERM)
    daemon.wait_for("STOPPING=1")
    code, out, err = daemon.finish()
    assert code == 0, err
    summary = json.loads(out)
    assert summary["reason"] == "SIGTERM"
    assert summary["hops"] > 0
    # every hop processed is in the file, and the tail of the chain with it
    assert soundfile.info(tmp_path / "out.wav").frames == summary["hops"] * 128 + 128


def test_reload_good_and_bad(start, tmp_path):
    telemetry = tmp_path / "telemetry.jsonl"
    daemon = start("--telemetry-file", str(telemetry), more="[telemetry]\ninterval_s = 0.1")
    daemon.wait_for("READY=1")
    write_toml(tmp_path, more='floor_db = -6.0\n[telemetry]\ninterval_s = 0.1\ndevice_name = "other"')
    daemon.send(signal.SIGHUP)
    assert daemon.wait_for("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
    daemon.wait_for("READY=1")
    end_s = time.monotonic() + 30.0
    while '"gain_floor_db":-6.0' not in telemetry.read_text():
        assert time.monotonic() < end_s
        time.sleep(0.05)
    write_toml(tmp_path, more="floor_db = 6.0")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("RELOADING=1")
    daemon.wait_for("READY=1")
    daemon.send(signal.SIGTERM)
    code, _, err = daemon.finish()
    assert code == 0, err
    good, bad = [line for line in err.splitlines() if "reload" in line]
    assert good == "edge: configuration reloaded: mask.floor_db changed; restart for telemetry.device_name"
    assert bad.startswith("edge: reload failed, the old configuration goes on: ")
    assert "mask.floor_db" in bad
    lines = [json.loads(line) for line in telemetry.read_text().splitlines()]
    reloads = [line["details"]["ok"] for line in lines if line["type"] == "event" and line["kind"] == "reload"]
    assert reloads == [True, False]
    assert lines[-1]["type"] == "telemetry"
    assert lines[-1]["gain_floor_db"] == -6.0


def test_watchdog_pings_while_audio_flows_and_ctrl_c_ends_it(start):
    daemon = start(watchdog_usec=400_000)
    daemon.wait_for("READY=1")
    for _ in range(3):
        daemon.wait_for("WATCHDOG=1")
    assert daemon.received.index("READY=1") < daemon.received.index("WATCHDOG=1")
    daemon.send(signal.SIGINT)
    code, out, err = daemon.finish()
    assert code == 0, err
    assert "SIGINT" in out


def test_duration_verbose_and_text_summary(tmp_path, capsys):
    write_recording(tmp_path / "in.wav", 32000)
    path = write_toml(tmp_path, realtime=False, more="[telemetry]\ninterval_s = 0.1")
    assert main(["run", "--config", str(path), "--duration", "1", "--verbose"]) == 0
    done = capsys.readouterr()
    assert "duration reached" in done.out
    assert "whole hop" in done.out
    assert "SNR in, out" in done.err


def test_the_example_from_file_to_file_runs(tmp_path, capsys):
    example = data_folder("firmware_config") / "examples" / "file.toml"
    text = example.read_text()
    out = load_config(example).output.path
    assert text.count(f'"{out}"') == 1
    # the same beside the original's paths, and into a folder of the test
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "edge").symlink_to(example.parents[2] / "edge")
    path = tmp_path / "a" / "b" / "file.toml"
    path.write_text(text.replace(out, str(tmp_path / "out.wav")))
    assert main(["run", "--config", str(path), "--duration", "2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["hops"], summary["reason"]) == (250, "duration reached")
    assert soundfile.info(tmp_path / "out.wav").channels == 2


def test_verbose_shows_the_first_microphone_not_the_first_channel(capsys):
    VerboseLine(first_mic=2).publish(make_snapshot())
    assert "level mic 1, out -30.0, -28.0 dBFS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda folder: (folder / "edge.toml").unlink(), 3, "no such configuration file"),
        (lambda folder: write_toml(folder, more="colour = 1"), 3, "mask.colour: unknown key"),
        (lambda folder: write_toml(folder, mask="network", more='model = "none"'), 5, "'none' is not known"),
        (lambda folder: (folder / "in.wav").unlink(), 6, "no such file"),
        (lambda folder: (folder / "in.wav").write_bytes(b""), 6, "is empty"),
        (lambda folder: write_recording(folder / "in.wav", 100, channels=3), 6, "3 channels, expected 4"),
        (
            lambda folder: write_toml(folder).write_text(
                (folder / "edge.toml")
                .read_text()
                .replace('kind = "file"\npath = "out.wav"', 'device = "hw:CARD=Nowhere"')
            ),
            4,
            "Nowhere",
        ),
    ],
)
def test_what_cannot_start_is_one_sentence_and_its_exit_code(tmp_path, capsys, change, code, words):
    write_recording(tmp_path / "in.wav", 1000)
    write_toml(tmp_path)
    change(tmp_path)
    assert main(["run", "--config", str(tmp_path / "edge.toml")]) == code
    err = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert len(err) == 1
    assert words in err[0]


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: write_recording(path, 100, channels=3)])
def test_what_cannot_start_leaves_an_existing_output_as_it_was(tmp_path, capsys, change):
    config = write_toml(tmp_path)
    write_recording(tmp_path / "in.wav", 1000)
    change(tmp_path / "in.wav")
    (tmp_path / "out.wav").write_bytes(b"old")
    assert main(["run", "--config", str(config)]) == 6
    assert (tmp_path / "out.wav").read_bytes() == b"old"


@pytest.mark.parametrize(("how", "code"), [("same", 3), ("symlink", 3), ("link", 6)])
def test_the_input_is_never_written_over(tmp_path, capsys, how, code):
    source = write_recording(tmp_path / "in.wav", 1000)
    config = write_toml(tmp_path, realtime=False)
    before = source.read_bytes()
    if how == "same":
        config.write_text(config.read_text().replace("out.wav", "../" + tmp_path.name + "/in.wav"))
    elif how == "symlink":
        (tmp_path / "out.wav").symlink_to(source)
    else:
        os.link(source, tmp_path / "out.wav")
    assert main(["run", "--config", str(config)]) == code
    assert "is both input and output; write to another file" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_a_reload_signal_before_and_after_the_loop_does_not_end_the_process(tmp_path):
    write_recording(tmp_path / "in.wav", 1000)
    config = write_toml(tmp_path, realtime=False)
    script = (
        "import os, signal, sys, edge.config as c, edge.runtime.live as live\n"
        "from edge.cli.main import main\n"
        "hup = lambda: os.kill(os.getpid(), signal.SIGHUP)\n"
        "load, runtime_run = c.load_config, live.LiveRuntime.run\n"
        "c.load_config = lambda *a: (hup(), load(*a))[1]\n"
        "live.LiveRuntime.run = lambda self: (runtime_run(self), hup())[0]\n"
        f"sys.exit(main(['run', '--config', {str(config)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, "end of" in done.stdout) == (0, True), done


def test_a_file_of_just_the_microphones_is_told_what_to_set(tmp_path, capsys):
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path)
    path.write_text(path.read_text().replace("[input]", 'roles = "RMMMM"\n[input]'))
    assert main(["run", "--config", str(path)]) == 6
    err = capsys.readouterr().err
    assert (
        'expected 5: one per letter of array.roles; for a file of just the microphones set array.roles = "MMMM"' in err
    )
    assert "edge enhance" in err


def test_no_loopback_card_is_told_how_to_make_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge.audio.alsa_pcm.known_cards", lambda *_: ["PCH"])
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path)
    path.write_text(path.read_text().replace('kind = "file"\npath = "out.wav"', 'kind = "loopback"'))
    assert main(["run", "--config", str(path)]) == 4
    err = capsys.readouterr().err
    assert "no loopback card" in err
    assert "edge loopback --setup" in err
    assert f"edge doctor --config {path}" in err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_telemetry_on_standard_output_has_it_for_itself(tmp_path, capsys, options):
    write_recording(tmp_path / "in.wav", 8000)
    path = write_toml(tmp_path, realtime=False)
    assert main(["run", "--config", str(path), "--telemetry-file", "-", *options]) == 0
    done = capsys.readouterr()
    assert {json.loads(line)["type"] for line in done.out.splitlines()} <= {"telemetry", "event"}
    assert done.out
    assert ("end of input" in done.err) or ('"reason"' in done.err)


def test_start_to_first_block_without_the_network_needs_no_onnxruntime(tmp_path):
    write_recording(tmp_path / "in.wav", 1000)
    path = write_toml(tmp_path, realtime=False)
    code = "import sys; from edge.cli.main import main\n"
    code += f"assert main(['run', '--config', {str(path)!r}]) == 0\n"
    code += "print({'onnxruntime', 'scipy.signal', 'paho', 'torch', 'matplotlib', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
