"""``evaluate_coco_keypoints`` against pycocotools, on seeded scenes, and by hand."""

import contextlib
import copy
import io
import json
import tracemalloc
import warnings

import numpy as np
import pytest
from pycocotools.coco import COCO
from support.coco_scenes import (
    STATS,
    Scene,
    assert_same,
    make_scene,
    make_wild_scene,
)

from hrnet_plugin.functional import (
    COCO_SIGMAS,
    coco_to_arrays,
    evaluate_coco_keypoints,
    evaluate_each_keypoint,
)
from hrnet_plugin.functional.coco import numeric

NAMES = STATS


def with_detections(scenes):
    return [scene for scene in scenes if scene.dt]  # pycocotools fails without any detection


def assert_equals_pycocotools(make, seeds):
    """On scenes of which most have an AP between 0 and 1."""
    informative = 0
    for seed in seeds:
        scene = make(seed)
        if not scene.dt:
            continue  # pycocotools fails without any detection
        expected = scene.theirs()
        try:
            assert_same(scene.ours(), expected)
        except AssertionError as error:
            pytest.fail(f'scene {seed} differs: {error}')
        informative += 0 < expected['AP'] < 1
    assert informative > len(seeds) / 2


def test_equals_pycocotools():
    assert_equals_pycocotools(make_scene, range(40))


@pytest.mark.filterwarnings('ignore:.*an area of 0')
def test_equals_pycocotools_on_wild_scenes():
    """Ties, crowds, other skeletons, thresholds, area ranges, …"""
    assert_equals_pycocotools(make_wild_scene, range(150))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*an area of 0')
def test_equals_pycocotools_on_many_scenes():
    """`make fuzz` goes on from here."""
    assert_equals_pycocotools(make_scene, range(40, 150))
    assert_equals_pycocotools(make_wild_scene, range(150, 800))


@pytest.mark.filterwarnings('ignore:.*an area of 0')
def test_wild_scenes_cover_the_special_cases():
    """Otherwise the comparison above would compare less than it says."""
    scenes = [make_wild_scene(seed) for seed in range(60)]
    results = [scene.ours() for scene in scenes]
    ties = crowds = without_keypoints = unlisted = 0
    for scene, result in zip(scenes, results):
        matches = result['matches']
        per_gt = [np.bincount(g[g >= 0], minlength=1).max() for g in matches['gt'][:, 0].T]
        crowds += max(per_gt) > 1  # only a crowd is matched more than once
        ties += len({det['score'] for det in scene.dt}) < len(scene.dt)
        without_keypoints += any(a['num_keypoints'] == 0 for a in scene.gt['annotations'])
        unlisted += len(matches['gt_row']) < len(scene.gt['annotations'])
    options = {name for scene in scenes for name in scene.options}
    assert options == {'sigmas', 'max_dets', 'oks_thresholds', 'area_ranges'}
    assert min(ties, crowds, without_keypoints, unlisted) > 5
    assert {len(scene.options['sigmas']) for scene in scenes} >= {1, 2, 8, 9, 17}
    words = [s.options for s in scenes if len(s.options.get('oks_thresholds', ())) > 32]
    assert any(len(o.get('area_ranges', 'aml')) * len(o['oks_thresholds']) > 64 for o in words)


@pytest.mark.parametrize('max_dets', [1, 3])
def test_equals_pycocotools_at_other_max_dets(max_dets):
    changed = 0
    for scene in with_detections(map(make_scene, range(10))):
        usual = scene.ours()
        scene.options['max_dets'] = max_dets
        ours = scene.ours()
        assert_same(ours, scene.theirs())
        changed += ours['AR'] != usual['AR']
    assert changed > 5


@pytest.mark.parametrize('count', [1, 4, 21])
def test_equals_pycocotools_for_other_skeletons(count):
    sigmas = np.random.default_rng(count).uniform(0.02, 0.1, count)
    for seed in (1, 2, 3):
        scene = make_scene(seed, sigmas)
        assert_same(scene.ours(), scene.theirs())


def test_equal_scores_and_identical_instances():
    """Ties are broken by order alone: nothing but the order of input may decide them."""
    scene = make_scene(3)
    scene.gt['annotations'] += [dict(ann, iscrowd=0) for ann in scene.gt['annotations']]
    scene.dt = [dict(det, score=0.5) for det in [*scene.dt, *scene.dt]]
    assert_same(scene.ours(), scene.theirs())


@pytest.mark.parametrize('seed', range(4))
def test_each_keypoint_equals_pycocotools_on_skeletons_of_one(seed):
    """Boxes keep the areas of the whole predictions."""
    scene = make_scene(seed)
    for det in scene.dt:
        points = np.reshape(det['keypoints'], (17, 3))[:, :2]
        det['bbox'] = [0, 0, *np.ptp(points, axis=0)]
    ours = evaluate_each_keypoint(scene.gt, scene.dt)
    for k in (0, 5, 16):
        anns, dets = copy.deepcopy((scene.gt['annotations'], scene.dt))
        for entry in (*anns, *dets):
            entry['keypoints'] = entry['keypoints'][3 * k : 3 * k + 3]
        for ann in anns:
            ann['num_keypoints'] = int(ann['keypoints'][2] > 0)
        one = Scene(dict(scene.gt, annotations=anns), dets, dict(sigmas=COCO_SIGMAS[k : k + 1]))
        theirs = one.theirs()
        for name in ('AP', 'AP50', 'AP75', 'AR', 'AR50', 'AR75'):
            assert ours[name][k] == pytest.approx(theirs[name], abs=1e-12)
    assert ours['AP'].shape == (17,)
    assert len(set(ours['AP'])) > 2


@pytest.mark.parametrize('options', [dict(use_area=False), dict(max_dets=1)], ids=str)
def test_each_keypoint_with_options(options):
    scene = make_scene(2)
    ours = evaluate_each_keypoint(scene.gt, scene.dt, **options)
    assert (ours['AP'] != evaluate_each_keypoint(scene.gt, scene.dt)['AP']).any()
    if 'use_area' in options:
        for ann in scene.gt['annotations']:
            ann['area'] = 0.53 * ann['bbox'][2] * ann['bbox'][3]
    else:
        best = {}
        for det in sorted(scene.dt, key=lambda det: det['score']):
            best[det['image_id']] = det
        scene.dt = list(best.values())
    expected = evaluate_each_keypoint(scene.gt, scene.dt)
    for name in expected:
        np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=1e-12)


def test_each_keypoint_needs_no_boxes():
    """Sizes are then the extents of all keypoints, not of the one."""
    scene = make_scene(2)
    assert 'bbox' not in scene.dt[0]
    expected = evaluate_each_keypoint(scene.gt, scene.dt)
    for det in scene.dt:
        points = np.reshape(det['keypoints'], (17, 3))[:, :2]
        det['bbox'] = [0, 0, *np.ptp(points, axis=0)]
    ours = evaluate_each_keypoint(scene.gt, scene.dt)
    for name, values in expected.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


def person(image_id, shift=0.0, **more):
    points = np.c_[np.arange(17) * 10.0 + shift, np.arange(17) * 10.0, np.full(17, 2)]
    return dict(image_id=image_id, category_id=1, keypoints=points.ravel().tolist(), **more)


def perfect_pair(image_ids, ann_ids):
    gt = dict(
        images=[dict(id=i) for i in image_ids],
        categories=[dict(id=1)],
        annotations=[
            person(i, id=n, bbox=[0, 0, 160, 160], area=1e4, iscrowd=0, num_keypoints=17)
            for i, n in zip(image_ids, ann_ids)
        ],
    )
    return gt, [person(i, score=0.9) for i in image_ids]


@pytest.mark.parametrize(
    ('image_ids', 'ann_ids'),
    [
        ([0, 1], [0, 1]),
        ([1234567890, 9876543210], [10**9, 10**9 + 1]),
        (['000000000139', '285'], ['7', '8']),
        (['a.jpg', 3], [1, 2]),
        (np.array([4, 5]), np.array([0, 1])),
    ],
)
def test_promise_3_ids_do_not_change_a_score(image_ids, ann_ids):
    gt, dt = perfect_pair(image_ids, ann_ids)
    ours = evaluate_coco_keypoints(gt, dt)
    # Both instances are of 1e4 > 96^2 pixels: large; none is medium.
    assert [ours[name] for name in NAMES] == pytest.approx([1, 1, 1, -1, 1, 1, 1, 1, -1, 1])


def test_ids_as_strings_in_one_place_and_numbers_in_the_other():
    gt, dt = perfect_pair([139, 285], [1, 2])
    dt = [dict(det, image_id=f'{det["image_id"]:012d}') for det in dt]
    assert evaluate_coco_keypoints(gt, dt)['AP'] == pytest.approx(1)


def test_values_by_hand():
    """Two instances; one is detected perfectly with score 0.9, the other is shifted, with 0.8.

    The shift d of all keypoints gives an OKS of mean exp(-d^2 / (2 area (2 sigma)^2)); with equal
    sigmas of 0.05, area 1e4 and d = sqrt(2 * 1e4 * 0.01 * ln(1 / 0.72)) it is 0.72. So both are
    right at thresholds 0.5 to 0.7 (5 of 10), where precision is 1 throughout. Above, recall ends
    at 1/2: precision is 1 at recall steps 0 to 0.5 (51 of 101), and 0 beyond.
    """
    gt, dt = perfect_pair([1, 2], [1, 2])
    shift = np.sqrt(2 * 1e4 * 0.01 * np.log(1 / 0.72))
    dt[1] = person(2, shift=shift, score=0.8)
    ours = evaluate_coco_keypoints(gt, dt, sigmas=[0.05] * 17)
    assert ours['AP'] == pytest.approx((5 + 5 * 51 / 101) / 10)
    assert ours['AP50'] == pytest.approx(1)
    assert ours['AP75'] == pytest.approx(51 / 101)
    assert ours['AR'] == pytest.approx((5 + 5 * 0.5) / 10)
    assert ours['AR75'] == pytest.approx(0.5)


def test_threshold_itself_is_enough():
    """Two keypoints, one exact and one far away: an OKS of exactly 1/2 is right at 0.5."""
    gt, _ = perfect_pair([1], [1])
    gt['annotations'][0].update(keypoints=[0, 0, 2, 0, 0, 2], num_keypoints=2)
    dt = [dict(image_id=1, category_id=1, keypoints=[0, 0, 1, 1e9, 0, 1], score=1)]
    ours = evaluate_coco_keypoints(gt, dt, sigmas=[0.1, 0.1])
    assert ours['AP50'] == pytest.approx(1)
    assert ours['AP'] == pytest.approx(0.1)


def test_threshold_of_one_forgives_rounding():
    """An OKS of exp(-d^2 / (2 * 1e4 * 0.01)) is 1 - 5e-11 for d = 1e-4, and 1 - 5e-9 for 1e-3."""
    gt, _ = perfect_pair([1], [1])
    options = dict(sigmas=[0.05] * 17, oks_thresholds=[1.0])
    for shift, recall in ((1e-4, 1), (1e-3, 0)):
        scene = Scene(gt, [person(1, shift=shift, score=0.9)], options)
        assert scene.ours()['AR'] == recall
        assert_same(scene.ours(), scene.theirs())


def test_blocks_change_nothing(monkeypatch):
    scene = make_scene(9)
    expected = scene.ours()
    monkeypatch.setattr(numeric, 'BLOCK', 1)
    assert_same(scene.ours(), expected)


def as_arrays(dt):
    return {name: np.array([det[name] for det in dt]) for name in dt[0]}


def test_reads_every_kind_of_source(tmp_path):
    scene = make_scene(5)
    gt, dt = scene.gt, scene.dt
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    (tmp_path / 'dt.json').write_text(json.dumps(dt))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / 'gt.json'))
        results = coco.loadRes(str(tmp_path / 'dt.json'))
    before = copy.deepcopy((gt, dt))
    expected = scene.theirs()
    assert_same(evaluate_coco_keypoints(gt, dt), expected)
    assert (gt, dt) == before
    assert_same(evaluate_coco_keypoints(tmp_path / 'gt.json', str(tmp_path / 'dt.json')), expected)
    assert_same(evaluate_coco_keypoints(coco, results), expected)
    assert_same(evaluate_coco_keypoints(coco, as_arrays(dt)), expected)


@pytest.mark.parametrize('seed', range(8))
def test_arrays_and_dicts_are_the_same(seed):
    scene = make_scene(seed)
    gt, dt = coco_to_arrays(scene.gt), as_arrays(scene.dt)
    before = copy.deepcopy((gt, dt))
    expected = scene.theirs()
    arrays = Scene(gt, dt)
    assert_same(arrays.ours(), expected)
    for given, old in zip((gt['annotations'], dt), (before[0]['annotations'], before[1])):
        for name in old:
            np.testing.assert_array_equal(given[name], old[name])
    flat = dict(dt, keypoints=dt['keypoints'].reshape(-1, 17, 3))
    assert_same(Scene(gt, flat).ours(), expected)


def test_arrays_may_leave_out_and_share():
    """What an annotation need not have, arrays need not, and one value may stand for all."""
    gt, dt = perfect_pair([3, 4], [1, 2])
    dt[1]['score'] = 0.8
    expected = evaluate_coco_keypoints(gt, dt)
    table = {
        name: as_arrays(gt['annotations'])[name] for name in ('image_id', 'keypoints', 'bbox')
    }
    arrays = dict(images=[3, 4], annotations=dict(table, category_id=1, area=1e4))
    predictions = {**as_arrays(dt), 'category_id': 1}
    assert_same(evaluate_coco_keypoints(arrays, predictions), expected)
    assert expected['AP'] == pytest.approx(1)


def test_single_precision_is_read_as_it_is():
    scene = make_scene(6)
    dt = as_arrays(scene.dt)
    single = dt['keypoints'].astype(np.float32)
    for keypoints, det in zip(single, scene.dt):
        det['keypoints'] = keypoints.tolist()
    assert_same(Scene(scene.gt, dict(dt, keypoints=single)).ours(), scene.theirs())


def test_needs_little_memory():
    """Beside its input, less than that again (benchmarks/evaluation.py has pycocotools' need)."""
    rng = np.random.default_rng(0)
    points = np.arange(17.0)[:, None] * 10 + rng.normal(0, 10, (20_000, 17, 2))
    keypoints = np.concatenate([points, np.ones((20_000, 17, 1))], axis=-1)
    gt, _ = perfect_pair(range(1000), range(1, 1001))
    dt = dict(image_id=np.arange(20_000) // 20, category_id=1, keypoints=keypoints)
    dt['score'] = rng.random(20_000)
    arrays = coco_to_arrays(gt)
    tracemalloc.start()
    result = evaluate_coco_keypoints(arrays, dt)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.1 < result['AP'] < 1
    assert highest < keypoints.nbytes


def test_matches_by_hand():
    """Of two detections of the first instance, the one with the higher score is matched.

    The third one is matched to a crowd, which is ignored, and so is the detection.
    """
    gt, _ = perfect_pair([1, 2], [1, 2])
    gt['annotations'][1]['iscrowd'] = 1
    dt = [person(1, score=0.8), person(2, score=0.7), person(1, score=0.9)]
    ours = evaluate_coco_keypoints(gt, dt, matches=True, oks_thresholds=[0.5])['matches']
    assert ours['dt'].tolist() == [2, 0, 1]
    all_areas = 0
    assert ours['gt'][:, all_areas, 0].tolist() == [0, -1, 1]
    assert ours['dt_ignore'][:, all_areas, 0].tolist() == [False, False, True]
    assert ours['gt_ignore'][:, all_areas].tolist() == [False, True]
    assert 'matches' not in evaluate_coco_keypoints(gt, dt)


def test_mean_oks_by_hand():
    """As in `test_values_by_hand`, one is matched at an OKS of 1, the other at 0.72.

    The detection of the third is far away: it is not matched, and so not in the mean.
    """
    gt, dt = perfect_pair([1, 2, 3], [1, 2, 3])
    shift = np.sqrt(2 * 1e4 * 0.01 * np.log(1 / 0.72))
    dt[1:] = [person(2, shift=shift, score=0.8), person(3, shift=500, score=0.7)]
    options = dict(sigmas=[0.05] * 17)
    assert evaluate_coco_keypoints(gt, dt, **options)['OKS'] == pytest.approx(0.86)
    np.testing.assert_allclose(evaluate_each_keypoint(gt, dt, **options)['OKS'], 0.86)
    # The first keypoint of the second instance is unlabelled: only the first instance has it.
    gt['annotations'][1]['keypoints'][2] = 0
    similarity = evaluate_each_keypoint(gt, dt, **options)['OKS']
    np.testing.assert_allclose(similarity, [1] + [0.86] * 16)
    gt['annotations'][0]['keypoints'][2] = 0
    assert evaluate_each_keypoint(gt, dt, **options)['OKS'][0] == -1
    assert evaluate_coco_keypoints(gt, dt[2:], **options)['OKS'] == -1


def test_mean_oks_is_of_matches_at_the_lowest_threshold():
    """In any order of thresholds and of areas; instances of area 1e4 again, OKS 1 and 0.72."""
    gt, dt = perfect_pair([1, 2], [1, 2])
    dt[1] = person(2, shift=np.sqrt(2 * 1e4 * 0.01 * np.log(1 / 0.72)), score=0.8)
    options = dict(sigmas=[0.05] * 17, oks_thresholds=[0.9, 0.5, 0.7])
    ranges = dict(small=(0, 1), all=(0, 1e10))
    ours = evaluate_coco_keypoints(gt, dt, area_ranges=ranges, **options)
    assert ours['OKS'] == pytest.approx(0.86)


def test_other_thresholds_and_area_ranges_by_hand():
    """OKS of 1 and 0.72 again; instances of area 1e4, one of them of 400 in the last lines."""
    gt, dt = perfect_pair([1, 2], [1, 2])
    shift = np.sqrt(2 * 1e4 * 0.01 * np.log(1 / 0.72))
    dt[1] = person(2, shift=shift, score=0.8)
    options = dict(sigmas=[0.05] * 17, oks_thresholds=[0.7, 0.75])
    ours = evaluate_coco_keypoints(gt, dt, **options)
    assert ours['AR'] == pytest.approx((1 + 0.5) / 2)
    assert ours['AR75'] == pytest.approx(0.5)
    assert ours['AP50'] == ours['AR50'] == -1
    gt['annotations'][1].update(area=400.0)
    ranges = dict(all=(0, 1e10), small=(0, 1024))
    ours = evaluate_coco_keypoints(gt, dt, area_ranges=ranges, **options)
    assert (ours['AR'], ours['AR_small']) == (0.5, 0)
    assert ours['precision'].shape == (2, 101, 1, 2, 1)
    assert ours['ARM'] == ours['APL'] == -1


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (dict(max_dets=0), 'max_dets must be at least 1, not 0'),
        (dict(oks_thresholds=[]), 'oks_thresholds must be'),
        (dict(oks_thresholds=[np.nan]), 'oks_thresholds must be'),
        (dict(area_ranges=dict(large=(1, 2))), "no 'all', but 'large'"),
        (dict(sigmas=[0.1] * 16 + [0]), 'sigmas must be .* above 0'),
    ],
)
def test_refuses_options(option, message):
    with pytest.raises(ValueError, match=message):
        evaluate_coco_keypoints(*perfect_pair([1], [1]), **option)


@pytest.mark.parametrize('form', ['list', 'path', 'arrays'])
def test_promise_5_no_predictions(form, tmp_path):
    gt, _ = perfect_pair([1, 2], [1, 2])
    (tmp_path / 'none.json').write_text('[]')
    none = {name: [] for name in ('image_id', 'category_id', 'score', 'keypoints')}
    dt = dict(list=[], path=tmp_path / 'none.json', arrays=none)[form]
    with pytest.warns(UserWarning, match='there are no predictions: AP and AR are 0') as warned:
        ours = evaluate_coco_keypoints(gt, dt)
    assert [w.filename for w in warned] == [__file__]
    assert [ours[name] for name in NAMES] == [0, 0, 0, -1, 0, 0, 0, 0, -1, 0]


def test_no_annotated_instances():
    gt, dt = perfect_pair([1], [1])
    ours = evaluate_coco_keypoints(dict(gt, annotations=[]), dt)
    assert [ours[name] for name in NAMES] == [-1] * 10


def test_promise_1_missing_area_and_use_area():
    gt, dt = make_scene(7).gt, make_scene(7).dt
    boxes = copy.deepcopy(gt)
    for ann in boxes['annotations']:
        ann['area'] = 0.53 * ann['bbox'][2] * ann['bbox'][3]
    expected = evaluate_coco_keypoints(boxes, dt)
    assert expected['AP'] != evaluate_coco_keypoints(gt, dt)['AP']

    assert_same(evaluate_coco_keypoints(gt, dt, use_area=False), expected)
    for ann in gt['annotations']:
        del ann['area']
    with pytest.warns(UserWarning, match='no usable area') as warned:
        assert_same(evaluate_coco_keypoints(gt, dt), expected)
    assert len(warned) == 1


@pytest.mark.parametrize('area', [0, -1, 1e-9, 0.9])
def test_warns_of_tiny_areas(area):
    gt, dt = perfect_pair([1, 2], [1, 2])
    gt['annotations'][0]['area'] = area
    with pytest.warns(UserWarning, match='1 annotated instances have an area of 0'):
        evaluate_coco_keypoints(gt, dt)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('field', ['keypoints', 'score', 'bbox'])
@pytest.mark.parametrize('form', [list, as_arrays])
def test_refuses_predictions_that_are_not_finite(form, field, value):
    """A box of an infinite size would be left out of every range of areas."""
    gt, dt = perfect_pair([11, 4711], [1, 2])
    dt = [dict(det, bbox=[0.0, 0, 160, 160]) for det in dt]
    assert evaluate_coco_keypoints(gt, form(dt))['AP'] == pytest.approx(1)
    dt[1][field] = value if field == 'score' else [*dt[1][field][:-1], value]
    with pytest.raises(ValueError, match='4711'):
        evaluate_coco_keypoints(gt, form(dt))


@pytest.mark.parametrize('form', [dict, coco_to_arrays])
@pytest.mark.parametrize('field', ['keypoints', 'bbox'])
def test_refuses_annotations_that_are_not_finite(field, form):
    """Their OKS would be NaN, which pycocotools takes for a match."""
    gt, dt = perfect_pair([11, 4711], [1, 22])
    gt['annotations'][1][field][1] = float('nan')
    with pytest.raises(ValueError, match=r'the first is annotation 22\Z'):
        evaluate_coco_keypoints(form(gt), dt)
    gt['annotations'][1].update(bbox=[0, 0, 9, 9])
    gt['annotations'][1]['keypoints'][1:3] = [
        float('nan'),
        0,
    ]  # unlabelled: its coordinates do not matter
    assert evaluate_coco_keypoints(form(gt), dt)['AP'] == pytest.approx(1)


def test_very_far_predictions_are_no_overflow():
    gt, dt = perfect_pair([1, 2], [1, 2])
    dt[1]['keypoints'] = (np.array(dt[1]['keypoints']) * 1e300).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert evaluate_coco_keypoints(gt, dt)['AR'] == pytest.approx(0.5)


def test_promise_1_refuses_another_number_of_keypoints():
    gt, dt = perfect_pair([1, 2], [1, 2])
    dt[0]['keypoints'] = dt[0]['keypoints'][:-3]
    with pytest.raises(ValueError, match='16 keypoints, but there are 17 sigmas'):
        evaluate_coco_keypoints(gt, dt)
    with pytest.raises(ValueError, match='17 keypoints, but there are 14 sigmas'):
        evaluate_coco_keypoints(gt, [], sigmas=[0.05] * 14)
    short = {'image_id': [1], 'category_id': [1], 'score': [1], 'keypoints': np.zeros((1, 16, 3))}
    with pytest.raises(ValueError, match='16 keypoints, but there are 17 sigmas'):
        evaluate_coco_keypoints(gt, short)
    gt['annotations'][1]['keypoints'] = [0] * 48
    with pytest.raises(ValueError, match='annotation 2 has 16 keypoints, and annotation 1 has 17'):
        evaluate_coco_keypoints(gt, [])
    with pytest.raises(ValueError, match="2 values of 'score' for 1 instances"):
        evaluate_coco_keypoints(
            gt | dict(annotations=[]), dict(short, score=[1, 2]), sigmas=[1] * 16
        )


def test_refuses_predictions_of_another_dataset():
    gt, dt = perfect_pair([1, 2], [1, 2])
    with pytest.raises(ValueError, match=r'image 99 .* \(1 ids are shared, 1 are not\)'):
        evaluate_coco_keypoints(gt, [*dt[:1], dict(dt[1], image_id=99)])
    with pytest.raises(ValueError, match=r'category 5 .* have 1'):
        evaluate_coco_keypoints(gt, [dict(det, category_id=5) for det in dt])


@pytest.mark.parametrize('field', ['keypoints', 'score', 'image_id'])
def test_refuses_incomplete_predictions(field):
    gt, dt = perfect_pair([1, 2], [1, 2])
    arrays = as_arrays(dt)
    del dt[1][field], arrays[field]
    with pytest.raises(ValueError, match=f"prediction 1 has no '{field}'"):
        evaluate_coco_keypoints(gt, dt)
    with pytest.raises(ValueError, match=f"the predictions have no '{field}'"):
        evaluate_coco_keypoints(gt, arrays)


@pytest.mark.parametrize('field', ['bbox', 'keypoints', 'image_id', 'category_id'])
def test_refuses_incomplete_annotations(field):
    gt, dt = perfect_pair([1, 2], [1, 22])
    arrays = dict(gt, annotations=as_arrays(gt['annotations']))
    del gt['annotations'][1][field], arrays['annotations'][field]
    with pytest.raises(ValueError, match=f"the annotations have no '{field}'"):
        evaluate_coco_keypoints(arrays, dt)
    if field != 'keypoints':  # where a single one lacks it, it is ignored: see below
        with pytest.raises(ValueError, match=f"annotation 22 has no '{field}'"):
            evaluate_coco_keypoints(gt, dt)
    with pytest.raises(ValueError, match="no 'images'"):
        evaluate_coco_keypoints(dict(annotations=[]), dt)


ABSENT = [dict(keypoints=[]), dict(keypoints=None), {}]


@pytest.mark.parametrize('absent', ABSENT, ids=['empty', 'null', 'missing'])
def test_instances_without_keypoints_are_ignored_as_pycocotools_does(absent):
    """Its own reader takes an empty list only; a missing one means the same."""
    informative = 0
    for scene in with_detections(map(make_scene, range(20, 30))):
        rng = np.random.default_rng(1)
        for ann in scene.gt['annotations']:
            if rng.random() < 0.3:
                ann.update(keypoints=[], num_keypoints=0)
        scene.gt['annotations'].append(
            dict(scene.gt['annotations'][0], keypoints=[], num_keypoints=0, bbox=[0] * 4, area=0)
        )
        expected = scene.theirs()
        for ann in scene.gt['annotations']:
            if ann['keypoints'] == []:
                del ann['keypoints'], ann['num_keypoints']
                ann.update(absent)
        assert_same(scene.ours(), expected)
        informative += 0 < expected['AP'] < 1
    assert informative > 5


def test_instances_of_categories_without_keypoints_change_nothing():
    gt, dt = perfect_pair([1, 2], [1, 2])
    dt[1]['keypoints'] = [v + 3 for v in dt[1]['keypoints']]
    expected = evaluate_coco_keypoints(gt, dt)
    gt['categories'] = [dict(id=1, name='mouse'), dict(id=2, name='cage')]
    gt['annotations'].insert(0, dict(id=9, image_id=1, category_id=2, bbox=[0, 0, 9, 9], area=81))
    ours = evaluate_coco_keypoints(gt, dt)
    assert [ours[name] for name in NAMES] == [expected[name] for name in NAMES]
    assert 0 < ours['AP'] < 1


def test_no_annotation_has_keypoints():
    gt, dt = perfect_pair([1, 2], [1, 2])
    for ann in gt['annotations']:
        del ann['keypoints'], ann['area']  # without a warning: they do not count
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ours = evaluate_coco_keypoints(gt, dt)
    assert [ours[name] for name in NAMES] == [-1] * 10


@pytest.mark.parametrize('value', [None, np.nan])
def test_coordinates_of_unlabelled_keypoints_may_be_anything(value):
    scene = make_scene(4)
    changed = 0
    for ann in scene.gt['annotations']:
        for k in range(17):
            if ann['keypoints'][3 * k + 2] == 0:
                ann['keypoints'][3 * k : 3 * k + 2] = [0, 0]
    expected = scene.theirs()
    for ann in scene.gt['annotations']:
        for k in range(17):
            if ann['keypoints'][3 * k + 2] == 0:
                ann['keypoints'][3 * k : 3 * k + 2] = [value, value]
                changed += 1
    assert changed > 10
    assert 0 < expected['AP'] < 1
    assert_same(scene.ours(), expected)


FLAT = 'expected 3 numbers for each keypoint in one flat list'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda a: np.reshape(a, (-1, 3)).tolist(), f'the keypoints are a list of lists; {FLAT}'),
        (lambda a: dict(nose=a[:3]), f'the keypoints are a dict; {FLAT}'),
        (lambda a: 'x' * 51, f'the keypoints are text; {FLAT}'),
        (lambda a: 7, f'the keypoints are 7; {FLAT}'),
        (lambda a: a[:-1], f'the keypoints are not triples of x, y and visibility; {FLAT}'),
        (lambda a: [*a[:-1], 'x'], r"'keypoints' is \[.*; expected numbers"),
        (lambda a: [*a[:-1], 10**400], r"'keypoints' is \[.*; expected numbers"),
    ],
)
def test_errors_explain_wrong_keypoints(change, message):
    """In every annotation, so that none can be compared with another; and in predictions."""
    gt, dt = perfect_pair([1, 2], [1, 22])
    wrong = [dict(ann, keypoints=change(ann['keypoints'])) for ann in gt['annotations']]
    with pytest.raises(ValueError, match=f'annotation 1: {message}'):
        evaluate_coco_keypoints(dict(gt, annotations=wrong), dt)
    with pytest.raises(ValueError, match=f'annotation 22: {message}'):
        evaluate_coco_keypoints(dict(gt, annotations=[gt['annotations'][0], wrong[1]]), dt)
    wrong = [dt[0], dict(dt[1], keypoints=change(dt[1]['keypoints']))]
    with pytest.raises(ValueError, match=f'a prediction in image 2: {message}'):
        evaluate_coco_keypoints(gt, wrong)


def test_error_names_the_deviating_annotation():
    gt, dt = perfect_pair([1, 2, 3], [1, 2, 3])
    gt['annotations'][0].update(keypoints=[1.0] * 48, category_id=2)
    gt['categories'] = [dict(id=1), dict(id=2)]
    message = r'annotation 1 has 16 keypoints, and annotation 2 has 17 .*of categories 2 and 1'
    with pytest.raises(ValueError, match=message):
        evaluate_coco_keypoints(gt, dt)


@pytest.mark.parametrize(
    ('part', 'change', 'message'),
    [
        (
            'annotations',
            dict(bbox=[1, 2, 3]),
            r"annotation 22: 'bbox' is \[1, 2, 3\]; expected 4 n",
        ),
        ('annotations', dict(bbox='x'), "annotation 22: 'bbox' is 'x'; expected 4 numbers"),
        ('annotations', dict(area='big'), "annotation 22: 'area' is 'big'; expected a number"),
        (
            'annotations',
            dict(num_keypoints=[3]),
            r"'num_keypoints' is \[3\]; expected a whole num",
        ),
        (
            'annotations',
            dict(num_keypoints=np.nan),
            "'num_keypoints' is nan; expected a whole num",
        ),
        (
            'annotations',
            dict(image_id=[2]),
            "annotation 22: 'image_id' is a list; expected a numb",
        ),
        (
            'annotations',
            dict(category_id={}),
            "annotation 22: 'category_id' is a dict; expected a",
        ),
        ('images', dict(id=None), "'images', entry 1: its id is null; expected a number or text"),
        ('images', None, "'images', entry 1, is null; expected"),
        ('annotations', 3, "'annotations', entry 1, is 3; expected"),
        ('categories', {}, "'categories' is a dict; expected a list of"),
        (
            'annotations',
            {'1': {}, '22': {}},
            r"'annotations' is a dict of \['1', '22'\]; expected",
        ),
    ],
)
def test_other_shapes_are_errors_that_name_the_file(part, change, message, tmp_path):
    gt, dt = perfect_pair([1, 2], [1, 22])
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(gt))
    assert evaluate_coco_keypoints(path, dt)['AP'] == pytest.approx(1)
    if isinstance(change, dict) and isinstance(gt[part], list) and len(gt[part]) > 1:
        is_row = bool(
            change.keys() & {'bbox', 'area', 'num_keypoints', 'image_id', 'category_id', 'id'}
        )
        gt[part] = [gt[part][0], gt[part][1] | change] if is_row else change
    else:
        gt[part] = change if part == 'categories' else [gt[part][0], change]
    path.write_text(json.dumps(gt))
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_coco_keypoints(path, dt)
    assert str(caught.value).startswith(f'{path}: ')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'the predictions are null; expected a list of COCO results'),
        (3, 'the predictions are 3; expected a list of COCO results'),
        (['x'], "prediction 0 is 'x'; expected a dict"),
        ({}, "the predictions have no 'category_id'"),
    ],
)
def test_predictions_of_another_shape(content, message):
    gt, _ = perfect_pair([1], [1])
    with pytest.raises(ValueError, match=message):
        evaluate_coco_keypoints(gt, content)


def test_a_score_of_null_is_missing():
    ann = dict(image_id=1, category_id=1, keypoints=[1, 2, 2] * 17, bbox=[0, 0, 9, 9], area=40)
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[ann])
    with pytest.raises(ValueError, match="prediction 0 has no 'score'"):
        evaluate_coco_keypoints(gt, [dict(ann, score=None)])
