"""A thread fetches ahead, but not too far, and ends with its consumer."""

import threading
import time

import pytest

from hrnet_plugin.apis.inputs.read_ahead import read_ahead


def test_order_and_end():
    assert list(read_ahead(range(100), 3)) == list(range(100))
    assert list(read_ahead([], 3)) == []


def test_errors_come_after_what_was_before_them():
    def items():
        yield 1
        yield 2
        raise OSError('broken')

    fetched_items = read_ahead(items(), 5)
    assert [next(fetched_items), next(fetched_items)] == [1, 2]
    with pytest.raises(OSError, match='broken'):
        next(fetched_items)


def test_no_further_ahead_than_asked_and_closing_ends_the_thread():
    fetched = []

    def items():
        for i in range(1000):
            fetched.append(i)
            yield i

    before = threading.active_count()
    fetched_items = read_ahead(items(), 4)
    next(fetched_items)
    time.sleep(0.3)
    assert len(fetched) <= 6  # the one handed over, four that wait, one in the thread's hands
    fetched_items.close()
    assert threading.active_count() == before
