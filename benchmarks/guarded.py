"""Measurements that may fail or run out of time, and what is known of them, as JSON and tables."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from timing import table

Entry = dict[str, Any]
T = TypeVar('T')


class OutOfTime(BaseException):
    """The time is up; no ``except Exception`` on the way shall take it for a failure."""


class Report:
    """Entries of sections, written to a JSON file after each of them.

    An entry is a dict with a ``name`` and numbers, or a name and an ``error``, or a name and why
    it was ``skipped``.

    Args:
        path: The JSON file.
        minutes: Time from now on; what has not ended by then is stopped, the rest is skipped.
        facts: What else the file says.
    """

    def __init__(self, path: Path, minutes: float, facts: dict[str, Any]) -> None:
        self.path = path
        self.start = time.monotonic()
        self.end = self.start + 60 * minutes
        self.is_armed = False
        self.content: dict[str, Any] = dict(facts, sections={})

    def attempt(self, section: str, name: str, function: Callable[[], T]) -> T | None:
        """Call a function; record what it raises, or that the time is up, and return None then.

        Args:
            section: Where the entry goes if there is no result.
            name: Name of that entry.
            function: A function without arguments, which may call this method, too.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            self.add(section, name, skipped='out of time')
            return None
        try:
            with self.alarm(left):
                return function()
        except OutOfTime:
            self.add(section, name, skipped='stopped, out of time')
        except Exception as error:
            self.add(section, name, error=f'{type(error).__name__}: {one_line(str(error))}')
        return None

    @contextmanager
    def alarm(self, seconds: float) -> Iterator[None]:
        """Raise OutOfTime inside after so many seconds, also in the middle of a computation.

        And again every few seconds: what is raised in a callback from C or in a destructor gets
        lost.
        """
        if self.is_armed or threading.current_thread() is not threading.main_thread():
            yield  # only the main thread has signals
            return
        before = signal.signal(signal.SIGALRM, stop)
        # Disarmed twice: the alarm may come at any step, the first of disarming too, and the
        # next one only seconds later. One that outlives its function would end the process.
        try:
            try:
                self.is_armed = True
                signal.setitimer(signal.ITIMER_REAL, seconds, 5)
                yield
            finally:
                self.disarm(before)
        finally:
            self.disarm(before)

    def disarm(self, before: Any) -> None:
        """Stop the alarm, and put the handler back that was there before."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # drops an alarm that is under way
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        self.is_armed = False

    def add(self, section: str, name: str, **values: Any) -> None:
        """Add an entry, write all that is known by now, and say so."""
        entries: list[Entry] = self.content['sections'].setdefault(section, [])
        entries.append(dict(name=name, **values))
        self.content['seconds'] = round(time.monotonic() - self.start, 1)
        new = self.path.with_suffix('.new')
        new.write_text(json.dumps(self.content, indent=1) + '\n')
        new.replace(self.path)
        said = ', '.join(f'{key} {cell}' for key, cell in map(short, values.items()))
        print(f'{self.content["seconds"]:6.1f} s  {section}: {name}: {said}', file=sys.stderr)

    def tables(self) -> str:
        """Format the sections in Markdown."""
        parts = []
        for section, entries in self.content['sections'].items():
            measured = [e for e in entries if not {'error', 'skipped'} & e.keys()]
            columns = list(dict.fromkeys(key for entry in measured for key in entry))
            parts.append(f'### {section}\n')
            if measured:
                rows = [[entry.get(key, '') for key in columns] for entry in measured]
                heads = ['' if key == 'name' else key.replace('_', ' ') for key in columns]
                parts.append(table(heads, rows))
            parts += [f'- {name}: {text}' for name, text in failures(entries)]
            parts.append('')
        return '\n'.join(parts)


def stop(*_: object) -> None:
    raise OutOfTime


def failures(entries: list[Entry]) -> Iterator[tuple[str, str]]:
    """Iterate over names of entries without numbers, and why they have none."""
    for entry in entries:
        for key in ('error', 'skipped'):
            if key in entry:
                yield entry['name'], f'{key}: {entry[key]}'


def one_line(text: str, length: int = 300) -> str:
    """Shorten a message to one line."""
    line = ' '.join(text.split())
    return line if len(line) <= length else line[:length] + ' …'


def short(item: tuple[str, Any]) -> tuple[str, str]:
    key, value = item
    return key, f'{value:.4g}' if isinstance(value, float) else str(value)
