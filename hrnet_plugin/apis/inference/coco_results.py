"""Predictions as COCO's results, and which pictures they are of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...functional.coco.scoring import score_instances
from ..inputs.sources import Source


class ResultLocations:
    """Give each image and frame an id that no other of the same call has.

    Ids of images are the numbers that their files are called by, as COCO's are, if there is no
    video and no number twice. Otherwise all images and frames are counted through, from 1, in the
    order of the sources.

    Args:
        sources: All sources of the call.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.source: Source | None = None
        self.first, self.next = 1, 1
        stems = [Path(name).stem for name in sources[0].names] if len(sources) == 1 else []
        numbers = [int(stem) for stem in stems if stem.isdecimal()]
        all_different = len(set(numbers)) == len(stems) > 0
        self.numbers = numbers if all_different and not sources[0].is_video else []

    def __call__(self, source: Source, index: int, timestamp: float | None) -> dict[str, Any]:
        """Return ``image_id`` and ``file_name`` of an image; of a frame also when it is.

        Args:
            source: One of the sources; frames of one come together.
            index: Index of the image or frame in its source.
            timestamp: Time of a frame, in seconds.
        """
        if source is not self.source:
            self.source, self.first = source, self.next
        number = self.numbers[index] if self.numbers else self.first + index
        self.next = max(self.next, number + 1)
        if not source.is_video:
            return dict(image_id=number, file_name=source.labels[index])
        place = dict(image_id=number, file_name=source.labels[0], frame=index)
        return place if timestamp is None else dict(place, timestamp=round(timestamp, 6))


def coco_results(people: Any) -> list[dict[str, Any]]:
    """People (``pred_instances``) as COCO's results: x, y and score of keypoints, and so on."""
    scores = score_instances('bbox_keypoint', people.bbox_scores, people.keypoint_scores)
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
