"""Official models of the other tasks compute the same as OpenMMLab's with converted weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmpose.models.backbones import HRNet as StockHRNet
from support import official_heads as heads
from support.official_models import hrformer
from support.optional import skip_without
from torch import Tensor, nn

from hrnet_plugin.apis import convert_checkpoint, convert_file, convert_state_dict
from hrnet_plugin.models import HRFormer
from hrnet_plugin.models.archs import HRFORMER_ARCHS, HRNET_ARCHS
from hrnet_plugin.models.families import FAMILIES

CLASSES = 5
SIZE = (64, 96)
State = dict[str, Tensor]


def small(arch: dict[str, Any], width: int, **stages: Any) -> dict[str, Any]:
    """An ``extra`` with narrow streams, all of which come out."""
    for i, stage in enumerate(('stage2', 'stage3', 'stage4'), start=2):
        arch[stage] |= dict(num_modules=1, num_channels=tuple(width * 2**s for s in range(i)))
        arch[stage] |= {key: tuple(x * 2**s for s in range(i)) for key, x in stages.items()}
    arch['stage4'] |= dict(multiscale_output=True)
    return arch


def hrnet_extra() -> dict[str, Any]:
    return small(HRNET_ARCHS['w18-small-v1'].extra, 4)


def hrformer_extra() -> dict[str, Any]:
    return small(HRFORMER_ARCHS['small'].extra, 8, num_heads=2) | dict(drop_path_rate=0.0)


CHANNELS = {'HRNet': (4, 8, 16, 32), 'HRFormer': (8, 16, 32, 64)}
EXTRAS = {'HRNet': hrnet_extra, 'HRFormer': hrformer_extra}


def official(family: str, upsample: dict[str, Any], head: nn.Module) -> heads.Official:
    """An official model with random weights and statistics, in float64, for inference."""
    generator = torch.manual_seed(0)
    extra = EXTRAS[family]() | dict(upsample=dict(dict(align_corners=None), **upsample))
    backbone = StockHRNet(extra) if family == 'HRNet' else hrformer(extra, add_bias=True)
    model = heads.Official(backbone, head).double()
    for name, tensor in model.state_dict().items():
        if name.endswith(('running_mean', '.bias')):
            tensor.normal_(std=0.3, generator=generator)
        elif name.endswith('running_var') or (name.endswith('.weight') and tensor.ndim == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.startswith('head.') and tensor.is_floating_point():
            tensor.mul_(2)  # so that attention is not the same everywhere
    nn.Module.train(model, False)  # stock's eval() returns None
    return model


@dataclass(frozen=True)
class Case:
    """A published kind of model.

    Attributes:
        family: Class of the backbone.
        task: Its task.
        upsample: What the official code does between streams, in stock MMPose's words.
        head: Function that builds the official head.
        prefix: What the names of the backbone begin with in its checkpoints.
        model: OpenMMLab's model without its backbone.
        options: Further options of the conversion.
        needs: The ``upsample`` that the conversion is to say.
    """

    family: str
    task: Any
    upsample: dict[str, Any]
    head: Any
    prefix: str
    model: dict[str, Any]
    options: dict[str, Any]
    needs: dict[str, Any]

    @property
    def channels(self) -> tuple[int, ...]:
        return CHANNELS[self.family]

    def official(self) -> heads.Official:
        return official(self.family, self.upsample, self.head(self.channels))


def decode_head(family: str, kind: str, align_corners: bool, **options: Any) -> dict[str, Any]:
    """A head of MMSegmentation that concatenates all streams."""
    return dict(
        type=kind,
        in_channels=list(CHANNELS[family]),
        in_index=(0, 1, 2, 3),
        input_transform='resize_concat',
        num_classes=CLASSES,
        norm_cfg=dict(type='BN'),
        align_corners=align_corners,
        dropout_ratio=-1,
        **options,
    )


def fcn(family: str, align_corners: bool, channels: int, kernel_size: int) -> dict[str, Any]:
    options = dict(channels=channels, kernel_size=kernel_size, num_convs=1, concat_input=False)
    return decode_head(family, 'FCNHead', align_corners, **options)


def segmentor(family: str, align_corners: bool) -> dict[str, Any]:
    head = fcn(family, align_corners, sum(CHANNELS[family]), 1)
    return dict(type='EncoderDecoder', decode_head=head)


def ocr(family: str) -> dict[str, Any]:
    hrformer = family == 'HRFormer'
    channels = heads.OCR_CHANNELS if hrformer else sum(CHANNELS[family])
    second = decode_head(
        family,
        'OCRHead',
        True,
        channels=heads.OCR_CHANNELS,
        ocr_channels=heads.KEY_CHANNELS,
    )
    first = fcn(family, True, channels, 3 if hrformer else 1)
    return dict(type='CascadeEncoderDecoder', num_stages=2, decode_head=[first, second])


def classifier(neck: dict[str, Any]) -> dict[str, Any]:
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=2048)
    return dict(type='ImageClassifier', neck=[neck, dict(type='GlobalAveragePooling')], head=head)


ALIGNED = dict(mode='bilinear', align_corners=True)
CENTRES = dict(mode='bilinear', align_corners=False)
NEAREST = dict(mode='nearest')
CASES = {
    'segmentation, master': Case(
        family='HRNet',
        task='segmentation',
        upsample=CENTRES,
        head=lambda channels: heads.Segmentation(channels, CLASSES, align_corners=False),
        prefix='',
        model=segmentor('HRNet', align_corners=False),
        options=dict(align_corners=False),
        needs=CENTRES,
    ),
    'segmentation, HRNet-OCR': Case(
        family='HRNet',
        task='segmentation',
        upsample=ALIGNED,
        head=lambda channels: heads.Segmentation(channels, CLASSES, align_corners=True),
        prefix='',
        model=segmentor('HRNet', align_corners=True),
        options=dict(align_corners=True),
        needs=ALIGNED,
    ),
    'OCR': Case(
        family='HRNet',
        task='segmentation',
        upsample=ALIGNED,
        head=lambda channels: heads.OCR(channels, CLASSES, hrformer=False),
        prefix='',
        model=ocr('HRNet'),
        options={},
        needs=ALIGNED,
    ),
    'OCR of HRFormer': Case(
        family='HRFormer',
        task='segmentation',
        upsample=NEAREST,
        head=lambda channels: heads.OCR(channels, CLASSES, hrformer=True),
        prefix='backbone.',
        model=ocr('HRFormer'),
        options={},
        needs=dict(mode='nearest', align_corners=True),
    ),
    'classification': Case(
        family='HRNet',
        task='classification',
        upsample=NEAREST,
        head=lambda channels: heads.Classifier(channels, CLASSES, hrformer=False),
        prefix='',
        model=classifier(dict(type='HRFuseScales', in_channels=CHANNELS['HRNet'])),
        options={},
        needs=NEAREST,
    ),
    'classification of HRFormer': Case(
        family='HRFormer',
        task='classification',
        upsample=NEAREST,
        head=lambda channels: heads.Classifier(channels, CLASSES, hrformer=True),
        prefix='',
        model=classifier(
            dict(
                type='hrnet_plugin.ClassificationNeck',
                in_channels=CHANNELS['HRFormer'],
                separable=True,
            )
        ),
        options={},
        needs=NEAREST,
    ),
}
SCOPES = dict(segmentation='mmseg', classification='mmpretrain', detection='mmdet')


@pytest.fixture(scope='module')
def checkpoints() -> dict[str, State]:
    """Official checkpoints of all cases."""
    return {name: case.official().checkpoint(case.prefix) for name, case in CASES.items()}


def build(task: str, model: dict[str, Any], family: str, upsample: Any) -> Any:
    """OpenMMLab's model with the plugin's backbone, as its configs build it."""
    skip_without(SCOPES[task])
    __import__(f'{SCOPES[task]}.models')
    backbone = dict(type=f'hrnet_plugin.{family}', extra=EXTRAS[family](), upsample=upsample)
    with DefaultScope.overwrite_default_scope(SCOPES[task]):
        return MODELS.build(dict(model, backbone=backbone)).double().eval()


def outputs(task: str, model: Any, x: Tensor) -> Iterator[Tensor]:
    """What an official model returns, of OpenMMLab's."""
    streams = model.backbone(x)
    if task == 'classification':
        yield model.head(model.neck(streams))
    elif isinstance(model.decode_head, nn.ModuleList):
        aux = model.decode_head[0](streams)
        yield from (aux, model.decode_head[1](streams, aux))
    else:
        yield model.decode_head(streams)


def image() -> Tensor:
    return torch.randn(2, 3, *SIZE, dtype=torch.float64, generator=torch.manual_seed(1))


def assert_same(a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape
    assert b.std() > 0
    assert (a - b).abs().max() < 1e-9 * b.std()


class TestComputesTheSame:
    @pytest.mark.parametrize('name', CASES)
    def test_with_the_upsample_that_it_says(self, name: str) -> None:
        case = CASES[name]
        model = case.official()
        conversion = convert_checkpoint(
            model.checkpoint(case.prefix), task=case.task, **case.options
        )
        assert conversion.task == case.task
        assert conversion.upsample == case.needs
        assert str(conversion.model).endswith(f'custom architecture, {CLASSES} classes')
        converted = build(case.task, case.model, case.family, conversion.upsample)
        converted.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            expected, got = model(image()), [*outputs(case.task, converted, image())]
        assert len(got) == len(expected)
        for a, b in zip(got, expected):
            assert_same(a, b)

    def test_attention_is_not_trivial(self) -> None:
        """Otherwise a wrong scale of its logits could go unseen."""
        model = CASES['OCR'].official()
        with torch.no_grad():
            aux, _ = model(image())
        assert 4 / aux[0, 0].numel() < aux.flatten(2).softmax(-1).max() < 0.5

    @pytest.mark.parametrize('name', ['segmentation, master', 'classification'])
    def test_with_stocks_backbone(self, name: str) -> None:
        """Where stock's upsampling is the right one."""
        case = CASES[name]
        model = case.official()
        state = convert_checkpoint(model.checkpoint(), task=case.task, **case.options).state_dict
        backbone = dict(type='HRNet', extra=hrnet_extra())
        if case.task == 'segmentation':
            backbone['norm_cfg'] = dict(type='BN')
        with DefaultScope.overwrite_default_scope(SCOPES[case.task]):
            stock = MODELS.build(dict(case.model, backbone=backbone)).double().eval()
        stock.load_state_dict(state, strict=True)
        with torch.no_grad():
            for a, b in zip(outputs(case.task, stock, image()), model(image()), strict=True):
                assert_same(a, b)


class TestDetector:
    """A small Faster R-CNN of HRNet-Object-Detection, whose code is MMDetection's of that time."""

    WIDTH = 16

    def detector(self) -> Any:
        """MMDetection's model."""
        coder = dict(type='DeltaXYWHBBoxCoder')
        model = dict(
            type='FasterRCNN',
            train_cfg=None,
            test_cfg=ConfigDict(rpn=None, rcnn=None),
            neck=dict(type='HRFPN', in_channels=list(CHANNELS['HRNet']), out_channels=self.WIDTH),
            rpn_head=dict(
                type='RPNHead',
                in_channels=self.WIDTH,
                feat_channels=self.WIDTH,
                anchor_generator=dict(
                    type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8, 16, 32, 64]
                ),
                bbox_coder=coder,
            ),
            roi_head=dict(
                type='StandardRoIHead',
                bbox_roi_extractor=dict(
                    type='SingleRoIExtractor',
                    roi_layer=dict(type='RoIAlign', output_size=2),
                    out_channels=self.WIDTH,
                    featmap_strides=[4, 8, 16, 32],
                ),
                bbox_head=dict(
                    type='Shared2FCBBoxHead',
                    in_channels=self.WIDTH,
                    fc_out_channels=8,
                    roi_feat_size=2,
                    num_classes=CLASSES,
                    bbox_coder=coder,
                ),
            ),
        )
        return build('detection', model, 'HRNet', NEAREST)

    @pytest.fixture(scope='class')
    def model(self) -> heads.Official:
        return official('HRNet', NEAREST, heads.HRV2pNeck(CHANNELS['HRNet'], self.WIDTH))

    def checkpoint(self, model: heads.Official, **rows: int) -> State:
        """The official checkpoint: the background is the first class of its box head."""
        state = model.checkpoint('backbone.', 'neck.')
        rpn = self.detector().rpn_head.state_dict()
        state |= {f'rpn_head.{n}': t for n, t in rpn.items()}
        rows = dict(shared_fcs=8, fc_cls=CLASSES + 1, fc_reg=4 * (CLASSES + 1)) | rows
        for name, inputs in (
            ('shared_fcs.0', 4 * self.WIDTH),
            ('shared_fcs.1', 8),
            ('fc_cls', 8),
            ('fc_reg', 8),
        ):
            outputs = rows[name.split('.')[0]]
            numbers = torch.arange(outputs, dtype=torch.float64)
            state[f'bbox_head.{name}.weight'] = numbers[:, None].expand(-1, inputs).clone()
            state[f'bbox_head.{name}.bias'] = -numbers
        return state

    def test_computes_the_same(self, model: heads.Official) -> None:
        state = self.checkpoint(model)
        conversion = convert_checkpoint(state, task='detection')
        assert conversion.upsample == NEAREST
        assert str(conversion.model).endswith(f'{CLASSES + 1} classes with background')
        detector = self.detector()
        detector.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            levels = detector.extract_feat(image())
            for a, b in zip(levels, model(image()), strict=True):
                assert_same(a, b)
        for name, tensor in detector.rpn_head.state_dict().items():
            assert torch.equal(tensor, state[f'rpn_head.{name}'])

    def test_background_becomes_the_last_class(self, model: heads.Official) -> None:
        conversion = convert_checkpoint(self.checkpoint(model), task='detection')
        head = 'roi_head.bbox_head'
        scores = conversion.state_dict[f'{head}.fc_cls.bias']
        assert scores.tolist() == [-1, -2, -3, -4, -5, 0]
        assert conversion.state_dict[f'{head}.fc_cls.weight'][:, 0].tolist() == [1, 2, 3, 4, 5, 0]
        boxes = conversion.state_dict[f'{head}.fc_reg.bias']
        assert boxes.tolist() == [-i for i in range(4, 24)]
        assert any('background last among 6 classes' in note for note in conversion.notes)
        assert any('LegacyDeltaXYWHBBoxCoder' in note for note in conversion.notes)

    def test_boxes_for_all_classes_alike(self, model: heads.Official) -> None:
        state = self.checkpoint(model, fc_reg=4)
        converted = convert_checkpoint(state, task='detection').state_dict
        assert len(converted['roi_head.bbox_head.fc_reg.bias']) == 4

    def test_masks_and_cascades(self, model: heads.Official) -> None:
        """Each stage has heads of its own; masks have no background."""
        state = self.checkpoint(model)
        boxes = {n: t for n, t in state.items() if n.startswith('bbox_head.')}
        state = {n: t for n, t in state.items() if n not in boxes}
        for stage in range(2):
            state |= {n.replace('head.', f'head.{stage}.'): t for n, t in boxes.items()}
            numbers = torch.arange(CLASSES + 1.0)
            state[f'mask_head.{stage}.conv_logits.bias'] = numbers
        converted = convert_checkpoint(state, task='detection').state_dict
        for stage in range(2):
            scores = converted[f'roi_head.bbox_head.{stage}.fc_cls.bias']
            assert scores.tolist() == [-1, -2, -3, -4, -5, 0]
            masks = converted[f'roi_head.mask_head.{stage}.conv_logits.bias']
            assert masks.tolist() == [1, 2, 3, 4, 5]

    def test_one_stage(self, model: heads.Official) -> None:
        """FCOS has one head, which keeps its name."""
        state = model.checkpoint('backbone.', 'neck.')
        state['bbox_head.fcos_cls.weight'] = torch.ones(CLASSES, 2, 3, 3)
        converted = convert_checkpoint(state, task='detection').state_dict
        assert torch.equal(
            converted['bbox_head.fcos_cls.weight'], state['bbox_head.fcos_cls.weight']
        )
        assert 'neck.fpn_convs.4.conv.bias' in converted


ALL = [*CASES, 'detection']


def official_checkpoint(name: str, checkpoints: dict[str, State]) -> State:
    if name in CASES:
        return checkpoints[name]
    model = official('HRNet', NEAREST, heads.HRV2pNeck(CHANNELS['HRNet'], 4))
    return model.checkpoint('backbone.', 'neck.')


def task_of(name: str) -> Any:
    return CASES[name].task if name in CASES else 'detection'


def options_of(name: str) -> dict[str, Any]:
    return CASES[name].options if name in CASES else {}


@pytest.mark.parametrize('name', ALL)
class TestEach:
    def test_again(self, name: str, checkpoints: dict[str, State], tmp_path: Path) -> None:
        """A converted checkpoint is one of OpenMMLab, which stays as it is, also in a file."""
        source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
        torch.save(official_checkpoint(name, checkpoints), source)
        first = convert_file(source, target, task=task_of(name), **options_of(name))
        meta = torch.load(target, weights_only=True)['meta']
        assert meta['hrnet_plugin'] == dict(task=first.task, upsample=first.upsample)
        second = convert_file(target, target, task=task_of(name), overwrite=True)
        assert second.layout.startswith('MM')
        assert (second.task, second.upsample) == (first.task, first.upsample)
        assert second.state_dict.keys() == first.state_dict.keys()
        for key, tensor in first.state_dict.items():
            assert torch.equal(second.state_dict[key], tensor)

    def test_a_pose_model_takes_the_backbone(
        self, name: str, checkpoints: dict[str, State]
    ) -> None:
        """One line says what becomes of the head."""
        state = official_checkpoint(name, checkpoints)
        whole = convert_checkpoint(state, task=task_of(name), **options_of(name)).state_dict
        conversion = convert_checkpoint(state)
        backbone = {n: t for n, t in whole.items() if n.startswith('backbone.')}
        assert conversion.state_dict.keys() == backbone.keys()
        assert all(torch.equal(conversion.state_dict[n], t) for n, t in backbone.items())
        dropped = [note for note in conversion.notes if note.startswith('dropped')]
        assert len(dropped) == 1
        assert f'the {task_of(name)} head, which pose models do not have' in dropped[0]
        assert len(dropped[0]) < 200
        assert str(conversion.model).endswith('no head')

    @pytest.mark.parametrize('task', SCOPES)
    def test_another_task(self, name: str, task: Any, checkpoints: dict[str, State]) -> None:
        if task == task_of(name):
            return
        with pytest.raises(ValueError, match=f'for {task_of(name)}: convert it with') as error:
            convert_checkpoint(official_checkpoint(name, checkpoints), task=task)
        assert f'--task {task_of(name)}' in str(error.value)
        assert '--task pose), which keeps its backbone' in str(error.value)

    def test_unknown_name(self, name: str, checkpoints: dict[str, State]) -> None:
        state = official_checkpoint(name, checkpoints)
        part = next(n for n in reversed(state) if n.endswith('.weight')).split('.')[0]
        odd = f'{part}.0.odd'
        with pytest.raises(ValueError, match=f'1 of {len(state) + 1} names .*: {odd};'):
            convert_checkpoint(state | {odd: torch.ones(1)}, task=task_of(name))

    @pytest.mark.parametrize('wrapper', ['model.', 'module.', 'module.model.'])
    def test_wrapped_for_training(
        self, name: str, wrapper: str, checkpoints: dict[str, State]
    ) -> None:
        """Official segmentation has the loss beside the model, which DataParallel wraps."""
        state = official_checkpoint(name, checkpoints)
        wrapped = {f'{wrapper}{n}': t for n, t in state.items()}
        wrapped[f'{wrapper.removesuffix("model.")}loss.criterion.weight'] = torch.ones(CLASSES)
        conversion = convert_checkpoint(
            dict(state_dict=wrapped), task=task_of(name), **options_of(name)
        )
        plain = convert_checkpoint(state, task=task_of(name), **options_of(name))
        assert conversion.state_dict.keys() == plain.state_dict.keys()
        assert any('weights of the loss' in note for note in conversion.notes)


class TestUpsample:
    def test_names_do_not_tell_it(self, checkpoints: dict[str, State]) -> None:
        with pytest.raises(ValueError, match=r'--align-corners\) .*HRNet-OCR, .*master and pyto'):
            convert_checkpoint(checkpoints['segmentation, master'], task='segmentation')
        assert convert_checkpoint(checkpoints['segmentation, master']).upsample == dict(
            mode='bilinear'
        )

    @pytest.mark.parametrize(('name', 'value'), [('OCR', False), ('classification', True)])
    def test_contradiction(self, name: str, value: bool, checkpoints: dict[str, State]) -> None:
        with pytest.raises(
            ValueError, match=f'align_corners={value}, but this "official .*: omit it'
        ):
            convert_checkpoint(checkpoints[name], task=task_of(name), align_corners=value)

    def test_it_may_be_said_where_it_is_known(self, checkpoints: dict[str, State]) -> None:
        said = convert_checkpoint(checkpoints['OCR'], task='segmentation', align_corners=True)
        assert said.upsample == ALIGNED

    def test_it_may_be_said_later(self, checkpoints: dict[str, State], tmp_path: Path) -> None:
        """A backbone for poses does not need it."""
        source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
        torch.save(checkpoints['segmentation, master'], source)
        convert_file(source, target)
        later = convert_file(target, source, align_corners=False, overwrite=True)
        assert (later.task, later.upsample) == ('segmentation', CENTRES)

    def test_pose_models(self) -> None:
        """Of each family as usual; Lite-HRNet has no choice."""
        for family, arch, expected in (
            ('HRNet', 'w18-small-v1', NEAREST),
            ('HRFormer', 'tiny', CENTRES),
            ('LiteHRNet', 'naive-18', None),
        ):
            with torch.device('meta'):
                state = FAMILIES[family].build(arch).state_dict()
                state = {f'backbone.{n}': t for n, t in state.items()}
                state['keypoint_head.final_layer.weight'] = torch.ones(17, 2, 1, 1)
            assert convert_checkpoint(state).upsample == expected

    def test_is_noted(self, checkpoints: dict[str, State]) -> None:
        notes = convert_checkpoint(checkpoints['OCR'], task='segmentation').notes
        assert any("upsample=dict(mode='bilinear', align_corners=True)" in n for n in notes)
        assert any('decode heads need align_corners=True' in n for n in notes)

    def test_stock_segmentation_cannot_choose(self, checkpoints: dict[str, State]) -> None:
        """Without a record of ours, an HRNet of MMSegmentation is stock's."""
        state = convert_state_dict(checkpoints['OCR'], task='segmentation')
        conversion = convert_checkpoint(dict(state), task='segmentation')
        assert conversion.layout == 'MMSegmentation model'
        assert conversion.upsample == CENTRES

    def test_damaged_record(self, checkpoints: dict[str, State]) -> None:
        state = convert_state_dict(checkpoints['OCR'], task='segmentation')
        meta = dict(hrnet_plugin=dict(task='odd', upsample=dict(mode='odd')))
        with pytest.raises(ValueError, match="unknown upsample of the checkpoint mode 'odd'"):
            convert_checkpoint(dict(state_dict=dict(state), meta=meta), task='segmentation')


class TestRefused:
    def test_pose_model_for_another_task(self) -> None:
        state = {'stage2.0.branches.0.0.conv1.weight': torch.ones(1)}
        state |= {'final_layer.weight': torch.ones(17, 2, 1, 1)}
        with pytest.raises(ValueError, match=r'for pose: .* instead of .*, which keeps the model'):
            convert_checkpoint(state, task='segmentation')

    def test_head_without_names(self) -> None:
        state = {'stage2.0.branches.0.0.conv1.weight': torch.ones(1)}
        state |= {'head.0.0.0.conv1.weight': torch.ones(1)}
        with pytest.raises(ValueError, match='OpenMMLab has no names for its head'):
            convert_checkpoint(state, task='classification')

    @pytest.mark.parametrize('damage', ['is missing', r'has \(2,\)'])
    def test_bias_without_its_norm(self, damage: str, checkpoints: dict[str, State]) -> None:
        state = dict(checkpoints['segmentation, master'])
        mean = state.pop('last_layer.1.running_mean')
        if damage != 'is missing':
            state['last_layer.1.running_mean'] = mean[:2]
        with pytest.raises(ValueError, match=rf'convs\.0\.bn\.running_mean, which {damage}'):
            convert_checkpoint(state, task='segmentation', align_corners=False)

    def test_task(self) -> None:
        with pytest.raises(
            ValueError, match="unknown task 'segment'; did you mean 'segmentation'"
        ):
            convert_checkpoint({}, task='segment')  # type: ignore[arg-type]

    def test_keypoints(self, checkpoints: dict[str, State]) -> None:
        with pytest.raises(ValueError, match='num_keypoints=5 is for task="pose"'):
            convert_checkpoint(checkpoints['OCR'], task='segmentation', num_keypoints=5)


class TestModel:
    def test_published(self) -> None:
        with torch.device('meta'):
            backbone = FAMILIES['HRNet'].build('w18-small-v1', multiscale_output=True)
            state = dict(backbone.state_dict())  # without our record
            state |= {f'last_layer.{i}.weight': torch.ones(19, 240, 1, 1) for i in (0, 3)}
        conversion = convert_checkpoint(state, task='segmentation', align_corners=True)
        assert str(conversion.model) == 'HRNet w18-small-v1, 19 classes'

    def test_windows(self) -> None:
        """HRFormer-B segments with windows of 13 and 15, too."""
        with torch.device('meta'):
            state = HRFormer(arch='small', window=15, multiscale_output=True).state_dict()
        conversion = convert_checkpoint(state)
        assert str(conversion.model) == 'HRFormer small, windows of 15, no head'
        assert any('window=15' in note for note in conversion.notes)
