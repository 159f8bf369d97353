"""Broken data sets: each kind of mistake is found, and nothing else."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mmpose
import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from scipy.io import savemat

from hrnet_plugin.checks import (
    Findings,
    ImageRecord,
    check_boxes,
    check_coco,
    check_images,
    check_metainfo,
    check_mpii,
    check_units,
)
from hrnet_plugin.checks.images import is_cut_short
from hrnet_plugin.checks.samples import sample_problems

Edit = Callable[[Any], object]
K = 3


def good() -> dict[str, Any]:
    """Two images of 100x80, with two people of three keypoints each."""
    people = [
        dict(
            id=10 + i,
            image_id=1 + i // 2,
            category_id=1,
            bbox=[10, 10, 40, 50],
            area=900.0,
            iscrowd=0,
            num_keypoints=2,
            keypoints=[20, 30, 2, 40, 50, 1, 0, 0, 0],
        )
        for i in range(4)
    ]
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=100, height=80) for i in (1, 2)],
        annotations=people,
        categories=[dict(id=1, name='person')],
    )


def written(folder: Path, content: Any) -> Path:
    path = folder / 'people.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def edited(edit: Edit) -> dict[str, Any]:
    content = good()
    edit(content)
    return content


def person(**changes: Any) -> Edit:
    """Change the second person; None takes away."""

    def edit(content: dict[str, Any]) -> None:
        row = content['annotations'][1]
        row.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del row[name]

    return edit


def image(**changes: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        content['images'][1].update(changes)

    return edit


def everybody(**changes: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        for row in content['annotations']:
            row.update(changes)

    return edit


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
        everybody(keypoints=[[20, 30, 2]] * K),
        f'the keypoints are a list of lists; {FLAT}: 4x',
    ),
    'pairs': (
        everybody(keypoints=[20, 30] * K),
        f'the keypoints are pairs of x and y, without visibility; {FLAT}: 4x',
    ),
    'null keypoints': (
        lambda c: c['annotations'][1].update(keypoints=None),
        'the keypoints are null, with which MMPose fails: leave them out: 1x (annotation 11)',
    ),
    'empty but counted': (
        person(keypoints=[]),
        'are an empty list, but num_keypoints is not 0: MMPose fails; make it 0: 1x (annotation',
    ),
    'null box': (
        lambda c: c['annotations'][1].update(bbox=None),
        'the bbox is null, with which MMPose fails',
    ),
    'text in a box': (person(bbox=['10', '10', '40', '50']), 'the bbox is not four numbers'),
    'text keypoints': (
        person(keypoints=['20', '30', '2'] * K),
        'keypoints hold something other than numbers: 1x',
    ),
    'null visibility': (
        person(keypoints=[20, 30, None] * K),
        'a labelled keypoint or a visibility is not finite: 1x (annotation 11)',
    ),
    'area as text': (person(area='900'), 'the area is no number: 1x (annotation 11)'),
    'counted as text': (person(num_keypoints='2'), 'num_keypoints is no number: 1x'),
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
    'same id': (person(id=10), 'two annotations have the same id: 1x (annotation 10)'),
    'text ids': (text_ids, "the id is text, with which MMPose's datasets fail"),
    'unknown image': (
        person(image_id=7),
        "not among the 'images': 1x (annotation 11 (image_id 7))",
    ),
    'unknown category': (person(category_id=9), '(annotation 11 (category_id 9))'),
    'no categories': (lambda c: c.pop('categories'), "no list of 'categories'"),
    'keypoint count': (sixteen, "the dataset's metainfo and other annotations have 3; MMPose"),
    'triples': (
        person(keypoints=[1, 2, 2, 4]),
        'in one flat list: x, y, visibility: 1x (annotation 11)',
    ),
    'words': (person(keypoints=['a'] * 9), 'keypoints hold something other than numbers: 1x'),
    'nan': (person(keypoints=[math.nan, 1, 2] * 3), 'is not finite: 1x (annotation 11)'),
    'box of three': (person(bbox=[1, 2, 3]), 'the bbox is not four numbers'),
    'infinite box': (person(bbox=[1, 2, 3, math.inf]), 'the bbox is not four numbers'),
    'no file name': (image(file_name=None), 'no file_name: 1x (image 2)'),
    'no width': (image(width=None), 'width and height are not numbers above 0: 1x (image 2)'),
    'fractions': (
        everybody(bbox=[0.1, 0.1, 0.4, 0.5]),
        'the boxes are in fractions of the image (0 to 1)',
    ),
    'keypoints in fractions': (
        everybody(keypoints=[0.2, 0.3, 2, 0.4, 0.5, 1, 0, 0, 0]),
        'the keypoints are in fractions of the image (0 to 1)',
    ),
    'nobody': (everybody(num_keypoints=0), 'no instance can be used'),
    'crowds only': (everybody(iscrowd=1), 'no instance can be used'),
    'an odd row': (lambda c: c['annotations'].append('x'), "'annotations', entry 4, is 'x'; exp"),
}
WARNINGS: dict[str, tuple[Edit, str]] = {
    'id as text': (person(id='11'), "the id is text: write a number: 1x (annotation '11')"),
    'no area': (person(area=None), 'no area above 0, by which OKS measures'),
    'zero area': (person(area=0), 'no area above 0, by which OKS measures'),
    'flat box': (person(bbox=[10, 10, 0, 50]), 'has no width or no height: left out: 1x'),
    'box outside': (person(bbox=[200, 10, 40, 50]), 'the bbox is outside of the image'),
    'tiny box': (person(bbox=[10, 10, 0.5, 50]), 'the bbox is smaller than a pixel within'),
    'corners': (everybody(bbox=[60, 50, 90, 75]), 'the boxes seem to be x1, y1, x2, y2'),
    'keypoints in a pixel': (
        person(keypoints=[0.2, 0.3, 2, 0.4, 0.5, 1, 0, 0, 0]),
        'within the first pixel of the image: 1x (annotation 11)',
    ),
    'no box': (person(bbox=None), 'no bbox: left out: 1x (annotation 11)'),
    'no keypoints': (person(keypoints=None), 'no keypoints: nothing is learnt of them'),
    'empty keypoints': (
        person(keypoints=[], num_keypoints=0, bbox=[10, 10, 40, 50]),
        'no keypoints: nothing is learnt of them: 1x (annotation 11)',
    ),
    'point outside': (
        person(keypoints=[120, 30, 2, 40, 50, 1, 0, 0, 0]),
        'a labelled keypoint is outside of the image: 1x (annotation 11)',
    ),
    'visibility': (
        person(keypoints=[20, 30, 0.5, 40, 50, 1, 0, 0, 0]),
        'a visibility is none of 0, 1 and 2',
    ),
    'count': (
        person(num_keypoints=3),
        'labelled keypoints; where it is 0, the instance is left out: 1x',
    ),
}


# user_pains 8
@pytest.mark.parametrize(
    ('edit', 'message', 'is_error'),
    [(*case, True) for case in ERRORS.values()] + [(*case, False) for case in WARNINGS.values()],
    ids=[*ERRORS, *WARNINGS],
)
def test_finds_what_is_wrong(tmp_path: Path, edit: Edit, message: str, is_error: bool) -> None:
    found = check_coco(written(tmp_path, edited(edit)), K).findings
    (finding,) = [f for f in found if message in str(f)]
    assert finding.is_error == is_error
    assert str(tmp_path / 'people.json') in str(finding)
    if not is_error:
        assert found == [finding]


@pytest.mark.parametrize(
    ('content', 'message'),
    [('{"images": [', 'cannot be read as JSON'), ('[]', "no list of 'images'")],
)
def test_what_is_no_annotation_file(tmp_path: Path, content: str, message: str) -> None:
    (finding,) = check_coco(written(tmp_path, content), K).findings
    assert message in finding.message
    (finding,) = check_coco(tmp_path / 'nowhere.json', K).findings
    assert finding.message == 'the file does not exist'
    (finding,) = check_coco('nowhere.json', K).findings
    assert (
        finding.message == f'the file does not exist, seen from the current folder, {Path.cwd()}'
    )


@pytest.mark.parametrize('value', [None, math.nan])
def test_coordinates_of_what_is_not_labelled_may_be_anything(tmp_path: Path, value: Any) -> None:
    content = edited(person(keypoints=[20, 30, 2, 40, 50, 1, value, value, 0]))
    people = check_coco(written(tmp_path, content), K)
    assert people.findings == []
    assert people.usable.tolist() == [0, 1, 2, 3]
    people = check_mpii(written(tmp_path, mpii_with(joints=[[20, 30], [40, 50], [value] * 2])), K)
    assert people.findings == []
    assert people.usable.tolist() == [0, 1, 2]
    people = check_mpii(written(tmp_path, mpii_with(joints=[[20, 30], [value] * 2, [-1, -1]])), K)
    (finding,) = people.findings
    assert 'pairs of numbers, finite where they are labelled: 1x (entry 1)' in str(finding)
    people = check_mpii(written(tmp_path, mpii_with(joints_vis=[1, 1, value])), K)
    (finding,) = people.findings
    assert 'joints_vis has not one number for each joint: 1x (entry 1)' in str(finding)


def test_the_metainfo_is_blamed_only_if_nothing_fits_it(tmp_path: Path) -> None:
    path = written(tmp_path, good())
    (finding,) = (f for f in check_coco(path, 4).findings if '3 keypoints' in f.message)
    assert finding.message.endswith('has 4; use the metainfo that belongs to these annotations')
    assert finding.count == 4
    # Nothing is said of a number of keypoints where there are none.
    path = written(tmp_path, edited(everybody(keypoints=[], num_keypoints=0)))
    messages = [finding.message for finding in check_coco(path, K).findings]
    assert 'no keypoints: nothing is learnt of them' in messages
    assert not any('metainfo' in message for message in messages)


@pytest.mark.parametrize(
    ('encoding', 'name'),
    [('utf-8-sig', 'UTF-8 with a byte order mark'), ('utf-16', 'UTF-16')],
)
def test_encodings_that_mmpose_does_not_read(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(good()), encoding=encoding)
    people = check_coco(path, K)
    (finding,) = people.findings
    assert f'the file is in {name}, which MMPose cannot read: save it as UTF-8' in finding.message
    assert finding.is_error
    assert len(people.usable) == 4  # what else is wrong can be said all the same
    with pytest.raises(ValueError, match=r'utf-8|BOM|codec'):
        CocoDataset(ann_file=str(path))


def test_what_is_right_passes(tmp_path: Path) -> None:
    people = check_coco(written(tmp_path, good()), K)
    assert people.findings == []
    assert people.usable.tolist() == [0, 1, 2, 3]
    assert people.images == [
        ImageRecord(1, '1.png', (100, 80)),
        ImageRecord(2, '2.png', (100, 80)),
    ]
    assert people.spread_rows(2).tolist() == [0, 3]


def test_everything_at_once(tmp_path: Path) -> None:
    content = edited(person(bbox=[1, 2], image_id=5, area=0))
    content['annotations'][0]['category_id'] = 4
    content['annotations'][2]['keypoints'] = [1] * 7
    messages = [f.message for f in check_coco(written(tmp_path, content), K).findings]
    assert len(messages) == 5


def test_examples_are_few(tmp_path: Path) -> None:
    content = edited(everybody(area=0))
    (finding,) = check_coco(written(tmp_path, content), K).findings
    assert finding.count == 4
    assert str(finding).endswith(': 4x (annotation 10, annotation 11, annotation 12, …)')


# The people that MMPose itself makes samples of
@pytest.mark.parametrize(
    'name',
    ['flat box', 'box outside', 'no box', 'no keypoints', 'empty keypoints', 'zero area', 'count'],
)
def test_usable_people_are_mmposes(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, edited(WARNINGS[name][0]))
    info = dict(from_file=f'{Path(mmpose.__file__).parent}/.mim/configs/_base_/datasets/coco.py')
    theirs = CocoDataset(ann_file=str(path), metainfo=info, serialize_data=False)
    ids = [theirs.get_data_info(i)['id'] for i in range(len(theirs))]
    ours = check_coco(path, K)
    assert [ours.content['annotations'][i]['id'] for i in ours.usable] == ids


# Boxes


def detections() -> list[dict[str, Any]]:
    return [dict(image_id=i, category_id=1, bbox=[10, 10, 30, 40], score=0.9) for i in (1, 1, 2)]


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
def test_boxes(tmp_path: Path, edit: Edit, message: str, is_error: bool) -> None:
    people = check_coco(written(tmp_path, good()), K)
    boxes = detections()
    edit(boxes)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(boxes))
    (finding,) = check_boxes(path, people)[0]
    assert message in str(finding)
    assert finding.is_error == is_error


def test_boxes_of_what_mmpose_takes_for_people(tmp_path: Path) -> None:
    content = edited(everybody(category_id=9))
    content['categories'] = [dict(id=1, name='chair'), dict(id=9, name='person')]
    people = check_coco(written(tmp_path, content), K)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(detections()))
    (finding,) = check_boxes(path, people)[0]
    assert finding.is_error
    assert "category 1, which the annotations call 'chair'; their 'person' is 9" in str(finding)


def test_good_boxes(tmp_path: Path) -> None:
    people = check_coco(written(tmp_path, good()), K)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(detections()))
    assert check_boxes(path, people) == ([], detections())
    path.write_text('{}')
    assert 'not a list of detections' in str(check_boxes(path, people)[0])


# MPII


def mpii() -> list[dict[str, Any]]:
    return [
        dict(
            image=f'{i:09}.jpg',
            center=[50, 40],
            scale=0.3,
            joints=[[20, 30], [40, 50], [-1, -1]],
            joints_vis=[1, 1, 0],
        )
        for i in range(3)
    ]


def mpii_with(**changes: Any) -> list[dict[str, Any]]:
    content = mpii()
    content[1].update(changes)
    return content


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda p: p[1].pop('scale'), 'not all of image, center, scale'),
        (lambda p: p[1].update(scale=0), 'the scale is not above 0: 1x (entry 1)'),
        (lambda p: p[1].update(image='a.jpg'), 'the name of the image is not a number'),
        (lambda p: p[1].update(joints=[[1, 2]] * 4), '4 keypoints, but'),
        (lambda p: p[1].update(joints=[[1, 2], [3, 4], [5]]), 'other than pairs of numbers'),
        (lambda p: p[1].update(joints_vis=[1]), 'joints_vis has not one number for each'),
        (lambda p: p.clear(), 'no instance in it can be used'),
    ],
)
def test_mpii(tmp_path: Path, edit: Edit, message: str) -> None:
    content = mpii()
    edit(content)
    people = check_mpii(written(tmp_path, content), K)
    assert message in '\n'.join(map(str, people.findings))
    assert people.usable.tolist() == ([0, 2] if content else [])


def test_mpii_heads(tmp_path: Path) -> None:
    path, heads = written(tmp_path, mpii()), str(tmp_path / 'heads.mat')
    assert 'does not exist' in str(check_mpii(path, K, heads).findings)
    savemat(heads, dict(headboxes_src=np.zeros((2, 2, 4))))
    assert '4 heads, but the annotations have 3 instances' in str(
        check_mpii(path, K, heads).findings
    )
    savemat(heads, dict(headboxes_src=np.zeros((4, 3))))
    assert 'headboxes_src has shape (4, 3); exp' in str(check_mpii(path, K, heads).findings)
    savemat(heads, dict(headboxes_src=np.zeros((2, 2, 3))))
    assert check_mpii(path, K, heads).findings == []


@pytest.mark.parametrize(
    'damage',
    [
        lambda whole: b'',
        lambda whole: whole[:60],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:200] + bytes(40) + whole[240:],
        lambda whole: b'<html>not found</html>' * 20,
        lambda whole: b'MATLAB 7.3 MAT-file'.ljust(124) + b'\0\2IM\x89HDF',
    ],
    ids=['empty', 'header cut', 'cut', 'corrupt', 'another format', 'HDF5'],
)
def test_mpii_heads_of_a_damaged_file(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    heads = tmp_path / 'heads.mat'
    boxes = np.random.default_rng(0).random((2, 2, 3))
    savemat(heads, dict(headboxes_src=boxes), do_compression=True)
    heads.write_bytes(damage(heads.read_bytes()))
    (finding,) = check_mpii(written(tmp_path, mpii()), K, str(heads)).findings
    # With what scipy says, which is not ours to prescribe
    assert re.search(r'cannot be read as a MATLAB file before version 7\.3 \(\w+: .', str(finding))


def test_mpii_heads_under_another_name(tmp_path: Path) -> None:
    heads = str(tmp_path / 'heads.mat')
    savemat(heads, dict(headboxes=np.zeros((2, 2, 3))))
    findings = check_mpii(written(tmp_path, mpii()), K, heads).findings
    assert 'it has no headboxes_src, but headboxes' in str(findings)


# Metainfo


def metainfo(**changes: Any) -> dict[str, Any]:
    points = {
        0: dict(name='nose', swap=''),
        1: dict(name='left_eye', swap='right_eye'),
        2: dict(name='right_eye', swap='left_eye'),
    }
    raw = dict(
        dataset_name='faces',
        keypoint_info=points,
        skeleton_info={0: dict(link=('left_eye', 'right_eye'))},
        joint_weights=[1.0] * 3,
        sigmas=[0.1] * 3,
    )
    for i, swap in changes.pop('swaps', {}).items():
        points[i]['swap'] = swap
    return parse_pose_metainfo(raw | changes)


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (metainfo(sigmas=[0.1] * 4), '3 keypoints, but 4 sigmas'),
        (metainfo(sigmas=[0.1, 0, 0.1]), 'sigmas are not all above 0'),
        (metainfo(joint_weights=[1.0]), '3 keypoints, but 1 joint_weights'),
        (metainfo(swaps={2: ''}), "'left_eye' is swapped with 'right_eye', but that with"),
        (metainfo() | dict(flip_indices=[0, 2, 5]), 'swapped with 5, but there are only 3'),
        (metainfo() | dict(flip_indices=[0, 2]), '3 keypoints, but 2 flip_indices'),
        (metainfo() | dict(flip_pairs=[]), 'flip_pairs and flip_indices say different things'),
        (metainfo() | dict(skeleton_links=[(0, 3)]), 'but there are only 3'),
        (metainfo() | dict(keypoint_id2name={1: 'nose'}), 'are not numbered 0 to 2'),
        (metainfo(swaps={1: '', 2: ''}), "'left_eye' and 'right_eye' have no `swap`"),
        ({}, 'no num_keypoints'),
    ],
)
def test_metainfo(info: dict[str, Any], message: str) -> None:
    found = check_metainfo('train_dataloader', info)
    assert message in '\n'.join(map(str, found))


def test_good_metainfo() -> None:
    assert check_metainfo('train_dataloader', metainfo()) == []


def named(*names: str, **swaps: str) -> dict[str, Any]:
    points = {i: dict(name=n, swap=swaps.get(n, '')) for i, n in enumerate(names)}
    return parse_pose_metainfo(
        dict(
            dataset_name='faces',
            keypoint_info=points,
            skeleton_info={},
            joint_weights=[1.0] * len(names),
            sigmas=[0.1] * len(names),
        )
    )


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (named('nose', 'eyeL', 'eyeR'), "'eyeL' and 'eyeR' have no `swap`, although their names"),
        (named('lEye', 'rEye', 'Lear', 'Rear'), "'lEye' and 'rEye', 'Lear' and 'Rear' have no"),
        (named('eye_l', 'ear_r'), "by name: mirrored images keep its side: 2x (keypoint 'eye_l'"),
        (
            named(
                'eyeL', 'eyeR', 'earL', 'earR', eyeL='earR', earR='eyeL', eyeR='earL', earL='eyeR'
            ),
            "'eyeL' is swapped with 'earR'; by its name, it should be 'eyeR'",
        ),
    ],
)
def test_sides_that_names_say(info: dict[str, Any], message: str) -> None:
    found = check_metainfo('train_dataloader', info)
    assert message in '\n'.join(map(str, found))
    assert not any(finding.is_error for finding in found)


@pytest.mark.parametrize(
    'info',
    [named('lip', 'rib', 'ear'), named('L1', 'L2'), named('tailL', 'x', tailL='x', x='tailL')],
)
def test_names_without_sides_pass(info: dict[str, Any]) -> None:
    assert check_metainfo('train_dataloader', info) == []


# Images


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for name in ('good.jpg', 'good.png', 'short.jpg', 'short.png', 'large.jpg'):
        cv2.imwrite(str(tmp_path / name), noise)
    for name in ('short.jpg', 'short.png'):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    # The thumbnail of a file ends before its image does.
    data = (tmp_path / 'short.jpg').read_bytes()
    thumbnail = b'\xff\xe1\x00\x08\xff\xda\x00\x00\xff\xd9'
    (tmp_path / 'short.jpg').write_bytes(data[:2] + thumbnail + data[2:])
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'empty.jpg').write_bytes(b'')
    return tmp_path


def test_images(pictures: Path) -> None:
    images = [ImageRecord(p.name, p.name, (96, 64)) for p in sorted(pictures.iterdir())]
    images[images.index(ImageRecord('large.jpg', 'large.jpg', (96, 64)))] = ImageRecord(
        5, 'large.jpg', (64, 96)
    )
    images.append(ImageRecord(9, 'nowhere.jpg', None))
    calls: list[int] = []
    found = check_images(pictures, images, done=lambda: calls.append(1))
    assert len(calls) == len(images) == 8
    messages = {f.message: f.examples for f in found}
    bad = {name for examples in messages.values() for name in examples}
    assert not any('good' in name for name in bad)
    assert messages['the image does not exist'] == ('image nowhere.jpg',)
    assert messages['the image has another size (w, h) than the annotations say'] == (
        'image large.jpg (96, 64), not (64, 96); it is turned by its EXIF orientation',
    )
    assert messages['the image cannot be decoded'] == ('image empty.jpg', 'image text.jpg')
    assert messages['the image file is cut short'] == ('image short.jpg', 'image short.png')


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_images_of_fewer_bits_than_their_file(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint16)
    noise[0] = 255
    for bits in (8, 10, 12, 14, 16):
        cv2.imwrite(str(tmp_path / f'{bits:02}.{ending}'), noise << (bits - 8))
    cv2.imwrite(str(tmp_path / f'usual.{ending}'), noise.astype(np.uint8))
    images = [ImageRecord(p.name, p.name, (32, 24)) for p in sorted(tmp_path.iterdir())]
    (finding,) = check_images(tmp_path, images)
    assert 'MMPose keeps the upper 8 and reads it almost black' in finding.message
    assert not finding.is_error
    assert finding.count == 4
    assert finding.examples == tuple(
        f'image {bits:02}.{ending} ({bits} of 16 bits)' for bits in (8, 10, 12)
    )


def test_a_photograph_followed_by_a_film_is_not_cut_short(pictures: Path) -> None:
    """Such a file may end in what looks like the beginning of a scan."""
    path = pictures / 'good.jpg'
    path.write_bytes(path.read_bytes() + b'\0\0\0\x18ftypmp42\xff\xda\0\x0c')
    assert check_images(pictures, [ImageRecord(1, 'good.jpg', (96, 64))]) == []


@pytest.mark.parametrize('flag', [cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL])
def test_jpegs_of_several_scans_and_with_restarts(tmp_path: Path, flag: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'x.jpg'), noise, [flag, 1])
    data = (tmp_path / 'x.jpg').read_bytes()
    assert not is_cut_short(data)
    cuts = range(4, len(data) - 2, 97)
    assert len(cuts) > 50
    assert all(is_cut_short(data[:cut]) for cut in cuts)


def test_images_are_not_read_unless_asked_for(pictures: Path) -> None:
    images = [ImageRecord(1, 'text.jpg', None), ImageRecord(2, 'nowhere.jpg', None)]
    (finding,) = check_images(pictures, images, read=False)
    assert (finding.message, finding.count) == ('the image does not exist', 1)


def test_findings_count() -> None:
    findings = Findings('file')
    findings.errors('nothing', 'row', [])
    assert findings == []
    findings.errors('odd', 'row', range(2))
    assert str(findings[0]) == 'file: odd: 2x (row 0, row 1)'


def test_mpii_in_fractions(tmp_path: Path) -> None:
    content = mpii()
    for row in content:
        row['joints'] = [[0.2, 0.3], [0.4, 0.5], [-1, -1]]
    (finding,) = check_mpii(written(tmp_path, content), K).findings
    assert 'the keypoints are in fractions of the image (0 to 1)' in finding.message
    assert finding.count == 3


def test_units_of_anything() -> None:
    """Only what has the form of annotations is looked at; nothing else is complained of."""
    for content in (None, [], {}, dict(annotations=3), dict(annotations=[3, {}], images=4)):
        assert check_units('x', content) == []
    content = good()
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
