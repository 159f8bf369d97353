"""check_units and check_samples: coordinates that are not in pixels."""

import numpy as np
from support.annotation_files import coco_annotations

from hrnet_plugin.checks import check_units
from hrnet_plugin.checks.samples import sample_problems


def test_units_of_anything() -> None:
    """Only what has the form of annotations is looked at; nothing else is complained of."""
    for content in (None, [], {}, dict(annotations=3), dict(annotations=[3, {}], images=4)):
        assert check_units('x', content) == []
    content = coco_annotations()
    content['annotations'].append('x')
    content['annotations'][0]['keypoints'] = [1, 2]
    content['annotations'][1]['bbox'] = [900, 10, 40, 50]
    content['images'][1]['width'] = None
    (finding,) = check_units('x', content)
    assert str(finding) == 'x: the bbox is outside of the image: 1x (annotation 11)'


def test_units_of_samples() -> None:
    sample = dict(
        bbox=np.array([[60, 50, 190, 70]]), keypoints=np.ones((1, 3, 2)) / 2, img_shape=(80, 100)
    )
    odd = dict(bbox=np.zeros((2, 4)), keypoints=np.zeros((1, 2, 2)))
    outside = dict(sample, bbox=np.array([[120, 50, 190, 70]]), keypoints=np.ones((1, 3, 2)) * 9)
    found = [(p.message, p.rows.tolist()) for p in sample_problems([sample, odd, outside])]
    assert found == [
        ('the bbox is outside of the image', [2]),
        ('all labelled keypoints are within the first pixel of the image', [0]),
    ]
