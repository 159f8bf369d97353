"""Predictions as COCO's results, and which pictures they are of."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation.scores import SCORE_MODES
from .inputs import Source

SCORE_THRESHOLD = 0.2  # as OKSMetric's: keypoints below it do not count for a person's score


def places(source: Source, sources: Sequence[Source]) -> Iterator[tuple[dict[str, Any], int]]:
    """File name, and in a video the frame, of each picture of a source; and its image id.

    The id is the number that the file is called by, as COCO's are; or else counts from 1.
    """
    paths = [Path(name) for name in source.names]
    if source.is_video:
        yield from ((dict(file_name=paths[0].name, frame=i), i + 1) for i in count())
        return
    numbered = len(sources) == 1 and all(path.stem.isdecimal() for path in paths)
    for i, path in enumerate(paths, 1):
        yield dict(file_name=path.name), int(path.stem) if numbered else i


def coco_results(people: Any) -> list[dict[str, Any]]:
    """People (``pred_instances``) as COCO's results: x, y and score of keypoints, and so on."""
    scores = SCORE_MODES['bbox_keypoint'](
        people.bbox_scores, people.keypoint_scores, SCORE_THRESHOLD
    )
    triples = np.dstack([people.keypoints, people.keypoint_scores])
    sizes = people.bboxes[:, 2:] - people.bboxes[:, :2]
    results = [
        dict(
            category_id=1,
            keypoints=rounded(triple),
            score=float(score),
            bbox=rounded(np.concatenate([box[:2], size])),
        )
        for triple, score, box, size in zip(triples, scores, people.bboxes, sizes)
    ]
    for result, number in zip(results, people.get('track_ids', ())):
        result['track_id'] = int(number)
    return results


def rounded(values: np.ndarray) -> list[float]:
    """A flat list, to a thousandth of a pixel."""
    return np.round(values.astype(np.float64), 3).ravel().tolist()
