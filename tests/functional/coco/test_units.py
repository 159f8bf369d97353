"""Coordinates in other units than pixels are recognized, those in pixels are not suspected."""

import numpy as np
import pytest

from hrnet_plugin.functional.coco.units import (
    CENTERS,
    CORNERS,
    FRACTIONS,
    OUTSIDE,
    PER_CENT,
    POINTS_IN_A_PIXEL,
    TINY,
    box_problems,
    keypoint_problems,
    outside_image,
    smaller_than_pixel,
)

SIZE = np.array([640.0, 480.0])
IN_FRACTIONS, IN_PER_CENT = FRACTIONS.format('the boxes are'), PER_CENT.format('the boxes')


def corners(number: int = 30) -> np.ndarray:
    """Boxes (N, 4) within the image, x1, y1, x2, y2 in pixels."""
    rng = np.random.default_rng(0)
    side = rng.uniform(0.05, 0.5, (number, 2)) * SIZE
    low = rng.uniform(0, 1, (number, 2)) * (SIZE - side)
    return np.concatenate([low, low + side], axis=1)


def xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def centered(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def sizes(rows: np.ndarray) -> np.ndarray:
    return np.tile(SIZE, (len(rows), 1))


WAYS = {
    'pixels': (xywh(corners()), None),
    'fractions': (xywh(corners()) / [*SIZE, *SIZE], IN_FRACTIONS),
    'centered fractions': (centered(corners()) / [*SIZE, *SIZE], IN_FRACTIONS),
    'per cent': (xywh(corners()) / [*SIZE, *SIZE] * 100, IN_PER_CENT),
    'corners': (corners(), CORNERS),
    'centers': (centered(corners()), CENTERS),
}


@pytest.mark.parametrize(('boxes', 'message'), WAYS.values(), ids=WAYS)
def test_formats_of_a_file(boxes: np.ndarray, message: str | None) -> None:
    found = [p for p in box_problems(boxes, sizes(boxes)) if p.is_format]
    assert [p.message for p in found] == ([message] if message else [])
    for problem in found:
        assert problem.rows.tolist() == list(range(30))
        assert problem.is_error == (message == IN_FRACTIONS)


def test_without_sizes_only_fractions_are_known() -> None:
    found = {name: [p.message for p in box_problems(boxes)] for name, (boxes, _) in WAYS.items()}
    assert {name for name, messages in found.items() if messages} == {
        'fractions',
        'centered fractions',
    }


@pytest.mark.parametrize(
    'boxes',
    [
        xywh(corners()) * [1.0, 1.0, 1.05, 1.05],  # some leave the image a little
        np.tile([10.0, 20.0, 60.0, 70.0], (100, 1)),  # one small box through a video
        np.array([[0.0, 0.0, 640.0, 480.0]]),  # the whole image
        np.array([[20.0, 30.0, 60.0, 65.0]]),  # a single box in a corner
        np.mgrid[0:40:8, 0:10:3, 9:60:9, 5:40:9].reshape(4, -1).T * 1.0,  # many at the top
    ],
    ids=['truncated', 'still', 'whole image', 'corner', 'top'],
)
def test_boxes_in_pixels_are_not_suspected(boxes: np.ndarray) -> None:
    assert box_problems(boxes, sizes(boxes)) == []


def test_boxes_that_end_beyond_100_are_not_in_per_cent() -> None:
    """As in small images, whose boxes have no number above 100."""
    rng = np.random.default_rng(0)
    boxes = rng.uniform([30, 20, 40, 60], [60, 40, 60, 100], (100, 4))
    small = np.full((100, 2), 160.0)
    assert box_problems(boxes, small) == []
    boxes[:, 2:] = (100 - boxes[:, :2]) * rng.uniform(0.5, 1, (100, 2))
    assert [problem.message for problem in box_problems(boxes, small)] == [IN_PER_CENT]


def test_single_boxes() -> None:
    boxes = xywh(corners(20))
    boxes[3] = [700, 10, 50, 50]
    boxes[4] = [-60, 10, 50, 50]
    boxes[5] = [10, 10, 0.5, 50]
    boxes[6] = [-49.5, 10, 50, 50]  # of which half a pixel is in the image
    boxes[7] = [0.2, 0.3, 0.1, 0.4]
    boxes[8] = [np.nan, 0, 1, 1]
    boxes[9] = [10, 10, 0, 5]
    found = box_problems(boxes, sizes(boxes))
    assert [(p.message, p.rows.tolist(), p.is_error) for p in found] == [
        (OUTSIDE, [3, 4], False),
        (TINY, [5, 6, 7], False),
    ]


def test_most_boxes_tell_the_unit() -> None:
    boxes = xywh(corners()) / [*SIZE, *SIZE]
    boxes[:3] = [10, 20, 300, 200]
    (problem,) = box_problems(boxes, sizes(boxes))
    assert (problem.message, len(problem.rows)) == (IN_FRACTIONS, 27)
    boxes[:4] = [10, 20, 300, 200]
    (problem,) = box_problems(boxes, sizes(boxes))
    assert (problem.message, len(problem.rows)) == (TINY, 26)


def test_a_box_on_the_edge() -> None:
    boxes = np.array([[638.9, 0, 9, 9], [639, 0, 9, 9], [-9, 0, 9, 9], [-9, 0, 10, 9.0]])
    assert outside_image(boxes, sizes(boxes)).tolist() == [False, True, True, False]
    assert smaller_than_pixel(boxes, sizes(boxes)).tolist() == [False, False, True, False]
    nowhere = np.full((4, 2), np.nan)
    assert outside_image(boxes, nowhere).tolist() == [False, False, True, False]


def points(scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Keypoints (30, 5, 3), of which the first is not labelled."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 1, (30, 5, 2)) * SIZE * scale
    xy[:, 0] = 9999
    return np.concatenate([xy, np.tile([[0], [2], [1], [2], [2]], (30, 1, 1))], axis=2)


@pytest.mark.parametrize(
    ('scale', 'message', 'is_error'),
    [
        (1.0, None, False),
        (1 / SIZE, FRACTIONS.format('the keypoints are'), True),
        (100 / SIZE, PER_CENT.format('the keypoints'), False),
    ],
    ids=['pixels', 'fractions', 'per cent'],
)
def test_keypoints(scale: float | np.ndarray, message: str | None, is_error: bool) -> None:
    keypoints = points(scale)
    found = keypoint_problems(keypoints, sizes(keypoints))
    assert [(p.message, p.is_error, len(p.rows)) for p in found] == (
        [(message, is_error, 30)] if message else []
    )


def test_keypoints_of_a_few() -> None:
    keypoints = points()
    keypoints[[2, 5], 1:, :2] = 0.5
    keypoints[7, 1:, 2] = 0  # nothing is labelled
    keypoints[8, 1:4, 2], keypoints[8, 4, :2] = 0, 0  # one keypoint, in the corner
    keypoints[9, 1] = np.nan, 1, 2
    (problem,) = keypoint_problems(keypoints, sizes(keypoints))
    assert (problem.message, problem.rows.tolist()) == (POINTS_IN_A_PIXEL, [2, 5])


def test_nothing_is_no_problem() -> None:
    assert box_problems(np.zeros((0, 4))) == []
    assert keypoint_problems(np.zeros((0, 17, 3))) == []
    assert keypoint_problems(np.zeros((4, 0, 3))) == []
