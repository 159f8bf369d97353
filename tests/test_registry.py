"""How registries find our classes, in processes of their own: each imports a module once."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from mmpose.registry import MODELS

HRNET = "dict(type='hrnet_plugin.HRNet', arch='w18-small-v1')"


def run(code: str, cwd: Path) -> str:
    """Run Python code in a folder from which the package is only reachable as installed."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, cwd=cwd
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    ('scope', 'custom_imports'),
    [
        ('mmpose', False),
        ('mmdet', True),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [
                ('mmpose', True),
                ('mmdet', False),
                ('mmengine', True),
                ('mmengine', False),
            ]
        ),
    ],
)
def test_types_resolve_from_every_scope(tmp_path: Path, scope: str, custom_imports: bool) -> None:
    code = f"""
import sys
from mmengine.config import Config
from mmengine.registry import METRICS, MODELS, init_default_scope
init_default_scope({scope!r})
if {custom_imports}:
    Config.fromstring("custom_imports = dict(imports=['hrnet_plugin'])", '.py')
    assert 'hrnet_plugin' in sys.modules
if {scope!r} != 'mmengine':
    import importlib
    models = importlib.import_module({scope!r} + '.registry').MODELS
else:
    models = MODELS
from mmpose.registry import KEYPOINT_CODECS
codec = dict(type='hrnet_plugin.GaussianHeatmap', input_size=(8, 8), heatmap_size=(4, 4), sigma=1)
head = dict(type='hrnet_plugin.HeatmapHead', in_channels=16, out_channels=17, decoder=codec)
print('built', type(models.build({HRNET})).__name__)
print('built', type(models.build(head)).__name__)
estimator = dict(type='hrnet_plugin.TopdownPoseEstimator', backbone={HRNET}, head=head)
print('built', type(models.build(estimator)).__name__)
print('built', type(METRICS.build(dict(type='hrnet_plugin.OKSMetric'))).__name__)
print('built', type(KEYPOINT_CODECS.build(codec)).__name__)
"""
    # MMEngine's log goes to the same place.
    lines = [line.split() for line in run(code, tmp_path).splitlines()]
    assert [line[1] for line in lines if line[0] == 'built'] == [
        'HRNet',
        'HeatmapHead',
        'TopdownPoseEstimator',
        'OKSMetric',
        'GaussianHeatmap',
    ]


def test_our_scope_finds_what_is_mmposes_and_mmengines(tmp_path: Path) -> None:
    """Configs from ``_base_ = 'hrnet_plugin::…'`` have it as the scope of all their types."""
    code = """
from mmengine import registry as root
from mmengine.registry import init_default_scope
from mmpose import registry as mmpose
import hrnet_plugin
init_default_scope('hrnet_plugin')
for kind, name in [('MODELS', 'PoseDataPreprocessor'), ('DATASETS', 'CocoDataset'),
                   ('TRANSFORMS', 'TopdownAffine'), ('HOOKS', 'CheckpointHook'),
                   ('METRICS', 'CocoMetric'), ('METRICS', 'OKSMetric'), ('LOOPS', 'TestLoop'),
                   ('DATA_SAMPLERS', 'DefaultSampler'), ('VISUALIZERS', 'PoseLocalVisualizer'),
                   ('OPTIM_WRAPPERS', 'OptimWrapper'), ('PARAM_SCHEDULERS', 'MultiStepLR'),
                   ('MODELS', 'HRNet'), ('KEYPOINT_CODECS', 'UDPHeatmap')]:
    registry = getattr(root if hasattr(root, kind) else mmpose, kind)
    with registry.switch_scope_and_registry(None) as here:
        assert here.scope == 'hrnet_plugin', kind
        print('found', here.get(name).__module__.split('.')[0])
    assert here.get('NoSuchThing') is None
"""
    lines = [line.split() for line in run(code, tmp_path).splitlines()]
    assert not [line for line in lines if 'WARNING' in line]
    assert [line[1] for line in lines if line[0] == 'found'] == [
        *('mmpose', 'mmpose', 'mmpose', 'mmengine', 'mmpose', 'hrnet_plugin', 'mmengine'),
        *('mmengine', 'mmpose', 'mmengine', 'mmengine', 'hrnet_plugin', 'mmpose'),
    ]


@pytest.mark.parametrize(
    'order',
    [
        'import mmpose.models, hrnet_plugin',
        pytest.param('import hrnet_plugin, mmpose.models', marks=pytest.mark.slow),
        'import hrnet_plugin, sys; '
        "[sys.modules.pop(m) for m in list(sys.modules) if m.startswith('hrnet_plugin')]; "
        'import hrnet_plugin, mmpose.models',
    ],
)
def test_order_and_repetition_are_harmless(tmp_path: Path, order: str) -> None:
    code = f"""
{order}
from mmpose.registry import KEYPOINT_CODECS, METRICS, MODELS
for registry, name in [(MODELS, 'HRNet'), (MODELS, 'HeatmapHead'),
                       (MODELS, 'TopdownPoseEstimator'), (METRICS, 'CocoMetric')]:
    assert registry.get(name).__module__.startswith('mmpose.'), name
assert MODELS.get('hrnet_plugin.HRNet').__module__.startswith('hrnet_plugin.')
print(type(MODELS.build({HRNET})).__module__)
"""
    assert run(code, tmp_path) == 'hrnet_plugin.models.backbones.hrnet'


def test_misspelled_option_reaches_the_user_through_a_registry() -> None:
    option = dict(type='hrnet_plugin.HRNet', arch='w18-small-v1', frozen_stage=1)
    message = "unknown option of HRNet 'frozen_stage'; did you mean 'frozen_stages'"
    with pytest.raises(TypeError, match=message):
        MODELS.build(option)


@pytest.mark.parametrize('package', ['mmpose', pytest.param('mmdet', marks=pytest.mark.slow)])
def test_backbones_need_neither_mmpose_nor_mmdet(tmp_path: Path, package: str) -> None:
    """So that users of MMSegmentation and MMPretrain are not asked for them."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from mmengine.registry import HOOKS, METRICS, MODELS
print(type(MODELS.build({HRNET})).__name__)
print(HOOKS.get('hrnet_plugin.AtomicCheckpointHook').__name__)
print(METRICS.get('hrnet_plugin.OKSMetric').__name__)
"""
    assert run(code, tmp_path).split() == ['HRNet', 'AtomicCheckpointHook', 'OKSMetric']


MISSING = {
    'mmpose': 'HeatmapHead needs mmpose, which is not installed',
    'mmcv._ext': 'HeatmapHead needs the operations of MMCV',
}
USES = {
    'build': 'from mmengine.registry import MODELS; '
    "MODELS.build(dict(type='hrnet_plugin.HeatmapHead', in_channels=1, out_channels=1))",
    'import from the package': 'from hrnet_plugin import HeatmapHead',
    'import from its room': 'from hrnet_plugin.models import HeatmapHead',
}
QUICK = [('mmpose', 'build'), ('mmcv._ext', 'import from the package')]


@pytest.mark.parametrize(
    ('missing', 'use'),
    [
        pytest.param(*row, marks=[] if row in QUICK else [pytest.mark.slow])
        for row in product(MISSING, USES)
    ],
)
def test_a_missing_package_is_named_when_it_is_needed(
    tmp_path: Path, missing: str, use: str
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
try:
    {USES[use]}
except ImportError as error:
    print(error)
"""
    printed = run(code, tmp_path)
    assert MISSING[missing] in printed
    assert '`hrnet-plugin doctor` prints the commands' in printed
