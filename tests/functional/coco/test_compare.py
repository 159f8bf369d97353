"""Bootstrap over images against evaluations of images that are really repeated, and by hand."""

import tracemalloc
import warnings

import numpy as np
import pytest
from support.coco_scenes import make_scene, make_wild_scene

from hrnet_plugin.functional import bootstrap, compare, evaluate_coco_keypoints
from hrnet_plugin.functional.coco.ids import as_id, id_order

METRICS = ('AP', 'AP50', 'AP75', 'AR')
FINE = dict(keypoints=[10, 20, 2, 50, 90, 2], bbox=[0, 10, 60, 90], area=4000)
LOST = dict(keypoints=[400, 20, 2, 440, 90, 2])
SIGMAS = [0.1, 0.1]


def people(count, found, score=0.9):
    """One instance in each image, and detections in the images ``found``: right or not."""
    gt = dict(
        images=[dict(id=n) for n in range(count)],
        categories=[dict(id=1)],
        annotations=[dict(FINE, id=n + 1, image_id=n, category_id=1) for n in range(count)],
    )
    dt = [
        dict(FINE if right else LOST, image_id=n, category_id=1, score=score)
        for n, right in found.items()
    ]
    return gt, [{k: v for k, v in d.items() if k not in ('bbox', 'area')} for d in dt]


def draw(gt, seed):
    """How often each image is drawn first, by id."""
    ids = sorted({as_id(image['id']) for image in gt['images']}, key=id_order)
    drawn = np.random.default_rng(seed).integers(0, len(ids), len(ids))
    return {image: int((drawn == n).sum()) for n, image in enumerate(ids)}


def repeated(gt, dt, weights):
    """The images as many times as their weights say, under new ids, copies next to each other."""
    images, anns, dets = [], [], []
    for image in sorted(weights, key=id_order):
        for _ in range(weights[image]):
            new = dict(image_id=len(images))
            images.append(dict(id=len(images)))
            anns += [{**a, **new} for a in gt['annotations'] if as_id(a['image_id']) == image]
            dets += [{**d, **new} for d in dt if as_id(d['image_id']) == image]
    anns = [dict(ann, id=n) for n, ann in enumerate(anns, 1)]
    return dict(gt, images=images, annotations=anns), dets


def options_of(scene):
    return {k: v for k, v in scene.options.items() if k in ('sigmas', 'max_dets')}


def comparable(make, seeds):
    for seed in seeds:
        scene = make(seed)
        counted = [a for a in scene.gt['annotations'] if a['num_keypoints'] and not a['iscrowd']]
        if len({as_id(image['id']) for image in scene.gt['images']}) > 1 and counted:
            yield seed, scene


@pytest.mark.filterwarnings('ignore:.*an area of 0', 'ignore:there are no predictions')
@pytest.mark.parametrize('make', [make_scene, make_wild_scene])
def test_a_resample_equals_repeated_images(make):
    """To 1e-12, with ties within and between images, crowds and several categories."""
    informative = ties = 0
    for seed, scene in comparable(make, range(80)):
        options = options_of(scene)
        weights = draw(scene.gt, seed)
        gt, dt = repeated(scene.gt, scene.dt, weights)
        if not any(d['category_id'] in {c['id'] for c in gt['categories']} for d in dt):
            dt = []  # those of unlisted categories alone are an error
        expected = evaluate_coco_keypoints(gt, dt, **options)
        if expected.ap < 0:
            with pytest.raises(ValueError, match='no resample has an annotated instance'):
                bootstrap(scene.gt, scene.dt, resamples=1, seed=seed, **options)
            continue
        result = bootstrap(scene.gt, scene.dt, resamples=1, seed=seed, **options)
        for name in METRICS:
            assert result[name].low == pytest.approx(expected[name], abs=1e-12), (seed, name)
            assert result[name].high == result[name].low
        informative += 0 < expected.ap < 1 and max(weights.values()) > 1
        ties += len({d['score'] for d in scene.dt}) < len(scene.dt)
    assert informative > 20
    assert ties > 20


@pytest.mark.filterwarnings('ignore:there are no predictions')
def test_equal_scores_of_a_repeated_image():
    """A right and a wrong detection of equal scores: copies do not mix, as of real images."""
    gt, dt = people(3, {0: True, 1: True})
    dt += [dict(d, keypoints=LOST['keypoints']) for d in dt]
    changed = 0
    for seed in range(20):
        expected = evaluate_coco_keypoints(*repeated(gt, dt, draw(gt, seed)), sigmas=SIGMAS)
        result = bootstrap(gt, dt, sigmas=SIGMAS, resamples=1, seed=seed)
        assert result['AP'].low == pytest.approx(expected.ap, abs=1e-12)
        changed += 0 < expected.ap < 1
    assert changed > 10


@pytest.mark.filterwarnings('ignore:.*an area of 0', 'ignore:there are no predictions')
@pytest.mark.parametrize('make', [make_scene, make_wild_scene])
def test_values_are_those_of_the_evaluation(make):
    """Exactly, as each image counts once."""
    compared = 0
    for seed, scene in comparable(make, range(20)):
        options = options_of(scene)
        expected = evaluate_coco_keypoints(scene.gt, scene.dt, **options)
        result = bootstrap(scene.gt, scene.dt, resamples=30, seed=seed, **options)
        assert [result[name].value for name in METRICS] == [expected[name] for name in METRICS]
        compared += 0 < expected.ap < 1
    assert compared > 5


def test_use_area():
    scene = make_scene(2)
    expected = evaluate_coco_keypoints(scene.gt, scene.dt, use_area=False)
    assert bootstrap(scene.gt, scene.dt, resamples=9, use_area=False)['AP'].value == expected.ap
    assert expected.ap != evaluate_coco_keypoints(scene.gt, scene.dt).ap


def test_percentiles_by_hand():
    """AR is the share of drawn images whose instance is found: a binomial of 100 and 0.6."""
    gt, dt = people(100, dict.fromkeys(range(60), True))
    result = bootstrap(gt, dt, sigmas=SIGMAS, resamples=500, seed=3)
    rng = np.random.default_rng(3)
    shares = [np.mean(rng.integers(0, 100, 100) < 60) for _ in range(500)]
    assert result['AR'].value == pytest.approx(0.6)
    low, high = np.quantile(shares, [0.025, 0.975])
    assert (result['AR'].low, result['AR'].high) == pytest.approx((low, high))
    assert 0.48 < low < 0.53 < 0.67 < high < 0.72  # 0.6 -+ 1.96 sqrt(0.6 0.4 / 100)
    narrow = bootstrap(gt, dt, sigmas=SIGMAS, resamples=500, seed=3, confidence=0.5)
    expected = np.quantile(shares, [0.25, 0.75])
    assert (narrow['AR'].low, narrow['AR'].high) == pytest.approx(tuple(expected))
    assert str(result).splitlines()[-1].split() == ['AR', *str(result['AR']).split()]


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """The recall of instances that are found with a probability of 0.7, in 95 % of datasets."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        gt, dt = people(60, dict.fromkeys(np.flatnonzero(rng.random(60) < 0.7), True))
        interval = bootstrap(gt, dt, sigmas=SIGMAS, resamples=100, seed=trial)['AR']
        covered += interval.low <= 0.7 <= interval.high
    assert 87 <= covered <= 99  # of a binomial of 100 and 0.93, which 100 resamples make of it


def test_the_same_file_differs_by_exactly_0():
    scene = make_scene(5)
    result = compare(scene.gt, scene.dt, scene.dt, resamples=40)
    for name in METRICS:
        each = result.difference[name]
        assert (each.value, each.low, each.high) == (0, 0, 0)
        assert result.p_value[name] == 1
        assert result.share_b_better[name] == 0
        assert result.a[name] == result.b[name]
    assert (result.changed.difference == 0).all()
    assert len(result.changed.image_id) > 1


def test_a_difference_by_hand():
    """B finds 10 more of 50 instances: it is better in all resamples that draw one of the 10."""
    gt, dt_a = people(50, dict.fromkeys(range(20), True))
    _, dt_b = people(50, dict.fromkeys(range(30), True))
    result = compare(gt, dt_a, dt_b, sigmas=SIGMAS, resamples=199)
    assert result.difference['AR'].value == pytest.approx(0.2)
    assert result.a['AR'] == bootstrap(gt, dt_a, sigmas=SIGMAS, resamples=199)['AR']
    assert result.b['AR'] == bootstrap(gt, dt_b, sigmas=SIGMAS, resamples=199)['AR']
    rng = np.random.default_rng(0)
    drawn = np.array([rng.integers(0, 50, 50) for _ in range(199)])
    more = ((drawn >= 20) & (drawn < 30)).mean(axis=1)
    assert result.difference['AR'].low == pytest.approx(np.quantile(more, 0.025))
    assert result.difference['AR'].high == pytest.approx(np.quantile(more, 0.975))
    assert (more > 0).all()
    assert result.share_b_better['AR'] == 1
    assert result.p_value['AR'] == pytest.approx(2 * 1 / 200)
    assert result.changed.image_id[:10].tolist() == list(range(20, 30))
    assert result.changed.a[:11].tolist() == [0] * 10 + [1]
    assert result.changed.b[:11].tolist() == [1] * 11
    swapped = compare(gt, dt_b, dt_a, sigmas=SIGMAS, resamples=199)
    assert swapped.difference['AR'].low == -result.difference['AR'].high
    assert (swapped.share_b_better['AR'], swapped.p_value['AR']) == (0, result.p_value['AR'])


def test_pairing_narrows_the_difference():
    """Where both files err on the same images, their difference is surer than either AP."""
    gt, dt_a = people(80, {n: n % 2 == 0 for n in range(80)})
    _, dt_b = people(80, {n: n % 2 == 0 or n == 1 for n in range(80)})
    result = compare(gt, dt_a, dt_b, sigmas=SIGMAS, resamples=200)
    width = result.difference['AR'].high - result.difference['AR'].low
    assert 0 < width < (result.a['AR'].high - result.a['AR'].low) / 3


def test_the_table():
    gt, dt = people(20, dict.fromkeys(range(10), True))
    result = compare(gt, dt, dt[:5], sigmas=SIGMAS, resamples=50)
    lines = [line.split() for line in str(result).splitlines()]
    assert lines[0] == ['a', 'b', 'b', '-', 'a', 'b', '>', 'a', 'p']
    assert lines[4][:2] == ['AR', '0.5000']
    assert lines[4][-2:] == ['0.0%', f'{result.p_value["AR"]:.3f}']


def test_images_by_change_leave_out_those_without_instances():
    """The OKS of an image is the mean over its instances, 0 for one that is not matched."""
    gt, dt = people(3, {0: True, 1: True})
    gt['images'] += [dict(id=7)]
    other = dict(FINE, keypoints=[200, 20, 2, 240, 90, 2], id=9, image_id=0, category_id=1)
    crowd = dict(FINE, id=10, image_id=7, category_id=1, iscrowd=1)
    gt['annotations'] += [other, crowd]
    result = compare(gt, dt, dt[:1], sigmas=SIGMAS, resamples=20)
    assert result.changed.image_id.tolist() == [1, 0, 2]
    assert result.changed.a.tolist() == [1, 0.5, 0]
    assert result.changed.b.tolist() == [0, 0.5, 0]


def test_ids_may_be_text():
    gt, dt = people(4, {1: True, 2: True})
    for entry in (*gt['images'], *gt['annotations'], *dt):
        name = 'id' if 'image_id' not in entry else 'image_id'
        entry[name] = f'{"dcba"[entry[name]]}.jpg'
    result = compare(gt, dt, dt[:1], sigmas=SIGMAS, resamples=20)
    assert result.changed.image_id.tolist() == ['b.jpg', 'a.jpg', 'c.jpg', 'd.jpg']


def test_resamples_without_instances_are_counted():
    """One image in three has an instance: it is not drawn in (2/3)^3 = 30 % of resamples."""
    gt, dt = people(3, {0: True})
    gt['annotations'] = gt['annotations'][:1]
    result = bootstrap(gt, dt, sigmas=SIGMAS, resamples=200)
    rng = np.random.default_rng(0)
    without = sum((rng.integers(0, 3, 3) > 0).all() for _ in range(200))
    assert (result.undefined, result.resamples) == (without, 200 - without)
    assert 40 < without < 80
    assert (result['AP'].low, result['AP'].high) == pytest.approx((1, 1))


def test_no_predictions_are_an_ap_of_0_with_a_warning():
    gt, dt = people(6, {0: True, 1: True})
    with pytest.warns(UserWarning, match='no predictions') as caught:
        result = compare(gt, dt, [], sigmas=SIGMAS, resamples=20)
    assert caught[0].filename == __file__
    assert result.b['AP'].high == 0
    assert result.difference['AP'].value == -result.a['AP'].value < 0


def test_files_of_other_images_are_warned_of():
    gt, dt_a = people(10, dict.fromkeys(range(10), True))
    with pytest.warns(UserWarning, match='6 of 10 images .* in dt_a have none in dt_b') as caught:
        compare(gt, dt_a, dt_a[:4], sigmas=SIGMAS, resamples=9)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match='6 of 10 images .* in dt_b have none in dt_a'):
        compare(gt, dt_a[:4], dt_a, sigmas=SIGMAS, resamples=9)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compare(gt, dt_a, dt_a[:5], sigmas=SIGMAS, resamples=9)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(resamples=0), 'resamples must be at least 1, not 0'),
        (dict(confidence=95), 'confidence must be between 0 and 1, such as 0.95, not 95'),
        (dict(confidence=0), 'not 0'),
        (dict(max_dets=0), 'max_dets'),
    ],
)
def test_options_out_of_range(change, message):
    gt, dt = people(4, {0: True})
    with pytest.raises(ValueError, match=message):
        bootstrap(gt, dt, sigmas=SIGMAS, **change)
    with pytest.raises(ValueError, match=message):
        compare(gt, dt, dt, sigmas=SIGMAS, **change)


def test_what_cannot_be_compared_is_named():
    gt, dt = people(4, {0: True})
    other = [dict(dt[0], image_id=77)]
    with pytest.raises(ValueError, match='dt_b: image 77 of the predictions is not among'):
        compare(gt, dt, other, sigmas=SIGMAS)
    with pytest.raises(ValueError, match='dt_a: image 77'):
        compare(gt, other, dt, sigmas=SIGMAS)
    with pytest.raises(ValueError, match=r'^annotation 1: 2 keypoints, but there are 3 sigmas'):
        compare(gt, dt, dt, sigmas=[0.1] * 3)
    with pytest.raises(ValueError, match='have 1 image: a bootstrap'):
        compare(*people(1, {0: True}), dt, sigmas=SIGMAS)
    for ann in gt['annotations']:
        ann['iscrowd'] = 1
    with pytest.raises(ValueError, match='no annotated instance counts'):
        bootstrap(gt, dt, sigmas=SIGMAS)


def test_memory_does_not_grow_with_resamples():
    gt, dt = people(300, dict.fromkeys(range(300), True))
    peaks = []
    for resamples in (20, 20, 220):
        tracemalloc.start()
        bootstrap(gt, dt, sigmas=SIGMAS, resamples=resamples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 200 * 300  # not a byte for each resample and detection
