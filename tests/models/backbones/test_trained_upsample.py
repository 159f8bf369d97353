"""Weights say what upsampling they were trained with, and a backbone with another refuses them."""

import copy
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint
from torch import nn

from hrnet_plugin.apis import convert_file, convert_state_dict
from hrnet_plugin.models import HRFormer, HRNet
from hrnet_plugin.models.families import FAMILIES

SMALL = 'w18-small-v1'
ALIGNED = dict(mode='bilinear', align_corners=True)
CENTRES = dict(mode='bilinear', align_corners=False)
NEAREST = dict(mode='nearest')
BOTH = dict(mode='nearest', align_corners=True)


def model(**options: Any) -> nn.Module:
    return nn.ModuleDict(dict(backbone=HRNet(arch=SMALL, **options)))


def refusal(upsample: str) -> str:
    return rf'HRNet has upsample=.*: set upsample=dict\({upsample}\) of the backbone'


class TestRecord:
    @pytest.mark.parametrize('upsample', [NEAREST, CENTRES, ALIGNED, BOTH])
    def test_of_what_it_was_built_with(self, upsample: dict[str, Any]) -> None:
        metadata = model(upsample=upsample).state_dict()._metadata
        assert metadata['backbone']['upsample'] == upsample
        assert metadata['backbone']['version'] is not None

    def test_defaults_are_written_out(self) -> None:
        assert HRNet(arch=SMALL).state_dict()._metadata['']['upsample'] == NEAREST
        state = HRNet(arch=SMALL, upsample=dict(mode='bilinear')).state_dict()
        assert state._metadata['']['upsample'] == CENTRES
        with torch.device('meta'):
            assert HRFormer(arch='tiny').state_dict()._metadata['']['upsample'] == CENTRES

    def test_lite_hrnet_has_no_choice(self) -> None:
        with torch.device('meta'):
            backbone = FAMILIES['LiteHRNet'].build('naive-18')
        state = backbone.state_dict()
        assert 'upsample' not in state._metadata['']
        backbone.load_state_dict(state, assign=True)

    def test_copies_keep_it(self) -> None:
        original = model(upsample=ALIGNED)
        for copied in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
            assert copied.state_dict()._metadata['backbone']['upsample'] == ALIGNED


class TestRefusal:
    @pytest.mark.parametrize(
        ('trained', 'own', 'fits'),
        [
            (ALIGNED, NEAREST, False),
            (ALIGNED, CENTRES, False),
            (NEAREST, CENTRES, False),
            (BOTH, NEAREST, False),
            # At sizes that 32 divides, the only ones that such code takes, they are the same.
            (NEAREST, BOTH, True),
            (CENTRES, dict(mode='bilinear'), True),
            (ALIGNED, ALIGNED, True),
        ],
    )
    def test_of_another_one(self, trained: Any, own: Any, fits: bool) -> None:
        state = model(upsample=trained).state_dict()
        target = model(upsample=own)
        if fits:
            target.load_state_dict(state)
            return
        options = ', '.join(f'{name}={value!r}' for name, value in trained.items())
        with pytest.raises(ValueError, match=refusal(options)):
            target.load_state_dict(state)

    def test_weights_without_a_record_load(self) -> None:
        state = model(upsample=ALIGNED).state_dict()
        model().load_state_dict(OrderedDict(state))

    def test_by_mmengine(self, tmp_path: Path) -> None:
        """Its runner loads and saves so: load_from, resume and test."""
        file = str(tmp_path / 'epoch_1.pth')
        state = model(upsample=ALIGNED).state_dict()
        save_checkpoint(dict(state_dict=state, meta={}), file)
        load_checkpoint(model(upsample=ALIGNED), file, strict=True)
        with pytest.raises(ValueError, match=refusal("mode='bilinear', align_corners=True")):
            load_checkpoint(model(), file)

    def test_of_converted_weights(self, tmp_path: Path) -> None:
        official = HRNet(arch=SMALL, multiscale_output=True).state_dict()
        official = dict(official) | {'last_layer.3.weight': torch.ones(5, 240, 1, 1)}
        torch.save(official, tmp_path / 'in.pth')
        options: Any = dict(task='segmentation', align_corners=True)
        convert_file(tmp_path / 'in.pth', tmp_path / 'out.pth', **options)
        streams = dict(multiscale_output=True)
        load_checkpoint(model(upsample=ALIGNED, **streams), str(tmp_path / 'out.pth'))
        message = refusal("mode='bilinear', align_corners=True")
        with pytest.raises(ValueError, match=message):
            load_checkpoint(model(upsample=CENTRES, **streams), str(tmp_path / 'out.pth'))
        with pytest.warns(UserWarning, match='upsample='):
            state = convert_state_dict(official, **options)
        with pytest.raises(ValueError, match=message):
            model(**streams).load_state_dict(state, strict=False)

    def test_of_a_backbone_to_start_from(self) -> None:
        """Segmentation models start from classifiers, and upsample otherwise."""
        official = dict(HRNet(arch=SMALL).state_dict())
        tail = torch.ones(5, 240, 1, 1)
        for head, own, fits in (
            ('incre_modules.0.0.conv1.weight', ALIGNED, True),
            ('ocr_distri_head.conv_bn_dropout.0.weight', ALIGNED, True),
            ('ocr_distri_head.conv_bn_dropout.0.weight', NEAREST, False),
        ):
            with pytest.warns(UserWarning, match='dropped 1 tensor'):
                state = convert_state_dict(official | {head: tail})
            target = model(upsample=own)
            if fits:
                target.load_state_dict(state)
                continue
            with pytest.raises(ValueError, match=refusal("mode='bilinear', align_corners=True")):
                target.load_state_dict(state)
