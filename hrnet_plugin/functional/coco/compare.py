"""Intervals of AP and AR, and comparison of two result files, by a bootstrap over images.

Images are drawn with replacement, as many as there are, and AP is evaluated on those drawn: an
image that is drawn twice counts twice, with all of its annotations and detections (B. Efron,
"Bootstrap methods", 1979). Instances are matched once; only accumulation is repeated.

Letters for axes: D detections, G annotated instances, I images, M detections with similar
instances, T OKS thresholds, U runs of equal scores within an image.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .accumulate import (
    AREA_RANGES,
    Accumulated,
    Curves,
    EvaluationOptions,
    Instances,
    Matching,
    by_category,
    match_instances,
    mean_or_minus_one,
)
from .arrays import Annotations, read_annotations, read_predictions
from .ids import Groups, Ids
from .instances import Detections, GroundTruth
from .numeric import spans

METRICS = ('AP', 'AP50', 'AP75', 'AR')
# Share of the images with detections in one file that may lack them in the other
FEW_IMAGES = 0.5


@dataclass(frozen=True)
class Interval:
    """A number and its bootstrap interval.

    Attributes:
        value: Number on all images, each once.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]'


@dataclass(frozen=True)
class KeypointBootstrap:
    """Intervals of the AP and AR of one result file; ``print`` shows a table.

    Attributes:
        intervals: ``'AP'``, ``'AP50'``, ``'AP75'`` and ``'AR'`` -> interval.
        num_images: Number of images, which is also the number drawn in each resample.
        resamples: Number of resamples that the intervals are of.
        undefined: Number of further resamples that had no annotated instance, and so no AP.
        confidence: Share of resamples within an interval.
        seed: Seed of the draws.
    """

    intervals: Mapping[str, Interval]
    num_images: int
    resamples: int
    undefined: int
    confidence: float
    seed: int

    def __getitem__(self, metric: str) -> Interval:
        return self.intervals[metric]

    def __str__(self) -> str:
        rows = [f'{name:6}  {interval}' for name, interval in self.intervals.items()]
        return '\n'.join([f'metric  value [{self.confidence:.0%} interval]', *rows])


@dataclass(frozen=True, eq=False)
class ImageChanges:
    """How each image changed between two result files, most changed first.

    The OKS of an image is the mean over its annotated instances that count (no crowds, with
    labelled keypoints) of the OKS of the detection matched to each at a threshold of 0.5, 0 for
    an instance that is not matched. Images without such an instance are not listed. Unmatched
    detections do not show in it.

    Attributes:
        image_id: Ids (I,) of the images by descending ``abs(difference)``, equal ones by id.
        a: OKS (I,) of the first file.
        b: OKS (I,) of the second file.
    """

    image_id: np.ndarray
    a: np.ndarray
    b: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """(I,), ``b - a``."""
        return self.b - self.a


@dataclass(frozen=True, eq=False)
class KeypointComparison:
    """Comparison of two result files on the same images; ``print`` shows a table.

    Attributes:
        a: Intervals of the first file.
        b: Intervals of the second file, of the same draws.
        difference: ``'AP'``, ``'AP50'``, ``'AP75'`` and ``'AR'`` -> interval of b - a.
        share_b_better: The same names -> share of resamples in which b is above a.
        p_value: The same names -> two-sided p value of no difference: twice the share of resamples
            on the rarer side of 0, 0 itself counted on both and one resample added to each, at
            most 1.
        changed: The images by how much they changed.
    """

    a: KeypointBootstrap
    b: KeypointBootstrap
    difference: Mapping[str, Interval]
    share_b_better: Mapping[str, float]
    p_value: Mapping[str, float]
    changed: ImageChanges = field(repr=False)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [('', 'a', 'b', 'b - a', 'b > a', 'p')]
        for name in self.difference:
            rows.append(
                (
                    name,
                    *(str(each[name]) for each in (self.a, self.b, self.difference)),
                    f'{self.share_b_better[name]:.1%}',
                    f'{self.p_value[name]:.3f}',
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows)]
        return '\n'.join(
            '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows
        )


def bootstrap(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    use_area: bool = True,
    max_dets: int = 20,
) -> KeypointBootstrap:
    """Compute intervals of AP and AR by a bootstrap over images.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt: Predictions, in any form that :func:`evaluate_coco_keypoints` takes.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        resamples: Number of times that images are drawn.
        seed: Seed of the draws.
        confidence: Share of resamples within an interval, from 0 to 1: its ends are percentiles.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.

    Returns:
        :class:`~hrnet_plugin.functional.KeypointBootstrap`; values equal
        :func:`evaluate_coco_keypoints`.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`evaluate_coco_keypoints`; or there are fewer than two images, no
            annotated instance counts, or an option is out of range.

    Example:
        >>> person = dict(category_id=1, keypoints=[10, 20, 2, 50, 90, 2])
        >>> gt = dict(
        ...     images=[dict(id=n) for n in range(20)],
        ...     categories=[dict(id=1)],
        ...     annotations=[
        ...         dict(person, image_id=n, bbox=[0, 10, 60, 90], area=4000) for n in range(20)
        ...     ],
        ... )
        >>> dt = [dict(person, image_id=n, score=0.9) for n in range(15)]
        >>> print(bootstrap(gt, dt, sigmas=[0.1, 0.1])['AR'])
        0.7500 [0.5500, 0.9000]
    """
    _check_options(resamples, confidence)
    options = EvaluationOptions.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    truth = _read_ground_truth(gt, options, use_area)
    data = _with_detections(truth, dt, options)
    resampled = _Resampled.of(data, options, match_instances(data, options))
    values = resampled.values(np.ones(len(data.groups.images), np.intp))
    samples = np.array([resampled.values(w) for w in _draws(data, resamples, seed)])
    return _intervals(data, values, samples, confidence, seed)


def compare(
    gt: Any,
    dt_a: Any,
    dt_b: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    use_area: bool = True,
    max_dets: int = 20,
) -> KeypointComparison:
    """Compare two result files on the same images by a paired bootstrap over images.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt_a: Predictions, in any form that :func:`evaluate_coco_keypoints` takes.
        dt_b: Other predictions for the same images.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        resamples: Number of times that images are drawn, the same for both.
        seed: Seed of the draws.
        confidence: Share of resamples within an interval, from 0 to 1: its ends are percentiles.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.

    Returns:
        :class:`~hrnet_plugin.functional.KeypointComparison`: intervals of each and of their
        difference, and the images that changed. A warning says when images with detections in
        one file mostly have none in the other.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`bootstrap`; the error says of which predictions.
    """
    _check_options(resamples, confidence)
    options = EvaluationOptions.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    truth = _read_ground_truth(gt, options, use_area)
    with _names('dt_a'):
        a = _with_detections(truth, dt_a, options)
    with _names('dt_b'):
        b = _with_detections(truth, dt_b, options)
    _warn_about_images(a, b)
    changed, both = [], []
    for data in (a, b):
        matching = match_instances(data, options)
        changed.append(_image_oks(data, matching))
        both.append(_Resampled.of(data, options, matching))
    values = np.array([each.values(np.ones(len(a.groups.images), np.intp)) for each in both])
    samples = np.array([[each.values(w) for each in both] for w in _draws(a, resamples, seed)])
    defined = samples[~np.isnan(samples).any(axis=(1, 2))]
    differences = defined[:, 1] - defined[:, 0]
    above, below = ((sign * differences > 0).sum(axis=0) for sign in (1, -1))
    rarer = len(defined) - np.maximum(above, below)
    p_value = np.minimum(1, 2 * (rarer + 1) / (len(defined) + 1))
    return KeypointComparison(
        _intervals(a, values[0], samples[:, 0], confidence, seed),
        _intervals(b, values[1], samples[:, 1], confidence, seed),
        _percentiles(values[1] - values[0], differences, confidence),
        dict(zip(METRICS, (above / len(defined)).tolist())),
        dict(zip(METRICS, p_value.tolist())),
        _changes(a, *changed),
    )


@dataclass(frozen=True)
class _ResampledCategory:
    """Detections of one category by descending score, and what it takes to repeat them.

    Copies of an image count as images of their own, next to each other: of detections with equal
    scores, all of the first copy come before those of the second. So runs of equal scores within
    an image are repeated as a whole.
    """

    curves: Curves
    number: np.ndarray  # (D,), place among the M of each detection, or -1
    outside: np.ndarray  # (D,)
    start: np.ndarray  # (U,), index of the first detection of each run
    length: np.ndarray  # (U,)
    image: np.ndarray  # (U,)
    num_gt: np.ndarray  # (I,), annotated instances that count

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Compute what :class:`Curves` does with images repeated; None without instances.

        Args:
            weights: How many times (I,) each image counts.
        """
        num_gt = int(weights @ self.num_gt)
        if not num_gt:
            return None
        repeats = weights[self.image]
        rows = np.repeat(self.start, repeats)
        if len(self.start) < len(self.number):
            rows = spans(rows, np.repeat(self.length, repeats))
        number = self.number[rows]
        place = np.flatnonzero(number >= 0)
        number = number[place]
        curves = Curves(
            self.curves.score[rows],
            place,
            self.curves.matched.take(number, axis=-1),
            self.curves.matched_to_ignored.take(number, axis=-1),
        )
        return curves(0, self.outside[rows], num_gt)


@dataclass(frozen=True)
class _Resampled:
    """Matched detections, accumulated again and again."""

    options: EvaluationOptions
    categories: list[_ResampledCategory]

    @classmethod
    def of(cls, data: Instances, options: EvaluationOptions, matching: Matching) -> '_Resampled':
        detections, num_images = data.detections, len(data.groups.images)
        categories = []
        for order, annotated in by_category(data):
            score, group = detections.score[order], detections.group[order]
            curves = Curves.of(order, score, matching.matches)
            number = np.full(len(order), -1)
            number[curves.place] = np.arange(len(curves.place))
            is_new = np.diff(score, prepend=np.nan) != 0
            is_new |= np.diff(group, prepend=-1) != 0
            start = np.flatnonzero(is_new)
            counts = annotated & ~matching.gt_ignored[:, 0]
            categories.append(
                _ResampledCategory(
                    curves,
                    number,
                    matching.dt_outside[0, order],
                    start,
                    np.diff(start, append=len(order)),
                    group[start] % num_images,
                    np.bincount(data.gt.group[counts] % num_images, minlength=num_images),
                )
            )
        return cls(options, categories)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Evaluate with each image counted as many times as its weight (I,) says.

        Returns:
            The numbers of ``METRICS``, NaN without annotated instances.
        """
        thresholds = self.options.thresholds
        accumulated = Accumulated.empty(len(thresholds), len(self.categories), 1)
        for c, category in enumerate(self.categories):
            if (curves := category(weights)) is not None:
                accumulated.set(c, 0, curves)
        precision, recall = accumulated.precision, accumulated.recall
        each = precision, precision[thresholds == 0.5], precision[thresholds == 0.75], recall
        values = np.array([mean_or_minus_one(v[v > -1]) for v in each])
        return np.where(values < 0, np.nan, values)


def _read_ground_truth(
    gt: Any, options: EvaluationOptions, use_area: bool
) -> tuple[Groups, GroundTruth, Annotations]:
    """Read annotations, of which a bootstrap must be possible."""
    annotations = read_annotations(gt)
    groups = Groups(Ids(annotations.images), Ids(annotations.categories))
    ground_truth = GroundTruth.of(annotations, groups, len(options.sigmas), use_area)
    count = len(groups.images)
    if count < 2:
        raise ValueError(
            f'the annotations have {count} image: a bootstrap over images needs at least 2, and '
            'hundreds to mean much'
        )
    if ground_truth.ignore.all():
        raise ValueError(
            'no annotated instance counts (all are crowds or without labelled keypoints): there '
            'is no AP'
        )
    return groups, ground_truth, annotations


def _with_detections(
    truth: tuple[Groups, GroundTruth, Annotations], dt: Any, options: EvaluationOptions
) -> Instances:
    groups, ground_truth, annotations = truth
    predictions = read_predictions(dt, len(options.sigmas))
    detections = Detections.of(predictions, groups, options.max_dets)
    return Instances(groups, ground_truth, detections, annotations)


def _draws(data: Instances, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how many times (I,) each image is drawn, in each resample."""
    rng, count = np.random.default_rng(seed), len(data.groups.images)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, count, count), minlength=count)


def _intervals(
    data: Instances, values: np.ndarray, samples: np.ndarray, confidence: float, seed: int
) -> KeypointBootstrap:
    defined = samples[~np.isnan(samples).any(axis=1)]
    return KeypointBootstrap(
        _percentiles(values, defined, confidence),
        len(data.groups.images),
        len(defined),
        len(samples) - len(defined),
        confidence,
        seed,
    )


def _percentiles(
    values: np.ndarray, samples: np.ndarray, confidence: float
) -> dict[str, Interval]:
    if not len(samples):
        raise ValueError(
            'no resample has an annotated instance: images with instances are too few among all '
            'images; evaluate on more, or draw more resamples'
        )
    tail = (1 - confidence) / 2
    ends = np.quantile(samples, [tail, 1 - tail], axis=0)
    rows = np.concatenate([values[None], ends]).T.tolist()
    return {name: Interval(*row) for name, row in zip(METRICS, rows)}


def _image_oks(data: Instances, matching: Matching) -> np.ndarray:
    """Return the OKS (I,) that :class:`ImageChanges` describes, NaN without instances."""
    num_images, pairs = len(data.groups.images), matching.good_pairs
    image = data.gt.group % num_images
    of_pair = image[matching.matches.pairs[1][pairs]]
    total = np.bincount(of_pair, matching.matches.oks[pairs], minlength=num_images)
    count = np.bincount(image[~matching.gt_ignored[:, 0]], minlength=num_images)
    return np.where(count > 0, total / np.maximum(1, count), np.nan)


def _changes(data: Instances, a: np.ndarray, b: np.ndarray) -> ImageChanges:
    listed = np.flatnonzero(~np.isnan(a))
    order = listed[np.argsort(-np.abs(b - a)[listed], kind='stable')]
    ids = data.groups.images.values
    values = ids if isinstance(ids, np.ndarray) else _objects(ids)
    return ImageChanges(values[order], a[order], b[order])


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@contextmanager
def _names(name: str) -> Iterator[None]:
    """Put the name of an argument before errors."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error


def _check_options(resamples: int, confidence: float) -> None:
    if resamples < 1:
        raise ValueError(f'resamples must be at least 1, not {resamples}')
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must be between 0 and 1, such as 0.95, not {confidence}')


def _warn_about_images(a: Instances, b: Instances) -> None:
    """Warn if the files are of different images, as a file of a subset is."""
    num_images = len(a.groups.images)
    ours, theirs = (np.unique(data.detections.group % num_images) for data in (a, b))
    if not len(ours) or not len(theirs):
        return  # of which another warning says that there are no predictions
    shared = len(np.intersect1d(ours, theirs))
    for name, images, other in (('dt_a', ours, 'dt_b'), ('dt_b', theirs, 'dt_a')):
        if shared < FEW_IMAGES * len(images):
            warnings.warn(
                f'{len(images) - shared} of {len(images)} images with detections in {name} have '
                f'none in {other}; were both made for the same images?',
                stacklevel=3,
            )
