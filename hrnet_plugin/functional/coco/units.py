"""Recognize boxes and keypoints that are not in pixels, and boxes outside of their image.

Letters for axes: N instances, K keypoints.
"""

from dataclasses import dataclass

import numpy as np

MAJORITY = 0.9  # share of instances in 0..1 from which on a whole file counts as in fractions
NEARLY_ALL = 0.95  # share of boxes that another format must explain
SPILL = 0.1  # share of the image's side by which a misread box exceeds its edge
MIN_SPILLED = 0.25  # share of such boxes: of x1, y1, x2, y2, those right of or below the middle
MIN_CENTERED = 10  # number of boxes from which on centers differ from corners
CHANCE = 1e-4  # probability that pixel coordinates are all at most 100 by chance
ROUNDING = 1e-6

FRACTIONS = (
    '{} in fractions of the image (0 to 1), as YOLO writes them, not in pixels: multiply x and '
    'width by the width of the image, y and height by its height'
)
PER_CENT = (
    '{} seem to be in per cent of the image, as Label Studio writes them: none is above 100, '
    'although the images are larger; expected pixels'
)
CORNERS = (
    'the boxes seem to be x1, y1, x2, y2: read as x, y, width and height they leave their images, '
    'read as corners they do not; expected x, y, width and height in pixels'
)
CENTERS = (
    'the boxes seem to be center x, center y, width and height: read as x, y, width and height '
    'they leave their images; expected the top left corner, in pixels'
)
OUTSIDE = 'the bbox is outside of the image'
TINY = 'the bbox is smaller than a pixel within the image'
POINTS_IN_A_PIXEL = 'all labelled keypoints are within the first pixel of the image'


@dataclass(frozen=True)
class UnitProblem:
    """A reason to doubt that coordinates are in pixels.

    Attributes:
        message: What is wrong, the likely cause and what was expected.
        rows: Indices (n,) of the instances.
        is_error: Whether it certainly falsifies results; otherwise it is likely.
        is_format: Whether it concerns the format of the whole file, not single instances.
    """

    message: str
    rows: np.ndarray
    is_error: bool
    is_format: bool


def outside_image(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Find boxes outside of their image, by the rule of MMPose's datasets.

    Args:
        boxes: Boxes (N, 4), x, y, width and height in pixels.
        sizes: Width and height (N, 2) of the images; NaN where they are not known.

    Returns:
        A mask (N,).
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    last = np.where(np.isnan(sizes), np.inf, sizes - 1)
    return (np.minimum(high, last) <= np.maximum(low, 0)).any(axis=1)


def smaller_than_pixel(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Find boxes that are less than a pixel wide or high within their image.

    Args:
        boxes: Boxes (N, 4), x, y, width and height in pixels.
        sizes: Width and height (N, 2) of the images; NaN where they are not known.

    Returns:
        A mask (N,).
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    limits = np.where(np.isnan(sizes), np.inf, sizes)
    visible = np.minimum(high, limits) - np.maximum(low, 0)
    return (visible < 1 - ROUNDING).any(axis=1)


def box_problems(boxes: np.ndarray, sizes: np.ndarray | None = None) -> list[UnitProblem]:
    """Find reasons to doubt that boxes are x, y, width and height in pixels of their images.

    Args:
        boxes: Boxes (N, 4); those that are not finite or have no area are skipped.
        sizes: Width and height (N, 2) of the images, NaN where they are not known; without sizes,
            only boxes in 0..1 and those smaller than a pixel are recognized.

    Returns:
        One problem for each reason; none if there is no doubt.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if sizes is None:
        sizes = np.full((len(boxes), 2), np.nan)
    with np.errstate(invalid='ignore'):
        rows = np.flatnonzero(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))
    boxes, sizes = boxes[rows], np.asarray(sizes, np.float64).reshape(-1, 2)[rows]
    if not len(rows):
        return []
    problems: list[UnitProblem] = []
    fractions = _in_fractions(boxes)
    rest = np.ones(len(rows), bool)
    if fractions.mean() >= MAJORITY:
        message = FRACTIONS.format('the boxes are')
        problems.append(UnitProblem(message, rows[fractions], True, True))
        rest = ~fractions
    elif other := _other_format(boxes, sizes):
        problems.append(UnitProblem(other, rows, False, True))
    outside = rest & outside_image(boxes, sizes)
    tiny = rest & ~outside & smaller_than_pixel(boxes, sizes)
    for what, mask in ((OUTSIDE, outside), (TINY, tiny)):
        if mask.any():
            problems.append(UnitProblem(what, rows[mask], False, False))
    return problems


def keypoint_problems(keypoints: np.ndarray, sizes: np.ndarray | None = None) -> list[UnitProblem]:
    """Find reasons to doubt that keypoints are in pixels.

    Args:
        keypoints: Keypoints (N, K, 3), x, y and above 0 where labelled; instances with a labelled
            keypoint that is not finite are skipped.
        sizes: Width and height (N, 2) of the images, NaN where they are not known; without sizes,
            only keypoints in 0..1 are recognized.

    Returns:
        One problem for each reason; none if there is no doubt.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if sizes is None:
        sizes = np.full((len(keypoints), 2), np.nan)
    labelled = keypoints[..., 2] > 0
    xy = keypoints[..., :2]
    high = np.where(labelled[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(labelled[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    # A single keypoint in 0..1 may be in the corner of the image.
    several = labelled.sum(axis=1) > 1
    rows = np.flatnonzero(several & np.isfinite(low).all(axis=1) & np.isfinite(high).all(axis=1))
    extents = np.concatenate([low, high], axis=1)[rows]
    if not len(rows):
        return []
    fractions = _in_fractions(extents)
    if fractions.mean() >= MAJORITY:
        message = FRACTIONS.format('the keypoints are')
        return [UnitProblem(message, rows[fractions], True, True)]
    if _in_per_cent(extents, extents[:, 2:], np.asarray(sizes, np.float64)[rows]):
        return [UnitProblem(PER_CENT.format('the keypoints'), rows, False, True)]
    if fractions.any():
        return [UnitProblem(POINTS_IN_A_PIXEL, rows[fractions], False, False)]
    return []


def _in_fractions(values: np.ndarray) -> np.ndarray:
    """Find rows (N, 4) without a number outside of 0..1."""
    return np.all((values >= -ROUNDING) & (values <= 1 + ROUNDING), axis=1)


def _in_per_cent(values: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether all values are in 0..100, and images so large that this is no coincidence.

    Instances at about the same place, as in a video, count once.
    """
    if not ((values >= -ROUNDING) & (values <= 100 + ROUNDING)).all():
        return False
    if (ends <= 100 + ROUNDING).all(axis=1).mean() < NEARLY_ALL:  # they end beyond 100 per cent
        return False
    if not (ends.max(axis=0) > 50).all():  # all in a corner of the image, even in per cent
        return False
    _, first = np.unique(np.round(ends / 10), axis=0, return_index=True)
    sizes = sizes[first]
    share = np.where(np.isnan(sizes), 1, 100 / np.maximum(sizes, 100))
    return bool(np.log(share).sum() < np.log(CHANCE))


def _other_format(boxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """Recognize the format of all boxes, if it is not x, y, width and height in pixels."""
    if _in_per_cent(boxes, boxes[:, :2] + boxes[:, 2:], sizes):
        return PER_CENT.format('the boxes')
    known = np.isfinite(sizes).all(axis=1)
    if not known.any():
        return None
    a, b, sizes = boxes[known, :2], boxes[known, 2:], sizes[known]
    margin = 0.02 * sizes + 1
    spilled = (a + b > (1 + SPILL) * sizes).any(axis=1)
    corners = ((b > a) & (a >= -margin) & (b <= sizes + margin)).all(axis=1)
    if corners.mean() >= NEARLY_ALL and spilled.mean() >= MIN_SPILLED:
        return CORNERS
    centers = ((a - b / 2 >= -margin) & (a + b / 2 <= sizes + margin)).all(axis=1)
    distinct = len(np.unique(boxes[known], axis=0))
    if centers.all() and distinct >= MIN_CENTERED and spilled.mean() >= 1 - NEARLY_ALL:
        return CENTERS
    return None
