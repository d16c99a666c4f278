"""Imports run one way: leaves <- signal path blocks <- pipeline <- runtime, the rim beside them, cli on top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.kinds import BEAMFORMER_KINDS, MASK_KINDS, PRECISIONS
from edge.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "edge").rglob("*.py"))

# Units are the modules and packages directly below edge/; config.schema, plain dataclasses, is a leaf by itself.
LEAVES = {
    "boards",
    "card_names",
    "config.schema",
    "console",
    "decoding",
    "errors",
    "geometry",
    "kernels",
    "kinds",
    "machine",
    "manifests",
    "processes",
    "profiles",
    "resources",
    "sane",
    "windows",
}
BLOCKS = {"beamform", "echo", "health", "mask", "meters", "post", "snr", "stft"}
HALVES = {"cues", "frontend", "listener", "spatial"}
CONFIG = {"config"}
EXPLAINING = {"description", "drawing", "latency"}
RIM = {"audio", "telemetry"}

MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(LEAVES, LEAVES),
    **dict.fromkeys(BLOCKS, LEAVES | BLOCKS),
    **dict.fromkeys(CONFIG, LEAVES | CONFIG),
    **dict.fromkeys(EXPLAINING, LEAVES | BLOCKS | CONFIG | EXPLAINING),
    **dict.fromkeys(RIM, LEAVES),
    **dict.fromkeys(HALVES, LEAVES | BLOCKS),
    "pipeline": LEAVES | BLOCKS | HALVES,
    "runtime": LEAVES | BLOCKS | CONFIG | EXPLAINING | RIM | {"listener", "pipeline"},
    "heard": LEAVES | BLOCKS,
    "steps": LEAVES | BLOCKS | {"audio", "frontend", "heard", "pipeline", "runtime"},
    "aligned": LEAVES | {"runtime", "steps"},
    "offline": LEAVES | BLOCKS | CONFIG | {"aligned", "pipeline", "runtime", "steps"},
    "wave": LEAVES | {"aligned", "tasnet"},
    "bench": LEAVES | BLOCKS | CONFIG | RIM | {"pipeline", "runtime"},
    "pick": LEAVES | BLOCKS,
    "diagnosis": LEAVES | BLOCKS | CONFIG | EXPLAINING | RIM | {"pipeline", "runtime", "bench"},
    "quality": LEAVES | BLOCKS | CONFIG | {"pipeline"},
    "calibration": LEAVES | BLOCKS | CONFIG | RIM | {"pipeline", "quality"},
    "demo": LEAVES | BLOCKS | CONFIG | EXPLAINING | RIM | {"pipeline", "runtime", "quality"},
    "enhancers": LEAVES | BLOCKS | CONFIG | {"aligned", "offline", "steps", "tasnet"},
    "tasnet": LEAVES | BLOCKS,
    "store": LEAVES,
    "qa": LEAVES | BLOCKS | CONFIG | {"quality", "enhancers", "store"},
    "impact": LEAVES | BLOCKS | CONFIG | {"quality", "enhancers", "store", "qa"},
    "analysis": LEAVES | {"audio", "quality"},
    "__main__": {"cli"},
    "__init__": {"config", "offline", "wave"},  # names of the public face, looked up when asked for
}
EVERYTHING = set(MAY_IMPORT) | {"cli"}
MAY_IMPORT["cli"] = EVERYTHING

# What the live path must never load: heavy, or absent from a lean installation.
HEAVY = {"amqtt", "matplotlib", "onnx", "pesq", "pyroomacoustics", "pystoi", "rich", "scipy", "speechmos", "torch"}


def unit_of(module: str) -> str:
    """Unit of a module below edge, "edge.config.schema" -> "config.schema"; "edge" itself is "__init__"."""
    if module.startswith("edge.config.schema"):
        return "config.schema"
    return module.split(".")[1] if "." in module else "__init__"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, only_at_import_time: bool = False) -> Iterator[str]:
    """Absolute names of what a file imports; with the flag not what it imports inside functions or for types only."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # "from edge import snr" names modules, "from edge.snr import SnrMeter" does not
            names = [f"edge.{name.name}" for name in node.names] if node.module == "edge" else [node.module or ""]
            yield from names
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        type_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not (only_at_import_time and (deferred or type_only)):
            pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", SOURCES, ids=[module_of(path) for path in SOURCES])
def test_imports_run_one_way(path: Path) -> None:
    unit = unit_of(module_of(path))
    assert unit in MAY_IMPORT, f"edge.{unit} is new: say in this test where it stands"
    imported = {unit_of(name) for name in imports_of(path) if name == "edge" or name.startswith("edge.")}
    imported &= EVERYTHING  # "from edge import __version__" names no unit
    assert imported - MAY_IMPORT[unit] - {unit, "__init__"} == set()  # "import edge" by itself loads nothing


@pytest.mark.parametrize("path", SOURCES, ids=[module_of(path) for path in SOURCES])
def test_runtime_knows_nothing_of_training(path: Path) -> None:
    assert not [name for name in imports_of(path) if name.split(".")[0] in ("models", "benchmarks", "tests")]


def test_kernels_do_not_import_one_another() -> None:
    """Each kernel's file alone decides whether its cached machine code is still good."""
    for path in sorted((ROOT / "edge" / "kernels").glob("*.py")):
        ours = {name for name in imports_of(path) if name.startswith("edge")}
        assert ours <= {"edge.kernels.jit"}, path


@pytest.mark.parametrize("unit", sorted(LEAVES | BLOCKS | HALVES | CONFIG | RIM | {"pipeline", "runtime"}))
def test_nothing_heavy_is_imported_on_the_live_path(unit: str) -> None:
    files = [path for path in SOURCES if unit_of(module_of(path)) == unit]
    assert files
    found = {(module_of(path), name) for path in files for name in imports_of(path, only_at_import_time=True)}
    assert not {(module, name) for module, name in found if name.split(".")[0] in HEAVY}


@pytest.mark.parametrize("choices", [BEAMFORMER_KINDS, MASK_KINDS, PRECISIONS, tuple(PROFILES)], ids="-".join)
def test_choices_are_written_down_once(choices: tuple[str, ...]) -> None:
    places = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            items = getattr(node, "elts", None) or getattr(node, "keys", None) or getattr(node, "args", None)
            if isinstance(items, list):
                words = {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}
                places += [module_of(path)] * (words == set(choices))
    assert places == ["edge.profiles" if choices == tuple(PROFILES) else "edge.kinds"]


@pytest.mark.parametrize(
    ("folder", "lines"), [("edge", 300), ("models", 300), ("benchmarks", 300), ("scripts", 300), ("tests", 400)]
)
def test_files_stay_short(folder: str, lines: int) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > lines} == {}
