"""The One-Euro filter: Casiez et al., "1 € Filter", CHI 2012, equations 1 to 7."""

import math
from typing import Any

import numpy as np


class OneEuroFilter:
    """A low-pass filter that follows the faster, the faster the signal changes.

        x^_i = a x_i + (1 - a) x^_(i-1),
        a = 1 / (1 + 1 / (2 pi f_c T)),   f_c = f_min + beta |v^|.

    T is the time since the last value and v^ the speed, itself filtered with a fixed cutoff.
    Filters an array of any shape, each number by itself.

    Args:
        min_cutoff: f_min, in Hz. A lower one lets what is at rest tremble less.
        beta: how much the cutoff rises with speed, without unit. A higher one lags less.
        speed_cutoff: of the speed's own filter, in Hz.
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
            value: of the same shape each time.
            time: in seconds, later than the last.
            unit: length in which speeds are measured, such as a person's size in pixels, so that
                one ``beta`` suits the near and the far.

        Returns:
            The filtered value, float64; the first one is returned as it is.

        Raises:
            ValueError: time did not move on, or the shape changed.
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
    """How much of a new value counts, 0 to 1, for cutoffs in Hz and a step in seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))
