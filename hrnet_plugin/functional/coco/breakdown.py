"""Divide diagnosed keypoints into groups, and count their errors.

Letters for axes: G annotations, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .diagnosis_result import KeypointDiagnosis
from .result import ReadableAsDict


@dataclass(frozen=True, eq=False)
class BreakdownRow(ReadableAsDict):
    """Errors of the keypoints of one group.

    Attributes:
        by: What is divided: ``'keypoint'``, ``'size'``, ``'labelled'``, ``'crowding'`` or
            ``'visibility'``.
        group: Name of the group, such as ``'medium'``.
        counts: Number (5,) of keypoints that are good, or have a jitter, inversion, swap or miss.
        n: Number of keypoints, the sum of these.
        share: Share (5,) of each; NaN without keypoints.
        interval: Lowest and highest share (5, 2), 95 % Wilson intervals; NaN without keypoints.
        num_instances: Number of annotations that count; None for groups of keypoints.
        recall: Share of these that are matched at an OKS threshold of 0.5; NaN without any, None
            for groups of keypoints.
        mean_oks: Mean OKS of those that are matched; NaN without any, None for groups of
            keypoints.
    """

    by: str
    group: str
    counts: np.ndarray
    n: int
    share: np.ndarray
    interval: np.ndarray
    num_instances: int | None = None
    recall: float | None = None
    mean_oks: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the values by the names of the attributes."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def breakdown(
    diagnosis: KeypointDiagnosis, gt: Any, *, keypoint_names: Sequence[str] | None = None
) -> list[BreakdownRow]:
    """Count errors by keypoint, size, labelled keypoints, crowding and visibility."""
    raise NotImplementedError
