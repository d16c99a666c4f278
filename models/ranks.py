"""The processes of one run under torchrun: averaged gradients, one state, one decision on when to stop."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class Ranks:
    """Of a single process too, without torchrun, where everything here does nothing.

    Graphics cards talk by nccl, one card to a process of a machine; processors by gloo.
    """

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self._local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", self._local if self.count > 1 else 0) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo")

    def average(self, values: Tensor) -> Tensor:
        """Mean over the processes, on the device that `values` are on."""
        if self.count > 1:
            sent = values.to(self.device)
            distributed.all_reduce(sent)
            values = (sent / self.count).to(values.device)
        return values

    def of_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, plain values and tensors, in every one; tensors on the processor."""
        if self.count == 1:
            return make()
        buffer = io.BytesIO()
        if self.rank == 0:
            torch.save(make(), buffer)
        box = [buffer.getvalue()]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        made: T = torch.load(io.BytesIO(box[0]), map_location="cpu", weights_only=True)
        return made

    def one_first(self, work: Callable[[], T]) -> T:
        """Do it in the first process of each machine, then in its others, which find done what the first one did."""
        if self.count > 1 and self._local != 0:
            distributed.barrier()
        result = work()
        if self.count > 1 and self._local == 0:
            distributed.barrier()
        return result

    def close(self) -> None:
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
