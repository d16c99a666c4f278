"""Users, passwords, access lists and TLS of a real mosquitto."""

import shutil
import subprocess
import time

import pytest
from mqtt_parts import PASSWORD, both_protocols, online
from telemetry_samples import make_snapshot, wait_until

from edge.errors import TelemetryError
from edge.telemetry.connection import probe_broker
from edge.telemetry.events import Event

pytestmark = pytest.mark.integration


def password_lines(folder, *access):
    """Broker settings with one user `mic` and, if given, an access list."""
    passwords = folder / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([tool, "-b", "-c", str(passwords), "mic", PASSWORD], check=True, timeout=30, capture_output=True)
    subprocess.run([tool, "-b", str(passwords), "boss", PASSWORD], check=True, timeout=30, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    if access:
        (folder / "access").write_text("\n".join(["user boss", "topic readwrite #", *access]) + "\n")
        lines.append(f"acl_file {folder / 'access'}")
    return lines


@both_protocols
def test_user_and_password_from_a_file(run, tmp_path, protocol):
    broker = run.broker(*password_lines(tmp_path))
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    config = broker.config(protocol=protocol, username="mic", password_file=str(tmp_path / "secret"))
    probe_broker(config)
    telemetry = run.telemetry(config)
    assert telemetry.warnings == []


@both_protocols
def test_refused_user_is_one_sentence_and_audio_would_go_on(run, tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", "a wrong secret")
    broker = run.broker(*password_lines(tmp_path))
    config = broker.config(protocol=protocol, username="mic")
    with pytest.raises(TelemetryError) as caught:
        probe_broker(config)
    assert caught.value.exit_code == 7
    telemetry = run.telemetry(config, wait=False)
    attempts = tmp_path / "mosquitto.log"
    wait_until(lambda: attempts.read_text().count("not authorised") >= 4, 15, "repeated attempts")
    assert telemetry.warnings == [str(caught.value)]
    (warning,) = telemetry.warnings
    assert f"the MQTT broker at 127.0.0.1:{broker.port} refused the connection (not authorized)" in warning
    assert 'for user "mic"; check telemetry.mqtt.username and the password' in warning
    assert "wrong secret" not in warning
    telemetry.publish(make_snapshot())  # goes nowhere, disturbs nobody


def test_access_list_that_forbids_publishing_is_told_with_mqtt_5(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", PASSWORD)
    broker = run.broker(*password_lines(tmp_path, "user mic", "topic readwrite other/#"))
    config = broker.config(protocol="5", username="mic")
    with pytest.raises(TelemetryError, match=r'does not allow user "mic" to publish on edge/test/event; extend'):
        probe_broker(config)
    telemetry = run.telemetry(config)
    wait_until(lambda: telemetry.warnings, what="the warning")
    telemetry.publish(make_snapshot())
    telemetry.event(Event("warning", "never arrives"))
    wait_until(lambda: len(telemetry.outbox) == 0, what="the outbox to drain")
    assert len(telemetry.warnings) == 1
    assert 'does not allow user "mic" to publish below edge/test' in telemetry.warnings[0]


def test_minimal_access_list_of_the_documentation_is_enough(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_MQTT_PASSWORD", PASSWORD)
    access = ["user mic", "topic readwrite edge/test/#"]
    broker = run.broker(*password_lines(tmp_path, *access))
    observer = run.observer(broker.port, username="boss", password=PASSWORD)
    config = broker.config(protocol="5", username="mic")
    probe_broker(config)
    telemetry = run.telemetry(config)
    observer.wait_for("edge/test/status", online)
    observer.send("edge/test/command/look", b'{"azimuth_deg": 1}')
    assert observer.wait_for("edge/test/reply/look")["ok"] is True
    assert telemetry.warnings == []


def certificates(folder, name):
    """A certificate authority and a server certificate for `name` (a subjectAltName), made with openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")

    def call(*arguments):
        subprocess.run([openssl, *arguments], check=True, timeout=60, capture_output=True, cwd=folder)

    authority = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = [part for extension in authority for part in ("-addext", extension)]
    (folder / "none.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    config = ["-config", "none.cnf"]
    call(
        "req",
        "-x509",
        *config,
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=A",
        *extensions,
    )
    call("req", *config, *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=broker")
    (folder / "san.cnf").write_text(f"subjectAltName={name}\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san.cnf"]
    call("x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    return [f"certfile {folder / 'server.pem'}", f"keyfile {folder / 'server.key'}"]


@both_protocols
def test_tls_with_an_authority_of_its_own(run, tmp_path, protocol):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    config = broker.config(protocol=protocol, tls=True, ca_file=str(tmp_path / "ca.pem"))
    probe_broker(config)
    telemetry = run.telemetry(config)
    telemetry.publish(make_snapshot())
    wait_until(lambda: len(telemetry.outbox) == 0 and not telemetry._busy(), what="everything to be sent")
    before_s = time.monotonic()
    telemetry.close()
    assert time.monotonic() - before_s < 4.0
    assert telemetry.warnings == []


def test_tls_with_an_unknown_authority_is_refused_in_one_sentence(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    config = broker.config(tls=True)
    with pytest.raises(TelemetryError, match=r"certificate of .* was not accepted .*set telemetry\.mqtt\.ca_file"):
        probe_broker(config)
    telemetry = run.telemetry(config, wait=False)
    wait_until(lambda: telemetry.warnings, what="the warning")
    time.sleep(1.5)  # another attempt, no other warning
    assert len(telemetry.warnings) == 1
    assert "was not accepted" in telemetry.warnings[0]


def test_tls_with_a_certificate_for_another_name(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "DNS:broker.lan"))
    with pytest.raises(TelemetryError, match=r"was not accepted \(IP address mismatch"):
        probe_broker(broker.config(tls=True, ca_file=str(tmp_path / "ca.pem")))


def test_no_tls_towards_a_tls_port(run, tmp_path):
    broker = run.broker(*certificates(tmp_path, "IP:127.0.0.1"))
    with pytest.raises(
        TelemetryError, match="did not answer as an MQTT broker; set tls = true if that is its TLS port"
    ):
        probe_broker(broker.config())
