"""Two processes under torchrun: the same weights as one process that sees both halves of every batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from small import RECIPES  # noqa: E402

from models import checkpoint  # noqa: E402
from models.config import config_from_dict  # noqa: E402
from models.ranks import Ranks  # noqa: E402
from models.tasks import Sources, Task, make_task  # noqa: E402
from models.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.train

STEPS = 3
SETTINGS = {
    "mixing": {"batch": 2, "pool": 6, "refresh": 2, "rooms": 2, "segment_s": 1.0},
    "training": {"max_steps": STEPS, "minutes": 1e9, "validation_batches": 1, "warmup_steps": 2},
    "network": {"hidden": 16, "bottleneck": 8, "skip": 8, "blocks": 2},
}


class Both:
    """A task whose batches are those of two ranks."""

    def __init__(self, first: Task, second: Task) -> None:
        self._tasks, self.net = (first, second), first.net

    def batch(self, step: int) -> list[Any]:
        return [task.batch(step) for task in self._tasks]

    def loss(self, net: torch.nn.Module, both: list[Any]) -> torch.Tensor:
        return sum(task.loss(net, batch) for task, batch in zip(self._tasks, both, strict=True)) / 2


def test_two_processes_train_as_one_with_both_batches(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    cache, speech, noise = corpora
    out = tmp_path / "run"
    settings = [f"{section}.{key}={value}" for section, table in SETTINGS.items() for key, value in table.items()]
    folders = ["--speech", speech, "--noise", noise, "--cache", cache, "--out", out]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "models.train", RECIPES / "conv_tasnet.toml", *folders]
    for setting in settings:
        command += ["--set", setting]
    root = RECIPES.parents[1]
    # as `one process` below: no graphics card, one thread
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [str(word) for word in command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Conv-TasNet, causal:") == 1  # the first process alone speaks
    state = checkpoint.load(out / "last.pt")
    assert state["step"] == STEPS

    # the same run in this process: gradients of both ranks' batches, averaged by hand
    config, sources = config_from_dict(state["config"]), Sources(cache, speech, noise)
    alone = Trainer(config, sources, tmp_path / "alone")
    second = Ranks()
    second.rank = 1
    both = alone.task = Both(alone.task, make_task(config, sources, second))
    for _ in range(STEPS):
        alone.train_step()
    assert not torch.equal(*(batch[0] for batch in both.batch(0)))
    for name, value in alone.net.state_dict().items():
        torch.testing.assert_close(state["net"][name], value, atol=1e-6, rtol=1e-4)
