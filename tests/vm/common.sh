# Sourced by the cases. Two cards of the real snd-aloop: "Loopback" is the product's, and "Mic" stands for a microphone
# array: what is played into hw:CARD=Mic,DEV=1 is what the runtime captures from hw:CARD=Mic,DEV=0.
out=/mnt/out
python=/opt/mic-edge/bin/python
export PYTHONPATH="$PWD" PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1
# what run.sh has compiled
export NUMBA_CACHE_DIR=/var/tmp/numba NUMBA_CPU_NAME=x86-64 NUMBA_CPU_FEATURES=
cp -r "$out/numba" "$NUMBA_CACHE_DIR"

edge() { "$python" -m edge "$@"; }
step() { echo "--- $(cut -d ' ' -f 1 /proc/uptime) s: $1"; }
fail() { echo "FAILED: $1"; exit 1; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds
wait_for() {
    tries=$1 what=$2
    shift 2
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain for $what"
        sleep 1
    done
}

# A second card for the module, after whatever `edge loopback --setup` writes (the last value of an option counts).
mkdir -p /etc/modprobe.d
echo 'options snd-aloop enable=1,1 index=7,8 id=Loopback,Mic pcm_substreams=1,1' >/etc/modprobe.d/zz-microphone.conf

# feed_microphone: plays the demo's scene, four channels, into the array's card, over and over
feed_microphone() {
    [ -f /var/tmp/scene.raw ] || "$python" - <<'PYTHON'
import soundfile
scene, rate_hz = soundfile.read("edge/demo/scene/mix.flac", dtype="int16")
assert rate_hz == 16000 and scene.shape[1] == 4
with open("/var/tmp/scene.raw", "wb") as file:
    for _ in range(40):
        file.write(scene.tobytes())
PYTHON
    aplay -q -D hw:CARD=Mic,DEV=1 -t raw -f S16_LE -r 16000 -c 4 --period-size 512 --buffer-size 4096 /var/tmp/scene.raw &
    feeder=$!
}
