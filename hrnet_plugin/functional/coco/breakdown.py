"""Divide diagnosed keypoints into groups, and count their errors.

Letters for axes: G annotations, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .arrays import Annotations, read_annotations
from .diagnosis_result import KeypointDiagnosis
from .ids import Groups, Ids
from .numeric import blocks, spans
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
    """Count the errors of keypoints, and matched instances, by what may make them difficult.

    A keypoint belongs to the annotation that its prediction is matched to.

    Args:
        diagnosis: What ``diagnose_keypoints`` returned.
        gt: The annotations that it was given.
        keypoint_names: Names of the K keypoints; their numbers by default.

    Returns:
        Rows, in this order, without groups of numbers of keypoints that K does not allow:

        - by ``'keypoint'``: a row for each;
        - by ``'size'``: areas of ``'small'`` (below 32^2 pixels), ``'medium'`` and ``'large'``
          (96^2 pixels or more) instances;
        - by ``'labelled'``: number of labelled keypoints; of 17: ``'1-5'``, ``'6-10'``,
          ``'11-15'`` and ``'16+'``, of other K in proportion;
        - by ``'crowding'``: number of other instances of the same image and category whose box
          overlaps with an IoU of at least 0.1, crowds apart: ``'0'``, ``'1-2'``, ``'3+'``;
        - by ``'visibility'``: labelled keypoints that are ``'occluded'`` (flag 1) or
          ``'visible'`` (flag 2 or above).

    Raises:
        OSError: A file cannot be read.
        ValueError: ``gt`` is not what was diagnosed, or there are not K names.

    Example:
        >>> from hrnet_plugin.functional import diagnose_keypoints
        >>> person = dict(image_id=1, category_id=1, keypoints=[10, 20, 2, 50, 90, 1])
        >>> annotation = dict(person, bbox=[0, 10, 60, 90], area=4000)
        >>> gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[annotation])
        >>> dt = [dict(person, keypoints=[10, 20, 1, 80, 90, 1], score=0.9)]
        >>> diagnosis = diagnose_keypoints(gt, dt, sigmas=[0.1, 0.1])
        >>> for row in breakdown(diagnosis, gt, keypoint_names=['left wrist', 'right wrist']):
        ...     if row.n:
        ...         print(row.by, row.group, row.counts.tolist(), row.recall)
        keypoint left wrist [1, 0, 0, 0, 0] None
        keypoint right wrist [0, 0, 0, 0, 1] None
        size medium [1, 0, 0, 0, 1] 1.0
        labelled 2 [1, 0, 0, 0, 1] 1.0
        crowding 0 [1, 0, 0, 0, 1] 1.0
        visibility occluded [0, 0, 0, 0, 1] None
        visibility visible [1, 0, 0, 0, 0] None
    """
    annotations = _annotations_of(diagnosis, gt)
    num_keypoints = diagnosis.codes.shape[1]
    names = range(num_keypoints) if keypoint_names is None else keypoint_names
    if len(names) != num_keypoints:
        raise ValueError(f'there are {len(names)} keypoint_names for {num_keypoints} keypoints')
    rows = [_row('keypoint', str(name), counts) for name, counts in zip(names, diagnosis.counts)]
    visibility = np.zeros((len(diagnosis.evaluated), num_keypoints))
    labelled = annotations.keypoints[..., 2]
    if labelled.size:  # otherwise no annotation has keypoints
        visibility[annotations.rows] = labelled
    crowding = np.zeros(len(visibility), int)
    crowding[annotations.rows] = _count_overlaps(annotations)
    for by, values, groups in (
        ('size', diagnosis.area, _SIZES),
        ('labelled', (visibility > 0).sum(axis=1), _labelled_groups(num_keypoints)),
        ('crowding', crowding, _CROWDING),
    ):
        for group, (low, high) in groups.items():
            rows.append(_instances_row(diagnosis, by, group, (values >= low) & (values < high)))
    matched = np.flatnonzero(diagnosis.matched >= 0)
    codes, flags = diagnosis.codes[matched], visibility[diagnosis.matched[matched]]
    for group, (low, high) in _VISIBILITY.items():
        rows.append(_row('visibility', group, _count(codes[(flags >= low) & (flags < high)])))
    return rows


# Name of each group -> lowest value, and the value from which on a higher one begins
_Groups = dict[str, tuple[float, float]]
_SIZES: _Groups = {
    'small': (-np.inf, 32**2),
    'medium': (32**2, 96**2),
    'large': (96**2, np.inf),
}
_CROWDING: _Groups = {'0': (0, 1), '1-2': (1, 3), '3+': (3, np.inf)}
_VISIBILITY: _Groups = {'occluded': (np.nextafter(0, 1), 2), 'visible': (2, np.inf)}
_LABELLED = (5, 10, 15)  # of 17
_CROWDED_IOU = 0.1
_Z95 = 1.959963984540054  # 97.5 % of a normal distribution are below


def _annotations_of(diagnosis: KeypointDiagnosis, gt: Any) -> Annotations:
    annotations = read_annotations(gt)
    given = annotations.num_given
    given = len(annotations.rows) if given is None else given
    known = np.zeros(given, bool)
    known[annotations.rows] = True
    if given != len(diagnosis.evaluated) or (diagnosis.evaluated & ~known).any():
        raise ValueError(
            f'gt has {given} annotations, and {len(diagnosis.evaluated)} were diagnosed; give '
            'those that diagnose_keypoints was given'
        )
    return annotations


def _labelled_groups(num_keypoints: int) -> _Groups:
    ends = [round(each * num_keypoints / 17) for each in _LABELLED]
    groups: _Groups = {}
    for low, high in zip([1, *(end + 1 for end in ends)], [*ends, num_keypoints]):
        if low == high:
            groups[f'{low}'] = (low, high + 1)
        elif low < high:
            name = f'{low}+' if high == num_keypoints else f'{low}-{high}'
            groups[name] = (low, high + 1)
    return groups


def _count_overlaps(annotations: Annotations) -> np.ndarray:
    """Return the number (G,) of other instances whose box overlaps, crowds apart."""
    groups = Groups(Ids(annotations.images), Ids(annotations.categories))
    group = groups.number(
        groups.images.number(annotations.image_id),
        groups.categories.number(annotations.category_id),
    )
    others = np.flatnonzero((group >= 0) & ~annotations.iscrowd)
    others = others[np.argsort(group[others], kind='stable')]
    first = np.searchsorted(group[others], group)
    count = np.searchsorted(group[others], group, side='right') - first
    corner, size = annotations.bbox[:, :2], annotations.bbox[:, 2:]
    overlaps = np.zeros(len(group), int)
    for block in blocks(len(group), int(count.max(initial=1)) * 8):
        a = np.repeat(np.arange(len(group))[block], count[block])
        b = others[spans(first[block], count[block])]
        high = np.minimum(corner[a] + size[a], corner[b] + size[b])
        shared = (high - np.maximum(corner[a], corner[b])).clip(0).prod(axis=1)
        union = size[a].prod(axis=1) + size[b].prod(axis=1) - shared
        overlaps += np.bincount(
            a[(shared > 0) & (shared >= _CROWDED_IOU * union) & (a != b)], minlength=len(group)
        )
    return overlaps


def _instances_row(
    diagnosis: KeypointDiagnosis, by: str, group: str, is_member: np.ndarray
) -> BreakdownRow:
    """Return the row of annotations where a mask (G,) is true."""
    is_member = is_member & diagnosis.evaluated
    matched = np.append(is_member, False)[diagnosis.matched]  # the last is that of -1
    return replace(
        _row(by, group, _count(diagnosis.codes[matched])),
        num_instances=int(is_member.sum()),
        recall=_mean(diagnosis.recalled[is_member]),
        mean_oks=_mean(diagnosis.oks[matched]),
    )


def _row(by: str, group: str, counts: np.ndarray) -> BreakdownRow:
    n = int(counts.sum())
    if not n:
        return BreakdownRow(by, group, counts, n, np.full(5, np.nan), np.full((5, 2), np.nan))
    return BreakdownRow(by, group, counts, n, counts / n, wilson_interval(counts, n))


def wilson_interval(counts: np.ndarray, n: int) -> np.ndarray:
    """Compute 95 % confidence intervals of shares, after Wilson.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).

    Args:
        counts: Numbers (N,) of successes.
        n: Number of trials, above 0.

    Returns:
        Lowest and highest share (N, 2).

    Example:
        >>> wilson_interval(np.array([1]), 10).round(4)
        array([[0.0179, 0.4042]])
    """
    share, z2 = counts / n, _Z95**2
    center = share + z2 / (2 * n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return (np.stack([center - half, center + half], axis=-1) / (1 + z2 / n)).clip(0, 1)


def _count(codes: np.ndarray) -> np.ndarray:
    """Return the number (5,) of each code from 0 to 4."""
    return np.bincount(codes[codes >= 0].astype(np.intp), minlength=5)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float('nan')
