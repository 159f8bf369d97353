"""``diagnose_keypoints`` by hand, against plain loops with pycocotools, and its errors."""

import copy
import dataclasses
import json
import pickle
import warnings

import numpy as np
import pytest
from support.coco_scenes import make_scene
from support.reference_diagnosis import (
    STEPS,
    assert_same_diagnosis,
    diagnose_slowly,
    make_diagnosis_scene,
)

from hrnet_plugin.functional import (
    COCO_SIGMAS,
    coco_to_arrays,
    diagnose_keypoints,
    evaluate_coco_keypoints,
)
from hrnet_plugin.functional.coco import diagnose

# With these, 10 pixels are 2 sigma sqrt(area): the similarity at a distance d is exp(-d^2 / 200).
SIGMA, AREA = 0.1, 2500.0
AT_5, AT_8, AT_20 = np.exp([-25 / 200, -64 / 200, -400 / 200])  # 0.88, 0.73, 0.14
HALF = 51 / 101  # AP of a precision of 1 up to a recall of one half


def person(*points, image_id=1, **more):
    """An annotation of labelled points, or a prediction if it has a score."""
    keypoints = [number for x, y in points for number in (x, y, 2)]
    entry = dict(image_id=image_id, category_id=1, keypoints=keypoints)
    return entry | (more if 'score' in more else dict(bbox=[0, 0, 50, 50], area=AREA) | more)


def scene(annotations, predictions, **options):
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=annotations)
    count = len(annotations[0]['keypoints']) // 3
    return diagnose_keypoints(gt, predictions, **(dict(sigmas=[SIGMA] * count) | options))


def aps(result):
    return [step.ap for step in result.costs.values()]


# Codes, by hand

A = [(100, 100), (200, 100)]
B = [(100, 500), (200, 500)]


@pytest.mark.parametrize(
    ('point', 'code', 'similarity', 'best', 'place'),
    [
        ((105, 100), 0, AT_5, AT_5, (0, 0)),
        ((108, 100), 1, AT_8, AT_8, (0, 0)),
        ((100, 120), 4, AT_20, AT_20, (0, 0)),
        ((200, 108), 2, 0, AT_8, (0, 1)),  # at its mirror partner
        ((200, 120), 4, 0, AT_20, (0, 1)),
        ((108, 500), 3, 0, AT_8, (1, 0)),  # at the same keypoint of another
        ((200, 508), 3, 0, AT_8, (1, 1)),  # at the mirror partner in another
    ],
)
def test_codes_by_hand(point, code, similarity, best, place):
    prediction = person(point, A[1], score=0.5)
    result = scene([person(*A), person(*B)], [prediction], flip_pairs=[(0, 1)])
    assert result.codes.dtype == np.int8
    assert result.codes.tolist() == [[code, 0]]
    assert result.matched.tolist() == [0]
    assert result.similarity[0] == pytest.approx([similarity, 1], abs=1e-12)
    assert result.best_similarity[0] == pytest.approx([best, 1], abs=1e-12)
    assert (result.best_annotation[0, 0], result.best_keypoint[0, 0]) == place
    assert result.oks[0] == pytest.approx((similarity + 1) / 2)
    expected = np.zeros((2, 5))
    expected[0, code] = expected[1, 0] = 1
    assert result.counts.tolist() == expected.tolist()


def test_without_pairs_there_are_no_inversions():
    predictions = [person(A[1], A[1], score=0.5)]
    result = scene([person(*A)], predictions)
    assert result.codes.tolist() == [[4, 0]]
    assert result.notes[0].startswith('No keypoint has a mirror partner')
    assert scene([person(*A)], predictions, flip_pairs=[1, 0]).codes.tolist() == [[2, 0]]
    assert scene([person(*A)], predictions, flip_pairs=[1, 0]).notes == ()


def test_the_mirror_partner_has_the_sigma_of_the_keypoint_itself():
    """8 pixels are a similarity of 0.73 with the first sigma, and of 0.28 with the second."""
    result = scene(
        [person(*A)],
        [person((200, 108), A[1], score=0.5)],
        sigmas=[SIGMA, SIGMA / 2],
        flip_pairs=[(0, 1)],
    )
    assert result.codes[0, 0] == 2
    assert result.best_similarity[0, 0] == pytest.approx(AT_8)


def test_others_have_their_own_area():
    """20 pixels from a person of four times the area are as 10 pixels."""
    big = person(*B, area=4 * AREA)
    result = scene([person(*A), big], [person((100, 520), A[1], score=0.5)])
    assert result.codes[0, 0] == 3
    assert result.best_similarity[0, 0] == pytest.approx(np.exp(-0.5))


def test_exactly_as_similar_as_a_good_keypoint_has_to_be_is_neither(monkeypatch):
    annotations, predictions = [person(*A)], [person((108, 100), A[1], score=0.5)]
    value = scene(annotations, predictions).similarity[0, 0]
    monkeypatch.setattr(diagnose, 'GOOD_ABOVE', value)
    result = scene(annotations, predictions)
    assert result.codes.tolist() == [[-1, 0]]
    assert result.similarity[0, 0] == value
    assert result.counts.sum() == 1


def test_of_equally_similar_places_the_first_counts():
    same = [(100, 100), (100, 100)]
    result = scene([person(*same)], [person(*same, score=0.5)], flip_pairs=[(0, 1)])
    assert result.codes.tolist() == [[0, 0]]  # the right keypoint before its partner
    mine, other = person(*A, (300, 100)), person((200, 100), (900, 900), (950, 900))
    prediction = person((200, 100), A[1], (300, 100), score=0.5)
    result = scene([mine, other], [prediction], flip_pairs=[(0, 1)])
    assert result.codes.tolist() == [[3, 0, 0]]  # others before the partner
    twice = scene([mine, other, other], [prediction], flip_pairs=[(0, 1)])
    assert twice.best_annotation[0, 0] == 1
    twins = scene([person(*A), person(*A)], [person(*A, score=0.5)])
    assert twins.matched.tolist() == [1]  # of equals, COCO matches the last
    assert twins.best_annotation.tolist() == [[1, 1]]
    assert twins.codes.tolist() == [[0, 0]]


def test_what_has_no_code():
    """An unlabelled keypoint; a prediction of nobody; one beyond max_dets; one of a crowd."""
    half = person(*A)
    half['keypoints'][5] = 0
    half['keypoints'][3] = float('nan')
    predictions = [
        person(*A, score=0.1),
        person((900, 900), (950, 900), score=0.8),
        person(*A, score=0.9),
        person(*B, score=0.7),
    ]
    result = scene([half, person(*B, iscrowd=1)], predictions, max_dets=3)
    assert result.codes.tolist() == [[-1, -1], [-1, -1], [0, -1], [-1, -1]]
    assert np.isnan(result.similarity).sum() == np.isnan(result.best_similarity).sum() == 7
    assert (result.best_annotation < 0).sum() == (result.best_keypoint < 0).sum() == 7
    assert result.matched.tolist() == [-1, -1, 0, 1]
    assert result.oks.tolist() == pytest.approx([np.nan, np.nan, 1, 1], nan_ok=True)
    assert result.counted.tolist() == [False, True, True, True]
    assert result.background.tolist() == [False, True, False, False]
    assert result.evaluated.tolist() == [True, False]
    assert result.missed.tolist() == [False, False]
    assert result.cost_of_instance.tolist() == [0, 1, 0, 0]
    assert any('1 of 4 predictions do not count' in note for note in result.notes)
    assert any('1 predictions are matched to ignored' in note for note in result.notes)


def test_a_crowd_is_a_place_to_swap_with():
    result = scene([person(*A), person(*B, iscrowd=1)], [person(B[0], A[1], score=0.5)])
    assert result.codes.tolist() == [[3, 0]]


def test_another_category_or_image_is_not():
    for elsewhere in (dict(category_id=2), dict(image_id=2)):
        gt = dict(
            images=[dict(id=1), dict(id=2)],
            categories=[dict(id=1), dict(id=2)],
            annotations=[person(*A), person(*B) | elsewhere],
        )
        prediction = person(B[0], A[1], score=0.5)
        result = diagnose_keypoints(gt, [prediction], sigmas=[SIGMA] * 2)
        assert result.codes.tolist() == [[4, 0]]
        assert result.missed.tolist() == [False, True]


def test_the_threshold_for_matching():
    prediction = [person((100, 120), score=0.5)]
    assert scene([person(A[0])], prediction).matched.tolist() == [0]
    strict = scene([person(A[0])], prediction, oks_threshold=0.2)
    assert strict.matched.tolist() == [-1]
    assert strict.missed.tolist() == strict.background.tolist() == [True]


# Costs, by hand


def test_a_miss_moves_to_a_similarity_of_a_half():
    """Which reaches the lowest of ten thresholds."""
    result = scene([person((100, 100))], [person((100, 120), score=0.5)])
    assert aps(result) == pytest.approx([0] + [0.1] * 7, abs=1e-12)
    assert result.costs['miss'].auc50 == pytest.approx(1)
    assert result.costs['miss'].auc75 == 0
    # 10 of 10 thresholds, all of which it would reach at the right place
    assert result.cost_of_instance.tolist() == [1]
    assert result.recalled.tolist() == [False]


def test_jitter_moves_to_a_similarity_of_85_hundredths():
    """From 0.726, which reaches 5 of 10 thresholds, to 0.85, which reaches 8."""
    result = scene([person((100, 100))], [person((100, 108), score=0.5)])
    assert aps(result) == pytest.approx([0.5] * 4 + [0.8] * 4)
    assert result.costs['jitter'].auc85 == pytest.approx(1)
    assert result.costs['jitter'].precision.shape == (3, 101)
    assert result.cost_of_instance.tolist() == [0.5]
    assert result.recalled.tolist() == [True]


def test_an_inversion_keeps_its_similarity_at_the_right_place():
    """0.726 and 1 are an OKS of 0.863, which reaches 8 thresholds; 0 and 1 reach one."""
    prediction = person((200, 108), A[1], score=0.5)
    result = scene([person(*A)], [prediction], flip_pairs=[(0, 1)])
    assert aps(result) == pytest.approx([0.1] * 3 + [0.8] * 5)
    assert result.cost_of_instance.tolist() == [0.9]


def test_a_swap_moves_back_to_the_matched_person():
    """Beyond an OKS of 2 / 3, the swapped one is a false positive before the other."""
    a, b = (*A, (300, 100)), (*B, (300, 500))
    predictions = [person(b[0], *a[1:], score=0.9), person(*b, score=0.8)]
    result = scene([person(*a), person(*b)], predictions)
    assert result.codes.tolist() == [[3, 0, 0], [0, 0, 0]]
    before = (4 + 6 * HALF / 2) / 10
    assert aps(result) == pytest.approx([before] * 2 + [1] * 6)


def test_corrections_are_made_in_order():
    """Four people, of whom each has one kind of error."""
    gt = dict(images=[dict(id=i) for i in range(4)], categories=[dict(id=1)], annotations=[])
    dt = []
    for image, point in enumerate([(100, 120), (108, 500), (200, 108), (108, 100)]):
        dt.append(person(point, A[1], score=0.5, image_id=image))
        gt['annotations'] += [person(*p, image_id=image) for p in (A, B)[: 1 + (image == 1)]]
    dt.append(person(*B, score=0.5, image_id=1))
    result = diagnose_keypoints(gt, dt, sigmas=[SIGMA] * 2, flip_pairs=[(0, 1)])
    assert result.codes[:4, 0].tolist() == [4, 3, 2, 1]
    changes = np.diff(aps(result)) > 1e-9
    assert changes[:4].all()


def test_scores_become_the_best_oks():
    predictions = [person((900, 900), score=0.9), person((100, 100), score=0.5)]
    result = scene([person((100, 100))], predictions)
    assert aps(result) == pytest.approx([0.5] * 5 + [1] * 3)


def test_soft_nms_lowers_duplicates():
    """To exp(-2) = 0.135, below the other person, who then has 0.85."""
    box = dict(bbox=[0, 0, 50, 50])
    predictions = [
        person((100, 100), score=0.9, **box),
        person((100, 100), score=0.8, **box),
        person((508, 500), score=0.7, **box),
    ]
    result = scene([person((100, 100)), person((500, 500))], predictions)
    assert result.background.tolist() == [False, True, False]
    after = (8 + 2 * HALF) / 10
    assert result.costs['jitter'].ap == pytest.approx(
        (8 * (51 + 50 * 2 / 3) / 101 + 2 * HALF) / 10
    )
    assert aps(result)[5:] == pytest.approx([after] * 3)


def test_background_is_removed():
    """A duplicate that soft-NMS spares for its small box, before a person of an OKS of 0.5."""
    box = dict(bbox=[0, 0, 2, 2])
    predictions = [
        person((100, 100), score=0.9, **box),
        person((100, 108), score=0.8, **box),
        person((500, 520), score=0.7, **box),
    ]
    result = scene([person((100, 100)), person((500, 500))], predictions)
    at_half = [result.costs[name].auc50 for name in ('score', 'background', 'missed')]
    assert at_half == pytest.approx([(51 + 50 * 2 / 3) / 101, 1, 1])


def test_missed_annotations_are_removed():
    result = scene([person((100, 100)), person((500, 500))], [person((100, 100), score=0.5)])
    assert result.missed.tolist() == [False, True]
    assert aps(result) == pytest.approx([HALF] * 7 + [1])
    curve = result.costs['background'].precision
    np.testing.assert_allclose(curve, [[1] * 51 + [0] * 50] * 3, atol=1e-12)


# Against plain loops and pycocotools

# Scenes with predictions, or places of a keypoint, that are equal but for rounding
EQUAL = (133, 2078, 5269, 6166, 6697)


def diagnosed(scene):
    options = dict(scene.options, sigmas=scene.sigmas, flip_pairs=scene.flip_pairs)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', '.*no usable area')
        return diagnose_keypoints(scene.gt, scene.dt, **options)


def test_equals_plain_loops():
    """`make fuzz` compares many more."""
    counts, changes = np.zeros(5, int), np.zeros(7, int)
    for seed in (*range(100), *EQUAL):
        scene = make_diagnosis_scene(seed)
        ours = diagnosed(scene)
        try:
            assert_same_diagnosis(ours, diagnose_slowly(scene))
        except AssertionError as error:
            pytest.fail(f'scene {seed} differs: {error}')
        counts += ours.counts.sum(axis=0)
        changes += np.abs(np.diff(aps(ours))) > 1e-9
        # Removing what is matched nowhere never lowers AP.
        after = [v for v in aps(ours)[5:] if v >= 0]
        assert (np.diff(after) > -1e-12).all(), seed
    # Otherwise less would be compared than it seems
    assert counts.min() > 30
    assert changes.min() > 5


@pytest.mark.parametrize('seed', range(5))
def test_as_predicted_equals_the_evaluation(seed):
    scene = make_scene(seed)
    ours, expected = diagnose_keypoints(scene.gt, scene.dt), scene.ours()
    assert ours.costs['predicted'].ap == expected.ap
    assert tuple(ours.costs) == STEPS
    curves = expected.precision[[0, 5, 7], :, :, 0, 0].mean(axis=-1)
    np.testing.assert_allclose(ours.costs['predicted'].precision, curves, rtol=0, atol=1e-12)
    assert ours.costs['predicted'].auc75 == expected.ap75
    if len(scene.gt['categories']) == 1:
        assert ours.recalled.sum() / ours.evaluated.sum() == pytest.approx(expected.ar50)


@pytest.fixture
def rich_scene():
    scenes = (make_diagnosis_scene(seed) for seed in range(100))
    return next(each for each in scenes if len({*diagnosed(each).codes.ravel()}) > 5)


def test_blocks_do_not_matter(monkeypatch, rich_scene):
    scene, expected = rich_scene, diagnosed(rich_scene)
    monkeypatch.setattr(diagnose, 'BLOCK', 1)
    for name in ('codes', 'best_similarity', 'best_annotation', 'best_keypoint'):
        np.testing.assert_array_equal(diagnosed(scene)[name], expected[name])


def test_the_order_is_that_of_the_input(rich_scene):
    """Scores differ, so that no match depends on the order."""
    scene = rich_scene
    rng = np.random.default_rng(0)
    for det, score in zip(scene.dt, rng.permutation(len(scene.dt))):
        det['score'] = float(score)
    expected = diagnosed(scene)
    order = rng.permutation(len(scene.dt))
    scene.dt = [scene.dt[n] for n in order]
    again = diagnosed(scene)
    for name in ('codes', 'matched', 'best_similarity', 'counted', 'background'):
        np.testing.assert_array_equal(again[name], expected[name][order])


def test_takes_every_form(tmp_path):
    scene = make_scene(2)
    expected = diagnose_keypoints(scene.gt, scene.dt)
    gt_file, dt_file = tmp_path / 'gt.json', tmp_path / 'dt.json'
    gt_file.write_text(json.dumps(scene.gt))
    dt_file.write_text(json.dumps(scene.dt))
    for gt, dt in ((str(gt_file), dt_file), (coco_to_arrays(scene.gt), scene.dt)):
        result = diagnose_keypoints(gt, dt)
        np.testing.assert_array_equal(result.codes, expected.codes)
        assert aps(result) == aps(expected)


def test_single_precision_is_corrected_as_exactly():
    gt, dt = [person((100, 100))], [person((100, 120), score=0.5)]
    columns = {name: np.array([dt[0][name]]) for name in ('image_id', 'category_id', 'score')}
    columns['keypoints'] = np.array(dt[0]['keypoints'], np.float32).reshape(1, 1, 3)
    assert aps(scene(gt, columns)) == aps(scene(gt, dt))


# Options, and bad input


def test_cocos_pairs_are_the_default():
    scene = make_scene(2)
    ours = diagnose_keypoints(scene.gt, scene.dt)
    flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    for pairs in (flip, np.array(flip), [(k, k + 1) for k in range(1, 17, 2)]):
        again = diagnose_keypoints(scene.gt, scene.dt, sigmas=COCO_SIGMAS, flip_pairs=pairs)
        np.testing.assert_array_equal(again.codes, ours.codes)
    assert ours.counts[:, 2].any()
    none = diagnose_keypoints(scene.gt, scene.dt, sigmas=COCO_SIGMAS)
    assert not none.counts[:, 2].any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(flip_pairs=[(0, 2)]), r'flip_pairs are \[\[0, 2\]\]; expected pairs'),
        (dict(flip_pairs=[(0, -1)]), 'expected pairs'),
        (dict(flip_pairs=[(0.5, 1)]), 'expected pairs'),
        (dict(flip_pairs=[0, 1, 2]), r'shape \(3,\); expected pairs'),
        (dict(flip_pairs=[1, 1]), 'partner of keypoint 0 is 1, whose partner is 1'),
        (dict(flip_pairs=[(0, 1), (0, 0)]), 'keypoint 0 in several pairs'),
        (dict(oks_threshold=1.5), 'oks_threshold must be from 0 to 1, not 1.5'),
        (dict(oks_threshold=float('nan')), 'oks_threshold'),
        (dict(max_dets=0), 'max_dets must be at least 1'),
        (dict(sigmas=[0.1]), '2 keypoints, but there are 1 sigmas'),
    ],
    ids=str,
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        scene([person(*A)], [person(*A, score=0.5)], **options)


def test_bad_predictions_are_errors():
    annotations, good = [person(*A)], person(*A, score=0.5)
    for bad, message in (
        (dict(image_id=9), 'image 9 of the predictions is not among the annotations'),
        (dict(keypoints=[float('nan')] * 6), 'NaN'),
        (dict(keypoints=[1, 2, 3]), '1 keypoints'),
    ):
        with pytest.raises(ValueError, match=message):
            scene(annotations, [good | bad])


def test_nothing_predicted():
    with pytest.warns(UserWarning, match='there are no predictions') as caught:
        result = scene([person(*A)], [])
    assert caught[0].filename == __file__ or len(caught) == 1
    assert result.codes.shape == (0, 2)
    assert result.missed.tolist() == [True]
    assert aps(result) == [0] * 7 + [-1]  # nothing is left in the end
    assert 'There are no predictions.' in result.notes


def test_nothing_annotated():
    gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[])
    result = diagnose_keypoints(gt, [person(*A, score=0.5)], sigmas=[SIGMA] * 2)
    assert result.background.tolist() == [True]
    assert aps(result) == [-1] * 8
    assert (result.costs['missed'].precision == -1).all()


def test_areas_that_are_missing_come_from_boxes():
    annotation = person(*A)
    del annotation['area']
    with pytest.warns(UserWarning, match='no usable area'):
        result = scene([annotation], [person((105, 100), A[1], score=0.5)])
    assert result.area.tolist() == [0.53 * AREA]
    assert any('1 annotations have no area' in note for note in result.notes)
    assert result.similarity[0, 0] == pytest.approx(np.exp(-25 / 200 / 0.53))
    plain = scene([person(*A)], [person((105, 100), A[1], score=0.5)], use_area=False)
    np.testing.assert_array_equal(plain.similarity, result.similarity)


def test_far_away_is_a_miss_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        result = scene([person(*A)], [person((1e200, -1e200), A[1], score=0.5)])
    assert result.codes.tolist() == [[4, 0]]
    assert np.isfinite(aps(result)).all()


def test_changes_nothing_that_it_is_given():
    scene = make_scene(2)
    gt, dt = coco_to_arrays(scene.gt), copy.deepcopy(scene.dt)
    columns = {name: np.array([det[name] for det in dt]) for name in ('image_id', 'score')}
    columns |= dict(
        category_id=np.array([det['category_id'] for det in dt]),
        keypoints=np.array([det['keypoints'] for det in dt]).reshape(len(dt), 17, 3),
    )
    before = copy.deepcopy((gt, columns))
    diagnose_keypoints(gt, columns)
    for ours, theirs in ((gt['annotations'], before[0]['annotations']), (columns, before[1])):
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_result_is_a_frozen_mapping():
    scene = make_scene(2)
    result = diagnose_keypoints(scene.gt, scene.dt)
    assert result['codes'] is result.codes
    assert [*result] == [each.name for each in dataclasses.fields(result)] == [*result.to_dict()]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.codes = None
    again = pickle.loads(pickle.dumps(result))
    assert aps(again) == aps(result)
    text = str(result).splitlines()
    assert text[1].split()[:2] == ['good', str(result.counts[:, 0].sum())]
    row = next(line.split() for line in text if line.startswith('missed'))
    assert row[1] == f'{result.costs["missed"].ap:.3f}'
    assert evaluate_coco_keypoints(scene.gt, scene.dt).ap == result.costs['predicted'].ap
