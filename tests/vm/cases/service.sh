# The service on a booted systemd: installed by systemd/install.sh, waits for its array, ready only when audio flows, runs
# unprivileged in real time, is told over MQTT, reloads, is restarted after a hang and after a kill, stops with 0.
. tests/vm/common.sh

property() { systemctl show edge.service --property "$1" --value; }
status_text() { property StatusText | grep -q "$1"; }
status_topic() { mosquitto_sub -t 'edge/device/status' -C 1 -W 5; }
topic_says() { status_topic | grep -q "$1"; }
is_active() { [ "$(property ActiveState)" = active ]; }
restarted_to() { [ "$(property NRestarts)" -ge "$1" ] && is_active; }

mkdir -p /etc/mic-edge
cat >/etc/mic-edge/edge.toml <<'TOML'
[array]
board = "respeaker_4mic_square"
[input]
device = "hw:CARD=Mic,DEV=0"
rate_hz = 16000
format = "S16_LE"
periods = 16
[output]
periods = 16
[beamformer]
kind = "delay_sum"
azimuth_deg = 40.0
[mask]
kind = "wiener"
[telemetry.mqtt]
enabled = true
TOML
cp /etc/mic-edge/edge.toml /var/tmp/good.toml

step "systemd/install.sh"
systemctl start mosquitto.service
unset PYTHONPATH NUMBA_CACHE_DIR NUMBA_CPU_NAME NUMBA_CPU_FEATURES
systemd/install.sh --no-start
cat /proc/asound/cards
mosquitto_sub -v -t 'edge/#' >"$out/mqtt.txt" &

step "start while the array is not there"
driver=/sys/bus/platform/drivers/snd_aloop
echo snd_aloop.1 >"$driver/unbind"
systemctl start --no-block edge.service
wait_for 400 "the daemon to wait for its array" status_text 'waiting for a device'
[ "$(property ActiveState)" = activating ] || fail "active without an array"
property StatusText
step "the array comes"
echo snd_aloop.1 >"$driver/bind"
systemctl start edge.service
is_active || fail "systemctl start returned and the service is $(property ActiveState)"
feed_microphone
step "active"
systemctl --no-pager --lines 0 status edge.service
wait_for 60 "online" topic_says '"online"'
status_topic

step "privileges"
pid=$(property MainPID)
grep -E '^(Uid|Groups|NoNewPrivs|Seccomp|CapEff|VmLck|VmRSS|Threads)' "/proc/$pid/status"
[ "$(stat -c %u "/proc/$pid")" -ne 0 ] || fail "runs as root"
grep -q 'CapEff:[[:space:]]*0000000000000000' "/proc/$pid/status" || fail "has capabilities"
for task in "/proc/$pid/task"/*; do
    echo "$(cat "$task/comm"): $(chrt -p "${task##*/}" | tr '\n' ' ')"
done | tee /var/tmp/threads
grep -q SCHED_FIFO /var/tmp/threads || fail "no thread in real time"
grep -q 'VmLck:[[:space:]]*0 kB' "/proc/$pid/status" && fail "memory is not locked"

step "telemetry and commands"
mosquitto_sub -t edge/device/telemetry -C 10 -W 60 | tail -n 1 >/var/tmp/telemetry.json
"$python" - /var/tmp/telemetry.json <<'PYTHON'
import json, sys
state = json.load(open(sys.argv[1]))
print({key: state[key] for key in ("hops", "hop_ms", "deadline_misses", "overruns", "underruns", "level_in_dbfs", "level_out_dbfs", "mode", "rss_mib", "snr_in_db")})
assert state["hops"] > 0 and min(state["level_in_dbfs"]) > -60 and min(state["level_out_dbfs"]) > -60
PYTHON
mosquitto_sub -t 'edge/device/reply/look' -C 1 -W 30 >/var/tmp/reply &
listener=$!
sleep 2
mosquitto_pub -t edge/device/command/look -m '{"azimuth_deg": 90, "id": 7}'
wait "$listener"
cat /var/tmp/reply
grep -q '"ok":true' /var/tmp/reply || fail "the command was not carried out"

step "another program records"
arecord -q -D hw:CARD=Loopback,DEV=1 -f S16_LE -r 16000 -c 2 -d 10 "$out/service.wav"

step "reload"
sed -i 's/azimuth_deg = .*/azimuth_deg = 10.0/' /etc/mic-edge/edge.toml
systemctl reload edge.service
wait_for 30 "the reload" grep -q 'configuration reloaded: .*azimuth_deg' "$out/mqtt.txt"
echo 'no_such_key = 1' >>/etc/mic-edge/edge.toml
systemctl reload edge.service || true
wait_for 30 "the refusal" grep -q 'reload failed' "$out/mqtt.txt"
cp /var/tmp/good.toml /etc/mic-edge/edge.toml
is_active || fail "a bad file ended the service"
[ "$(property MainPID)" = "$pid" ] || fail "a reload changed the process"
grep edge/device/event "$out/mqtt.txt" | grep reload

step "a hang: kill -STOP"
before=$(property NRestarts)
kill -STOP "$pid"
wait_for 300 "the watchdog" restarted_to $((before + 1))
[ "$(property MainPID)" != "$pid" ] || fail "the same process"
wait_for 60 "online after the hang" topic_says '"online"'

step "a crash: kill -9"
pid=$(property MainPID)
before=$(property NRestarts)
lines=$(wc -l <"$out/mqtt.txt")
kill -9 "$pid"
wait_for 300 "the restart" restarted_to $((before + 1))
wait_for 60 "online after the crash" topic_says '"online"'
tail -n "+$((lines + 1))" "$out/mqtt.txt" | grep edge/device/status | tee /var/tmp/status
grep -q 'connection lost' /var/tmp/status || fail "the last will did not come"

step "systemctl stop"
systemctl stop edge.service
echo "Result=$(property Result) ExecMainStatus=$(property ExecMainStatus)"
[ "$(property Result) $(property ExecMainStatus)" = "success 0" ] || fail "stopping was not clean"
status_topic | tee /var/tmp/status
grep -q '"offline".*"stopped"' /var/tmp/status || fail "the end was not told"

step "a configuration that cannot work is not tried again"
echo 'no_such_key = 1' >>/etc/mic-edge/edge.toml
systemctl start edge.service && fail "started with a broken configuration"
sleep 5
echo "Result=$(property Result) ExecMainStatus=$(property ExecMainStatus) NRestarts=$(property NRestarts)"
[ "$(property ActiveState)" = failed ] && [ "$(property NRestarts)" -eq 0 ] || fail "a broken configuration is retried"

step "the journal"
journalctl --unit edge.service --no-pager --output cat
journalctl --unit edge.service --no-pager | grep -iE 'denied|not permitted|permission|read-only|refused' &&
    fail "the journal shows a denial"

step "systemd/install.sh --uninstall"
kill "$feeder" || true
systemd/install.sh --uninstall
[ ! -e /etc/systemd/system/edge.service ] || fail "the unit is still there"
[ ! -e /opt/mic-edge ] || fail "the programs are still there"
step "done"
