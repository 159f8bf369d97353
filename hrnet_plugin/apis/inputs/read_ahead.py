"""A thread that works ahead."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar('T')
END = object()


def read_ahead(items: Iterable[T], size: int) -> Generator[T, None, None]:
    """Yield the items, while a thread fetches up to ``size`` of those that come next.

    What fetching raises is raised here, after the items before it. Closing the generator stops
    the thread.
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
        except BaseException as error:  # raised anew below, where somebody waits
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
