"""Predictions with errors as models make them: jitter, inversions, swaps, misses."""

from typing import Any

import numpy as np

from hrnet_plugin.functional import COCO_SIGMAS

# COCO's mirrored pairs: 1 and 2, 3 and 4, …, 15 and 16
PARTNER = np.array([0, *(k + 1 if k % 2 else k - 1 for k in range(1, 17))])


def plausible_predictions(
    coco: dict[str, Any],
    seed: int = 0,
    jitter: float = 0.35,
    inverted: float = 0.06,
    swapped: float = 0.08,
    missed: float = 0.06,
    lost: float = 0.08,
    invented: float = 0.15,
) -> list[dict[str, Any]]:
    """Perturb annotated people.

    Args:
        coco: Annotations in COCO format, of COCO's 17 keypoints.
        seed: Seed of the random numbers.
        jitter: Standard deviation of keypoints, in those of annotators.
        inverted: Share of people whose limbs have left and right exchanged.
        swapped: Share of people with keypoints on another person.
        missed: Share of keypoints that are far off.
        lost: Share of people that are not detected.
        invented: Detections without a person, for each image.

    Returns:
        Predictions in COCO's result format. Scores of keypoints are higher where they are right.
    """
    rng = np.random.default_rng(seed)
    sigmas = np.array(COCO_SIGMAS)
    people: dict[Any, list[np.ndarray]] = {}
    for annotation in coco['annotations']:
        points = np.reshape(annotation['keypoints'], (-1, 3)).astype(float)
        people.setdefault(annotation['image_id'], []).append(points)
    results = []
    for annotation in coco['annotations']:
        points = np.reshape(annotation['keypoints'], (-1, 3)).astype(float)
        if annotation.get('iscrowd') or not (points[:, 2] > 0).any() or rng.random() < lost:
            continue
        x, y, width, height = annotation['bbox']
        scale = np.sqrt(annotation.get('area') or width * height)
        xy, labelled = points[:, :2].copy(), points[:, 2] > 0
        xy[~labelled] = [x, y] + rng.random(((~labelled).sum(), 2)) * [width, height]
        if rng.random() < inverted:
            xy[5:] = xy[PARTNER][5:]
        if rng.random() < swapped:
            others = [p for p in people[annotation['image_id']] if not np.array_equal(p, points)]
            if others:
                other = others[int(rng.integers(len(others)))]
                taken = (rng.random(17) < 0.4) & (other[:, 2] > 0)
                xy[taken] = other[taken, :2]
        far = rng.random(17) < missed
        spread = jitter * rng.lognormal(0, 0.5) * 2 * sigmas * scale
        xy += rng.normal(size=(17, 2)) * spread[:, None] * np.where(far, 8, 1)[:, None]
        keypoint_scores = np.clip(rng.normal(np.where(far, 0.45, 0.8), 0.15), 0.02, 0.99)
        score = keypoint_scores.mean() * np.clip(rng.normal(0.85, 0.12), 0.1, 1)
        results.append(_result(annotation['image_id'], xy, keypoint_scores, score))
    for image in coco['images']:
        if rng.random() < invented:
            size = np.array([image['width'], image['height']])
            corner, extent = rng.random(2) * 0.6 * size, size * rng.uniform(0.15, 0.35, 2)
            xy = corner + rng.random((17, 2)) * extent
            score = rng.uniform(0.1, 0.6)
            results.append(_result(image['id'], xy, rng.uniform(0.05, 0.6, 17), score))
    return results


def _result(image_id: Any, xy: np.ndarray, scores: np.ndarray, score: float) -> dict[str, Any]:
    return dict(
        image_id=image_id,
        category_id=1,
        keypoints=np.c_[xy, scores].round(3).ravel().tolist(),
        score=round(float(score), 5),
    )
