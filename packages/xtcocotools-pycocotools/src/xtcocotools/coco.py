"""``COCO``: annotations in COCO format, with what xtcocotools has beyond pycocotools."""

import copy
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO as _COCO

__all__ = ['COCO']


class COCO(_COCO):
    """Annotations in COCO format, with an index by image and category.

    Every annotation gets ``iscrowd``, False where it has none.

    Args:
        annotation_file: A JSON file in COCO format; without it and ``ann_data``, the dataset is
            empty.
        test_index: Indices of the keypoints that the annotations keep, in this order.
        ann_data: The content of the file, where it is in memory already. It is not copied.

    Attributes:
        anno_file: The annotation file and, after the first ``loadRes``, the results given to it.
    """

    def __init__(
        self,
        annotation_file: str | os.PathLike[str] | None = None,
        test_index: Sequence[int] | None = None,
        ann_data: dict[str, Any] | None = None,
    ) -> None:
        if ann_data is None:
            super().__init__(annotation_file)
        elif isinstance(ann_data, dict):
            super().__init__()
            self.dataset = ann_data
            self.createIndex()
        else:
            raise TypeError(f'ann_data must be a dict in COCO format, not {type(ann_data)}')
        self.anno_file: list[Any] = [annotation_file]
        self.test_index = test_index
        for ann in self.dataset.get('annotations', ()):
            ann.setdefault('iscrowd', False)
            if test_index is not None:
                keypoints = np.reshape(ann['keypoints'], (-1, 3))[test_index]
                ann['keypoints'] = keypoints.ravel().tolist()

    def getAnnIds(
        self, imgIds: Any = (), catIds: Any = (), areaRng: Any = (), iscrowd: bool | None = None
    ) -> list[Any]:
        """Ids of the annotations that pass every filter given.

        Args:
            imgIds: Ids of images, or one id.
            catIds: Ids of categories, or one id.
            areaRng: The smallest area, included, and the largest, excluded, in pixels.
            iscrowd: Whether the annotations are crowds.
        """
        ids = super().getAnnIds(_listed(imgIds), _listed(catIds), (), iscrowd)
        if not len(areaRng):
            return ids
        low, high = areaRng
        return [id_ for id_ in ids if low <= self.anns[id_]['area'] < high]

    def getCatIds(self, catNms: Any = (), supNms: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of the categories of these names, names of supercategories, and ids; or of one."""
        return super().getCatIds(_listed(catNms), _listed(supNms), _listed(catIds))

    def getImgIds(self, imgIds: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of the images among ``imgIds`` that have annotations of all of ``catIds``."""
        return super().getImgIds(_listed(imgIds), _listed(catIds))

    def showAnns(self, anns: list[dict[str, Any]], draw_bbox: bool = False) -> Any:
        """Draw annotations with matplotlib; where there is no segmentation, the bounding box."""
        return super().showAnns([_with_outline(ann) for ann in anns], draw_bbox)

    def loadRes(self, resFile: Any, resData: list[dict[str, Any]] | None = None) -> 'COCO':
        """Results of a model as a ``COCO`` of their own, which may be empty.

        Args:
            resFile: A JSON file of results; or the results: a list of dicts, which get ``id`` and
                what else they miss, or an array of (N, 7): image id, x, y, width, height, score
                and category id.
            resData: The content of the file, where it is in memory already.

        Raises:
            AssertionError: The results are not a list, or of an image that the dataset lacks.
        """
        if len(self.anno_file) == 1:
            self.anno_file.append(resFile)
        anns = resFile
        if isinstance(resFile, str) and resData is not None:
            anns = resData
        elif isinstance(resFile, str):
            with open(resFile) as file:
                anns = json.load(file)
        elif isinstance(resFile, np.ndarray):
            anns = self.loadNumpyAnnotations(resFile)
        results = COCO()
        if isinstance(anns, list) and not anns:  # pycocotools looks at the first one
            kept = {
                name: copy.copy(self.dataset.get(name, [])) for name in ('images', 'categories')
            }
            results.dataset = {**kept, 'annotations': []}
            results.createIndex()
        else:
            # Its results are of its own class: take their content.
            loaded = super().loadRes(anns)
            results.__dict__.update(vars(loaded))
        return results


def _listed(values: Any) -> Iterable[Any]:
    """Keep a string from being taken for a list of characters."""
    return [values] if isinstance(values, str) else values


def _with_outline(ann: dict[str, Any]) -> dict[str, Any]:
    if 'bbox' not in ann or 'segmentation' in ann:
        return ann
    x, y, width, height = ann['bbox']
    right, bottom = x + width, y + height
    return {**ann, 'segmentation': [[x, y, x, bottom, right, bottom, right, y]]}
