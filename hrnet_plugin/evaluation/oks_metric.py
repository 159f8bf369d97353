"""COCO keypoint AP and AR through MMEngine's metric interface.

    data samples -> collect -> gather -> predictions: score and suppress \\
    annotation file, or annotations of the samples -> reference           -> evaluate -> values
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump
from mmengine.logging import MessageHub

from ..functional.coco.arrays import check_finite
from ..functional.coco.evaluate import AREA_RANGES, evaluate_coco_keypoints, evaluate_each_keypoint
from ..functional.coco.nms import oks_nms, soft_oks_nms
from ..functional.coco.numeric import spans
from ..functional.coco.scoring import KEYPOINT_SCORE_THRESHOLD, SCORE_MODES, score_instances
from ..registry import METRICS, strict_options
from ..utils.errors import unknown_name
from .collect import Collected, collect, gather_collected, join
from .gather import Table, dense_rank, take_rows, unique_rows
from .pages import check_report, write_report
from .reference import (
    Reference,
    reference_from_file,
    reference_from_samples,
    warn_about_units,
)

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

# Crowd index of an image (Li et al., "CrowdPose", equation 2): from, and below
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
    """Compute AP and AR of keypoints, with the numbers and names of stock ``CocoMetric``.

    The number of keypoints, their sigmas and their names come from the dataset's metainfo.

    Args:
        ann_file: Path of annotations in COCO format. By default, those that MMPose's test dataset
            announces are taken, or if it announces none, those that come with the samples
            (``raw_ann_info``).
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes. An instance
            whose annotation has no area above 0 always gets the latter, with a warning.
        iou_type: ``'keypoints'``, or ``'keypoints_crowd'`` for AP by how crowded an image is, as
            CrowdPose's images say (``crowdIndex``): easy below 0.2, hard from 0.8 on.
        score_mode: Score that ranks the predictions: the score of the box (``'bbox'``), that times
            the mean of the keypoint scores above the threshold (``'bbox_keypoint'``), the sum of
            the box's score and the keypoints' mean and highest score (``'bbox_rle'``), or the mean
            of the keypoint scores (``'keypoint'``).
        keypoint_score_thr: Threshold of ``'bbox_keypoint'``.
        nms_mode: Suppression of repeated detections: ``'oks_nms'``, ``'soft_oks_nms'`` or
            ``'none'``.
        nms_thr: OKS above which a detection is suppressed, or the width of the soft decay.
        format_only: Whether to only write the predictions, and evaluate nothing.
        outfile_prefix: Prefix of the file ``{outfile_prefix}.keypoints.json`` to which predictions
            are written. By default, they are not written.
        per_keypoint: Whether to add ``AP (name)`` and ``AR (name)`` of each keypoint, as if there
            were no other, and its mean similarity where its instance is matched at an OKS of 0.5:
            ``OKS (name)``, and ``OKS`` of all together.
        area_ranges: Name -> lowest and highest area, in square pixels, of which to add
            ``AP (name)`` and ``AR (name)``.
        report_dir: Folder to which ``report.html``, a page about errors of the predictions, and
            ``report.json`` are written at each evaluation; see :mod:`hrnet_plugin.report`. By
            default, they are not written.
        report_images: Folder of the images that the page shows, by the file names of the
            annotations. By default, images are read where the test dataset has read them; False
            for a page without images.
        collect_device: For stock configs, which name it; not used. Results of several processes
            come together through the process group, on the device that its backend needs.
        prefix: Prefix of the metric names, instead of ``'coco'``.

    Raises:
        ValueError: An argument is none of the above; annotations, predictions and sigmas differ in
            the number of keypoints; or predictions are of other images than the annotations.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        use_area: bool = True,
        iou_type: str = 'keypoints',
        score_mode: str = 'bbox_keypoint',
        keypoint_score_thr: float = KEYPOINT_SCORE_THRESHOLD,
        nms_mode: str = 'oks_nms',
        nms_thr: float = 0.9,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        per_keypoint: bool = False,
        area_ranges: Mapping[str, Sequence[float]] | None = None,
        report_dir: str | None = None,
        report_images: str | bool = True,
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
        if report_dir is not None:
            check_report(report_images, format_only)
        self.per_keypoint = per_keypoint
        self.report_dir = report_dir
        self.report_images = report_images
        self.area_ranges = {n: _area_range(n, limits) for n, limits in (area_ranges or {}).items()}
        _check_names('area_ranges of OKSMetric', self.area_ranges, ())
        # None where annotations come with the samples, or are not needed
        self.reference: Reference | None = None
        if ann_file is not None and not format_only:
            self.reference = reference_from_file(ann_file, self._is_crowded)

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the dataset, with ``num_keypoints``, ``sigmas`` and names of keypoints.

        MMEngine sets it before a run, which calls :meth:`prepare`.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.prepare(dataset_meta)

    def prepare(self, dataset_meta: dict) -> None:
        """Take the dataset's metainfo, and check that annotations can be evaluated with it.

        Without ``ann_file``, this reads the annotations that MMPose's test dataset announces. What
        cannot be evaluated is an error now, not after an epoch of training.

        Args:
            dataset_meta: Metainfo with ``num_keypoints`` and ``sigmas``.

        Raises:
            ValueError: The metainfo is incomplete, or does not belong to the annotations.
        """
        _check_metainfo(dataset_meta)
        if self.per_keypoint:
            _check_names('keypoints', _keypoint_names(dataset_meta), self.area_ranges)
        if self.reference is None and not self.format_only:
            self.reference = self._announced_reference(dataset_meta)
        if self.reference is not None:
            _check_reference(self.reference, dataset_meta)
        self._dataset_meta = dataset_meta

    def _announced_reference(self, dataset_meta: Mapping[str, Any]) -> Reference | None:
        """Read the annotations that MMPose's test dataset announces, if it does."""
        announced = f'{dataset_meta.get("dataset_name")}_ann_file'
        ann_file = MessageHub.get_current_instance().get_info(announced, None)
        return None if ann_file is None else reference_from_file(ann_file, self._is_crowded)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Collect what evaluation needs of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``id``, ``img_id`` and ``pred_instances``: ``keypoints``
                (N, K, 2), ``keypoint_scores`` (N, K), and possibly ``bboxes`` (N, 4) as corners
                and ``bbox_scores`` (N,). Otherwise box scores are those of ``gt_instances``, where
                top-down models keep the detector's.
        """
        if data_samples:
            self.results.append(self._collect(data_samples))

    def _collect(self, data_samples: Sequence[Mapping[str, Any]]) -> Collected:
        with_annotations = self.reference is None and not self.format_only
        return collect(
            data_samples,
            len(self._sigmas),
            with_annotations,
            self._is_crowded,
            with_paths=self.report_dir is not None,
        )

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the results of all processes, and evaluate them.

        Args:
            size: Not used: samples that a sampler repeats to pad the last batches are known by
                their ids.

        Returns:
            Values by stock ``CocoMetric``'s names, the same in all processes.

        Raises:
            ValueError: In all processes, if evaluation fails in the main one.
        """
        parts = gather_collected(join([*self.results, self._collect([])]))
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

    def compute_metrics(self, results: list[Collected]) -> dict[str, float]:
        """Evaluate the collected results.

        Args:
            results: What :meth:`process` collected, one for each batch or process.

        Returns:
            Values by stock ``CocoMetric``'s names; none if ``format_only``.
        """
        collected = join(results)
        reference = self.reference
        if reference is None and not self.format_only:
            reference = reference_from_samples(collected, self._is_crowded)
        category = 1 if reference is None else reference.default_category
        predictions = self._predictions(collected, category)
        if self.outfile_prefix is not None:
            dump(_as_json(predictions), f'{self.outfile_prefix}.keypoints.json')
        if reference is None:
            return {}
        # Stock drops instances in which no keypoint has a score above 0.
        has_keypoints: np.ndarray = np.any(predictions['keypoints'][..., 2] > 0, axis=-1)
        predictions = take_rows(predictions, has_keypoints)
        values = self._values(reference, predictions)
        if self.report_dir is not None:
            write_report(
                self.report_dir,
                reference,
                predictions,
                self.dataset_meta or {},
                self.report_images,
                collected.samples,
                self.use_area,
            )
        if not len(predictions['score']) and not len(reference.annotations.id):
            return dict.fromkeys(values, 0.0)  # no samples at all
        return values

    def _values(self, reference: Reference, predictions: Table) -> dict[str, float]:
        options: dict[str, Any] = dict(sigmas=self._sigmas, use_area=self.use_area)
        annotations = reference.annotations
        ranges = {**AREA_RANGES, **self.area_ranges}
        result = evaluate_coco_keypoints(annotations, predictions, area_ranges=ranges, **options)
        values = {name: result[key] for name, key in IOU_TYPES[self.iou_type].items()}
        for name in self.area_ranges:
            values[f'AP ({name})'] = result.ap_by_area[name]
            values[f'AR ({name})'] = result.ar_by_area[name]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the first evaluation has warned of areas
            if self._is_crowded:
                values.update(_by_crowding(reference, predictions, options))
            if self.per_keypoint:
                each = evaluate_each_keypoint(annotations, predictions, **options)
                values['OKS'] = result.oks
                values.update(
                    {
                        f'{name} ({keypoint})': float(each[name][k])
                        for k, keypoint in enumerate(_keypoint_names(self.dataset_meta or {}))
                        for name in ('AP', 'AR', 'OKS')
                    }
                )
        return values

    @property
    def _is_crowded(self) -> bool:
        return self.iou_type == 'keypoints_crowd'

    @property
    def _sigmas(self) -> np.ndarray:
        if self.dataset_meta is None:
            raise ValueError(
                'dataset_meta is not set, which has the `sigmas` of the keypoints; set it before '
                'processing samples'
            )
        return np.asarray(self.dataset_meta['sigmas'])

    def _predictions(self, collected: Collected, default_category: Any) -> Table:
        """Score and suppress instances; return columns that ``evaluate_coco_keypoints`` reads."""
        samples = collected.samples
        image = dense_rank(samples['image_id'])
        # In the order of their ids, so that batches and processes do not change which of two
        # equal scores comes first. A sampler that pads repeats samples: each counts once.
        chosen = unique_rows(image, dense_rank(samples['id']))
        counts = samples['num_instances']
        rows = spans((np.cumsum(counts) - counts)[chosen], counts[chosen])
        sample = np.repeat(chosen, counts[chosen])

        instances = take_rows(collected.instances, rows)
        keypoint_scores = instances['keypoint_scores']
        scores = score_instances(
            self.score_mode, instances['bbox_scores'], keypoint_scores, self.keypoint_score_thr
        )
        keypoints = np.concatenate([instances['keypoints'], keypoint_scores[..., None]], axis=-1)
        areas = instances['areas']
        check_finite(samples['image_id'][sample], keypoints, scores, areas)

        nms = NMS_MODES[self.nms_mode]
        arguments = scores, areas, self.nms_thr, self._sigmas
        kept = nms(keypoints[..., :2], *arguments, images=image[sample])
        predictions = dict(
            image_id=samples['image_id'][sample[kept]],
            category_id=_filled(samples['category_id'][sample[kept]], default_category),
            keypoints=keypoints[kept].astype(np.float64),
            score=scores[kept].astype(np.float64),
        )
        if samples['has_boxes'].all():
            predictions['bbox'] = instances['bbox'][kept].astype(np.float64)
        warn_about_units('the predictions', predictions)
        return predictions


def _check_metainfo(dataset_meta: Mapping[str, Any]) -> None:
    count, sigmas = dataset_meta.get('num_keypoints'), dataset_meta.get('sigmas')
    if sigmas is None or count is None:
        raise ValueError("the dataset's metainfo needs `num_keypoints` and `sigmas`")
    if len(sigmas) != count:
        raise ValueError(
            f"the dataset's metainfo has {count} keypoints but {len(sigmas)} sigmas; give one "
            'sigma for each keypoint'
        )


def _check_reference(reference: Reference, dataset_meta: Mapping[str, Any]) -> None:
    """Raise a ValueError if annotations cannot be evaluated with the dataset's metainfo."""
    annotated, count = reference.num_keypoints, dataset_meta['num_keypoints']
    if annotated not in (None, count):
        raise ValueError(
            f"the annotations have {annotated} keypoints, but the dataset's metainfo has {count}; "
            'use the metainfo that belongs to the annotations'
        )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # they come with the evaluation
        evaluate_coco_keypoints(
            reference.annotations, [], sigmas=np.asarray(dataset_meta['sigmas'])
        )


def _area_range(name: str, limits: Sequence[float]) -> tuple[float, float]:
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ValueError(
            f'area_ranges[{name!r}] of OKSMetric must be the lowest and highest area, not {limits}'
        )
    return limits[0], limits[1]


def _keypoint_names(dataset_meta: Mapping[str, Any]) -> list[str]:
    """Return the names of keypoints; one without a name goes by its number."""
    names = dataset_meta.get('keypoint_id2name', {})
    return [str(names.get(k, k)) for k in range(dataset_meta['num_keypoints'])]


def _check_names(what: str, names: Iterable[str], others: Iterable[str]) -> None:
    """Raise a ValueError if two values would be called ``AP (name)``."""
    taken = {name for name in KEYPOINTS if '(' in name} | {f'AP ({name})' for name in others}
    for name in names:
        if f'AP ({name})' in taken:
            raise ValueError(
                f'{what}: {name!r} is taken, as `AP ({name})` already is the name of a value; '
                'use another name'
            )
        taken.add(f'AP ({name})')


def _by_crowding(
    reference: Reference, predictions: Table, options: Mapping[str, Any]
) -> dict[str, float]:
    """Compute the AP of images that are little, moderately and very crowded."""
    annotated = reference.crowding(reference.annotations.image_id)
    predicted = reference.crowding(predictions['image_id'])
    values = {}
    for name, (low, high) in CROWDING.items():
        annotations = reference.annotations.take((low <= annotated) & (annotated < high))
        some = take_rows(predictions, (low <= predicted) & (predicted < high))
        values[name] = evaluate_coco_keypoints(annotations, some, **options).ap
    return values


def _filled(categories: np.ndarray, default: Any) -> np.ndarray:
    if categories.dtype != object:
        return categories
    return np.array([default if c is None else c for c in categories])


def _as_json(predictions: Table) -> list[dict[str, Any]]:
    """Convert predictions to COCO's result format."""
    columns = {name: column.tolist() for name, column in predictions.items()}
    columns['keypoints'] = [keypoints.ravel().tolist() for keypoints in predictions['keypoints']]
    return [dict(zip(columns, row)) for row in zip(*columns.values())]
