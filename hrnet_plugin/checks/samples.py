"""Check samples of a dataset whose annotations are in a format of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..functional.coco.units import UnitProblem, box_problems, keypoint_problems
from .findings import Findings
from .instances import AnnotatedInstances, ImageRecord
from .units import add_unit_findings


def check_samples(
    where: object, samples: Sequence[Mapping[str, Any]], num_keypoints: int | None = None
) -> AnnotatedInstances:
    """Check samples as MMPose's datasets have them.

    Args:
        where: What the findings are about, such as the dataset's type.
        samples: What ``get_data_info`` of the dataset returns.
        num_keypoints: K of the metainfo; None if it is not known.

    Returns:
        Their instances, with the findings.
    """
    findings = Findings(where)
    if not samples:
        findings.error('it has no samples')
    keypoints = [sample['keypoints'] for sample in samples if np.ndim(sample.get('keypoints', 0))]
    counts = [np.shape(k)[-2] for k in keypoints]
    findings.errors(
        f"the sample's number of keypoints is not that of the metainfo, {num_keypoints}",
        'sample',
        [f'{i} ({count})' for i, count in enumerate(counts) if num_keypoints not in (None, count)],
    )
    add_unit_findings(findings, sample_problems(samples), 'sample', range(len(samples)))
    paths = dict.fromkeys(sample['img_path'] for sample in samples if 'img_path' in sample)
    return AnnotatedInstances(
        findings,
        usable=np.arange(len(samples)),
        images=[ImageRecord(path, path, None) for path in paths],
        image_ids=[sample.get('img_id') for sample in samples],
    )


def sample_problems(samples: Sequence[Mapping[str, Any]]) -> list[UnitProblem]:
    """Find coordinates that are not in pixels, in samples as MMPose's datasets have them.

    Args:
        samples: With ``bbox`` (1, 4), corners, ``keypoints`` (1, K, 2) and ``keypoints_visible``
            (1, K); those of another shape are skipped.

    Returns:
        The problems; their rows number the samples.
    """
    keypoints = [np.asarray(sample.get('keypoints', ()), np.float64) for sample in samples]
    count = max((k.shape[1] for k in keypoints if k.ndim == 3), default=0)
    sizes = np.full((len(samples), 2), np.nan)
    boxes = np.full((len(samples), 4), np.nan)
    points = np.full((len(samples), count, 3), np.nan)
    for row, (sample, xy) in enumerate(zip(samples, keypoints)):
        if np.size(box := sample.get('bbox', ())) == 4:
            boxes[row] = np.ravel(box)
        if len(shape := sample.get('img_shape', ())) >= 2:
            sizes[row] = shape[1], shape[0]
        if xy.shape == (1, count, 2):
            visible = np.ravel(sample.get('keypoints_visible', 1.0))
            points[row, :, :2] = xy[0]
            points[row, :, 2] = visible if visible.size == count else 1
    boxes[:, 2:] -= boxes[:, :2]
    return [*box_problems(boxes, sizes), *keypoint_problems(points, sizes)]
