"""Batches in one tensor: what data preprocessors make of them is the same."""

from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from mmpose.models.data_preprocessors import PoseDataPreprocessor
from torch.utils.data import DataLoader

import hrnet_plugin.registry  # noqa: F401  registers the function
from hrnet_plugin.datasets.collate import stack_inputs


def samples(*shapes: tuple[int, ...]) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    return [
        dict(
            inputs=torch.randint(256, shape, generator=generator, dtype=torch.uint8),
            data_samples=number,
        )
        for number, shape in enumerate(shapes)
    ]


def test_is_found_by_configs() -> None:
    assert FUNCTIONS.get('hrnet_plugin.stack_inputs') is stack_inputs


def test_values_are_the_same() -> None:
    preprocessor = PoseDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    three = samples(*[(3, 8, 6)] * 3)
    stacked, listed = (preprocessor.cast_data(c(three)) for c in (stack_inputs, pseudo_collate))
    assert stacked['inputs'].shape == (3, 3, 8, 6)
    assert stacked['data_samples'] == listed['data_samples'] == [0, 1, 2]
    normalize = super(PoseDataPreprocessor, preprocessor).forward
    assert torch.equal(normalize(stacked)['inputs'], normalize(listed)['inputs'])


def test_a_worker_sends_one_tensor() -> None:
    loader = DataLoader(
        samples(*[(3, 4, 4)] * 4), batch_size=2, num_workers=1, collate_fn=stack_inputs
    )
    batches = list(loader)
    assert [batch['inputs'].shape for batch in batches] == [(2, 3, 4, 4)] * 2
    assert all(batch['inputs'].is_shared() for batch in batches)


@pytest.mark.parametrize(
    'others', [samples((3, 4, 4), (3, 4, 6)), [dict(inputs='a'), dict(inputs='b')], [(1,), (2,)]]
)
def test_others_stay_as_they_are(others: list[Any]) -> None:
    assert str(stack_inputs(others)) == str(pseudo_collate(others))
