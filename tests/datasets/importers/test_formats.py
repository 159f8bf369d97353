"""Each tool's fixture becomes the labels that are in it, in pixels, and nothing else."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.imports import SIZE, place, points_of, rows_of, write_images
from support.shell import run

from hrnet_plugin.apis import ImportedDataset, import_dataset
from hrnet_plugin.datasets.importers.formats import FORMATS, recognise

SKY = ['sky/1.png', 'sky/2.png', 'sea/1.png']
DAYS = [
    f'labeled-data/{n}.png' for n in ('day1/img001', 'day1/img002', 'day2/img001', 'day2/img007')
]
HAND = ('wrist', 'thumb')


def clips(split: str, number: int) -> list[str]:
    return [f'{split}/clip_mp4-{i}_jpg.rf.0a1b2c3d4e5f{split[0]}{i}.jpg' for i in range(number)]


# Fixture, its images, its format, options, and what it labels
CASES: dict[str, tuple[str, list[str], str, dict[str, Any], dict[str, Any]]] = {
    'cvat': (
        'cvat.xml',
        SKY,
        'cvat',
        {},
        {
            'sky/1.png': [('kite', {'tip': (20.25, 5, 2), 'left_wing': (10, 20.5, 1)})],
            'sky/2.png': [
                ('kite', {'tip': (22, 6, 2), 'left_wing': (11, 22, 2), 'right_wing': (33, 23, 2)})
            ],
            'sea/1.png': [],
        },
    ),
    'label-studio': (
        'label_studio.json',
        ['bird one.png', 'two.png', 'three.png'],
        'label-studio',
        {},
        {
            'bird one.png': [('bird', {'beak': (32, 24, 1), 'wing_l': (24, 14.4, 2)})],
            'two.png': [('bird', {'wing_r': (6.4, 9.6, 2)})],
        },
    ),
    'labelme': (
        'labelme',
        ['../pictures/a.png', 'b.png'],
        'labelme',
        {'images': '.'},
        {
            'pictures/a.png': [
                ('fox', {'nose': (10.5, 12, 2), 'ear_left': (14, 8.25, 1)}),
                ('fox', {'nose': (50, 20, 2)}),
            ],
            'labelme/b.png': [('fox', {'nose': (20, 22, 2), 'ear_right': (24, 18, 2)})],
        },
    ),
    'yolo-pose': (
        'yolo-pose',
        ['images/train/1.png', 'images/val/2.png'],
        'yolo-pose',
        {},
        {
            'train/1.png': [('hand', {'keypoint_1': (16, 24, 2), 'keypoint_2': (48, 12, 1)})],
            'val/2.png': [('hand', {'keypoint_1': (19.2, 24, 2)}), ('hand', {})],
        },
    ),
    'deeplabcut': (
        'deeplabcut',
        DAYS,
        'deeplabcut',
        {},
        {
            'day1/img001.png': [('object', {'snout': (10.125, 12.5, 2), 'pawR': (30, 31, 2)})],
            'day1/img002.png': [('object', {'snout': (11, 12.5, 2), 'pawL': (20, 21, 2)})],
            'day2/img001.png': [('object', {'snout': (13, 14.5, 2)})],
            'day2/img007.png': [],
        },
    ),
    'deeplabcut, several animals': (
        'multi-animal',
        ['labeled-data/pen/img1.png', 'labeled-data/pen/img2.png'],
        'deeplabcut',
        {},
        {
            'img1.png': [('object', {'snout': (1.5, 2.5, 2)}), ('object', {'snout': (20, 21, 2)})],
            'img2.png': [('object', {'snout': (5.5, 6.5, 2)})],
        },
    ),
    'coco of CVAT': (
        'coco_cvat.json',
        ['sky/1.png', 'sea/1.png'],
        'coco',
        {},
        {
            'sky/1.png': [
                (
                    'kite',
                    {
                        'tip': (24, 5, 2),
                        'left_wing': (10, 20, 1),
                        'right_wing': (40, 21, 2),
                        'keel': (25, 40, 2),
                    },
                )
            ],
            'sea/1.png': [('kite', {'tip': (7, 6, 2), 'tail_end': (20.5, 22.25, 1)})],
        },
    ),
    'coco of COCO-Annotator': (
        'coco_annotator.json',
        ['a b.png'],
        'coco',
        {},
        {
            'a b.png': [
                ('fox', {'nose': (10, 12, 2), 'eye_l': (8, 9, 1)}),
                ('fox', {'nose': (40, 30, 2), 'eye_r': (44, 27, 2)}),
            ]
        },
    ),
    'coco of Label Studio': (
        'coco_label_studio.json',
        ['a b.png'],
        'coco',
        {'keypoint_names': ['nose', 'eye_l', 'eye_r']},
        {
            'a b.png': [
                ('fox', {'nose': (10, 12, 2), 'eye_l': (8.5, 9, 1)}),
                ('fox', {'nose': (20, 22, 2)}),
            ]
        },
    ),
    'coco of Roboflow': (
        'roboflow',
        [*clips('train', 3), *clips('valid', 1)],
        'coco',
        {},
        {
            name: [('hand', {'wrist': (10 + i, 12, 2), 'thumb': (20, 22, 1)})]
            for split, number in (('train', 3), ('valid', 1))
            for i, name in enumerate(clips(split, number))
        },
    ),
}


def imported(case: str, folder: Path, **options: Any) -> ImportedDataset:
    fixture, images, _, given, _ = CASES[case]
    path = place(fixture, folder / 'source', images)
    if 'images' in given:
        given = dict(given, images=folder / 'source')
    return import_dataset(path, folder / 'data', **{**given, **options})


@pytest.mark.parametrize('case', CASES)
def test_labels_are_those_of_the_tool(tmp_path: Path, case: str) -> None:
    result = imported(case, tmp_path)
    assert result.format == CASES[case][2]
    found = points_of(result.folder)
    expected = CASES[case][4]
    assert found.keys() == expected.keys()
    for name, instances in expected.items():
        assert [category for category, _ in found[name]] == [c for c, _ in instances]
        for (_, points), (_, others) in zip(found[name], instances, strict=True):
            assert points.keys() == others.keys()
            assert points == pytest.approx(others, abs=1e-9) or all(
                np.allclose(points[k], others[k], rtol=0, atol=1e-9) for k in others
            )
    assert not result.findings.has_errors


@pytest.mark.parametrize('case', CASES)
def test_numbers_in_and_out_are_equal(tmp_path: Path, case: str) -> None:
    """What was found is what was written and what is named as left out."""
    result = imported(case, tmp_path)
    written = [sum(numbers) for numbers in zip(*result.written.values(), strict=True)]
    instances = [each for own in CASES[case][4].values() for each in own]
    labelled = sum(len(points) for _, points in instances)
    assert written == [len(CASES[case][4]), len(instances), labelled]
    assert all(found >= wrote for found, wrote in zip(result.found, written, strict=True))
    if list(result.found) != written:
        assert result.left_out


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_trains_without_a_config(tmp_path: Path, case: str) -> None:
    """On the larger split: these files have two to four images."""
    result = imported(case, tmp_path)
    split = max(result.written, key=lambda name: result.written[name].points)
    annotations = f'data/annotations/{split}.json'
    options = '--images data/images --metainfo data/metainfo.py --arch w18-small-v1 --input 64x64'
    run(
        f'hrnet-plugin train {annotations} --val {annotations} {options} --batch 1 --epochs 1 '
        '--work-dir trained',
        cwd=tmp_path,
    )
    assert 'coco/AP' in json.loads((tmp_path / 'trained/evaluation.json').read_text())
    assert list((tmp_path / 'trained').glob('best_coco_AP_epoch_*.pth'))


@pytest.mark.parametrize('name', FORMATS)
def test_every_format_has_a_case(name: str) -> None:
    assert name == 'sleap' or any(row[2] == name for row in CASES.values())


@pytest.mark.parametrize(
    ('case', 'lines'),
    [
        ('cvat', ['shapes that are no keypoints (polygon): 1x']),
        (
            'label-studio',
            [
                'results that are no keypoints (polygonlabels): 1x',
                'further annotations of the same image: 1x (/data/upload/1/4e5f6a7b-two.png (7))',
                'images that nobody annotated: 1x (s3://bucket/birds/three.png)',
            ],
        ),
        ('labelme', ['shapes that are no keypoints (polygon): 1x']),
        (
            'yolo-pose',
            ['points at (0, 0), which tools write for points that are not labelled: 1x'],
        ),
        (
            'deeplabcut, several animals',
            [
                "predicted points below the likelihood 0.6 (pcutoff): 1x ('tail' of",
                'unique body parts, which belong to no animal: 1x',
            ],
        ),
        ('coco of CVAT', ["instances of 'cloud', which has no keypoints: 1x (annotation 2)"]),
        ('coco of COCO-Annotator', []),
    ],
)
def test_what_is_left_out_is_counted_and_named(
    tmp_path: Path, case: str, lines: list[str]
) -> None:
    left_out = imported(case, tmp_path).left_out
    assert len(left_out) == len(lines)
    for line, beginning in zip(left_out, lines, strict=True):
        assert line.startswith(beginning)


def test_repairs_are_counted(tmp_path: Path) -> None:
    repaired = imported('coco of Label Studio', tmp_path).repaired
    for what in (
        'ids that are text: numbers are given: 2x',
        'numbers that are text: read as numbers: 3x',
        'keypoints that are a list of lists: made flat: 1x',
        'visibilities other than 0, 1 and 2: taken as 2: 1x',
        'no num_keypoints: counted: 1x',
        'a wrong num_keypoints: counted: 1x',
        'categories without a skeleton: none is drawn: 1x',
        'instances without a box: one is made around their points: 1x',
        'instances without an area: 0.53 of their boxes: 2x',
    ):
        assert any(line.startswith(what) for line in repaired), (what, repaired)


def test_boxes_areas_and_other_fields_are_kept(tmp_path: Path) -> None:
    result = imported('coco of CVAT', tmp_path, val=0)
    first, second = rows_of(result.folder, 'train')
    assert first['bbox'] == [10, 5, 30, 39]
    assert first['area'] == 1170
    assert second['attributes'] == {'occluded': True}
    (category,) = rows_of(result.folder, 'train', 'categories')
    assert category['skeleton'] == [[1, 2], [2, 4], [4, 3], [3, 1], [4, 5]]
    image = rows_of(result.folder, 'train', 'images')[0]
    assert (image['width'], image['height']) == SIZE
    assert image['date_captured'] == 0


def test_boxes_of_groups_are_those_of_their_instances(tmp_path: Path) -> None:
    result = imported('cvat', tmp_path, val=0)
    first, second = rows_of(result.folder, 'train')
    assert second['bbox'] == [8, 4, 28, 26]
    assert second['area'] == pytest.approx(28 * 26 * 0.53)
    # Around points, of which the tip is at 20.25, 5 and the wing at 10, 20.5; 10 % of 15.5 more
    x, y, w, h = first['bbox']
    assert (x, y) == pytest.approx((10 - 1.55, 5 - 1.55))
    assert (x + w, y + h) == pytest.approx((20.25 + 1.55, 20.5 + 1.55))
    (category,) = rows_of(result.folder, 'train', 'categories')
    assert category['skeleton'] == [[1, 2], [1, 3]]  # of the SVG


def test_rectangles_are_in_percent_in_label_studio(tmp_path: Path) -> None:
    result = imported('label-studio', tmp_path, val=0)
    assert rows_of(result.folder, 'train')[0]['bbox'] == [16, 12, 32, 24]


def test_rectangles_drawn_from_any_corner(tmp_path: Path) -> None:
    result = imported('labelme', tmp_path, val=0)
    assert rows_of(result.folder, 'train')[0]['bbox'] == [5, 4, 25, 36]


def test_deeplabcut_skeleton_is_that_of_the_project(tmp_path: Path) -> None:
    result = imported('deeplabcut', tmp_path)
    (category,) = rows_of(result.folder, 'train', 'categories')
    assert category['keypoints'] == ['snout', 'pawL', 'pawR']  # in the order of the file
    assert category['skeleton'] == [[1, 2]]  # the link to a tail that nobody labelled is no link


def test_hdf5_of_deeplabcut_is_its_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('tables')
    expected = points_of(imported('deeplabcut', tmp_path).folder)
    path = place('deeplabcut', tmp_path / 'hdf5', DAYS)
    for file, index in (('day1', [0, 1, 2]), ('day2', 0)):
        (csv,) = (path / 'labeled-data' / file).glob('*.csv')
        frame = pandas.read_csv(csv, header=[0, 1, 2], index_col=index)
        frame.to_hdf(csv.with_suffix('.h5'), key='df_with_missing', mode='w')
        csv.unlink()
    assert points_of(import_dataset(path, tmp_path / 'again').folder) == expected


def test_a_project_with_both_files_is_read_once(tmp_path: Path) -> None:
    path = place('deeplabcut', tmp_path, DAYS)
    (csv,) = (path / 'labeled-data/day1').glob('*.csv')
    csv.with_suffix('.h5').write_bytes(b'not read')
    result = import_dataset(path, tmp_path / 'data')
    assert points_of(result.folder) == CASES['deeplabcut'][4]
    assert any('CollectedData_ann.csv, which is beside it' in note for note in result.notes)


def test_names_for_numbered_keypoints_and_flip_pairs_of_the_source(tmp_path: Path) -> None:
    result = imported('yolo-pose', tmp_path, keypoint_names=['tip', 'one', 'two'])
    assert result.keypoints == ('tip', 'one', 'two')
    metainfo = result.metainfo.read_text()
    assert "'name': 'one'" in metainfo
    assert "'swap': 'two'" in metainfo
    with pytest.raises(ValueError, match='has 3 keypoints, but --keypoint-names gives 2'):
        imported('yolo-pose', tmp_path / 'b', keypoint_names=['tip', 'one'])


def yolo(folder: Path, text: str, shape: str = '[2, 2]') -> Path:
    write_images(folder, ['images/1.png', 'images/2.png'])
    (folder / 'labels').mkdir()
    (folder / 'data.yaml').write_text(f'train: images\nkpt_shape: {shape}\nnames: {{0: a}}\n')
    (folder / 'labels/1.txt').write_text(text)
    return folder


def test_zeros_of_two_dimensions_are_not_labelled(tmp_path: Path) -> None:
    yolo(tmp_path / 'source', '0 .5 .5 .5 .5 0.25 0.5 0 0\n0 .5 .5 .5 .5 -1 -1 0.5 0.25\n')
    result = import_dataset(tmp_path / 'source', tmp_path / 'data')
    assert points_of(result.folder)['1.png'] == [
        ('a', {'keypoint_1': (16, 24, 2)}),
        ('a', {'keypoint_2': (32, 12, 2)}),
    ]
    assert result.left_out == []


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('0 .5 .5 .5 .5 1 2 3', r'1.txt, line 1 has 8 numbers; expected 9: a class, a box'),
        ('0 .5 .5 .5 .5 .5 .5 .5 .5\n0 .5 .5 x .5', r'1.txt, line 2: .*expected numbers'),
        ('3 .5 .5 .5 .5 .5 .5 .5 .5', r'line 1: the class is 3; expected one of \[0\]'),
        ('0 20 20 8 8 .5 .5 .5 .5', 'line 1: the box is .*; expected fractions'),
        ('0 .5 .5 .5 .5 20 20 .5 .5', "line 1: 'keypoint_1' is at 20, 20; expected fractions"),
        ('0 nan .5 .5 .5 .5 .5 .5 .5', 'line 1 has 9 numbers'),
    ],
)
def test_damaged_yolo_labels_are_named(tmp_path: Path, text: str, match: str) -> None:
    yolo(tmp_path / 'source', text)
    with pytest.raises(ValueError, match=match):
        import_dataset(tmp_path / 'source', tmp_path / 'data')
    assert not (tmp_path / 'data').exists()


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ('fixture', 'change', 'match'),
    [
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0].update(category_id=7),
            r"annotation 1: 'category_id' is 7; expected one of the 'categories', \[1, 2\]",
        ),
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0].update(image_id=7),
            "annotation 1: 'image_id' is 7, which is not among the 'images'",
        ),
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0].update(keypoints=[1, 2, 2]),
            'annotation 1 has 1 keypoints; expected 5',
        ),
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0]['keypoints'].__setitem__(3, 'x'),
            "annotation 1: keypoint 2 has 'x'; expected a number",
        ),
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0]['keypoints'].__setitem__(3, None),
            'annotation 1: keypoint 2 is labelled, but at',
        ),
        (
            'coco_cvat.json',
            lambda c: c['annotations'][0].update(bbox=[1, 2]),
            r"annotation 1: 'bbox' is \[1, 2\]; expected 4 numbers",
        ),
        (
            'coco_cvat.json',
            lambda c: c['images'][1].update(id=1),
            "two images have the id 1, 'sky/1.png' and 'sea/1.png'",
        ),
        (
            'coco_cvat.json',
            lambda c: c['categories'][0].update(keypoints=['a', 'b']),
            'categories of different keypoints .*--category',
        ),
        (
            'label_studio.json',
            lambda c: c[0]['annotations'][0]['result'][1]['value'].update(x='half'),
            "task 11: result 1: 'x' is 'half'; expected a number, in percent",
        ),
        (
            'label_studio.json',
            lambda c: c[0]['annotations'][0]['result'][1].pop('original_width'),
            "task 11: result 1: 'original_width' and 'original_height'",
        ),
        ('label_studio.json', lambda c: c[0].update(annotations=3), "task 11: 'annotations' is 3"),
        (
            'labelme/b.json',
            lambda c: c['shapes'][1].update(label='nose'),
            "b.json: an instance has 2 points 'nose'; expected one. Give the shapes of each",
        ),
        (
            'labelme/b.json',
            lambda c: c['shapes'][1].update(points=[[1, 2], [3, 4]]),
            r"b.json: shape 1 \('ear_right'\): its points are .*; expected 1 of \[x, y\]",
        ),
        ('labelme/b.json', lambda c: c.update(imagePath=None), "'imagePath' is null"),
    ],
)  # fmt: skip
def test_contradictions_are_named(
    tmp_path: Path, fixture: str, change: Callable[[Any], object], match: str
) -> None:
    path = place(fixture, tmp_path, ['sky/1.png', 'sea/1.png', 'b.png', 'bird one.png', 'two.png'])
    edit_json(path, change)
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(path, tmp_path / 'data', flip_pairs=())
    assert path.name in str(caught.value)
    assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize(
    ('old', 'new', 'match'),
    [
        ('points="20.25,5.00"', 'points="20.25"', "'tip' are '20.25'; expected \"x,y;x,y;…\""),
        ('width="64"', 'width="wide"', "image 0 .*: width is 'wide'; expected a number"),
        ('</annotations>', '', 'is not valid XML: no element found: line .*; was it cut short'),
        ('<image id="0"', '<track id="1" label="kite"/><image id="0"', 'CVAT for images 1.1'),
        ('label="left_wing"', 'label="tip"', "skeleton 'kite' has two points label 'tip'"),
        ('<annotations>', '<!DOCTYPE a [<!ENTITY b "c">]><annotations>', 'declares entities'),
    ],
)
def test_damaged_xml_is_named(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = place('cvat.xml', tmp_path, SKY)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(path, tmp_path / 'data')
    assert 'cvat.xml' in str(caught.value)


@pytest.mark.parametrize(
    ('old', 'new', 'match'),
    [
        (',30.0,31.0', ',30.0', 'line 4 has 8 cells; expected 9; was it cut short'),
        ('12.5,,,', '12.5,?,,', "line 4: could not convert string to float: '\\?'"),
        ('10.125,12.5', '10.125,', "'snout' of labeled-data/day1/img001.png is at"),
        ('coords,,,x,y', 'coords,,,x,z', "'snout' has no column 'y'"),
        ('bodyparts', 'parts', "expected 'scorer', 'bodyparts' and 'coords'"),
    ],
)
def test_damaged_csv_is_named(tmp_path: Path, old: str, new: str, match: str) -> None:
    folder = place('deeplabcut', tmp_path, DAYS)
    path = folder / 'labeled-data/day1/CollectedData_ann.csv'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(folder, tmp_path / 'data')
    assert path.name in str(caught.value)


def test_predictions_of_a_video_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / 'clip.csv'
    path.write_text('scorer,a,a,a\nbodyparts,b,b,b\ncoords,x,y,likelihood\n0,1.0,2.0,0.9\n')
    with pytest.raises(ValueError, match='predictions of a video, by number of frame'):
        import_dataset(path, tmp_path / 'data', format='deeplabcut')


def test_points_of_several_instances_without_groups(tmp_path: Path) -> None:
    """Points belong to the box around them; elsewhere they are left out, and counted."""
    path = place('labelme/a.json', tmp_path, ['a.png', 'b.png'])

    def change(content: Any) -> None:
        for shape in content['shapes']:
            shape['group_id'] = None
        content['shapes'][1]['points'] = [[35, 5]]  # in no box
        around_both = dict(content['shapes'][4], points=[[45, 5], [63, 47]])
        content['shapes'] += [around_both, dict(content['shapes'][3], points=[[50, 20]])]
        content['shapes'][3]['points'] = [[42, 12]]  # in one of two boxes

    edit_json(path, change)
    result = import_dataset(path, tmp_path / 'data', flip_pairs=())
    assert points_of(result.folder)['a.png'] == [
        ('fox', {'nose': (10.5, 12, 2)}),
        ('fox', {'nose': (42, 12, 2)}),
        ('fox', {}),
    ]
    assert any(line.startswith('points of no group, in no box') for line in result.left_out)
    assert result.found.points - result.written['train'].points == 2


def test_image_within_a_labelme_file_is_written(tmp_path: Path) -> None:
    import base64

    path = place('labelme/b.json', tmp_path / 'source')
    write_images(tmp_path, ['other.png'])
    data = (tmp_path / 'other.png').read_bytes()
    edit_json(path, lambda c: c.update(imageData=base64.b64encode(data).decode()))
    result = import_dataset(path, tmp_path / 'data', flip_pairs=())
    assert (result.folder / 'images/b.png').read_bytes() == data
    assert any('only in the annotation files' in line for line in result.repaired)


def test_shapes_of_points_without_names_are_numbered(tmp_path: Path) -> None:
    """One CVAT shape can hold all keypoints of an instance."""
    write_images(tmp_path, ['1.png'])
    (tmp_path / 'a.xml').write_text(
        '<annotations><image id="0" name="1.png" width="64" height="48">'
        '<points label="leaf" occluded="0" points="1.0,2.0;3.0,4.5" group_id="0"/>'
        '<points label="leaf" occluded="1" points="5.0,2.0;7.0,4.5"/></image></annotations>'
    )
    result = import_dataset(tmp_path / 'a.xml', tmp_path / 'data', keypoint_names=['base', 'apex'])
    assert points_of(result.folder)['1.png'] == [
        ('leaf', {'base': (1, 2, 2), 'apex': (3, 4.5, 2)}),
        ('leaf', {'base': (5, 2, 1), 'apex': (7, 4.5, 1)}),
    ]


def test_recognise_names_candidates_and_known_formats(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='does not exist'):
        recognise(tmp_path / 'nowhere')
    (tmp_path / 'notes.txt').write_text('nothing')
    with pytest.raises(ValueError, match=r'no format is recognised\. Known are: coco .*sleap'):
        recognise(tmp_path)
    place('cvat.xml', tmp_path)
    place('coco_cvat.json', tmp_path)
    with pytest.raises(ValueError, match=r'several formats: coco .*cvat .*--format'):
        recognise(tmp_path)
    assert recognise(tmp_path, 'cvat') == ('cvat', (tmp_path / 'cvat.xml',))
    with pytest.raises(ValueError, match="did you mean 'cvat'"):
        recognise(tmp_path, 'cvta')
    with pytest.raises(ValueError, match=r'no file of SLEAP, \*.slp'):
        recognise(tmp_path, 'sleap')


def test_json_min_is_refused(tmp_path: Path) -> None:
    """It has no ids, so that nothing says which points are of one instance."""
    point = dict(
        x=1, y=2, width=0.5, keypointlabels=['nose'], original_width=64, original_height=48
    )
    path = tmp_path / 'min.json'
    path.write_text(json.dumps([dict(image='/data/upload/1.png', id=1, kp=[point])]))
    with pytest.raises(ValueError, match=r'min.json: task 0 .*export "JSON" \(not JSON-MIN\)'):
        import_dataset(path, tmp_path / 'data')


def test_subsets_of_cvat_are_splits(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path, SKY)
    text = path.read_text()
    for number, subset in ((0, 'Train'), (1, 'Validation')):
        text = text.replace(f'<image id="{number}"', f'<image id="{number}" subset="{subset}"')
    path.write_text(text)
    result = import_dataset(path, tmp_path / 'data')
    assert {k: v.instances for k, v in result.written.items()} == {'train': 1, 'val': 1}
    assert rows_of(result.folder, 'val', 'images')[0]['file_name'] == 'sky/2.png'


def test_frames_of_a_cvat_video_stay_together(tmp_path: Path) -> None:
    write_images(tmp_path, ['a/frame_000000.png', 'a/frame_000001.png', 'b/frame_000000.png'])
    for name, frames in (('a', 2), ('b', 1)):
        images = ''.join(
            f'<image id="{n}" name="frame_00000{n}.png" width="64" height="48">'
            f'<points label="tip" occluded="0" points="1.0,2.0"/></image>'
            for n in range(frames)
        )
        meta = '<meta><task><mode>interpolation</mode></task></meta>'
        path = tmp_path / name / 'annotations.xml'
        path.write_text(f'<annotations>{meta}{images}</annotations>')
    result = import_dataset(tmp_path, tmp_path / 'data', val=0.34)
    names = [each['file_name'] for each in rows_of(result.folder, 'val', 'images')]
    assert names in (['b/frame_000000.png'], ['a/frame_000000.png', 'a/frame_000001.png'])


def test_roboflow_writes_paths_that_are_not_there(tmp_path: Path) -> None:
    """Its data.yaml names ../train/images, from where the archive has train/images."""
    path = place('yolo-pose', tmp_path)
    (path / 'images').mkdir()
    write_images(path, ['train/images/1.png', 'valid/images/2.png'])
    for split, folder in (('train', 'train'), ('val', 'valid')):
        target = path / folder / 'labels'
        (path / 'labels' / split).rename(target)
    text = (path / 'data.yaml').read_text().replace('images/train', '../train/images')
    text = text.replace('images/val', '../valid/images').replace('path: .', '')
    (path / 'data.yaml').write_text(text)
    result = import_dataset(path, tmp_path / 'data')
    assert {k: v.images for k, v in result.written.items()} == {'train': 1, 'val': 1}
    (path / 'data.yaml').write_text(text.replace('../valid/images', '../nowhere'))
    with pytest.raises(FileNotFoundError, match=r"'../nowhere' is neither .*expected a folder"):
        import_dataset(path, tmp_path / 'b')


def test_labels_of_missing_yolo_images_are_counted(tmp_path: Path) -> None:
    path = place('yolo-pose', tmp_path, ['images/train/1.png', 'images/train/3.png'])
    (path / 'labels/val/2.txt').rename(path / 'labels/train/2.txt')
    (path / 'images/val').mkdir()
    result = import_dataset(path, tmp_path / 'data')
    assert any(line.startswith('images that are not there: 1x') for line in result.left_out)
    assert points_of(result.folder).keys() == {'1.png', '3.png'}
    assert result.found == (3, 3, 4)


def test_frames_of_deeplabcut_without_image_are_counted(tmp_path: Path) -> None:
    path = place('deeplabcut', tmp_path, DAYS[:2])
    result = import_dataset(path, tmp_path / 'data')
    assert points_of(result.folder).keys() == {'img001.png', 'img002.png'}
    assert result.left_out[0].startswith('images that are not there: 2x (labeled-data\\day2')
    assert result.found == (4, 3, 5)


def test_turned_boxes_of_label_studio(tmp_path: Path) -> None:
    path = place('label_studio.json', tmp_path, CASES['label-studio'][1])
    result = 'annotations', 0, 'result'

    def turn(content: Any) -> None:
        tasks = content[0]
        for key in result:
            tasks = tasks[key]
        tasks[0]['value']['rotation'] = 90

    edit_json(path, turn)
    imported_ = import_dataset(path, tmp_path / 'data', val=0)
    # From 16, 12 (32 x 24 pixels), a quarter turn to the right: 24 to the left, 32 down
    assert rows_of(imported_.folder, 'train')[0]['bbox'] == pytest.approx([-8, 12, 24, 32])
    assert any('boxes that are turned' in line for line in imported_.repaired)


def test_coco_without_categories(tmp_path: Path) -> None:
    path = place('coco_annotator.json', tmp_path, ['a b.png'])
    edit_json(path, lambda c: c.pop('categories'))
    result = import_dataset(path, tmp_path / 'data', keypoint_names=['nose', 'eye_l', 'eye_r'])
    assert points_of(result.folder)['a b.png'][0] == (
        'object',
        {'nose': (10, 12, 2), 'eye_l': (8, 9, 1)},
    )
    assert any("'categories' are missing" in line for line in result.repaired)


def test_a_folder_with_files_of_other_tasks(tmp_path: Path) -> None:
    """COCO's instances_*.json beside person_keypoints_*.json."""
    path = place('coco_annotator.json', tmp_path, ['a b.png'])
    content = json.loads(path.read_text())
    del content['categories'][0]['keypoints']
    for row in content['annotations']:
        del row['keypoints']
    (tmp_path / 'instances.json').write_text(json.dumps(content))
    result = import_dataset(tmp_path, tmp_path / 'data')
    assert result.left_out == ['files without keypoints: 1x (instances.json)']
    with pytest.raises(ValueError, match=r'instances.json: no category and no annotation has key'):
        import_dataset(tmp_path / 'instances.json', tmp_path / 'b')


def test_skeletons_beside_loose_points_are_chosen(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path, SKY)
    loose = '<points label="sun" occluded="0" points="1.0,2.0"/></image>\n</annotations>'
    path.write_text(path.read_text().replace('</image>\n</annotations>', loose))
    with pytest.raises(
        ValueError, match=r'kite: tip, left_wing, right_wing; object: sun.*--categ'
    ):
        import_dataset(path, tmp_path / 'data')
    result = import_dataset(path, tmp_path / 'data', category='kite')
    assert result.keypoints == ('tip', 'left_wing', 'right_wing')
    assert result.found.points - sum(c.points for c in result.written.values()) == 1


@pytest.mark.parametrize(
    ('old', 'new', 'match'),
    [
        (
            'kpt_shape: [3, 3]',
            'kpt_shape: [3, 4]',
            r"'kpt_shape' is \[3, 4\]; expected the number",
        ),
        ('kpt_shape: [3, 3]', 'kpt_shape: [3, 3', 'cannot be read as YAML: .* line'),
        ("names: ['hand']", 'names: hand', "'names' is 'hand'; expected the names of the classes"),
        ('flip_idx: [0, 2, 1]', 'flip_idx: [1, 2, 0]', r"'flip_idx' is \[1, 2, 0\]; .*mutually"),
        ('nc: 1', 'kpt_names: {0: [a, b]}', r"'kpt_names' is .*expected 3 distinct names"),
        ('val: images/val', 'val: 3', "'val' is 3; expected a path"),
        ('train: images/train\nval: images/val', '', "none of 'train', 'val' and 'test'"),
    ],
)
def test_damaged_data_yaml_is_named(tmp_path: Path, old: str, new: str, match: str) -> None:
    folder = place('yolo-pose', tmp_path, ['images/train/1.png', 'images/val/2.png'])
    text = (folder / 'data.yaml').read_text()
    assert old in text
    (folder / 'data.yaml').write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(folder, tmp_path / 'data')
    assert 'data.yaml' in str(caught.value)


def test_lists_of_yolo_images(tmp_path: Path) -> None:
    """A split is a folder, an image, or a list of images; two files share what they name."""
    folder = place('yolo-pose', tmp_path, ['images/train/1.png', 'images/val/2.png'])
    text = (folder / 'data.yaml').read_text()
    text = text.replace('images/train', 'train.txt').replace('images/val', '[images/val/2.png]')
    (folder / 'data.yaml').write_text(text)
    (folder / 'train.txt').write_text('./images/train/1.png\n\n')
    result = import_dataset(folder, tmp_path / 'data')
    assert points_of(result.folder) == CASES['yolo-pose'][4]
    (folder / 'train.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match=r'train.txt is not text in UTF-8'):
        import_dataset(folder, tmp_path / 'b')
    other = text.replace('[3, 3]', '[2, 3]').replace('[0, 2, 1]', '[0, 1]')
    (folder / 'other.yaml').write_text(other)
    (folder / 'train.txt').write_text('./images/train/1.png\n')
    with pytest.raises(ValueError, match="class 'hand' has other keypoints than in other files"):
        import_dataset(folder, tmp_path / 'b')


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (lambda c: c[0].update(data=3), r'task 0 is .*expected a task'),
        (lambda c: c[0].update(data={'text': 'a'}, file_upload=None), "'data' has .*an image"),
        (lambda c: result_of(c).insert(0, 3), "'result' is a list; expected a list of dicts"),
        (lambda c: result_of(c)[1].update(value=3), "result 1: 'value' is 3; expected a dict"),
        (lambda c: result_of(c)[1]['value'].update(keypointlabels=[]), 'expected a label'),
        (lambda c: result_of(c)[1]['value'].update(keypointlabels=['a', 'b']), 'expected one'),
        (lambda c: result_of(c)[1].update(original_width=32), r'image of \(32, 48\), others'),
        (lambda c: [each.update(annotations=[]) for each in c], 'has no keypoints in 0 annot'),
    ],
)  # fmt: skip
def test_damaged_tasks_are_named(
    tmp_path: Path, change: Callable[[Any], object], match: str
) -> None:
    path = place('label_studio.json', tmp_path, CASES['label-studio'][1])
    edit_json(path, change)
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(path, tmp_path / 'data', format='label-studio')
    assert 'label_studio.json' in str(caught.value)


def result_of(content: Any) -> Any:
    return content[0]['annotations'][0]['result']


def test_images_that_were_turned_in_label_studio(tmp_path: Path) -> None:
    path = place('label_studio.json', tmp_path, CASES['label-studio'][1])
    edit_json(path, lambda c: result_of(c)[0].update(image_rotation=90))
    result = import_dataset(path, tmp_path / 'data', flip_pairs=())
    assert points_of(result.folder).keys() == {'two.png'}
    assert any('turned in Label Studio: 1x' in line for line in result.left_out)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (lambda c: c.update(shapes={}), "no list of 'shapes'; expected a file of LabelMe"),
        (lambda c: c['shapes'].append(3), 'shape 2 is 3; expected a dict'),
        (lambda c: c['shapes'][0].update(label=''), "shape 0: 'label' is ''; expected text"),
        (lambda c: c['shapes'][0].update(points=[['a', 1]]), r'expected 1 of \[x, y\]'),
        (lambda c: c.update(imageData='?', imagePath='x.png'), "'imageData' is damaged"),
        (lambda c: c.update(shapes=[]), r'has no points|have no points'),
    ],
)
def test_damaged_shapes_are_named(
    tmp_path: Path, change: Callable[[Any], object], match: str
) -> None:
    path = place('labelme/b.json', tmp_path, ['b.png'])
    edit_json(path, change)
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(path, tmp_path / 'data')
    assert 'b.json' in str(caught.value)


def test_two_boxes_of_a_group(tmp_path: Path) -> None:
    path = place('labelme/a.json', tmp_path, ['a.png'])
    edit_json(path, lambda c: c['shapes'][4].update(group_id=1))
    with pytest.raises(ValueError, match=r'a.json: group 1 has 2 boxes; expected one'):
        import_dataset(path, tmp_path / 'data')


def test_order_of_labels_txt(tmp_path: Path) -> None:
    path = place('labelme', tmp_path, ['a.png', 'b.png'])
    (path / 'labels.txt').write_text('__ignore__\near_right\near_left\ntail\nnose\nfox\n')
    result = import_dataset(path, tmp_path / 'data', images=path)
    assert result.keypoints == ('ear_right', 'ear_left', 'tail', 'nose')


def test_damaged_hdf5_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('tables')
    path = tmp_path / 'CollectedData_a.h5'
    path.write_bytes(b'\x89HDF\r\n\x1a\n')
    with pytest.raises(ValueError, match=r'CollectedData_a.h5 cannot be read as HDF5'):
        import_dataset(path, tmp_path / 'data')
    pandas.DataFrame({'a': [1.0]}).to_hdf(path, key='a', mode='w')
    with pytest.raises(ValueError, match=r"CollectedData_a.h5: its columns are .*'bodyparts'"):
        import_dataset(path, tmp_path / 'data')
    monkeypatch.setitem(sys.modules, 'tables', None)
    with pytest.raises(ImportError, match='needs tables: pip install pandas tables'):
        import_dataset(path, tmp_path / 'data')


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        (b'scorer,a,a\nbodyparts,b\ncoords,x,y\n', 'different numbers of cells'),
        (b'scorer,a,a\nbodyparts,b,b\ncoords,x,z\n', "has no column 'y'"),
        (b'scorer,a,a,a\nbodyparts,b,b,b\ncoords,x,y,y\n', 'two columns of one coordinate'),
        (b'scorer,a,a,a\nbodyparts,b,b,b\ncoords,x,y,z\n', "has a column 'z'; expected 'x'"),
        (b'\xff\xfe', 'is not a table of text'),
    ],
)
def test_headers_of_deeplabcut(tmp_path: Path, text: bytes, match: str) -> None:
    path = tmp_path / 'CollectedData_a.csv'
    path.write_bytes(text)
    with pytest.raises(ValueError, match=match) as caught:
        import_dataset(path, tmp_path / 'data')
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ('old', 'new', 'match'),
    [
        ('name="sky/1.png" ', '', 'image 0 has no name'),
        ('width="64"', 'width="0"', r"\('sky/1.png'\) is 0x48; expected sides of 1 or more"),
        ('points="20.25,5.00"', 'points="1,2;3,4"', "'tip' has 2 points; expected one"),
        ('xtl="8.00"', '', "box 'kite': xtl is None; expected a number"),
    ],
)
def test_more_damaged_xml_is_named(tmp_path: Path, old: str, new: str, match: str) -> None:
    test_damaged_xml_is_named(tmp_path, old, new, match)


def test_xml_without_keypoints(tmp_path: Path) -> None:
    path = tmp_path / 'a.xml'
    path.write_text('<annotations><image id="0" name="1.png" width="4" height="4"/></annotations>')
    with pytest.raises(ValueError, match=r'a.xml has no points and no skeletons in its 1 images'):
        import_dataset(path, tmp_path / 'data')
