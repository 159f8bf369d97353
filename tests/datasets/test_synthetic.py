"""Synthetic people: valid COCO, reproducible, with correct visibility."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hrnet_plugin.datasets import render_scene, scene_of, synthesize
from hrnet_plugin.datasets.synthetic import writer
from hrnet_plugin.datasets.synthetic.annotation import (
    annotate,
    crowd_annotation,
    joint_visibility,
    place_person,
)
from hrnet_plugin.datasets.synthetic.body import KEYPOINTS, Build, assemble, sample_pose
from hrnet_plugin.datasets.synthetic.figure import figure, plain, sample_look
from hrnet_plugin.datasets.synthetic.geometry import Frame, rot_y
from hrnet_plugin.datasets.synthetic.render import Light, View, ball, box, render

SIZE = (240, 260)  # of a single person
IMAGE = (160, 120)
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
FRONT, BACK = 0.0, 180.0


def index(name):
    return KEYPOINTS.index(name)


def person(yaw, family='stand', seed=0):
    """A person 200 pixels tall in the middle, without accessories."""
    rng = np.random.default_rng(seed)
    pose = replace(sample_pose(rng, family), look=0.0, twist=0.0, nod=0.0)
    body = assemble(Build(height=1.7), pose, yaw)
    look = replace(sample_look(rng), hair_style='short', backpack=None)
    placed = place_person(
        body, figure(body, look), View(np.eye(3), 200 / 1.7, (120, 240)), SIZE, Light()
    )
    assert placed is not None
    return placed


def flags(annotation):
    return np.array(annotation['keypoints']).reshape(17, 3)[:, 2]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp('people') / 'data'
    summary = synthesize(out, 12, seed=7, val_fraction=0.25, image_size=IMAGE, num_workers=2)
    assert summary.written
    return out


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def coco_of(dataset, split):
    return COCO(dataset / f'annotations/person_keypoints_{split}2017.json')


# Files on disk


def test_same_bytes_with_any_number_of_workers(dataset, tmp_path):
    synthesize(tmp_path / 'alone', 12, seed=7, val_fraction=0.25, image_size=IMAGE, num_workers=1)
    assert len(files(dataset)) == 12 + 4
    assert files(tmp_path / 'alone') == files(dataset)


def test_an_image_depends_on_seed_split_and_number_only(dataset, tmp_path):
    synthesize(tmp_path / 'fewer', 4, seed=7, val_fraction=0.25, image_size=IMAGE, num_workers=1)
    few, many = files(tmp_path / 'fewer'), files(dataset)
    images = [p for p in few if p.suffix == '.jpg']
    assert len(images) == 4
    assert all(few[p] == many[p] for p in images)
    first = scene_of(7, 'train', 0, IMAGE).image
    others = [scene_of(*key, IMAGE) for key in ((8, 'train', 0), (7, 'val', 0), (7, 'train', 1))]
    assert all((first != other.image).any() for other in others)


def test_layout_is_that_of_coco(dataset):
    assert {str(p) for p in files(dataset) if p.suffix == '.json'} == {
        'annotations/person_keypoints_train2017.json',
        'annotations/person_keypoints_val2017.json',
        DETECTIONS,
        'synthetic.json',
    }
    train, val = coco_of(dataset, 'train'), coco_of(dataset, 'val')
    assert len(train.imgs) == 9
    assert len(val.imgs) == 3
    assert not train.imgs.keys() & val.imgs.keys()
    for split, coco in (('train', train), ('val', val)):
        for image in coco.imgs.values():
            assert (dataset / f'{split}2017' / image['file_name']).is_file()
    (category,) = train.dataset['categories']
    assert tuple(category['keypoints']) == KEYPOINTS
    assert len(category['skeleton']) == 19


@pytest.mark.parametrize('split', ['train', 'val'])
def test_annotations_are_consistent(dataset, split):
    coco = coco_of(dataset, split)
    assert len(coco.anns) >= len(coco.imgs)
    for annotation in coco.anns.values():
        image = coco.imgs[annotation['image_id']]
        keypoints = np.array(annotation['keypoints']).reshape(17, 3)
        known = keypoints[:, 2] > 0
        assert annotation['num_keypoints'] == known.sum()
        assert np.isin(keypoints[:, 2], [0, 1, 2]).all()
        assert (keypoints[~known] == 0).all()
        assert (keypoints[known, :2] >= 0).all()
        assert (keypoints[known, :2] < [image['width'], image['height']]).all()
        mask = coco.annToMask(annotation)
        assert mask.shape == (image['height'], image['width'])
        assert annotation['area'] == mask.sum()
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y, w, h = annotation['bbox']
        assert x <= columns[0] <= columns[-1] < x + w <= image['width']
        assert y <= rows[0] <= rows[-1] < y + h <= image['height']


def test_detections_are_of_val(dataset):
    detections = json.loads((dataset / DETECTIONS).read_text())
    val = coco_of(dataset, 'val')
    assert {d['image_id'] for d in detections} <= val.imgs.keys()
    assert all(d['category_id'] == 1 and 0 < d['score'] < 1 for d in detections)
    assert all(min(d['bbox'][2:]) > 0 for d in detections)


def test_detections_are_realistic():
    """Most people are detected, a few are missed, and false positives have low scores."""
    hits, people, false = [], 0, []
    for number in range(40):
        scene = render_scene(np.random.default_rng([5, number]), IMAGE)
        boxes = [a['bbox'] for a in scene.annotations if not a['iscrowd']]
        found = scene.detections
        people += len(boxes)
        if boxes and found:
            iou = coco_mask.iou(
                np.array([d['bbox'] for d in found]), np.array(boxes), [0] * len(boxes)
            )
            hits += [float(iou[:, i].max()) for i in range(len(boxes))]
            false += [d['score'] for d, row in zip(found, iou) if row.max() < 0.3]
    assert people > 40
    assert 0.8 < np.mean(np.array(hits) > 0.5) < 1
    assert len(false) > 5
    assert np.median(false) < 0.3


def test_a_second_run_writes_nothing(dataset):
    before = {p: (dataset / p).stat().st_mtime_ns for p in files(dataset)}
    summary = synthesize(dataset, 12, seed=7, val_fraction=0.25, image_size=IMAGE)
    assert not summary.written
    people = sum(
        not a['iscrowd'] for s in ('train', 'val') for a in coco_of(dataset, s).anns.values()
    )
    assert summary.people == people
    assert {p: (dataset / p).stat().st_mtime_ns for p in files(dataset)} == before


def test_other_parameters_are_refused_unless_overwriting(tmp_path):
    synthesize(tmp_path, 4, image_size=(96, 96), num_workers=1)
    with pytest.raises(FileExistsError, match=r'seed 0 there, 3 requested.*--overwrite'):
        synthesize(tmp_path, 4, seed=3, image_size=(96, 96))
    summary = synthesize(tmp_path, 3, 3, image_size=(96, 96), num_workers=1, overwrite=True)
    assert summary.written
    assert len(list(tmp_path.rglob('*.jpg'))) == 3


def test_an_interrupted_run_is_replaced(tmp_path, monkeypatch):
    def stop(done):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / 'a', 6, image_size=(96, 96), num_workers=2, progress=stop)
    assert not (tmp_path / 'a/annotations').exists()
    assert synthesize(tmp_path / 'a', 6, image_size=(96, 96), num_workers=1).written
    synthesize(tmp_path / 'b', 6, image_size=(96, 96), num_workers=1)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


@pytest.mark.parametrize('overwrite', [False, True])
def test_other_files_are_never_touched(tmp_path, overwrite):
    (tmp_path / 'train2017').mkdir()
    (tmp_path / 'train2017/000000000009.jpg').write_text('precious')
    with pytest.raises(FileExistsError, match='choose another folder'):
        synthesize(tmp_path, 4, overwrite=overwrite)
    assert (tmp_path / 'train2017/000000000009.jpg').read_text() == 'precious'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"parameters": {', 'damaged synthetic.json .*it ends too early'),
        ('[]', "synthetic.json of another kind; expected a dict with 'parameters'"),
        ('{"parameters": {}, "people": "all"}', "and 'people', a number or null"),
        ('{"parameters": {}}', "and 'people', a number or null"),
    ],
)
def test_damaged_manifests_are_errors(tmp_path, content, message):
    synthesize(tmp_path, 2, image_size=(96, 96), num_workers=1)
    (tmp_path / 'synthetic.json').write_text(content)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match=f'{message}.*its files are left alone'):
        synthesize(tmp_path, 2, image_size=(96, 96), overwrite=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'num_images': -1}, 'num_images is -1'),
        ({'num_images': 1}, 'at least 2'),
        ({'seed': -1}, 'seed is -1'),
        ({'val_fraction': 0.0}, 'val_fraction is 0.0'),
        ({'val_fraction': 1.0}, 'val_fraction is 1.0'),
        ({'image_size': (320, 10)}, 'image_size is 320x10'),
        ({'num_workers': 0}, 'num_workers is 0'),
    ],
)
def test_bad_parameters_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        synthesize(tmp_path / 'out', **{'num_images': 4, **options})
    assert not (tmp_path / 'out').exists()


def test_an_output_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / 'out').write_text('')
    with pytest.raises(FileExistsError, match='is a file'):
        synthesize(tmp_path / 'out', 4)


def test_every_split_gets_an_image():
    few = writer.Parameters(2, 0, 0.01, (96, 96))
    assert (few.count('train'), few.count('val')) == (1, 1)
    many = writer.Parameters(100, 0, 0.1, (96, 96))
    assert (many.count('train'), many.count('val')) == (90, 10)


# Sides


@pytest.mark.parametrize('pair', ['shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'])
def test_left_is_right_in_images_of_people_facing_the_camera(pair):
    left, right = index(f'left_{pair}'), index(f'right_{pair}')
    front, back = person(FRONT).points, person(BACK).points
    assert front[left, 0] > front[right, 0] + 5
    assert back[left, 0] < back[right, 0] - 5


def test_noses_point_in_the_direction_of_view():
    nose, ear = index('nose'), index('left_ear')
    to_the_right, to_the_left = person(90.0), person(-90.0)
    assert to_the_right.points[nose, 0] > to_the_right.points[ear, 0] + 5
    assert to_the_left.points[nose, 0] < to_the_left.points[ear, 0] - 5


def test_faces_are_known_from_the_front_only():
    nothing = np.zeros(SIZE[::-1], bool)
    front, back = (annotate(person(yaw), nothing) for yaw in (FRONT, BACK))
    assert front is not None
    assert back is not None
    assert (flags(front)[:3] == 2).all()
    assert (flags(back)[:3] == 0).all()
    for annotation in (front, back):
        assert (flags(annotation)[[index('left_shoulder'), index('right_knee')]] == 2).all()


def test_the_far_side_is_hidden_by_the_near_one():
    # A person that looks to the image's right turns its right side to the camera.
    side = person(90.0)
    hidden = dict(zip(KEYPOINTS, side.behind_self))
    assert hidden['left_ear']
    assert not hidden['right_ear']
    assert hidden['left_shoulder']
    assert not hidden['right_shoulder']


# What is seen


def test_an_occluder_hides_what_it_covers_and_nothing_once_it_is_gone():
    standing = person(FRONT)
    wrist = index('left_wrist')
    x, y = standing.points[wrist]
    nothing = np.zeros(SIZE[::-1], bool)
    assert joint_visibility(standing.points, standing.behind_self, nothing)[wrist] == 2

    def cover(column):
        disc = ball(Frame(np.zeros(3), np.eye(3)), (0, 0, 0), (6, 6, 6), plain((0, 0, 0)))
        layer = render([disc], View(np.eye(3), 1.0, (column, y)), SIZE, Light())
        return layer.on_canvas(layer.alpha >= 0.5, SIZE)

    covered = joint_visibility(standing.points, standing.behind_self, cover(x))
    assert covered[wrist] == 1
    assert (np.delete(covered, wrist) == 2).all()
    beside = joint_visibility(standing.points, standing.behind_self, cover(x + 40))
    assert beside[wrist] == 2


def test_joints_covered_with_their_bones_are_unknown():
    standing = person(FRONT)
    cover = np.zeros(SIZE[::-1], bool)
    cover[int(standing.points[index('left_hip'), 1]) - 4 :] = True  # from the hips down
    seen = dict(zip(KEYPOINTS, joint_visibility(standing.points, standing.behind_self, cover)))
    assert seen['left_knee'] == seen['right_ankle'] == 0
    assert seen['left_hip'] == seen['right_hip'] == 1  # the bone to the shoulder shows
    assert seen['left_shoulder'] == 2


def test_joints_outside_the_image_are_unknown():
    standing = person(FRONT)
    points = np.add(standing.points, [0, 60])  # ankles below the border
    seen = joint_visibility(points, standing.behind_self, np.zeros(SIZE[::-1], bool))
    assert seen[index('left_ankle')] == 0
    assert seen[index('left_hip')] == 2


def test_hardly_visible_people_are_not_annotated():
    standing = person(FRONT)
    assert annotate(standing, np.ones(SIZE[::-1], bool)) is None
    assert annotate(standing, np.zeros(SIZE[::-1], bool)) is not None


@pytest.mark.parametrize('yaw', [0, 50, 90, 180, 250])
@pytest.mark.parametrize('family', ['walk', 'wave', 'sit', 'run', 'hold'])
def test_joints_are_in_the_flesh(family, yaw):
    posed = person(yaw, family)
    mask = posed.layer.on_canvas(posed.layer.own, SIZE)
    ys, xs = np.nonzero(mask)
    distance = np.hypot(xs[:, None] - posed.points[:, 0], ys[:, None] - posed.points[:, 1]).min(0)
    assert distance.max() < 3  # an ear sticks out by a pixel or two


def test_nearer_parts_cover_farther_ones():
    frame = Frame(np.zeros(3), np.eye(3))
    red, blue = (0.0, 0.0, 200.0), (200.0, 0.0, 0.0)
    light = Light((0, 0, 1), ambient=0.0, diffuse=1.0)
    parts = [
        box(frame, (0, 0, -3), (8, 8, 1), plain(red)),
        ball(frame, (0, 0, 4), (4, 4, 4), plain(blue)),
    ]
    for ordered in (parts, parts[::-1]):
        layer = render(ordered, View(np.eye(3), 1.0, (10, 10)), (20, 20), light)
        assert layer.corner == (2, 2)
        assert layer.alpha.sum() == 16 * 16
        colour = np.zeros((20, 20, 3))
        colour[layer.window] = layer.colour
        assert colour[10, 10].argmax() == 0  # the ball
        assert colour[3, 3].argmax() == 2  # the box behind it
        # A ball of radius 4 about depth 4 comes up to 8; the face of the box is at -2.
        depth = layer.surface_depth(np.array([[10.0, 10.0], [3.0, 3.0], [0.0, 0.0]]))
        np.testing.assert_allclose(depth, [8, -2, -np.inf], atol=0.05)


def test_a_turned_box_shows_its_edge():
    frame = Frame(np.zeros(3), rot_y(45))
    layer = render(
        [box(frame, (0, 0, 0), (5, 5, 5), plain((9, 9, 9)))],
        View(np.eye(3), 1.0, (10, 10)),
        (20, 20),
        Light(),
    )
    # Its half diagonal is 5 √2, sideways and towards the viewer.
    assert layer.surface_depth(np.array([[10.0, 10.0]])) == pytest.approx(5 * 2**0.5, abs=0.4)
    assert layer.alpha.any(axis=0).sum() == pytest.approx(2 * 5 * 2**0.5, abs=2)


def test_crowds_are_run_lengths():
    mask = np.zeros((3, 4), bool)
    mask[1:, 1] = True  # column by column: 3 + 1 without, 2 with, 6 without
    annotation = crowd_annotation(mask)
    assert annotation['segmentation'] == {'counts': [4, 2, 6], 'size': [3, 4]}
    assert annotation['bbox'] == [1, 1, 1, 2]
    assert (annotation['iscrowd'], annotation['num_keypoints'], annotation['area']) == (1, 0, 2)
    for filled in (np.ones((2, 2), bool), np.eye(3, dtype=bool)):
        rle = crowd_annotation(filled)['segmentation']
        decoded = coco_mask.decode(coco_mask.frPyObjects(rle, *filled.shape))
        assert (decoded == filled).all()


def test_images_are_varied():
    """Flags 0, 1 and 2, crowds, borders and several sizes all occur."""
    heights, seen, crowds, cut = [], set(), 0, 0
    for number in range(60):
        for annotation in render_scene(np.random.default_rng([2, number]), IMAGE).annotations:
            crowds += annotation['iscrowd']
            x, y, w, h = annotation['bbox']
            cut += x == 0 or y == 0 or x + w == IMAGE[0] or y + h == IMAGE[1]
            if not annotation['iscrowd']:
                heights.append(h)
                seen |= set(flags(annotation).tolist())
    assert seen == {0, 1, 2}
    assert crowds > 0
    assert cut > 5
    assert np.median(heights) > 50
    assert np.ptp(np.percentile(heights, [10, 90])) > 30


def test_mmpose_reads_the_dataset(dataset):
    reader = CocoDataset(
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file=str(dataset / DETECTIONS),
        data_root=str(dataset),
        data_prefix={'img': 'val2017/'},
        test_mode=True,
        pipeline=[],
    )
    assert len(reader) == len(json.loads((dataset / DETECTIONS).read_text()))
    reader = CocoDataset(
        ann_file='annotations/person_keypoints_train2017.json',
        data_root=str(dataset),
        data_prefix={'img': 'train2017/'},
        pipeline=[],
    )
    annotated = [a for a in coco_of(dataset, 'train').anns.values() if a['num_keypoints']]
    assert len(reader) == len(annotated)
    assert Path(reader[0]['img_path']).is_file()
