"""The One-Euro filter: Casiez et al., "1 € Filter", CHI 2012, equations 1 to 7."""

import math
from typing import Any

import numpy as np


class OneEuroFilter:
    """Low-pass filter whose cutoff frequency rises with the speed of the signal.

    ::

        x^_i = a x_i + (1 - a) x^_(i-1),
        a = 1 / (1 + 1 / (2 pi f_c T)),   f_c = f_min + beta |v^|.

    T is the time since the last value and v^ the speed, itself filtered with a fixed cutoff.
    Filters an array of any shape, each number separately (Casiez et al., "1 € Filter: A Simple
    Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012,
    https://doi.org/10.1145/2207676.2208639).

    Args:
        min_cutoff: f_min, in Hz. A lower one reduces jitter of what is at rest.
        beta: Increase of the cutoff with speed, without unit. A higher one reduces lag.
        speed_cutoff: Cutoff of the filter of the speed, in Hz.

    Raises:
        ValueError: A cutoff is not above 0, or ``beta`` is below 0.

    Example:
        >>> smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
        >>> smooth(np.array([10.0, 20.0]), time=0.0)
        array([10., 20.])
        >>> smooth(np.array([12.0, 20.0]), time=0.04).round(3)
        array([10.402, 20.   ])
    """

    def __init__(
        self, min_cutoff: float = 1.0, beta: float = 5.0, speed_cutoff: float = 1.0
    ) -> None:
        for name, value in dict(min_cutoff=min_cutoff, speed_cutoff=speed_cutoff).items():
            if not value > 0:
                raise ValueError(f'{name} is {value}; expected a frequency above 0 Hz')
        if not beta >= 0:
            raise ValueError(f'beta is {beta}; expected 0 or more')
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.speed_cutoff = speed_cutoff
        self.time = -math.inf
        self.value: np.ndarray | None = None
        self.speed: np.ndarray | float = 0.0

    def __call__(self, value: np.ndarray, time: float, unit: float = 1.0) -> np.ndarray:
        """Filter the next value.

        Args:
            value: Array of the same shape each time.
            time: Time in seconds, later than that of the last value.
            unit: Length in which speeds are measured, such as an instance's size in pixels, so
                that one ``beta`` suits near and far instances.

        Returns:
            The filtered value, float64; the first one is returned unchanged.

        Raises:
            ValueError: The time is not later than the last, or the shape has changed.
        """
        value = np.asarray(value, np.float64)
        if not time > self.time:
            raise ValueError(f'time is {time} s after {self.time} s; expected a later one')
        if self.value is None:
            self.value, self.time = value, time
            return value
        if value.shape != self.value.shape:
            raise ValueError(
                f'value has shape {value.shape}; expected {self.value.shape}, as before'
            )
        step, self.time = time - self.time, time
        # As in the authors' code, speed is measured from the last filtered value.
        speed = (value - self.value) / step
        self.speed = self.speed + smoothing(self.speed_cutoff, step) * (speed - self.speed)
        cutoff = self.min_cutoff + self.beta * np.abs(self.speed) / unit
        self.value = self.value + smoothing(cutoff, step) * (value - self.value)
        return self.value


def smoothing(cutoff: Any, step: float) -> Any:
    """Return the weight of a new value, 0 to 1, for cutoffs in Hz and a step in seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))
