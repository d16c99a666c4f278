"""Speech and noise on a microphone array in simulated rooms, for `edge impact`: one utterance a scene.

    python -m benchmarks.array.impact_scenes OUT --count 12
    edge impact --speech OUT/speech --noise OUT/noise --config OUT/array.toml

Rooms, places, reverberation and noise are those of the array benchmark's scenes (benchmarks.array.scenes), half of the
noise from one direction and half from all around; `edge impact` mixes them anew at every SNR. Microphones are those of
the 58 mm square. Needs pyroomacoustics (extra: development).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.array import rooms
from benchmarks.array.scenes import Sounds, render
from benchmarks.array.specs import ARRAYS_M, RT60S_S, SceneSpec
from benchmarks.mixtures import RATE_HZ, add_data_argument, load_mono, looped, rms, skip_without
from edge.impact.material import find_utterances, mixed_items

LEAD_S = 1.0
"""of noise alone, which is what `edge impact --lead` asks for by default"""
FEWEST_WORDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write speech/, noise/, manifest.jsonl and array.toml into")
    parser.add_argument("--count", type=int, default=12, help="scenes (default: %(default)s)")
    add_data_argument(parser)
    args = parser.parse_args()
    skip_without(args.data)
    write_scenes(args.data, args.out, args.count)


def write_scenes(data: Path, out: Path, count: int, seed: int = 0) -> None:
    """Render `count` utterances of data/speech with noises of data/noise, in turn, into `out`."""
    for folder in ("speech", "noise"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    items = mixed_items(find_utterances(data / "speech", FEWEST_WORDS), data / "noise", count, seed)
    for i, item in enumerate(items):
        assert item.noise is not None
        rng = np.random.default_rng((seed, i))
        speech = load_mono(item.utterance.path)
        samples = round(LEAD_S * RATE_HZ) + speech.size
        noise = load_mono(item.noise)
        diffuse = np.stack([looped(noise, samples, rng) for _ in range(rooms.DIRECTIONS)]).astype(np.float64)
        spec = SceneSpec(
            f"impact-{i}",
            "impact",
            "square",
            seed=900 + i,
            rt60_s=RT60S_S[i % 3],
            lead_s=LEAD_S,
            sir_db=0.0,
            diffuse_db=0.0,
        )
        scene = render(spec, Sounds(speech / max(rms(speech), np.float32(1e-6)), noise, diffuse))
        name = f"{item.utterance.name.replace('/', '_')}.wav"
        soundfile.write(out / "speech" / name, scene.speech[scene.lead_samples :], RATE_HZ, subtype="FLOAT")
        soundfile.write(out / "noise" / name, scene.noise, RATE_HZ, subtype="FLOAT")
        text, speaker = " ".join(item.utterance.words), item.utterance.speaker
        rows.append({"file": f"speech/{name}", "text": text, "speaker": speaker, "rt60_s": spec.rt60_s})
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    positions = [[round(float(v), 4) for v in row] for row in ARRAYS_M["square"]]
    source = '[input]\nkind = "file"\npath = "recording.wav"\n\n[output]\nkind = "null"\n'
    (out / "array.toml").write_text(f"[array]\npositions_m = {positions}\n\n{source}", "utf-8")


if __name__ == "__main__":
    main()
