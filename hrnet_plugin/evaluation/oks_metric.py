"""COCO keypoint AP and AR through MMEngine's metric interface."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump, get_local_path
from mmengine.logging import MessageHub

from ..functional.coco.arrays import Ids, as_id, check_finite, coco_to_arrays, spans
from ..functional.coco.evaluate import AREA_RANGES, evaluate_coco_keypoints, evaluate_each_keypoint
from ..functional.coco.nms import oks_nms, soft_oks_nms
from ..functional.coco.schema import coco_entries
from ..functional.coco.scoring import SCORE_MODES
from ..functional.coco.units import box_problems, keypoint_problems
from ..registry import METRICS, strict_options
from ..utils.errors import unknown_name
from ..utils.json_files import read_json
from .collect import annotations_of_sample, no_columns, sample_columns
from .gather import Columns, gather, join, once, ranks, take

# Stock CocoMetric's names, which configs refer to (save_best='coco/AP'), and ours.
KEYPOINTS = {
    'AP': 'AP',
    'AP .5': 'AP50',
    'AP .75': 'AP75',
    'AP (M)': 'APM',
    'AP (L)': 'APL',
    'AR': 'AR',
    'AR .5': 'AR50',
    'AR .75': 'AR75',
    'AR (M)': 'ARM',
    'AR (L)': 'ARL',
}
CROWD = {name: key for name, key in KEYPOINTS.items() if '(' not in name}
IOU_TYPES = {'keypoints': KEYPOINTS, 'keypoints_crowd': CROWD}

# Crowd index of an image (Li et al., "CrowdPose", equation 2), from and below.
CROWDING = {'AP(E)': (-np.inf, 0.2), 'AP(M)': (0.2, 0.8), 'AP(H)': (0.8, np.inf)}


def _keep_all(keypoints: np.ndarray, *_: Any, images: np.ndarray) -> np.ndarray:
    return np.arange(len(keypoints))


# (keypoints (N, K, 2), scores (N,), areas (N,), nms_thr, sigmas (K,), images (N,)) -> kept indices
NMS_MODES: dict[str, Callable[..., np.ndarray]] = {
    'oks_nms': oks_nms,
    'soft_oks_nms': soft_oks_nms,
    'none': _keep_all,
}


@METRICS.register_module()
@strict_options
class OKSMetric(BaseMetric):
    """AP and AR of keypoints, with the numbers and names of stock ``CocoMetric``.

    The number of keypoints and their sigmas come from the data set's metainfo, and so do the names
    of keypoints.

    Args:
        ann_file: annotations in COCO format. If not given, those that MMPose's test data set
            announces are taken, and if it announces none, those that come with the samples
            (``raw_ann_info``).
        use_area: whether to believe the annotated areas, or to take 0.53 of the boxes. The latter
            is also done, with a warning, for a person whose annotation has no area above 0.
        iou_type: ``'keypoints'``, or ``'keypoints_crowd'`` for AP by how crowded an image is, as
            CrowdPose's images say (``crowdIndex``): easy below 0.2, hard from 0.8 on.
        score_mode: what ranks the predictions: the score of the box (``'bbox'``), that times the
            mean score of the good keypoints (``'bbox_keypoint'``), the sum of the box's and the
            keypoints' mean and highest score (``'bbox_rle'``), or the mean score of the keypoints
            (``'keypoint'``).
        keypoint_score_thr: a keypoint is good above this; for ``'bbox_keypoint'``.
        nms_mode: how people found twice are suppressed: ``'oks_nms'``, ``'soft_oks_nms'`` or
            ``'none'``.
        nms_thr: OKS above which two predictions are one person, or the width of the soft decay.
        format_only: write the predictions, and evaluate nothing.
        outfile_prefix: the predictions are written to ``{outfile_prefix}.keypoints.json``; not at
            all if not given.
        per_keypoint: whether to add ``AP (name)`` and ``AR (name)`` of each keypoint, as if there
            were no other, and how close it is when its person is found at an OKS of 0.5:
            ``OKS (name)``, and ``OKS`` of all together.
        area_ranges: name -> lowest and highest area, in square pixels, of which to add
            ``AP (name)`` and ``AR (name)``.
        collect_device: for stock configs, which name it. Results of several processes come
            together through the process group, on the device that its backend needs.
        prefix: of the metric names, instead of ``'coco'``.

    Raises:
        ValueError: if an argument is none of the above, if annotations, predictions and sigmas do
            not have the same number of keypoints, or if predictions are for other images than the
            annotations.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        use_area: bool = True,
        iou_type: str = 'keypoints',
        score_mode: str = 'bbox_keypoint',
        keypoint_score_thr: float = 0.2,
        nms_mode: str = 'oks_nms',
        nms_thr: float = 0.9,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        per_keypoint: bool = False,
        area_ranges: Mapping[str, Sequence[float]] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for option, given, valid in (
            ('iou_type', iou_type, list(IOU_TYPES)),
            ('score_mode', score_mode, list(SCORE_MODES)),
            ('nms_mode', nms_mode, list(NMS_MODES)),
        ):
            if given not in valid:
                raise ValueError(unknown_name(f'{option} of OKSMetric', given, valid))
        if format_only and outfile_prefix is None:
            raise ValueError('format_only=True needs an outfile_prefix to write the results to')
        self.use_area = use_area
        self.iou_type = iou_type
        self.score_mode = score_mode
        self.keypoint_score_thr = keypoint_score_thr
        self.nms_mode = nms_mode
        self.nms_thr = nms_thr
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.per_keypoint = per_keypoint
        self.area_ranges = {n: _area_range(n, limits) for n, limits in (area_ranges or {}).items()}
        _check_names('area_ranges of OKSMetric', self.area_ranges, ())
        self.gt = None if ann_file is None or format_only else self._load(ann_file)

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the data set: ``num_keypoints``, ``sigmas``, names of keypoints."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        count, sigmas = dataset_meta.get('num_keypoints'), dataset_meta.get('sigmas')
        if sigmas is None or count is None:
            raise ValueError("the data set's metainfo needs `num_keypoints` and `sigmas`")
        if len(sigmas) != count:
            raise ValueError(
                f"the data set's metainfo has {count} keypoints but {len(sigmas)} sigmas; give "
                'one sigma for each keypoint'
            )
        if self.gt is None and not self.format_only:
            announced = f'{dataset_meta.get("dataset_name")}_ann_file'
            ann_file = MessageHub.get_current_instance().get_info(announced, None)
            self.gt = None if ann_file is None else self._load(ann_file)
        if self.gt is not None:
            annotated = self.gt['annotations']['keypoints'].shape
            if annotated[0] and annotated[1] not in (0, count):
                raise ValueError(
                    f"annotated people have {annotated[1]} keypoints, but the data set's metainfo "
                    f'has {count}; use the metainfo that belongs to the annotations'
                )
        if self.per_keypoint:
            _check_names('keypoints', _keypoint_names(dataset_meta), self.area_ranges)
        self._dataset_meta = dataset_meta
        if self.gt is not None:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # they come with the evaluation
                # What cannot be evaluated is an error now, not after an epoch of training.
                evaluate_coco_keypoints(self._ground_truth({}), [], sigmas=self._sigmas)

    def _load(self, ann_file: str) -> dict[str, Any]:
        """Annotations as ``coco_to_arrays`` has them, and ``crowd_index`` of the images."""
        with get_local_path(ann_file) as path:
            gt = read_json(path)
        try:
            arrays = coco_to_arrays(gt)
            images = coco_entries(gt, 'images')
        except ValueError as error:
            raise ValueError(
                f'{ann_file}: {error}; evaluation needs annotations in COCO format (or say '
                'format_only=True to only write the predictions)'
            ) from error
        arrays['person'] = _person_category(gt.get('categories') or ())
        _warn_about_units(ann_file, arrays['annotations'], images)
        if self.iou_type == 'keypoints_crowd':
            given = [image.get('crowdIndex') for image in coco_entries(gt, 'images')]
            if not all(isinstance(index, (int, float)) for index in given):
                raise ValueError(
                    f"{ann_file} has images without a 'crowdIndex', a number by which "
                    "iou_type='keypoints_crowd' divides them; use iou_type='keypoints'"
                )
            arrays['crowd_index'] = np.array(given, float)
        return arrays

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep what evaluation needs of a batch, as columns.

        Args:
            data_batch: not used.
            data_samples: each with ``id``, ``img_id`` and ``pred_instances``: ``keypoints``
                (N, K, 2), ``keypoint_scores`` (N, K), and possibly ``bboxes`` (N, 4) as corners
                and ``bbox_scores`` (N,). Otherwise box scores are those of ``gt_instances``, where
                top-down models keep the detector's.
        """
        if data_samples:
            self.results.append(join([self._columns(sample) for sample in data_samples]))

    def _columns(self, sample: Mapping[str, Any]) -> Columns:
        columns = sample_columns(sample, self._num_keypoints)
        if self._annotations_come_with_samples:
            crowded = self.iou_type == 'keypoints_crowd'
            annotations = annotations_of_sample(sample, crowded, self._num_keypoints)
            columns.update(_marked(annotations))
        return columns

    def evaluate(self, size: int) -> dict[str, float]:
        """Bring the results of all processes together and evaluate them.

        Args:
            size: not used: what a sampler repeats to pad the last batches is known by its ids.

        Raises:
            ValueError: in all processes, if evaluation fails in the main one.
        """
        nothing, no_annotations = no_columns(self._num_keypoints)
        if self._annotations_come_with_samples:
            nothing.update(_marked(no_annotations))
        parts = gather(join([*self.results, nothing]))
        self.results.clear()
        outcome: list[Any] = [None, None]
        failure = None
        if is_main_process():
            try:
                values = self.compute_metrics(parts)
                outcome[0] = {f'{self.prefix}/{name}': value for name, value in values.items()}
            except Exception as error:  # the others would wait for an answer in vain
                failure, outcome[1] = error, f'evaluation failed in the main process: {error}'
        broadcast_object_list(outcome)
        if failure is not None:
            raise failure
        if outcome[1] is not None:
            raise ValueError(outcome[1])
        return outcome[0]

    def compute_metrics(self, results: list[Columns]) -> dict[str, float]:
        """Evaluate the collected results.

        Args:
            results: what :meth:`process` kept, one for each batch or process.

        Returns:
            Values by stock ``CocoMetric``'s names; none if ``format_only``.
        """
        samples = join(results)
        gt = None if self.format_only else self._ground_truth(samples)
        predictions = self._predictions(samples, 1 if gt is None else _only_category(gt))
        if self.outfile_prefix is not None:
            dump(_as_json(predictions), f'{self.outfile_prefix}.keypoints.json')
        if gt is None:
            return {}
        # Stock drops people of whom not even one keypoint has a score above 0.
        has_keypoints = (predictions['keypoints'][..., 2] > 0).any(axis=-1)
        predictions = take(predictions, np.flatnonzero(has_keypoints))
        values = self._values(gt, predictions)
        if not len(predictions['score']) and not len(gt['annotations']['image_id']):
            return dict.fromkeys(values, 0.0)  # no samples at all
        return values

    def _values(self, gt: Mapping[str, Any], predictions: Columns) -> dict[str, float]:
        options: dict[str, Any] = dict(sigmas=self._sigmas, use_area=self.use_area)
        ranges = {**AREA_RANGES, **self.area_ranges}
        result = evaluate_coco_keypoints(gt, predictions, area_ranges=ranges, **options)
        values = {name: result[key] for name, key in IOU_TYPES[self.iou_type].items()}
        for name in self.area_ranges:
            key = {'all': '', 'medium': 'M', 'large': 'L'}.get(name, f'_{name}')
            values.update({f'{x} ({name})': result[f'{x}{key}'] for x in ('AP', 'AR')})
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # what there is to say of areas has been said
            if self.iou_type == 'keypoints_crowd':
                values.update(_by_crowding(gt, predictions, options))
            if self.per_keypoint:
                values['OKS'] = result['OKS']
                values.update(self._each_keypoint(gt, predictions, options))
        return values

    def _each_keypoint(
        self, gt: Mapping[str, Any], predictions: Columns, options: Mapping[str, Any]
    ) -> dict[str, float]:
        values = evaluate_each_keypoint(gt, predictions, **options)
        return {
            f'{name} ({keypoint})': float(values[name][k])
            for k, keypoint in enumerate(_keypoint_names(self.dataset_meta or {}))
            for name in ('AP', 'AR', 'OKS')
        }

    @property
    def _annotations_come_with_samples(self) -> bool:
        return self.gt is None and not self.format_only

    @property
    def _num_keypoints(self) -> int:
        return len(self._sigmas)

    @property
    def _sigmas(self) -> np.ndarray:
        if self.dataset_meta is None:
            raise ValueError('dataset_meta is not set; it says which `sigmas` the keypoints have')
        return np.asarray(self.dataset_meta['sigmas'])

    def _ground_truth(self, samples: Columns) -> dict[str, Any]:
        """Annotations as arrays, in which an area of 0 or less is as good as none."""
        gt = self.gt
        if gt is None:
            gt = _annotations(samples)
            _warn_about_units('the annotations that come with the samples', gt['annotations'])
        area = gt['annotations']['area']
        annotations = dict(gt['annotations'], area=np.where(area <= 0, np.nan, area))
        if self.iou_type == 'keypoints':
            del annotations['num_keypoints']  # labelled keypoints are counted, as stock does
        return dict(gt, annotations=annotations)

    def _predictions(self, samples: Columns, default_category: Any) -> Columns:
        """Rank and suppress, and lay out as the columns that ``evaluate_coco_keypoints`` reads."""
        image = ranks(samples['image_id'])
        # In the order of their ids, so that batches and processes do not change which of two
        # equal scores comes first. A sampler that pads repeats samples: each counts once.
        chosen = once(image, ranks(samples['id']))
        people = samples['people']
        rows = spans((np.cumsum(people) - people)[chosen], people[chosen])
        sample = np.repeat(chosen, people[chosen])

        keypoints, keypoint_scores = samples['keypoints'][rows], samples['keypoint_scores'][rows]
        score_mode = SCORE_MODES[self.score_mode]
        scores = score_mode(samples['bbox_scores'][rows], keypoint_scores, self.keypoint_score_thr)
        keypoints = np.concatenate([keypoints, keypoint_scores[..., None]], axis=-1)
        areas = samples['areas'][rows]
        check_finite(samples['image_id'][sample], keypoints, scores, areas)

        nms = NMS_MODES[self.nms_mode]
        arguments = scores, areas, self.nms_thr, self._sigmas
        kept = nms(keypoints[..., :2], *arguments, images=image[sample])
        columns = dict(
            image_id=samples['image_id'][sample[kept]],
            category_id=_filled(samples['category_id'][sample[kept]], default_category),
            keypoints=keypoints[kept].astype(np.float64),
            score=scores[kept].astype(np.float64),
        )
        if len(samples['bbox']) == len(samples['keypoints']):  # every sample has boxes
            columns['bbox'] = samples['bbox'][rows[kept]].astype(np.float64)
        _warn_about_units('the predictions', columns)
        return columns


def _area_range(name: str, limits: Sequence[float]) -> tuple[float, float]:
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ValueError(
            f'area_ranges[{name!r}] of OKSMetric must be the lowest and highest area, not {limits}'
        )
    return limits[0], limits[1]


def _keypoint_names(dataset_meta: Mapping[str, Any]) -> list[str]:
    """(K,); a keypoint without a name goes by its number."""
    names = dataset_meta.get('keypoint_id2name', {})
    return [str(names.get(k, k)) for k in range(dataset_meta['num_keypoints'])]


def _check_names(what: str, names: Iterable[str], others: Iterable[str]) -> None:
    """Raise a ValueError if ``AP (name)`` would be the name of two values."""
    taken = {name for name in KEYPOINTS if '(' in name} | {f'AP ({name})' for name in others}
    for name in names:
        if f'AP ({name})' in taken:
            raise ValueError(
                f'{what}: {name!r} is taken, as `AP ({name})` already is the name of a value; '
                'use another name'
            )
        taken.add(f'AP ({name})')


def _marked(annotations: Columns) -> Columns:
    """Columns of annotations by names that differ from those of predictions."""
    return {f'gt_{name}': column for name, column in annotations.items()}


def _annotations(samples: Columns) -> dict[str, Any]:
    """Annotations that came with the samples, sorted by id and each once, however batched."""
    marked = [name for name in samples if name.startswith('gt_')]
    table = {name.removeprefix('gt_'): samples[name] for name in marked}
    crowd_index = table.pop('crowd_index')
    images = once(ranks(samples['image_id']))
    return dict(
        images=samples['image_id'][images],
        categories=table['category_id'],
        annotations=take(table, once(ranks(table['image_id']), ranks(table['id']))),
        crowd_index=crowd_index[images],
    )


def _by_crowding(
    gt: Mapping[str, Any], predictions: Columns, options: Mapping[str, Any]
) -> dict[str, float]:
    """AP of images that are little, fairly and very crowded."""
    images = Ids(gt['images'])
    crowding = np.full(len(images) + 1, np.nan)  # the last for annotations of no listed image
    crowding[images.number(gt['images'])] = gt['crowd_index']
    annotated = crowding[images.number(gt['annotations']['image_id'])]
    found = crowding[images.number(predictions['image_id'])]
    values = {}
    for name, (low, high) in CROWDING.items():
        some = dict(
            gt, annotations=take(gt['annotations'], (low <= annotated) & (annotated < high))
        )
        theirs = take(predictions, (low <= found) & (found < high))
        values[name] = evaluate_coco_keypoints(some, theirs, **options)['AP']
    return values


def _only_category(gt: Mapping[str, Any]) -> Any:
    """The category of people found in detected boxes, which come without one."""
    ids = {*gt['categories'].tolist()}
    return ids.pop() if len(ids) == 1 else gt.get('person', 1)


def _person_category(categories: Sequence[Any]) -> Any:
    """The category that is called person, or else 1, as MMPose takes it."""
    named = [c for c in categories if isinstance(c, Mapping) and 'id' in c]
    persons = [as_id(c['id']) for c in named if str(c.get('name')).lower() == 'person']
    return persons[0] if len(persons) == 1 else 1


def _warn_about_units(
    what: str, table: Mapping[str, np.ndarray], images: Sequence[Any] = ()
) -> None:
    """Warn of boxes and keypoints that are not in pixels: they match nothing, or anything."""
    keypoints, boxes = table['keypoints'], table.get('bbox')
    sizes = np.full((len(keypoints), 2), np.nan)
    if len(images):
        known = {as_id(i['id']): _size(i) for i in images if isinstance(i, Mapping)}
        unknown = (np.nan, np.nan)
        ids = table['image_id'].tolist()
        sizes = np.array([known.get(i, unknown) for i in ids], np.float64).reshape(-1, 2)
    problems = [] if boxes is None else box_problems(boxes, sizes)
    for problem in [*problems, *keypoint_problems(keypoints, sizes)]:
        warnings.warn(
            f'{what}: {problem.message}: {len(problem.rows)} of {len(keypoints)}', stacklevel=4
        )


def _size(image: Mapping[str, Any]) -> tuple[float, float]:
    width, height = image.get('width'), image.get('height')
    if isinstance(width, (int, float)) and isinstance(height, (int, float)):
        return (width, height) if width > 0 and height > 0 else (np.nan, np.nan)
    return np.nan, np.nan


def _filled(categories: np.ndarray, default: Any) -> np.ndarray:
    if categories.dtype != object:
        return categories
    return np.array([default if c is None else c for c in categories])


def _as_json(predictions: Columns) -> list[dict[str, Any]]:
    """COCO's result format."""
    columns = {name: column.tolist() for name, column in predictions.items()}
    columns['keypoints'] = [keypoints.ravel().tolist() for keypoints in predictions['keypoints']]
    return [dict(zip(columns, row)) for row in zip(*columns.values())]
