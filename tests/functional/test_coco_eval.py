"""``evaluate_coco_keypoints`` against pycocotools, on seeded scenes, and by hand."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_plugin.functional import COCO_SIGMAS, coco_eval, evaluate_coco_keypoints

NAMES = ['AP', 'AP50', 'AP75', 'APM', 'APL', 'AR', 'AR50', 'AR75', 'ARM', 'ARL']
ARRAYS = ['precision', 'recall', 'scores']


def make_scene(seed, sigmas=COCO_SIGMAS):
    """A few images, some crowded, some empty; all ids are ten digits, and none is 0."""
    rng = np.random.default_rng(seed)
    count = len(sigmas)
    categories = [1] if seed % 4 else [1, 7]
    images = [dict(id=int(i)) for i in rng.choice(10**10, rng.integers(1, 7), replace=False)]
    anns, dets = [], []
    for image in images:
        ids = dict(image_id=image['id'])
        for _ in range(rng.choice([0, 1, 2, 3, 12])):
            ids['category_id'] = int(rng.choice(categories))
            size = rng.uniform(10, 250, 2)
            points = rng.uniform(0, 400, 2) + size * rng.random((count, 2))
            visible = rng.integers(0, 3, count) * (rng.random() > 0.15)
            ann = dict(
                id=int(rng.integers(1, 10**10)),
                keypoints=np.c_[points, visible].ravel().round(1).tolist(),
                num_keypoints=int((visible > 0).sum()),
                bbox=[*points.min(0).tolist(), *size.tolist()],
                area=float(size.prod() * rng.uniform(0.3, 1)),
                iscrowd=int(rng.random() < 0.1),
                ignore=int(rng.random() < 0.1),  # pycocotools does not heed it
                **ids,
            )
            anns.append(ann)
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                spread = np.sqrt(ann['area']) * rng.choice([0, 0.03, 0.1, 0.3])
                found = points + spread * rng.normal(size=(count, 2))
                score = float(rng.choice([0.25, 0.5, 0.75, rng.random()]))
                keypoints = np.c_[found, np.ones(count)].ravel().tolist()
                dets.append(dict(keypoints=keypoints, score=score, **ids))
        for _ in range(rng.choice([0, 1, 40])):  # out of the blue; 40 of them exceed max_dets
            ids['category_id'] = int(rng.choice([*categories, 3] if dets else categories))
            found = np.c_[rng.uniform(0, 600, (count, 2)), np.ones(count)]
            dets.append(dict(keypoints=found.ravel().tolist(), score=float(rng.random()), **ids))
    rng.shuffle(dets)
    if seed % 2:
        for det in dets:
            det['bbox'] = rng.uniform(5, 200, 4).tolist()
    return dict(images=images, annotations=anns, categories=[dict(id=c) for c in categories]), dets


def reference(gt, dt, sigmas=COCO_SIGMAS, max_dets=20):
    """pycocotools' numbers by our names. It takes an annotation id of 0 for 'not matched'."""
    gt = copy.deepcopy(gt)
    for number, ann in enumerate(gt['annotations'], 1):
        ann['id'] = number
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = gt
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(dt)), 'keypoints')
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.params.maxDets = [max_dets]
        evaluation.evaluate()
        evaluation.accumulate()
        if max_dets == 20:  # the only number for which pycocotools sums up
            evaluation.summarize()
    stats = dict(zip(NAMES, evaluation.stats))
    return {**stats, **{name: evaluation.eval[name] for name in ARRAYS}}


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-12, err_msg=name)


def with_detections(seeds):
    scenes = ((seed, *make_scene(seed)) for seed in seeds)
    return [scene for scene in scenes if scene[2]]  # pycocotools fails without any detection


@pytest.mark.parametrize('first', range(0, 150, 30))
def test_equals_pycocotools(first):
    scenes = with_detections(range(first, first + 30))
    aps = []
    for _, gt, dt in scenes:
        expected = reference(gt, dt)
        assert_same(evaluate_coco_keypoints(gt, dt), expected)
        aps.append(expected['AP'])
    assert len(scenes) > 25
    assert sum(0 < ap < 1 for ap in aps) > 20, 'the scenes do not tell good from bad'


@pytest.mark.parametrize('max_dets', [1, 3])
def test_equals_pycocotools_at_other_max_dets(max_dets):
    changed = 0
    for _, gt, dt in with_detections(range(10)):
        theirs = reference(gt, dt, max_dets=max_dets)
        ours = evaluate_coco_keypoints(gt, dt, max_dets=max_dets)
        assert_same({name: ours[name] for name in ARRAYS}, {n: theirs[n] for n in ARRAYS})
        changed += ours['AR'] != evaluate_coco_keypoints(gt, dt)['AR']
    assert changed > 5


@pytest.mark.parametrize('count', [1, 4, 21])
def test_equals_pycocotools_for_other_skeletons(count):
    sigmas = np.random.default_rng(count).uniform(0.02, 0.1, count)
    for seed in (1, 2, 3):
        gt, dt = make_scene(seed, sigmas)
        assert_same(evaluate_coco_keypoints(gt, dt, sigmas=sigmas), reference(gt, dt, sigmas))


def test_equal_scores_and_identical_people():
    """Ties are broken by order alone: nothing but the order of input may decide them."""
    gt, dt = make_scene(3)
    gt['annotations'] += [dict(ann, iscrowd=0) for ann in gt['annotations']]
    dt = [dict(det, score=0.5) for det in [*dt, *dt]]
    assert_same(evaluate_coco_keypoints(gt, dt), reference(gt, dt))


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
def test_ids_do_not_change_a_score(image_ids, ann_ids):
    gt, dt = perfect_pair(image_ids, ann_ids)
    ours = evaluate_coco_keypoints(gt, dt)
    # Both people are of 1e4 > 96^2 pixels: large; nobody is of medium size.
    assert [ours[name] for name in NAMES] == pytest.approx([1, 1, 1, -1, 1, 1, 1, 1, -1, 1])


def test_ids_as_strings_in_one_place_and_numbers_in_the_other():
    gt, dt = perfect_pair([139, 285], [1, 2])
    dt = [dict(det, image_id=f'{det["image_id"]:012d}') for det in dt]
    assert evaluate_coco_keypoints(gt, dt)['AP'] == pytest.approx(1)


def test_values_by_hand():
    """Two people; one found perfectly at 0.9, the other shifted at 0.8.

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
    """Two keypoints, one found and one lost for good: an OKS of exactly 1/2 is right at 0.5."""
    gt, _ = perfect_pair([1], [1])
    gt['annotations'][0].update(keypoints=[0, 0, 2, 0, 0, 2], num_keypoints=2)
    dt = [dict(image_id=1, category_id=1, keypoints=[0, 0, 1, 1e9, 0, 1], score=1)]
    ours = evaluate_coco_keypoints(gt, dt, sigmas=[0.1, 0.1])
    assert ours['AP50'] == pytest.approx(1)
    assert ours['AP'] == pytest.approx(0.1)


def test_chunks_change_nothing(monkeypatch):
    gt, dt = make_scene(9)
    expected, calls = evaluate_coco_keypoints(gt, dt), []
    monkeypatch.setattr(coco_eval, 'PAIRS_AT_ONCE', 1)
    match = coco_eval._match_chunk
    monkeypatch.setattr(coco_eval, '_match_chunk', lambda *a: calls.append(len(a[0])) or match(*a))
    assert_same(evaluate_coco_keypoints(gt, dt), expected)
    assert len(calls) > 1
    assert set(calls) == {1}, 'more than one image at once'


def test_reads_every_kind_of_source(tmp_path):
    gt, dt = make_scene(5)
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    (tmp_path / 'dt.json').write_text(json.dumps(dt))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / 'gt.json'))
    columns = {
        name: np.array([d[name] for d in dt])
        for name in ('image_id', 'category_id', 'keypoints', 'score', 'bbox')
    }
    before = copy.deepcopy((gt, dt))
    expected = evaluate_coco_keypoints(gt, dt)
    assert (gt, dt) == before
    assert_same(evaluate_coco_keypoints(tmp_path / 'gt.json', str(tmp_path / 'dt.json')), expected)
    assert_same(evaluate_coco_keypoints(coco, columns), expected)


def test_no_predictions():
    gt, _ = perfect_pair([1, 2], [1, 2])
    ours = evaluate_coco_keypoints(gt, [])
    assert [ours[name] for name in NAMES] == [0, 0, 0, -1, 0, 0, 0, 0, -1, 0]


def test_nobody_to_find():
    gt, dt = perfect_pair([1], [1])
    ours = evaluate_coco_keypoints(dict(gt, annotations=[]), dt)
    assert [ours[name] for name in NAMES] == [-1] * 10


def test_missing_area_and_use_area():
    gt, dt = make_scene(7)
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


def test_zero_area_is_told():
    gt, dt = perfect_pair([1, 2], [1, 2])
    gt['annotations'][0]['area'] = 0
    with pytest.warns(UserWarning, match='1 annotated people have an area of 0'):
        evaluate_coco_keypoints(gt, dt)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('field', ['keypoints', 'score'])
def test_refuses_what_is_not_finite(field, value):
    gt, dt = perfect_pair([11, 4711], [1, 2])
    dt[1][field] = [value, *dt[1]['keypoints'][1:]] if field == 'keypoints' else value
    with pytest.raises(ValueError, match='4711'):
        evaluate_coco_keypoints(gt, dt)


def test_refuses_another_number_of_keypoints():
    gt, dt = perfect_pair([1, 2], [1, 2])
    dt[0]['keypoints'] = dt[0]['keypoints'][:-3]
    with pytest.raises(ValueError, match='16 keypoints, but there are 17 sigmas'):
        evaluate_coco_keypoints(gt, dt)
    with pytest.raises(ValueError, match='17 keypoints, but there are 14 sigmas'):
        evaluate_coco_keypoints(gt, [], sigmas=[0.05] * 14)
    short = {'image_id': [1], 'category_id': [1], 'score': [1], 'keypoints': np.zeros((1, 16, 3))}
    with pytest.raises(ValueError, match='16 keypoints, but there are 17 sigmas'):
        evaluate_coco_keypoints(gt, short)


def test_refuses_predictions_of_something_else():
    gt, dt = perfect_pair([1, 2], [1, 2])
    with pytest.raises(ValueError, match=r'image 99 .* \(1 ids are shared, 1 are not\)'):
        evaluate_coco_keypoints(gt, [*dt[:1], dict(dt[1], image_id=99)])
    with pytest.raises(ValueError, match=r'category 5 .* have 1'):
        evaluate_coco_keypoints(gt, [dict(det, category_id=5) for det in dt])


@pytest.mark.parametrize('field', ['keypoints', 'score', 'image_id'])
def test_refuses_incomplete_predictions(field):
    gt, dt = perfect_pair([1, 2], [1, 2])
    del dt[1][field]
    with pytest.raises(ValueError, match=f"prediction 1 has no '{field}'"):
        evaluate_coco_keypoints(gt, dt)


@pytest.mark.parametrize('field', ['bbox', 'keypoints', 'image_id'])
def test_refuses_incomplete_annotations(field):
    gt, dt = perfect_pair([1, 2], [1, 22])
    del gt['annotations'][1][field]
    with pytest.raises(ValueError, match=f"annotation 22 has no '{field}'"):
        evaluate_coco_keypoints(gt, dt)
    with pytest.raises(ValueError, match="no 'images'"):
        evaluate_coco_keypoints(dict(annotations=[]), dt)
