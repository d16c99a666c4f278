"""WAV headers: what one promises, and writing one that stays true while the file grows."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from edge.audio.sample_format import SampleFormat

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
LARGEST_DATA_BYTES = 0xFFFFFFFF - 4096
"""sizes in a RIFF file have 32 bits"""


def wav_header(format: SampleFormat, channels: int, rate_hz: int, data_bytes: int) -> bytes:
    """A RIFF/WAVE header for `data_bytes` of interleaved samples; plain for 16-bit mono and stereo, else extensible."""
    frame_bytes = format.sample_bytes * channels
    bits = 8 * format.sample_bytes
    code = _FLOAT if format.wav_is_float else _PCM
    extensible = channels > 2 or format.name != "S16_LE"
    tag = _EXTENSIBLE if extensible else code
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    if extensible:
        # no speaker positions: these channels are no loudspeaker layout
        fmt += struct.pack("<HHIH", 22, bits, 0, code) + _GUID_TAIL
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", len(body) + data_bytes + (data_bytes & 1)) + body


def promised_bytes(path: Path) -> tuple[int, int] | None:
    """(bytes of sound that a WAV header promises, bytes that the file has for them); None if it does not say.

    Programs that write to a pipe leave 0 or the largest number; that is no promise.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(12)
            if head[:4] != b"RIFF" or head[8:] != b"WAVE":
                return None
            while len(chunk := file.read(8)) == 8:
                length: int = struct.unpack("<I", chunk[4:])[0]
                if chunk[:4] == b"data":
                    return (length, size - file.tell()) if 0 < length < 0xFFFFFF00 else None
                file.seek(length + (length & 1), os.SEEK_CUR)
    except OSError:
        pass
    return None
