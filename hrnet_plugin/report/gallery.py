"""The gallery: the instances that cost most, of each kind of error, as what a page draws.

Letters for axes: D detections, G annotated instances, K keypoints.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..functional.coco.arrays import Annotations, Predictions
from ..functional.coco.ids import as_id
from .crops import Crop, region

SIZES = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, np.inf)}
OTHERS = 6  # further people in a crop whose outlines are drawn


@dataclass(frozen=True)
class Shown:
    """One card of the gallery: a detection, a missed person or a background detection.

    Attributes:
        model: Number of the result file, from 0.
        kind: ``'matched'``, ``'background'`` or ``'missed'``.
        errors: Errors that it has.
        detection: Index of the prediction; None for a missed person.
        annotation: Index of the annotation; None for a background detection.
        image_id: Id of the image.
        cost: Share of COCO's ten OKS thresholds that are lost by it; cards are sorted by it.
        codes: Codes (K,) of the keypoints, -1 where there is nothing to tell.
        score: Score of the prediction.
        oks: OKS with the annotation.
        size: ``'small'``, ``'medium'`` or ``'large'``.
    """

    model: int
    kind: str
    errors: tuple[str, ...]
    detection: int | None
    annotation: int | None
    image_id: Any
    cost: float
    codes: tuple[int, ...] = ()
    score: float | None = None
    oks: float | None = None
    size: str = 'medium'


@dataclass(frozen=True, eq=False)
class Scene:
    """Annotations and predictions of all images, to find what is in a crop.

    Attributes:
        annotations: The annotations.
        areas: Areas (G,) of the annotated instances.
        models: The predictions of each result file.
        sizes: Width and height of images, by id, where they are known.
        names: What to call an image, by id.
    """

    annotations: Annotations
    areas: np.ndarray
    models: Sequence[Predictions]
    sizes: dict[Any, tuple[float, float]]
    names: dict[Any, str]

    @cached_property
    def by_image(self) -> dict[Any, list[int]]:
        """Annotations of each image."""
        return _grouped(self.annotations.image_id)

    @cached_property
    def predictions_of(self) -> list[dict[Any, list[int]]]:
        """Predictions of each image, of each result file."""
        return [_grouped(model.image_id) for model in self.models]

    def name_of(self, image_id: Any) -> str:
        """Return what to call an image."""
        return self.names.get(image_id, f'image {image_id}')

    def box_of(self, shown: Shown) -> np.ndarray:
        """Return left, top, right and bottom (4,) of the part of the image to show."""
        points: list[np.ndarray] = []
        core = None
        if shown.annotation is not None:
            box = self.annotations.bbox[shown.annotation]
            keypoints = self.annotations.keypoints[shown.annotation]
            labelled = keypoints[keypoints[:, 2] > 0, :2]
            points.append(labelled)
            if box[2] > 0 and box[3] > 0:
                core = np.concatenate([box[:2], box[:2] + box[2:]])
            elif len(labelled):
                core = np.concatenate([labelled.min(axis=0), labelled.max(axis=0)])
        if shown.detection is not None:
            predicted = self.models[shown.model].keypoints[shown.detection, :, :2]
            points.append(predicted)
            if core is None:
                core = np.concatenate([predicted.min(axis=0), predicted.max(axis=0)])
        if core is None:
            core = np.array([0.0, 0, 64, 64])
        return region(
            np.concatenate([*points, np.zeros((0, 2))]), core, self.sizes.get(shown.image_id)
        )

    def box_of_image(self, image_id: Any) -> np.ndarray:
        """Return left, top, right and bottom (4,) of an image, or of the people in it."""
        if image_id in self.sizes:
            return np.array([0.0, 0.0, *self.sizes[image_id]])
        rows = self.by_image.get(image_id, [])
        points = self.annotations.keypoints[rows].reshape(-1, 3)
        points = points[points[:, 2] > 0, :2]
        if not len(points):
            return np.array([0.0, 0.0, 64.0, 64.0])
        core = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return region(points, core, None)

    def image_to_dict(
        self, model: int, image_id: Any, crop: Crop, oks: float, at_most: int
    ) -> dict[str, Any]:
        """Return an image with all its people as JSON has it."""
        predictions = self.models[model]
        rows = self.predictions_of[model].get(image_id, [])
        best = sorted(rows, key=lambda row: -predictions.score[row])[:at_most]
        return dict(
            model=model,
            kind='image',
            errors=[],
            image_id=image_id,
            file=self.name_of(image_id),
            oks=_rounded(oks, 4),
            score=None,
            size='',
            codes=[],
            width=crop.size[0],
            height=crop.size[1],
            predictions=[_outline(crop, predictions.keypoints[row], None) for row in best],
            truths=[self._truth(crop, row) for row in self.by_image.get(image_id, [])],
            others=[],
        )

    def to_dict(self, shown: Shown, crop: Crop) -> dict[str, Any]:
        """Return a card as JSON has it: what a page needs to draw it, without the image."""
        card: dict[str, Any] = dict(
            model=shown.model,
            kind=shown.kind,
            errors=list(shown.errors),
            image_id=shown.image_id,
            file=self.name_of(shown.image_id),
            cost=_rounded(shown.cost, 6),
            score=_rounded(shown.score, 4),
            oks=_rounded(shown.oks, 4),
            size=shown.size,
            codes=list(shown.codes),
            box=[_rounded(v, 1) for v in crop.box],
            width=crop.size[0],
            height=crop.size[1],
        )
        card.update(predictions=[], truths=[])
        if shown.detection is not None:
            card['detection'] = shown.detection
            keypoints = self.models[shown.model].keypoints[shown.detection]
            card['predictions'].append(_outline(crop, keypoints, None))
        if shown.annotation is not None:
            card['annotation_id'] = as_id(self.annotations.id[shown.annotation])
            card['truths'].append(self._truth(crop, shown.annotation))
        rows = [r for r in self.by_image.get(shown.image_id, ()) if r != shown.annotation]
        card['others'] = [
            outline
            for row in rows[: 4 * OTHERS]
            if (outline := self._truth(crop, row)) and _is_inside(outline, crop)
        ][:OTHERS]
        return card

    def _truth(self, crop: Crop, row: int) -> list[Any]:
        keypoints = self.annotations.keypoints[row]
        return _outline(crop, keypoints, keypoints[:, 2] > 0)


def _grouped(image_ids: np.ndarray) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for row, image_id in enumerate(image_ids.tolist()):
        rows.setdefault(as_id(image_id), []).append(row)
    return rows


def _outline(crop: Crop, keypoints: np.ndarray, labelled: np.ndarray | None) -> list[Any]:
    """Return x and y of each keypoint in the crop, null where it is not labelled."""
    places = np.clip(np.nan_to_num(crop.place(keypoints[:, :2])), -9999, 9999).round(1)
    return [
        None if labelled is not None and not is_labelled else [x, y]
        for (x, y), is_labelled in zip(
            places.tolist(), [True] * len(places) if labelled is None else labelled
        )
    ]


def _is_inside(outline: Iterable[Any], crop: Crop) -> bool:
    width, height = crop.size
    return any(p is not None and 0 <= p[0] <= width and 0 <= p[1] <= height for p in outline)


def _rounded(value: Any, digits: int) -> Any:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def size_name(area: float) -> str:
    """Return COCO's name of an area."""
    return next((name for name, (_, high) in SIZES.items() if area < high), 'large')


def choose(candidates: Sequence[Shown], at_most: int) -> list[Shown]:
    """Choose the costliest cards, as many of each kind of error as there is room for.

    Kinds take turns, each with its costliest card that was not chosen yet, so that frequent errors
    do not crowd out rare ones.

    Args:
        candidates: All cards.
        at_most: How many to choose.

    Returns:
        The chosen cards, the costliest first.
    """
    # Of equal costs, wrong detections of high score come first: they hurt AP most.
    order = sorted(
        range(len(candidates)),
        key=lambda n: (-candidates[n].cost, -(candidates[n].score or 0), n),
    )
    queues: dict[tuple[int, str], list[int]] = {}
    for number in order:
        for error in candidates[number].errors:
            queues.setdefault((candidates[number].model, error), []).append(number)
    waiting = {key: iter(queue) for key, queue in sorted(queues.items())}
    chosen: set[int] = set()
    while waiting and len(chosen) < at_most:
        for key in list(waiting):
            following = next((n for n in waiting[key] if n not in chosen), None)
            if following is None:
                del waiting[key]
            elif len(chosen) < at_most:
                chosen.add(following)
    return [candidates[n] for n in order if n in chosen]
