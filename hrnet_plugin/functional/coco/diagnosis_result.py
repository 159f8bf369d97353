"""What a diagnosis of keypoint errors returns.

Letters for axes: D predictions, G annotations, K keypoints, E kinds of keypoints, R recall steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .result import ReadableAsDict

# Names of the codes 0 to 4
ERROR_NAMES = ('good', 'jitter', 'inversion', 'swap', 'miss')
NO_CODE, GOOD, JITTER, INVERSION, SWAP, MISS = range(-1, 5)

# Steps of KeypointDiagnosis.costs, of which each also corrects what those before it do
COST_STEPS = (
    'predicted',
    'miss',
    'swap',
    'inversion',
    'jitter',
    'score',
    'background',
    'missed',
)
# OKS thresholds of the precision-recall curves of each step
CURVE_THRESHOLDS = (0.5, 0.75, 0.85)


@dataclass(frozen=True, eq=False)
class CorrectedPrecision:
    """Average precision of predictions of which some errors are corrected.

    Attributes:
        ap: AP, the mean over COCO's ten OKS thresholds; -1 without annotated instances.
        auc50: Area under the precision-recall curve at an OKS threshold of 0.5, which is the AP
            at this threshold.
        auc75: The same at 0.75.
        auc85: The same at 0.85.
        precision: Precision (3, R) at ``RECALL_STEPS`` (0, 0.01, … 1) and OKS thresholds of 0.5,
            0.75 and 0.85, the mean over categories; -1 without annotated instances.
    """

    ap: float
    auc50: float
    auc75: float
    auc85: float
    precision: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class KeypointDiagnosis(ReadableAsDict):
    """Errors of predicted keypoints, and what they cost.

    Predictions and annotations are in the order in which they were given. Values can be read by
    the names of the attributes, too: ``diagnosis['codes']``, ``diagnosis.to_dict()``.
    ``print(diagnosis)`` shows two tables.

    Attributes:
        codes: (D, K), int8: 0 good, 1 jitter, 2 inversion, 3 swap, 4 miss; -1 if the prediction
            is not matched to an annotation that counts, the keypoint is not labelled there, or
            its similarity is exactly 0.85 at the right place.
        matched: Index (D,) of the annotation that each prediction is matched to, ignored ones
            (crowds, and those without labelled keypoints) included; -1 if there is none.
        similarity: (D, K), similarity with the same keypoint of the matched annotation; NaN if
            that does not count or the keypoint is not labelled.
        best_similarity: (D, K), the largest similarity with this keypoint or its mirror partner
            in any instance of the image; NaN where ``similarity`` is.
        best_annotation: (D, K), index of the annotation in which that is; -1 where there is none.
        best_keypoint: (D, K), index of the annotated keypoint which that is, k or its mirror
            partner; -1 where there is none.
        oks: OKS (D,) with the matched annotation; NaN if there is none.
        counts: (K, 5), number of keypoints of each code from 0 to 4.
        counted: (D,), predictions that count: of listed categories and among the ``max_dets``
            best of their image.
        background: (D,), false positives: predictions that count and are matched to nothing,
            duplicates included.
        cost_of_instance: (D,), share of COCO's ten OKS thresholds at which a prediction is wrong
            because of its errors: those that its OKS does not reach, but would if each of its
            keypoints with a jitter, inversion, swap or miss were where it is annotated. 1 for
            ``background``; 0 for predictions that do not count or are matched to an ignored
            annotation. A missed annotation costs all ten thresholds, too.
        evaluated: (G,), annotations that count.
        missed: (G,), annotations that count and that no prediction is matched to.
        recalled: (G,), annotations that count and are matched at an OKS threshold of 0.5.
        area: Areas (G,) by which similarities are computed, in square pixels; NaN where an
            annotation is of an image or a category that is not listed.
        costs: Precision after each step of ``COST_STEPS``, by their names and in their order.
            Each also corrects what those before it do.
        notes: Sentences about what the data did not allow, and what was done instead.
    """

    codes: np.ndarray = field(repr=False)
    matched: np.ndarray = field(repr=False)
    similarity: np.ndarray = field(repr=False)
    best_similarity: np.ndarray = field(repr=False)
    best_annotation: np.ndarray = field(repr=False)
    best_keypoint: np.ndarray = field(repr=False)
    oks: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)
    counted: np.ndarray = field(repr=False)
    background: np.ndarray = field(repr=False)
    cost_of_instance: np.ndarray = field(repr=False)
    evaluated: np.ndarray = field(repr=False)
    missed: np.ndarray = field(repr=False)
    recalled: np.ndarray = field(repr=False)
    area: np.ndarray = field(repr=False)
    costs: Mapping[str, CorrectedPrecision]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the values by the names of the attributes."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __str__(self) -> str:
        """Return how many keypoints have which error, and what errors cost, as tables."""
        totals = self.counts.sum(axis=0).tolist()
        lines = [f'{"keypoints":10}  {"number":>8}   share']
        for name, number in zip(ERROR_NAMES, totals):
            lines.append(f'{name:10}  {number:8}  {number / max(1, sum(totals)):6.1%}')
        lines += ['', f'{"corrected":10}  {"AP":>6}  {"AUC50":>6}  {"AUC75":>6}  {"AUC85":>6}']
        for name, step in self.costs.items():
            values = (step.ap, step.auc50, step.auc75, step.auc85)
            lines.append(f'{name:10}  ' + '  '.join(f'{value:6.3f}' for value in values))
        return '\n'.join([*lines, *(['', *self.notes] if self.notes else [])])
