# From a real ALSA card with four microphones to the real loopback: set-up by the project's own command, capture,
# beamformer, mask, playback, a recorder at the other end, a stall, and an array that is pulled out and put back.
. tests/vm/common.sh

cat >/var/tmp/edge.toml <<'TOML'
[array]
board = "respeaker_4mic_square"
[input]
device = "hw:CARD=Mic,DEV=0"
rate_hz = 16000
format = "S16_LE"
periods = 16
[output]
kind = "loopback"
periods = 16
[beamformer]
kind = "delay_sum"
azimuth_deg = 40.0
[mask]
kind = "wiener"
TOML

step "edge loopback --setup"
edge loopback --setup
cat /etc/modprobe.d/edge-aloop.conf /etc/modules-load.d/edge-aloop.conf | grep -v '^#'
cat /proc/asound/cards
step "edge loopback --status"
edge loopback --status --json | "$python" -c '
import json, sys
state = json.load(sys.stdin)
assert state["loaded"] and state["at_boot"] and state["card"] == "Loopback", state'
step "edge loopback --setup, a second time"
edge loopback --setup

step "edge enhance, for comparison"
edge enhance edge/demo/scene/mix.flac /var/tmp/reference.wav --config /var/tmp/edge.toml --output both

step "edge run"
"$python" -m edge run --config /var/tmp/edge.toml --telemetry-file "$out/telemetry.jsonl" --json -v \
    >"$out/summary.json" 2>"$out/edge.log" &
daemon=$!
wait_for 120 "telemetry" grep -q '"hops"' "$out/telemetry.jsonl"
feed_microphone
sleep 3
edge loopback --status
record() { arecord -q -D hw:CARD=Loopback,DEV=1 -f S16_LE -r 16000 -c 2 -d "$2" "$out/$1.wav"; }
step "arecord at the other end"
record first 20

step "a stall of two seconds"
kill -STOP "$daemon"
sleep 2
kill -CONT "$daemon"
sleep 2
record stalled 10

step "the array is pulled out and put back"
driver=/sys/bus/platform/drivers/snd_aloop
echo snd_aloop.1 >"$driver/unbind"
sleep 4
cat /proc/asound/cards
echo snd_aloop.1 >"$driver/bind"
udevadm settle
cat /proc/asound/cards
wait "$feeder" || true
feed_microphone
wait_for 60 "the device to come back" grep -q device_regained "$out/telemetry.jsonl"
sleep 3
record replugged 10

step "SIGTERM"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
kill "$feeder" || true
cat "$out/edge.log" "$out/summary.json"
[ "$status" -eq 0 ] || fail "edge run exited with $status"

step "what was recorded"
for name in first stalled replugged; do
    "$python" tests/vm/check_recording.py "$out/$name.wav" /var/tmp/reference.wav
done
"$python" - "$out/telemetry.jsonl" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
last = [row for row in rows if row["type"] == "telemetry"][-1]
print({key: last[key] for key in ("overruns", "gap_ms", "underruns", "dropped_ms", "reopens", "deadline_misses", "hop_ms", "mode")})
assert last["overruns"] >= 1 and last["gap_ms"] >= 1000, "a stall of two seconds was not counted as lost sound"
assert last["reopens"] >= 1, "the array was not opened again"
PYTHON
