"""xtcocotools as installed against results of compiled 1.14.3, and what ours does otherwise.

Compiled xtcocotools passes these tests, too: ``OURS`` tells which one is installed.
"""

import contextlib
import copy
import io
import json
import shutil
import subprocess
import sys
import zipfile

import matplotlib.pyplot as plt
import numpy as np
import pytest
from mmpose.datasets.transforms import BottomupGetHeatmapMask
from packaging.specifiers import SpecifierSet
from support.make_xtcocotools_goldens import (
    FILE,
    MASK_SEEDS,
    NUMPY_1_NAME,
    SEEDS,
    SOURCE,
    interface,
)
from support.xtcocotools_mmpose import SETTINGS, dataset_digest, metric_results
from support.xtcocotools_scenes import (
    KINDS,
    coco_form,
    difference,
    evaluator,
    make_scene,
    mask_results,
    results,
)
from xtcocotools import mask
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval, NullWriter, Params
from xtcocotools.version import __version__, short_version

OURS = __version__.endswith('+pycocotools')
EXACT = ('there', 'dtIds', 'gtIds', 'dtMatches', 'gtMatches', 'dtIgnore', 'gtIgnore')


@pytest.fixture(autouse=True)
def numpy_name(monkeypatch):
    """What compiled xtcocotools looks for in numpy, so that its masks and boxes work at all."""
    if not OURS:
        monkeypatch.setattr(np, *NUMPY_1_NAME, raising=False)


@pytest.fixture(scope='module')
def goldens():
    arrays = dict(np.load(FILE))
    return arrays, json.loads(str(arrays.pop('about')))


def person(number=0, **more) -> dict:
    """An annotation; whose keypoints are 10 pixels apart."""
    points = np.c_[np.arange(17) * 10, np.arange(17) * 10, np.full(17, 2)]
    return dict(
        id=number, image_id=5, category_id=1, keypoints=points.ravel().tolist(),
        bbox=[0, 0, 160, 160], area=9000, iscrowd=0, num_keypoints=17, **more,
    )  # fmt: skip


def prediction(ann: dict, score=0.9, **more) -> dict:
    return dict(image_id=5, category_id=1, score=score, keypoints=ann['keypoints'], **more)


def in_memory(*anns: dict) -> COCO:
    coco = COCO()
    coco.dataset = coco_form([dict(id=5, crowdIndex=0.1)], list(anns), [1])
    coco.createIndex()
    return coco


def evaluate(gt: COCO, dets: list[dict], *options, **params) -> COCOeval:
    evaluation = COCOeval(gt, gt.loadRes(dets), *options)
    for name, value in params.items():
        setattr(evaluation.params, name, value)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


# Equal to compiled xtcocotools


@pytest.mark.parametrize('seed', range(SEEDS))
@pytest.mark.parametrize('kind', KINDS)
def test_evaluation(kind, seed, goldens, tmp_path):
    arrays, about = goldens
    scene, name = make_scene(kind, seed), f'{kind}/{seed}'
    assert scene.digest() == about['digests'][name], 'another scene than that of the goldens'
    found, printed = results(scene, tmp_path)
    for array, apart in difference(found, arrays[name]).items():
        assert apart <= (0 if array in EXACT else 1e-12), array
    assert printed == about['printed'][name]


@pytest.mark.parametrize('seed', range(MASK_SEEDS))
def test_masks(seed, goldens):
    found = mask_results(seed)
    assert max(difference(found, goldens[0][f'mask/{seed}']).values()) == 0


def test_interface(goldens):
    expected, found = goldens[1]['interface'], interface()
    assert len(expected) > 30
    assert found == expected
    assert short_version == '1.14.3'


def test_scenes_tell(goldens):
    """They have what evaluation must heed, and no few are neither perfect nor hopeless."""
    arrays, about = goldens
    assert sum(' =  0.' in text for text in about['printed'].values()) > 30
    assert sum(np.isnan(array).any() for array in arrays.values()) > 10
    anns = [a for k in KINDS for s in range(SEEDS) for a in make_scene(k, s).gt['annotations']]
    assert {a['iscrowd'] for a in anns if 'iscrowd' in a} == {0, 1}
    assert any(a['id'] == 0 for a in anns)
    assert any('iscrowd' not in a for a in anns)
    assert any(a.get('area') == 0 for a in anns)
    assert any(a.get('num_keypoints') == 0 for a in anns)


# Stock MMPose on top of it


@pytest.mark.parametrize('name', SETTINGS)
def test_metric(name, goldens, tmp_path):
    found, lines = metric_results(name, tmp_path)
    expected, expected_lines = goldens[1]['metrics'][name]
    assert found == pytest.approx(expected, rel=0, abs=1e-12)
    assert len(found) >= 9
    assert lines == expected_lines


@pytest.mark.parametrize('name', SETTINGS)
def test_dataset(name, goldens, tmp_path):
    assert dataset_digest(name, tmp_path) == goldens[1]['datasets'][name]


def test_mask_of_crowds():
    polygon = [2, 1, 8, 1, 8, 6, 2, 6]
    info = dict(segmentation=[polygon], num_keypoints=0, iscrowd=0)
    image = dict(img=np.zeros((10, 12, 3), np.uint8), input_size=(12, 10), img_shape=(10, 12))
    image.update(invalid_segs=[info['segmentation']], warp_mat=np.eye(2, 3), ori_shape=(10, 12))
    heat_mask = BottomupGetHeatmapMask().transform(image)['heatmap_mask']
    expected = np.ones((10, 12))
    expected[1:6, 2:8] = 0
    np.testing.assert_array_equal(heat_mask, expected)


# COCO


def test_annotations_by_filter():
    anns = [person(n) for n in range(4)]
    for ann, area, crowd in zip(anns, (10, 20, 30, 20), (0, 0, 1, 0)):
        ann.update(area=area, iscrowd=crowd)
    anns[3]['category_id'] = 2
    coco = in_memory(*anns)
    assert coco.getAnnIds(areaRng=[10, 30]) == [0, 1, 3]
    assert coco.getAnnIds(areaRng=[10, 30], iscrowd=False, catIds=1) == [0, 1]
    assert coco.getAnnIds(imgIds=5, iscrowd=True) == [2]
    assert coco.getAnnIds(imgIds=[6]) == []


def test_names_and_ids_may_be_strings():
    anns = [{**person(n), 'image_id': i, 'category_id': 'cat'} for n, i in enumerate(('a', 'ab'))]
    coco = COCO()
    coco.dataset = coco_form([dict(id='a'), dict(id='ab')], anns, [])
    names = ('class', 'as', 'cat')
    coco.dataset['categories'] = [dict(id=n, name=n, supercategory=f'{n}s') for n in names]
    coco.createIndex()
    assert coco.getCatIds('class') == ['class']  # 'as' is in 'class'
    assert coco.getCatIds(supNms='ass') == ['as']
    assert coco.getCatIds(catIds='cat') == ['cat']
    assert coco.getAnnIds(imgIds='ab') == [1]
    assert coco.getAnnIds(catIds='cat', imgIds='a') == [0]
    assert coco.getImgIds(imgIds='ab', catIds='cat') == ['ab']


@pytest.mark.parametrize('in_memory', [False, True])
def test_file(in_memory, tmp_path, capsys):
    anns = [person(0), person(1, iscrowd_missing=1)]
    del anns[1]['iscrowd']
    data, path = coco_form([dict(id=5)], anns, [1]), tmp_path / 'annotations.json'
    path.write_text(json.dumps(data))
    coco = COCO(str(path), [2, 0], data) if in_memory else COCO(str(path), test_index=[2, 0])
    assert coco.anno_file == [str(path)]
    assert coco.test_index == [2, 0]
    assert [ann['iscrowd'] for ann in coco.loadAnns([0, 1])] == [0, False]
    assert coco.loadAnns(1)[0]['keypoints'] == [20, 20, 2, 0, 0, 2]
    assert (coco.dataset is data) == in_memory
    coco.info()
    assert coco.getImgIds() == [5]


def test_results_by_file_list_array_and_content(tmp_path):
    coco, path = in_memory(person()), tmp_path / 'results.json'
    coco.dataset['images'][0].update(width=200, height=200)
    box = dict(image_id=5, category_id=1, score=0.5, bbox=[1, 2, 30, 40])
    path.write_text(json.dumps([box]))
    row = np.array([[5, 1, 2, 30, 40, 0.5, 1]])
    for given in (str(path), [dict(box)], row):
        loaded = coco.loadRes(given)
        assert type(loaded) is COCO
        (ann,) = loaded.loadAnns(loaded.getAnnIds())
        expected = dict(box, id=1, area=1200, iscrowd=0)
        assert {name: ann[name] for name in expected} == expected
        assert loaded.annToMask(ann).sum() == 1200
        assert loaded.anno_file == [None]
        assert loaded.getCatIds() == [1]
    assert coco.anno_file == [None, str(path)]
    assert coco.loadRes('no file', [prediction(person())]).anns[1]['area'] == 160**2
    with pytest.raises(AssertionError):
        coco.loadRes([dict(box, image_id=6)])
    with pytest.raises(AssertionError):
        coco.loadRes({})


@pytest.mark.parametrize('empty', [[], np.zeros((0, 7))])
def test_no_results(empty):
    coco = in_memory(person())
    loaded = coco.loadRes(empty)
    assert loaded.getAnnIds() == []
    assert loaded.getImgIds() == [5]
    stats = evaluate(coco, empty).stats
    np.testing.assert_array_equal(stats, [0, 0, 0, 0, -1] * 2)


def test_drawing():
    coco = in_memory(person())
    coco.dataset['categories'][0]['skeleton'] = [[1, 2]]
    coco.createIndex()
    plots = []
    box = dict(id=1, image_id=5, category_id=1, bbox=[10, 20, 30, 40])
    for anns in ([box], [person()], [person(segmentation=[[0, 0, 5, 0, 5, 5]])]):
        _, axes = plt.subplots()
        assert coco.showAnns(anns, draw_bbox=False) is None
        plots.append([[path.vertices for path in c.get_paths()] for c in axes.collections])
        assert len(axes.lines) == (3 if 'keypoints' in anns[0] else 0)
        plt.close()
    outline = [[10, 20], [10, 60], [40, 60], [40, 20], [10, 20]]
    for filled_or_not in plots[0]:
        np.testing.assert_array_equal(filled_or_not, [outline])
    assert [len(p[0]) for p in plots] == [1, 1, 1]
    assert plots[2][0][0].max() == 5
    assert 'segmentation' not in box
    assert coco.showAnns([]) == 0


# COCOeval


def test_defaults():
    evaluation = COCOeval()
    assert evaluation.params.iouType == 'keypoints'
    assert evaluation.params.maxDets == [20]
    assert evaluation.params.areaRngLbl == ['all', 'medium', 'large']
    assert evaluation.sigmas.shape == (17,)
    assert evaluation.sigmas[0] == pytest.approx(0.026)
    assert evaluation.score_key == 'score'
    assert evaluation.use_area is True
    assert len(evaluation.stats) == len(evaluation.ious) == 0
    with pytest.raises(Exception, match=r'accumulate\(\) first'):
        evaluation.summarize()
    assert Params().maxDets == [1, 10, 100]
    assert Params('keypoints_foot').recThrs.shape == (101,)
    NullWriter().write('nothing')
    NullWriter().flush()


def test_which_part_is_printed(tmp_path, capsys):
    evaluation = evaluator(make_scene('lefthand', 1), tmp_path)
    evaluation.evaluate()
    assert '*keypoints_lefthand*' in capsys.readouterr().out
    assert evaluation.score_key == 'lefthand_score'
    assert evaluation._paramsEval.iouType == evaluation.params.iouType == 'keypoints_lefthand'


def test_sigmas_set_later():
    gt, near = in_memory(person()), person()
    near['keypoints'] = [x + 8 * (n % 3 < 2) for n, x in enumerate(near['keypoints'])]
    evaluation = COCOeval(gt, gt.loadRes([prediction(near)]))
    evaluation.sigmas = np.full(17, 0.05)
    evaluation.evaluate()
    oks = np.exp(-(2 * 8**2) / 0.1**2 / 9000 / 2)
    assert evaluation.ious[5, 1].item() == pytest.approx(oks, abs=1e-12)


def test_missing_part_score_warns(tmp_path):
    with pytest.warns(UserWarning, match='foot_score'):
        evaluator(make_scene('foot', 0), tmp_path).evaluate()


def test_part_score_alone_is_enough(tmp_path):
    scene = make_scene('foot', 1)
    expected = evaluator(scene, tmp_path)
    for det in scene.dt:
        del det['score']
    found = evaluator(scene, tmp_path)
    for evaluation in (expected, found):
        evaluation.evaluate()
        evaluation.accumulate()
    np.testing.assert_array_equal(found.eval['scores'], expected.eval['scores'])
    assert found.eval['scores'].max() > 0


def test_unknown_type():
    with pytest.raises(Exception, match='not supported') as caught:
        COCOeval(iouType='boxes')
    if OURS:
        assert caught.type is ValueError
        assert "'boxes'" in str(caught.value)
        assert 'keypoints_foot' in str(caught.value)


@pytest.mark.parametrize(
    ('iou_type', 'missing'),
    [
        ('keypoints', 'keypoints'),
        ('keypoints', 'area'),
        ('keypoints_foot', 'foot_kpts'),
        ('keypoints_wholebody', 'face_kpts'),
        ('keypoints_crowd', 'num_keypoints'),
        ('keypoints', 'bbox'),
        ('keypoints', 'score'),
        ('bbox', 'score'),
    ],
)
def test_what_is_missing_is_named(iou_type, missing):
    gt = in_memory(person(3))
    dt = gt.loadRes([prediction(person())])
    for coco in (gt, dt):
        coco.dataset['annotations'][0].pop(missing, None)
        if 'whole' in iou_type:
            coco.dataset['annotations'][0]['foot_kpts'] = [0, 0, 2] * 6
    evaluation = COCOeval(gt, dt, iou_type)
    with pytest.raises(KeyError, match=missing) as caught:
        evaluation.evaluate()
    assert not OURS or 'annotation' in str(caught.value)
    assert not OURS or missing != 'area' or 'use_area=False' in str(caught.value)


# What ours does otherwise: README.md of the package lists it


@contextlib.contextmanager
def compiled_raises(*errors: type[Exception]):
    """That compiled xtcocotools fails here, and ours does not."""
    if OURS:
        yield
    else:
        with pytest.raises(errors):
            yield


def test_masks_with_numpy_2(monkeypatch):
    monkeypatch.delattr(np, NUMPY_1_NAME[0], raising=False)
    runs = mask.encode(np.asfortranarray(np.eye(3, dtype=np.uint8)))
    for function, expected in (
        (mask.area, 3),
        (mask.toBbox, [0, 0, 3, 3]),
        (mask.decode, np.eye(3)),
    ):
        with compiled_raises(AttributeError):
            np.testing.assert_array_equal(function(runs), expected)
    with compiled_raises(AttributeError):
        assert mask.iou([runs], [runs], [0]) == 1


def test_damaged_masks():
    damaged = dict(size=[2, 2], counts=mask.encode(np.ones((4, 4, 1), np.uint8, 'F'))[0]['counts'])
    if OURS:  # the compiled one writes beyond its memory
        with pytest.raises(ValueError, match='Invalid RLE'):
            mask.decode(damaged)
        with pytest.raises(AssertionError, match='same length'):
            mask.iou(np.ones((1, 4)), np.ones((2, 4)), [0])
    empty_run = mask.frPyObjects(dict(size=[4, 4], counts=[1, 0, 4, 2, 9]), 4, 4)
    box = mask.toBbox(empty_run).tolist()
    assert (box == [1, 1, 1, 2]) == OURS


def test_content_without_file():
    coco = COCO(ann_data=coco_form([dict(id=5)], [person()], [1]))
    assert len(coco.anns) == (1 if OURS else 0)
    if OURS:
        with pytest.raises(TypeError, match='list'):
            COCO(ann_data=[person()])


def test_empty_results_have_categories():
    with compiled_raises(KeyError):
        assert in_memory(person()).loadRes([]).getCatIds() == [1]


@pytest.mark.parametrize('kind', ['foot', 'segm'])
def test_annotations_stay_as_they_are(kind, tmp_path):
    evaluation = evaluator(make_scene(kind, 0), tmp_path)
    before = copy.deepcopy([evaluation.cocoGt.dataset, evaluation.cocoDt.dataset])
    with (
        pytest.warns(UserWarning, match='foot_score')
        if kind == 'foot'
        else contextlib.nullcontext()
    ):
        evaluation.evaluate()
    after = [evaluation.cocoGt.dataset, evaluation.cocoDt.dataset]
    assert (str(after) == str(before)) == OURS  # NaN is not equal to itself


def test_crowd_summary_keeps_the_evaluation_of_all_images(tmp_path):
    evaluation = evaluator(make_scene('crowd', 0), tmp_path)
    evaluation.evaluate()
    evaluation.accumulate()
    everything, images = evaluation.eval['precision'].copy(), list(evaluation.params.imgIds)
    evaluation.summarize()
    stats = evaluation.stats
    assert (evaluation.params.imgIds == images) == OURS
    assert (len(evaluation.evalImgs) == 3 * len(images)) == OURS
    assert np.array_equal(evaluation.eval['precision'], everything) == OURS
    evaluation.summarize()
    assert np.array_equal(evaluation.stats, stats) == OURS


def test_crowd_in_memory():
    gt = in_memory(person())
    with compiled_raises(TypeError):
        evaluation = evaluate(gt, [prediction(person())], 'keypoints_crowd')
        assert evaluation.stats == pytest.approx([1] * 7 + [-1] * 2)


def test_crowding_must_be_known():
    gt = in_memory(person())
    del gt.imgs[5]['crowdIndex']
    with pytest.raises(KeyError if OURS else TypeError) as caught:
        evaluate(gt, [prediction(person())], 'keypoints_crowd')
    assert not OURS or 'image 5' in str(caught.value)


def test_no_crowd_flag_is_no_crowd():
    ann = person()
    del ann['iscrowd']
    with compiled_raises(KeyError):
        assert evaluate(in_memory(ann), [prediction(ann)]).stats[0] == pytest.approx(1)


@pytest.mark.parametrize('count', [1, 14])
def test_other_count_of_keypoints_needs_sigmas(count):
    ann = person()
    ann['keypoints'] = ann['keypoints'][: 3 * count]
    with pytest.raises((ValueError, IndexError)) as caught:
        evaluate(in_memory(ann), [prediction(ann)])
    assert not OURS or f'{count} keypoints, but there are 17 sigmas' in str(caught.value)
    assert evaluate(in_memory(ann), []).stats[0] == 0  # nothing to compare


def test_sigmas_may_be_a_list():
    with compiled_raises(TypeError):
        sigmas = [0.1] * 17
        evaluation = evaluate(in_memory(person()), [prediction(person())], 'keypoints', sigmas)
        assert evaluation.stats[0] == pytest.approx(1)


@pytest.mark.parametrize('iou_type', [None, ''])
def test_no_type_is_keypoints(iou_type):
    with compiled_raises(Exception):
        assert COCOeval(iouType=iou_type).params.iouType == 'keypoints'


def test_unknown_part_warns():
    def make():
        return COCOeval(iouType='keypoints_left_hand')

    if OURS:
        with pytest.warns(UserWarning, match='keypoints_lefthand'):
            assert make().params.iouType == 'keypoints_left_hand'
    else:
        assert make().params.iouType == 'keypoints_left_hand'


@pytest.mark.parametrize('number', [-1, -7])
def test_negative_ids(number):
    ann = person(number)
    if OURS:
        with pytest.raises(ValueError, match=f'annotation {number} of image 5'):
            evaluate(in_memory(ann), [prediction(ann)])
    else:
        assert evaluate(in_memory(ann), [prediction(ann)]).stats[0] == 0  # a perfect prediction


def test_text():
    evaluation = evaluate(in_memory(person()), [prediction(person())])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    with compiled_raises(TypeError):
        assert f'{evaluation!s}\n' == printed.getvalue()
    assert printed.getvalue().count('\n') == 10


def test_one_id_of_text():
    coco = in_memory(person())
    coco.imgs['ab'] = dict(id='ab')
    if OURS:
        with pytest.raises(KeyError):
            coco.loadImgs('ab')
    else:
        assert coco.loadImgs('ab') is None


def test_annotations_of_pycocotools():
    import pycocotools.coco

    gt = pycocotools.coco.COCO()
    gt.dataset = in_memory(person()).dataset
    gt.createIndex()
    with compiled_raises(AttributeError):
        assert evaluate(gt, [prediction(person())]).stats[0] == pytest.approx(1)


# The distribution


def test_wheel(tmp_path):
    project = tmp_path / 'project'
    shutil.copytree(SOURCE.parent, project, ignore=shutil.ignore_patterns('build', '*.egg-info'))
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
    subprocess.run([*command, '--no-index', '-q', '-w', tmp_path, project], check=True)
    (wheel,) = tmp_path.glob('*.whl')
    assert wheel.name == 'xtcocotools-1.14.3+pycocotools-py3-none-any.whl'
    assert '1.14.3+pycocotools' in SpecifierSet('==1.14.3')
    names = zipfile.ZipFile(wheel).namelist()
    source = {f'xtcocotools/{path.name}' for path in (SOURCE / 'xtcocotools').iterdir()}
    source -= {'xtcocotools/__pycache__'}
    assert {name for name in names if 'dist-info' not in name} == source
    assert 'xtcocotools/py.typed' in source
