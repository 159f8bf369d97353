"""Mixed precision without a GPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import hrnet_plugin.registry  # noqa: F401  registers the wrapper
from hrnet_plugin.optim import AutocastOptimWrapper, autocast


def build(model: nn.Module, **options: Any) -> AutocastOptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return AutocastOptimWrapper(optimizer=optimizer, **options)


def test_is_registered() -> None:
    assert OPTIM_WRAPPERS.get('hrnet_plugin.AutocastOptimWrapper') is AutocastOptimWrapper


def test_products_are_in_bfloat16_and_losses_and_weights_are_not() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3)
    before = model.weight.detach().clone()
    wrapper = build(model)
    with wrapper.optim_context(model):
        outputs = model(torch.rand(2, 3, 8, 8))
        loss = nn.functional.mse_loss(outputs, torch.zeros_like(outputs, dtype=torch.float32))
    assert outputs.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    wrapper.backward(loss)
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32
    wrapper.step()
    assert not torch.equal(model.weight, before)
    assert not torch.is_autocast_enabled('cpu')


@pytest.mark.parametrize('has', [False, True])
def test_auto_computes_in_what_the_processor_has(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(autocast, 'print_log', lambda message, logger: logged.append(message))
    monkeypatch.setattr(autocast, 'has_bfloat16', lambda: has)
    model = nn.Linear(2, 2)
    wrapper = build(model, precision='auto')
    with wrapper.optim_context(model):
        outputs = model(torch.rand(1, 2))
    assert outputs.dtype == (torch.bfloat16 if has else torch.float32)
    (line,) = logged
    assert ('computes in bfloat16' if has else 'float32: this cpu has no instructions') in line


def test_float32_is_not_changed() -> None:
    model = nn.Linear(2, 2)
    wrapper = build(model, precision='float32')
    with wrapper.optim_context(model):
        assert model(torch.rand(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ('device', 'gpu', 'expected'),
    [('cpu', True, False), ('cuda', True, True), ('cuda', False, False), ('mps', True, False)],
)
def test_devices_with_bfloat16(
    device: str, gpu: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autocast, 'has_bfloat16', lambda: False)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: gpu)
    assert autocast.computes_in_bfloat16(device) == expected


def test_unknown_precision() -> None:
    with pytest.raises(
        ValueError, match="precision is 'float16'; expected 'bfloat16' or 'auto' or 'f"
    ):
        build(nn.Linear(1, 1), precision='float16')


def test_misspelled_option() -> None:
    with pytest.raises(TypeError, match="did you mean 'clip_grad'"):
        build(nn.Linear(1, 1), clip_grd=dict(max_norm=1))


@pytest.mark.parametrize(
    ('family', 'arch'), [('HRNet', 'w18-small-v1'), ('LiteHRNet', 'lite-18'), ('HRFormer', 'tiny')]
)
def test_a_step_of_each_family(family: str, arch: str, tmp_path: Path) -> None:
    """The loss is in float32 and near that without autocast, and every gradient is finite."""
    from mmengine.registry import MODELS
    from mmpose.utils import register_all_modules
    from support.training_batch import random_batch

    from hrnet_plugin.models.families import FAMILIES

    register_all_modules()
    codec = dict(
        type='hrnet_plugin.GaussianHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2
    )
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='hrnet_plugin.TopdownPoseEstimator',
            backbone=dict(type=f'hrnet_plugin.{family}', arch=arch),
            head=dict(
                type='hrnet_plugin.HeatmapHead',
                in_channels=FAMILIES[family].archs[arch].spec.out_channels[0],
                out_channels=5,
                decoder=codec,
            ),
        )
    )
    model.init_weights()
    inputs, samples = random_batch(model.head.decoder, 5)
    plain = model.loss(inputs, samples)['loss_kpt']
    wrapper = build(model)
    with wrapper.optim_context(model):
        losses = model.loss(inputs, samples)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses['loss_kpt'], plain, rtol=0.1, atol=0)
    losses['loss_kpt'].backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
