"""The state of a training in its work folder: new, interrupted or finished."""

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...utils.atomic_files import write_atomically
from ...utils.json_files import read_json
from ..inference.model_files import CONFIG, best_checkpoint
from .data import Source
from .machine import Machine
from .settings import Options

STATE = 'training.json'
# What the settings follow from on a machine; the rest of it may change between runs.
FIXED = ('device', 'processes')


@dataclass
class State:
    """What a training was begun with, and how it ended.

    Attributes:
        options: What the user chose, as JSON has it.
        data: CRC-32 of the files of annotations.
        machine: What it was begun on.
        config: CRC-32 of the config that was written.
        metrics: Metrics of the best checkpoint; empty until the training is finished.
    """

    options: dict[str, Any]
    data: dict[str, Any]
    machine: dict[str, Any]
    config: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options, source: Source, machine: Machine) -> 'State':
        """Describe a training that is about to begin."""
        files = dict(training=source.train, validation=source.val)
        data = {name: zlib.crc32(f.read_bytes()) if f else None for name, f in files.items()}
        state = asdict(cls(asdict(options), data, asdict(machine)))
        return cls(**json.loads(json.dumps(state)))  # lists instead of tuples

    def write(self, folder: Path) -> None:
        """Write the state into a work folder."""
        write_atomically(folder / STATE, json.dumps(asdict(self), indent=1).encode())

    def differences(self, new: 'State') -> list[str]:
        """Name what differs in another training; cores and memory may."""
        named = [
            f'{part} {name} was {old.get(name)}, is now {value}'
            for part, old, values in (
                ('option', self.options, new.options),
                ('machine:', self.machine, {name: new.machine[name] for name in FIXED}),
            )
            for name, value in values.items()
            if old.get(name) != value
        ]
        return named + [
            f'the annotations for {name} have changed'
            for name, value in new.data.items()
            if self.data.get(name) != value
        ]


def read_state(folder: Path) -> State | None:
    """Return the state of a training; None for a new folder.

    Raises:
        ValueError: The folder holds something else than a training of this command.
    """
    path = folder / STATE
    if not path.is_file():
        if (folder / CONFIG).exists() or has_checkpoint(folder):
            raise ValueError(
                f'{folder} holds a training that `hrnet-plugin train` did not begin: give '
                'another --work-dir'
            )
        return None
    try:
        return State(**read_json(path))
    except TypeError as error:
        raise ValueError(
            f'{path} was written by another version ({error}): give another --work-dir'
        ) from error


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is anything to resume from."""
    return best_checkpoint(folder) is not None


def checksum(text: str) -> int:
    """Return the CRC-32 of a config."""
    return zlib.crc32(text.encode())
