"""The tasks whose models are converted: one row each."""

from dataclasses import dataclass
from typing import Literal

Task = Literal['pose', 'segmentation', 'detection', 'classification']


@dataclass(frozen=True)
class TaskNames:
    """What the models of a task have.

    Attributes:
        final: Pattern of OpenMMLab's name of the final layer's weight, one row for each output.
        outputs: What the outputs of the final layer are.
    """

    final: str
    outputs: str


TASKS: dict[Task, TaskNames] = {
    'pose': TaskNames(r'head\.final_layer\.weight', 'keypoints'),
    'segmentation': TaskNames(r'decode_head\.(1\.)?conv_seg\.weight', 'classes'),
    'detection': TaskNames(
        r'roi_head\.bbox_head\.(\d+\.)?fc_cls\.weight', 'classes with background'
    ),
    'classification': TaskNames(r'head\.fc\.weight', 'classes'),
}
