"""``OKSMetric`` against stock ``CocoMetric`` on the same data samples, and its own promises."""

import copy
import json
import warnings

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from mmpose.datasets import CocoDataset
from mmpose.datasets.transforms import GetBBoxCenterScale, PackPoseInputs
from mmpose.evaluation.metrics import CocoMetric
from mmpose.structures import PoseDataSample
from support.two_processes import evaluate_in_two_processes

from hrnet_plugin.evaluation import OKSMetric
from hrnet_plugin.functional import (
    COCO_SIGMAS,
    evaluate_coco_keypoints,
    evaluate_each_keypoint,
)

META = dict(
    dataset_name='fake',
    num_keypoints=17,
    sigmas=np.array(COCO_SIGMAS, np.float32),
    CLASSES=[dict(id=1, name='person')],
)
STOCK_NAMES = ['AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)']
STOCK_NAMES += [name.replace('AP', 'AR') for name in STOCK_NAMES]


def make_annotations(seed=0, images=12):
    """People in COCO format, a few of them crowds or without keypoints, one image empty."""
    rng = np.random.default_rng(seed)
    anns = []
    for image in range(images - 1):
        for _ in range(rng.integers(1, 5)):
            size = rng.uniform(30, 200, 2)
            points = rng.uniform(0, 200, 2) + size * rng.random((17, 2))
            visible = rng.integers(0, 3, 17) * (rng.random() > 0.1)
            anns.append(
                dict(
                    id=len(anns) + 1,
                    image_id=image + 1,
                    category_id=1,
                    keypoints=np.c_[points, visible].ravel().round(2).tolist(),
                    num_keypoints=int((visible > 0).sum()),
                    bbox=[*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()],
                    area=float(size.prod() * rng.uniform(0.3, 0.8)),
                    iscrowd=int(rng.random() < 0.1),
                )
            )
    return dict(
        info={},
        images=[dict(id=n + 1, width=400, height=400) for n in range(images)],
        annotations=anns,
        categories=[dict(id=1, name='person')],
    )


def make_sample(ann, sample_id, rng, noise=0.05):
    """Return a top-down model's sample of one box: float32, as MMPose packs it."""
    points = np.reshape(ann['keypoints'], (17, 3))[:, :2]
    predicted = points + noise * np.sqrt(ann['area']) * rng.normal(size=(17, 2))
    box = np.array(ann['bbox'])
    corners = np.r_[box[:2], box[:2] + box[2:]][None].astype(np.float32)
    return dict(
        id=sample_id,
        img_id=ann['image_id'],
        ori_shape=(400, 400),
        gt_instances=dict(bboxes=corners, bbox_scales=(1.25 * box[None, 2:]).astype(np.float32)),
        pred_instances=dict(
            keypoints=predicted[None].astype(np.float32),
            keypoint_scores=rng.uniform(0, 1, (1, 17)).astype(np.float32),
            bboxes=corners,
        ),
    )


def ground_truth_samples(gt, seed=0):
    """Return samples as MMPose's datasets do without ``bbox_file``: one per labelled instance."""
    rng = np.random.default_rng(seed)
    samples = []
    for ann in gt['annotations']:
        if ann['num_keypoints'] and not ann['iscrowd']:
            sample = make_sample(ann, ann['id'], rng, noise=rng.choice([0.01, 0.05, 0.1]))
            sample['category_id'] = np.array(ann['category_id'])
            sample['gt_instances']['bbox_scores'] = np.ones(1, np.float32)
            sample['raw_ann_info'] = ann
            samples.append(sample)
    return samples


def detected_samples(gt, seed=0):
    """Return samples as with ``bbox_file``: several scored boxes for some instances."""
    rng = np.random.default_rng(seed)
    samples = []
    for ann in gt['annotations']:
        for _ in range(rng.integers(0, 4)):
            sample = make_sample(ann, len(samples), rng, noise=rng.choice([0.01, 0.05, 1]))
            scores = rng.choice([0.5, rng.random()], 1).astype(np.float32)
            sample['gt_instances']['bbox_scores'] = scores
            if rng.random() < 0.1:
                sample['pred_instances']['keypoint_scores'] *= 0
            samples.append(sample)
    return [samples[n] for n in rng.permutation(len(samples))]


def evaluate(metric, samples, batch=4, meta=META):
    """Evaluate by MMEngine's evaluator, whose samples are PoseDataSamples, in batches."""
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = copy.deepcopy(meta)
    for start in range(0, len(samples), batch):
        evaluator.process([as_pose_data_sample(s) for s in samples[start : start + batch]])
    return evaluator.evaluate(len(samples))


def as_pose_data_sample(sample):
    sample = copy.deepcopy(sample)
    instances = {k: sample.pop(k) for k in ('gt_instances', 'pred_instances') if k in sample}
    result = PoseDataSample(metainfo=sample)
    for name, values in instances.items():
        setattr(result, name, InstanceData(**values))
    return result


@pytest.fixture
def gt():
    return make_annotations()


@pytest.fixture
def ann_file(gt, tmp_path):
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(gt))
    return str(path)


def assert_same(ours, theirs):
    assert list(ours) == list(theirs) == [f'coco/{name}' for name in STOCK_NAMES]
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('score_mode', 'nms_mode'),
    [
        ('bbox', 'oks_nms'),
        ('bbox_keypoint', 'oks_nms'),
        ('bbox_rle', 'soft_oks_nms'),
        ('keypoint', 'none'),
    ],
)
@pytest.mark.parametrize('make_samples', [ground_truth_samples, detected_samples])
def test_equals_stock(make_samples, score_mode, nms_mode, ann_file, gt):
    samples = make_samples(gt)
    modes = dict(ann_file=ann_file, score_mode=score_mode, nms_mode=nms_mode, nms_thr=0.7)
    ours, theirs = (evaluate(metric(**modes), samples) for metric in (OKSMetric, CocoMetric))
    assert_same(ours, theirs)
    assert 0.1 < ours['coco/AP'] < 0.95


def test_modes_differ(ann_file, gt):
    """Otherwise the comparison above would compare one mode with itself."""
    samples = detected_samples(gt)
    modes = [dict(score_mode=mode) for mode in ('bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint')]
    modes += [dict(nms_mode='soft_oks_nms'), dict(nms_mode='none'), dict(nms_thr=0.3)]
    modes += [dict(keypoint_score_thr=0.6), dict(use_area=False)]
    values = [tuple(evaluate(OKSMetric(ann_file, **m), samples).values()) for m in modes]
    # Soft suppression only orders, and of no more than 20 in an image: as none here.
    assert values[4] == values[5]
    assert len(set(values)) == len(modes) - 1


@pytest.mark.parametrize('use_area', [True, False])
@pytest.mark.parametrize('threshold', [0.0, 0.5])
def test_equals_stock_with_other_options(use_area, threshold, ann_file, gt):
    options = dict(ann_file=ann_file, use_area=use_area, keypoint_score_thr=threshold)
    samples = detected_samples(gt, seed=1)
    assert_same(*(evaluate(m(**options), samples) for m in (OKSMetric, CocoMetric)))


@pytest.mark.parametrize(
    'drop', [('bboxes', 'pred'), ('bbox_scales', 'gt'), ('bbox_scores', 'gt')]
)
def test_equals_stock_without_boxes(drop, ann_file, gt):
    """Areas and scores then come from the keypoints, or are 1."""
    name, where = drop
    samples = detected_samples(gt)
    for sample in samples:
        del sample[f'{where}_instances'][name]
    assert_same(*(evaluate(m(ann_file), samples) for m in (OKSMetric, CocoMetric)))


def test_equals_stock_with_scores_of_a_one_stage_model(ann_file, gt):
    samples = detected_samples(gt)
    for sample in samples:
        scores = sample['gt_instances'].pop('bbox_scores')
        sample['pred_instances']['bbox_scores'] = 1 - scores
    assert_same(*(evaluate(m(ann_file), samples) for m in (OKSMetric, CocoMetric)))


def bottom_up_samples(gt):
    """Return one sample per image, with the ids and annotations of all its instances in lists."""
    samples = []
    for image in gt['images']:
        anns = [a for a in gt['annotations'] if a['image_id'] == image['id']]
        rng = np.random.default_rng(image['id'])
        instances = [make_sample(a, 0, rng)['pred_instances'] for a in anns]
        empty = dict(keypoints=np.zeros((0, 17, 2)), keypoint_scores=np.zeros((0, 17)))
        names = ('keypoints', 'keypoint_scores')
        pred = {n: np.concatenate([i[n] for i in instances]) for n in names} if anns else empty
        more = dict(id=[a['id'] for a in anns], raw_ann_info=anns or None, ori_shape=(400, 400))
        samples.append(dict(img_id=image['id'], pred_instances=pred, gt_instances={}, **more))
    return samples


@pytest.mark.parametrize('make_samples', [ground_truth_samples, bottom_up_samples])
def test_equals_stock_without_annotation_file(make_samples, gt):
    samples = make_samples(gt)
    assert_same(*(evaluate(m(), samples) for m in (OKSMetric, CocoMetric)))


def test_takes_the_annotations_that_the_dataset_announces(ann_file, gt):
    MessageHub.get_current_instance().update_info('announced_ann_file', ann_file)
    meta, samples = dict(META, dataset_name='announced'), ground_truth_samples(gt)
    for sample in samples:
        del sample['raw_ann_info']
    assert_same(*(evaluate(m(), samples, meta=meta) for m in (OKSMetric, CocoMetric)))


@pytest.mark.parametrize('with_file', [True, False])
@pytest.mark.parametrize('batch', [1, 7, 32])
def test_promise_4_batches_and_duplicates_change_nothing(batch, with_file, ann_file, gt):
    """A sampler that pads repeats the first samples; the order is that of the processes."""
    samples = ground_truth_samples(gt)
    metric = OKSMetric(ann_file if with_file else None)
    expected = evaluate(metric, samples, batch=len(samples))
    padded = samples[::2] + samples[1::2] + samples[:5]
    assert evaluate(metric, padded, batch=batch) == expected


def test_promise_4_one_or_two_processes(ann_file, gt, tmp_path):
    """Any batch; ids as numbers or strings; one person or several a sample; errors reach all."""
    top_down, detected = ground_truth_samples(gt), detected_samples(gt)
    as_text = ground_truth_samples(renamed(gt, lambda n: f'{n:012d}', str))
    broken = [*detected[1:], dict(detected[0], img_id=10**6)]
    with_file, without_file = dict(ann_file=ann_file), {}
    cases = [
        dict(options=options, samples=samples, batch=batch, meta=META)
        for options, samples, batch in [
            (with_file, detected[:35], 1),
            (with_file, detected[:35], 7),
            (with_file | dict(per_keypoint=True), detected, 32),
            (with_file | dict(collect_device='gpu'), detected, 32),
            (without_file, top_down, 7),
            (without_file, as_text, 7),
            (without_file, bottom_up_samples(gt), 3),
            (with_file, top_down[:1], 7),  # nothing for the second process
            (with_file, broken, 7),
        ]
    ]
    assert {len(case['samples']) % 2 for case in cases} == {0, 1}, 'nothing is padded'
    first, second = evaluate_in_two_processes(cases, tmp_path)
    for case, ours, others in list(zip(cases, first, second))[:-1]:
        metric = OKSMetric(**case['options'])
        expected = evaluate(metric, case['samples'], batch=len(case['samples']))
        assert ours == others == expected
    assert first[0]['coco/AP'] > 0.1
    assert 'image 1000000 of the predictions' in first[-1]
    assert second[-1] == f'evaluation failed in the main process: {first[-1]}'


def test_padded_images_of_several_instances_count_once(ann_file, gt):
    samples = bottom_up_samples(gt)
    metric = OKSMetric(ann_file, nms_mode='none')
    assert evaluate(metric, samples + samples[:5]) == evaluate(metric, samples)


def test_the_first_of_duplicates_counts(ann_file, gt):
    samples = ground_truth_samples(gt)
    again = ground_truth_samples(gt, seed=5)
    expected = evaluate(OKSMetric(ann_file), samples)
    assert evaluate(OKSMetric(ann_file), again) != expected
    for metric in (OKSMetric, CocoMetric):
        assert_same(evaluate(metric(ann_file), samples + again), expected)


def test_an_annotation_that_comes_with_two_samples_counts_once(gt):
    samples = ground_truth_samples(gt)
    for sample in samples:
        points = np.reshape(sample['raw_ann_info']['keypoints'], (1, 17, 3))[..., :2]
        sample['pred_instances']['keypoints'] = points
    again = [dict(sample, id=sample['id'] + 1000) for sample in samples]
    assert evaluate(OKSMetric(), samples + again)['coco/AP'] == pytest.approx(1)


def test_boxes_of_annotations_count_only_if_as_many(ann_file, gt):
    """A bottom-up model may predict more instances, or fewer, than are annotated."""
    samples = bottom_up_samples(gt)
    expected = evaluate(OKSMetric(ann_file), samples)
    for sample in samples:
        count = len(sample['pred_instances']['keypoints']) + 1
        boxes = dict(bbox_scores=np.full(count, 0.5), bbox_scales=np.full((count, 2), 9.0))
        sample['gt_instances'] = boxes
    assert evaluate(OKSMetric(ann_file), samples) == expected


def test_labelled_keypoints_are_counted(gt, tmp_path):
    for ann in gt['annotations'][::2]:
        ann['num_keypoints'] = 0
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(gt))
    samples = ground_truth_samples(make_annotations())
    assert_same(*(evaluate(m(str(path)), samples) for m in (OKSMetric, CocoMetric)))


def renamed(gt, image_id, ann_id):
    """The same annotations under other ids."""
    gt = copy.deepcopy(gt)
    for image in gt['images']:
        image['id'] = image_id(image['id'])
    for ann in gt['annotations']:
        ann.update(id=ann_id(ann['id']), image_id=image_id(ann['image_id']))
    return gt


@pytest.mark.parametrize('with_file', [True, False])
@pytest.mark.parametrize(
    'new_id',
    [
        lambda n: n - 1,
        lambda n: 9_000_000_000 + n,
        lambda n: f'{n:012d}',
        str,
        np.int64,
    ],
    ids=['zero', 'ten digits', 'padded digits', 'digits', 'numpy'],
)
def test_promise_3_ids_do_not_change_a_score(new_id, with_file, gt, tmp_path):
    """Perfect predictions give AP 1, and others the same AP as ever."""
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(renamed(gt, new_id, new_id), default=int))
    metric = OKSMetric(str(path) if with_file else None)

    samples = ground_truth_samples(renamed(gt, new_id, new_id))
    expected = evaluate(OKSMetric(), ground_truth_samples(gt))
    if with_file:
        (tmp_path / 'usual.json').write_text(json.dumps(gt))
        usual = OKSMetric(str(tmp_path / 'usual.json'))
        expected = evaluate(usual, ground_truth_samples(gt))
    assert evaluate(metric, samples) == pytest.approx(expected)
    for sample in samples:
        points = np.reshape(sample['raw_ann_info']['keypoints'], (1, 17, 3))[..., :2]
        sample['pred_instances']['keypoints'] = points
    perfect = evaluate(metric, samples)
    assert perfect['coco/AP'] == pytest.approx(1)
    assert perfect['coco/AR'] == pytest.approx(1)


@pytest.mark.parametrize('damage', ['missing', 'zero', 'negative', 'none'])
@pytest.mark.parametrize('with_file', [True, False])
def test_promise_1_unusable_areas_fall_back_to_the_boxes(damage, with_file, gt, tmp_path):
    expected = evaluate(OKSMetric(use_area=False), ground_truth_samples(gt))
    for ann in gt['annotations']:
        ann.pop('area') if damage == 'missing' else ann.update(
            area=dict(zero=0, negative=-1, none=None)[damage]
        )
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(gt))
    if with_file:
        intact = make_annotations()
        (tmp_path / 'intact.json').write_text(json.dumps(intact))
        boxes = OKSMetric(str(tmp_path / 'intact.json'), use_area=False)
        expected = evaluate(boxes, ground_truth_samples(intact))
    samples = ground_truth_samples(make_annotations())
    for sample in samples:
        sample['raw_ann_info'] = gt['annotations'][sample['id'] - 1]
    with pytest.warns(UserWarning, match='no usable area') as warned:
        ours = evaluate(OKSMetric(str(path) if with_file else None), samples)
    assert ours == expected
    assert len([w for w in warned if 'area' in str(w.message)]) == 1


@pytest.mark.parametrize(
    'options', [dict(per_keypoint=True), dict(iou_type='keypoints_crowd')], ids=str
)
def test_promise_1_warns_once_of_areas(options, crowded):
    metric = OKSMetric(crowded, **options)
    with pytest.warns(UserWarning, match='no usable area') as warned:
        evaluate(metric, detected_samples(make_annotations()))
    assert len([w for w in warned if 'area' in str(w.message)]) == 1


@pytest.mark.parametrize('with_file', [True, False])
def test_promise_5_no_predictions_is_zero_and_a_warning(with_file, ann_file):
    metric = OKSMetric(ann_file if with_file else None)
    with pytest.warns(UserWarning, match='no predictions'):
        ours = evaluate(metric, [])
    assert list(ours) == [f'coco/{name}' for name in STOCK_NAMES]
    assert ours['coco/AP'] == ours['coco/AR'] == 0


@pytest.mark.parametrize('shape', [(0, 17, 2), (0, 0, 2), (0,)])
@pytest.mark.parametrize('score_mode', ['bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint'])
def test_promise_5_nobody_is_found_anywhere(shape, score_mode, ann_file, gt):
    """Without instances, models return keypoints of various shapes."""
    none = dict(
        keypoints=np.zeros(shape), keypoint_scores=np.zeros(shape[:2]), bboxes=np.zeros(shape[:1])
    )
    samples = [
        dict(id=image['id'], img_id=image['id'], ori_shape=(400, 400), pred_instances=none)
        for image in gt['images']
    ]
    metric = OKSMetric(ann_file, score_mode=score_mode)
    metric.dataset_meta = META
    metric.process(None, samples)
    with pytest.warns(UserWarning, match='no predictions'):
        assert metric.evaluate(len(samples))['coco/AP'] == 0
    metric.process(None, [*samples[1:], *ground_truth_samples(gt)[:1]])
    assert metric.evaluate(len(samples))['coco/AP'] > 0


def test_promise_6_other_skeletons_and_categories(tmp_path, gt):
    """Four keypoints, category 5: detected boxes come without a category."""
    for ann in gt['annotations']:
        ann.update(keypoints=ann['keypoints'][:12], category_id=5)
    gt['categories'] = [dict(id=5, name='horse')]
    samples = detected_samples(make_annotations())
    for sample in samples:
        pred = sample['pred_instances']
        pred.update({name: pred[name][:, :4] for name in ('keypoints', 'keypoint_scores')})
    path = tmp_path / 'horses.json'
    path.write_text(json.dumps(gt))
    meta = dict(dataset_name='horses', num_keypoints=4, sigmas=[0.05] * 4)
    assert 0.1 < evaluate(OKSMetric(str(path)), samples, meta=meta)['coco/AP'] < 0.9


class Predictor:
    """A model that knows the truth: it predicts the same for equal boxes."""

    def __init__(self, gt):
        self.anns = {tuple(np.round(ann['bbox'], 3)): ann for ann in gt['annotations']}

    def __call__(self, sample):
        sample = sample.to_dict()
        del sample['gt_instance_labels']
        corners = sample['gt_instances']['bboxes'][0]
        key = tuple(np.round([*corners[:2], *(corners[2:] - corners[:2])], 3).astype(float))
        ann = min(self.anns.items(), key=lambda item: np.abs(np.subtract(item[0], key)).max())[1]
        made = make_sample(ann, sample['id'], np.random.default_rng(ann['id']))
        return sample | dict(pred_instances=made['pred_instances'])


@pytest.mark.filterwarnings('ignore:The metainfo config file')
def test_promise_2_boxes_of_a_file_score_as_the_ground_truth(gt, tmp_path):
    """MMPose's dataset gives the samples, with annotated boxes or with the same from a file."""
    for ann in gt['annotations']:
        ann['bbox'] = [round(value, 2) for value in ann['bbox']]
    for image in gt['images']:
        image.update(width=800, height=800, file_name='none.jpg')
    used = [ann for ann in gt['annotations'] if ann['num_keypoints'] and not ann['iscrowd']]
    names = ('image_id', 'category_id', 'bbox')
    boxes = [{name: ann[name] for name in names} | dict(score=1.0) for ann in used]
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    no_image = np.zeros((8, 8, 3), np.uint8)
    pack = PackPoseInputs(meta_keys=('id', 'img_id', 'category_id', 'raw_ann_info'))
    values = []
    for bbox_file in (None, str(tmp_path / 'boxes.json')):
        data = CocoDataset(
            ann_file=str(tmp_path / 'gt.json'),
            bbox_file=bbox_file,
            test_mode=True,
            pipeline=[GetBBoxCenterScale(), lambda r: r | dict(img=no_image), pack],
        )
        predict = Predictor(gt)
        samples = [
            predict(item['data_samples']) for item in map(data.__getitem__, range(len(data)))
        ]
        assert len(samples) == len(used)
        metric = OKSMetric(str(tmp_path / 'gt.json'))
        values.append(evaluate(metric, samples, meta=data.metainfo))
    assert values[0] == values[1]
    assert 0.1 < values[0]['coco/AP'] < 0.95


CROWD_NAMES = ['AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75', 'AP(E)', 'AP(M)', 'AP(H)']


@pytest.fixture
def crowded(gt, tmp_path):
    """Images with a crowd index, on the limits too; areas as in CrowdPose: none."""
    indices = np.random.default_rng(0).choice([0, 0.1, 0.2, 0.5, 0.8, 1], len(gt['images']))
    for image, index in zip(gt['images'], indices):
        image['crowdIndex'] = float(index)
    for ann in gt['annotations']:
        del ann['area']
    for ann in gt['annotations'][::5]:
        ann['num_keypoints'] = 0  # believed here, unlike elsewhere
    path = tmp_path / 'crowded.json'
    path.write_text(json.dumps(gt))
    return str(path)


def test_equals_stock_on_crowds(crowded):
    """Stock rounds the last three to four places."""
    options = dict(
        ann_file=crowded, iou_type='keypoints_crowd', use_area=False, prefix='crowdpose'
    )
    samples = detected_samples(make_annotations())
    ours, theirs = (evaluate(metric(**options), samples) for metric in (OKSMetric, CocoMetric))
    assert list(ours) == list(theirs) == [f'crowdpose/{name}' for name in CROWD_NAMES]
    ours, theirs = list(ours.values()), list(theirs.values())
    np.testing.assert_allclose(ours[:6], theirs[:6], rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours[6:], theirs[6:], rtol=0, atol=5.1e-5)
    assert len({*ours[6:]}) == 3
    usual = evaluate(OKSMetric(ann_file=crowded, use_area=False), samples)
    assert usual['coco/AP'] != ours[0]


def test_crowds_with_other_sigmas_and_per_keypoint(crowded):
    samples = detected_samples(make_annotations())
    options = dict(iou_type='keypoints_crowd', use_area=False)
    usual = evaluate(OKSMetric(crowded, **options), samples)
    wide = dict(META, sigmas=3 * META['sigmas'])
    others = evaluate(OKSMetric(crowded, **options), samples, meta=wide)
    assert all(others[name] > usual[name] for name in ('coco/AP(E)', 'coco/AP(M)', 'coco/AP(H)'))
    each = evaluate(OKSMetric(crowded, per_keypoint=True, **options), samples)
    assert {name: each[name] for name in usual} == usual
    assert len(each) == len(usual) + 1 + 3 * 17


def test_crowd_index_of_samples(crowded, gt):
    samples = ground_truth_samples(make_annotations())
    index = {image['id']: image['crowdIndex'] for image in gt['images']}
    anns = {ann['id']: ann for ann in gt['annotations']}
    for sample in samples:
        sample['crowd_index'] = index[sample['img_id']]
        sample['raw_ann_info'] = anns[sample['id']]
    options = dict(iou_type='keypoints_crowd', use_area=False)
    expected = evaluate(OKSMetric(crowded, **options), samples)
    # An annotation that no sample came for is not known to the other.
    missing = {ann['id'] for ann in gt['annotations']} - {sample['id'] for sample in samples}
    for ann in gt['annotations']:
        if ann['id'] in missing:
            samples[0].setdefault('others', []).append(ann)
    samples[0]['raw_ann_info'] = [samples[0]['raw_ann_info'], *samples[0].pop('others')]
    assert evaluate(OKSMetric(**options), samples) == pytest.approx(expected)
    del samples[3]['crowd_index']
    with pytest.raises(ValueError, match='no `crowd_index`'):
        evaluate(OKSMetric(**options), samples)


def test_refuses_crowds_without_crowd_index(ann_file):
    with pytest.raises(ValueError, match="without a 'crowdIndex', a number"):
        OKSMetric(ann_file, iou_type='keypoints_crowd')


def test_promise_7_per_keypoint(ann_file, gt):
    meta = dict(META, keypoint_id2name={0: 'nose', 16: 'right_ankle'})
    # All instances in order of their image and id, as the metric sorts them; none suppressed.
    samples = ground_truth_samples(gt)
    options = dict(nms_mode='none', score_mode='keypoint')
    ours = evaluate(OKSMetric(ann_file, per_keypoint=True, **options), samples, meta=meta)
    usual = evaluate(OKSMetric(ann_file, **options), samples)
    assert {name: ours[name] for name in usual} == usual
    assert len(ours) == len(usual) + 1 + 3 * 17

    dt = [
        dict(
            image_id=sample['img_id'],
            category_id=1,
            keypoints=np.c_[pred['keypoints'][0], pred['keypoint_scores'][0]].ravel().tolist(),
            score=float(pred['keypoint_scores'].mean()),
            bbox=[0, 0, *(pred['bboxes'][0, 2:] - pred['bboxes'][0, :2]).tolist()],
        )
        for sample, pred in ((sample, sample['pred_instances']) for sample in samples)
    ]
    assert ours['coco/OKS'] == evaluate_coco_keypoints(gt, dt, sigmas=META['sigmas'])['OKS']
    each = evaluate_each_keypoint(gt, dt, sigmas=META['sigmas'])
    for k, name in ((0, 'nose'), (1, '1'), (16, 'right_ankle')):
        for key in ('AP', 'AR', 'OKS'):
            assert ours[f'coco/{key} ({name})'] == each[key][k]
    assert len({ours[name] for name in ours if name.startswith('coco/AP (')}) > 10


@pytest.mark.parametrize('names', [{0: 'L'}, {0: 'tiny'}, {0: 'ear', 3: 'ear'}, {4: '5'}])
def test_refuses_keypoints_named_as_something_else(ann_file, names):
    """One value would overwrite the other."""
    meta = dict(META, keypoint_id2name=names)
    metric = OKSMetric(ann_file, per_keypoint=True, area_ranges=dict(tiny=(0, 5000)))
    with pytest.raises(ValueError, match=r'keypoints: .* is taken'):
        metric.dataset_meta = meta
    OKSMetric(ann_file).dataset_meta = meta  # as it names no keypoint


def test_area_ranges(gt, ann_file):
    """A range of another name, and another medium."""
    samples = ground_truth_samples(gt)
    usual = evaluate(OKSMetric(ann_file), samples)
    ranges = dict(tiny=(0, 5000), medium=(5000, 1e4))
    ours = evaluate(OKSMetric(ann_file, area_ranges=ranges), samples)
    assert {*ours} - {*usual} == {
        f'coco/{x} ({n})' for x in ('AP', 'AR') for n in ('tiny', 'medium')
    }
    assert ours['coco/AP (M)'] == ours['coco/AP (medium)'] != usual['coco/AP (M)']
    assert ours['coco/AP'] == usual['coco/AP']
    assert 0 < ours['coco/AR (tiny)'] < 1


def test_predictions_on_a_device_or_as_tensors(ann_file, gt):
    samples = ground_truth_samples(gt)
    expected = evaluate(OKSMetric(ann_file), samples)
    for sample in samples:
        for instances in (sample['pred_instances'], sample['gt_instances']):
            instances.update({name: torch.tensor(v) for name, v in instances.items()})
    assert evaluate(OKSMetric(ann_file), samples) == expected


def test_writes_results_as_stock(ann_file, gt, tmp_path):
    samples = detected_samples(gt)
    files = []
    for metric in (OKSMetric, CocoMetric):
        prefix = str(tmp_path / metric.__name__)
        values = evaluate(metric(ann_file, format_only=True, outfile_prefix=prefix), samples)
        assert values == {}
        with open(f'{prefix}.keypoints.json') as file:
            files.append(json.load(file))
    assert len(files[0]) > 10
    by_image = [sorted(f, key=lambda result: result['image_id']) for f in files]
    assert by_image[0] == by_image[1]


def test_writes_results_beside_evaluating(ann_file, gt, tmp_path):
    metric = OKSMetric(ann_file, outfile_prefix=str(tmp_path / 'results'), prefix='mine')
    assert 'mine/AP' in evaluate(metric, ground_truth_samples(gt))
    assert (tmp_path / 'results.keypoints.json').exists()


def test_writes_ids_as_they_are(gt, tmp_path):
    prefix = str(tmp_path / 'results')
    samples = ground_truth_samples(renamed(gt, lambda n: f'{n:012d}', str))
    evaluate(OKSMetric(format_only=True, outfile_prefix=prefix), samples)
    with open(f'{prefix}.keypoints.json') as file:
        written = {result['image_id'] for result in json.load(file)}
    assert written == {sample['img_id'] for sample in samples}


def collected_bytes(metric):
    return sum(column.nbytes for table in metric.results[0] for column in table.values())


def test_keeps_results_small(ann_file, gt):
    metric = OKSMetric(ann_file)
    metric.dataset_meta = META
    samples = ground_truth_samples(gt)[:8]
    for sample in samples:
        sample['raw_ann_info']['segmentation'] = [[0.0] * 1000]
    metric.process(None, samples)
    numbers = 17 * 2 + 17 + 10  # of single precision, and a few more
    assert collected_bytes(metric) < 8 * 4 * numbers + 8 * 32
    metric = OKSMetric()
    metric.dataset_meta = META
    metric.process(None, samples)
    numbers += 2 * (17 * 3 + 10)  # of annotations, of double precision
    assert collected_bytes(metric) < 8 * 4 * numbers + 8 * 32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(score_mode='bbox_keypoints'), "'bbox_keypoints'; did you mean 'bbox_keypoint'"),
        (dict(iou_type='keypoint_crowd'), "'keypoint_crowd'; did you mean 'keypoints_crowd'"),
        (dict(area_ranges=dict(odd=(9, 3))), r"area_ranges\['odd'\] .* lowest and highest"),
        (dict(area_ranges=dict(odd=(9,))), r"area_ranges\['odd'\] .* lowest and highest"),
        (dict(area_ranges=dict(M=(3, 9))), r"'M' is taken, as `AP \(M\)` already"),
        (dict(nms_mode='oks-nms'), "'oks-nms'; did you mean 'oks_nms'"),
        (dict(format_only=True), 'needs an outfile_prefix'),
    ],
)
def test_refuses_to_be_built(options, message):
    with pytest.raises(ValueError, match=message):
        OKSMetric(**options)


def test_instances_without_keypoints_come_with_samples_too(gt):
    """As in bottom-up samples, which have all annotations of an image."""
    samples = ground_truth_samples(gt)
    expected = evaluate(OKSMetric(), copy.deepcopy(samples))
    cage = dict(category_id=1, bbox=[0, 0, 1, 1], area=1)
    first = samples[0]
    first['raw_ann_info'] = [
        first['raw_ann_info'],
        dict(cage, id=999, image_id=first['img_id'], keypoints=[]),
    ]
    # In a separate image, and in a separate batch without detections
    nothing = dict(first['pred_instances'], keypoint_scores=np.zeros((1, 17), np.float32))
    alone = dict(first, id=998, img_id=12, raw_ann_info=[dict(cage, id=1000, image_id=12)])
    samples.append(dict(alone, pred_instances=nothing))
    values = evaluate(OKSMetric(), samples, batch=1)
    assert values == pytest.approx(expected, abs=1e-12)
    assert 0 < values['coco/AP'] < 1


def test_refuses_annotations_that_cannot_be_evaluated_before_the_run(gt, ann_file, tmp_path):
    labelled = next(a for a in gt['annotations'] if a['num_keypoints'] and not a['iscrowd'])
    labelled['keypoints'] = [float('nan'), 1, 2] * 17
    path = tmp_path / 'nan.json'
    path.write_text(json.dumps(gt))
    OKSMetric(ann_file).dataset_meta = META
    with pytest.raises(ValueError, match=f'the first is annotation {labelled["id"]}'):
        OKSMetric(str(path)).dataset_meta = META


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_reads_other_encodings(gt, ann_file, tmp_path, encoding):
    (tmp_path / 'other.json').write_text(json.dumps(gt), encoding=encoding)
    samples = ground_truth_samples(gt)
    expected = evaluate(OKSMetric(ann_file), samples)
    assert evaluate(OKSMetric(str(tmp_path / 'other.json')), samples) == expected


def test_refuses_a_file_without_annotations(tmp_path):
    (tmp_path / 'test.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match="no 'annotations'"):
        OKSMetric(str(tmp_path / 'test.json'))
    OKSMetric(str(tmp_path / 'test.json'), format_only=True, outfile_prefix='x')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(sigmas=[0.1] * 14), '17 keypoints but 14 sigmas'),
        (dict(sigmas=[0.1] * 14, num_keypoints=14), 'have 17 keypoints, but .* has 14'),
        (dict(sigmas=None), 'needs `num_keypoints` and `sigmas`'),
    ],
)
def test_promise_1_refuses_another_skeleton_before_running(change, message, ann_file):
    with pytest.raises(ValueError, match=message):
        OKSMetric(ann_file).dataset_meta = dict(META, **change)


def test_promise_1_refuses_predictions_of_another_skeleton(ann_file, gt):
    samples = ground_truth_samples(gt)
    pred = samples[0]['pred_instances']
    pred.update(keypoints=pred['keypoints'][:, :16])
    with pytest.raises(ValueError, match=r'\(1, 16, 2\) .* has 17 keypoints'):
        evaluate(OKSMetric(ann_file), samples)


def test_promise_2_refuses_boxes_of_another_data_set(ann_file, gt):
    samples = detected_samples(gt)
    for sample in samples:
        sample['img_id'] += 1000
    with pytest.raises(ValueError, match=r'0 ids are shared.*bbox_file'):
        evaluate(OKSMetric(ann_file), samples)


def test_refuses_keypoints_that_are_not_finite(ann_file, gt):
    samples = ground_truth_samples(gt)
    samples[3]['pred_instances']['keypoints'][0, 5, 1] = np.nan
    with pytest.raises(ValueError, match=f'image {samples[3]["img_id"]}'):
        evaluate(OKSMetric(ann_file), samples)


@pytest.mark.parametrize('where', ['pred_instances bboxes', 'gt_instances bbox_scales'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_refuses_boxes_that_are_not_finite(value, where, ann_file, gt):
    samples = ground_truth_samples(gt)
    instances, name = where.split()
    samples[3][instances][name][0, -1] = value
    with pytest.raises(ValueError, match=f'image {samples[3]["img_id"]}'):
        evaluate(OKSMetric(ann_file), samples)


def test_boxes_of_a_few_samples_do_not_count(ann_file, gt):
    samples = ground_truth_samples(gt)
    for sample in samples:
        sample['pred_instances']['bboxes'] = np.float32([[0, 0, 1, 1]])
    small = evaluate(OKSMetric(ann_file), samples)
    for sample in samples[1:]:
        del sample['pred_instances']['bboxes']
    a_few = evaluate(OKSMetric(ann_file), samples)
    del samples[0]['pred_instances']['bboxes']
    assert small != a_few == evaluate(OKSMetric(ann_file), samples)


def test_boxes_count_beside_samples_without_instances(ann_file, gt):
    samples = ground_truth_samples(gt)
    for sample in samples:
        sample['pred_instances']['bboxes'] = np.float32([[0, 0, 1, 1]])
    expected = evaluate(OKSMetric(ann_file), samples)
    none = dict(keypoints=np.zeros((0, 17, 2)), keypoint_scores=np.zeros((0, 17)))
    empty = dict(id=-1, img_id=12, ori_shape=(400, 400), pred_instances=none)
    assert evaluate(OKSMetric(ann_file), [*samples, empty]) == expected


def test_refuses_annotations_without_an_id(gt):
    samples = ground_truth_samples(gt)
    del samples[2]['raw_ann_info']['id']
    with pytest.raises(ValueError, match=f"sample {samples[2]['id']} of image .* has no 'id'"):
        evaluate(OKSMetric(), samples)


def test_refuses_to_evaluate_against_nothing(gt):
    samples = detected_samples(gt)  # with boxes from a file there are no raw annotations
    with pytest.raises(ValueError, match='give OKSMetric an `ann_file`'):
        evaluate(OKSMetric(), samples)


def test_no_warnings_in_the_usual_case(ann_file, gt):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        evaluate(OKSMetric(ann_file), ground_truth_samples(gt))


def in_fractions(gt):
    for ann in gt['annotations']:
        points = np.reshape(ann['keypoints'], (-1, 3)) / [400, 400, 1]
        ann.update(keypoints=points.ravel().tolist(), bbox=[v / 400 for v in ann['bbox']])


def said_of_units(warned):
    return [str(w.message) for w in warned if 'in fractions' in str(w.message)]


@pytest.mark.parametrize('with_file', [True, False])
def test_warns_of_annotations_that_are_not_in_pixels(with_file, gt, tmp_path):
    in_fractions(gt)
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    samples = ground_truth_samples(make_annotations())
    for sample in samples:
        sample['raw_ann_info'] = gt['annotations'][sample['id'] - 1]
    with pytest.warns(UserWarning, match='in fractions') as warned:
        evaluate(OKSMetric(str(tmp_path / 'gt.json') if with_file else None), samples)
    where = str(tmp_path / 'gt.json') if with_file else 'the annotations that come with'
    said = said_of_units(warned)
    assert [s.split(' are in ')[0].split(': ')[-1] for s in said] == ['the boxes', 'the keypoints']
    assert all(s.startswith(where) for s in said)


def test_warns_of_boxes_outside_of_their_images(gt, tmp_path):
    gt['annotations'][0]['bbox'] = [900, 10, 20, 20]
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    with pytest.warns(UserWarning, match=f'outside of the image: 1 of {len(gt["annotations"])}'):
        OKSMetric(str(tmp_path / 'gt.json'))


def test_warns_of_predictions_that_are_not_in_pixels(ann_file, gt):
    metric = OKSMetric(ann_file)
    samples = detected_samples(gt)
    for sample in samples:
        sample['pred_instances']['bboxes'] = np.array([[0.1, 0.1, 0.5, 0.5]])
    with pytest.warns(UserWarning, match='the predictions: the boxes are in fractions') as warned:
        evaluate(metric, samples)
    assert len(said_of_units(warned)) == 1


def test_default_category_is_that_called_person(tmp_path, gt):
    """Detected boxes come without a category; the file has two, of which 1 is something else."""
    expected = evaluate(OKSMetric(), ground_truth_samples(gt))
    for ann in gt['annotations']:
        ann['category_id'] = 9
    gt['categories'] = [dict(id=1, name='chair'), dict(id=9, name='person')]
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    samples = ground_truth_samples(gt)
    for sample in samples:
        del sample['category_id']
    metric = OKSMetric(str(tmp_path / 'gt.json'))
    ours = evaluate(metric, samples)
    for sample in samples:
        sample['category_id'] = np.array(9)
    assert ours == evaluate(metric, samples)
    assert ours['coco/AP'] > 0.5 < expected['coco/AP']
