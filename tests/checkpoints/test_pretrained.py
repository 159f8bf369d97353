"""A backbone starts from the weights of any task, or says why it cannot."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from hrnet_plugin.apis import convert_file
from hrnet_plugin.models import HRFormer, HRNet, LiteHRNet
from hrnet_plugin.models.archs import HRFORMER_ARCHS, LITEHRNET_ARCHS

SMALL = 'w18-small-v1'
ALIGNED = dict(mode='bilinear', align_corners=True)
CENTRES = dict(mode='bilinear', align_corners=False)
State = dict[str, Tensor]

# Some names of each kind of head, and what the backbone was trained with
HEADS: dict[str, tuple[str, tuple[str, ...], dict[str, Any] | None]] = {
    'segmentation': ('', ('last_layer.0.weight', 'last_layer.3.weight'), CENTRES),
    'segmentation, OCR': ('', ('ocr_distri_head.conv_bn_dropout.0.weight',), ALIGNED),
    'classification': ('', ('incre_modules.0.0.conv1.weight', 'classifier.weight'), None),
    'detection': ('backbone.', ('neck.fpn_conv.0.weight', 'rpn_head.rpn_cls.weight'), None),
    'pose': ('', ('final_layer.weight',), None),
}


def trained(model: nn.Module) -> State:
    """Weights that no initialisation gives, each tensor's of its own."""
    state = model.state_dict()
    return {n: torch.full_like(t, i % 97) for i, (n, t) in enumerate(state.items())}


@pytest.fixture(scope='module')
def weights() -> State:
    return trained(HRNet(arch=SMALL, multiscale_output=True))


def save(path: Path, state: State, prefix: str = '', heads: tuple[str, ...] = ()) -> str:
    state = {f'{prefix}{n}': t for n, t in state.items()}
    torch.save(state | {name: torch.ones(2, 2, 1, 1) for name in heads}, path)
    return str(path)


def start(file: str, kind: Any = HRNet, prefix: str | None = 'backbone.', **options: Any) -> Any:
    """A backbone whose weights are those of a file."""
    init_cfg = dict(type='Pretrained', checkpoint=file, prefix=prefix)
    init_cfg |= options.pop('init_cfg', {})
    backbone = kind(**(dict(arch=SMALL) if kind is HRNet else {}) | options, init_cfg=init_cfg)
    backbone.init_weights()
    return backbone


def assert_loaded(backbone: nn.Module, weights: State) -> None:
    state = backbone.state_dict()
    assert len(state) > 100
    assert all(torch.equal(tensor, weights[name]) for name, tensor in state.items())


@pytest.mark.parametrize('prefix', ['backbone.', 'backbone', None])
@pytest.mark.parametrize('kind', HEADS)
class TestAnyTask:
    def test_official(self, tmp_path: Path, weights: State, kind: str, prefix: str | None) -> None:
        before, heads, upsample = HEADS[kind]
        file = save(tmp_path / 'in.pth', weights, before, heads)
        assert_loaded(start(file, prefix=prefix, upsample=upsample), weights)

    def test_converted(
        self, tmp_path: Path, weights: State, kind: str, prefix: str | None
    ) -> None:
        """To a backbone for poses, as the command does by default."""
        before, heads, upsample = HEADS[kind]
        file = save(tmp_path / 'in.pth', weights, before, heads)
        convert_file(file, file, overwrite=True)
        assert_loaded(start(file, prefix=prefix, upsample=upsample), weights)


class TestLog:
    def lines(self, monkeypatch: pytest.MonkeyPatch, file: str, **options: Any) -> list[str]:
        lines: list[str] = []
        monkeypatch.setattr(
            'hrnet_plugin.checkpoints.pretrained.print_log', lambda line, **_: lines.append(line)
        )
        start(file, **options)
        return lines

    def test_one_line_says_what_is_left_out(
        self, tmp_path: Path, weights: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not hundreds of names of the head, of which some might matter."""
        _, heads, _ = HEADS['classification']
        file = save(tmp_path / 'in.pth', weights, '', heads)
        (line,) = self.lines(monkeypatch, file)
        assert f'HRNet from {file}: official ImageNet classifier: HRNet {SMALL}, no head' in line
        assert 'dropped 2 tensors (incre_modules, classifier): the classification head' in line
        unread = [n for n in weights if n.startswith('stage4.0.fuse_layers.') and n[21] in '123']
        assert f'left out {len(unread)} tensors that this backbone has no use for' in line
        assert len(line) < 400 + 2 * len(file)

    def test_nothing_is_left_out(
        self, tmp_path: Path, weights: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = save(tmp_path / 'in.pth', weights)
        (line,) = self.lines(monkeypatch, file, multiscale_output=True)
        assert ' left ' not in line
        assert 'dropped' not in line

    def test_in_the_log_of_a_run(self, tmp_path: Path, weights: State) -> None:
        """MMEngine notes where each parameter came from."""
        log = tmp_path / 'run.log'
        MMLogger.get_instance('test_pretrained', log_file=str(log))

        class Model(BaseModule):
            def __init__(self) -> None:
                super().__init__()
                file = save(tmp_path / 'in.pth', weights)
                init_cfg = dict(type='Pretrained', checkpoint=file)
                self.backbone = HRNet(arch=SMALL, init_cfg=init_cfg)

        model = Model()
        model.init_weights()
        assert_loaded(model.backbone, weights)
        text = log.read_text()
        assert text.count('initialised HRNet from') == 1
        assert text.count('PretrainedBackbone: ') > 150  # of 174; some keep their mean


class TestRefused:
    """Weights that would silently not load."""

    def refused(self, tmp_path: Path, state: State, match: str, **options: Any) -> None:
        file = save(tmp_path / 'in.pth', state)
        with pytest.raises(ValueError, match=rf'in\.pth: does not fit the backbone.*{match}'):
            start(file, **options)

    def test_missing(self, tmp_path: Path, weights: State) -> None:
        state = {n: t for n, t in weights.items() if not n.startswith('layer1.0.conv1')}
        self.refused(tmp_path, state, r'1 tensor: layer1\.0\.conv1\.weight is missing')

    def test_other_shape(self, tmp_path: Path, weights: State) -> None:
        self.refused(
            tmp_path,
            weights,
            r'conv1\.weight is \(64, 3, 3, 3\) instead of \(64, 1, 3, 3\)',
            in_channels=1,
        )

    def test_other_architecture(self, tmp_path: Path, weights: State) -> None:
        self.refused(
            tmp_path, weights, f'it is backbone alone: HRNet {SMALL}, no head', arch='w18-small-v2'
        )

    def test_one_row_of_the_last_exchange(self, tmp_path: Path, weights: State) -> None:
        """All may be missing, but not one."""
        state = {n: t for n, t in weights.items() if not n.startswith('stage4.0.fuse_layers.3')}
        self.refused(tmp_path, state, 'is missing', multiscale_output=True)

    def test_no_position_bias(self, tmp_path: Path) -> None:
        state = trained(HRFormer(small_hrformer(), with_rpe=False))
        self.refused(
            tmp_path, state, 'bias_table is missing', kind=HRFormer, extra=small_hrformer()
        )

    def test_unknown_layout(self, tmp_path: Path) -> None:
        file = save(tmp_path / 'in.pth', {'layer1.0.conv1.weight': torch.ones(1)})
        with pytest.raises(ValueError, match=r'in\.pth: not a known checkpoint'):
            start(file)

    def test_prefix(self, tmp_path: Path, weights: State) -> None:
        file = save(tmp_path / 'in.pth', weights, 'teacher.')
        with pytest.raises(ValueError, match=r"in\.pth: no name begins with prefix='student'"):
            start(file, prefix='student')

    def test_damaged(self, tmp_path: Path) -> None:
        (tmp_path / 'in.pth').write_bytes(b'PK')
        with pytest.raises(ValueError, match=r'in\.pth is cut short'):
            start(str(tmp_path / 'in.pth'))
        with pytest.raises(FileNotFoundError, match=r'no\.pth'):
            start(str(tmp_path / 'no.pth'))

    def test_option(self, weights: State) -> None:
        with pytest.raises(TypeError, match="'chekpoint'; did you mean 'checkpoint'"):
            start('in.pth', init_cfg=dict(chekpoint='in.pth'))


class TestUpsample:
    def test_of_segmentation(self, tmp_path: Path, weights: State) -> None:
        _, heads, _ = HEADS['segmentation, OCR']
        file = save(tmp_path / 'in.pth', weights, '', heads)
        with pytest.raises(
            ValueError,
            match=r"set upsample=dict\(mode='bilinear', align_corners=True\) of the backbone, or "
            'check_upsample=False of init_cfg',
        ):
            start(file)
        assert_loaded(start(file, init_cfg=dict(check_upsample=False)), weights)

    def test_that_names_do_not_tell(self, tmp_path: Path, weights: State) -> None:
        """Either way of bilinear upsampling is accepted."""
        _, heads, _ = HEADS['segmentation']
        file = save(tmp_path / 'in.pth', weights, '', heads)
        with pytest.raises(ValueError, match=r"upsample=dict\(mode='bilinear'\)"):
            start(file)
        assert_loaded(start(file, upsample=ALIGNED), weights)

    def test_of_a_converted_file(self, tmp_path: Path, weights: State) -> None:
        """It has no names of the head any more, but a record."""
        _, heads, _ = HEADS['segmentation, OCR']
        file = save(tmp_path / 'in.pth', weights, '', heads)
        convert_file(file, file, overwrite=True)
        with pytest.raises(ValueError, match=r'were trained with .*align_corners=True'):
            start(file, upsample=CENTRES)

    @pytest.mark.parametrize(
        ('before', 'prefix'), [('', 'backbone'), ('teacher.backbone.', 'teacher.backbone')]
    )
    def test_of_a_training(self, tmp_path: Path, before: str, prefix: str) -> None:
        """Whatever the head, a backbone records what it was trained with."""
        part = before or 'backbone.'
        model = HRNet(arch=SMALL, upsample=ALIGNED)
        state = model.state_dict(prefix=part)
        state['head.final_layers.0.weight'] = torch.ones(1)
        torch.save(dict(state_dict=state), tmp_path / 'in.pth')
        with pytest.raises(ValueError, match=r'were trained with .*align_corners=True'):
            start(str(tmp_path / 'in.pth'), prefix=prefix)
        loaded = start(str(tmp_path / 'in.pth'), prefix=prefix, upsample=ALIGNED)
        assert_loaded(loaded, model.state_dict())

    @pytest.mark.parametrize('convert', [False, True])
    def test_of_imagenet(self, tmp_path: Path, weights: State, convert: bool) -> None:
        """Segmentation starts from its weights with another one."""
        _, heads, _ = HEADS['classification']
        file = save(tmp_path / 'in.pth', weights, '', heads)
        if convert:
            convert_file(file, file, overwrite=True)
        assert_loaded(start(file, upsample=ALIGNED), weights)


def small_hrformer() -> dict[str, Any]:
    extra = HRFORMER_ARCHS['small'].extra
    for i, stage in enumerate(('stage2', 'stage3', 'stage4'), start=2):
        extra[stage] |= dict(num_modules=1, num_channels=tuple(8 * 2**s for s in range(i)))
    return extra | dict(drop_path_rate=0.0)


class TestOtherBackbones:
    def test_without_position_bias(self, tmp_path: Path) -> None:
        state = trained(HRFormer(small_hrformer()))
        file = save(tmp_path / 'in.pth', state)
        assert_loaded(start(file, HRFormer, extra=small_hrformer(), with_rpe=False), state)

    def test_other_windows(self, tmp_path: Path) -> None:
        """Tables of position biases are resized; the indices are those of the new windows."""
        state = HRFormer(small_hrformer()).state_dict()
        for name, tensor in state.items():
            if name.endswith('bias_table'):
                rows, columns = torch.meshgrid(*[torch.arange(13.0) - 6] * 2, indexing='ij')
                tensor.copy_((rows + 10 * columns).reshape(-1, 1).expand_as(tensor))
        file = save(tmp_path / 'in.pth', state)
        backbone = start(file, HRFormer, extra=small_hrformer(), window=13)
        fresh = HRFormer(small_hrformer(), window=13).state_dict()
        tables = 0
        for name, tensor in backbone.state_dict().items():
            if name.endswith('position_index'):
                assert torch.equal(tensor, fresh[name])
            elif name.endswith('bias_table'):
                tables += 1
                table = tensor.reshape(25, 25, -1)
                assert table[12, 12].abs().max() < 1e-5  # no offset
                # Pixels of the larger map are 13 / 25 as far apart.
                steps = table[13, 12] - table[12, 12], table[12, 13] - table[12, 12]
                assert torch.allclose(steps[0], torch.full_like(steps[0], 13 / 25), rtol=0.02)
                assert torch.allclose(steps[1], torch.full_like(steps[1], 130 / 25), rtol=0.02)
            else:
                assert torch.equal(tensor, state[name])
        assert tables == 18

    def test_litehrnet(self, tmp_path: Path) -> None:
        extra = LITEHRNET_ARCHS['naive-18'].extra
        state = trained(LiteHRNet(extra))
        file = save(tmp_path / 'in.pth', state, 'backbone.')
        assert_loaded(start(file, LiteHRNet, extra=extra), state)

    def test_more_streams(self, tmp_path: Path, weights: State) -> None:
        """Pose models lack rows of the last exchange, which start as initialised."""
        state = {n: weights[n] for n in HRNet(arch=SMALL).state_dict()}
        file = save(tmp_path / 'in.pth', state)
        loaded = start(file, multiscale_output=True).state_dict()
        assert set(state) < set(loaded)
        assert all(torch.equal(loaded[n], t) for n, t in state.items())

    def test_below_another_prefix(self, tmp_path: Path, weights: State) -> None:
        file = save(tmp_path / 'in.pth', weights, 'teacher.backbone.', ('student.weight',))
        assert_loaded(start(file, prefix='teacher.backbone'), weights)

    def test_behind_unknown_heads(self, tmp_path: Path, weights: State) -> None:
        """Of bottom-up pose models, for example."""
        heads = ('head.final_layers.0.weight',)
        file = save(tmp_path / 'in.pth', weights, 'backbone.', heads)
        assert_loaded(start(file), weights)


class TestInitCfg:
    def test_a_list(self, tmp_path: Path, weights: State) -> None:
        """Pretrained weights come last, as MMEngine has it, and behind zero_init_residual."""
        file = save(tmp_path / 'in.pth', weights)
        init_cfg = [
            dict(type='Pretrained', checkpoint=file, map_location='cpu'),
            dict(type='Constant', val=5, layer='Conv2d'),
        ]
        backbone = HRNet(arch=SMALL, init_cfg=init_cfg, zero_init_residual=True)
        backbone.init_weights()
        assert_loaded(backbone, weights)
        assert backbone.init_cfg == init_cfg

    def test_url(self, weights: State, monkeypatch: pytest.MonkeyPatch) -> None:
        """MMEngine fetches it."""
        url = 'https://example.com/weights.pth'
        monkeypatch.setattr(
            CheckpointLoader, 'load_checkpoint', lambda name, **_: {url: weights}[name]
        )
        assert_loaded(start(url), weights)

    def test_only_once(self, tmp_path: Path, weights: State) -> None:
        backbone = start(save(tmp_path / 'in.pth', weights))
        with torch.no_grad():
            backbone.conv1.weight.fill_(0.5)
        backbone.init_weights()
        assert backbone.conv1.weight.eq(0.5).all()
