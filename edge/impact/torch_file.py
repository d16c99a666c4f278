"""Weights out of a file that torch.save wrote before release 1.6, without torch: half a gigabyte less to install.

Only tensors and plain values are made; a file that names anything else is refused, so none can run code. The format is
that of torch/serialization.py (_legacy_load): three pickles of magic number, protocol and sizes, the pickled object
with its storages by key, the keys in order, then each storage as a count of 8 bytes and its elements.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}


class _Tensor:
    """Where a tensor lies in its storage; an array once the storages are read."""

    def __init__(self, storage: tuple[Any, ...], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.key, self.offset, self.shape, self.strides = storage[0], offset, shape, strides

    def array(self, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
        flat = storages[self.key][self.offset :]
        last = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if min(self.shape, default=1) < 1 or min(self.strides, default=1) < 0 or last >= flat.size:
            raise ValueError("a tensor reaches beyond its storage")
        strides = [step * flat.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, strides).copy()


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    """Knows tensors, storages by their type and ordered dictionaries, and nothing else."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.types: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, found: Any) -> tuple[str]:
        kind, type_, key = found[:3]
        if kind != "storage" or found[5] is not None:
            raise pickle.UnpicklingError("a storage of a kind that is not known")
        self.types[key] = type_
        return (key,)


def read_weights(path: Path, entry: str) -> dict[str, NDArray[Any]]:
    """Tensors of the dictionary at `entry` of the saved object, by name. Raises ValueError for any other file."""
    try:
        with path.open("rb") as file:
            if (_Reader(file).load(), _Reader(file).load()) != (_MAGIC, _PROTOCOL):
                raise ValueError("the magic number or the protocol is another one")
            _Reader(file).load()
            reader = _Reader(file)
            saved = reader.load()
            storages = {}
            for key in _Reader(file).load():
                count = int.from_bytes(file.read(8), "little")
                type_ = np.dtype(reader.types[key])
                storages[key] = np.frombuffer(file.read(count * type_.itemsize), type_)
        return {name: tensor.array(storages) for name, tensor in saved[entry].items() if isinstance(tensor, _Tensor)}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is not what torch.save before 1.6 wrote ({error})") from error
