"""What an evaluation returns: numbers and arrays by attribute, or by COCO's names.

Letters for axes: D detections, G annotated instances, T OKS thresholds, A area ranges,
C categories, R recall steps.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# COCO's area ranges, whose values have attributes and keys of their own
COCO_AREAS = ('all', 'medium', 'large')


class ReadableAsDict(Mapping[str, Any]):
    """A result that can also be read as the dict that :meth:`to_dict` returns."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the values by COCO's names."""

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


@dataclass(frozen=True, eq=False)
class KeypointMatches(ReadableAsDict):
    """Which detections are matched to which annotations.

    Attributes:
        detection: Indices (D,) of the predictions that count, sorted by category, image and
            descending score; key ``dt``.
        matched_annotation: Index (D, A, T) of the annotation that each is matched to, or -1; key
            ``gt``.
        annotation: Indices (G,) of the annotations that were read, those of listed categories;
            key ``gt_row``.
        detection_ignored: (D, A, T), detections that are neither right nor wrong: matched to an
            ignored instance, or not matched and outside of the area range; key ``dt_ignore``.
        annotation_ignored: (G, A), annotations that are ignored: crowds, those without labelled
            keypoints, and those outside of the area range; key ``gt_ignore``.
    """

    detection: np.ndarray = field(repr=False)
    matched_annotation: np.ndarray = field(repr=False)
    annotation: np.ndarray = field(repr=False)
    detection_ignored: np.ndarray = field(repr=False)
    annotation_ignored: np.ndarray = field(repr=False)

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return ``dt``, ``gt``, ``gt_row``, ``dt_ignore`` and ``gt_ignore``."""
        return dict(
            dt=self.detection,
            gt=self.matched_annotation,
            gt_row=self.annotation,
            dt_ignore=self.detection_ignored,
            gt_ignore=self.annotation_ignored,
        )


@dataclass(frozen=True, eq=False)
class KeypointEvaluation(ReadableAsDict):
    """Average precision and recall of keypoints, as COCO defines them.

    AP and AR are means over OKS thresholds and categories, -1 where there is no annotated instance
    or no such threshold or area range. ``print(evaluation)`` shows a table. Values can be read by
    COCO's names, too: ``evaluation['AP50']``, ``{**evaluation}``, ``evaluation.to_dict()``.

    Attributes:
        ap: AP over all thresholds; key ``AP``.
        ap50: AP at an OKS threshold of 0.5; key ``AP50``.
        ap75: AP at an OKS threshold of 0.75; key ``AP75``.
        ap_medium: AP of instances of medium area; key ``APM``.
        ap_large: AP of instances of large area; key ``APL``.
        ar: AR over all thresholds; key ``AR``.
        ar50: AR at an OKS threshold of 0.5; key ``AR50``.
        ar75: AR at an OKS threshold of 0.75; key ``AR75``.
        ar_medium: AR of instances of medium area; key ``ARM``.
        ar_large: AR of instances of large area; key ``ARL``.
        ap_by_area: AP of each area range by its name; keys of other than COCO's: ``AP_name``.
        ar_by_area: AR of each area range by its name; keys of other than COCO's: ``AR_name``.
        oks: Mean OKS of the instances that are matched at the lowest threshold, -1 if there is
            none; key ``OKS``.
        precision: Precision (T, R, C, A, 1) at each recall step, laid out as in pycocotools, -1
            without annotated instances.
        recall: Highest recall (T, C, A, 1).
        scores: Score (T, R, C, A, 1) at which each recall step is reached.
        oks_thresholds: OKS thresholds (T,).
        max_dets: Number of predictions that count in each image.
        matches: Matches of detections and annotations, if asked for.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float
    ap_by_area: Mapping[str, float]
    ar_by_area: Mapping[str, float]
    oks: float
    precision: np.ndarray = field(repr=False)
    recall: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    oks_thresholds: np.ndarray = field(repr=False)
    max_dets: int = field(repr=False)
    matches: KeypointMatches | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by COCO's names, and matches as a dict, if there are any."""
        matches = {} if self.matches is None else dict(matches=self.matches.to_dict())
        return {**self._values(), **matches}

    def __getitem__(self, name: str) -> Any:
        if name == 'matches' and self.matches is not None:
            return self.matches
        return self._values()[name]

    def _values(self) -> dict[str, Any]:
        return dict(
            AP=self.ap,
            AP50=self.ap50,
            AP75=self.ap75,
            APM=self.ap_medium,
            APL=self.ap_large,
            **_of_other_ranges('AP', self.ap_by_area),
            AR=self.ar,
            AR50=self.ar50,
            AR75=self.ar75,
            ARM=self.ar_medium,
            ARL=self.ar_large,
            **_of_other_ranges('AR', self.ar_by_area),
            precision=self.precision,
            recall=self.recall,
            scores=self.scores,
            OKS=self.oks,
        )

    def __str__(self) -> str:
        """Return AP and AR as a table, with the rows of COCO's summary."""
        low, high = self.oks_thresholds.min(), self.oks_thresholds.max()
        every = f'{low:.2f}:{high:.2f}' if low < high else f'{low:.2f}'
        width = max(len('area'), *map(len, self.ap_by_area))
        lines = [f'{"metric":17}  {"OKS":9}  {"area":{width}}  max_dets  value']
        for metric, (mean, at50, at75), by_area in (
            ('average precision', (self.ap, self.ap50, self.ap75), self.ap_by_area),
            ('average recall', (self.ar, self.ar50, self.ar75), self.ar_by_area),
        ):
            rows = [(every, 'all', mean), ('0.50', 'all', at50), ('0.75', 'all', at75)]
            rows += [(every, name, v) for name, v in by_area.items() if name != 'all']
            lines += [
                f'{metric:17}  {threshold:9}  {area:{width}}  {self.max_dets:8}  {value:5.3f}'
                for threshold, area, value in rows
            ]
        return '\n'.join(lines)


def _of_other_ranges(metric: str, by_area: Mapping[str, float]) -> dict[str, float]:
    """Return the values of area ranges that are not COCO's, by their keys."""
    return {f'{metric}_{name}': v for name, v in by_area.items() if name not in COCO_AREAS}
