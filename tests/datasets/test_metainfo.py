"""Metainfo from annotations: names, pairs, skeleton and sigmas."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hrnet_plugin.commands.cli import main
from hrnet_plugin.datasets import metainfo_from_coco

NAMES = ['nose', 'Left_Ear', 'Right_Ear', 'l-foot', 'r-foot', 'left']
SPREAD = np.array([0.02, 0.03, 0.03, 0.1, 0.1, 0.05])


def annotations(number: int = 400, spread: Any = 0.0, seed: int = 0) -> dict[str, Any]:
    """The same instances for any seed, annotated more or less exactly."""
    truth = np.random.default_rng(1)
    points = truth.uniform(0, 100, (number, 6, 2))
    area = truth.uniform(1e3, 9e3, number)
    noise = np.random.default_rng(seed).normal(size=points.shape)
    points = points + noise * np.reshape(spread, (-1, 1)) * np.sqrt(area)[:, None, None]
    labelled = np.concatenate([points, np.full((number, 6, 1), 2)], axis=-1)
    return dict(
        images=[dict(id=1, file_name='1.jpg', width=100, height=100)],
        categories=[
            dict(id=3, name='fox', keypoints=NAMES, skeleton=[[1, 2], [1, 3], [2, 4], [3, 4]])
        ],
        annotations=[
            dict(
                id=7 * n,
                image_id=1,
                category_id=3,
                keypoints=p.ravel().tolist(),
                bbox=[0, 0, 100, 100],
                area=a,
                iscrowd=0,
            )
            for n, (p, a) in enumerate(zip(labelled, area), 1)
        ],
    )


def test_mmpose_reads_names_pairs_and_skeleton() -> None:
    parsed = parse_pose_metainfo(metainfo_from_coco(annotations(2), name='foxes'))
    assert parsed['dataset_name'] == 'foxes'
    assert list(parsed['keypoint_id2name'].values()) == NAMES
    assert parsed['flip_indices'] == [0, 2, 1, 4, 3, 5]  # 'left' has no 'right'
    assert [tuple(link) for link in parsed['skeleton_links']] == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert parsed['skeleton_link_colors'][2].tolist() == parsed['keypoint_colors'][1].tolist()
    assert np.allclose(parsed['sigmas'], 0.05)
    assert parsed['dataset_keypoint_weights'].tolist() == [1] * 6


def test_sigmas_are_how_far_annotators_differ() -> None:
    first, second, third = (annotations(spread=SPREAD, seed=seed) for seed in range(3))
    np.random.default_rng(0).shuffle(second['annotations'])
    del third['annotations'][::4]  # instances that were annotated less often are left out
    sigmas = metainfo_from_coco(first, [second, third])['sigmas']
    assert np.allclose(sigmas, SPREAD * np.sqrt(2), rtol=0.1)  # along x and y


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.pop('keypoints'), 'no category of the annotations names its keypoints'),
        (lambda c: c['keypoints'].append('nose'), "several keypoints are called 'nose'"),
        (lambda c: c['skeleton'].append([0, 1]), r'skeleton has \[0, 1\]; .* from 1 to 6'),
        (lambda c: c['skeleton'].append([6, 7]), r'skeleton has \[6, 7\]; .* from 1 to 6'),
    ],
)
def test_bad_categories_are_errors(change: Any, message: str) -> None:
    gt = copy.deepcopy(annotations(2))
    change(gt['categories'][0])
    with pytest.raises(ValueError, match=message):
        metainfo_from_coco(gt)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda d: d.update(categories=d['categories'][0]),
            "'categories' is a dict; expected a l",
        ),
        (lambda d: d.update(categories=['fox']), "'categories', entry 0, is 'fox'; expected"),
        (lambda d: d.pop('categories'), "no 'categories'; expected COCO format"),
        (lambda d: d['categories'][0].update(keypoints='nose'), "'keypoints' is 'nose'; expected"),
        (
            lambda d: d['categories'][0].update(keypoints=[1, 2]),
            'keypoint 0 is 1; expected its na',
        ),
        (lambda d: d['categories'][0].update(keypoints=['a', '']), "keypoint 1 is ''; expected"),
        (
            lambda d: d['categories'][0].update(keypoints=['\ud800']),
            'keypoint 0 is .*expected its',
        ),
        (
            lambda d: d['categories'][0].update(skeleton={'a': 1}),
            "'skeleton' is a dict; expected a",
        ),
        (
            lambda d: d['categories'][0].update(skeleton=[1, 2]),
            'the skeleton has 1; expected pairs',
        ),
        (
            lambda d: d['categories'][0].update(skeleton=[['nose', 'x']]),
            r"has \['nose', 'x'\]; exp",
        ),
        (
            lambda d: d['categories'][0].update(skeleton=[[1.5, 2]]),
            r'has \[1.5, 2\]; expected pairs',
        ),
    ],
)
def test_other_shapes_are_errors_that_name_the_file(
    tmp_path: Path, change: Any, message: str
) -> None:
    content = annotations(2)
    change(content)
    path = tmp_path / 'fox.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        metainfo_from_coco(path)
    assert str(caught.value).startswith(f'{path}: ')
    assert '\n' not in str(caught.value)
    for other in ([1], 'null', 3):
        path.write_text(json.dumps(other))
        with pytest.raises(ValueError, match='expected') as caught:
            metainfo_from_coco(str(path))
        assert str(path) in str(caught.value)


def test_a_skeleton_may_name_keypoints() -> None:
    gt = annotations(2)
    by_number = metainfo_from_coco(gt)['skeleton_info']
    links = [[NAMES[a - 1], NAMES[b - 1]] for a, b in gt['categories'][0]['skeleton']]
    gt['categories'][0]['skeleton'] = links
    assert metainfo_from_coco(gt)['skeleton_info'] == by_number
    assert by_number[2]['link'] == ('Left_Ear', 'l-foot')


def test_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'fox.json'
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
        path.write_text(json.dumps(annotations(2)), encoding=encoding)
        assert metainfo_from_coco(path) == metainfo_from_coco(annotations(2))


def of_names(*names: str) -> dict[str, Any]:
    category = dict(id=1, name='fox', keypoints=list(names))
    return dict(images=[], annotations=[], categories=[category])


def test_pairs_and_colours_in_camel_case() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        points = metainfo_from_coco(of_names('nose', 'eyeL', 'eyeR', 'Lear', 'Rear'))
    info = points['keypoint_info']
    assert [p['swap'] for p in info.values()] == ['', 'eyeR', 'eyeL', 'Rear', 'Lear']
    assert info[1]['color'] == info[3]['color'] != info[2]['color'] == info[4]['color']
    assert info[0]['color'] not in (info[1]['color'], info[2]['color'])


def test_warns_about_unpaired_names(tmp_path: Path, capsys: Any) -> None:
    with pytest.warns(UserWarning, match="no keypoints are swapped .*: 'eye_l', 'ear_r' have"):
        metainfo_from_coco(of_names('eye_l', 'ear_r'))
    with pytest.warns(UserWarning, match="not all of them are swapped .*: 'left_toe' have"):
        metainfo_from_coco(of_names('left_eye', 'right_eye', 'left_toe'))
    path = tmp_path / 'fox.json'
    for names, note in (
        (('eye_l', 'ear_r'), 'note: names say left or right, but no keypoints are swapped'),
        (('a', 'b'), 'note: a flip swaps no keypoints'),
    ):
        path.write_text(json.dumps(of_names(*names)))
        assert main(['metainfo', str(path), str(tmp_path / 'fox.py'), '--overwrite']) == 0
        assert note in capsys.readouterr().out


def test_repeated_annotations_without_keypoints_are_left_out(tmp_path: Path) -> None:
    first, second = (annotations(50, spread=SPREAD, seed=seed) for seed in range(2))
    expected = metainfo_from_coco(first, [second])['sigmas']
    for gt in (first, second):
        gt['annotations'].append(
            dict(id=1, image_id=1, category_id=3, keypoints=[], bbox=[0] * 4, num_keypoints=0)
        )
    first['annotations'][3]['keypoints'][:3] = [float('nan'), None, 0]  # unlabelled
    sigmas = metainfo_from_coco(first, [second])['sigmas']
    assert sigmas[1:] == expected[1:]
    assert np.isfinite(sigmas[0])
    first['annotations'][3]['keypoints'][2] = 2
    with pytest.raises(ValueError, match="labelled coordinates of 'nose' are not finite"):
        metainfo_from_coco(first, [second])
    (tmp_path / 'second.json').write_text(json.dumps(dict(second, annotations=[])))
    with pytest.raises(ValueError, match=r'second\.json share no annotation id with the annotati'):
        metainfo_from_coco(first, [tmp_path / 'second.json'])


def test_categories_must_agree() -> None:
    gt = annotations(2)
    gt['categories'].append(dict(id=4, name='cat', keypoints=['tail']))
    with pytest.raises(ValueError, match=r"\['fox', 'cat'\] name different keypoints"):
        metainfo_from_coco(gt)


def test_bad_repetitions_are_errors() -> None:
    gt = annotations(5)
    with pytest.raises(ValueError, match="of 'nose' are the same to the pixel"):
        metainfo_from_coco(gt, [gt])
    other = annotations(5, spread=0.1)
    for ann in other['annotations']:
        ann['id'] += 1
    with pytest.raises(ValueError, match='repeated annotations 1 share no annotation id'):
        metainfo_from_coco(gt, [other])
    with pytest.warns(UserWarning, match='from 5 objects; 30 or more'):
        metainfo_from_coco(gt, [annotations(5, spread=0.1)])


def test_command_writes_what_mmpose_reads(tmp_path: Path, capsys: Any) -> None:
    for name, spread in (('one', 0), ('two', 0.1)):
        (tmp_path / f'{name}.json').write_text(json.dumps(annotations(5, spread)))
    one, two, out = (str(tmp_path / name) for name in ('one.json', 'two.json', 'fox.py'))
    assert main(['metainfo', one, out, '--repeated', two]) == 0
    said = capsys.readouterr().out
    assert '1 Left_Ear: sigma 0.' in said
    assert 'mirrored: Right_Ear' in said
    assert 'note: sigmas are estimated from 5 objects' in said
    parsed = parse_pose_metainfo(dict(from_file=out))
    assert parsed['dataset_name'] == 'fox'
    assert parsed['num_keypoints'] == 6

    assert main(['metainfo', one, out]) == 2
    assert 'is there already' in capsys.readouterr().err
    assert main(['metainfo', one, out, '--overwrite']) == 0
    assert 'every sigma is the same' in capsys.readouterr().out
    assert main(['metainfo', one, str(tmp_path / 'fox.json')]) == 2
    assert 'is not a .py file' in capsys.readouterr().err
    assert main(['metainfo', str(tmp_path / 'none.json'), out, '--overwrite']) == 2
    assert 'none.json' in capsys.readouterr().err


@pytest.mark.parametrize('where', ['annotations', 'repeated'])
def test_warns_about_coordinates_that_are_not_in_pixels(
    where: str, tmp_path: Path, capsys: Any
) -> None:
    paths = []
    for name, seed in (('annotations', 0), ('repeated', 1)):
        content = annotations(40, SPREAD, seed)
        if name == where:
            for ann in content['annotations']:
                points = np.clip(np.reshape(ann['keypoints'], (6, 3)) / [100, 100, 1], 0, 2)
                points[:, :2] = np.clip(points[:, :2], 0, 1)
                ann.update(keypoints=points.ravel().tolist(), bbox=[0.1, 0.1, 0.8, 0.8])
        paths.append(tmp_path / f'{name}.json')
        paths[-1].write_text(json.dumps(content))
    out = str(tmp_path / 'out.py')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # notes are no warnings
        assert main(['metainfo', str(paths[0]), out, '--repeated', str(paths[1])]) == 0
    notes = [n for n in capsys.readouterr().out.splitlines() if 'fractions of the image' in n]
    path = tmp_path / f'{where}.json'
    assert [note.split(' in fractions')[0] for note in notes] == [
        f'note: {path}: the boxes are',
        f'note: {path}: the keypoints are',
    ]
    assert all('40x' in note for note in notes)
