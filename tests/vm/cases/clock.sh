# The loopback bound to the clock of the microphone card: set-up by the project's own command, the timer that it names is
# the one that ticks while only the microphones run, sound goes through without resampling, and `auto` knows it.
. tests/vm/common.sh

step "edge loopback --setup --timer-card Mic"
edge loopback --setup
edge loopback --setup --timer-card Mic
grep 'timer_source=hw:Mic.0.1' /etc/modprobe.d/edge-aloop.conf
cat /proc/asound/Loopback/timer_source
cat /proc/asound/timers
edge loopback --status

step "sound through the bound loopback"
"$python" - <<'PYTHON'
import time
import numpy as np
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
from edge.audio.factory import clocks_shared
from edge.config.schema import ArrayConfig, Config, InputConfig

config = Config(array=ArrayConfig(), input=InputConfig(device="hw:CARD=Mic,DEV=0"))
assert clocks_shared(config), "output.clock = auto does not see that there is one clock"

HOP = 512
mic = AlsaSource("hw:CARD=Mic,DEV=0", 16000, 4, period_frames=HOP, periods=16)
out = AlsaSink("hw:CARD=Loopback,DEV=0", 16000, 2, period_frames=HOP, periods=16)
end = AlsaSource("hw:CARD=Loopback,DEV=1", 16000, 2, period_frames=HOP, periods=16)
mic.open(), out.open(), end.open()
rng = np.random.default_rng(0)
sent = (rng.integers(-16384, 16384, (100 * HOP, 2)) / 32768).astype(np.float32)
heard = np.zeros_like(sent)
block = np.zeros((HOP, 4), np.float32)
start = time.monotonic()
for first in range(0, len(sent), HOP):
    mic.read(block)
    out.write(sent[first : first + HOP])
    end.read(heard[first : first + HOP])
spent = time.monotonic() - start
print("frames a second", len(sent) / spent, "underruns", out.underruns, "dropped", out.dropped_frames,
      "gaps", mic.gap_frames, end.gap_frames, "reopens", mic.reopens, out.reopens, end.reopens, end.last_error)
starts = np.flatnonzero(heard[:-64, 0] == sent[0, 0])
assert any(np.array_equal(heard[n : n + 64], sent[:64]) for n in starts), "nothing came out of the bound loopback"
matched = next(n for n in starts if np.array_equal(heard[n : n + 64], sent[:64]))
same = int(np.argmin(np.append(np.all(heard[matched:] == sent[: len(heard) - matched], axis=1), False)))
print("frames in one piece", same, "of", len(heard) - matched)
mic.close(), out.close(), end.close()
PYTHON

step "the same with the bare name of the card: its playback timer, which does not tick"
echo hw:Mic >/proc/asound/Loopback/timer_source
"$python" - <<'PYTHON'
import numpy as np
from edge.audio.alsa_sink import AlsaSink
from edge.audio.alsa_source import AlsaSource
mic = AlsaSource("hw:CARD=Mic,DEV=0", 16000, 4, period_frames=512, periods=16)
out = AlsaSink("hw:CARD=Loopback,DEV=0", 16000, 2, period_frames=512, periods=16)
mic.open(), out.open()
block = np.zeros((512, 4), np.float32)
levels = []
for _ in range(60):
    mic.read(block)
    out.write(block[:, :2].copy())
    levels.append(out.queue_frames())
print("queue", levels[-1], "dropped", out.dropped_frames)
assert out.dropped_frames > 0, "it runs after all: the explanation in docs/audio-devices.md is wrong"
PYTHON

step "edge loopback --undo"
edge loopback --undo
edge loopback --status
