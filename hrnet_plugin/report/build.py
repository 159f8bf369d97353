"""Build a report from annotations and one or two sets of predictions.

Letters for axes: D detections, G annotated instances, K keypoints.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..functional import (
    KeypointBootstrap,
    KeypointComparison,
    KeypointDiagnosis,
    Reliability,
    bootstrap,
    breakdown,
    compare,
    diagnose_keypoints,
    evaluate_coco_keypoints,
    fit_calibration,
    instance_reliability,
    keypoint_reliability,
)
from ..functional.coco.arrays import Annotations, Predictions, read_predictions
from ..functional.coco.diagnosis_result import ERROR_NAMES, INVERSION
from ..functional.coco.ids import Ids, as_id
from ..functional.coco.schema import errors_name
from ..version import __version__
from .content import Report
from .crops import ImageSource, crop_images
from .gallery import Scene, Shown, choose, size_name
from .skeleton import Skeleton, drawing

FORMAT = 'hrnet_plugin.report'
FORMAT_VERSION = 1
# OKSMetric's names of the ten numbers, and those of the evaluation
METRICS = {
    'coco/AP': 'AP',
    'coco/AP .5': 'AP50',
    'coco/AP .75': 'AP75',
    'coco/AP (M)': 'APM',
    'coco/AP (L)': 'APL',
    'coco/AR': 'AR',
    'coco/AR .5': 'AR50',
    'coco/AR .75': 'AR75',
    'coco/AR (M)': 'ARM',
    'coco/AR (L)': 'ARL',
}
RESAMPLES = 1000
GALLERY = 500  # cards at most: with a crop each, a page stays below 5 MB
CHANGED = 24  # images that changed most
CHANGED_SIDE, CHANGED_BYTES = 320, 12_000  # of their pictures: longest side, and JPEG file
LEAST_CHANGE = 0.005  # of the OKS
SHOWN_PREDICTIONS = 12  # of a whole image
FEW_IMAGES = (
    0.5  # share of images with people, below which a note says that some have no detection
)
LISTED = 5  # problems of one kind that a note lists
# Share of inversions of a mirrored pair, and number of its keypoints, from which a note says that
# left and right are not told apart
EXCHANGED, LEAST_EXCHANGED = 0.4, 20

# Called with what is done now, how much of it is done, and how much there is (0: not known)
Progress = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Results:
    """Predictions to evaluate.

    Attributes:
        name: Short name for tables and charts.
        source: Where they are from, such as a path.
        predictions: Predictions, in any form that ``evaluate_coco_keypoints`` takes.
    """

    name: str
    source: str
    predictions: Any


def build_report(
    annotations: Annotations,
    results: Sequence[Results],
    skeleton: Skeleton,
    *,
    source: str = 'annotations',
    image_info: Sequence[Mapping[str, Any]] = (),
    images: ImageSource | None = None,
    use_area: bool = True,
    max_dets: int = 20,
    resamples: int = RESAMPLES,
    seed: int = 0,
    gallery: int = GALLERY,
    notes: Sequence[str] = (),
    progress: Progress = lambda step, done, total: None,
) -> Report:
    """Evaluate one or two sets of predictions, explain their errors and compare them.

    Args:
        annotations: Annotations, as ``read_annotations`` returns them.
        results: One or two sets of predictions for the same images.
        skeleton: The keypoints; their number is that of annotations and predictions.
        source: Where the annotations are from, such as a path.
        image_info: ``'images'`` of the annotations in COCO format, for names and sizes.
        images: Where the images are; None for skeletons without images.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        resamples: Number of resamples of the intervals; 0 for none.
        seed: Seed of the resamples, and of the halves of the images in calibration.
        gallery: How many instances to show at most.
        notes: Sentences that the page shows first.
        progress: Called with the name of a step, how much of it is done and how much there is.

    Returns:
        The report.

    Raises:
        ValueError: There are not one or two sets; or as ``evaluate_coco_keypoints`` raises it.
    """
    if not 1 <= len(results) <= 2:
        raise ValueError(f'a report is of one or two sets of predictions, not {len(results)}')
    gt = replace(annotations, rows=np.arange(len(annotations.id)))
    sigmas = np.array(skeleton.sigmas)
    options: dict[str, Any] = dict(sigmas=sigmas, use_area=use_area, max_dets=max_dets)
    said = _Notes(list(notes))
    predictions, evaluations = [], []
    for each in results:
        progress(f'AP of {each.name}', 0, 0)
        with errors_name(each.source), said.of_warnings(each.name if len(results) > 1 else ''):
            evaluations.append(evaluate_coco_keypoints(gt, each.predictions, **options))
            predictions.append(read_predictions(each.predictions, len(sigmas)))
        said.add_if_few_images(gt, predictions[-1], each.name)
    tables = [_table(each) for each in predictions]

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the first evaluation has warned
        diagnoses = []
        for each, table in zip(results, tables):
            progress(f'errors of {each.name}', 0, 0)
            diagnoses.append(
                diagnose_keypoints(gt, table, flip_pairs=skeleton.flip_pairs, **options)
            )
        comparison, intervals = _intervals(gt, tables, options, resamples, seed, said, progress)
        models = []
        for number, each in enumerate(results):
            progress(f'calibration of {each.name}', 0, 0)
            interval = intervals[number] if intervals else None
            notes = (*diagnoses[number].notes, *_exchanged(diagnoses[number].counts, skeleton))
            said.extend(notes, each.name if len(results) > 1 else '')
            models.append(
                dict(
                    name=each.name,
                    source=each.source,
                    detections=len(predictions[number].score),
                    metrics=_metrics(evaluations[number], interval),
                    diagnosis=_diagnosis(diagnoses[number]),
                    breakdown=[each.to_dict() for each in breakdown(diagnoses[number], gt)],
                    calibration=_calibration(gt, tables[number], options, seed),
                )
            )
    scene = Scene(gt, diagnoses[0].area, predictions, *_sizes_and_names(image_info))
    cards = [card for n, each in enumerate(diagnoses) for card in _candidates(n, each, scene)]
    pictures = _Pictures(scene, images, progress)
    shown = pictures.cards(choose(cards, gallery))
    changed = [] if comparison is None else pictures.changed(comparison, max_dets)
    said.extend(pictures.problem_notes())
    content = dict(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        version=__version__,
        annotations=dict(
            source=source,
            images=len(Ids(gt.images)),
            instances=int(diagnoses[0].evaluated.sum()),
        ),
        options=dict(
            use_area=use_area,
            max_dets=max_dets,
            resamples=resamples,
            seed=seed,
            confidence=0.95,
        ),
        skeleton=skeleton.to_dict(),
        notes=said.notes,
        images=pictures.summary(),
        models=models,
        comparison=None if comparison is None else _comparison(comparison),
        gallery=shown,
        gallery_total=len(cards),
        changed=changed,
    )
    return Report(_plain(content), drawing(gt.keypoints, skeleton.links), pictures.files)


class _Notes:
    """What a reader has to know first, each once."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def extend(self, texts: Sequence[str], name: str = '') -> None:
        for text in texts:
            note = f'{name}: {text}' if name else text
            if note not in self.notes and text not in self.notes:
                self.notes.append(note)

    @contextmanager
    def of_warnings(self, name: str) -> Iterator[None]:
        """Note the warnings of an evaluation, and issue them."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            yield
        for each in caught:
            text = str(each.message)
            about_predictions = 'predictions' in text
            self.extend([text], name if about_predictions else '')
            warnings.warn(text, each.category, stacklevel=5)

    def add_if_few_images(self, gt: Annotations, predictions: Predictions, name: str) -> None:
        with_people = {as_id(i) for i in gt.image_id.tolist()}
        found = with_people & {as_id(i) for i in predictions.image_id.tolist()}
        if found and len(found) < FEW_IMAGES * len(with_people):
            self.extend(
                [
                    f'only {len(found):,} of the {len(with_people):,} images with annotated '
                    'people have a detection; people in the others count as missed. Was the '
                    'model applied to all images?'
                ],
                name,
            )


def _table(predictions: Predictions) -> dict[str, np.ndarray]:
    """Return predictions as the dict of arrays that evaluations read fastest."""
    return {name: value for name, value in vars(predictions).items() if value is not None}


def _intervals(
    gt: Annotations,
    tables: Sequence[Mapping[str, np.ndarray]],
    options: Mapping[str, Any],
    resamples: int,
    seed: int,
    said: _Notes,
    progress: Progress,
) -> tuple[KeypointComparison | None, list[KeypointBootstrap]]:
    """Return the comparison of two sets, and the intervals of each; nothing if there are none."""
    if not resamples:
        said.extend(['no intervals were asked for'])
        return None, []
    progress(f'{resamples} resamples of the images', 0, 0)
    drawn: dict[str, Any] = dict(options, resamples=resamples, seed=seed)
    try:
        if len(tables) == 1:
            return None, [bootstrap(gt, tables[0], **drawn)]
        compared = compare(gt, *tables, **drawn)
    except ValueError as error:
        said.extend([f'no intervals: {error}'])
        return None, []
    return compared, [compared.a, compared.b]


def _metrics(
    evaluation: Mapping[str, Any], interval: KeypointBootstrap | None
) -> dict[str, dict[str, float]]:
    metrics = {}
    for name, key in METRICS.items():
        metrics[name] = dict(value=evaluation[key])
        if interval is not None and key in interval.intervals:
            each = interval.intervals[key]
            metrics[name].update(low=each.low, high=each.high)
    return metrics


def _diagnosis(diagnosis: KeypointDiagnosis) -> dict[str, Any]:
    thresholds = ('0.5', '0.75', '0.85')
    costs = diagnosis.costs
    return dict(
        keypoint_counts=diagnosis.counts,
        background=int(diagnosis.background.sum()),
        missed=int(diagnosis.missed.sum()),
        areas=list(thresholds),
        costs=[
            dict(step=name, ap=step.ap, areas=[step.auc50, step.auc75, step.auc85])
            for name, step in costs.items()
        ],
        curves={
            threshold: [np.maximum(step.precision[t], 0).round(4) for step in costs.values()]
            for t, threshold in enumerate(thresholds)
        },
    )


def _exchanged(counts: np.ndarray, skeleton: Skeleton) -> Iterator[str]:
    """Name the mirrored pairs whose left and right predictions do not tell apart.

    Args:
        counts: Number (K, 5) of keypoints of each code.
        skeleton: Names and mirrored pairs of the keypoints.
    """
    exchanged = []
    for pair in skeleton.flip_pairs:
        of_pair = counts[list(pair)].sum(axis=0)
        total = int(of_pair.sum())
        share = of_pair[INVERSION] / max(1, total)
        if total >= LEAST_EXCHANGED and share >= EXCHANGED:
            names = ' and '.join(skeleton.names[k] for k in pair)
            exchanged.append(f'{names} ({share:.0%} of {total})')
    if exchanged:
        yield (
            f'Left and right are not told apart: {", ".join(exchanged)} are exchanged. A longer '
            'training may learn them; if it is every pair, check the mirrored pairs (flip_pairs) '
            'of the training and of the annotations.'
        )


def _comparison(comparison: KeypointComparison) -> dict[str, Any]:
    metrics = {}
    for name, key in METRICS.items():
        if key in comparison.difference:
            each = comparison.difference[key]
            metrics[name] = dict(
                value=each.value,
                low=each.low,
                high=each.high,
                share_better=comparison.share_b_better[key],
                p=comparison.p_value[key],
                more_than_chance=bool(each.low > 0 or each.high < 0),
            )
    return dict(metrics=metrics)


def _calibration(
    gt: Annotations, table: Mapping[str, np.ndarray], options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Return how reliable scores are, and what calibration makes of them."""
    keypoints = keypoint_reliability(gt, table, **options)
    parts: dict[str, Any] = dict(
        notes=[],
        keypoints=dict(
            event='its similarity is above 0.5',
            predicted=_reliability(keypoints),
            by_keypoint=[
                dict(ece=each.ece, total=each.total) for each in keypoints.by_group.values()
            ],
            fits={},
        ),
        instances=dict(
            event='it is matched at an OKS of 0.5',
            predicted=_reliability(instance_reliability(gt, table, **options)),
            fits={},
        ),
    )
    fits = {}
    try:
        for method in ('temperature', 'isotonic'):
            fits[method] = fit_calibration(gt, table, method=method, seed=seed, **options)
    except ValueError as error:
        parts['notes'].append(f'Scores were not calibrated: {error}.')
        return parts
    for kind in ('keypoints', 'instances'):
        for method, fit in fits.items():
            worth = fit.keypoint_fit if kind == 'keypoints' else fit.instance_fit
            parts[kind]['fits'][method] = dict(
                ece_before=worth.ece_before, ece_after=worth.ece_after, scores=worth.num_test
            )
    half, other = _other_half(gt, table, seed)
    points = other['keypoints'].astype(np.float64)
    points[..., 2] = fits['isotonic'].apply_keypoints(points[..., 2])
    calibrated = dict(other, keypoints=points)
    result = keypoint_reliability(half, calibrated, **options)
    parts['keypoints']['calibrated'] = _reliability(result)
    calibrated = dict(other, score=fits['isotonic'].apply_instances(other['score']))
    result = instance_reliability(half, calibrated, **options)
    parts['instances']['calibrated'] = _reliability(result)
    return parts


def _other_half(
    gt: Annotations, table: Mapping[str, np.ndarray], seed: int
) -> tuple[Annotations, dict[str, np.ndarray]]:
    """Return annotations and predictions of the images that a calibration was not fitted on."""
    ids = Ids(gt.images)
    order = np.random.default_rng(seed).permutation(len(ids))
    is_other = np.zeros(len(ids) + 1, bool)  # the last one for number -1
    is_other[order[(len(ids) + 1) // 2 :]] = True
    half = gt.take(np.flatnonzero(is_other[ids.number(gt.image_id)]))
    rows = is_other[ids.number(table['image_id'])]
    return half, {name: column[rows] for name, column in table.items()}


def _reliability(each: Reliability) -> dict[str, Any]:
    names = ('edges', 'count', 'mean_score', 'share_correct', 'low', 'high', 'ece', 'num_outside')
    return {name: getattr(each, name) for name in names}


def _sizes_and_names(
    image_info: Sequence[Mapping[str, Any]],
) -> tuple[dict[Any, tuple[float, float]], dict[Any, str]]:
    sizes, names = {}, {}
    for image in image_info:
        if 'id' not in image:
            continue
        image_id = as_id(image['id'])
        width, height = image.get('width'), image.get('height')
        if all(isinstance(v, (int, float)) and 0 < v < 1e6 for v in (width, height)):
            sizes[image_id] = (float(width), float(height))  # type: ignore[arg-type]
        name = image.get('file_name')
        names[image_id] = name if isinstance(name, str) else f'image {image_id}'
    return sizes, names


def _candidates(number: int, diagnosis: KeypointDiagnosis, scene: Scene) -> Iterator[Shown]:
    """Yield a card for each detection with an error, and for each person without a detection."""
    predictions = scene.models[number]
    codes = diagnosis.codes
    wrong = (codes > 0).any(axis=1)
    low, high = (
        getattr(predictions.keypoints[..., :2], name)(axis=1, initial=start)
        for name, start in (('min', np.inf), ('max', -np.inf))
    )
    for d in np.flatnonzero(wrong | diagnosis.background).tolist():
        image_id = as_id(predictions.image_id[d])
        score = float(predictions.score[d])
        cost = float(diagnosis.cost_of_instance[d])
        if diagnosis.background[d]:
            size = size_name(float(np.prod(np.maximum(high[d] - low[d], 0))))
            yield Shown(
                *(number, 'background', ('background',), d, None, image_id, cost),
                score=score,
                size=size,
            )
        else:
            g = int(diagnosis.matched[d])
            errors = tuple(ERROR_NAMES[code] for code in np.unique(codes[d][codes[d] > 0]))
            yield Shown(
                *(number, 'matched', errors, d, g, image_id, cost),
                codes=tuple(codes[d].tolist()),
                score=score,
                oks=float(diagnosis.oks[d]),
                size=size_name(float(diagnosis.area[g])),
            )
    for g in np.flatnonzero(diagnosis.missed).tolist():
        image_id = as_id(scene.annotations.image_id[g])
        size = size_name(float(diagnosis.area[g]))
        yield Shown(number, 'missed', ('missed',), None, g, image_id, 1.0, size=size)


class _Pictures:
    """Cut pictures for cards, and make what the page draws."""

    def __init__(self, scene: Scene, source: ImageSource | None, progress: Progress) -> None:
        self.scene = scene
        self.source = source
        self.progress = progress
        self.files: dict[str, bytes] = {}
        self.problems: list[str] = []

    def cards(self, shown: Sequence[Shown]) -> list[dict[str, Any]]:
        """Return cards as JSON has them, with the names of their pictures."""
        boxes = {f'card-{n}': self.scene.box_of(each) for n, each in enumerate(shown)}
        crops = self._crop(boxes, {f'card-{n}': each.image_id for n, each in enumerate(shown)})
        return [
            self._with_picture(key, self.scene.to_dict(each, crops[key]))
            for key, each in zip(boxes, shown)
        ]

    def changed(self, comparison: KeypointComparison, max_dets: int) -> list[dict[str, Any]]:
        """Return the images that changed most, as each of the two sets has them."""
        changes = comparison.changed
        rows = np.flatnonzero(np.abs(changes.difference) > LEAST_CHANGE)[:CHANGED].tolist()
        ids = {f'image-{row}': as_id(changes.image_id[row]) for row in rows}
        boxes = {key: self.scene.box_of_image(image_id) for key, image_id in ids.items()}
        crops = self._crop(boxes, ids, CHANGED_SIDE, CHANGED_BYTES)
        pairs = []
        for row, (key, image_id) in zip(rows, ids.items()):
            both = {
                name: self._with_picture(
                    key,
                    self.scene.image_to_dict(
                        model, image_id, crops[key], float(oks[row]), SHOWN_PREDICTIONS
                    ),
                )
                for model, (name, oks) in enumerate((('a', changes.a), ('b', changes.b)))
            }
            pairs.append(dict(both, change=round(float(changes.difference[row]), 4)))
        return pairs

    def summary(self) -> dict[str, Any]:
        """Say whether images are shown."""
        if self.source is None:
            text = 'No images: no folder of images was given. Skeletons are drawn without them.'
        else:
            text = f'Images from {self.source.folder}'
            if self.problems:
                text += f', of which {len(self.problems):,} cannot be shown'
        return dict(shown=self.source is not None, text=text, problems=self.problems)

    def problem_notes(self) -> list[str]:
        """Name the images that cannot be shown."""
        if not self.problems:
            return []
        listed = '; '.join(self.problems[:LISTED]) + ('; …' if len(self.problems) > LISTED else '')
        return [f'{len(self.problems):,} images cannot be shown: {listed}']

    def _crop(self, boxes: Mapping[str, np.ndarray], ids: Mapping[str, Any], *size: int) -> Any:
        total = len({*ids.values()})
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            self.progress('images', done, total)

        crops, problems = crop_images(boxes, ids, self.source, self.scene.names, advance, *size)
        self.problems += [problem for problem in problems if problem not in self.problems]
        self.files.update({key: crop.jpeg for key, crop in crops.items() if crop.jpeg})
        return crops

    def _with_picture(self, key: str, card: dict[str, Any]) -> dict[str, Any]:
        return dict(card, picture=key) if key in self.files else card


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
