"""Options of a call of the inferencer."""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ...utils.errors import unknown_name
from ..boxes.given_boxes import GivenBoxes

STYLES = ('mmpose', 'openpose')
BBoxes = Iterable[Any] | GivenBoxes | str | Path | None
P = ParamSpec('P')
R = TypeVar('R')


@dataclass(frozen=True)
class Options:
    """Options of one call, checked; :meth:`PoseInferencer.__call__` says what each means.

    Raises:
        ValueError: A value is impossible.
    """

    return_datasamples: bool = False
    batch_size: int = 16
    bboxes: BBoxes = None
    bbox_thr: float = 0.3
    nms_thr: float = 0.3
    pose_based_nms: bool = False
    return_vis: bool = False
    show: bool = False
    wait_time: float = 0.0
    draw_bbox: bool = False
    draw_heatmap: bool = False
    radius: int = 3
    thickness: int = 1
    kpt_thr: float = 0.3
    skeleton_style: str = 'mmpose'
    black_background: bool = False
    vis_out_dir: str = ''
    pred_out_dir: str = ''
    track: bool = False
    smooth: bool = False
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f'batch_size={self.batch_size}; expected 1 or more')
        if self.skeleton_style not in STYLES:
            raise ValueError(unknown_name('skeleton_style', self.skeleton_style, STYLES))
        if self.smooth and not self.track:
            raise ValueError('smooth=True needs track=True: each instance is smoothed by itself')

    @property
    def draws(self) -> bool:
        """Whether images have to be drawn."""
        return bool(self.return_vis or self.show or self.vis_out_dir)


def names_closest_option(function: Callable[P, R]) -> Callable[P, R]:
    """Make the error about an unknown keyword argument name the closest valid one.

    The signature stays as it is, also for type checkers.
    """
    valid = [name for name in inspect.signature(function).parameters if name != 'self']

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in valid:
                raise TypeError(unknown_name(f'option of {function.__qualname__}', name, valid))
        return function(*args, **kwargs)

    return checked
