"""`edge bench --pick-model`: which shipped network this machine is to run."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.cli.common import print_json
from edge.errors import ModelError, UsageError
from edge.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from edge.mask.measured import Picked, Timing


def pick_model(args: argparse.Namespace, mics: int) -> int:
    """Time, pick, keep and print; `mics` where no configuration tells. Raises EdgeError of the kinds that there are."""
    from edge.config import load_config
    from edge.mask.choice import mics_in_beam
    from edge.mask.measured import write_measured
    from edge.pick import pick, time_networks

    for option in ("beamformer", "mask", "precision", "seconds"):
        if getattr(args, option) is not None:
            raise UsageError(f"--pick-model times all there is; leave out --{option}")
    config = load_config(args.config, {"profile": args.profile}) if args.config else None
    if config:
        mics = mics_in_beam(config)
    names = [config.profile] if config else [args.profile] if args.profile else list(PROFILES)
    profiles = [PROFILES[name] for name in names]
    advance = _progress(profiles, mics)
    timings: list[Timing] = []
    picked: list[Picked] = []
    for profile in profiles:
        timings += time_networks(profile, mics, progress=advance)
        geometries = (1,) if mics == 1 else (1, mics)
        picked += [found for number in geometries if (found := pick(profile, timings, number))]
    if not picked:
        raise ModelError("no network is installed to pick from; install the models again")
    path = None
    try:
        path = write_measured(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), timings, picked)
    finally:  # what took its time is not lost with a folder that cannot be written
        if args.json:
            file = None if path is None else str(path)
            print_json({"timings": [vars(t) for t in timings], "picked": [vars(p) for p in picked], "file": file})
        else:
            print(as_text(timings, picked, mics), flush=True)
    if args.json:
        return 0
    print(f"kept in {path}; counts where mask.model or mask.precision is auto, from the next start or reload on")
    if config and "auto" not in (config.mask.model, config.mask.precision):
        print(f"{args.config} names a network itself (mask.model, mask.precision), so there it does not count")
    return 0


def as_text(timings: list[Timing], picked: list[Picked], mics: int) -> str:
    """The table, and what was picked."""
    from edge.pick import SHARE_OF_HOP, share_of_hop

    columns = {"1 mic": 1, "array": mics} if mics > 1 else {"1 mic": 1}
    lines = [f"{'processor time, ms':<28}{'p50':>9}{'p99':>9}" + "".join(f"{name:>12}" for name in columns)]
    for t in timings:
        line = f"  {t.model + ' ' + t.precision:<26}{t.p50_ms:9.3f}{t.p99_ms:9.3f}"
        for number in columns.values():
            share = share_of_hop(t, PROFILES[t.profile], number, timings)
            line += f"{'-':>12}" if t.kind == "array" and number == 1 else f"{100 * share:10.1f} %"
        lines.append(line)
    if mics > 1:
        lines.append(
            "1 mic, array: share of the hop at p99; array: with the network that listens to one microphone for the beam"
        )
    else:
        lines.append("1 mic: share of the hop at p99")
    for p in picked:
        who = "one microphone" if p.geometry == "mono" else "arrays"
        line = f"{p.profile}, {who}: {p.model} {p.precision}"
        if not p.fits:
            line += f' (beyond {100 * SHARE_OF_HOP:.0f} % of the hop: rather mask.kind = "wiener", or another profile)'
        lines.append(line)
    return "\n".join(lines)


def _progress(profiles: list[Profile], mics: int) -> Callable[[], None]:
    """A bar on standard error, if a person is there to see it."""
    if not sys.stderr.isatty():
        return lambda: None
    from tqdm import tqdm

    from edge.pick import turns

    bar = tqdm(
        total=sum(turns(profile, mics) for profile in profiles), leave=False, bar_format="{percentage:3.0f}%|{bar}|"
    )
    return lambda: bar.update() and None
