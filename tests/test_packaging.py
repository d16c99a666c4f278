"""The wheel carries its data and works outside the checkout; the live path stays lean; locks hold no address."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the project's own build backend in this environment: nothing is downloaded."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked as pip would lay it out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_outside(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python from another folder with the unpacked wheel before everything else; the checkout is not in sight."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(site), "NUMBA_CACHE_DIR": str(folder / "numba"), "ORT_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


def test_wheel_carries_everything_that_is_shipped(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {
        "models/shipped": "edge/_data/models",
        "firmware_config": "edge/_data/firmware_config",
        "systemd": "edge/_data/systemd",
        "edge": "edge",
    }
    git = shutil.which("git") is not None
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True) if git else None
    if listed is None or listed.returncode != 0:
        pytest.skip("not a git checkout, or no git")
    tracked = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    expected = {
        target + name[len(folder) :]
        for name in tracked
        for folder, target in shipped.items()
        if name.startswith(folder + "/")
    }
    assert expected - names == set()
    for pattern in (
        r"edge/_data/models/.*\.onnx",
        r"edge/_data/models/.*\.json",
        r"edge/_data/firmware_config/boards/.*\.toml",
        r"edge/_data/firmware_config/examples/.*\.toml",
        r"edge/_data/systemd/edge\.service",
        r"edge/.*schema.*\.json",
        r"edge/demo/scene/.*",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "models/"))]


def test_wheel_says_what_it_is(site: Path) -> None:
    (information,) = site.glob("mic_edge-*.dist-info")
    metadata = (information / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: <3.14,>=3.10" in metadata
    assert (information / "entry_points.txt").read_text().strip().endswith("edge = edge.cli.main:main")
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==).*$", metadata, re.MULTILINE)
    assert "numpy" in required
    assert not {"torch", "matplotlib", "pesq", "onnx"} & set(required)


def test_wheel_lists_the_boards_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    done = run_outside(
        site, tmp_path, "-c", "import edge, edge.boards as b; print(edge.__file__); print(*b.board_names())"
    )
    assert done.returncode == 0, done.stderr
    where, names = done.stdout.splitlines()
    assert Path(where).is_relative_to(site)
    assert set(names.split()) == {path.stem for path in (ROOT / "firmware_config" / "boards").glob("*.toml")}


def test_wheel_enhances_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    """With the shipped network, so the models of the wheel are found and whole."""
    soundfile = pytest.importorskip("soundfile")
    generator = np.random.default_rng(3)
    soundfile.write(tmp_path / "in.wav", (0.05 * generator.standard_normal((8000, 4))).astype(np.float32), 16000)
    done = run_outside(
        site, tmp_path, "-m", "edge", "enhance", "in.wav", "out.wav", "--board", "respeaker_4mic_square", "--json"
    )
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    out, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 16000
    assert len(out) == 8000
    assert np.isfinite(out).all()
    assert np.abs(out).max() > 0


LEAN = """
import json, sys
from edge.runtime.footprint import load_numba_without_scipy
load_numba_without_scipy()  # as every command does
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps(sorted(sys.modules)))
"""
# numba looks at the bare name scipy for its version; its parts are what costs seconds
NEVER = {
    "torch",
    "scipy.linalg",
    "scipy.signal",
    "scipy.special",
    "scipy.fft",
    "scipy.stats",
    "matplotlib",
    "pesq",
    "pystoi",
    "speechmos",
    "onnx",
    "amqtt",
    "rich",
    "pyroomacoustics",
}


@pytest.mark.parametrize("module", ["edge.pipeline", "edge.runtime", "edge.config", "edge.cli.main", "edge.cli.run"])
def test_imports_stay_lean(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEAN, module], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "edge" in loaded
    assert loaded & NEVER == set()


RUN_LEAN = """
import json, sys
from edge.runtime.footprint import load_numba_without_scipy
load_numba_without_scipy()  # as every command does
import numpy as np
from edge.config import default_config_for_board
from edge.pipeline import build_pipeline
pipeline = build_pipeline(default_config_for_board("respeaker_4mic_square"))
block = np.zeros((pipeline.hop_samples, pipeline.channels), np.float32)
out = np.zeros((pipeline.hop_samples, len(pipeline.outputs)), np.float32)
for _ in range(50):
    pipeline.process(block, out)
print(json.dumps(sorted(sys.modules)))
"""


def test_processing_stays_lean() -> None:
    """Nothing heavy is pulled in later either, by the network or by a stage that wakes up."""
    done = subprocess.run([sys.executable, "-c", RUN_LEAN], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "onnxruntime" in loaded
    assert loaded & (NEVER | {"soundfile", "sounddevice", "alsaaudio", "paho", "tqdm"}) == set()


@pytest.mark.parametrize("lock", LOCKS, ids=[path.name for path in LOCKS])
def test_locks_pin_every_package_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "torch==" not in text
    requirements = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement.split("\n")[0]


def pins(name: str) -> set[str]:
    """The pins of a lock, "name==version ; marker"."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {line.rstrip(" \\") for line in text.splitlines() if line and line[0].isalnum()}


def test_sets_fit_into_one_environment() -> None:
    """`make demo` after `make test` changes nothing, because the larger set holds the smaller pin for pin."""
    for smaller, larger in (("build", "test"), ("runtime", "demo"), ("demo", "test")):
        versions = {re.split(r" ;", pin)[0] for pin in pins(smaller)}
        assert versions <= {re.split(r" ;", pin)[0] for pin in pins(larger)}, smaller


def test_locks_hold_what_the_project_asks_for() -> None:
    names = {re.split(r"==", pin)[0] for pin in pins("runtime")}
    metadata = (ROOT / "pyproject.toml").read_text()
    asked = re.search(r"^dependencies = \[(.*?)^\]", metadata, re.MULTILINE | re.DOTALL)
    assert asked
    assert {re.split(r"[>=;]", line)[0] for line in re.findall(r'"(.*?)"', asked[1])} <= names
