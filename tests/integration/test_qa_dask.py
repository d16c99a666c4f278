"""`edge qa --scheduler` with a real Dask scheduler and worker process on the loopback interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qa_files import make_odd_pairs, make_pairs

from edge.cli import main as cli

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.integration


def test_a_cluster_measures_what_this_machine_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, noisy = make_pairs(tmp_path, 3, 0.5)
    make_odd_pairs(tmp_path)
    arguments = f"qa --clean {clean} --noisy {noisy} --mask wiener --no-dnsmos --examples 0 --json".split()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://127.0.0.1:")
        cache = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "far")]
        assert cli.main([*arguments, *cache, "--scheduler", address]) == 8
        far = json.loads(capsys.readouterr().out)
        assert address in far["effort"]["workers"]
        assert far["effort"]["measured"] == 10
        assert cli.main([*arguments, *cache, "--scheduler", address]) == 8
        again = json.loads(capsys.readouterr().out)
    assert (again["effort"]["measured"], again["cache"]["hit_rate"]) == (0, 1.0)
    assert cli.main([*arguments, "--no-cache", "--out", str(tmp_path / "near"), "--jobs", "1"]) == 8
    near = json.loads(capsys.readouterr().out)
    assert far["systems"] == near["systems"] == again["systems"]
