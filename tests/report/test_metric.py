"""``OKSMetric(report_dir=…)`` writes the same page."""

import json

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from support.report_data import report_data

from hrnet_plugin.datasets.synthetic.body import KEYPOINTS
from hrnet_plugin.evaluation import OKSMetric
from hrnet_plugin.functional import COCO_SIGMAS

META = dict(
    dataset_name='people',
    num_keypoints=17,
    sigmas=np.array(COCO_SIGMAS, np.float32),
    keypoint_id2name=dict(enumerate(KEYPOINTS)),
    skeleton_links=[(5, 6), (5, 7)],
    flip_indices=[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15],
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return report_data(tmp_path_factory.mktemp('data'), images=8)


def evaluate(metric, data, with_paths=True):
    names = {image['id']: image['file_name'] for image in data.coco['images']}
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = META
    results = json.loads(data.worse.read_text())
    for number, result in enumerate(results):
        points = np.reshape(result['keypoints'], (1, 17, 3))
        image = result['image_id']
        path = dict(img_path=str(data.images / names[image])) if with_paths else {}
        sample = PoseDataSample(metainfo=dict(id=number, img_id=image, category_id=1, **path))
        sample.gt_instances = InstanceData(bbox_scores=np.array([result['score']]))
        sample.pred_instances = InstanceData(
            keypoints=points[..., :2], keypoint_scores=points[..., 2]
        )
        evaluator.process([sample])
    return evaluator.evaluate(len(results))


def test_writes_what_it_returns(data, tmp_path):
    metric = OKSMetric(str(data.annotations), report_dir=str(tmp_path))
    values = evaluate(metric, data)
    content = json.loads((tmp_path / 'report.json').read_text())
    written = content['models'][0]['metrics']
    assert {name: value['value'] for name, value in written.items()} == values
    assert 'low' in written['coco/AP']
    assert content['skeleton']['names'] == list(KEYPOINTS)
    assert content['images'] == dict(shown=True, text=f'Images from {data.images}', problems=[])
    assert all('picture' in card for card in content['gallery'])
    page = (tmp_path / 'report.html').read_text()
    assert page.count('data:image/jpeg;base64,') == len(content['gallery'])


def test_images_by_the_names_of_the_annotations_or_none(data, tmp_path):
    for images, shown in ((str(data.images), True), (False, False)):
        options = dict(report_dir=str(tmp_path), report_images=images)
        evaluate(OKSMetric(str(data.annotations), **options), data, with_paths=images is False)
        content = json.loads((tmp_path / 'report.json').read_text())
        assert content['images']['shown'] == shown
        assert any('picture' in card for card in content['gallery']) == shown


def test_numbers_are_not_lost_if_the_page_cannot_be_written(data, tmp_path):
    (tmp_path / 'file').write_text('')
    metric = OKSMetric(str(data.annotations), report_dir=str(tmp_path / 'file'))
    with pytest.warns(UserWarning, match='the report was not written to'):
        values = evaluate(metric, data)
    assert values['coco/AP'] > 0


def test_what_prevents_a_report_is_an_error_before_the_run(tmp_path, monkeypatch):
    with pytest.raises(OSError, match='is no folder'):
        OKSMetric(report_dir='report', report_images=str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='there is no report'):
        OKSMetric(report_dir='report', format_only=True, outfile_prefix='results')
    monkeypatch.setattr('hrnet_plugin.report.content.find_spec', lambda name: None)
    with pytest.raises(ImportError, match='needs matplotlib'):
        OKSMetric(report_dir='report')
