"""check_boxes: each kind of mistake is found, and nothing else."""

import json
from pathlib import Path

import pytest
from support.annotation_files import (
    Edit,
    K,
    coco_annotations,
    detections,
    edited,
    every_instance,
    written,
)

from hrnet_plugin.checks import check_boxes, check_coco


@pytest.mark.parametrize(
    ('edit', 'message', 'is_error'),
    [
        (lambda d: [b.update(image_id=9) for b in d], 'none of its image ids is one', True),
        (lambda d: d[0].update(image_id=9), 'do not list this image: MMPose fails', True),
        (lambda d: d.pop(), 'annotated instances, but no detection: they count as missed', False),
        (lambda d: [b.update(category_id=0) for b in d], 'no detection is of category 1', True),
        (lambda d: d[0].update(category_id=3), 'not of category 1: left out', False),
        (lambda d: d[0].pop('score'), 'no score, or one that is no finite number', True),
        (lambda d: d[0].update(score=99), 'the score is not between 0 and 1', False),
        (lambda d: d[0].update(bbox=[1, 2, 3]), 'the bbox is not four finite numbers', True),
        (lambda d: d[0].update(bbox=[1, 2, 0, 3]), 'the bbox has no width or no height', False),
        (lambda d: d[0].update(score=None), 'no score, or one that is no finite number', True),
        (lambda d: d[0].update(bbox=[99, 2, 9, 3]), 'outside of the image: 1x (detec', False),
        (lambda d: [b.update(bbox=[0, 0, 0.5, 1]) for b in d], 'in fractions of the', True),
        (lambda d: [b.update(bbox=[60, 50, 90, 75]) for b in d], 'seem to be x1, y1', False),
    ],
)
def test_mistakes(tmp_path: Path, edit: Edit, message: str, is_error: bool) -> None:
    instances = check_coco(written(tmp_path, coco_annotations()), K)
    boxes = detections()
    edit(boxes)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(boxes))
    (finding,) = check_boxes(path, instances)[0]
    assert message in str(finding)
    assert finding.is_error == is_error


def test_category_1_is_not_person(tmp_path: Path) -> None:
    content = edited(every_instance(category_id=9))
    content['categories'] = [dict(id=1, name='chair'), dict(id=9, name='person')]
    instances = check_coco(written(tmp_path, content), K)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(detections()))
    (finding,) = check_boxes(path, instances)[0]
    assert finding.is_error
    assert "category 1, which the annotations call 'chair'; their 'person' is 9" in str(finding)


def test_valid_boxes_pass(tmp_path: Path) -> None:
    instances = check_coco(written(tmp_path, coco_annotations()), K)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(detections()))
    assert check_boxes(path, instances) == ([], detections())
    path.write_text('{}')
    assert 'not a list of detections' in str(check_boxes(path, instances)[0])
