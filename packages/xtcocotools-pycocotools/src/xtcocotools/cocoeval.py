"""``COCOeval``: COCO's evaluation for any keypoints, over pycocotools' matching and averaging."""

import contextlib
import copy
import io
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval as _COCOeval
from pycocotools.cocoeval import Params as _Params

__all__ = ['COCOeval', 'NullWriter', 'Params']

# Which keypoints of COCO-WholeBody an evaluation is of; any other is of 'keypoints'.
PARTS = {
    'keypoints_foot': ('foot_kpts',),
    'keypoints_face': ('face_kpts',),
    'keypoints_lefthand': ('lefthand_kpts',),
    'keypoints_righthand': ('righthand_kpts',),
    'keypoints_wholebody': (
        'keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts',
    ),
}  # fmt: skip
OF_KEYPOINTS = ('keypoints', 'keypoints_body', 'keypoints_crowd')

# What `summarize` reports: which average, IoU threshold (None: the mean of all), area range.
DETECTION_STATS = [
    ('AP', None, 'all'), ('AP', 0.5, 'all'), ('AP', 0.75, 'all'),
    ('AP', None, 'small'), ('AP', None, 'medium'), ('AP', None, 'large'),
    ('AR', None, 'all'), ('AR', None, 'all'), ('AR', None, 'all'),
    ('AR', None, 'small'), ('AR', None, 'medium'), ('AR', None, 'large'),
]  # fmt: skip
CROWD_STATS = [(name, iou, 'all') for name in ('AP', 'AR') for iou in (None, 0.5, 0.75)]
KEYPOINT_STATS = [
    (name, iou, area)
    for name in ('AP', 'AR')
    for iou, area in (
        (None, 'all'), (0.5, 'all'), (0.75, 'all'), (None, 'medium'), (None, 'large'),
    )
]  # fmt: skip


class NullWriter:
    """A stream that drops what is written to it."""

    def write(self, arg: str) -> None:
        pass

    def flush(self) -> None:
        pass


class Params(_Params):
    """Parameters of an evaluation: see pycocotools.

    Args:
        iouType: 'segm', 'bbox', or a name with 'keypoints' in it.

    Raises:
        ValueError: It is none of these.
    """

    def __init__(self, iouType: str = 'segm') -> None:
        if iouType not in ('segm', 'bbox') and 'keypoints' not in str(iouType):
            known = ', '.join(map(repr, ('segm', 'bbox', *OF_KEYPOINTS, *PARTS)))
            raise ValueError(f'iouType {iouType!r} is not supported; choose one of {known}')
        super().__init__('keypoints' if 'keypoints' in iouType else iouType)
        self.iouType = iouType


class COCOeval(_COCOeval):
    """Evaluation of instances by box, mask or object keypoint similarity (OKS).

    Args:
        cocoGt: The annotations.
        cocoDt: The predictions: what ``cocoGt.loadRes`` returned.
        iouType: 'bbox', 'segm', 'keypoints' (of any count, with ``sigmas``), 'keypoints_crowd'
            (CrowdPose's average precision by crowding, too), or a part of COCO-WholeBody:
            'keypoints_body', '..._foot', '..._face', '..._lefthand', '..._righthand',
            '..._wholebody'. A part is ranked by a score of its own, such as ``foot_score``,
            where the predictions have one, otherwise by ``score``.
        sigmas: Standard deviation of each keypoint, (K,), by which OKS scales distances; those
            of COCO's 17 keypoints by default.
        use_area: Whether annotations have ``area``. False takes 0.53 of the bounding box's area.

    Attributes:
        evalImgs: The matches of every image. ``dtMatches`` and ``gtMatches`` are -1 where there
            is none, so an annotation's id may be 0.
        stats: What ``summarize`` printed.

    Raises:
        ValueError: An unknown ``iouType``; while evaluating, annotations with a negative id, or
            of another count of keypoints than there are sigmas.
        KeyError: While evaluating, an annotation lacks something that this ``iouType`` needs.
    """

    params: Any
    evalImgs: Any
    eval: Any

    def __init__(
        self,
        cocoGt: Any = None,
        cocoDt: Any = None,
        iouType: str = 'keypoints',
        sigmas: Any = None,
        use_area: bool = True,
    ) -> None:
        if not iouType:
            print('iouType not specified. use default iouType keypoints')
            iouType = 'keypoints'
        params = Params(iouType)
        if 'keypoints' in iouType and iouType not in (*OF_KEYPOINTS, *PARTS):
            warnings.warn(
                f"iouType {iouType!r} is evaluated like 'keypoints'; the parts are "
                f'{", ".join(PARTS)}',
                stacklevel=2,
            )
        super().__init__(cocoGt, cocoDt, 'keypoints')
        self.sigmas = self.params.kpt_oks_sigmas if sigmas is None else np.asarray(sigmas)
        params.imgIds, params.catIds = self.params.imgIds, self.params.catIds
        self.params = params
        self.use_area = use_area
        self.score_key = 'score'
        if cocoGt is not None:
            self.anno_file = getattr(cocoGt, 'anno_file', [None])

    def _prepare(self) -> None:
        """Sort copies of the annotations by image and category, as pycocotools' matching needs.

        They are numbered anew from 1, as it takes an id of 0 for 'no match'.
        """
        p = self.params
        gts, dts = (
            coco.loadAnns(coco.getAnnIds(imgIds=p.imgIds, catIds=p.catIds))
            for coco in (self.cocoGt, self.cocoDt)
        )
        self._gt_ids, self._dt_ids = _matchable_ids(gts), _matchable_ids(dts)
        self._gts, self._dts = defaultdict(list), defaultdict(list)
        self._without_area: set[int] = set()
        of_keypoints, part = 'keypoints' in p.iouType, p.iouType.removeprefix('keypoints_')
        if of_keypoints:
            self.score_key = f'{part}_score' if p.iouType in PARTS else 'score'

        for number, ann in enumerate(gts, 1):
            gt = {'iscrowd': 0, **ann, **self._compared(ann, self.cocoGt), 'id': number}
            gt['ignore'] = bool(gt['iscrowd'])
            if p.iouType == 'keypoints_crowd':  # CrowdPose counts those of visibility 2
                gt['ignore'] |= self._value(ann, 'num_keypoints') == 0
            elif of_keypoints:
                gt['ignore'] |= not _any_visible(gt)
            if not self.use_area or 'area' not in ann:
                _, _, width, height = self._value(ann, 'bbox')
                gt['area'] = width * height * 0.53
            if 'area' not in ann:
                self._without_area.add(number)
            self._gts[ann['image_id'], ann['category_id']].append(gt)

        without_score = 0
        for number, ann in enumerate(dts, 1):
            dt = {**ann, **self._compared(ann, self.cocoDt), 'id': number}
            if of_keypoints and not _any_visible(dt):
                continue
            has_score = self.score_key in ann
            dt['score'] = self._value(ann, self.score_key if has_score else 'score')
            without_score += not has_score
            self._dts[ann['image_id'], ann['category_id']].append(dt)
        if without_score:
            warnings.warn(
                f'{without_score} of {len(dts)} predictions have no {self.score_key!r} and are '
                "ranked by 'score' instead",
                stacklevel=3,
            )
        self.evalImgs, self.eval = defaultdict(list), {}

    def _compared(self, ann: dict[str, Any], coco: Any) -> dict[str, Any]:
        """What an annotation is compared by, where it has another form than in the dataset."""
        if 'keypoints' in self.params.iouType:
            names = PARTS.get(self.params.iouType, ('keypoints',))
            return {'keypoints': np.array([*chain(*(self._value(ann, name) for name in names))])}
        return {'segmentation': coco.annToRLE(ann)} if self.params.iouType == 'segm' else {}

    def _value(self, ann: dict[str, Any], name: str) -> Any:
        if name not in ann:
            raise KeyError(
                f'annotation {ann["id"]} of image {ann["image_id"]} has no {name!r}, which '
                f'iouType {self.params.iouType!r} needs'
            )
        return ann[name]

    def evaluate(self) -> None:
        """Match the instances of every image; see ``ious`` and ``evalImgs``."""
        start = time.time()
        print('Running per image evaluation...')
        p = self.params
        if p.useSegm is not None:
            p.iouType = 'segm' if p.useSegm == 1 else 'bbox'
            print(f'useSegm (deprecated) is not None. Running {p.iouType} evaluation')
        print(f'Evaluate annotation type *{p.iouType}*')
        p.imgIds, p.maxDets = list(np.unique(p.imgIds)), sorted(p.maxDets)
        if p.useCats:
            p.catIds = list(np.unique(p.catIds))
        self._prepare()
        categories = p.catIds if p.useCats else [-1]
        similarity = self.computeOks if 'keypoints' in p.iouType else self.computeIoU
        self.ious = {(i, c): similarity(i, c) for i in p.imgIds for c in categories}
        self.evalImgs = [
            self.evaluateImg(image, category, area, p.maxDets[-1])
            for category in categories
            for area in p.areaRng
            for image in p.imgIds
        ]
        self._paramsEval = copy.deepcopy(p)
        print(f'DONE (t={time.time() - start:0.2f}s).')

    def computeOks(self, imgId: Any, catId: Any) -> Any:
        """OKS of each prediction with each annotation, (D, G), best score first."""
        gts, dts = self._gts[imgId, catId], self._dts[imgId, catId]
        self.params.kpt_oks_sigmas = sigmas = np.asarray(self.sigmas)
        for instance in (*gts, *dts) if gts and dts else ():
            count = len(instance['keypoints']) / 3
            if count != len(sigmas):
                raise ValueError(
                    f'image {imgId} has an instance of {count:g} keypoints, but there are '
                    f'{len(sigmas)} sigmas; give COCOeval one for each keypoint by sigmas='
                )
        for gt in gts if dts else ():
            if self.use_area and gt['id'] in self._without_area:
                raise KeyError(
                    f"annotation {self._gt_ids[gt['id']]} of image {imgId} has no 'area'; "
                    'COCOeval(..., use_area=False) takes 0.53 of the area of the bounding box'
                )
            self._value(gt, 'bbox')
        return super().computeOks(imgId, catId)

    def evaluateImg(self, imgId: Any, catId: Any, aRng: Any, maxDet: int) -> dict | None:
        """The matches of an image, with the ids that the datasets have; None if it is empty."""
        image = super().evaluateImg(imgId, catId, aRng, maxDet)
        if image is not None:
            for name, ids in (('gt', self._gt_ids), ('dt', self._dt_ids)):
                image[f'{name}Ids'] = ids[np.array(image[f'{name}Ids'], int)].tolist()
            image['dtMatches'] = self._gt_ids[image['dtMatches'].astype(int)]
            image['gtMatches'] = self._dt_ids[image['gtMatches'].astype(int)]
        return image

    def accumulate(self, p: Any = None) -> None:
        """Precision, recall and scores of all images, into ``eval``: see pycocotools."""
        images = self.evalImgs
        # pycocotools takes 0 for 'no match'.
        self.evalImgs = [
            image and {**image, 'dtMatches': image['dtMatches'] + 1} for image in images
        ]
        try:
            super().accumulate(p)
        finally:
            self.evalImgs = images

    def summarize(self) -> None:
        """Print the average precision and recall, and keep them in ``stats``.

        'keypoints_crowd' adds the precision of easy, medium and hard images: a ``crowdIndex``
        below 0.2, below 0.8, and above.
        """
        if not self.eval:
            raise Exception('Please run accumulate() first')
        p = self.params
        if p.iouType in ('segm', 'bbox'):
            few, some, most = p.maxDets[:3]
            max_dets = [100, *[most] * 5, few, some, *[most] * 4]
            stats = [self._average(*s, m) for s, m in zip(DETECTION_STATS, max_dets, strict=True)]
        elif p.iouType != 'keypoints_crowd':
            stats = [self._average(*stat, 20) for stat in KEYPOINT_STATS]
        else:
            stats = [self._average(*stat, 20) for stat in CROWD_STATS]
            stats += self.get_type_result(first=0.2, second=0.8)
            for name, value in zip(('easy', 'medium', 'hard'), stats[-3:]):
                print(f'{self._label("AP", None)} type={name:>6} | maxDets= 20 ] = {value:0.3f}')
        self.stats = np.array(stats)

    def _average(self, name: str, iou: float | None, area: str, max_dets: int) -> float:
        """Mean over what has annotations; -1 if nothing has. Prints it."""
        p = self.params
        values = self.eval['precision' if name == 'AP' else 'recall']
        if iou is not None:
            values = values[p.iouThrs == iou]
        areas = [n for n, label in enumerate(p.areaRngLbl) if label == area]
        values = values[..., areas, [n for n, count in enumerate(p.maxDets) if count == max_dets]]
        mean = np.mean(values[values > -1]) if (values > -1).any() else -1.0
        print(f'{self._label(name, iou)} area={area:>6} | maxDets={max_dets:>3} ] = {mean: 0.3f}')
        return float(mean)

    def _label(self, name: str, iou: float | None) -> str:
        title = f'Average {"Precision" if name == "AP" else "Recall"}'
        low, high = self.params.iouThrs[0], self.params.iouThrs[-1]
        ious = f'{low:0.2f}:{high:0.2f}' if iou is None else f'{iou:0.2f}'
        return f' {title:<18} ({name}) @[ IoU={ious:<9} |'

    def __str__(self) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            self.summarize()
        return text.getvalue().rstrip('\n')

    def get_type_result(self, first: float = 0.01, second: float = 0.85) -> list[float]:
        """Average precision of the easy, the medium and the hard images: see ``split``.

        It is the mean over all categories, with -1 for one without annotations, to 4 digits.
        """
        if self.anno_file[0] is None:
            subsets = _split(self.cocoGt.dataset['images'], first, second)
        else:
            subsets = self.split(self.anno_file[0], first, second)
        results = []
        for image_ids in subsets:
            subset = copy.copy(self)
            subset.params = copy.deepcopy(self.params)
            subset.params.imgIds = image_ids
            with contextlib.redirect_stdout(NullWriter()):  # type: ignore[type-var]
                subset.evaluate()
                subset.accumulate()
            results.append(round(np.mean(subset.eval['precision'][:, :, :, 0, :]), 4))
        return results

    def split(
        self, gt_file: str | os.PathLike[str], first: float = 0.01, second: float = 0.85
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Ids of the images whose ``crowdIndex`` is below ``first``, below ``second``, above."""
        with open(gt_file) as file:
            return _split(json.load(file)['images'], first, second)


def _split(
    images: Iterable[dict[str, Any]], first: float, second: float
) -> tuple[list[Any], list[Any], list[Any]]:
    easy: list[Any] = []
    medium: list[Any] = []
    hard: list[Any] = []
    for image in images:
        if 'crowdIndex' not in image:
            raise KeyError(f"image {image['id']} has no 'crowdIndex', which CrowdPose's has")
        crowding = image['crowdIndex']
        (easy if crowding < first else medium if crowding < second else hard).append(image['id'])
    return easy, medium, hard


def _any_visible(instance: dict[str, Any]) -> bool:
    return bool((instance['keypoints'][2::3] > 0).any())


def _matchable_ids(anns: list[dict[str, Any]]) -> np.ndarray:
    """The ids of annotations by their number from 1 on, and that of 'no match', -1, at 0."""
    for ann in anns:
        if ann['id'] < 0:
            raise ValueError(
                f'annotation {ann["id"]} of image {ann["image_id"]} has a negative id, but '
                "-1 means 'no match'; number the annotations from 0 or 1 on"
            )
    return np.array([-1, *(ann['id'] for ann in anns)], dtype=np.int64)
