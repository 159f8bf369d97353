"""``breakdown`` by hand, and against plain loops."""

import numpy as np
import pytest
from scipy.stats import binomtest
from support.reference_diagnosis import make_diagnosis_scene

from hrnet_plugin.functional import breakdown, diagnose_keypoints
from hrnet_plugin.functional.coco.breakdown import wilson_interval


def diagnosed(scene):
    return diagnose_keypoints(
        scene.gt, scene.dt, sigmas=scene.sigmas, flip_pairs=scene.flip_pairs, **scene.options
    )


def rows_of(rows, by):
    return {row.group: row for row in rows if row.by == by}


def instance(x, y, size, visible=(2, 2), **more):
    keypoints = [x, y, visible[0], x + size, y + size, visible[1]]
    entry = dict(image_id=1, category_id=1, keypoints=keypoints, bbox=[x, y, size, size])
    return entry | dict(area=size**2) | more


@pytest.fixture
def example():
    """Small, medium and large; the last two overlap, and so does a crowd."""
    annotations = [
        instance(0, 0, 31, visible=(1, 2)),
        instance(200, 200, 95, visible=(2, 0)),
        instance(200, 200, 96),
        instance(200, 200, 96, iscrowd=1),
        instance(600, 600, 96),  # not detected
    ]
    predictions = [instance(0, 0, 31, score=0.9), instance(200, 200, 96, score=0.8)]
    predictions[0]['keypoints'][:2] = [400, 400]
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=annotations)
    return gt, diagnose_keypoints(gt, predictions, sigmas=[0.1, 0.1])


def test_by_hand(example):
    gt, diagnosis = example
    assert diagnosis.matched.tolist() == [0, 2]
    rows = breakdown(diagnosis, gt, keypoint_names=['head', 'foot'])
    by_keypoint = rows_of(rows, 'keypoint')
    assert [*by_keypoint] == ['head', 'foot']
    assert by_keypoint['head'].counts.tolist() == [1, 0, 0, 0, 1]
    assert by_keypoint['head'].share.tolist() == [0.5, 0, 0, 0, 0.5]
    assert by_keypoint['head'].num_instances is by_keypoint['head'].recall is None

    sizes = rows_of(rows, 'size')
    assert [*sizes] == ['small', 'medium', 'large']
    assert [row.num_instances for row in sizes.values()] == [1, 1, 2]
    assert [row.recall for row in sizes.values()] == [1, 0, 0.5]
    assert [row.n for row in sizes.values()] == [2, 0, 2]
    assert sizes['small'].mean_oks == pytest.approx(0.5)
    assert sizes['large'].mean_oks == 1
    assert np.isnan(sizes['medium'].mean_oks)
    assert np.isnan(sizes['medium'].share).all()
    assert np.isnan(sizes['medium'].interval).all()

    labelled = rows_of(rows, 'labelled')
    assert {name: row.num_instances for name, row in labelled.items()} == {'1': 1, '2': 3}
    crowding = rows_of(rows, 'crowding')
    assert {name: row.num_instances for name, row in crowding.items()} == {
        '0': 2,
        '1-2': 2,
        '3+': 0,
    }
    visibility = rows_of(rows, 'visibility')
    assert visibility['occluded'].counts.tolist() == [0, 0, 0, 0, 1]
    assert visibility['visible'].counts.tolist() == [3, 0, 0, 0, 0]


def test_boxes_overlap_from_an_iou_of_a_tenth():
    """Of two boxes of 110, those 90 apart share 20 of 200: exactly a tenth."""
    for apart, crowded in ((90, 2), (91, 0)):
        annotations = [instance(0, 0, 110), instance(apart, 0, 110)]
        gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=annotations)
        with pytest.warns(UserWarning, match='no predictions'):
            diagnosis = diagnose_keypoints(gt, [], sigmas=[0.1, 0.1])
        rows = rows_of(breakdown(diagnosis, gt), 'crowding')
        assert rows['1-2'].num_instances == crowded


@pytest.mark.parametrize(
    ('count', 'groups'),
    [
        (17, ['1-5', '6-10', '11-15', '16+']),
        (1, ['1']),
        (5, ['1', '2-3', '4', '5']),
        (133, ['1-39', '40-78', '79-117', '118+']),
    ],
)
def test_numbers_of_labelled_keypoints(count, groups):
    keypoints = [5, 5, 2] * count
    person = dict(image_id=1, category_id=1, keypoints=keypoints, bbox=[0, 0, 40, 40], area=900)
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[person])
    diagnosis = diagnose_keypoints(gt, [dict(person, score=1.0)], sigmas=[0.1] * count)
    rows = rows_of(breakdown(diagnosis, gt), 'labelled')
    assert [*rows] == groups
    assert [row.num_instances for row in rows.values()] == [0] * (len(groups) - 1) + [1]
    assert rows[groups[-1]].n == count


@pytest.mark.filterwarnings('ignore:.*no usable area')
def test_groups_add_up():
    """Each keypoint with a code is in one group of each kind, and so is each annotation."""
    total = 0
    for seed in range(20):
        scene = make_diagnosis_scene(seed)
        diagnosis = diagnosed(scene)
        rows = breakdown(diagnosis, scene.gt)
        expected = diagnosis.counts.sum(axis=0).tolist()
        for by in ('keypoint', 'size', 'labelled', 'crowding', 'visibility'):
            of_kind = rows_of(rows, by).values()
            assert sum(row.counts for row in of_kind).tolist() == expected, by
            assert all(row.n == row.counts.sum() for row in of_kind)
            if by in ('size', 'crowding'):
                assert sum(row.num_instances for row in of_kind) == diagnosis.evaluated.sum()
        total += sum(expected)
    assert total > 100


@pytest.mark.filterwarnings('ignore:.*no usable area')
def test_crowding_equals_plain_loops():
    crowded = 0
    for seed in range(20):
        scene = make_diagnosis_scene(seed)
        diagnosis, numbers = diagnosed(scene), []
        for n, ann in enumerate(scene.gt['annotations']):
            if diagnosis.evaluated[n]:
                numbers.append(
                    sum(
                        m != n and not other['iscrowd'] and overlap(ann, other) >= 0.1 - 1e-12
                        for m, other in enumerate(scene.gt['annotations'])
                    )
                )
        rows = rows_of(breakdown(diagnosis, scene.gt), 'crowding')
        expected = [numbers.count(0), numbers.count(1) + numbers.count(2)]
        assert [rows['0'].num_instances, rows['1-2'].num_instances] == expected
        crowded += rows['1-2'].num_instances
    assert crowded > 10


def overlap(a, b):
    if (a['image_id'], a['category_id']) != (b['image_id'], b['category_id']):
        return 0
    shared = 1
    for axis in (0, 1):
        low = max(a['bbox'][axis], b['bbox'][axis])
        shared *= max(
            0,
            min(a['bbox'][axis] + a['bbox'][axis + 2], b['bbox'][axis] + b['bbox'][axis + 2])
            - low,
        )
    areas = (box[2] * box[3] for box in (a['bbox'], b['bbox']))
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize(('hits', 'n'), [(0, 10), (1, 10), (7, 7), (300, 1000)])
def test_wilson_intervals_are_those_of_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(method='wilson')
    ours = wilson_interval(np.array([hits]), n)[0]
    assert ours == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_nothing_annotated():
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[])
    diagnosis = diagnose_keypoints(gt, [instance(0, 0, 9, score=0.5)], sigmas=[0.1, 0.1])
    assert all(row.n == 0 for row in breakdown(diagnosis, gt))


def test_other_annotations_are_refused(example):
    gt, diagnosis = example
    fewer = dict(gt, annotations=gt['annotations'][:2])
    with pytest.raises(ValueError, match='gt has 2 annotations, and 5 were diagnosed'):
        breakdown(diagnosis, fewer)
    with pytest.raises(ValueError, match='1 keypoint_names for 2 keypoints'):
        breakdown(diagnosis, gt, keypoint_names=['head'])
