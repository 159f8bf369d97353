"""Synthetic data for detection, segmentation and classification, checked against the images."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from support.optional import needs

from hrnet_plugin.commands.cli import main
from hrnet_plugin.datasets import render_scene, scene_of, synthesize
from hrnet_plugin.datasets.synthetic import annotation as annotation_module
from hrnet_plugin.datasets.synthetic import backdrop
from hrnet_plugin.datasets.synthetic import render as render_module
from hrnet_plugin.datasets.synthetic import scene as scene_module
from hrnet_plugin.datasets.synthetic.annotation import instance_annotation, place_person
from hrnet_plugin.datasets.synthetic.body import (
    KEYPOINTS,
    PART_NAMES,
    Build,
    assemble,
    sample_pose,
)
from hrnet_plugin.datasets.synthetic.figure import figure, plain, sample_look
from hrnet_plugin.datasets.synthetic.geometry import Frame
from hrnet_plugin.datasets.synthetic.render import Light, View, box, render
from hrnet_plugin.datasets.synthetic.tasks import (
    CLASSIFICATIONS,
    SEGMENTATIONS,
    TASKS,
    image_labels,
    label_maps,
)

IMAGE = (160, 120)
PARAMETERS = dict(num_images=8, seed=11, val_fraction=0.25, image_size=IMAGE, num_workers=1)
DATASET_OF_POSE = {
    'num_images': 8,
    'seed': 11,
    'val_fraction': 0.25,
    'image_size': [160, 120],
    'generator_version': 1,
}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp('tasks') / 'data'
    assert synthesize(out, **PARAMETERS, tasks=TASKS).written
    return out


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def scenes(split):
    """Scenes of the dataset by the names of their image files."""
    first, count = {'train': (1, 6), 'val': (1_000_001, 2)}[split]
    return {
        f'{first + i:012d}.jpg': scene_of(11, split, i, IMAGE, part_labels=True)
        for i in range(count)
    }


# Files


def test_tasks_add_files_and_change_none(dataset, tmp_path):
    synthesize(tmp_path, **PARAMETERS)
    pose, full = files(tmp_path), files(dataset)
    manifest = json.loads(pose.pop('synthetic.json'))
    assert list(manifest['parameters'].items()) == list(DATASET_OF_POSE.items())
    assert json.loads(full['synthetic.json'])['parameters']['tasks'] == list(TASKS)
    assert {name: full[name] for name in pose} == pose
    names = [name.split('.')[0] for name in full if name.endswith('.jpg')]
    assert full.keys() - pose.keys() == {
        'synthetic.json',
        *(f'annotations/instances_{split}2017.json' for split in ('train', 'val')),
        *(f'segmentation/{kind}/{name}.png' for kind in ('person', 'parts') for name in names),
        *(f'segmentation/{kind}/metainfo.json' for kind in ('person', 'parts')),
        *(
            f'classification/{kind}/{name}.txt'
            for kind in ('people', 'setting')
            for name in ('train2017', 'val2017', 'classes')
        ),
    }


def test_same_bytes_with_any_number_of_workers(dataset, tmp_path):
    synthesize(tmp_path, **{**PARAMETERS, 'num_workers': 2}, tasks=TASKS)
    assert files(tmp_path) == files(dataset)


def test_a_dataset_with_more_tasks_is_kept(dataset):
    before = {p: (dataset / p).stat().st_mtime_ns for p in files(dataset)}
    for tasks in (TASKS, ('pose',), ('segmentation',), ()):
        assert not synthesize(dataset, **PARAMETERS, tasks=tasks).written
    assert {p: (dataset / p).stat().st_mtime_ns for p in files(dataset)} == before


def test_a_dataset_with_fewer_tasks_is_replaced_only_if_overwriting(tmp_path):
    parameters = dict(num_images=2, image_size=(64, 64), num_workers=1)
    synthesize(tmp_path, **parameters)
    before = files(tmp_path)
    message = r"tasks \['pose'\] there, \['pose', 'detection'\] requested.*--overwrite"
    with pytest.raises(FileExistsError, match=message):
        synthesize(tmp_path, **parameters, tasks=('detection',))
    assert files(tmp_path) == before
    assert synthesize(tmp_path, **parameters, tasks=TASKS, overwrite=True).written
    assert files(tmp_path).keys() > before.keys()
    with pytest.raises(FileExistsError, match='seed 0 there, 1 requested'):
        synthesize(tmp_path, **parameters, seed=1)
    synthesize(tmp_path, **parameters, seed=1, overwrite=True)
    assert files(tmp_path).keys() == before.keys()


def test_an_interrupted_run_is_replaced_by_any_of_its_tasks(tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    parameters = dict(num_images=2, image_size=(64, 64), num_workers=1)
    for folder, tasks in (('same', TASKS), ('fewer', ('pose',))):
        out = tmp_path / folder
        with pytest.raises(KeyboardInterrupt):
            synthesize(out, **parameters, tasks=TASKS, progress=stop)
        assert list(out.rglob('*.png'))
        assert synthesize(out, **parameters, tasks=tasks).written
        synthesize(tmp_path / f'{folder}_new', **parameters, tasks=tasks)
        assert files(out) == files(tmp_path / f'{folder}_new')


@pytest.mark.parametrize(
    ('tasks', 'message'),
    [
        (('pose', 'masks'), "'masks' in tasks is not one of pose, detection, segmentation, c"),
        ('segmentation', r"tasks is 'segmentation'; write it as a tuple, \('segmentation',\)"),
    ],
)
def test_unknown_tasks_are_named(tmp_path, tasks, message):
    with pytest.raises(ValueError, match=message):
        synthesize(tmp_path / 'out', 2, tasks=tasks)
    assert not (tmp_path / 'out').exists()


def test_the_command_takes_tasks(tmp_path, capsys):
    out = tmp_path / 'data'
    small = ['--images', '2', '--size', '64x64', '--workers', '1']
    assert main(['synth', str(out), *small, '--tasks', 'classification', 'detection']) == 0
    assert json.loads((out / 'synthetic.json').read_text())['parameters']['tasks'] == [
        'pose',
        'detection',
        'classification',
    ]
    with pytest.raises(SystemExit):
        main(['synth', str(out), *small, '--tasks', 'mask'])
    message = capsys.readouterr().err
    assert all(f"'{task}'" in message for task in TASKS)


# Masks and label maps against the image


def flat_scene(monkeypatch, key, paint_of):
    """Render without light, shadows and photography; `paint_of(person, part)` colours people.

    Args:
        monkeypatch: Pytest's.
        key: Seed of the scene.
        paint_of: A function of a person's number, in the order of rendering, and a part.
    """
    numbers = iter(range(100))

    def painted(body, look):
        number = next(numbers)
        return [
            replace(part, paint=paint_of(number, part)) if part.own else part
            for part in figure(body, look)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(scene_module, 'figure', painted)
        patch.setattr(scene_module, '_shadow', lambda *_: None)
        patch.setattr(scene_module, '_photograph', lambda rng, image: image.copy())
        patch.setattr(render_module, '_brightness', lambda normals, light: np.float32(1))
        patch.setattr(render_module, '_crevices', lambda d, index, f: np.float32(index >= 0))
        scene = render_scene(np.random.default_rng(key), IMAGE, part_labels=True)
    return scene, next(numbers)


def black(*_):
    return plain((0, 0, 0))


def coverage(monkeypatch, key, white, reference):
    """The visible share (h, w) of each pixel that `white(person, part, points)` selects.

    Args:
        monkeypatch: Pytest's.
        key: Seed of the scene.
        white: A function that says where a part is painted white, instead of black.
        reference: The scene with black people.
    """

    def paint_of(number, part):
        return lambda p: np.where(white(number, part, p), np.float32([[255]] * 3), 0)

    scene, _ = flat_scene(monkeypatch, key, paint_of)
    return (scene.image - reference.image)[..., 0] / 255


MOST = 0.51  # of a pixel; a half may go either way


# Four people, one of them half hidden, a skirt and a backpack; a thing before a skirt; a person
# before one who sits.
@pytest.mark.parametrize('key', [[1, 52], [1, 6], [1, 14]])
def test_masks_are_the_pixels_that_show_the_person(monkeypatch, key):
    scene, people = flat_scene(monkeypatch, key, black)
    masks = list(scene.masks)
    partial = 0
    for person in range(people):
        visible = coverage(monkeypatch, key, lambda number, *_, who=person: number == who, scene)
        (mask,) = [m for m in masks if (m & (visible > MOST)).any()]
        assert mask[visible > MOST].all()
        assert visible[mask].min() > 0.2  # half of the samples, through edges of nearer things
        partial += ((visible > 0) & (visible < 1)).sum()
    assert len(masks) == people
    assert partial > 20  # edges
    assert np.sum(masks, axis=0).max() == 1
    assert (np.any(masks, axis=0) == (scene.part_labels > 0)).all()


@pytest.mark.parametrize('key', [[1, 52], [1, 6], [1, 14]])
def test_part_labels_are_the_parts_that_pixels_show(monkeypatch, key):
    scene, _ = flat_scene(monkeypatch, key, black)
    seen = set()
    for label in range(1, len(PART_NAMES)):
        visible = coverage(
            monkeypatch,
            key,
            # x > 0 is the person's left
            lambda _, part, p, label=label: np.where(p[0] > 0, *part.labels) == label,
            scene,
        )
        here = scene.part_labels == label
        assert here[visible > MOST].all()
        assert not here.any() or visible[here].min() > 0.05
        seen |= {label} if here.sum() > 10 else set()
    assert len(seen) > 7


def test_hardly_visible_people_are_labelled_though_not_annotated(monkeypatch):
    everyone = render_scene(np.random.default_rng([1, 52]), IMAGE, part_labels=True)
    monkeypatch.setattr(annotation_module, 'MIN_SHARE', 0.8)
    scene = render_scene(np.random.default_rng([1, 52]), IMAGE, part_labels=True)
    assert len(scene.masks) == len(scene.annotations) == len(everyone.masks) - 1
    for annotation, mask in zip(scene.annotations, scene.masks):
        assert annotation['bbox'] == list(cv2.boundingRect(mask.astype(np.uint8)))
    np.testing.assert_array_equal(scene.part_labels, everyone.part_labels)


def test_crowds_are_labelled(monkeypatch):
    key = [1, 53]
    scene, _ = flat_scene(monkeypatch, key, black)
    crowd = scene.masks[-1]
    assert [a['iscrowd'] for a in scene.annotations] == [0] * (len(scene.masks) - 1) + [1]
    visible = coverage(monkeypatch, key, lambda number, *_: number >= len(scene.masks) - 1, scene)
    assert crowd[visible > MOST].all()
    assert (scene.part_labels[visible > MOST] > 0).all()
    assert crowd.sum() > 60
    assert visible[crowd].mean() > 0.6
    assert np.sum(scene.masks, axis=0).max() == 1
    # A seat of the crowd is in its region, but no person
    assert np.any(scene.masks, axis=0)[scene.part_labels > 0].all()


@pytest.mark.parametrize('key', [[1, 52], [1, 14]])
def test_people_that_are_left_out_change_their_pixels_alone(monkeypatch, key):
    """Compare finished images, with light, blur and noise, with and without each person."""
    scene, kernel = render_scene(np.random.default_rng(key), IMAGE), np.ones((3, 3), np.uint8)
    original = scene.image.astype(int)
    paste, placed = scene_module._paste, scene_module.place_person

    def people(*args):
        person = placed(*args)
        layers.append(person and person.layer)
        return person

    def paste_others(canvas, layer):
        if layer is not layers[number]:
            paste(canvas, layer)

    with monkeypatch.context() as patch:
        patch.setattr(scene_module, 'place_person', people)
        patch.setattr(scene_module, '_paste', paste_others)
        for number in range(len(scene.masks)):
            layers = []
            other = render_scene(np.random.default_rng(key), IMAGE).image.astype(int)
            changed = np.abs(original - other).max(axis=2) > 3
            layer = layers[number]
            own = layer.on_canvas(layer.own, IMAGE)
            mask = max(scene.masks, key=lambda m: (m & own).sum())
            with_things = mask | layer.on_canvas((layer.alpha > 0) & ~layer.own, IMAGE)
            near = cv2.dilate(with_things.astype(np.uint8), kernel, iterations=2)  # edges and blur
            assert not changed[near == 0].any()
            interior = cv2.erode(mask.astype(np.uint8), kernel) > 0
            assert changed[interior].mean() > 0.9
            assert interior.sum() > 30


def test_visible_joints_lie_on_their_parts():
    """Left and right of the label maps are those of the keypoints."""
    names = {'shoulder': 'upper_arm', 'elbow': 'upper_arm lower_arm', 'wrist': 'lower_arm'}
    names |= {'hip': 'upper_leg', 'knee': 'upper_leg lower_leg', 'ankle': 'lower_leg'}
    hits, covered = [], 0
    for number in range(30):
        scene = render_scene(np.random.default_rng([6, number]), IMAGE, part_labels=True)
        for annotation, mask in zip(scene.annotations, scene.masks):
            labels = np.where(mask, scene.part_labels, 0)
            keypoints = np.array(annotation['keypoints']).reshape(17, 3)
            for name, (x, y, flag) in zip(KEYPOINTS, keypoints):
                side, _, joint = name.partition('_')
                x, y = int(x), int(y)
                around = labels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
                if flag == 2:
                    assert around.any(), name
                    parts = [f'{side}_{part}' for part in names.get(joint, '').split()] or ['head']
                    parts += ['torso'] * (joint in ('shoulder', 'hip'))
                    hits.append(np.isin(around, [PART_NAMES.index(part) for part in parts]).any())
                covered += flag == 1 and not mask[y, x]
    assert len(hits) > 400
    assert np.mean(hits) > 0.99
    assert covered > 5


@pytest.mark.parametrize(('yaw', 'left_is_right'), [(0.0, True), (180.0, False)])
def test_skirts_have_a_left_and_a_right(yaw, left_is_right):
    rng = np.random.default_rng(0)
    body = assemble(Build(height=1.7), sample_pose(rng, 'stand'), yaw)
    look = replace(sample_look(rng), legwear='skirt', backpack=None, tucked=True)
    view = View(np.eye(3), 100, (120, 200))
    person = place_person(body, figure(body, look), view, (240, 240), Light())
    labels = np.zeros((240, 240), np.uint8)
    labels[person.layer.window] = person.layer.part_labels()
    columns = [
        np.nonzero(labels == PART_NAMES.index(f'{side}_upper_leg'))[1]
        for side in ('left', 'right')
    ]
    left, right = columns if left_is_right else columns[::-1]
    assert min(len(left), len(right)) > 200
    assert abs(len(left) - len(right)) < 0.3 * len(left)
    assert left.min() >= right.max() - 8


def test_pixels_show_the_part_of_most_samples():
    frame, black = Frame(np.zeros(3), np.eye(3)), plain((0, 0, 0))
    # A pixel has four samples: of column 3, half a pixel is the head's, and none of column 4
    head = replace(box(frame, (0, 0, 2), (3.5, 2, 1), black), labels=(1, 1))
    torso = replace(box(frame, (0, 0, 0), (6, 2.5, 1), black), labels=(2, 3))
    thing = box(frame, (0, -2, 5), (10, 1, 1), black)
    layer = render([torso, thing, head], View(np.eye(3), 1.0, (10, 10)), (20, 20), Light())
    labels = np.zeros((20, 20), np.uint8)
    labels[layer.window] = layer.part_labels()
    expected = np.zeros((20, 20), np.uint8)
    expected[8:11, 4:10] = 3
    expected[8:11, 10:16] = 2
    expected[8:11, 7:13] = 1
    for column in (6, 13):  # two samples of the head, two of the torso
        assert set(labels[8:11, column]) <= {1, 2, 3}
        labels[8:11, column] = expected[8:11, column]
    assert set(labels[7, 4:16]) <= {1, 2, 3}  # two samples of the torso, two of nothing
    labels[7] = 0
    assert (labels == expected).all()


# What is written


@pytest.mark.parametrize('split', ['train', 'val'])
def test_instances_are_those_with_keypoints(dataset, split):
    """Ids, boxes and categories agree; masks are exact and disjoint, and boxes fit them."""
    coco = COCO(dataset / f'annotations/instances_{split}2017.json')
    persons = COCO(dataset / f'annotations/person_keypoints_{split}2017.json')
    assert coco.dataset['images'] == persons.dataset['images']
    assert coco.dataset['categories'] == [{'id': 1, 'name': 'person', 'supercategory': 'person'}]
    assert coco.anns.keys() == persons.anns.keys()
    expected = scenes(split)
    for number, annotation in coco.anns.items():
        assert annotation.keys() == persons.anns[number].keys() - {'keypoints', 'num_keypoints'}
        same = ('id', 'image_id', 'bbox', 'iscrowd', 'category_id')
        assert [annotation[k] for k in same] == [persons.anns[number][k] for k in same]
        assert isinstance(annotation['segmentation']['counts'], str)
        mask = coco.annToMask(annotation)
        assert annotation['area'] == mask.sum() > 0
        assert annotation['bbox'] == list(cv2.boundingRect(mask))
        # Beside keypoints are outlines, without holes and specks
        outline = persons.annToMask(persons.anns[number])
        assert persons.anns[number]['area'] == pytest.approx(annotation['area'], rel=0.3)
        assert (outline & mask).sum() > 0.8 * mask.sum()
    for image in coco.imgs.values():
        masks = [coco.annToMask(a) for a in coco.imgToAnns[image['id']]]
        np.testing.assert_array_equal(masks, expected[image['file_name']].masks)
        assert np.sum(masks, axis=0).max() == 1


def test_crowds_are_instances():
    scene = render_scene(np.random.default_rng([1, 53]), IMAGE)
    crowd = instance_annotation(scene.annotations[-1], scene.masks[-1])
    assert crowd['iscrowd'] == 1
    assert (coco_mask.decode(crowd['segmentation']) == scene.masks[-1]).all()
    assert crowd['area'] == scene.masks[-1].sum()


@pytest.mark.parametrize('kind', ['person', 'parts'])
def test_label_maps_are_paletted(dataset, kind):
    metainfo = json.loads((dataset / f'segmentation/{kind}/metainfo.json').read_text())
    classes, palette = metainfo['classes'], metainfo['palette']
    assert classes[0] == 'background'
    assert len(classes) == len(palette) == len({tuple(colour) for colour in palette})
    seen = set()
    for split in ('train', 'val'):
        for name, scene in scenes(split).items():
            path = dataset / f'segmentation/{kind}/{split}2017/{name}'
            image = Image.open(path.with_suffix('.png'))
            assert image.mode == 'P'
            labels = np.array(image)
            expected = scene.part_labels if kind == 'parts' else scene.part_labels > 0
            np.testing.assert_array_equal(labels, expected)
            colours = np.array(image.convert('RGB'))
            np.testing.assert_array_equal(colours, np.array(palette)[labels])
            seen |= set(np.unique(labels))
    assert seen == set(range(len(classes)))


def test_label_maps_need_part_labels():
    with pytest.raises(ValueError, match='render it with part_labels=True'):
        label_maps(scene_of(11, 'train', 0, IMAGE))


def test_people_are_counted_and_settings_named():
    labels = []
    for number in range(30):
        scene = render_scene(np.random.default_rng([1, number]), (96, 96))
        labels.append(image_labels(scene))
        people = sum(not a['iscrowd'] for a in scene.annotations)
        crowd = any(a['iscrowd'] for a in scene.annotations)
        name = CLASSIFICATIONS['people'][labels[-1]['people']]
        assert name == ('none', 'one', 'two', *['three_or_more'] * 2)[4 if crowd else people]
        assert CLASSIFICATIONS['setting'][labels[-1]['setting']] == scene.setting
    assert {label['people'] for label in labels} >= {1, 2, 3}
    assert {label['setting'] for label in labels} == {0, 1, 2}


def test_settings_are_what_is_rendered(monkeypatch):
    rendered = []
    for name in CLASSIFICATIONS['setting']:
        original = getattr(backdrop, f'_{name}')

        def noted(*args, name=name, original=original):
            rendered.append(name)
            return original(*args)

        monkeypatch.setattr(backdrop, f'_{name}', noted)
    for number in range(20):
        rendered.clear()
        scene = render_scene(np.random.default_rng([3, number]), (64, 64))
        assert rendered == [scene.setting]


# Stock datasets


def test_mmdet_reads_instances(dataset):
    reader = CocoDataset(
        ann_file='annotations/instances_train2017.json',
        data_root=str(dataset),
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=('person',)),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        ],
    )
    expected = scenes('train')
    assert len(reader) == len(expected)
    for sample in reader:
        scene = expected[sample['img_path'].rpartition('/')[2]]
        assert sample['img'].shape == (120, 160, 3)
        np.testing.assert_array_equal(sample['gt_masks'].masks, scene.masks)
        assert (sample['gt_bboxes_labels'] == 0).all()
        boxes = np.array([a['bbox'] for a in scene.annotations])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_array_equal(sample['gt_bboxes'].tensor, boxes)


@needs('mmseg')
@pytest.mark.parametrize('kind', ['person', 'parts'])
def test_mmseg_reads_label_maps(dataset, kind):
    from mmseg.datasets import BaseSegDataset
    from mmseg.registry import TRANSFORMS

    metainfo = json.loads((dataset / f'segmentation/{kind}/metainfo.json').read_text())
    pairs = metainfo.pop('swap_seg_labels')
    reader = BaseSegDataset(
        data_root=str(dataset),
        data_prefix=dict(img_path='train2017', seg_map_path=f'segmentation/{kind}/train2017'),
        metainfo=metainfo,
        reduce_zero_label=False,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')],
    )
    expected = scenes('train')
    assert len(reader) == len(expected)
    assert reader.metainfo['classes'] == list(SEGMENTATIONS[kind].classes)
    flip = TRANSFORMS.build(dict(type='mmseg.RandomFlip', prob=1.0, swap_seg_labels=pairs))
    mirrored = {
        label: SEGMENTATIONS[kind].classes.index(
            name.replace('left', 'x').replace('right', 'left').replace('x', 'right')
        )
        for label, name in enumerate(SEGMENTATIONS[kind].classes)
    }
    for sample in reader:
        labels = label_maps(expected[sample['img_path'].rpartition('/')[2]])[kind]
        assert sample['gt_seg_map'].dtype == np.uint8
        assert sample['img'].shape == (*labels.shape, 3)
        np.testing.assert_array_equal(sample['gt_seg_map'], labels)
        flipped = flip(sample)['gt_seg_map'][:, ::-1]
        np.testing.assert_array_equal(flipped, np.vectorize(mirrored.get)(labels))


@needs('mmpretrain')
@pytest.mark.parametrize('kind', list(CLASSIFICATIONS))
def test_mmpretrain_reads_image_labels(dataset, kind):
    from mmpretrain.datasets import CustomDataset

    reader = CustomDataset(
        data_root=str(dataset),
        data_prefix='val2017',
        ann_file=f'classification/{kind}/val2017.txt',
        classes=f'{dataset}/classification/{kind}/classes.txt',
        pipeline=[dict(type='LoadImageFromFile')],
    )
    assert tuple(reader.CLASSES) == CLASSIFICATIONS[kind]
    expected = scenes('val')
    assert len(reader) == len(expected)
    for sample in reader:
        name = sample['img_path'].rpartition('/')[2]
        assert sample['gt_label'] == image_labels(expected[name])[kind]
        np.testing.assert_array_equal(sample['img'], cv2.imread(str(dataset / 'val2017' / name)))
