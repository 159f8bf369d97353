"""Calibration of keypoint and instance scores.

A score is calibrated if, of all keypoints (or instances) with a score of 0.8, 80 % are right (C.
Guo et al., "On Calibration of Modern Neural Networks", 2017, section 2).

Letters for axes: N scores, B blocks, I images, K keypoints.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.atomic_files import write_atomically
from ...utils.json_files import read_json
from .accumulate import read_instances
from .reliability import (
    LOCALISATION_OKS,
    UNMATCHED,
    ScoreSamples,
    check_events,
    instance_samples,
    keypoint_samples,
    matching_options,
    reliability,
)
from .schema import kind, quote

VERSION = 1
METHODS = ('temperature', 'isotonic')
CHOICES = {'method': METHODS, 'unmatched': UNMATCHED}

# Logits of 0 and 1 are infinite: take those of scores this far from them.
MARGIN = 1e-6
# Share of a straight line in a calibrated score, which keeps different scores different where
# isotonic regression is constant, and where a temperature rounds to 0 or 1.
STRICTNESS = 1e-6
LOWEST_SHARPNESS, HIGHEST_SHARPNESS = 0.01, 100.0  # of 1 / temperature


@dataclass(frozen=True)
class ScoreMap:
    """A strictly increasing function from scores to probabilities.

    Attributes:
        low: Score that stands for 0: 0, or the lowest score if that is below.
        high: Score that stands for 1: 1, or the highest score if that is above. Scores beyond
            ``low`` and ``high`` are allowed, and keep their order.
        temperature: Divisor of logits; None for isotonic regression.
        scores: Centers of the blocks of isotonic regression, ascending; empty otherwise.
        shares: Share of right ones in each block, ascending.
    """

    low: float
    high: float
    temperature: float | None = None
    scores: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Convert scores (…) to probabilities (…), float64."""
        scores = np.asarray(scores, np.float64)
        unit = _unit(scores, self.low, self.high)
        if self.temperature is None:
            mapped = np.interp(scores, self.scores, self.shares)
        else:
            mapped = _sigmoid(_logit(unit) / self.temperature)
        return (1 - STRICTNESS) * mapped + STRICTNESS * _line(unit)


@dataclass(frozen=True)
class CalibrationFit:
    """What a calibration was fitted on, and what it is worth on the other half of the images.

    Attributes:
        num_fit: Number of scores that it was fitted on.
        num_test: Number of scores of the other images.
        ece_before: Expected calibration error of the scores of the other images, 10 bins.
        ece_after: The same after calibration.
    """

    num_fit: int
    num_test: int
    ece_before: float
    ece_after: float


@dataclass(frozen=True)
class Calibration:
    """Maps of keypoint scores and of instance scores to probabilities of being right.

    Both are strictly increasing in float64: ranks of instances, and so AP, stay as they are. Where
    nothing tells scores apart, the maps differ by less than 1e-6, which float32 cannot hold.

    Attributes:
        method: ``'temperature'`` or ``'isotonic'``.
        similarity: A keypoint is right if its similarity is above.
        oks: An instance is right if it is matched at this OKS threshold.
        unmatched: Keypoints of unmatched detections: ``'wrong'`` or ``'skip'``.
        seed: Seed of the split of the images.
        num_images_fit: Number of images that it was fitted on.
        num_images_test: Number of the other images.
        keypoints: Map of keypoint scores.
        instances: Map of instance scores.
        keypoint_fit: What ``keypoints`` was fitted on.
        instance_fit: What ``instances`` was fitted on.
    """

    method: str
    similarity: float
    oks: float
    unmatched: str
    seed: int
    num_images_fit: int
    num_images_test: int
    keypoints: ScoreMap
    instances: ScoreMap
    keypoint_fit: CalibrationFit
    instance_fit: CalibrationFit

    def apply_keypoints(self, scores: np.ndarray) -> np.ndarray:
        """Convert keypoint scores (…) to the probability that each keypoint is right."""
        return self.keypoints(scores)

    def apply_instances(self, scores: np.ndarray) -> np.ndarray:
        """Convert instance scores (…) to the probability that each instance is right.

        Args:
            scores: Scores computed as those of the predictions that the calibration was fitted
                on; ``PoseInferencer`` computes ``'bbox_keypoint'``.
        """
        return self.instances(scores)

    def to_json(self, path: str | Path) -> None:
        """Write a small JSON file.

        Raises:
            OSError: The file cannot be written.
        """
        text = json.dumps(dict(version=VERSION, **asdict(self)), indent=2, allow_nan=False)
        write_atomically(path, f'{text}\n'.encode())

    @classmethod
    def from_json(cls, path: str | Path) -> 'Calibration':
        """Read a file of :meth:`to_json`.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no such file.
        """
        content = read_json(path)
        try:
            return _parse(content)
        except ValueError as error:
            raise ValueError(
                f'{path} is no calibration: {error}; expected a file that Calibration.to_json of '
                'this version wrote'
            ) from error

    def __str__(self) -> str:
        """Return the expected calibration errors before and after."""
        lines = [
            f'{self.method}, fitted on {self.num_images_fit} images, tested on the other '
            f'{self.num_images_test}'
        ]
        for name, event, fit in (
            ('keypoints', f'similarity > {self.similarity:g}', self.keypoint_fit),
            ('instances', f'OKS >= {self.oks:g}', self.instance_fit),
        ):
            lines.append(
                f'{name} ({event}): expected calibration error {fit.ece_before:.4f} -> '
                f'{fit.ece_after:.4f} ({fit.num_test} scores)'
            )
        return '\n'.join(lines)


def fit_calibration(
    gt: Any,
    dt: Any,
    *,
    method: str = 'temperature',
    sigmas: Sequence[float] | np.ndarray | None = None,
    similarity: float = 0.5,
    oks: float = 0.5,
    use_area: bool = True,
    max_dets: int = 20,
    unmatched: str = 'wrong',
    seed: int = 0,
) -> Calibration:
    """Fit a calibration of keypoint and instance scores on half of the images.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt: Predictions, in any form that :func:`evaluate_coco_keypoints` takes; the third number
            of each keypoint is its score.
        method: ``'temperature'``: divide logits by the number that minimises the cross entropy
            (Guo et al., section 4.2); a score of 0.5 stays. ``'isotonic'``: the increasing
            function with the least squared error, interpolated between the centers of its blocks.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        similarity: Similarity above which a keypoint is right, see :func:`keypoint_reliability`.
        oks: OKS threshold at which an instance is right if matched.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        unmatched: Whether keypoints of unmatched detections are ``'wrong'`` or left out,
            ``'skip'``; see :func:`keypoint_reliability`.
        seed: Seed of the split of the images.

    Returns:
        :class:`~hrnet_plugin.functional.Calibration`, with its errors before and after on the
        other half of the images. A warning says if one is no better after.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`evaluate_coco_keypoints`; or an option is out of range, or one half
            of the images has no scores, or only equal ones, or only right or wrong ones.
    """
    if method not in METHODS:
        raise ValueError(f'method={method!r}; expected {" or ".join(map(repr, METHODS))}')
    check_events(similarity, oks, unmatched)
    keypoint_options = matching_options(sigmas, max_dets, LOCALISATION_OKS)
    instance_options = matching_options(sigmas, max_dets, oks)
    data = read_instances(gt, dt, keypoint_options, use_area)
    count = len(data.groups.images)
    for_fit = np.zeros(count, bool)
    for_fit[np.random.default_rng(seed).permutation(count)[: (count + 1) // 2]] = True
    keypoint_scores = keypoint_samples(data, keypoint_options, similarity, unmatched)
    instance_scores = instance_samples(data, instance_options)
    keypoints, keypoint_fit = _fit('keypoint', method, keypoint_scores, for_fit)
    instances, instance_fit = _fit('instance', method, instance_scores, for_fit)
    for name, fit in (('keypoint', keypoint_fit), ('instance', instance_fit)):
        if fit.ece_after > fit.ece_before:
            others = ' or '.join(map(repr, [m for m in METHODS if m != method]))
            warnings.warn(
                f'{method!r} does not improve {name} scores: their expected calibration error on '
                f'the other images is {fit.ece_before:.4f} before and {fit.ece_after:.4f} after; '
                f'try method={others}, or more images',
                stacklevel=2,
            )
    return Calibration(
        method,
        float(similarity),
        float(oks),
        unmatched,
        seed,
        int(for_fit.sum()),
        int((~for_fit).sum()),
        keypoints,
        instances,
        keypoint_fit,
        instance_fit,
    )


def _fit(
    name: str, method: str, samples: ScoreSamples, for_fit: np.ndarray
) -> tuple[ScoreMap, CalibrationFit]:
    """Fit a map on the images of a mask (I,), and test it on the others."""
    in_fit = for_fit[samples.image]
    score, correct = samples.score[in_fit], samples.correct[in_fit]
    test_score, test_correct = samples.score[~in_fit], samples.correct[~in_fit]
    if not len(score) or not len(test_score):
        raise ValueError(
            f'one half of the images has no {name} scores to compare; give predictions for more '
            'images'
        )
    if correct.all() or not correct.any():
        raise ValueError(
            f'all {len(correct)} {name} scores of one half of the images are '
            f'{"right" if correct.any() else "wrong"}: nothing tells how scores and errors go '
            'together; give more images, or check that predictions and annotations fit together'
        )
    if score.min() == score.max():
        raise ValueError(
            f'all {name} scores are {score[0]:g}: the predictions say nothing of how certain they '
            'are; give predictions with scores'
        )
    low, high = min(0.0, float(score.min())), max(1.0, float(score.max()))
    if method == 'temperature':
        logits = _logit(_unit(score, low, high))
        score_map = ScoreMap(low, high, _fit_temperature(logits, correct))
    else:
        score_map = ScoreMap(low, high, None, *_isotonic_blocks(score, correct))
    before = reliability(test_score, test_correct).ece
    after = reliability(score_map(test_score), test_correct).ece
    return score_map, CalibrationFit(len(score), len(test_score), before, after)


def _fit_temperature(logits: np.ndarray, correct: np.ndarray) -> float:
    """Minimise the cross entropy, which is convex in 1 / temperature, by bisection."""
    low, high = np.log([LOWEST_SHARPNESS, HIGHEST_SHARPNESS])
    for _ in range(50):
        middle = (low + high) / 2
        slope = logits @ (_sigmoid(logits * np.exp(middle)) - correct)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def _isotonic_blocks(
    score: np.ndarray, correct: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return centers and shares of the blocks of isotonic regression, both strictly increasing."""
    values, inverse, weights = np.unique(score, return_inverse=True, return_counts=True)
    shares = np.bincount(inverse, correct) / weights
    starts, levels = pool_adjacent_violators(shares, weights)
    block_weights = np.add.reduceat(weights, starts)
    centers = np.add.reduceat(values * weights, starts) / block_weights
    return tuple(centers.tolist()), tuple(levels.tolist())


def pool_adjacent_violators(
    values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the increasing sequence with the least weighted squared error (isotonic regression).

    M. Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete Information",
    1955.

    Args:
        values: Values (N,), in the order in which the sequence is to increase.
        weights: Weights (N,), above 0.

    Returns:
        Index (B,) of the first value of each block, and the level (B,) of each, strictly
        increasing.

    Example:
        >>> pool_adjacent_violators(np.array([0.0, 3.0, 1.0, 4.0]), np.ones(4))
        (array([0, 1, 3]), array([0., 2., 4.]))
    """
    starts: list[int] = []
    totals: list[float] = []
    sizes: list[float] = []
    for n, (value, weight) in enumerate(zip(values.tolist(), weights.tolist())):
        start, total, size = n, value * weight, weight
        while starts and totals[-1] * size >= total * sizes[-1]:
            start, total, size = starts.pop(), total + totals.pop(), size + sizes.pop()
        starts.append(start)
        totals.append(total)
        sizes.append(size)
    return np.array(starts, np.intp), np.array(totals) / np.array(sizes)


def _unit(scores: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale scores so that ``low`` becomes 0 and ``high`` 1."""
    return (scores - low) / (high - low)


def _logit(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, MARGIN, 1 - MARGIN)
    return np.log(x) - np.log1p(-x)


def _line(x: np.ndarray) -> np.ndarray:
    """Map any number to (0, 1), strictly increasing: straight between 0 and 1."""
    below, above = np.maximum(-x, 0), np.maximum(x - 1, 0)
    inside = 0.1 + 0.8 * np.clip(x, 0, 1)
    return inside - 0.1 * below / (1 + below) + 0.1 * above / (1 + above)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # does not overflow


def _parse(content: Any) -> Calibration:
    """Build a calibration from the content of a file.

    Raises:
        ValueError: A value is missing, of another type, or impossible.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f'it holds {kind(content)}')
    if content.get('version') != VERSION:
        raise ValueError(f"'version' is {quote(content.get('version'))}, not {VERSION}")
    method, unmatched = (_choice(content, n, v) for n, v in CHOICES.items())
    similarity, oks = _number(content, 'similarity'), _number(content, 'oks')
    check_events(similarity, oks, unmatched)
    return Calibration(
        method,
        similarity,
        oks,
        unmatched,
        int(_number(content, 'seed')),
        int(_number(content, 'num_images_fit')),
        int(_number(content, 'num_images_test')),
        _parse_map(_part(content, 'keypoints'), method),
        _parse_map(_part(content, 'instances'), method),
        _parse_fit(_part(content, 'keypoint_fit')),
        _parse_fit(_part(content, 'instance_fit')),
    )


def _parse_map(content: Mapping[str, Any], method: str) -> ScoreMap:
    low, high = _number(content, 'low'), _number(content, 'high')
    if low >= high:
        raise ValueError(f"'low' is {low} and 'high' {high}, which must be above")
    if method == 'temperature':
        temperature = _number(content, 'temperature')
        if temperature <= 0:
            raise ValueError(f"'temperature' is {temperature}, which must be above 0")
        return ScoreMap(low, high, temperature)
    scores, shares = _numbers(content, 'scores'), _numbers(content, 'shares')
    if not scores or len(scores) != len(shares):
        raise ValueError(
            f"there are {len(scores)} 'scores' and {len(shares)} 'shares', which must be as many, "
            'and at least one'
        )
    for name, values in (('scores', scores), ('shares', shares)):
        if not (np.diff(values) > 0).all():
            raise ValueError(f'{name!r} do not ascend')
    if shares[0] < 0 or shares[-1] > 1:
        raise ValueError("'shares' are not from 0 to 1")
    return ScoreMap(low, high, None, scores, shares)


def _parse_fit(content: Mapping[str, Any]) -> CalibrationFit:
    counts = (int(_number(content, name)) for name in ('num_fit', 'num_test'))
    return CalibrationFit(*counts, *(_number(content, n) for n in ('ece_before', 'ece_after')))


def _choice(content: Mapping[str, Any], name: str, values: Sequence[str]) -> str:
    value = content.get(name)
    if value not in values:
        raise ValueError(f'{name!r} is {quote(value)}, not {" or ".join(map(repr, values))}')
    return str(value)


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping):
        raise ValueError(f'{name!r} is {kind(part)}, not a dict')
    return part


def _number(content: Mapping[str, Any], name: str) -> float:
    return _as_number(name, content.get(name))


def _numbers(content: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = content.get(name)
    if not isinstance(values, list):
        raise ValueError(f'{name!r} is {kind(values)}, not a list')
    return tuple(_as_number(name, value) for value in values)


def _as_number(name: str, value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) < 2**53:  # also NaN
        raise ValueError(f'{name!r} is {quote(value)}, not a number')
    return float(value)
