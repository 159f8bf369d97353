"""Metainfo of a data set of one's own, from its annotations in COCO format."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..functional import coco_to_arrays, estimate_sigmas
from ..functional.coco_arrays import load
from .preflight import check_units

# Where nothing tells how far annotators differ: within COCO's 0.025 (eyes) to 0.107 (hips)
USUAL_SIGMA = 0.05
SIDES = {'left': 'right', 'right': 'left', 'l': 'r', 'r': 'l'}
COLORS = {'left': [0, 255, 0], 'right': [255, 128, 0], '': [51, 153, 255]}


def metainfo_from_coco(
    annotations: Any, repeated: Sequence[Any] = (), name: str = 'custom'
) -> dict[str, Any]:
    """The ``dataset_info`` that MMPose wants to know of a data set.

    Names and skeleton are those of the annotated category. Two keypoints change places when a
    picture is mirrored if their names differ by left and right (or l and r) alone. Warns of boxes
    and keypoints that are not in pixels of their images.

    Args:
        annotations: COCO format: dict, path of a JSON file or ``pycocotools`` COCO.
        repeated: the same objects, under the same ids, as others have annotated them (or the same
            person on another day): sigmas are estimated from how far they differ. Without them,
            every sigma is ``USUAL_SIGMA``.
        name: of the data set.

    Returns:
        ``dataset_name``, ``keypoint_info``, ``skeleton_info``, ``joint_weights`` and ``sigmas``.

    Raises:
        ValueError: no category names its keypoints, several do differently, the skeleton joins
            keypoints that are not there, or ``repeated`` has no object of ``annotations``.
    """
    sources = [annotations, *repeated]
    annotations, *repeated = map(load, sources)
    names, links = _keypoints(annotations)
    for number, content in enumerate((annotations, *repeated)):
        for finding in check_units(_described(sources[number], number), content):
            warnings.warn(str(finding), stacklevel=2)
    sigmas = (
        _sigmas(annotations, repeated, names) if repeated else np.full(len(names), USUAL_SIGMA)
    )
    return dict(
        dataset_name=name,
        keypoint_info={
            number: dict(
                name=keypoint,
                id=number,
                color=COLORS[_side(keypoint)],
                type='',
                swap=_mirrored(keypoint, names),
            )
            for number, keypoint in enumerate(names)
        },
        skeleton_info={
            number: dict(
                link=(names[a], names[b]), id=number, color=_link_color(names[a], names[b])
            )
            for number, (a, b) in enumerate(links)
        },
        joint_weights=[1.0] * len(names),
        sigmas=[float(f'{sigma:.3g}') for sigma in sigmas],
    )


def _described(source: Any, number: int) -> str:
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    return f'repeated annotations {number}' if number else 'the annotations'


def _keypoints(annotations: Mapping[str, Any]) -> tuple[list[str], list[tuple[int, int]]]:
    """Names of the keypoints, and pairs of their numbers."""
    categories = [c for c in annotations.get('categories', ()) if c.get('keypoints')]
    found = [
        (list(c['keypoints']), [tuple(p) for p in c.get('skeleton') or ()]) for c in categories
    ]
    if not found:
        raise ValueError(
            "no category of the annotations names its keypoints; expected 'categories': "
            '[{"id": 1, "name": …, "keypoints": ["left_wing", …], "skeleton": [[1, 2], …]}]'
        )
    if any(other != found[0] for other in found):
        raise ValueError(
            f'categories {[c["name"] for c in categories]} name different keypoints; one model '
            'has one kind: make a file of annotations for each'
        )
    names, skeleton = found[0]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f'several keypoints are called {twice[0]!r}; their names must differ')
    for pair in skeleton:
        if len(pair) != 2 or not all(1 <= number <= len(names) for number in pair):
            raise ValueError(
                f'the skeleton has {list(pair)}; expected pairs of keypoints, counted from 1 to '
                f'{len(names)}'
            )
    return names, [(a - 1, b - 1) for a, b in skeleton]


def _sigmas(annotations: Any, repeated: Sequence[Any], names: list[str]) -> np.ndarray:
    first, *others = (coco_to_arrays(a)['annotations'] for a in (annotations, *repeated))
    ids = first['id']
    for number, other in enumerate(others, 1):
        ids = ids[np.isin(ids, other['id'])]
        if not len(ids):
            raise ValueError(
                f'repeated annotations {number} share no annotation id with those before; '
                'expected the same objects under the same ids'
            )
    tables = [first, *others]
    rows = [np.argsort(t['id'])[np.searchsorted(np.sort(t['id']), ids)] for t in tables]
    keypoints = [t['keypoints'][r] for t, r in zip(tables, rows)]
    for points in keypoints:
        if points.shape[1] != len(names):
            raise ValueError(
                f'repeated annotations have {points.shape[1]} keypoints; expected {len(names)}'
            )
    area = first['area'][rows[0]]
    box = first['bbox'][rows[0]]
    area = np.where(area > 0, area, box[:, 2] * box[:, 3])
    stacked = np.stack(keypoints)
    sigmas = estimate_sigmas(stacked[..., :2], area, stacked[..., 2])
    for keypoint, sigma in zip(names, sigmas):
        if sigma == 0:
            raise ValueError(
                f'all annotations of {keypoint!r} are the same to the pixel: they are copies, not '
                'annotated anew'
            )
    if len(ids) < 30:
        warnings.warn(
            f'sigmas are estimated from {len(ids)} objects; 30 or more would be reliable',
            stacklevel=3,
        )
    return sigmas


def _words(name: str) -> list[str]:
    """A name, cut where a word begins or ends: ``left_wing`` to ``['left', '_', 'wing']``."""
    return re.split(r'([\W_]+)', name)


def _side(name: str) -> str:
    sides = {'l': 'left', 'r': 'right'}
    found = [w.lower() for w in _words(name) if w.lower() in SIDES]
    return sides.get(found[0], found[0]) if found else ''


def _mirrored(name: str, names: Sequence[str]) -> str:
    """The keypoint that is in this one's place in a mirror; '' if it stays."""
    words = [SIDES.get(word.lower(), word.lower()) for word in _words(name)]
    other = ''.join(words)
    same = {n.lower(): n for n in names}
    return same[other] if other != name.lower() and other in same else ''


def _link_color(a: str, b: str) -> list[int]:
    return COLORS[_side(a) if _side(a) == _side(b) else '']
