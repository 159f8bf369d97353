"""Derive the metainfo of a dataset from its annotations in COCO's format."""

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..functional import coco_to_arrays, estimate_sigmas
from ..functional.coco.arrays import load
from ..functional.coco.ids import as_id
from ..functional.coco.schema import (
    EXAMPLES,
    check_coco_dict,
    coco_entries,
    errors_name,
    keypoint_names,
    skeleton_links,
)
from ..utils.errors import count_examples
from .mirror_pairs import MirrorPairs, find_mirror_pairs, given_mirror_pairs
from .units import unit_problems

# Without repeated annotations: within COCO's 0.025 (eyes) to 0.107 (hips)
USUAL_SIGMA = 0.05
SHOWN = 5  # names that a warning lists
COLORS = {'left': [0, 255, 0], 'right': [255, 128, 0], '': [51, 153, 255]}


def metainfo_from_coco(
    annotations: Any,
    repeated: Sequence[Any] = (),
    name: str = 'custom',
    flip_pairs: Iterable[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Derive MMPose's ``dataset_info`` from annotations.

    Names and skeleton are those of the annotated category; links may name keypoints or number
    them from 1. Two keypoints swap when an image is mirrored if their names differ only by left
    and right (or l and r): ``LeftEye``, ``eyeL``, ``lEye``, ``eye_l``, 左眼. Warns about names
    that say a side but have no counterpart, and about boxes and keypoints that are not in pixels
    of their images.

    Args:
        annotations: Annotations in COCO's format: a dict, the path of a JSON file or a
            ``pycocotools`` COCO.
        repeated: Further annotations of the same instances under the same ids, by another
            annotator or on another day: sigmas are estimated from how far they differ. Without
            any, every sigma is ``USUAL_SIGMA``.
        name: The name of the dataset.
        flip_pairs: Names of the keypoints that swap, two each; None for those by their names.

    Returns:
        ``dataset_name``, ``keypoint_info``, ``skeleton_info``, ``joint_weights`` and ``sigmas``.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is not in COCO's format, no category names its keypoints, several
            name different ones, the skeleton links unknown keypoints, ``repeated`` shares no
            id with ``annotations``, or ``flip_pairs`` names unknown keypoints.
    """
    sources = [annotations, *repeated]
    contents = [load(source) for source in sources]
    titles = [_title(source, number) for number, source in enumerate(sources)]
    with errors_name(annotations):
        names, links = _keypoints(contents[0])
    for where, content in zip(titles, contents):
        for problem, ids in unit_problems(content):
            count = count_examples(len(ids), [f'annotation {i}' for i in ids[:3]])
            warnings.warn(f'{where}: {problem.message}: {count}', stacklevel=2)
    sigmas = (
        _sigmas(sources, contents, titles, names) if repeated else np.full(len(names), USUAL_SIGMA)
    )
    pairs = (
        find_mirror_pairs(names) if flip_pairs is None else given_mirror_pairs(names, flip_pairs)
    )
    if pairs.unpaired:
        warnings.warn(_unpaired_warning(pairs), stacklevel=2)
    colors = {name: COLORS[pairs.sides.get(name, '')] for name in names}
    return dict(
        dataset_name=name,
        keypoint_info={
            number: dict(
                name=keypoint,
                id=number,
                color=colors[keypoint],
                type='',
                swap=pairs.mirrored.get(keypoint, ''),
            )
            for number, keypoint in enumerate(names)
        },
        skeleton_info={
            number: dict(
                link=(names[a], names[b]),
                id=number,
                color=colors[names[a]] if colors[names[a]] == colors[names[b]] else COLORS[''],
            )
            for number, (a, b) in enumerate(links)
        },
        joint_weights=[1.0] * len(names),
        sigmas=[float(f'{sigma:.3g}') for sigma in sigmas],
    )


def metainfo_source(info: dict[str, Any]) -> str:
    """Return the source of a metainfo file, with one line for each keypoint and each link."""

    def entries(name: str) -> list[str]:
        lines = [f'        {number}: {entry!r},' for number, entry in info[name].items()]
        return [f'    {name}={{', *lines, '    },']

    rest = [f'    {name}={info[name]!r},' for name in ('joint_weights', 'sigmas')]
    return '\n'.join(
        [
            'dataset_info = dict(',
            f'    dataset_name={info["dataset_name"]!r},',
            *entries('keypoint_info'),
            *entries('skeleton_info'),
            *rest,
            ')',
            '',
        ]
    )


def _unpaired_warning(pairs: MirrorPairs) -> str:
    some = 'no keypoints are' if not pairs.mirrored else 'not all of them are'
    listed = ', '.join(map(repr, pairs.unpaired[:SHOWN]))
    more = ', …' if len(pairs.unpaired) > SHOWN else ''
    return (
        f'names say left or right, but {some} swapped when an image is mirrored: {listed}{more} '
        'have no counterpart, a name that differs only by left and right; rename keypoints, or '
        'set their `swap` by hand'
    )


def _title(source: Any, number: int) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return f'repeated annotations {number}' if number else 'the annotations'


def _keypoints(annotations: Any) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the names of the keypoints, and the skeleton's links as pairs of their numbers."""
    check_coco_dict(annotations)
    categories = [c for c in coco_entries(annotations, 'categories') if c.get('keypoints')]
    skeletons = []
    for category in categories:
        names = keypoint_names(category)
        skeletons.append((names, skeleton_links(category, names)))
    if not skeletons:
        raise ValueError(
            "no category of the annotations names its keypoints; expected 'categories': "
            f'[{EXAMPLES["categories"]}]'
        )
    if any(other != skeletons[0] for other in skeletons):
        raise ValueError(
            f'categories {[c.get("name", c.get("id")) for c in categories]} name different '
            'keypoints; one model has one kind: make a file of annotations for each'
        )
    return skeletons[0]


def _sigmas(
    sources: Sequence[Any], contents: Sequence[Any], titles: Sequence[str], names: list[str]
) -> np.ndarray:
    tables = []
    for source, content in zip(sources, contents):
        with errors_name(source):
            tables.append(_labelled_rows(content, names))
    ids = list(tables[0])
    for number, table in enumerate(tables[1:], 1):
        ids = [i for i in ids if i in table]
        if not ids:
            raise ValueError(
                f'{titles[number]} share no annotation id with {", ".join(titles[:number])}; '
                'expected the same objects under the same ids'
            )
    keypoints = np.stack([[table[i][0] for i in ids] for table in tables])
    areas = np.array([tables[0][i][1] for i in ids])
    for i, area in zip(ids, areas):
        if not 0 < area < np.inf:
            raise ValueError(
                f'annotation {i!r} of {titles[0]} has neither an area nor a box above 0, by which '
                'distances are measured; leave it out, or give it one'
            )
    twice = (keypoints[..., 2] > 0).sum(axis=0) > 1
    for keypoint, is_labelled_twice in zip(names, twice.any(axis=0)):
        if not is_labelled_twice:
            raise ValueError(
                f'{keypoint!r} is labelled twice in no object of {", ".join(titles)}: at least '
                'two labels show how far annotators disagree'
            )
    with np.errstate(over='ignore', invalid='ignore'):
        sigmas = estimate_sigmas(keypoints[..., :2], areas, keypoints[..., 2])
    for keypoint, sigma in zip(names, sigmas):
        if sigma == 0:
            raise ValueError(
                f'all annotations of {keypoint!r} are the same to the pixel: {", ".join(titles)} '
                'are copies, not annotated again'
            )
        if not np.isfinite(sigma):
            raise ValueError(
                f'labelled coordinates of {keypoint!r} are not finite, or much too large, in '
                f'{", ".join(titles)}'
            )
    if len(ids) < 30:
        warnings.warn(
            f'sigmas are estimated from {len(ids)} objects; 30 or more would be reliable',
            stacklevel=3,
        )
    return sigmas


def _labelled_rows(content: Any, names: list[str]) -> dict[Any, tuple[np.ndarray, float]]:
    """Return keypoints (K, 3) and area of each annotation with a labelled keypoint, by its id."""
    table = coco_to_arrays(content)['annotations']
    keypoints, boxes = table['keypoints'], table['bbox']
    if len(keypoints) and keypoints.shape[1] not in (0, len(names)):
        raise ValueError(
            f'its annotations have {keypoints.shape[1]} keypoints; expected {len(names)}, as the '
            'category names'
        )
    areas = np.where(table['area'] > 0, table['area'], boxes[:, 2] * boxes[:, 3])
    labelled = np.flatnonzero(np.any(keypoints[..., 2] > 0, axis=1))
    return {as_id(table['id'][n]): (keypoints[n], float(areas[n])) for n in labelled}
