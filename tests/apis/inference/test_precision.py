"""A pose model of PyTorch in bfloat16."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from support.random_models import POSE

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.optim import autocast

BOXES = [[[20, 30, 120, 220]], [], [[10, 10, 150, 230]], [[60, 20, 160, 220]]]


@pytest.fixture
def found(weights: Path, images: list[np.ndarray]):
    """Scores (N, 17) of an inferencer, which is returned, too."""

    def find(precision: str) -> tuple[PoseInferencer, np.ndarray]:
        inferencer = PoseInferencer(
            POSE, str(weights / 'pose.pth'), device='cpu', precision=precision
        )
        results = inferencer(images, bboxes=BOXES, draw_heatmap=True)
        people = chain.from_iterable(result['predictions'][0] for result in results)
        return inferencer, np.array([person['keypoint_scores'] for person in people])

    return find


def test_bfloat16_is_near_float32(found) -> None:
    plain, exact = found('float32')
    mixed, near = found('bfloat16')
    assert exact.shape == near.shape == (3, 17)
    assert not np.array_equal(exact, near)
    np.testing.assert_allclose(near, exact, atol=0.05 * np.abs(exact).max())
    assert [i.pose.backend_name for i in (plain, mixed)] == ['PyTorch', 'PyTorch bfloat16']


@pytest.mark.parametrize('has', [False, True])
def test_auto(has: bool, found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autocast, 'has_bfloat16', lambda: has)
    (_, scores), (_, expected) = found('auto'), found('bfloat16' if has else 'float32')
    assert np.array_equal(scores, expected)


def test_features_are_in_bfloat16_and_the_head_is_not(found) -> None:
    inferencer, _ = found('bfloat16')
    types = {}
    convs = [m for m in inferencer.pose.model.modules() if isinstance(m, torch.nn.Conv2d)]
    for name, module in (('first', convs[0]), ('last', convs[-1])):
        module.register_forward_hook(lambda m, i, out, name=name: types.update({name: out.dtype}))
    list(inferencer(np.zeros((64, 64, 3), np.uint8), bboxes=[[[5, 5, 60, 60]]]))
    assert types['last'] == torch.float32
    assert types['first'] == torch.bfloat16


def test_unknown_precision(found) -> None:
    with pytest.raises(ValueError, match=r"unknown precision of PyTorch 'float16'; .*'bfloat16'"):
        found('float16')
