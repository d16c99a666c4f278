"""The store: what was kept comes back, stale, damaged and foreign entries do not, and processes do not disturb it."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge.store import Store, code_digest, default_folder, digest, file_digest
from edge.store.disk import FILE_NAME

SOUND = np.random.default_rng(0).standard_normal(1000).astype(np.float32)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1e9

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s


def change(folder: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(folder / FILE_NAME)
    with database:
        assert database.execute(statement, values).rowcount > 0
    database.close()


@pytest.mark.parametrize("samples", [SOUND, SOUND.reshape(500, 2), SOUND[:1], SOUND[:0]])
def test_what_was_kept_comes_back_from_memory_and_from_disk(tmp_path: Path, samples: np.ndarray) -> None:
    first = Store(tmp_path)
    values = {"a": 1.25, "b": None, "c": ["x", {"d": "ä"}]}
    first.put_scores("scores", values)
    first.put_sound("sound", samples)
    for store in (first, Store(tmp_path), pickle.loads(pickle.dumps(first))):
        assert store.scores("scores") == values
        found = store.sound("sound")
        assert found is not None
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, samples)
        found += 1.0  # its own copy
        np.testing.assert_array_equal(store.sound("sound"), samples)
        assert store.scores("another") is None
        assert (store.use.hits, store.use.misses) == (3, 1)
        assert store.use.hit_rate == 0.75
    assert first.use.memory_hits == 3
    assert "3 of 4 found (75.0 %)" in first.use.sentence()
    assert list(tmp_path.glob("*.npy")) == []
    assert (tmp_path.stat().st_mode & 0o777) != 0


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b").put_scores("k", {})
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_without_a_folder_nothing_is_kept_or_counted() -> None:
    store = Store(None)
    store.put_scores("k", {"a": 1})
    assert store.scores("k") is None
    assert store.use.hit_rate is None
    assert store.use.sentence() == "cache: not asked"


def test_entries_grow_too_old_in_memory_and_on_disk_and_leave(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, keep_s=100.0, clock=clock)
    store.put_scores("old", {"a": 1})
    clock.now_s += 99.0
    assert store.scores("old") == {"a": 1}
    clock.now_s += 2.0
    assert store.scores("old") is None
    fresh = Store(tmp_path, keep_s=100.0, clock=clock)
    assert fresh.scores("old") is None
    assert (fresh.use.misses, fresh.use.expired) == (1, 1)
    assert Store(tmp_path, keep_s=None, clock=clock).scores("old") == {"a": 1}, "the reader says how old is too old"
    Store(tmp_path, keep_s=None, clock=clock).put_scores("for good", {})
    clock.now_s += 1e6
    fresh.put_scores("new", {})
    patient = Store(tmp_path, keep_s=None, clock=clock)
    assert patient.scores("old") is None, "a write clears what was to be kept no longer"
    assert patient.scores("for good") == {}


def test_the_bound_holds_and_the_least_recently_used_leave(tmp_path: Path) -> None:
    clock, entry_bytes = Clock(), 4 * SOUND.size
    store = Store(tmp_path, size_bytes=10 * entry_bytes, memory_bytes=0, clock=clock)
    for n in range(9):
        store.put_sound(f"{n}", SOUND)
    assert store.sound("0") is not None, "used again, so it stays"
    for n in range(9, 14):
        store.put_sound(f"{n}", SOUND)
        assert store.used_bytes() <= 10 * entry_bytes
    left = [n for n in range(14) if store.sound(f"{n}") is not None]
    assert left[0] == 0
    assert left[1:] == list(range(left[1], 14))
    assert 8 <= len(left) <= 10
    store.put_sound("huge", np.zeros(4 * SOUND.size, np.float32))
    assert store.sound("huge") is None, "larger than a quarter of the bound"
    assert store.sound("13") is not None


def test_uses_by_one_process_count_for_another_that_makes_room(tmp_path: Path) -> None:
    clock, entry_bytes = Clock(), 4 * SOUND.size
    reader, writer = (Store(tmp_path, size_bytes=10 * entry_bytes, clock=clock) for _ in range(2))
    for n in range(9):
        writer.put_sound(f"{n}", SOUND)
    assert reader.sound("0") is not None
    reader.close()
    for n in range(9, 12):
        writer.put_sound(f"{n}", SOUND)
    later = Store(tmp_path, clock=clock)
    assert later.sound("0") is not None
    assert later.sound("1") is None


def test_the_file_shrinks_with_its_entries(tmp_path: Path) -> None:
    store = Store(tmp_path, size_bytes=1 << 22, memory_bytes=0)
    big = np.zeros(200_000, np.float32)
    for n in range(20):
        store.put_sound(f"{n}", big + n)
    store.close()
    assert (tmp_path / FILE_NAME).stat().st_size < 1.3 * (1 << 22)


def test_memory_is_bounded_too(tmp_path: Path) -> None:
    store = Store(tmp_path, memory_bytes=10 * 4 * SOUND.size)
    for n in range(30):
        store.put_sound(f"{n}", SOUND)
    assert store._memory.used_bytes <= 10 * 4 * SOUND.size
    assert store.sound("29") is not None
    assert store.use.memory_hits == 1
    assert store.sound("0") is not None
    assert store.use.memory_hits == 1


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE entries SET value = ?", (b"{half",)),
        ("UPDATE entries SET value = substr(value, 1, 5)", ()),
        ("UPDATE entries SET kind = ?", ("pickle",)),
        ("UPDATE entries SET value = ?", ("text",)),
        ("UPDATE entries SET checksum = ?", (b"",)),
        ("UPDATE entries SET made_s = ?", ("yesterday",)),
    ],
)
def test_a_damaged_entry_is_a_miss_and_goes(tmp_path: Path, statement: str, values: tuple[object, ...]) -> None:
    Store(tmp_path).put_scores("k", {"a": 1})
    change(tmp_path, statement, *values)
    store = Store(tmp_path)
    assert store.scores("k") is None
    assert (store.use.misses, store.use.damaged) == (1, 1)
    assert store.used_bytes() == 0
    store.put_scores("k", {"a": 2})
    assert Store(tmp_path).scores("k") == {"a": 2}


def test_an_entry_moved_to_another_key_is_damaged(tmp_path: Path) -> None:
    Store(tmp_path).put_scores("k", {"a": 1})
    change(tmp_path, "UPDATE entries SET key = 'l'")
    store = Store(tmp_path)
    assert store.scores("l") is None
    assert store.use.damaged == 1


def test_scores_are_no_sound_and_nothing_is_unpickled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_scores("k", {"a": 1})
    assert store.sound("k") is None
    store.put_sound("s", SOUND)
    assert store.scores("s") is None
    with pytest.raises(ValueError, match="float32"):
        store.put_sound("s", SOUND.astype(np.float64))
    with pytest.raises(ValueError, match="JSON compliant"):
        store.put_scores("k", {"a": float("nan")})
    sources = Path(sys.modules["edge.store"].__file__ or "").parent.glob("*.py")
    assert not [path.name for path in sources if "import pickle" in path.read_text()]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    store = Store(tmp_path)
    assert store.scores("k") is None
    store.put_scores("k", {"a": 1})
    assert Store(tmp_path).scores("k") == {"a": 1}
    assert (tmp_path / f"damaged-{FILE_NAME}").exists() == bool(content)


def test_a_database_damaged_inside_costs_misses_and_heals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path, memory_bytes=0)
    for n in range(200):
        store.put_sound(f"{n}", SOUND)
    store.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content) - 4096, 4096):
        content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)
    store = Store(tmp_path, memory_bytes=0)
    assert [n for n in range(200) if store.sound(f"{n}") is not None] == []
    store.put_sound("new", SOUND)
    assert store.sound("new") is not None
    assert capsys.readouterr().err.count("warning") == 1


def test_a_database_that_was_deleted_under_a_process_is_begun_again(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "c", memory_bytes=0), Store(tmp_path / "c", memory_bytes=0)
    for each in (store, other):
        each.put_scores("old", {"a": 1})
    shutil.rmtree(tmp_path / "c")
    for n, each in enumerate((store, other)):
        assert each.scores("old") is None
        each.put_scores(f"{n}", {"n": n})
    store.close()
    other.close()
    assert [Store(tmp_path / "c").scores(f"{n}") for n in range(2)] == [{"n": 0}, {"n": 1}]


def test_only_the_damaged_database_is_set_aside(tmp_path: Path) -> None:
    """Two processes have it open; the one that finds out later must not set aside what the first has begun anew."""
    stores = [Store(tmp_path, memory_bytes=0) for _ in range(2)]
    for n, store in enumerate(stores):
        for k in range(20):
            store.put_sound(f"{n} {k}", SOUND)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.truncate(10000)
    for n, store in enumerate(stores):
        for k in range(20):
            assert store.sound(f"{n} {k}") is None
        store.put_scores(f"{n}", {"n": n})
    for store in stores:
        assert [store.scores(f"{n}") for n in range(2)] == [{"n": 0}, {"n": 1}]


_FILLS = """
import resource, sys
from pathlib import Path
import numpy as np
from edge.store import Store
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
store = Store(Path(sys.argv[1]), memory_bytes=0)
for n in range(30):
    store.put_sound(str(n), np.full(20_000, n, np.float32))
kept = [n for n in range(30) if store.sound(str(n)) is not None]
assert all((store.sound(str(n)) == n).all() for n in kept)
store.close()
print(*kept)
"""


def test_a_disk_that_is_full_costs_one_warning_and_nothing_that_was_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILLS, str(tmp_path)], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stderr.count("warning") == 1
    kept = [int(n) for n in done.stdout.split()]
    assert 3 <= len(kept) < 30
    store = Store(tmp_path)
    for n in kept:
        np.testing.assert_array_equal(store.sound(f"{n}"), np.full(20_000, n, np.float32))
    store.put_scores("room again", {"a": 1})
    assert Store(tmp_path).scores("room again") == {"a": 1}


def test_writers_that_are_killed_leave_whole_entries(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import numpy as np; from edge.store import Store\n"
        "s = Store(Path(sys.argv[1]), size_bytes=1 << 22, memory_bytes=0); n = 0\n"
        "while True:\n    s.put_sound(str(n % 60), np.full(20_000, n % 60, np.float32)); n += 1\n"
        "    if n == 5: print(n, flush=True)\n"
    )
    for wait_s in (0.05, 0.21):
        command = [sys.executable, "-c", program, str(tmp_path)]
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(wait_s)
        for writer in writers:
            writer.kill()
            writer.communicate(timeout=20)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = Store(tmp_path, memory_bytes=0)
    found = {n: store.sound(f"{n}") for n in range(60)}
    kept = {n: sound for n, sound in found.items() if sound is not None}
    assert len(kept) >= 5
    assert all((sound == n).all() for n, sound in kept.items())
    assert store.use.damaged == 0
    assert store.used_bytes() <= 1 << 22


def test_a_folder_that_cannot_be_used_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    for _ in range(2):
        store.put_scores("k", {"a": 1})
        assert store.scores("l") is None
    assert store.scores("k") == {"a": 1}, "from memory"
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert "--cache" in said


def _writes_and_reads(folder: str, first: int) -> None:
    store = Store(Path(folder), memory_bytes=0)
    for n in range(first, first + 60):
        store.put_scores(f"{n % 80}", {"n": n % 80})
        found = store.scores(f"{n % 80}")
        assert found is None or found == {"n": n % 80}
    store.close()
    os._exit(0 if store.use.hits == 60 and store.use.damaged == 0 else 1)


def test_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_writes_and_reads, args=(str(tmp_path), 20 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = Store(tmp_path)
    assert [store.scores(f"{n}") for n in range(80)] == [{"n": n} for n in range(80)]


def test_a_forked_process_opens_the_folder_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, memory_bytes=0)
    store.put_scores("parent", {"a": 1})
    child = os.fork()
    if child == 0:
        store.put_scores("child", {"a": 2})
        os._exit(0 if store.scores("parent") == {"a": 1} else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.scores("child") == {"a": 2}


def test_what_a_killed_process_kept_is_there(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.store import Store; s = Store(Path(sys.argv[1])); n = 0\n"
        "while True:\n    s.put_scores(str(n), {'n': n}); print(n, flush=True); n += 1\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    store = Store(tmp_path)
    assert [store.scores(f"{n}") for n in range(20)] == [{"n": n} for n in range(20)]
    assert store.use.damaged == 0


def test_keys_change_with_everything_that_decides(tmp_path: Path) -> None:
    a, b = SOUND[:4], SOUND[4:8]
    keys = {digest("x", a, b), digest("y", a, b), digest("x", b, a), digest("x", a.reshape(2, 2), b), digest("xy")}
    assert len(keys | {digest("x", "y"), digest("x", a.astype(np.float64), b)}) == 7
    same = [sys.executable, "-c", "from edge.store import digest; print(digest('x', 'y'))"]
    other = subprocess.run(same, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest("x", "y")
    for name in ("one.wav", "two.wav"):
        (tmp_path / name).write_bytes(b"same")
    assert file_digest(tmp_path / "one.wav") == file_digest(tmp_path / "two.wav")
    (tmp_path / "two.wav").write_bytes(b"Same")
    assert file_digest(tmp_path / "one.wav") != file_digest(tmp_path / "two.wav")
    assert len({code_digest(), code_digest(("cli",)), code_digest(("cli", "store/disk.py"))}) == 3


def test_the_default_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "mic-edge" / "store"


def test_made_in_seconds_since_1970(tmp_path: Path) -> None:
    Store(tmp_path).put_scores("k", {"a": 1})
    made_s, value = sqlite3.connect(tmp_path / FILE_NAME).execute("SELECT made_s, value FROM entries").fetchone()
    assert abs(made_s - time.time()) < 60.0
    assert json.loads(value) == {"a": 1}
