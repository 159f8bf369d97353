"""What each task reads beside the images: label maps, classes, and their names."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backdrop import SETTINGS
from .body import PART_NAMES
from .render import LabelMap
from .scene import Scene

TASKS = ('pose', 'detection', 'segmentation', 'classification')

Colour = tuple[int, int, int]  # RGB


@dataclass(frozen=True)
class Segmentation:
    """The classes of a set of label maps, from label 0 on, and their colours."""

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]

    @property
    def metainfo(self) -> dict[str, Any]:
        """MMSegmentation's metainfo, and the pairs of labels that swap when images are flipped."""
        pairs = [
            [self.classes.index(name), self.classes.index(name.replace('left', 'right'))]
            for name in self.classes
            if name.startswith('left')
        ]
        return {'classes': self.classes, 'palette': self.palette, 'swap_seg_labels': pairs}


SEGMENTATIONS = {
    'person': Segmentation(('background', 'person'), ((0, 0, 0), (220, 60, 60))),
    'parts': Segmentation(
        PART_NAMES,
        (
            (0, 0, 0),
            (240, 220, 60),
            (150, 150, 150),
            (20, 130, 220),
            (220, 90, 30),
            (110, 200, 255),
            (255, 170, 110),
            (20, 120, 60),
            (150, 30, 110),
            (120, 220, 120),
            (240, 130, 210),
        ),
    ),
}

CLASSIFICATIONS = {
    'people': ('none', 'one', 'two', 'three_or_more'),
    'setting': SETTINGS,
}


def checked_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """Return tasks in the order of TASKS, with ``'pose'``, which every dataset serves."""
    if isinstance(tasks, str):
        raise ValueError(f'tasks is {tasks!r}; write it as a tuple, ({tasks!r},)')
    named = ['pose', *tasks]
    for task in named:
        if task not in TASKS:
            raise ValueError(f'{task!r} in tasks is not one of {", ".join(TASKS)}')
    return tuple(task for task in TASKS if task in named)


def label_maps(scene: Scene) -> dict[str, LabelMap]:
    """Return the label map (h, w) of each of SEGMENTATIONS."""
    if scene.part_labels is None:
        raise ValueError('the scene has no part labels; render it with part_labels=True')
    return {'person': (scene.part_labels > 0).astype(np.uint8), 'parts': scene.part_labels}


def image_labels(scene: Scene) -> dict[str, int]:
    """Return the label of an image in each of CLASSIFICATIONS; a crowd is three or more people."""
    people = sum(3 if annotation['iscrowd'] else 1 for annotation in scene.annotations)
    return {'people': min(people, 3), 'setting': SETTINGS.index(scene.setting)}


def write_label_map(path: Path, labels: NDArray[np.uint8], palette: Iterable[Colour]) -> None:
    """Write a PNG whose pixels are labels, and whose palette shows them in colours."""
    from PIL import Image

    image = Image.fromarray(labels)
    image.putpalette([channel for colour in palette for channel in colour])
    image.save(path)
