"""The keypoints of a dataset: their names, links and mirrored pairs, and where to draw them.

Letters for axes: G annotated instances, K keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_INSTANCES = 500  # with the most labels, which a drawing is derived from
ROUNDS = 4
CLOSEST = 0.085  # distance of two keypoints in a drawing, of its height
PUSHES = 60


@dataclass(frozen=True)
class Skeleton:
    """The keypoints of a dataset.

    Attributes:
        names: Names (K,) of the keypoints.
        sigmas: Standard deviations (K,) for the OKS.
        links: Pairs of keypoints, counted from 0, that a skeleton joins.
        flip_pairs: Pairs of keypoints, counted from 0, that swap when an image is mirrored.
    """

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    links: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sigmas):
            raise ValueError(
                f'{len(self.names)} keypoints, but {len(self.sigmas)} sigmas; give one sigma for '
                'each keypoint'
            )
        for what, pairs in (('the skeleton', self.links), ('flip pairs', self.flip_pairs)):
            for pair in pairs:
                if len(pair) != 2 or not all(0 <= end < len(self.names) for end in pair):
                    raise ValueError(
                        f'{what}: {tuple(pair)} is not a pair of keypoints, which are numbered 0 '
                        f'to {len(self.names) - 1}'
                    )

    @classmethod
    def from_dataset_meta(cls, meta: Mapping[str, Any]) -> 'Skeleton':
        """Take the keypoints from the metainfo of an MMPose dataset.

        Args:
            meta: Metainfo with ``num_keypoints`` and ``sigmas``, and what else there is of
                ``keypoint_id2name``, ``skeleton_links``, ``flip_indices`` and ``flip_pairs``.
        """
        count = int(meta['num_keypoints'])
        names = meta.get('keypoint_id2name') or {}
        flip = list(meta.get('flip_indices') or ())
        if len(flip) == count:
            pairs = [(i, int(j)) for i, j in enumerate(flip) if i < j]
        else:
            pairs = _pairs(meta.get('flip_pairs'))
        return cls(
            names=tuple(str(names.get(k, k)) for k in range(count)),
            sigmas=tuple(float(sigma) for sigma in meta['sigmas']),
            links=tuple(_pairs(meta.get('skeleton_links'))),
            flip_pairs=tuple(pairs),
        )

    @classmethod
    def from_dataset_info(cls, info: Mapping[str, Any], source: str = 'metainfo') -> 'Skeleton':
        """Take the keypoints from MMPose's ``dataset_info``, as metainfo files have it.

        Args:
            info: Dict with ``keypoint_info`` and ``sigmas``, and possibly ``skeleton_info``.
            source: Words for where it comes from, for errors.

        Raises:
            ValueError: Something is missing, or names a keypoint that there is not.
        """
        for part in ('keypoint_info', 'sigmas'):
            if part not in info:
                raise ValueError(
                    f'{source} has no {part!r}; expected what `hrnet-plugin metainfo` writes: '
                    'keypoint_info, skeleton_info and sigmas'
                )
        try:
            points = sorted(info['keypoint_info'].values(), key=lambda point: point['id'])
            names = [str(point['name']) for point in points]
            number_of = {name: number for number, name in enumerate(names)}
            links = [
                (number_of[a], number_of[b])
                for a, b in (entry['link'] for entry in info.get('skeleton_info', {}).values())
            ]
            swaps = [(k, number_of[p['swap']]) for k, p in enumerate(points) if p.get('swap')]
            sigmas = [float(sigma) for sigma in info['sigmas']]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{source}: {type(error).__name__}: {error}; expected keypoint_info={{0: '
                "dict(name='nose', id=0, swap=''), …}, skeleton_info={0: dict(link=('nose', "
                "'left_eye')), …} and sigmas=[0.026, …]"
            ) from error
        pairs = {(min(pair), max(pair)) for pair in swaps if pair[0] != pair[1]}
        return cls(tuple(names), tuple(sigmas), tuple(links), tuple(sorted(pairs)))

    def to_dict(self) -> dict[str, Any]:
        """Return names, sigmas, links and pairs as JSON has them."""
        return dict(
            names=list(self.names),
            sigmas=list(self.sigmas),
            links=[list(link) for link in self.links],
            flip_pairs=[list(pair) for pair in self.flip_pairs],
        )


def _pairs(pairs: Any) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in (() if pairs is None else pairs)]


def drawing(keypoints: np.ndarray, links: Sequence[tuple[int, int]] = ()) -> np.ndarray:
    """Derive from annotations where to draw the keypoints of an instance.

    Instances are scaled and moved onto each other, mirrored where they fit better so (people seen
    from behind), and their median is taken; then keypoints that would cover each other are pushed
    apart.

    Args:
        keypoints: Annotated keypoints (G, K, 3), x, y and above 0 where labelled.
        links: Pairs of keypoints, next to which those are placed that are labelled nowhere.

    Returns:
        Places (K, 2), x to the right and y down, in 0..1; the longer side fills it.
    """
    count = keypoints.shape[1]
    labelled = (keypoints[..., 2] > 0) & np.isfinite(keypoints[..., :2]).all(axis=-1)
    best = np.argsort(-labelled.sum(axis=1), kind='stable')[:MOST_INSTANCES]
    best = best[labelled[best].sum(axis=1) >= min(3, count)]
    points = np.where(labelled[best, :, None], keypoints[best, :, :2], np.nan)
    places = _median_instance(points) if len(best) else np.full((count, 2), np.nan)
    return _apart(_fit(_with_unlabelled(places, links)))


def _median_instance(points: np.ndarray) -> np.ndarray:
    """Return the median (K, 2) of instances (G, K, 2), NaN where no instance has a label."""
    reference = points[0]
    mirror = np.array([-1.0, 1.0])
    for _ in range(ROUNDS):
        aligned, mirrored = [], 0
        for instance in points:
            plain, plain_error = _aligned(instance, reference)
            other, other_error = _aligned(instance * mirror, reference)
            aligned.append(other if other_error < plain_error else plain)
            mirrored += other_error < plain_error
        stack = np.array(aligned)
        known = np.isfinite(stack[..., 0]).any(axis=0)
        reference = np.full(points.shape[1:], np.nan)
        reference[known] = np.nanmedian(stack[:, known], axis=0)
        if mirrored * 2 > len(points):  # most instances are seen from the other side
            reference = reference * mirror
    return reference


def _aligned(instance: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, float]:
    """Scale and move an instance onto the reference; return it, and the error that is left."""
    common = np.isfinite(instance[:, 0]) & np.isfinite(reference[:, 0])
    if common.sum() < 2:
        return np.full_like(instance, np.nan), np.inf
    a, b = instance[common], reference[common]
    center, target = a.mean(axis=0), b.mean(axis=0)
    spread = np.square(a - center).sum()
    scale = max(0.0, float(((a - center) * (b - target)).sum() / max(spread, 1e-9)))
    if scale == 0:
        return np.full_like(instance, np.nan), np.inf
    result = (instance - center) * scale + target
    return result, float(np.square(result[common] - b).mean())


def _with_unlabelled(places: np.ndarray, links: Sequence[tuple[int, int]]) -> np.ndarray:
    """Place keypoints without a label beside those that they are linked to, or on a circle."""
    known = np.isfinite(places[:, 0])
    count = len(places)
    if not known.any():
        angle = 2 * np.pi * np.arange(count) / max(1, count) - np.pi / 2
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    places = places.copy()
    for k in np.flatnonzero(~known):
        neighbours = [b if a == k else a for a, b in links if k in (a, b)]
        beside = [n for n in neighbours if known[n]]
        places[k] = places[beside].mean(axis=0) if beside else np.nanmean(places[known], axis=0)
    return places


def _fit(places: np.ndarray) -> np.ndarray:
    low = places.min(axis=0, initial=np.inf)
    size = max(float(np.ptp(places, axis=0).max(initial=0)), 1e-9)
    return (places - low) / size


def _apart(places: np.ndarray) -> np.ndarray:
    """Push keypoints apart that are too close; deterministic."""
    places = places.copy()
    count = len(places)
    closest = min(CLOSEST, 0.8 / max(1.0, np.sqrt(count)))
    golden = 2.399963  # radians: distinct directions for keypoints at the same place
    for _ in range(PUSHES):
        offset = places[:, None] - places[None]
        distance = np.linalg.norm(offset, axis=-1)
        close = (distance < closest) & ~np.eye(count, dtype=bool)
        if not close.any():
            break
        same = close & (distance < 1e-6)
        a, b = np.nonzero(same)
        angle = golden * np.minimum(a, b)
        way = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        offset[a, b] = np.where(a < b, 1, -1)[:, None] * way
        norm = np.where(same, 1.0, np.maximum(distance, 1e-9))
        push = np.where(close, (closest - distance) / 2, 0)
        places += (offset / norm[..., None] * push[..., None]).sum(axis=1) / 2
    return places
