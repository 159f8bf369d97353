"""COCO keypoint AP and AR through MMEngine's metric interface."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump, load
from mmengine.logging import MessageHub

from ..errors import unknown_name
from ..functional.coco_eval import as_id, check_finite, evaluate_coco_keypoints, id_order
from ..functional.oks import oks_nms, soft_oks_nms
from ..registry import METRICS

# Stock CocoMetric's names, which configs refer to (save_best='coco/AP').
METRIC_NAMES = {
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


def _score_bbox(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return box


def _score_keypoint(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return keypoint.mean(axis=-1)


def _score_bbox_keypoint(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    """The box's score times the mean of the keypoint scores above the threshold."""
    good = keypoint > threshold
    # cumsum adds one by one, and so rounds as stock's loop does; sum adds in blocks.
    total = np.cumsum(np.where(good, keypoint, 0), axis=-1, dtype=keypoint.dtype)[:, -1]
    return box * (total / np.maximum(1, good.sum(axis=-1)).astype(keypoint.dtype))


def _score_bbox_rle(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return (box + keypoint.mean(axis=-1) + keypoint.max(axis=-1)).astype(np.float64)


# (box scores (N,), keypoint scores (N, K), keypoint_score_thr) -> scores (N,)
SCORE_MODES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    'bbox': _score_bbox,
    'bbox_keypoint': _score_bbox_keypoint,
    'bbox_rle': _score_bbox_rle,
    'keypoint': _score_keypoint,
}


def _keep_all(keypoints: np.ndarray, *_: Any) -> np.ndarray:
    return np.arange(len(keypoints))


# (keypoints (N, K, 2), scores (N,), areas (N,), nms_thr, sigmas (K,)) -> kept indices
NMS_MODES: dict[str, Callable[..., np.ndarray]] = {
    'oks_nms': oks_nms,
    'soft_oks_nms': soft_oks_nms,
    'none': _keep_all,
}


@METRICS.register_module()
class OKSMetric(BaseMetric):
    """AP and AR of keypoints, with the numbers and names of stock ``CocoMetric``.

    The number of keypoints and their sigmas come from the data set's metainfo.

    Args:
        ann_file: annotations in COCO format. If not given, those that MMPose's test data set
            announces are taken, and if it announces none, those that come with the samples
            (``raw_ann_info``).
        use_area: whether to believe the annotated areas, or to take 0.53 of the boxes. The latter
            is also done, with a warning, for a person whose annotation has no area or one of 0.
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
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several processes come together.
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
        score_mode: str = 'bbox_keypoint',
        keypoint_score_thr: float = 0.2,
        nms_mode: str = 'oks_nms',
        nms_thr: float = 0.9,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if score_mode not in SCORE_MODES:
            raise ValueError(unknown_name('score_mode of OKSMetric', score_mode, SCORE_MODES))
        if nms_mode not in NMS_MODES:
            raise ValueError(unknown_name('nms_mode of OKSMetric', nms_mode, NMS_MODES))
        if format_only and outfile_prefix is None:
            raise ValueError('format_only=True needs an outfile_prefix to write the results to')
        self.use_area = use_area
        self.score_mode = score_mode
        self.keypoint_score_thr = keypoint_score_thr
        self.nms_mode = nms_mode
        self.nms_thr = nms_thr
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.gt = None if ann_file is None or format_only else _load_annotations(ann_file)

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the data set, of which ``num_keypoints`` and ``sigmas`` are used."""
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
            self.gt = None if ann_file is None else _load_annotations(ann_file)
        for ann in [] if self.gt is None else self.gt['annotations']:
            if len(ann.get('keypoints', ())) != 3 * count:
                raise ValueError(
                    f'annotation {ann.get("id")!r} has {len(ann.get("keypoints", ())) / 3:g} '
                    f"keypoints, but the data set's metainfo has {count}; use the metainfo that "
                    'belongs to the annotations'
                )
        self._dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what evaluation needs of a batch.

        Args:
            data_batch: not used.
            data_samples: each with ``id``, ``img_id`` and ``pred_instances``: ``keypoints``
                (N, K, 2), ``keypoint_scores`` (N, K), and possibly ``bboxes`` (N, 4) as corners
                and ``bbox_scores`` (N,). Otherwise box scores are those of ``gt_instances``, where
                top-down models keep the detector's.
        """
        for sample in data_samples:
            self.results.append(self._result(sample))

    def _result(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        if 'pred_instances' not in sample:
            raise ValueError('a data sample has no `pred_instances`; predict before evaluating')
        pred, gt = sample['pred_instances'], sample.get('gt_instances', {})
        keypoints, scores = _numpy(pred['keypoints']), _numpy(pred['keypoint_scores'])
        people = len(keypoints)
        count = scores.shape[1] if self.dataset_meta is None else self._num_keypoints
        if people and (keypoints.shape[1:] != (count, 2) or scores.shape != (people, count)):
            raise ValueError(
                f'predicted keypoints and scores have shapes {keypoints.shape} and '
                f"{scores.shape}; expected (N, {count}, 2) and (N, {count}), as the data set's "
                f'metainfo has {count} keypoints'
            )

        # Boxes of annotations belong to the predictions only if they are as many.
        def of_boxes(name: str) -> np.ndarray | None:
            return _numpy(gt[name]) if name in gt and len(gt[name]) == people else None

        box_scores = _numpy(pred['bbox_scores']) if 'bbox_scores' in pred else None
        box_scores = of_boxes('bbox_scores') if box_scores is None else box_scores
        scales = of_boxes('bbox_scales')
        result = dict(
            id=sample['id'],
            img_id=sample['img_id'],
            category_id=sample.get('category_id'),
            keypoints=keypoints,
            keypoint_scores=scores,
            bbox_scores=np.ones(people) if box_scores is None else box_scores,
            areas=_extent(keypoints) if scales is None else np.prod(scales, axis=1),
            bbox=_as_xywh(_numpy(pred['bboxes'])) if 'bboxes' in pred else None,
        )
        if self.gt is None and not self.format_only:
            result['annotations'] = _annotations(sample)
        return result

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the collected results.

        Args:
            results: what :meth:`process` kept, of all batches and processes.

        Returns:
            Values by stock ``CocoMetric``'s names; none if ``format_only``.
        """
        # In the order of their ids, so that batches and processes do not change which of two
        # equal scores comes first. A sampler that pads repeats samples: each counts once.
        unique = {(_key(r['img_id']), _key(r['id'])): r for r in reversed(results)}
        samples = [unique[key] for key in sorted(unique, key=lambda k: tuple(map(_order, k)))]
        gt = self._ground_truth(samples)
        predictions = self._predictions([s for s in samples if len(s['keypoints'])], gt)
        if self.outfile_prefix is not None:
            dump(_as_json(predictions), f'{self.outfile_prefix}.keypoints.json')
        if self.format_only:
            return {}
        predictions = _has_keypoints(predictions)
        if not len(predictions['score']):
            warnings.warn('there are no predictions, so AP and AR are 0', stacklevel=2)
            if not gt['annotations']:
                return dict.fromkeys(METRIC_NAMES, 0.0)
        values = evaluate_coco_keypoints(
            gt, predictions, sigmas=self._sigmas, use_area=self.use_area
        )
        return {name: values[key] for name, key in METRIC_NAMES.items()}

    @property
    def _num_keypoints(self) -> int:
        return len(self._sigmas)

    @property
    def _sigmas(self) -> np.ndarray:
        if self.dataset_meta is None:
            raise ValueError('dataset_meta is not set; it says which `sigmas` the keypoints have')
        return np.asarray(self.dataset_meta['sigmas'])

    def _ground_truth(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Annotations in COCO format, in which a missing or zero area is left out."""
        if self.gt is not None:
            images, anns = self.gt['images'], self.gt['annotations']
            categories = self.gt.get('categories')
        else:
            images = [dict(id=image) for image in {_key(s['img_id']) for s in samples}]
            by_id = {_key(a['id']): a for s in samples for a in s.get('annotations', ())}
            anns, categories = list(by_id.values()), None
        # Labelled keypoints are then counted, as stock does, and not read from `num_keypoints`.
        anns = [
            {k: v for k, v in a.items() if k != 'num_keypoints' and (k != 'area' or v)}
            for a in anns
        ]
        return dict(images=images, annotations=anns, categories=categories)

    def _predictions(
        self, samples: Sequence[Mapping[str, Any]], gt: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Rank and suppress, and lay out as the columns that ``evaluate_coco_keypoints`` reads."""
        count = self._num_keypoints
        if not samples:
            empty = np.zeros((0, count, 3))
            return dict(image_id=[], category_id=[], keypoints=empty, score=empty[:, 0, 0])

        def column(name: str) -> np.ndarray:
            return np.concatenate([s[name] for s in samples])

        people = [len(s['keypoints']) for s in samples]
        sample_of = np.repeat(np.arange(len(samples)), people)
        image_ids = [samples[n]['img_id'] for n in sample_of]
        keypoints, keypoint_scores = column('keypoints'), column('keypoint_scores')
        keypoints = np.concatenate([keypoints, keypoint_scores[..., None]], axis=-1)
        score_mode = SCORE_MODES[self.score_mode]
        scores = score_mode(column('bbox_scores'), keypoint_scores, self.keypoint_score_thr)
        check_finite(image_ids, keypoints, scores)

        images = [_key(i) for i in image_ids]
        kept = self._suppress(images, keypoints[..., :2], scores, column('areas'))
        default = _only_category(gt)
        columns = dict(
            image_id=[image_ids[n] for n in kept],
            category_id=[_category(samples[sample_of[n]], default) for n in kept],
            keypoints=keypoints[kept].astype(np.float64),
            score=scores[kept].astype(np.float64),
        )
        if all(s['bbox'] is not None for s in samples):
            columns['bbox'] = column('bbox')[kept].astype(np.float64)
        return columns

    def _suppress(
        self, images: list, keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray
    ) -> np.ndarray:
        """Suppress within each image, whose people are next to each other; indices of the kept."""
        nms = NMS_MODES[self.nms_mode]
        starts = [n for n, image in enumerate(images) if n == 0 or image != images[n - 1]]
        kept = []
        for start, end in zip(starts, [*starts[1:], len(images)]):
            people = slice(start, end)
            chosen = nms(
                keypoints[people], scores[people], areas[people], self.nms_thr, self._sigmas
            )
            kept.append(start + chosen)
        return np.concatenate(kept)


def _load_annotations(ann_file: str) -> dict[str, Any]:
    gt = load(ann_file, file_format='json')
    for name in ('images', 'annotations'):
        if name not in gt:
            raise ValueError(
                f'{ann_file} has no {name!r}; evaluation needs annotations in COCO format '
                '(or say format_only=True to only write the predictions)'
            )
    # Segmentations are most of the file, and not read.
    anns = [{k: v for k, v in a.items() if k != 'segmentation'} for a in gt['annotations']]
    return dict(images=gt['images'], annotations=anns, categories=gt.get('categories'))


def _annotations(sample: Mapping[str, Any]) -> list[dict]:
    if 'raw_ann_info' not in sample:
        raise ValueError(
            'there is nothing to evaluate against: give OKSMetric an `ann_file`, or put '
            '`raw_ann_info` into the data samples'
        )
    anns = sample['raw_ann_info']
    anns = anns if isinstance(anns, (list, tuple)) else [anns]  # bottom-up samples have several
    return [
        {k: v for k, v in ann.items() if k != 'segmentation'} for ann in anns if ann is not None
    ]


def _numpy(values: Any) -> np.ndarray:
    return (
        values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    )


def _as_xywh(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1)


def _extent(keypoints: np.ndarray) -> np.ndarray:
    """Area of the smallest box around each person's keypoints: (N,)."""
    return np.prod(np.ptp(keypoints, axis=1), axis=-1) if len(keypoints) else np.zeros(0)


def _key(value: Any) -> Any:
    """An id that can be compared; a sample of several people has several."""
    value = value.tolist() if hasattr(value, 'tolist') else value
    return tuple(map(as_id, value)) if isinstance(value, (list, tuple)) else as_id(value)


def _order(key: Any) -> tuple:
    return tuple(map(id_order, key)) if isinstance(key, tuple) else id_order(key)


def _only_category(gt: Mapping[str, Any]) -> Any:
    """The category of people found in detected boxes, which come without one."""
    ids = {c['id'] for c in gt['categories'] or ()} or {
        a['category_id'] for a in gt['annotations']
    }
    return ids.pop() if len(ids) == 1 else 1


def _category(sample: Mapping[str, Any], default: Any) -> Any:
    values = np.ravel(default if sample['category_id'] is None else sample['category_id'])
    return values[0].item() if len(values) else default


def _has_keypoints(predictions: Mapping[str, Any]) -> dict[str, Any]:
    """Drop, as stock does, people of whom not even one keypoint has a score above 0."""
    rows = np.flatnonzero((predictions['keypoints'][..., 2] > 0).any(axis=-1))
    return {
        name: values[rows] if isinstance(values, np.ndarray) else [values[n] for n in rows]
        for name, values in predictions.items()
    }


def _as_json(predictions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """COCO's result format."""
    columns = {name: _plain(values) for name, values in predictions.items()}
    columns['keypoints'] = [np.ravel(k).tolist() for k in predictions['keypoints']]
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _plain(values: Any) -> list:
    if isinstance(values, np.ndarray):
        return values.tolist()
    return [v.item() if hasattr(v, 'item') else v for v in values]
