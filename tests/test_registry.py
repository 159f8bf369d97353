"""How classes are found and built by configs of OpenMMLab's packages.

What depends on the order of imports runs in a process of its own.
"""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import METRICS
from mmpose.registry import MODELS

from hrnet_plugin import registry
from hrnet_plugin.registry import PluginRegistry, strict_options

slow = pytest.mark.slow  # each takes seconds to import everything
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
        ('mmengine', False),
        pytest.param('mmdet', False, marks=slow),
        pytest.param('mmpose', True, marks=slow),
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
    # MMEngine logs to the same stream.
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
        print('from', here.get(name).__module__.split('.')[0])
    assert here.get('NoSuchThing') is None
"""
    lines = [line.split() for line in run(code, tmp_path).splitlines()]
    assert not [line for line in lines if 'WARNING' in line]
    assert [line[1] for line in lines if line[0] == 'from'] == [
        *('mmpose', 'mmpose', 'mmpose', 'mmengine', 'mmpose', 'hrnet_plugin', 'mmengine'),
        *('mmengine', 'mmpose', 'mmengine', 'mmengine', 'hrnet_plugin', 'mmpose'),
    ]


# user_pains 11
@pytest.mark.parametrize(
    'order',
    [
        pytest.param('import mmpose.models, hrnet_plugin', marks=slow),
        'import hrnet_plugin, sys; '
        "[sys.modules.pop(m) for m in list(sys.modules) if m.startswith('hrnet_plugin')]; "
        'import hrnet_plugin, mmpose.models',
    ],
    ids=['after mmpose', 'twice, before mmpose'],
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


@pytest.mark.parametrize('package', ['mmpose', pytest.param('mmdet', marks=slow)])
def test_backbones_need_neither_mmpose_nor_mmdet(tmp_path: Path, package: str) -> None:
    """So that users of MMSegmentation and MMPretrain need not install them."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from mmengine.registry import HOOKS, METRICS, MODELS
print(type(MODELS.build({HRNET})).__name__)
print(HOOKS.get('hrnet_plugin.AtomicCheckpointHook').__name__)
print(METRICS.get('hrnet_plugin.OKSMetric').__name__)
"""
    assert run(code, tmp_path).split() == ['HRNet', 'AtomicCheckpointHook', 'OKSMetric']


USES = ('from_package', 'from_room', 'by_config')


@pytest.mark.parametrize(
    ('missing', 'uses', 'message'),
    [
        ('mmpose', (*USES,), 'HeatmapHead needs mmpose, which is not installed'),
        # MMPose, half imported, cannot be imported again in the same process.
        *(
            pytest.param('mmcv._ext', (use,), 'needs the operations of MMCV', marks=slow, id=use)
            for use in USES
        ),
    ],
)
def test_a_missing_package_is_named_when_it_is_needed(
    tmp_path: Path, missing: str, uses: tuple[str, ...], message: str
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
def by_config():
    from mmengine.registry import MODELS
    MODELS.build(dict(type='hrnet_plugin.HeatmapHead', in_channels=1, out_channels=1))
def from_package():
    from hrnet_plugin import HeatmapHead
def from_room():
    from hrnet_plugin.models import HeatmapHead
for use in ({', '.join(uses)},):
    try:
        use()
    except ImportError as error:
        print(str(error).replace(chr(10), ' '))
"""
    errors = run(code, tmp_path).splitlines()
    assert len(errors) == len(uses)
    for error in errors:
        assert message in error
        assert '`hrnet-plugin doctor` prints the commands' in error


class TestStrictOptions:
    def registered(self) -> list[type]:
        registries = [r for r in vars(registry).values() if isinstance(r, PluginRegistry)]
        for each in registries:
            each.import_from_location()
            assert each.missing is None
        found = [each for known in registries for each in known.module_dict.values()]
        return [each for each in found if inspect.isclass(each)]  # functions say it themselves

    def test_every_registered_class_names_a_wrong_option(self) -> None:
        classes = self.registered()
        assert len(classes) >= 11
        for cls in classes:
            with pytest.raises(TypeError, match=rf"unknown option of {cls.__name__} 'no_such'"):
                cls(no_such=1)

    @pytest.mark.parametrize('cls', ['HRNet', 'HeatmapHead', 'AtomicCheckpointHook', 'OKSMetric'])
    def test_signatures_list_the_options(self, cls: str) -> None:
        """For editors and ``help()``: nothing is hidden behind ``**kwargs`` of our own."""
        (registered,) = [c for c in self.registered() if c.__name__ == cls]
        parameters = inspect.signature(registered).parameters
        assert len(parameters) > 8
        assert 'args' not in parameters

    def test_misspelled_option_in_a_config(self) -> None:
        with pytest.raises(TypeError, match=r"option of HRNet 'frozen_stage'; did you mean 'froz"):
            MODELS.build(dict(type='hrnet_plugin.HRNet', arch='w18', frozen_stage=1))
        with pytest.raises(TypeError, match=r"option of OKSMetric 'nms_mod'; did you mean 'nms_m"):
            METRICS.build(dict(type='hrnet_plugin.OKSMetric', nms_mod='none'))

    def test_options_that_are_passed_on(self) -> None:
        class Stock:
            def __init__(self, width: int = 1, **unread: Any) -> None:
                self.width = width

        @strict_options
        class Middle(Stock):
            def __init__(self, *args: Any, depth: int = 2, **options: Any) -> None:
                super().__init__(*args, **options)
                self.depth = depth

        @strict_options
        class Ours(Middle):
            pass

        assert vars(Ours(depth=3, width=4)) == dict(depth=3, width=4)
        assert vars(Ours(4)) == dict(depth=2, width=4)
        message = r"unknown option of Ours 'widht'; did you mean 'width'\? Valid: 'depth', 'width'"
        with pytest.raises(TypeError, match=message):
            Ours(widht=4)

    def test_options_end_where_none_are_passed_on(self) -> None:
        class Base:
            def __init__(self, width: int = 1) -> None:
                self.width = width

        @strict_options
        class Ours(Base):
            def __init__(self, depth: int = 2) -> None:
                super().__init__(width=7)

        with pytest.raises(TypeError, match=r"unknown option of Ours 'width'; .*Valid: 'depth'$"):
            Ours(width=4)
        assert Ours(3).width == 7
        assert str(inspect.signature(Ours)) == '(depth: int = 2) -> None'

    def test_without_options(self) -> None:
        @strict_options
        class Ours:
            pass

        Ours()
        with pytest.raises(TypeError, match="unknown option of Ours 'width'; there is none"):
            Ours(width=4)
