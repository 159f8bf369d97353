"""Frames and rotations in three dimensions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Frame:
    """A place and an orientation; the columns of `axes` are unit vectors x, y, z."""

    origin: Array
    axes: Array

    def at(self, x: float, y: float, z: float) -> Array:
        return self.origin + self.axes @ np.array([x, y, z])

    def turned(self, rotation: Array, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> 'Frame':
        """The frame that sits at (x, y, z) of this one, rotated against it."""
        return Frame(self.at(x, y, z), self.axes @ rotation)


def rot_x(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rot_y(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rot_z(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
