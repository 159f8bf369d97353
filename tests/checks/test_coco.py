"""check_coco: each kind of mistake is found, and nothing else."""

import json
import math
from pathlib import Path
from typing import Any

import mmpose
import pytest
from mmpose.datasets import CocoDataset
from support.annotation_files import (
    Edit,
    K,
    coco_annotations,
    edited,
    every_instance,
    image,
    instance,
    written,
)

from hrnet_plugin.checks import ImageRecord, check_coco


def sixteen(content: dict[str, Any]) -> None:
    for row in content['annotations'][2:]:
        row['keypoints'] = row['keypoints'] + [0, 0, 0]


def text_ids(content: dict[str, Any]) -> None:
    for row in content['images']:
        row['id'] = str(row['id'])
    for row in content['annotations']:
        row['image_id'] = str(row['image_id'])


FLAT = 'expected 3 numbers for each keypoint in one flat list: x, y, visibility'
ERRORS: dict[str, tuple[Edit, str]] = {
    'lists of lists': (
        every_instance(keypoints=[[20, 30, 2]] * K),
        f'the keypoints are a list of lists; {FLAT}: 4x',
    ),
    'pairs': (
        every_instance(keypoints=[20, 30] * K),
        f'the keypoints are pairs of x and y, without visibility; {FLAT}: 4x',
    ),
    'null keypoints': (
        lambda c: c['annotations'][1].update(keypoints=None),
        'the keypoints are null, with which MMPose fails: leave them out: 1x (annotation 11)',
    ),
    'empty but counted': (
        instance(keypoints=[]),
        'are an empty list, but num_keypoints is not 0: MMPose fails; make it 0: 1x (annotation',
    ),
    'null box': (
        lambda c: c['annotations'][1].update(bbox=None),
        'the bbox is null, with which MMPose fails',
    ),
    'text in a box': (instance(bbox=['10', '10', '40', '50']), 'the bbox is not four numbers'),
    'text keypoints': (
        instance(keypoints=['20', '30', '2'] * K),
        'keypoints hold something other than numbers: 1x',
    ),
    'null visibility': (
        instance(keypoints=[20, 30, None] * K),
        'a labelled keypoint or a visibility is not finite: 1x (annotation 11)',
    ),
    'area as text': (instance(area='900'), 'the area is no number: 1x (annotation 11)'),
    'counted as text': (instance(num_keypoints='2'), 'num_keypoints is no number: 1x'),
    'id is a list': (
        lambda c: c['annotations'][1].update(id=[11]),
        'the id is neither number nor text: 1x (annotation [11])',
    ),
    'image id is a list': (image(id=[2]), 'the id is neither number nor text: 1x (image [2])'),
    'infinite width': (image(width=math.inf), 'width and height are not numbers above 0: 1x'),
    'category without id': (
        lambda c: c['categories'].append(dict(name='cage')),
        'no id that is a number or text: 1x (category 1)',
    ),
    'categories no dicts': (
        lambda c: c['categories'].append('cage'),
        "'categories', entry 1, is 'cage'; expected",
    ),
    'no images': (lambda c: c.update(images=[], annotations=[]), 'it lists no images'),
    'no list': (lambda c: c.pop('annotations'), "no list of 'annotations'"),
    'same image id': (image(id=1), 'two images have the same id: 1x (image 1)'),
    'same id': (instance(id=10), 'two annotations have the same id: 1x (annotation 10)'),
    'text ids': (text_ids, "the id is text, with which MMPose's datasets fail"),
    'unknown image': (
        instance(image_id=7),
        "not among the 'images': 1x (annotation 11 (image_id 7))",
    ),
    'unknown category': (instance(category_id=9), '(annotation 11 (category_id 9))'),
    'no categories': (lambda c: c.pop('categories'), "no list of 'categories'"),
    'keypoint count': (sixteen, "the dataset's metainfo and other annotations have 3; MMPose"),
    'triples': (
        instance(keypoints=[1, 2, 2, 4]),
        'in one flat list: x, y, visibility: 1x (annotation 11)',
    ),
    'words': (instance(keypoints=['a'] * 9), 'keypoints hold something other than numbers: 1x'),
    'nan': (instance(keypoints=[math.nan, 1, 2] * 3), 'is not finite: 1x (annotation 11)'),
    'box of three': (instance(bbox=[1, 2, 3]), 'the bbox is not four numbers'),
    'infinite box': (instance(bbox=[1, 2, 3, math.inf]), 'the bbox is not four numbers'),
    'no file name': (image(file_name=None), 'no file_name: 1x (image 2)'),
    'no width': (image(width=None), 'width and height are not numbers above 0: 1x (image 2)'),
    'fractions': (
        every_instance(bbox=[0.1, 0.1, 0.4, 0.5]),
        'the boxes are in fractions of the image (0 to 1)',
    ),
    'keypoints in fractions': (
        every_instance(keypoints=[0.2, 0.3, 2, 0.4, 0.5, 1, 0, 0, 0]),
        'the keypoints are in fractions of the image (0 to 1)',
    ),
    'none counted': (every_instance(num_keypoints=0), 'no instance can be used'),
    'crowds only': (every_instance(iscrowd=1), 'no instance can be used'),
    'an odd row': (lambda c: c['annotations'].append('x'), "'annotations', entry 4, is 'x'; exp"),
}
WARNINGS: dict[str, tuple[Edit, str]] = {
    'id as text': (instance(id='11'), "the id is text: write a number: 1x (annotation '11')"),
    'no area': (instance(area=None), 'no area above 0, by which OKS measures'),
    'zero area': (instance(area=0), 'no area above 0, by which OKS measures'),
    'flat box': (instance(bbox=[10, 10, 0, 50]), 'has no width or no height: left out: 1x'),
    'box outside': (instance(bbox=[200, 10, 40, 50]), 'the bbox is outside of the image'),
    'tiny box': (instance(bbox=[10, 10, 0.5, 50]), 'the bbox is smaller than a pixel within'),
    'corners': (every_instance(bbox=[60, 50, 90, 75]), 'the boxes seem to be x1, y1, x2, y2'),
    'keypoints in a pixel': (
        instance(keypoints=[0.2, 0.3, 2, 0.4, 0.5, 1, 0, 0, 0]),
        'within the first pixel of the image: 1x (annotation 11)',
    ),
    'no box': (instance(bbox=None), 'no bbox: left out: 1x (annotation 11)'),
    'no keypoints': (instance(keypoints=None), 'no keypoints: nothing is learnt of them'),
    'empty keypoints': (
        instance(keypoints=[], num_keypoints=0, bbox=[10, 10, 40, 50]),
        'no keypoints: nothing is learnt of them: 1x (annotation 11)',
    ),
    'point outside': (
        instance(keypoints=[120, 30, 2, 40, 50, 1, 0, 0, 0]),
        'a labelled keypoint is outside of the image: 1x (annotation 11)',
    ),
    'visibility': (
        instance(keypoints=[20, 30, 0.5, 40, 50, 1, 0, 0, 0]),
        'a visibility is none of 0, 1 and 2',
    ),
    'count': (
        instance(num_keypoints=3),
        'labelled keypoints; where it is 0, the instance is left out: 1x',
    ),
}


@pytest.mark.parametrize(
    ('edit', 'message', 'is_error'),
    [(*case, True) for case in ERRORS.values()] + [(*case, False) for case in WARNINGS.values()],
    ids=[*ERRORS, *WARNINGS],
)
def test_mistakes(tmp_path: Path, edit: Edit, message: str, is_error: bool) -> None:
    found = check_coco(written(tmp_path, edited(edit)), K).findings
    (finding,) = [f for f in found if message in str(f)]
    assert finding.is_error == is_error
    assert str(tmp_path / 'instances.json') in str(finding)
    if not is_error:
        assert found == [finding]


@pytest.mark.parametrize(
    ('content', 'message'),
    [('{"images": [', 'cannot be read as JSON'), ('[]', "no list of 'images'")],
)
def test_other_files(tmp_path: Path, content: str, message: str) -> None:
    (finding,) = check_coco(written(tmp_path, content), K).findings
    assert message in finding.message
    (finding,) = check_coco(tmp_path / 'nowhere.json', K).findings
    assert finding.message == 'the file does not exist'
    (finding,) = check_coco('nowhere.json', K).findings
    assert (
        finding.message == f'the file does not exist, seen from the current folder, {Path.cwd()}'
    )


@pytest.mark.parametrize('value', [None, math.nan])
def test_unlabelled_coordinates_may_be_anything(tmp_path: Path, value: Any) -> None:
    content = edited(instance(keypoints=[20, 30, 2, 40, 50, 1, value, value, 0]))
    instances = check_coco(written(tmp_path, content), K)
    assert instances.findings == []
    assert instances.usable.tolist() == [0, 1, 2, 3]


def test_the_metainfo_is_blamed_only_if_nothing_fits_it(tmp_path: Path) -> None:
    path = written(tmp_path, coco_annotations())
    (finding,) = (f for f in check_coco(path, 4).findings if '3 keypoints' in f.message)
    assert finding.message.endswith('has 4; use the metainfo that belongs to these annotations')
    assert finding.count == 4
    # Nothing is said of a number of keypoints where there are none.
    path = written(tmp_path, edited(every_instance(keypoints=[], num_keypoints=0)))
    messages = [finding.message for finding in check_coco(path, K).findings]
    assert 'no keypoints: nothing is learnt of them' in messages
    assert not any('metainfo' in message for message in messages)


@pytest.mark.parametrize(
    ('encoding', 'name'),
    [('utf-8-sig', 'UTF-8 with a byte order mark'), ('utf-16', 'UTF-16')],
)
def test_encodings_that_mmpose_does_not_read(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(coco_annotations()), encoding=encoding)
    instances = check_coco(path, K)
    (finding,) = instances.findings
    assert f'the file is in {name}, which MMPose cannot read: save it as UTF-8' in finding.message
    assert finding.is_error
    assert len(instances.usable) == 4  # what else is wrong can be said all the same
    with pytest.raises(ValueError, match=r'utf-8|BOM|codec'):
        CocoDataset(ann_file=str(path))


def test_valid_annotations_pass(tmp_path: Path) -> None:
    instances = check_coco(written(tmp_path, coco_annotations()), K)
    assert instances.findings == []
    assert instances.usable.tolist() == [0, 1, 2, 3]
    assert instances.images == [
        ImageRecord(1, '1.png', (100, 80)),
        ImageRecord(2, '2.png', (100, 80)),
    ]
    assert instances.spread_rows(2).tolist() == [0, 3]


def test_everything_at_once(tmp_path: Path) -> None:
    content = edited(instance(bbox=[1, 2], image_id=5, area=0))
    content['annotations'][0]['category_id'] = 4
    content['annotations'][2]['keypoints'] = [1] * 7
    messages = [f.message for f in check_coco(written(tmp_path, content), K).findings]
    assert len(messages) == 5


def test_examples_are_few(tmp_path: Path) -> None:
    content = edited(every_instance(area=0))
    (finding,) = check_coco(written(tmp_path, content), K).findings
    assert finding.count == 4
    assert str(finding).endswith(': 4x (annotation 10, annotation 11, annotation 12, …)')


@pytest.mark.parametrize(
    'name',
    ['flat box', 'box outside', 'no box', 'no keypoints', 'empty keypoints', 'zero area', 'count'],
)
def test_usable_instances_are_those_of_mmpose(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, edited(WARNINGS[name][0]))
    info = dict(from_file=f'{Path(mmpose.__file__).parent}/.mim/configs/_base_/datasets/coco.py')
    theirs = CocoDataset(ann_file=str(path), metainfo=info, serialize_data=False)
    ids = [theirs.get_data_info(i)['id'] for i in range(len(theirs))]
    ours = check_coco(path, K)
    assert [ours.content['annotations'][i]['id'] for i in ours.usable] == ids
