"""Error diagnosis of keypoints once more: slow, in plain loops, evaluated by pycocotools.

Nothing here calls the package, except for comparing with it.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .coco_scenes import UNLISTED, matches_of, run_pycocotools

ALL = dict(all=(0, 1e10))
EPSILON = np.spacing(1.0)
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
STEPS = ('predicted', 'miss', 'swap', 'inversion', 'jitter', 'score', 'background', 'missed')


@dataclass
class DiagnosisScene:
    """Annotations, predictions, and how to diagnose them."""

    gt: dict[str, Any]
    dt: list[dict[str, Any]]
    sigmas: list[float]
    flip_pairs: list[tuple[int, int]] | None
    options: dict[str, Any] = field(default_factory=dict)


def make_diagnosis_scene(seed: int) -> DiagnosisScene:
    """Make images of people close to each other, and predictions with errors of all kinds.

    In half of the scenes, coordinates, sizes and scores are of few values, so that much is equal.
    """
    rng = np.random.default_rng([seed, 2])
    count = int(rng.integers(1, 21))
    coarse = rng.random() < 0.5
    sigmas = rng.choice([0.05, 0.1, 0.1, float(rng.uniform(0.02, 0.2))], count).tolist()
    order = rng.permutation(count)
    pairs = order[: count // 2 * 2].reshape(-1, 2)[: rng.integers(0, count // 2 + 1)]
    categories = [3, 5][: rng.integers(1, 3)]
    anns: list[dict[str, Any]] = []
    dets: list[dict[str, Any]] = []
    images = [dict(id=int(i)) for i in rng.choice(100, rng.integers(1, 5), replace=False)]
    for image in images:
        here: list[dict[str, Any]] = []
        for _ in range(rng.choice([0, 1, 2, 3, 6])):
            size = rng.choice([20, 50, 120], 2) if coarse else rng.uniform(10, 200, 2)
            corner = rng.choice([0, 20, 40], 2) if coarse else rng.uniform(0, 100, 2)
            share = rng.choice([0, 0.5, 1], (count, 2)) if coarse else rng.random((count, 2))
            visible = rng.choice([0, 1, 2], count, p=[0.2, 0.3, 0.5]) * (rng.random() > 0.1)
            keypoints = np.c_[corner + size * share, visible]
            if here and rng.random() < 0.1:
                keypoints = np.reshape(here[0]['keypoints'], (count, 3))
            ann = dict(
                id=len(anns),
                image_id=image['id'],
                category_id=int(rng.choice([*categories, *categories, *categories, UNLISTED])),
                keypoints=keypoints.ravel().tolist(),
                num_keypoints=int((keypoints[:, 2] > 0).sum()) if rng.random() < 0.97 else 0,
                bbox=[*corner.tolist(), *size.tolist()],
                iscrowd=int(rng.random() < 0.1),
            )
            if rng.random() < 0.9:
                ann['area'] = float(size.prod() * rng.choice([0.3, 0.5, 1]))
            anns.append(ann)
            here.append(ann)
        for _ in range(rng.choice([0, 2, 5, 12])):
            dets.append(_prediction(rng, image['id'], here, categories, count, pairs, coarse))
    if not any(det['category_id'] in categories for det in dets):
        dets.append(_prediction(rng, images[0]['id'], [], categories, count, pairs, coarse))
    rng.shuffle(dets)
    if rng.random() < 0.5:
        for det in dets:
            det['bbox'] = rng.choice([10, 50, 150], 4).tolist()
    options: dict[str, Any] = dict(max_dets=int(rng.choice([20, 20, 3])))
    if rng.random() < 0.3:
        options['oks_threshold'] = float(rng.choice([0, 0.3, 0.5]))
    if rng.random() < 0.2:
        options['use_area'] = False
    gt = dict(images=images, annotations=anns, categories=[dict(id=c) for c in categories])
    flips = [(int(a), int(b)) for a, b in pairs] if rng.random() < 0.8 else None
    return DiagnosisScene(gt, dets, sigmas, flips, options)


def _prediction(
    rng: np.random.Generator,
    image_id: int,
    here: list[dict[str, Any]],
    categories: list[int],
    count: int,
    pairs: np.ndarray,
    coarse: bool,
) -> dict[str, Any]:
    """Predict a person with some noise; mirror, exchange and lose some keypoints."""
    points = rng.uniform(0, 200, (count, 2))
    category = int(rng.choice(categories))
    if here and rng.random() < 0.85:
        ann = here[rng.integers(len(here))]
        category = ann['category_id']
        points = np.reshape(ann['keypoints'], (count, 3))[:, :2].copy()
        for a, b in pairs:
            if rng.random() < 0.25:
                points[[a, b]] = points[[b, a]]
        other = np.reshape(here[rng.integers(len(here))]['keypoints'], (count, 3))[:, :2]
        swapped = rng.random(count) < rng.choice([0, 0.3])
        points[swapped] = other[swapped]
        scale = np.sqrt(ann['bbox'][2] * ann['bbox'][3]) * rng.choice([0, 0.05, 0.1, 0.2])
        noise = rng.choice([-1, 0, 0, 1], (count, 2)) if coarse else rng.normal(size=(count, 2))
        points += scale * noise
        points[rng.random(count) < rng.choice([0, 0.1])] += rng.choice([300, 1e6])
    return dict(
        image_id=image_id,
        category_id=category,
        keypoints=np.c_[points, rng.random(count)].ravel().tolist(),
        score=float(rng.choice([0.25, 0.5]) if rng.random() < 0.5 else rng.random()),
    )


def diagnose_slowly(scene: DiagnosisScene) -> dict[str, Any]:
    """Return the values of a ``KeypointDiagnosis`` by its names."""
    gt = dict(scene.gt, annotations=[dict(ann) for ann in scene.gt['annotations']])
    dt = [dict(det) for det in scene.dt]
    sigmas, count = scene.sigmas, len(scene.sigmas)
    max_dets = scene.options.get('max_dets', 20)
    threshold = scene.options.get('oks_threshold', 0.1)
    for ann in gt['annotations']:
        if 'area' not in ann or not scene.options.get('use_area', True):
            ann['area'] = 0.53 * ann['bbox'][2] * ann['bbox'][3]
    boxed = bool(dt) and 'bbox' in dt[0]
    for det in dt:  # areas of predictions stay when their keypoints move
        if not boxed:
            xs, ys = det['keypoints'][0::3], det['keypoints'][1::3]
            det['bbox'] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    partner = list(range(count))
    for a, b in scene.flip_pairs or ():
        partner[a], partner[b] = b, a

    anns = gt['annotations']
    counted, matched, ignored = _match(gt, dt, sigmas, max_dets, threshold)
    result: dict[str, Any] = dict(
        codes=np.full((len(dt), count), -1),
        similarity=np.full((len(dt), count), np.nan),
        best_similarity=np.full((len(dt), count), np.nan),
        best_annotation=np.full((len(dt), count), -1),
        best_keypoint=np.full((len(dt), count), -1),
        matched=np.array([matched.get(n, -1) for n in range(len(dt))], int),
        oks=np.full(len(dt), np.nan),
        counts=np.zeros((count, 5), int),
        counted=np.array([n in counted for n in range(len(dt))], bool),
        background=np.zeros(len(dt), bool),
        cost_of_instance=np.zeros(len(dt)),
        evaluated=np.array([g not in ignored for g in range(len(anns))], bool),
        missed=np.zeros(len(anns), bool),
        recalled=np.zeros(len(anns), bool),
    )
    for n in counted:
        if n not in matched and dt[n]['bbox'][2] * dt[n]['bbox'][3] <= 1e10:
            result['background'][n] = True
            result['cost_of_instance'][n] = 1
    for g in range(len(anns)):
        result['missed'][g] = g not in ignored and g not in matched.values()
    if counted:
        _, at_half, _ = _match(gt, dt, sigmas, max_dets, 0.5)
        for g in at_half.values():
            result['recalled'][g] = g not in ignored

    for n, g in matched.items():
        result['oks'][n] = _oks(dt[n], anns[g], sigmas)
        if g in ignored:
            continue
        values, corrected = [], []
        for k in range(count):
            if not anns[g]['keypoints'][3 * k + 2] > 0:
                continue
            own, best, ann, keypoint = _locate(dt[n], anns, g, k, partner, sigmas)
            code = _code(best, ann == g, keypoint == k)
            result['codes'][n, k] = code
            result['similarity'][n, k] = own
            result['best_similarity'][n, k] = best
            result['best_annotation'][n, k] = ann
            result['best_keypoint'][n, k] = keypoint
            if code >= 0:
                result['counts'][k, code] += 1
            values.append(own)
            corrected.append(1 if code > GOOD else own)
        lost = 0
        for tenth in range(10):
            limit = 0.5 + 0.05 * tenth - 1e-9
            lost += sum(values) / len(values) < limit <= sum(corrected) / len(corrected)
        result['cost_of_instance'][n] = lost / 10
    result['costs'] = {
        name: _evaluate(*state, sigmas, max_dets)
        for name, state in _steps(gt, dt, result, counted, ignored, scene, threshold)
    }
    return result


def _match(
    gt: dict[str, Any],
    dt: list[dict[str, Any]],
    sigmas: list[float],
    max_dets: int,
    threshold: float,
) -> tuple[set[int], dict[int, int], set[int]]:
    """Return predictions that count, the annotation that each is matched to, ignored ones."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = run_pycocotools(gt, dt, sigmas, max_dets, [threshold], ALL)
    result = matches_of(evaluation, len(gt['annotations']))
    counted = result['dt'].tolist()
    matched = {n: g for n, g in zip(counted, result['gt'][:, 0, 0].tolist()) if g >= 0}
    return {*counted}, matched, {*np.flatnonzero(result['gt_ignore'][:, 0]).tolist()}


def _similarity(x: float, y: float, ann: dict[str, Any], k: int, sigma: float) -> float:
    gx, gy, visible = ann['keypoints'][3 * k : 3 * k + 3]
    if not visible > 0:
        return -1
    distance2 = (x - gx) ** 2 + (y - gy) ** 2
    return float(np.exp(-distance2 / (2 * sigma) ** 2 / (ann['area'] + EPSILON) / 2))


def _locate(
    det: dict[str, Any],
    anns: list[dict[str, Any]],
    g: int,
    k: int,
    partner: list[int],
    sigmas: list[float],
) -> tuple[float, float, int, int]:
    """Return the similarity at the right place, the largest, and its annotation and keypoint.

    Places that are equal but for rounding are equal: the first counts.
    """
    x, y = det['keypoints'][3 * k : 3 * k + 2]
    others = [
        n
        for n, ann in enumerate(anns)
        if n != g
        and ann['image_id'] == det['image_id']
        and ann['category_id'] == det['category_id']
    ]
    places = [(n, k) for n in (g, *others)] + [(n, partner[k]) for n in (g, *others)]
    values = [_similarity(x, y, anns[n], keypoint, sigmas[k]) for n, keypoint in places]
    best = max(values)
    first = next(n for n, value in enumerate(values) if best - value <= 1e-12)
    return values[0], best, *places[first]


def _code(best: float, of_matched: bool, same_keypoint: bool) -> int:
    if best < 0.5:
        return MISS
    if not of_matched:
        return SWAP
    if not same_keypoint:
        return INVERSION
    if best > 0.85:
        return GOOD
    return JITTER if best < 0.85 else -1


def _oks(det: dict[str, Any], ann: dict[str, Any], sigmas: list[float]) -> float:
    labelled = [k for k in range(len(sigmas)) if ann['keypoints'][3 * k + 2] > 0]
    points = det['keypoints']
    if labelled:
        total = 0.0
        for k in labelled:
            total += _similarity(points[3 * k], points[3 * k + 1], ann, k, sigmas[k])
        return total / len(labelled)
    x, y, width, height = ann['bbox']
    total = 0.0
    for k, sigma in enumerate(sigmas):
        dx = max(0, x - width - points[3 * k]) + max(0, points[3 * k] - x - 2 * width)
        dy = max(0, y - height - points[3 * k + 1]) + max(0, points[3 * k + 1] - y - 2 * height)
        total += math.exp(-(dx**2 + dy**2) / (2 * sigma) ** 2 / (ann['area'] + EPSILON) / 2)
    return total / len(sigmas)


def _steps(
    gt: dict[str, Any],
    dt: list[dict[str, Any]],
    result: dict[str, Any],
    counted: set[int],
    ignored: set[int],
    scene: DiagnosisScene,
    threshold: float,
) -> Iterator[tuple[str, tuple[dict[str, Any], list[dict[str, Any]]]]]:
    """Yield each step's name, and annotations and predictions then."""
    sigmas, anns = scene.sigmas, gt['annotations']
    dt = [dict(det, keypoints=list(det['keypoints'])) for det in dt]
    yield 'predicted', (gt, dt)
    for name, error in (
        ('miss', MISS),
        ('swap', SWAP),
        ('inversion', INVERSION),
        ('jitter', JITTER),
    ):
        for n, det in enumerate(dt):
            for k, sigma in enumerate(sigmas):
                if result['codes'][n, k] == error:
                    ann = anns[result['matched'][n]]
                    similarity = {MISS: 0.5, JITTER: 0.85}.get(
                        error, result['best_similarity'][n, k]
                    )
                    x, y = ann['keypoints'][3 * k : 3 * k + 2]
                    radius2 = 2 * (ann['area'] + EPSILON) * -math.log(similarity)
                    # A billionth nearer, as whether a threshold is met is no matter of rounding
                    x += 2 * sigma * math.sqrt(radius2) * (1 - 1e-9)
                    det['keypoints'][3 * k : 3 * k + 2] = [x, y]
        yield name, (gt, dt)

    dt = [dt[n] for n in sorted(counted)]
    for image_id, category in {(det['image_id'], det['category_id']) for det in dt}:
        of_group = [
            det for det in dt if (det['image_id'], det['category_id']) == (image_id, category)
        ]
        scores = []
        for det in of_group:
            values = [
                _oks(det, ann, sigmas)
                for g, ann in enumerate(anns)
                if g not in ignored
                and (ann['image_id'], ann['category_id']) == (image_id, category)
            ]
            scores.append(max(values, default=0))
        for det, score in zip(of_group, _soft_nms(of_group, scores, sigmas)):
            det['score'] = round(score, 9)
    yield 'score', (gt, dt)

    right: set[int] = set()
    found: set[int] = set()
    for value in {threshold, *np.linspace(0.5, 0.95, 10).tolist()}:
        _, matched, _ = _match(gt, dt, sigmas, len(dt), value)
        right.update(matched)
        found.update(matched.values())
    dt = [det for n, det in enumerate(dt) if n in right or det['bbox'][2] * det['bbox'][3] > 1e10]
    yield 'background', (gt, dt)

    kept = [ann for g, ann in enumerate(anns) if g in ignored or g in found]
    yield 'missed', (dict(gt, annotations=kept), dt)


def _soft_nms(dets: list[dict[str, Any]], scores: list[float], sigmas: list[float]) -> list[float]:
    scores = list(scores)
    left = list(range(len(dets)))
    while left:
        best = max(left, key=lambda n: round(scores[n], 9))  # the first of equals
        left.remove(best)
        for n in left:
            a, b = dets[best], dets[n]
            area = (a['bbox'][2] * a['bbox'][3] + b['bbox'][2] * b['bbox'][3]) / 2 + EPSILON
            total = 0.0
            for k, sigma in enumerate(sigmas):
                dx = a['keypoints'][3 * k] - b['keypoints'][3 * k]
                dy = a['keypoints'][3 * k + 1] - b['keypoints'][3 * k + 1]
                total += math.exp(-(dx**2 + dy**2) / (2 * sigma) ** 2 / area / 2)
            scores[n] *= math.exp(-((total / len(sigmas)) ** 2) / 0.5)
    return scores


def _evaluate(
    gt: dict[str, Any], dt: list[dict[str, Any]], sigmas: list[float], max_dets: int
) -> dict[str, Any]:
    categories = [category['id'] for category in gt['categories']]
    if any(det['category_id'] in categories for det in dt):
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = run_pycocotools(gt, dt, sigmas, max_dets, None, ALL)
            evaluation.accumulate()
        precision = evaluation.eval['precision'][..., 0, 0]
    else:  # for which pycocotools has no answer
        precision = np.full((10, 101, len(categories)), -1.0)
        for ann in gt['annotations']:
            if ann['category_id'] in categories and ann['num_keypoints'] and not ann['iscrowd']:
                precision[..., categories.index(ann['category_id'])] = 0
    present = [c for c in range(len(categories)) if precision[0, 0, c] > -1]
    if not present:
        return dict(ap=-1, auc=[-1, -1, -1], precision=np.full((3, 101), -1.0))
    curves = precision[[0, 5, 7]][..., present]
    return dict(
        ap=precision[..., present].mean(),
        auc=curves.mean(axis=(1, 2)),
        precision=curves.mean(axis=2),
    )


def assert_same_diagnosis(ours: Any, theirs: dict[str, Any]) -> None:
    """Compare codes, places and masks exactly, the rest to 1e-9."""
    for name, expected in theirs.items():
        if name != 'costs':
            np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-9, err_msg=name)
    assert tuple(ours.costs) == tuple(theirs['costs']) == STEPS
    for name, expected in theirs['costs'].items():
        step = ours.costs[name]
        auc = [step.auc50, step.auc75, step.auc85]
        for what, value in dict(ap=step.ap, auc=auc, precision=step.precision).items():
            np.testing.assert_allclose(
                value, expected[what], rtol=0, atol=1e-9, err_msg=f'{name}, {what}'
            )
