"""What a call of the inferencer can be told."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...utils.errors import unknown_name
from ..boxes.given_boxes import GivenBoxes

STYLES = ('mmpose', 'openpose')


@dataclass(frozen=True)
class Options:
    """Options of a call; all but the last three are MMPose's.

    Attributes:
        return_datasamples: results are data samples instead of dicts.
        batch_size: people in one forward, and pictures in one of the detector.
        bboxes: for each picture its boxes, (N, 4) or (N, 5): x1, y1, x2, y2 and a score; or the
            path of a file of them in COCO's format, of which ``bbox_thr`` counts, too. No detector
            is needed. Boxes outside of their image or smaller than a pixel are left out, with a
            warning.
        bbox_thr: detected boxes with a score of at most this are dropped,
        nms_thr: and those that overlap a better one more than this.
        pose_based_nms: drop people who have a third of their joints near to those of a better one.
        return_vis: results have the drawn picture, RGB.
        show: show each picture in a window,
        wait_time: for so many seconds; 0 is until a key is pressed.
        draw_bbox: draw boxes,
        draw_heatmap: and below the picture all heatmaps.
        radius: of keypoints, in pixels.
        thickness: of bones and boxes, in pixels.
        kpt_thr: keypoints with a lower score are not drawn.
        skeleton_style: ``mmpose`` or ``openpose``.
        black_background: draw on black.
        vis_out_dir: folder for drawn pictures or the video, or the name of the video, ``*.mp4``.
        pred_out_dir: folder for predictions: a JSON file for each picture, or one for a video.
        track: the pictures follow each other: people keep a number, ``track_id``.
        smooth: smooth each one's keypoints over time, which needs ``track``.
        skip_unreadable: leave out images and frames of videos that cannot be read, with a
            warning; otherwise the first raises an error, after the results of those before it.

    Raises:
        ValueError: an impossible value.
    """

    return_datasamples: bool = False
    batch_size: int = 16
    bboxes: Iterable[Any] | GivenBoxes | str | Path | None = None
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
            raise ValueError(f'batch_size is {self.batch_size}; expected 1 or more')
        if self.skeleton_style not in STYLES:
            raise ValueError(unknown_name('skeleton_style', self.skeleton_style, STYLES))
        if self.smooth and not self.track:
            raise ValueError('smooth=True needs track=True: each person is smoothed on their own')

    @property
    def draws(self) -> bool:
        """Whether anything looks at drawn pictures."""
        return bool(self.return_vis or self.show or self.vis_out_dir)


def check_names(names: Iterable[str]) -> None:
    """Raise a TypeError if one of these is no option of a call."""
    valid = [field.name for field in fields(Options)] + ['out_dir']
    for name in names:
        if name not in valid:
            raise TypeError(unknown_name('option of PoseInferencer.__call__', name, valid))
