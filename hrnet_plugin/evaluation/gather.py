"""Results as tables (dicts of arrays), and how those of several processes come together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather, get_world_size

from ..functional.coco.ids import as_id, id_order

# Columns by name, with one row for each sample, instance or annotation
Table = dict[str, np.ndarray]

# Every column begins at a multiple of this, where NumPy reads numbers of any kind.
ALIGNMENT = 8


def concatenate(tables: Sequence[Table]) -> Table:
    """Append tables; of empty columns, neither shape nor dtype matters."""
    return {
        name: np.concatenate([t[name] for t in tables if len(t[name])] or [tables[0][name]])
        for name in tables[0]
    }


def take_rows(table: Mapping[str, np.ndarray], rows: np.ndarray) -> Table:
    """Select rows, by indices or a mask, in all columns."""
    return {name: column[rows] for name, column in table.items()}


def gather(table: Table) -> list[Table]:
    """Return the tables of all processes in the order of their ranks, or this one if it is alone.

    Each travels as one array of bytes, through the process group and on the device that its
    backend needs, and nothing is pickled.
    """
    if get_world_size() == 1:
        return [table]
    packed = torch.from_numpy(pack(table))
    sizes = [int(size) for size in all_gather(torch.tensor([len(packed)]))]
    padded = packed.new_zeros(max(sizes))  # all_gather needs equal sizes
    padded[: len(packed)] = packed
    return [unpack(part[:size].numpy()) for part, size in zip(all_gather(padded), sizes)]


def pack(table: Table) -> np.ndarray:
    """Convert a table to bytes (N,), uint8: a header in JSON, then the columns.

    Columns of objects are JSON, too.
    """
    contents = [
        json.dumps(column.tolist()).encode() if column.dtype == object else column.tobytes()
        for column in table.values()
    ]
    header = [
        (name, column.dtype.str, column.shape, len(content))
        for (name, column), content in zip(table.items(), contents)
    ]
    text = json.dumps(header).encode()
    pieces = [len(text).to_bytes(ALIGNMENT, 'little'), text, *contents]
    packed = bytearray().join(piece + bytes(-len(piece) % ALIGNMENT) for piece in pieces)
    return np.frombuffer(packed, np.uint8)


def unpack(packed: np.ndarray) -> Table:
    """Convert bytes back to a table: the inverse of :func:`pack`."""
    length = int.from_bytes(packed[:ALIGNMENT].tobytes(), 'little')
    header = json.loads(packed[ALIGNMENT : ALIGNMENT + length].tobytes())
    table = {}
    start = ALIGNMENT + length + -length % ALIGNMENT
    for name, dtype, shape, size in header:
        content = packed[start : start + size]
        if np.dtype(dtype) == object:
            table[name] = object_array(json.loads(content.tobytes()))
        else:
            table[name] = content.view(dtype).reshape(shape)
        start += size + -size % ALIGNMENT
    return table


def id_column(value: Any) -> np.ndarray:
    """Convert an id, or the list of ids of a sample with several instances, to (1,)."""
    value = value.tolist() if hasattr(value, 'tolist') else value
    if type(value) is int and -(2**63) <= value < 2**63:
        return np.array([value], dtype=np.int64)
    return object_array([value])


def object_array(values: Sequence) -> np.ndarray:
    """Convert a sequence to an array (N,) of objects; NumPy alone would unfold lists."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def dense_rank(ids: np.ndarray) -> np.ndarray:
    """Return the rank of each id (N,) among the distinct ids, from 0.

    A string of digits equals its number.
    """
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)[1]
    keys = [tuple(map(as_id, i)) if isinstance(i, list) else (as_id(i),) for i in ids]
    order = sorted({*keys}, key=lambda key: tuple(map(id_order, key)))
    rank = {key: n for n, key in enumerate(order)}
    return np.array([rank[key] for key in keys], dtype=np.int64)


def unique_rows(*keys: np.ndarray) -> np.ndarray:
    """Return indices that sort rows by ``keys``, each (N,), and keep the first of equal rows."""
    order = np.lexsort(keys[::-1])
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
    return order[new]
