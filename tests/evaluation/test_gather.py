"""Tables: concatenated, as bytes and back, ranked and without repeated rows."""

import numpy as np
import pytest

from hrnet_plugin.evaluation.gather import (
    concatenate,
    dense_rank,
    id_column,
    object_array,
    pack,
    unique_rows,
    unpack,
)


def test_bytes_and_back():
    table = {
        'keypoints': np.random.default_rng(0).random((3, 17, 2), np.float32),
        'flags': np.array([True, False, True]),
        'ids': np.array([2**40, 0, -1]),
        'mixed': object_array([7, 'a.jpg', [1, 2], None, 'ü']),
        'nothing': np.zeros((0, 17)),
    }
    again = unpack(pack(table))
    assert list(again) == list(table)
    for name, column in table.items():
        assert again[name].dtype == column.dtype
        np.testing.assert_array_equal(again[name], column)


def test_empty_columns_decide_no_dtype():
    some = {'x': np.ones((2, 17), np.float32), 'id': np.array([3, 4])}
    none = {'x': np.zeros((0, 0)), 'id': np.zeros(0, np.int64)}
    more = {'x': np.zeros((1, 17), np.float32), 'id': object_array(['a'])}
    appended = concatenate([none, some, more])
    assert appended['x'].shape == (3, 17)
    assert appended['x'].dtype == np.float32
    assert appended['id'].tolist() == [3, 4, 'a']
    assert concatenate([none])['x'].shape == (0, 0)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([5, 3, 5, 4], [2, 0, 2, 1]),
        ([9_000_000_001, 0], [1, 0]),
        (['0010', 9, '9', 10], [1, 0, 0, 1]),
        (['b', 2, 'a'], [2, 0, 1]),
        ([[3, 1], [2], [3, 1], []], [2, 1, 2, 0]),
        ([2**70, 1], [1, 0]),
    ],
)
def test_dense_rank(values, expected):
    column = np.concatenate([id_column(value) for value in values])
    assert dense_rank(column).tolist() == expected


def test_unique_rows_sorts_and_keeps_the_first():
    first, second = np.array([1, 0, 1, 1, 0]), np.array([5, 9, 4, 5, 9])
    assert unique_rows(first, second).tolist() == [1, 2, 0]
    assert unique_rows(np.array([], int)).tolist() == []
