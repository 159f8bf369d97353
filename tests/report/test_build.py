"""A report holds what the functions say; its files are whole, and names are escaped."""

import json
import re
from itertools import pairwise

import cv2
import numpy as np
import pytest
from support.plausible_predictions import plausible_predictions
from support.report_data import kites, report_data

from hrnet_plugin.apis import evaluate_files
from hrnet_plugin.functional import (
    COCO_SIGMAS,
    breakdown,
    compare,
    diagnose_keypoints,
    evaluate_coco_keypoints,
    instance_reliability,
    keypoint_reliability,
)
from hrnet_plugin.functional.coco.arrays import read_annotations
from hrnet_plugin.report import ImageSource, Results, Skeleton, build_report
from hrnet_plugin.report.build import METRICS
from hrnet_plugin.report.gallery import Shown, choose
from hrnet_plugin.report.page import ERRORS
from hrnet_plugin.report.skeleton import drawing

RESAMPLES = 40


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return report_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def report(data):
    files = data.annotations, [data.worse, data.better]
    return evaluate_files(*files, images=data.images, resamples=RESAMPLES, gallery=25)


@pytest.fixture(scope='module')
def page(report):
    return report.html()


def test_the_ten_numbers_are_the_evaluations(report, data):
    for path, model, metrics in zip(
        (data.worse, data.better), report.content['models'], report.metrics
    ):
        result = evaluate_coco_keypoints(data.annotations, path)
        expected = [result[name] for name in METRICS.values()]
        assert list(metrics.values()) == expected
        assert list(metrics)[:4] == ['coco/AP', 'coco/AP .5', 'coco/AP .75', 'coco/AP (M)']
        assert model['detections'] == len(json.loads(path.read_text()))
    assert report.metrics[0]['coco/AP'] < report.metrics[1]['coco/AP']


def test_errors_and_their_costs_are_the_diagnosis(report, data):
    diagnosis = diagnose_keypoints(data.annotations, data.worse)
    written = report.content['models'][0]['diagnosis']
    assert written['keypoint_counts'] == diagnosis.counts.tolist()
    assert written['missed'] == diagnosis.missed.sum()
    assert written['background'] == diagnosis.background.sum()
    assert [step['step'] for step in written['costs']] == list(diagnosis.costs)
    for step, expected in zip(written['costs'], diagnosis.costs.values()):
        assert step['ap'] == expected.ap
        assert step['areas'] == [expected.auc50, expected.auc75, expected.auc85]
    curve = written['curves']['0.75'][0]
    np.testing.assert_allclose(curve, diagnosis.costs['predicted'].precision[1], atol=1e-4)
    rows = breakdown(diagnosis, data.annotations)
    assert len(report.content['models'][0]['breakdown']) == len(rows)
    for row, expected in zip(report.content['models'][0]['breakdown'], rows):
        assert (row['group'], row['counts']) == (expected.group, expected.counts.tolist())


def test_intervals_and_differences_are_the_comparison(report, data):
    files = data.annotations, data.worse, data.better
    compared = compare(*files, resamples=RESAMPLES)
    written = report.content['comparison']['metrics']
    assert list(written) == ['coco/AP', 'coco/AP .5', 'coco/AP .75', 'coco/AR']
    for name, row in zip(compared.difference, written.values()):
        difference = compared.difference[name]
        assert (row['value'], row['low']) == (difference.value, difference.low)
        assert row['more_than_chance'] == (difference.low > 0 or difference.high < 0)
    first = report.content['models'][0]['metrics']['coco/AR']
    assert (first['low'], first['high']) == (compared.a['AR'].low, compared.a['AR'].high)
    pair, row = report.content['changed'][0], compared.changed
    assert pair['a']['image_id'] == row.image_id[0]
    assert pair['change'] == pytest.approx(row.difference[0], abs=1e-4)


def test_calibration_is_that_of_the_other_half(report, data):
    written = report.content['models'][0]['calibration']
    for kind, function in (
        ('keypoints', keypoint_reliability),
        ('instances', instance_reliability),
    ):
        expected = function(data.annotations, data.worse)
        part = written[kind]
        assert part['predicted']['count'] == expected.count.tolist()
        assert part['predicted']['ece'] == expected.ece
        # Drawn is what the fit was tested on.
        assert part['calibrated']['ece'] == pytest.approx(part['fits']['isotonic']['ece_after'])
        assert sum(part['calibrated']['count']) == part['fits']['isotonic']['scores']


def test_the_gallery_has_each_kind_of_error_and_the_costliest(report, data):
    cards = report.content['gallery']
    diagnosis = diagnose_keypoints(data.annotations, data.worse)
    assert len(cards) == 25 < report.content['gallery_total']
    assert {error for card in cards for error in card['errors']} == {*ERRORS} - {'score'}
    assert [c['cost'] for c in cards] == sorted((c['cost'] for c in cards), reverse=True)
    missed = [c for c in cards if c['kind'] == 'missed' and c['model'] == 0]
    assert len(missed) == diagnosis.missed.sum()
    ids = [a['id'] for a in data.coco['annotations']]
    assert {c['annotation_id'] for c in missed} == {
        ids[g] for g in np.flatnonzero(diagnosis.missed)
    }
    for card in (c for c in cards if c['kind'] == 'matched' and c['model'] == 0):
        d = card['detection']
        assert card['codes'] == diagnosis.codes[d].tolist()
        assert card['oks'] == pytest.approx(diagnosis.oks[d], abs=1e-4)


def test_outlines_are_in_their_crops(report, data):
    """Undo the scaling of a crop: the annotated keypoints come back."""
    annotations = {a['id']: a for a in data.coco['annotations']}
    checked = 0
    for card in report.content['gallery']:
        for truth in card['truths']:
            points = np.reshape(annotations[card['annotation_id']]['keypoints'], (-1, 3))
            left, top, right, _ = card['box']
            scale = (right - left) / card['width']
            for place, (x, y, flag) in zip(truth, points):
                assert (place is not None) == (flag > 0)
                if place is not None:
                    assert np.allclose([left, top] + np.array(place) * scale, [x, y], atol=2)
                    checked += 1
    assert checked > 50


def test_crops_show_what_is_in_the_image(report, data):
    card = next(c for c in report.content['gallery'] if c['kind'] == 'matched')
    crop = cv2.imdecode(np.frombuffer(report.pictures[card['picture']], np.uint8), 1)
    image = cv2.imread(str(data.images / card['file']))
    left, top, right, bottom = map(int, card['box'])
    part = cv2.resize(
        image[top:bottom, left:right], crop.shape[1::-1], interpolation=cv2.INTER_AREA
    )
    assert np.abs(part.astype(int) - crop).mean() < 12
    assert max(map(len, report.pictures.values())) < 12_000


def test_json_is_strict_and_says_the_same(report, tmp_path):
    report.to_json(tmp_path / 'report.json')

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((tmp_path / 'report.json').read_text(), parse_constant=refuse)
    assert content == json.loads(json.dumps(report.content))
    assert content['format'] == 'hrnet_plugin.report'


def test_the_page_loads_nothing(page):
    assert re.findall(r'https?:', page) == []
    assert re.findall(r'(?:src|href)=["\'](?!#|data:)[^"\']*', page) == []
    assert re.findall(r'url\((?!#)[^)]*\)', page) == []
    assert '@import' not in page
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len({*ids})
    # Every pattern and clip path that a chart refers to is its own.
    assert {*re.findall(r'url\(#([^)]*)\)', page)} <= {*ids}


def test_every_chart_is_described_and_in_the_pages_colours(page):
    charts = re.findall(r'<svg class="chart"[^>]*>', page)
    assert len(charts) > 15
    assert all(re.search('role="img" aria-label="[^"]{20,}"', chart) for chart in charts)
    assert 'var(--miss)' in page
    assert '#0102' not in page


def test_the_first_screen_says_ap_and_the_costliest_error(page, report):
    head = page[page.index('<header>') : page.index('</header>')]
    words = re.sub(r'<[^>]*>|\s+', ' ', head)
    for metrics in report.metrics:
        assert f'{metrics["coco/AP"]:.3f}' in words
    assert '95% interval' in words
    steps = report.content['models'][0]['diagnosis']['costs']
    gains = {b['step']: b['ap'] - a['ap'] for a, b in pairwise(steps)}
    costliest = max(gains, key=gains.get)
    assert re.search(f'Costliest error of worse *{ERRORS[costliest][0]}', ' '.join(words.split()))


def test_names_are_escaped(tmp_path):
    annotations, results = kites(tmp_path)
    report = evaluate_files(annotations, results, resamples=0)
    page = report.html()
    for markup in ('<b>tip', '<img src=x>', '<i>0', '<script>alert'):
        assert markup not in page
    assert '&lt;b&gt;tip&lt;/b&gt;' in page
    assert 'left_$x$' in page  # not as a formula
    assert page.count('</script>') == 2
    assert any('no left and right' in note for note in report.content['notes']) is False
    assert report.content['skeleton']['flip_pairs'] == [[1, 2]]
    assert any('sigma' in note for note in report.content['notes'])


def test_without_images_it_says_so(data):
    report = evaluate_files(data.annotations, data.worse, resamples=0, gallery=4)
    assert report.pictures == {}
    assert len(report.content['gallery']) == 4
    assert 'No images' in report.html()


def test_missing_and_damaged_images_are_named(data, tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    names = [image['file_name'] for image in data.coco['images']]
    for name in names[2:]:
        (images / name).write_bytes((data.images / name).read_bytes())
    (images / names[0]).write_bytes((data.images / names[0]).read_bytes()[:200])
    report = evaluate_files(data.annotations, data.worse, images=images, resamples=0)
    problems = report.content['images']['problems']
    assert len(problems) == 2
    assert any(names[0] in p and 'damaged' in p for p in problems)
    assert any(names[1] in p and 'No such file' in p for p in problems)
    assert 'cannot be shown' in report.content['notes'][-1]
    without = {c['file'] for c in report.content['gallery'] if 'picture' not in c}
    assert without == {*names[:2]}


def test_a_former_report_stays_if_the_page_cannot_be_made(report, tmp_path, monkeypatch):
    (tmp_path / 'report.html').write_text('former')
    (tmp_path / 'report.json').write_text('former')
    monkeypatch.setattr(type(report), 'html', lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(tmp_path)
    assert (tmp_path / 'report.html').read_text() == 'former'
    assert (tmp_path / 'report.json').read_text() == 'former'


def test_no_predictions(data, tmp_path):
    (tmp_path / 'empty.json').write_text('[]')
    with pytest.warns(UserWarning, match='no predictions'):
        report = evaluate_files(data.annotations, tmp_path / 'empty.json', resamples=5)
    assert report.metrics[0]['coco/AP'] == 0
    assert any('no predictions' in note for note in report.content['notes'])
    kinds = {card['kind'] for card in report.content['gallery']}
    assert kinds == {'missed'}
    assert 'Scores were not calibrated' in report.html()


def test_predictions_of_few_images_are_noted(data, tmp_path):
    coco = data.coco
    some = [p for p in plausible_predictions(coco) if p['image_id'] == coco['images'][0]['id']]
    (tmp_path / 'some.json').write_text(json.dumps(some))
    report = evaluate_files(data.annotations, tmp_path / 'some.json', resamples=0)
    assert any('only 1 of the' in note for note in report.content['notes'])


def test_left_and_right_that_are_not_told_apart_are_noted(data, report, tmp_path):
    left, right = 15, 16
    predictions = json.loads(data.better.read_text())
    for prediction in predictions[::2]:
        points = np.reshape(prediction['keypoints'], (-1, 3))
        points[[left, right]] = points[[right, left]]
        prediction['keypoints'] = points.ravel().tolist()
    (tmp_path / 'coin.json').write_text(json.dumps(predictions))
    coin = evaluate_files(data.annotations, tmp_path / 'coin.json', resamples=0)
    [note] = [note for note in coin.content['notes'] if 'not told apart' in note]
    counts = np.array(coin.content['models'][0]['diagnosis']['keypoint_counts'])[[left, right]]
    share = counts[:, 2].sum() / counts.sum()
    assert 0.4 < share < 0.6
    assert f': left_ankle and right_ankle ({share:.0%} of {counts.sum()}) are exchanged.' in note
    assert not any('not told apart' in note for note in report.content['notes'])


def test_any_number_of_keypoints_without_names_or_links(tmp_path):
    annotations, results = kites(tmp_path)
    coco = json.loads(annotations.read_text())
    coco['categories'] = [dict(id=1, name='kite')]
    annotations.write_text(json.dumps(coco))
    report = evaluate_files(annotations, results, resamples=0)
    assert report.content['skeleton']['names'] == ['1', '2', '3', '4', '5']
    assert any('no inversions are found' in note for note in report.content['notes'])
    assert 'Errors by keypoint' in report.html()


def test_arrays_can_be_reported_too(data):
    annotations = read_annotations(str(data.annotations))
    skeleton = Skeleton(tuple(map(str, range(17))), COCO_SIGMAS)
    results = [Results('mine', 'memory', str(data.worse))]
    report = build_report(annotations, results, skeleton, resamples=0, gallery=0)
    assert report.metrics[0]['coco/AP'] > 0
    assert report.content['gallery'] == []
    with pytest.raises(ValueError, match='one or two sets of predictions, not 3'):
        build_report(annotations, results * 3, skeleton)


def test_images_are_found_in_subfolders_and_without_them(tmp_path):
    (tmp_path / 'sub').mkdir()
    for name in ('sub/a.jpg', 'b.jpg'):
        (tmp_path / name).write_bytes(b'')
    images = [
        dict(id=1, file_name='sub/a.jpg'),
        dict(id='2', file_name='elsewhere\\b.jpg'),
        dict(id=3),
    ]
    source = ImageSource.from_folder(tmp_path, images)
    assert source.paths == {1: tmp_path / 'sub/a.jpg', 2: tmp_path / 'b.jpg', 3: None}
    with pytest.raises(OSError, match=r'nowhere.* does not exist'):
        ImageSource.from_folder(tmp_path / 'nowhere', images)


def test_kinds_of_errors_take_turns():
    def shown(error, cost):
        return Shown(0, 'matched', (error,), 0, 0, 1, cost)

    frequent = [shown('jitter', 1.0) for _ in range(9)]
    rare = [shown('swap', 0.1), shown('swap', 0.2)]
    chosen = choose([*frequent, *rare], 4)
    assert [(each.errors[0], each.cost) for each in chosen] == [
        ('jitter', 1.0),
        ('jitter', 1.0),
        ('swap', 0.2),
        ('swap', 0.1),
    ]
    assert len(choose([*frequent, *rare], 100)) == 11


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (dict(sigmas=[0.1]), "no 'keypoint_info'"),
        (dict(keypoint_info={0: dict(name='a', id=0, swap='b')}, sigmas=[0.1]), "KeyError: 'b'"),
        (dict(keypoint_info={0: dict(name='a', id=0)}, sigmas=[0.1, 0.1]), '1 keypoints, but 2'),
        (
            dict(
                keypoint_info={0: dict(name='a', id=0)},
                skeleton_info={0: dict(link=('a', 'c'))},
                sigmas=[1],
            ),
            "KeyError: 'c'",
        ),
    ],
)
def test_metainfo_that_does_not_fit_together(info, message):
    with pytest.raises(ValueError, match=message):
        Skeleton.from_dataset_info(info, 'kite.py')


def test_metainfo_of_a_dataset_has_the_same_keypoints():
    info = dict(
        keypoint_info={
            0: dict(name='top', id=0, swap=''),
            1: dict(name='left', id=1, swap='right'),
            2: dict(name='right', id=2, swap='left'),
        },
        skeleton_info={0: dict(link=('top', 'left'), id=0)},
        sigmas=[0.1, 0.2, 0.2],
    )
    meta = dict(
        num_keypoints=3,
        keypoint_id2name={0: 'top', 1: 'left', 2: 'right'},
        skeleton_links=[(0, 1)],
        flip_indices=[0, 2, 1],
        sigmas=np.array([0.1, 0.2, 0.2]),
    )
    assert Skeleton.from_dataset_info(info) == Skeleton.from_dataset_meta(meta)
    assert Skeleton.from_dataset_info(info).flip_pairs == ((1, 2),)
    del meta['flip_indices']
    assert Skeleton.from_dataset_meta({**meta, 'flip_pairs': [[1, 2]]}).flip_pairs == ((1, 2),)


def test_a_drawing_is_upright_wherever_people_look():
    """People seen from behind, mirrored, do not make the drawing thin."""
    rng = np.random.default_rng(0)
    upright = np.array([[0.5, 0.0], [0.8, 0.4], [0.2, 0.4], [0.7, 1.0], [0.3, 1.0]])
    people = np.array(
        [
            np.c_[
                (upright - [0.5, 0]) * ([-1, 1] if n % 3 == 0 else [1, 1]) * rng.uniform(20, 90)
                + rng.uniform(0, 400, 2)
                + rng.normal(0, 0.5, (5, 2)),
                np.full(5, 2),
            ]
            for n in range(12)
        ]
    )
    people[:, 4, 2] = 0
    places = drawing(people, [(3, 4)])
    assert places.shape == (5, 2)
    assert places[0, 1] < places[1, 1] < places[3, 1]
    assert places[1, 0] - places[2, 0] > 0.3
    assert places[1, 0] > places[2, 0]  # as most people stand
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(5, dtype=bool)]
    assert distances.min() > 0.07
    assert np.isfinite(drawing(np.zeros((0, 4, 3)))).all()
