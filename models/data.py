"""Speech and noise corpora: folders of sound files or tar shards, decoded once into one int16 file."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import AudioFileError
from edge.manifests import why
from edge.sane import SANE_MAX
from models.progress import say, steps
from models.whole import whole

RATE_HZ = 16000
SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3", ".aiff", ".aif"}


@dataclass(frozen=True)
class Clip:
    """One utterance or noise recording inside a corpus: [start, start + samples), its group and its quality."""

    start: int
    samples: int
    group: str
    """talker or recording: what a validation split must not divide"""
    source: str
    snr_db: float
    """estimate of the clip's own signal-to-noise ratio; nan if unknown"""


@dataclass(frozen=True)
class Corpus:
    samples: NDArray[np.int16]
    clips: tuple[Clip, ...]

    def audio(self, clip: Clip, start: int = 0, samples: int | None = None) -> NDArray[np.float32]:
        """float32 in [-1, 1) of a clip or of a part of it."""
        stop = clip.samples if samples is None else min(clip.samples, start + samples)
        piece = self.samples[clip.start + start : clip.start + stop]
        return piece.astype(np.float32) * np.float32(1.0 / 32768.0)

    @property
    def hours(self) -> float:
        return sum(c.samples for c in self.clips) / RATE_HZ / 3600.0

    def split(self, validation: bool, share: float = 0.05, keep_groups: int = 1) -> Corpus:
        """The training or the validation part, divided by group (a hash of its name, so it never changes).

        keep_groups: at least so many groups go to validation and to training.
        """
        order = sorted({c.group for c in self.clips}, key=lambda g: hashlib.sha256(g.encode()).hexdigest())
        count = max(keep_groups, int(len(order) * share))
        if len(order) < 2 * keep_groups:
            raise AudioFileError(
                f"only {len(order)} talkers or recordings found, so none can be held out; "
                "put each talker's files in a folder of its own"
            )
        held = set(order[:count])
        return Corpus(self.samples, tuple(c for c in self.clips if (c.group in held) == validation))


def _decoded(data: bytes | Path, name: str) -> NDArray[np.int16]:
    """The first channel at RATE_HZ, bad samples as silence; of what is no sound nothing. Standard error says so."""
    import soundfile

    source = io.BytesIO(data) if isinstance(data, bytes) else str(data)
    try:
        audio, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        print(f"left out: {name} ({error.error_string})", file=sys.stderr)
        return np.zeros(0, np.int16)
    mono = np.ascontiguousarray(audio[:, 0])
    sane = np.abs(mono) < SANE_MAX
    if bad := int(np.count_nonzero(~sane)):
        print(f"{name}: {bad} samples were not finite or beyond +-{SANE_MAX:.0f} and became silence", file=sys.stderr)
        mono[~sane] = 0.0
    if rate != RATE_HZ:
        import soxr

        mono = soxr.resample(mono, rate, RATE_HZ)
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)


def _shards(folder: Path, kind: str) -> Iterator[tuple[NDArray[np.int16], list[Clip]]]:
    by_file: dict[tuple[str, str], list[dict[str, object]]] = {}
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        if str(row["shard"]).startswith(kind):
            by_file.setdefault((row["shard"], row["file"]), []).append(row)
    for shard in sorted({s for s, _ in by_file}):
        if not (folder / shard).is_file():
            raise FileNotFoundError(f"{shard} is no file")
        with tarfile.open(folder / shard) as tar:
            for member in tar:
                rows = by_file.get((shard, member.name))
                handle = tar.extractfile(member) if rows else None
                if rows is None or handle is None:
                    continue
                audio = _decoded(handle.read(), f"{member.name} in {shard}")
                clips = []
                for row in rows:
                    start = int(str(row["start"]))
                    n = min(int(str(row["n"])), audio.size - start)
                    source = str(row["source"])
                    # a recording is a group for noise; for speech the talker is
                    group = f"{source}/{row['speaker'] if kind == 'speech' else row['id']}"
                    if n > RATE_HZ // 10:
                        clips.append(Clip(start, n, group, source, float(str(row.get("snr_est", "nan")))))
                yield audio, clips


def _files(folder: Path) -> Iterator[tuple[NDArray[np.int16], list[Clip]]]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        audio = _decoded(path, str(path))
        # files of one sub-folder are one talker; files directly in the folder are each their own
        group = path.stem if path.parent == folder else str(path.parent.relative_to(folder))
        if audio.size > RATE_HZ // 10:
            yield audio, [Clip(0, audio.size, group, folder.name, float("nan"))]


def make_folder(folder: Path) -> None:
    """Make a folder for what is kept. Raises AudioFileError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"the folder {folder} cannot be made ({error.strerror}); give another one") from None


def _kept(data: Path, index: Path) -> Corpus | None:
    """What an earlier call kept in two files; None where there is nothing, or something damaged, which is said."""
    if not index.exists():
        return None
    try:
        clips = tuple(Clip(*row) for row in json.loads(index.read_text()))
        samples = np.lib.format.open_memmap(data, mode="r")
        if samples.dtype != np.int16 or not all(0 <= c.start < c.start + c.samples <= samples.size for c in clips):
            raise ValueError("clips beyond the samples")
    except Exception as error:  # whatever a damaged file may cause
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        say(f"{data.with_suffix('')} is damaged ({reason}) and is made anew")
        return None
    return Corpus(samples, clips)


def load_corpus(folder: Path, kind: str, cache: Path) -> Corpus:
    """Decode every file under `folder` (or its tar shards named `kind`*) once; later calls map the cached copy.

    kind: 'speech' or 'noise'. A folder with manifest.jsonl holds tar shards (one JSON line per clip with shard,
    file, start, n, id, source, speaker, snr_est); any other folder is searched for sound files of any rate.
    What is damaged there is decoded again. Raises AudioFileError when nothing usable is found, or it cannot be kept.
    """
    listing = sorted((str(p.relative_to(folder)), p.stat().st_size) for p in folder.rglob("*") if p.is_file())
    if not listing:
        raise AudioFileError(f"no {kind} found in {folder}: expected sound files or tar shards with manifest.jsonl")
    key = hashlib.sha256(json.dumps([kind, str(folder.resolve()), listing]).encode()).hexdigest()[:16]
    data, index = cache / f"{kind}-{key}.npy", cache / f"{kind}-{key}.json"
    if (kept := _kept(data, index)) is not None:
        return kept
    make_folder(cache)
    pieces, clips, offset = [], [], 0
    sharded = (folder / "manifest.jsonl").is_file()
    try:
        found_in = _shards(folder, kind) if sharded else _files(folder)
        total = None if sharded else sum(Path(name).suffix.lower() in SUFFIXES for name, _ in listing)
        for audio, found in steps(found_in, f"decoding {kind} in {folder}, once, into {cache}", "files", total):
            pieces.append(audio)
            clips += [Clip(c.start + offset, c.samples, c.group, c.source, c.snr_db) for c in found]
            offset += audio.size
    except (LookupError, TypeError, ValueError, tarfile.TarError, OSError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise AudioFileError(
            f"{kind} in {folder} cannot be read ({reason}); expected sound files, or tar "
            "shards and a manifest.jsonl as models/README.md says"
        ) from None
    if not clips:
        raise AudioFileError(f"no {kind} of a tenth of a second or more found in {folder}")
    try:
        with whole(data) as temporary, open(temporary, "wb") as file:
            np.save(file, np.concatenate(pieces))
        with whole(index) as temporary:
            temporary.write_text(json.dumps([[c.start, c.samples, c.group, c.source, c.snr_db] for c in clips]))
        return Corpus(np.load(data, mmap_mode="r"), tuple(clips))
    except OSError as error:
        raise AudioFileError(
            f"the decoded {kind} cannot be kept in {cache} ({why(error)}); "
            "make room there, or give another folder (--cache)"
        ) from None
