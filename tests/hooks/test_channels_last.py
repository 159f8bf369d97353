"""ChannelsLastHook: another layout, the same numbers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.registry import HOOKS
from torch import nn

from hrnet_plugin import HRNet


def test_same_training_step() -> None:
    steps: list[list[torch.Tensor]] = []
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    for last in (False, True):
        torch.manual_seed(0)
        model = HRNet(arch='w18-small-v1').double().train()
        if last:
            hook: Any = HOOKS.build(dict(type='hrnet_plugin.ChannelsLastHook'))
            hook.before_run(SimpleNamespace(model=model))
        kernels = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
        laid_out = {k.is_contiguous(memory_format=torch.channels_last) for k in kernels}
        assert last == (laid_out == {True})
        (stream,) = model(images)
        assert stream.is_contiguous(memory_format=torch.channels_last) == last
        stream.square().mean().backward()
        steps.append([stream.detach(), *(k.grad for k in kernels if k.grad is not None)])
    assert len(steps[0]) > 50
    torch.testing.assert_close(*steps, rtol=1e-9, atol=1e-12)


def test_has_no_options() -> None:
    with pytest.raises(TypeError, match="unknown option of ChannelsLastHook 'on'; there is none"):
        HOOKS.build(dict(type='hrnet_plugin.ChannelsLastHook', on=True))
