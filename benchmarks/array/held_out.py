"""Scenes that no constant of the project was chosen on: python -m benchmarks.array --held-out.

The standard scenes served for comparing designs and choosing constants, so what they say of the project is a little too
kind. These have other seeds, other pairs of talker and noise, other sizes of room, distances and reverberation. They
are for the last look only: whoever changes something because of them has to draw new ones.
"""

from __future__ import annotations

from typing import Any

from benchmarks.array.specs import ARRAYS_M, DIFFUSE_KINDS, SceneSpec

ROOMS_M = ((4.7, 5.3, 2.5), (6.3, 7.4, 3.1))
DISTANCES_M = (1.2, 1.8)
SEED = 1000
"""seeds from here on pair talker and noise as none of the standard seeds does"""


def _spec(i: int, name: str, family: str, **what: Any) -> SceneSpec:
    """Scene number i: the seed and what goes with it in turn."""
    defaults: dict[str, Any] = {
        "seed": SEED + i,
        "room_m": ROOMS_M[i % 2],
        "distance_m": DISTANCES_M[i // 2 % 2],
        "diffuse": DIFFUSE_KINDS[i % 3],
    }
    return SceneSpec(f"held-out-{name}", family, **(defaults | what))


def held_out_specs() -> list[SceneSpec]:
    """24 scenes of the families of `standard_specs`."""
    specs: list[SceneSpec] = []
    for k in range(6):
        sir_db = (0.0, 5.0)[k % 2]
        specs.append(
            _spec(
                len(specs),
                f"peers-{k}-sir{sir_db:g}",
                "peers",
                rt60_s=(0.25, 0.35)[k // 3],
                distance_m=1.5,
                sir_db=sir_db,
                diffuse="shaped",
                sensor_db=None,
            )
        )
    for a, array in enumerate(ARRAYS_M):
        for r, rt60_s in enumerate((0.25, 0.35, 0.5)):
            sir_db = (-3.0, 2.0, 7.0)[(a + r) % 3]
            name = f"static-{array}-rt{rt60_s:g}-sir{sir_db:g}"
            specs.append(_spec(len(specs), name, "static", array=array, rt60_s=rt60_s, sir_db=sir_db))
    walks = (("square", 80.0, 0.6, 2.0), ("circle", 70.0, 0.9, 5.0), ("line", 65.0, 0.6, 2.0))
    for array, walk_deg, walk_m_s, sir_db in walks:
        what: dict[str, Any] = {
            "array": array,
            "walk_deg": walk_deg,
            "walk_m_s": walk_m_s,
            "sir_db": sir_db,
            "max_order": 30,
        }
        specs.append(_spec(len(specs), f"walk-{array}", "walk", rt60_s=0.35, **what))
    for array, mic, from_s in (("square", 3, 0.0), ("circle", 2, 4.0)):
        what = {"array": array, "dead_mic": mic, "dead_from_s": from_s, "sir_db": 3.0}
        specs.append(_spec(len(specs), f"dead-{array}-mic{mic}", "dead", **what))
    for array in ("square", "circle"):
        specs.append(_spec(len(specs), f"gain3dB-{array}", "mismatch", array=array, sir_db=3.0, gain_spread_db=3.0))
    for array in ("square", "line"):
        specs.append(_spec(len(specs), f"moved1cm-{array}", "position", array=array, sir_db=3.0, position_error_m=0.01))
    return specs
