"""Seeded mutations of JSON values, checkpoints and bytes."""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, -7.25, 1e308, 10**400, 2**63, math.nan, math.inf,
    '', 'x', '1', 'left_eye', 'é', '\ud800', '左', [], {}, [[]], [1], [1, 2], [None], ['a', 1],
    [{}], {'id': 1}, {'a': [1]}, [[1, 2, 2], [3, 4, 2]], [1] * 9, [1] * 51, [math.nan] * 4,
]  # fmt: skip
OTHER_FILES = [
    b'', b' ', b'null', b'3', b'"text"', b'[]', b'{}', b'[[]]', b'[{}]', b'PK\x03\x04',
    b'\x80\x02}q\0.', b'\xff\xd8\xff\xe0', b'<html></html>', b'\0' * 64, b'id,name\n1,a\n',
    b'[' * 100_000, b'{}\n{}\n', b"{'a': 1}", b'[1,', b'[NaN, Infinity]', b'\xff\xfe',
    b'\xef\xbb\xbf', b'7' * 5000, b'[' + b'7' * 5000,
]  # fmt: skip

Node = tuple[Any, Any]  # a list or dict, and an index or key of it


def nodes(tree: Any) -> Iterator[Node]:
    """Yield the places in a tree of lists and dicts."""
    if isinstance(tree, (dict, list)):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from nodes(tree[key])


def pick(rng: np.random.Generator, values: Any) -> Any:
    """Choose one of some values."""
    return values[int(rng.integers(len(values)))]


def mutated_value(value: Any, rng: np.random.Generator, odd: list[Any] = ODD) -> Any:
    """Copy a tree and change one to three places."""
    root = [copy.deepcopy(value)]
    for _ in range(int(rng.integers(1, 4))):
        # As many of the places near the root as of those below
        places = list(nodes(root))
        shallow = [place for place in places if len(list(nodes(place[0]))) > len(places) // 20]
        parent, key = pick(rng, shallow if shallow and rng.random() < 0.5 else places)
        change = int(rng.integers(7))
        if change < 3:
            parent[key] = copy.deepcopy(pick(rng, odd))
        elif change == 3 and parent is not root:
            del parent[key]
        elif change == 4:
            parent[key] = [parent[key]] if rng.random() < 0.5 else {'a': parent[key]}
        elif change == 5:
            other, place = pick(rng, places)
            parent[key] = copy.deepcopy(other[place])
        elif isinstance(parent[key], list):
            parent[key] = parent[key] * int(rng.integers(3)) + [copy.deepcopy(pick(rng, odd))]
        else:
            parent[key] = copy.deepcopy(pick(rng, odd))
    return root[0]


def mutated_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, overwrite, delete, insert or repeat bytes, or replace them all."""
    change = int(rng.integers(6))
    place = int(rng.integers(len(data) + 1))
    length = int(rng.integers(1, 40))
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    if change == 0:
        return data[:place]
    if change == 1:
        return data[:place] + noise + data[place + length :]
    if change == 2:
        return data[:place] + data[place + length :]
    if change == 3:
        return data[:place] + noise + data[place:]
    if change == 4:
        return data[:place] + data[max(0, place - length) :]
    return pick(rng, OTHER_FILES)


def mutated_json(value: Any, rng: np.random.Generator) -> bytes:
    """Encode a changed value as a JSON file, or change the bytes of the file."""
    change = rng.random()
    if change < 0.75:
        text = json.dumps(mutated_value(value, rng), ensure_ascii=bool(rng.random() < 0.5))
        encoding = pick(rng, ['utf-8'] * 8 + ['utf-8-sig', 'utf-16', 'utf-32-be'])
        return text.encode(encoding, 'surrogatepass')
    return mutated_bytes(json.dumps(value).encode(), rng)


def odd_tensors() -> list[Any]:
    """Values that a checkpoint may have in place of a weight."""
    return [
        *ODD[:25],
        torch.ones(()),
        torch.ones(0),
        torch.ones(3),
        torch.ones(2, 2),
        torch.ones(1, 1, 1, 1, dtype=torch.float16),
        torch.ones(2, dtype=torch.bool),
        torch.ones(2, dtype=torch.complex64),
        torch.full((4, 4), math.nan),
        torch.eye(3).to_sparse(),
        torch.empty(3, 3, device='meta'),
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
    ]
