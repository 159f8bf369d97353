"""The tasks whose models are converted: one row each, with the names that OpenMMLab gives them."""

from dataclasses import dataclass
from typing import Literal

Task = Literal['pose', 'segmentation', 'detection', 'classification']


@dataclass(frozen=True)
class TaskNames:
    """What tells the models of a task apart.

    Attributes:
        toolbox: The package of OpenMMLab whose names the converted models have.
        final: Pattern of the name of the final layer's weight, one row for each output.
        outputs: What the outputs of the final layer are.
    """

    toolbox: str
    final: str
    outputs: str


TASKS: dict[Task, TaskNames] = {
    'pose': TaskNames('MMPose', r'head\.final_layer\.weight', 'keypoints'),
    'segmentation': TaskNames('MMSegmentation', r'decode_head\.(1\.)?conv_seg\.weight', 'classes'),
    'detection': TaskNames('MMDetection', r'roi_head\.mask_head\.conv_logits\.weight', 'classes'),
    'classification': TaskNames('MMPretrain', r'head\.fc\.weight', 'classes'),
}
