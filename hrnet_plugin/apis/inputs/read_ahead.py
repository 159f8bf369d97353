"""Fetch items ahead in a thread."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar('T')
END = object()


def read_ahead(items: Iterable[T], size: int) -> Generator[T, None, None]:
    """Yield items while a thread fetches the next ones.

    Closing the generator stops the thread.

    Args:
        items: Iterable that the thread reads.
        size: How many fetched items may wait.

    Yields:
        The items in their order.

    Raises:
        BaseException: What reading ``items`` raises, after the items before it.
    """
    fetched: queue.Queue = queue.Queue(size)
    stop = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                fetched.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def fetch() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
        except BaseException as error:  # raised again below, in the thread that consumes
            failure.append(error)
        put(END)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while (item := fetched.get()) is not END:
            yield item
        if failure:
            raise failure[0]
    finally:
        stop.set()
        thread.join()
