"""Results as columns: dicts of arrays, and how those of several processes come together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather, get_world_size

from ..functional.coco.arrays import as_id, id_order

Columns = dict[str, np.ndarray]

# Every column begins at a multiple of this, where NumPy reads numbers of any kind.
ALIGNMENT = 8


def join(parts: Sequence[Columns]) -> Columns:
    """One after the other; of empty columns, neither shape nor kind matters."""
    return {
        name: np.concatenate([p[name] for p in parts if len(p[name])] or [parts[0][name]])
        for name in parts[0]
    }


def take(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> Columns:
    """The same rows of all columns."""
    return {name: column[rows] for name, column in columns.items()}


def gather(columns: Columns) -> list[Columns]:
    """Columns of all processes, in the order of their ranks; of this one alone if there is one.

    They travel as one array of bytes each, through the process group and on the device that its
    backend needs, and nothing is pickled.
    """
    if get_world_size() == 1:
        return [columns]
    packed = torch.from_numpy(pack(columns))
    sizes = [int(size) for size in all_gather(torch.tensor([len(packed)]))]
    padded = packed.new_zeros(max(sizes))  # all must send equally many
    padded[: len(packed)] = packed
    return [unpack(part[:size].numpy()) for part, size in zip(all_gather(padded), sizes)]


def pack(columns: Columns) -> np.ndarray:
    """As bytes, (N,) uint8: a header in JSON, then the columns; objects are JSON too."""
    contents = [
        json.dumps(column.tolist()).encode() if column.dtype == object else column.tobytes()
        for column in columns.values()
    ]
    header = [
        (name, column.dtype.str, column.shape, len(content))
        for (name, column), content in zip(columns.items(), contents)
    ]
    text = json.dumps(header).encode()
    pieces = [len(text).to_bytes(ALIGNMENT, 'little'), text, *contents]
    packed = bytearray().join(piece + bytes(-len(piece) % ALIGNMENT) for piece in pieces)
    return np.frombuffer(packed, np.uint8)


def unpack(packed: np.ndarray) -> Columns:
    """Undo :func:`pack`."""
    length = int.from_bytes(packed[:ALIGNMENT].tobytes(), 'little')
    header = json.loads(packed[ALIGNMENT : ALIGNMENT + length].tobytes())
    columns = {}
    start = ALIGNMENT + length + -length % ALIGNMENT
    for name, kind, shape, size in header:
        content = packed[start : start + size]
        if np.dtype(kind) == object:
            columns[name] = objects(json.loads(content.tobytes()))
        else:
            columns[name] = content.view(kind).reshape(shape)
        start += size + -size % ALIGNMENT
    return columns


def id_column(value: Any) -> np.ndarray:
    """An id, or a list of them that is the id of one sample of several people, as (1,)."""
    value = value.tolist() if hasattr(value, 'tolist') else value
    if type(value) is int and -(2**63) <= value < 2**63:
        return np.array([value], dtype=np.int64)
    return objects([value])


def objects(values: Sequence) -> np.ndarray:
    """(N,) of whatever is in ``values``, which NumPy would unfold if it were lists."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def ranks(ids: np.ndarray) -> np.ndarray:
    """Place of each id among all, (N,); equal ids, and digits as a string, share one."""
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)[1]
    keys = [tuple(map(as_id, i)) if isinstance(i, list) else (as_id(i),) for i in ids]
    order = sorted({*keys}, key=lambda key: tuple(map(id_order, key)))
    place = {key: n for n, key in enumerate(order)}
    return np.array([place[key] for key in keys], dtype=np.int64)


def once(*keys: np.ndarray) -> np.ndarray:
    """Indices that sort by ``keys``, each (N,); of equals only the first is kept."""
    order = np.lexsort(keys[::-1])
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
    return order[new]
