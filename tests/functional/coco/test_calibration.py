"""Calibration of scores: known temperatures, SciPy's isotonic regression, ranks, files."""

import json
import re

import numpy as np
import pytest
from scipy.optimize import isotonic_regression
from support.coco_scenes import make_scene

from hrnet_plugin.functional import Calibration, evaluate_coco_keypoints, fit_calibration
from hrnet_plugin.functional.coco.calibration import ScoreMap, pool_adjacent_violators

SIGMAS = [0.1, 0.1]
METHODS = ('temperature', 'isotonic')


def dataset(num_images, probability, score, seed=0, per_image=5):
    """Far apart instances of two keypoints, each right with a probability that scores misstate.

    Args:
        num_images: Number of images.
        probability: Function from a random generator and a shape to true probabilities.
        score: Function from these to the scores that predictions state.
        seed: Seed.
        per_image: Number of instances in each image.
    """
    rng = np.random.default_rng(seed)
    count = num_images * per_image
    image = np.repeat(np.arange(num_images), per_image)
    corner = np.stack([np.arange(count) % per_image * 1000.0, np.zeros(count)], axis=1)
    points = corner[:, None] + [[10, 20], [50, 90]]
    gt = dict(
        images=np.arange(num_images),
        categories=np.ones(1, int),
        annotations=dict(
            image_id=image,
            category_id=np.ones(count, int),
            keypoints=np.concatenate([points, np.full((count, 2, 1), 2)], axis=-1),
            bbox=np.concatenate([corner, np.full((count, 2), 100)], axis=1),
            area=np.full(count, 1e4),
        ),
    )
    p = probability(rng, (count, 2))
    wrong = rng.random((count, 2)) > p
    # 40 pixels off: a similarity of exp(-2) = 0.14; both wrong is an OKS of as much
    predicted = points + np.stack([40 * wrong, 0 * wrong], axis=-1)
    instance = probability(rng, count)
    lost = rng.random(count) > instance
    predicted[lost] += [0, 500]
    dt = dict(
        image_id=image,
        category_id=np.ones(count, int),
        keypoints=np.concatenate([predicted, score(p)[..., None]], axis=-1),
        score=score(instance),
    )
    return gt, dt


def sharpen(temperature):
    """Scores whose logits are ``temperature`` times too large."""
    return lambda p: 1 / (1 + ((1 - p) / p) ** temperature)


def anything(rng, shape):
    return rng.uniform(0.02, 0.98, shape)


@pytest.mark.filterwarnings('ignore:.*does not improve')  # a temperature of 1
@pytest.mark.parametrize('temperature', [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    """Of 20,000 keypoints in half of the images, within 5 %, two standard errors."""
    gt, dt = dataset(8000, anything, sharpen(temperature))
    calibration = fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip')
    assert calibration.keypoints.temperature == pytest.approx(temperature, rel=0.05)
    # What a score of 0.9 stands for: its logit, divided
    expected = 1 / (1 + (0.1 / 0.9) ** (1 / calibration.keypoints.temperature))
    assert calibration.apply_keypoints(np.array([0.9])) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('method', METHODS)
def test_errors_fall_on_the_other_half(method):
    gt, dt = dataset(600, anything, sharpen(2.5))
    calibration = fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip', method=method)
    fit = calibration.keypoint_fit
    assert fit.ece_before > 0.1
    assert fit.ece_after < 0.04
    assert calibration.num_images_fit == calibration.num_images_test == 300
    assert calibration.instance_fit.num_fit == calibration.instance_fit.num_test == 1500
    assert f'error {fit.ece_before:.4f} -> {fit.ece_after:.4f}' in str(calibration)


def test_the_seed_chooses_the_half():
    gt, dt = dataset(200, anything, sharpen(2))
    first, again, other = (
        fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip', seed=s) for s in (0, 0, 1)
    )
    assert first == again
    assert first.keypoints != other.keypoints
    assert other.seed == 1


def test_scores_beyond_1_keep_their_order():
    """Sums such as bbox_rle reach 3: the highest score of the fit stands for 1."""
    gt, dt = dataset(600, anything, lambda p: 3 * sharpen(2)(p))
    for method in METHODS:
        calibration = fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip', method=method)
        assert 2.9 < calibration.keypoints.high <= 3
        scores = np.array([-5, -0.1, 0, 0.5, 2, 2.9, 3, 3.001, 4, 50, 1000])
        mapped = calibration.apply_keypoints(scores)
        assert (np.diff(mapped) > 0).all()
        assert (mapped >= 0).all()
        assert (mapped <= 1).all()


@pytest.mark.parametrize(
    'score_map',
    [
        ScoreMap(0, 1, 0.05),
        ScoreMap(0, 1, 60.0),
        ScoreMap(0, 1, None, (0.5,), (0.4,)),
        ScoreMap(0, 1, None, (0.2, 0.8), (0.0, 1.0)),
    ],
)
def test_maps_are_strictly_increasing(score_map):
    """Where a temperature rounds to 0 or 1, and beyond the blocks of isotonic regression, too."""
    scores = np.linspace(-0.5, 1.5, 200_001)
    assert (np.diff(score_map(scores)) > 0).all()
    assert score_map(scores[None]).shape == (1, 200_001)


@pytest.mark.parametrize('seed', range(20))
def test_pooling_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.integers(0, 9, 200) / 8, rng.integers(1, 5, 200).astype(float)
    values += seed / 20 * np.linspace(0, 1, 200)
    starts, levels = pool_adjacent_violators(values, weights)
    fitted = np.repeat(levels, np.diff(starts, append=len(values)))
    np.testing.assert_allclose(fitted, isotonic_regression(values, weights=weights).x, atol=1e-12)
    assert (np.diff(levels) > 0).all()
    assert len(levels) > 1


def test_isotonic_blocks_by_hand():
    """Equal scores are one value; between the centers of blocks the map is straight."""
    blocks = ScoreMap(0, 1, None, (0.2, 0.6), (0.1, 0.5))
    np.testing.assert_allclose(
        blocks(np.array([0, 0.2, 0.3, 0.6, 1])), [0.1, 0.1, 0.2, 0.5, 0.5], atol=2e-6
    )


@pytest.mark.parametrize('method', METHODS)
def test_ap_stays_as_it_is(method):
    gt, dt = dataset(400, anything, sharpen(2))
    calibration = fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip', method=method)
    compared = 0
    for seed in range(12):
        scene = make_scene(seed)
        if not scene.dt:
            continue
        mapped = [
            dict(d, score=float(calibration.apply_instances(np.array(d['score']))))
            for d in scene.dt
        ]
        before = evaluate_coco_keypoints(scene.gt, scene.dt)
        after = evaluate_coco_keypoints(scene.gt, mapped)
        for name in ('AP', 'AP50', 'AP75', 'AR', 'precision', 'recall'):
            np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-12)
        assert sorted(d['score'] for d in mapped) != sorted(d['score'] for d in scene.dt)
        compared += 0 < before.ap < 1
    assert compared > 5
    before = evaluate_coco_keypoints(gt, dt, sigmas=SIGMAS)
    after = evaluate_coco_keypoints(
        gt, dict(dt, score=calibration.apply_instances(dt['score'])), sigmas=SIGMAS
    )
    assert after.ap == pytest.approx(before.ap, abs=1e-12)
    assert 0 < before.ap < 1


def test_a_method_that_does_not_help_is_warned_of():
    """Most are right, and the more so the lower their score: a temperature only goes to 0.5."""
    gt, dt = dataset(300, lambda rng, shape: rng.uniform(0.85, 0.99, shape), lambda p: 1.8 - p)
    expected = "'temperature' does not improve keypoint scores.*; try method='isotonic'"
    with pytest.warns(UserWarning, match=expected) as caught:
        fit_calibration(gt, dt, sigmas=SIGMAS)
    assert caught[0].filename == __file__


@pytest.fixture(scope='module')
def calibrations():
    gt, dt = dataset(200, anything, sharpen(2))
    return {
        method: fit_calibration(gt, dt, sigmas=SIGMAS, unmatched='skip', method=method)
        for method in METHODS
    }


@pytest.mark.parametrize('method', METHODS)
def test_a_file_is_the_same_again(calibrations, tmp_path, method):
    path = tmp_path / 'new/calibration.json'
    calibrations[method].to_json(path)
    again = Calibration.from_json(path)
    assert again == calibrations[method]
    assert path.stat().st_size < 20_000
    scores = np.linspace(0, 1, 11)
    np.testing.assert_array_equal(
        again.apply_keypoints(scores), calibrations[method].apply_keypoints(scores)
    )
    content = json.loads(path.read_text())
    assert (content['version'], content['method']) == (1, method)
    assert content['similarity'] == content['oks'] == 0.5
    assert content['num_images_fit'] == 100


def changed(content, path, value):
    *parents, last = path.split('.')
    part = content
    for name in parents:
        part = part[name]
    part[last] = value
    return content


@pytest.mark.parametrize(
    ('method', 'path', 'value', 'message'),
    [
        ('temperature', 'version', 2, "'version' is 2, not 1"),
        ('temperature', 'method', 'platt', "'method' is 'platt', not 'temperature' or 'isotonic'"),
        ('temperature', 'method', ['temperature'], "'method' is"),
        ('temperature', 'unmatched', None, "'unmatched' is None"),
        ('temperature', 'oks', 2, 'oks must be above 0 and at most 1, not 2'),
        ('temperature', 'keypoints', [], "'keypoints' is a list, not a dict"),
        ('temperature', 'keypoints.temperature', 0, "'temperature' is 0.0, which must be above"),
        ('temperature', 'keypoints.temperature', 'hot', "'temperature' is 'hot', not a number"),
        ('temperature', 'keypoints.temperature', float('nan'), "'temperature' is nan"),
        ('temperature', 'keypoints.low', True, "'low' is True, not a number"),
        ('temperature', 'instances.high', -1, "'low' is 0.0 and 'high' -1.0, which must be above"),
        ('temperature', 'seed', None, "'seed' is None, not a number"),
        ('temperature', 'instance_fit', None, "'instance_fit' is null, not a dict"),
        ('isotonic', 'keypoints.scores', 3, "'scores' is 3, not a list"),
        ('isotonic', 'keypoints.scores', [0.1], "there are 1 'scores' and"),
        (
            'isotonic',
            'keypoints',
            dict(low=0, high=1, scores=[], shares=[]),
            "there are 0 'scores'",
        ),
        (
            'isotonic',
            'keypoints',
            dict(low=0, high=1, scores=[0.2, 0.1], shares=[0, 1]),
            "'scores' do not ascend",
        ),
        (
            'isotonic',
            'keypoints',
            dict(low=0, high=1, scores=[0.1, 0.2], shares=[0.5, 0.5]),
            "'shares' do not ascend",
        ),
        (
            'isotonic',
            'keypoints',
            dict(low=0, high=1, scores=[0.1, 0.2], shares=[0.5, 1.5]),
            "'shares' are not from 0 to 1",
        ),
    ],
)
def test_other_files_are_refused(calibrations, tmp_path, method, path, value, message):
    file = tmp_path / 'calibration.json'
    calibrations[method].to_json(file)
    file.write_text(json.dumps(changed(json.loads(file.read_text()), path, value)))
    expected = f'{file} is no calibration: {message}'
    with pytest.raises(ValueError, match=f'^{re.escape(expected)}.*; expected a file that'):
        Calibration.from_json(file)


def test_a_list_or_no_json_is_refused(tmp_path):
    file = tmp_path / 'results.json'
    file.write_text('[]')
    with pytest.raises(ValueError, match=r'results.json is no calibration: it holds a list'):
        Calibration.from_json(file)
    file.write_text('{"version": 1')
    with pytest.raises(ValueError, match=r'results.json cannot be read as JSON'):
        Calibration.from_json(file)
    with pytest.raises(FileNotFoundError, match=r'missing.json'):
        Calibration.from_json(tmp_path / 'missing.json')


def test_what_nothing_can_be_fitted_on_is_named():
    gt, dt = dataset(20, anything, sharpen(2))
    with pytest.raises(ValueError, match="method='platt'; expected 'temperature' or 'isotonic'"):
        fit_calibration(gt, dt, sigmas=SIGMAS, method='platt')
    one = {name: values[dt['image_id'] == 3] for name, values in dt.items()}
    with pytest.raises(ValueError, match='one half of the images has no keypoint scores'):
        fit_calibration(gt, one, sigmas=SIGMAS)
    keypoints = dt['keypoints'].copy()
    keypoints[..., 2] = 1
    with pytest.raises(ValueError, match='all keypoint scores are 1: the predictions say nothing'):
        fit_calibration(gt, dict(dt, keypoints=keypoints), sigmas=SIGMAS)
    keypoints = dt['keypoints'].copy()
    keypoints[..., :2] = gt['annotations']['keypoints'][..., :2]
    with pytest.raises(ValueError, match=r'all 100 keypoint scores of one half .* are right'):
        fit_calibration(gt, dict(dt, keypoints=keypoints), sigmas=SIGMAS)
    keypoints[..., :2] += 1e5
    with pytest.raises(ValueError, match=r'all 100 keypoint scores of one half .* are wrong'):
        fit_calibration(gt, dict(dt, keypoints=keypoints), sigmas=SIGMAS)
