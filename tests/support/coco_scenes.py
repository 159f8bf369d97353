"""Random scenes for COCO's keypoint evaluation, and their evaluation by pycocotools."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_plugin.functional import COCO_SIGMAS, KeypointEvaluation, evaluate_coco_keypoints

UNLISTED = 11**9  # a category
STATS = ['AP', 'AP50', 'AP75', 'APM', 'APL', 'AR', 'AR50', 'AR75', 'ARM', 'ARL']
ARRAYS = ['precision', 'recall', 'scores']
MATCHES = ['dt', 'gt', 'dt_ignore', 'gt_ignore']
AREAS = {'all': (0, 1e10), 'medium': (32**2, 96**2), 'large': (96**2, 1e10)}


@dataclass
class Scene:
    """Annotations, predictions, and how to evaluate them."""

    gt: dict
    dt: list
    options: dict = field(default_factory=dict)

    def ours(self) -> KeypointEvaluation:
        return evaluate_coco_keypoints(self.gt, self.dt, matches=True, **self.options)

    def theirs(self) -> dict:
        return pycocotools_evaluates(self.gt, self.dt, **self.options)


def pycocotools_evaluates(
    gt: dict[str, Any],
    dt: list[dict[str, Any]],
    sigmas: Sequence[float] | np.ndarray = COCO_SIGMAS,
    max_dets: int = 20,
    oks_thresholds: Sequence[float] | np.ndarray | None = None,
    area_ranges: Mapping[str, Sequence[float]] | None = None,
) -> dict:
    """Return the numbers, arrays and matches of pycocotools by our names.

    It takes an annotation id of 0 for 'not matched', so annotations are numbered anew, from 1.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = run_pycocotools(gt, dt, sigmas, max_dets, oks_thresholds, area_ranges)
        evaluation.accumulate()
        # the only number for which it sums up; the arrays have one anyhow
        evaluation.params.maxDets = [20]
        evaluation.summarize()
    result = dict(zip(STATS, evaluation.stats))
    result.update({name: evaluation.eval[name] for name in ARRAYS})
    return {**result, 'matches': matches_of(evaluation, len(gt['annotations']))}


def run_pycocotools(
    gt: dict[str, Any],
    dt: list[dict[str, Any]],
    sigmas: Sequence[float] | np.ndarray,
    max_dets: int,
    oks_thresholds: Sequence[float] | np.ndarray | None,
    area_ranges: Mapping[str, Sequence[float]] | None,
) -> COCOeval:
    """Return an evaluation whose matches are found; it prints."""
    # It writes into the dicts of annotations and predictions, and into nothing below these.
    annotations = [dict(ann, id=number) for number, ann in enumerate(gt['annotations'], 1)]
    area_ranges = area_ranges or AREAS
    coco = COCO()
    coco.dataset = dict(gt, annotations=annotations)
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes([dict(det) for det in dt]), 'keypoints')
    params = evaluation.params
    params.kpt_oks_sigmas = np.array(sigmas)
    params.maxDets = [max_dets]
    params.areaRng = [list(limits) for limits in area_ranges.values()]
    params.areaRngLbl = list(area_ranges)
    if oks_thresholds is not None:
        params.iouThrs = np.array(oks_thresholds)
    evaluation.evaluate()
    return evaluation


def matches_of(evaluation: COCOeval, annotations: int) -> dict:
    """Return matches, image after image, as ``KeypointMatches`` has them."""
    ranges, images = len(evaluation.params.areaRng), len(evaluation.params.imgIds)
    by_range: list[list[Any]] = [[] for _ in range(ranges)]
    for n, image in enumerate(evaluation.evalImgs):
        if image is not None:
            by_range[n // images % ranges].append(image)
    gt_ignore = np.ones((annotations, ranges), dtype=bool)
    for a, of_range in enumerate(by_range):
        for image in of_range:
            gt_ignore[np.array(image['gtIds'], int) - 1, a] = image['gtIgnore']

    def column(name: str) -> np.ndarray:
        each = [np.concatenate([i[name] for i in of_range], axis=1) for of_range in by_range]
        return np.array(each).transpose(2, 0, 1)

    return dict(
        dt=np.concatenate([i['dtIds'] for i in by_range[0]]).astype(int) - 1,
        gt=column('dtMatches').astype(int) - 1,
        dt_ignore=column('dtIgnore').astype(bool),
        gt_ignore=gt_ignore,
    )


def assert_same(ours: Mapping, theirs: Mapping) -> None:
    """Compare numbers and arrays to 1e-12, matches exactly."""
    for name in (*STATS, *ARRAYS):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)
    for name in MATCHES if 'matches' in ours else ():
        expected = theirs['matches'][name]
        if name == 'gt_ignore':
            expected = expected[ours['matches']['gt_row']]
        np.testing.assert_array_equal(ours['matches'][name], expected, err_msg=f'matches, {name}')


def make_scene(seed: int, sigmas: Sequence[float] | np.ndarray = COCO_SIGMAS) -> Scene:
    """A few images, some crowded, some empty; all ids are ten digits, and none is 0."""
    rng = np.random.default_rng(seed)
    count = len(sigmas)
    categories = [1] if seed % 4 else [1, 7]
    images = [dict(id=int(i)) for i in rng.choice(10**10, rng.integers(1, 7), replace=False)]
    anns, dets = [], []
    for image in images:
        ids = dict(image_id=image['id'])
        for _ in range(rng.choice([0, 1, 2, 3, 12])):
            ids['category_id'] = int(rng.choice(categories))
            size = rng.uniform(10, 250, 2)
            points = rng.uniform(0, 400, 2) + size * rng.random((count, 2))
            visible = rng.integers(0, 3, count) * (rng.random() > 0.15)
            ann = dict(
                id=int(rng.integers(1, 10**10)),
                keypoints=np.c_[points, visible].ravel().round(1).tolist(),
                num_keypoints=int((visible > 0).sum()),
                bbox=[*points.min(0).tolist(), *size.tolist()],
                area=float(size.prod() * rng.uniform(0.3, 1)),
                iscrowd=int(rng.random() < 0.1),
                ignore=int(rng.random() < 0.1),  # pycocotools does not heed it
                **ids,
            )
            anns.append(ann)
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                spread = np.sqrt(ann['area']) * rng.choice([0, 0.03, 0.1, 0.3])
                predicted = points + spread * rng.normal(size=(count, 2))
                score = float(rng.choice([0.25, 0.5, 0.75, rng.random()]))
                keypoints = np.c_[predicted, np.ones(count)].ravel().tolist()
                dets.append(dict(keypoints=keypoints, score=score, **ids))
        for _ in range(rng.choice([0, 1, 40])):  # unrelated; 40 of them exceed max_dets
            ids['category_id'] = int(rng.choice([*categories, 3] if dets else categories))
            anywhere = np.c_[rng.uniform(0, 600, (count, 2)), np.ones(count)]
            dets.append(
                dict(keypoints=anywhere.ravel().tolist(), score=float(rng.random()), **ids)
            )
    rng.shuffle(dets)
    if seed % 2:
        for det in dets:
            det['bbox'] = rng.uniform(5, 200, 4).tolist()
    gt = dict(images=images, annotations=anns, categories=[dict(id=c) for c in categories])
    return Scene(gt, dets, dict(sigmas=sigmas))


def make_wild_scene(seed: int) -> Scene:
    """Randomise everything, also options; often draw coordinates, sizes and scores from few.

    Such scenes are full of equally similar instances, thresholds that are met exactly, and equal
    scores.
    """
    rng = np.random.default_rng([seed, 1])
    count = int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, 23, 133], p=[0.11] * 9 + [0.01]))
    sigmas = rng.choice([0.025, 0.05, 0.1, rng.uniform(0.02, 0.2)], count)
    coarse = rng.random() < 0.5
    categories = [int(c) for c in rng.choice(10**10, rng.integers(1, 4), replace=False)]
    ids = rng.choice(rng.choice([10, 10**10]), rng.integers(1, 6), replace=False)
    images = [dict(id=int(i)) for i in ids]
    anns: list[dict[str, Any]] = []
    dets: list[dict[str, Any]] = []
    for image in images:
        instances, unrelated = rng.choice([0, 1, 2, 4, 9]), rng.choice([0, 0, 1, 3, 15])
        for _ in range(instances):
            anns.append(_annotation(rng, count, coarse, anns))
            anns[-1].update(id=len(anns), image_id=image['id'])
            anns[-1]['category_id'] = int(
                rng.choice([*categories, UNLISTED], p=_mostly(categories))
            )
        here = [ann for ann in anns if ann['image_id'] == image['id']]
        for _ in range(unrelated + rng.integers(0, 3) * len(here)):
            dets.append(_detection(rng, count, coarse, here))
            dets[-1].update(image_id=image['id'])
            dets[-1]['category_id'] = int(
                rng.choice([*categories, UNLISTED], p=_mostly(categories))
            )
    if not any(det['category_id'] in categories for det in dets):  # which both would refuse
        dets.append(_detection(rng, count, coarse, []))
        dets[-1].update(image_id=images[0]['id'], category_id=categories[0])
    rng.shuffle(dets)
    if rng.random() < 0.5:
        for det in dets:
            det['bbox'] = rng.choice([0, 10, 32, 96, 200], 4).tolist()
    gt = dict(images=images, annotations=anns, categories=[dict(id=c) for c in categories])
    return Scene(gt, dets, _options(rng, sigmas))


def _mostly(categories: Sequence[int]) -> list[float]:
    """Return probabilities of categories, and of one that is not listed."""
    return [0.95 / len(categories)] * len(categories) + [0.05]


def _annotation(
    rng: np.random.Generator, count: int, coarse: bool, others: list[dict[str, Any]]
) -> dict:
    if others and rng.random() < 0.2:  # the same instance again, perhaps as a crowd
        again = rng.choice(len(others))
        return dict(copy.deepcopy(others[again]), iscrowd=int(rng.random() < 0.3))
    size = rng.choice([1, 10, 32, 96, 200], 2) if coarse else rng.uniform(5, 250, 2)
    corner = rng.choice([0, 10, 50], 2) if coarse else rng.uniform(0, 300, 2)
    points = corner + size * (rng.choice([0, 0.5, 1], (count, 2)) if coarse else rng.random(2))
    points = points + (0 if coarse else rng.normal(0, 5, (count, 2)))
    visible = rng.choice([0, 1, 2], count) * (rng.random() > 0.2)
    area = size.prod() * rng.choice([0.5, 1])
    return dict(
        keypoints=np.c_[points, visible].ravel().tolist(),
        num_keypoints=int(rng.choice([np.sum(visible > 0)] * 9 + [0])),  # sometimes wrong
        bbox=[*corner.tolist(), *size.tolist()],
        area=float(area if rng.random() < 0.95 else rng.choice([0, 32**2, 96**2])),
        iscrowd=int(rng.random() < 0.15),
    )


def _detection(
    rng: np.random.Generator, count: int, coarse: bool, anns: list[dict[str, Any]]
) -> dict:
    if anns and rng.random() < 0.8:
        ann = anns[rng.integers(len(anns))]
        points = np.reshape(ann['keypoints'], (count, 3))[:, :2]
        if coarse:  # some keypoints exact, the others far away, or all a bit off
            lost = rng.random((count, 1)) < rng.choice([0, 0.25, 0.5])
            points = points + rng.choice([0, 0, 1, 5]) * rng.choice([-1, 1], 2) + 1e9 * lost
        else:
            spread = np.sqrt(ann['area']) * rng.choice([0, 0.02, 0.1, 0.3])
            points = points + spread * rng.normal(size=(count, 2))
    else:
        points = rng.uniform(-100, 500, (count, 2))
    score = rng.choice([0.0, 0.5, 1.0]) if rng.random() < 0.5 else rng.random()
    return dict(keypoints=np.c_[points, rng.random(count)].ravel().tolist(), score=float(score))


def _options(rng: np.random.Generator, sigmas: np.ndarray) -> dict:
    options: dict[str, Any] = dict(sigmas=sigmas.astype(rng.choice(['float32', 'float64'])))
    options['max_dets'] = int(rng.choice([20, 20, 1, 2, 7, 100]))
    if rng.random() < 0.5:
        few = rng.choice([0, 0.1, 0.5, 0.55, 0.75, 0.9, 1], rng.integers(1, 6), replace=False)
        many = rng.random(rng.integers(20, 80))
        options['oks_thresholds'] = few if rng.random() < 0.8 else many
    if rng.random() < 0.5:
        ranges = {**AREAS, 'small': (0, 32**2), 'odd': tuple(np.sort(rng.uniform(0, 4e4, 2)))}
        chosen = rng.permutation(list(ranges))[: rng.integers(1, 6)]
        options['area_ranges'] = {n: ranges[n] for n in dict.fromkeys([*chosen.tolist(), 'all'])}
    return options
