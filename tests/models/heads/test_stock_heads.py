"""Stock MMPose's heads on our backbones train and predict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmpose.registry import DATASETS, MODELS
from mmpose.utils import register_all_modules
from support.stock_heads import (
    BOTTOM_UP,
    NUM_KEYPOINTS,
    TOP_DOWN,
    associative_embedding,
    dekr,
    model_and_data,
    simcc,
)

from hrnet_plugin.checks.pipelines import disagreements
from hrnet_plugin.datasets import synthesize
from hrnet_plugin.models.backbones.base import ParallelStreamBackbone

# Each head once, and each backbone
CASES: list[Any] = [(kind, 'HRNet') for kind in (*TOP_DOWN, *BOTTOM_UP)]
CASES += [(associative_embedding, 'LiteHRNet'), (simcc, 'HRFormer')]
OTHERS = [(kind, 'LiteHRNet') for kind in (*TOP_DOWN, dekr)] + [(dekr, 'HRFormer')]
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS]


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with one annotated person each, as stock's associative embedding needs it."""
    register_all_modules()
    folder = tmp_path_factory.mktemp('people')
    synthesize(folder, 6, seed=3, val_fraction=0.2, image_size=(96, 96), num_workers=1)
    path = folder / 'annotations/person_keypoints_train2017.json'
    content = json.loads(path.read_text())
    firsts = {a['image_id']: a for a in content['annotations'] if a['num_keypoints'] > 5}
    content['annotations'] = list(firsts.values())
    content['images'] = [i for i in content['images'] if i['id'] in firsts]
    path.write_text(json.dumps(content))
    return folder


def build(cfg: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg['model']))
    model.init_weights()
    assert isinstance(model.backbone, ParallelStreamBackbone)
    return model


@pytest.mark.parametrize(('kind', 'backbone'), CASES)
def test_two_iterations_and_a_prediction(people: Path, kind: Any, backbone: str) -> None:
    cfg = model_and_data(kind, backbone, people)
    model = build(cfg).train()
    dataset = DATASETS.build(cfg['train_dataset'])
    assert disagreements(dataset, model) == []

    np.random.seed(0)  # of the augmentation
    data = pseudo_collate([dataset[i] for i in range(3)])
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    losses = [model.train_step(data, optimizer) for _ in range(2)]
    for loss in losses:
        assert len(loss) > 0
        assert all(torch.isfinite(value).all() for value in loss.values())
    assert losses[0]['loss'] != losses[1]['loss']
    assert len(before) > 100
    assert [n for n, p in model.named_parameters() if p.equal(before[n])] == []

    test = DATASETS.build(cfg['test_dataloader']['dataset'])
    with torch.no_grad():
        (result,) = model.eval().test_step(pseudo_collate([test[0]]))
    instances = result.pred_instances
    assert instances.keypoints.shape[1:] == (NUM_KEYPOINTS, 2)
    assert len(instances.keypoints) == len(instances.keypoint_scores)
    assert kind in BOTTOM_UP or len(instances.keypoints) == 1
    assert np.isfinite(instances.keypoints).all()


@pytest.mark.parametrize('kind', TOP_DOWN)
def test_our_estimator_predicts_what_stocks_does(people: Path, kind: Any) -> None:
    """In one forward, mirrored images included, instead of two."""
    cfg = model_and_data(kind, 'HRNet', people)
    ours = model_and_data(kind, 'HRNet', people, 'hrnet_plugin.TopdownPoseEstimator')
    test = DATASETS.build(cfg['test_dataloader']['dataset'])
    results = []
    for each in (cfg, ours):
        with torch.no_grad():
            (result,) = build(each).eval().test_step(pseudo_collate([test[0]]))
        results.append(result.pred_instances)
    np.testing.assert_allclose(results[1].keypoints, results[0].keypoints, atol=1e-4)
    np.testing.assert_allclose(results[1].keypoint_scores, results[0].keypoint_scores, atol=1e-5)


def test_stocks_associative_embedding_is_known_not_to_train(people: Path) -> None:
    cfg = model_and_data(associative_embedding, 'HRNet', people)
    (target,) = [s for s in cfg['train_dataset']['pipeline'] if s['type'] == 'GenerateTarget']
    target['encoder'] = target['encoder'] | dict(type='AssociativeEmbedding')
    (problem,) = disagreements(DATASETS.build(cfg['train_dataset']), build(cfg))
    assert 'keypoint_indices, which AssociativeEmbedding does not pass on' in problem
