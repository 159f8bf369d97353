"""Check metainfo: K, sigmas, weights, and which keypoints a mirrored image swaps."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..datasets.mirror_pairs import describe_pairs, find_mirror_pairs
from .findings import Findings


def check_metainfo(where: str, metainfo: Mapping[str, Any]) -> Findings:
    """Check what MMPose makes of a dataset's metainfo.

    Args:
        where: What the metainfo is of, such as ``'train_dataloader'``.
        metainfo: The dataset's attribute ``metainfo``.

    Returns:
        The findings.
    """
    findings = Findings(f'metainfo of {where}')
    k = metainfo.get('num_keypoints')
    if k is None:
        findings.error('no num_keypoints')
        return findings
    names = metainfo.get('keypoint_id2name', {})
    if names and sorted(names) != list(range(k)):
        findings.error(f'the keypoints of keypoint_info are not numbered 0 to {k - 1}')
    for name, entries in (('sigmas', 'sigmas'), ('dataset_keypoint_weights', 'joint_weights')):
        values = np.asarray(metainfo.get(name, ()), float)
        if values.shape != (k,):
            findings.error(f'{k} keypoints, but {values.size} {entries}; give one for each')
        elif not (np.isfinite(values).all() and (values > 0).all()):
            findings.error(f'{entries} are not all above 0: {values.tolist()}')
    _check_flip(metainfo, k, names, findings)
    for link in metainfo.get('skeleton_links', ()):
        if not all(0 <= end < k for end in link):
            findings.error(f'the skeleton links keypoints {tuple(link)}, but there are only {k}')
    return findings


def _check_flip(
    metainfo: Mapping[str, Any], k: int, names: Mapping[int, str], findings: Findings
) -> None:
    """Check that each keypoint, mirrored twice, is itself again."""
    flip = list(metainfo.get('flip_indices', ()))
    if len(flip) != k:
        findings.error(f'{k} keypoints, but {len(flip)} flip_indices')
        return
    wrong = [i for i in range(k) if flip[i] not in range(k)]
    for i in wrong:
        findings.error(f'keypoint {i} is swapped with {flip[i]}, but there are only {k}')
    if wrong:
        return

    def name(i: int) -> str:
        return repr(names.get(i, i))

    for i in range(k):
        if flip[flip[i]] != i:
            findings.error(
                f'{name(i)} is swapped with {name(flip[i])}, but that with '
                f'{name(flip[flip[i]])}: `swap` has to be mutual, or mirrored images are '
                'learnt wrongly'
            )
    pairs = {frozenset(pair) for pair in metainfo.get('flip_pairs', ())}
    if pairs != {frozenset((i, flip[i])) for i in range(k) if flip[i] != i}:
        findings.error('flip_pairs and flip_indices say different things')
    _check_sides({i: str(names[i]) for i in range(k) if i in names}, flip, findings)


def _check_sides(names: Mapping[int, str], flip: list[int], findings: Findings) -> None:
    """Compare the swapped keypoints with the sides that their names say."""
    if len({*names.values()}) < len(names):
        return
    pairs = find_mirror_pairs(names.values())
    number_of = {name: i for i, name in names.items()}
    unswapped = [
        (name, other)
        for name, other in pairs.mirrored.items()
        if flip[number_of[name]] == number_of[name] < number_of[other]
    ]
    if unswapped:
        findings.warn(
            f'{describe_pairs(unswapped)} have no `swap`, although their names differ by left '
            'and right alone: mirrored images keep their sides, and models learn both wrongly'
        )
    for name, other in pairs.mirrored.items():
        i, j = number_of[name], number_of[other]
        if flip[i] not in (i, j) and i < j:
            findings.warn(
                f'{name!r} is swapped with {names.get(flip[i], flip[i])!r}; by its name, it '
                f'should be {other!r}'
            )
    alone = [repr(name) for name in pairs.unpaired if flip[number_of[name]] == number_of[name]]
    findings.warnings(
        'its name says a side, but it has no `swap` and no counterpart by name: mirrored images '
        'keep its side',
        'keypoint',
        alone,
    )
