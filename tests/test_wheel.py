"""The wheel carries all that `mim` and configs need, and works from any directory."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from support.paths import ROOT
from support.shell import copy_repository
from xtcocotools import mask


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `make release` names, or one that is built here."""
    if built := os.environ.get('HRNET_PLUGIN_WHEEL'):
        return Path(built).resolve()
    folder = tmp_path_factory.mktemp('wheel')
    source = copy_repository(folder / 'source')
    subprocess.run(
        [
            *(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps'),
            *('--no-build-isolation', '--wheel-dir', str(folder), str(source)),
        ],
        check=True,
    )
    (path,) = folder.glob('*.whl')
    return path


def run(wheel: Path, tmp_path: Path, code: str) -> list[str]:
    """Words that code prints in another directory, where the wheel is what is installed."""
    target, elsewhere = tmp_path / 'site', tmp_path / 'elsewhere'
    elsewhere.mkdir()
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target']
    subprocess.run([*pip, str(target), str(wheel)], check=True)
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=elsewhere,
        env={'PYTHONPATH': str(target), 'PATH': ''},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_is_pure_python(wheel: Path) -> None:
    assert wheel.name.endswith('-py3-none-any.whl')


def test_carries_configs_tools_and_index(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    expected = {
        f'hrnet_plugin/.mim/{path.relative_to(ROOT)}'
        for pattern in (
            'configs/**/*.py',
            'configs/**/*.yml',
            'tools/*.py',
            'model-index.yml',
            'packages/*/pyproject.toml',
            'packages/*/README.md',
            'packages/*/src/*/*.py',
            'packages/*/src/*/py.typed',
        )
        for path in ROOT.glob(pattern)
    }
    assert len(expected) > 10
    assert {name for name in names if '/.mim/' in name} == expected
    assert not [name for name in names if name.startswith('tests')]


def test_is_typed(wheel: Path) -> None:
    """For type checkers: the marker, and the stubs of packages whose names are lazy."""
    names = set(ZipFile(wheel).namelist())
    stubs = {str(path.relative_to(ROOT)) for path in ROOT.glob('hrnet_plugin/**/*.pyi')}
    assert len(stubs) > 5
    assert names >= {'hrnet_plugin/py.typed', *stubs}


def test_carries_what_pages_are_made_of(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    parts = {str(path.relative_to(ROOT)) for path in ROOT.glob('hrnet_plugin/report/page.*')}
    assert {Path(part).suffix for part in parts} == {'.css', '.j2', '.js', '.py'}
    assert names >= parts


def test_installing_it_changes_no_version_of_the_environment(wheel: Path) -> None:
    """pip has no index here: anything else to install would be an error."""
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--dry-run', '--no-index']
    result = subprocess.run(
        [*pip, '--force-reinstall', '--no-deps', '--report', '-', str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    )
    report = json.loads(result.stdout)
    assert [item['metadata']['name'] for item in report['install']] == ['hrnet-plugin']
    requirements = report['install'][0]['metadata']['requires_dist']
    needed = [each for each in requirements if 'extra ==' not in each]
    assert sorted(needed) == ['numpy', 'pycocotools', 'torch', 'tqdm']
    subprocess.run([*pip, *requirements], check=True)


def test_make_installs_neither_chumpy_nor_what_was_built_for_numpy_1() -> None:
    try:
        import tomllib
    except ImportError:  # Python 3.10, where pytest brings its own
        import tomli as tomllib
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['uv']
    assert 'chumpy' in settings['exclude-dependencies']
    assert 'xtcocotools' in settings['no-binary-package']
    assert find_spec('chumpy') is None
    assert np.lib.NumpyVersion(np.__version__) >= '2.0.0'
    # Built for another NumPy, it would not even be imported.
    assert mask.encode(np.ones((2, 3), np.uint8, order='F'))['size'] == [2, 3]


def test_works_from_any_directory(wheel: Path, tmp_path: Path) -> None:
    code = """
import hrnet_plugin, pathlib
from hrnet_plugin.apis import find_config
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmpose.models import build_pose_estimator
from mmpose.utils import register_all_modules
register_all_modules()
here = pathlib.Path(hrnet_plugin.__file__).parent
config = find_config('hrnet-w32_coco-256x192')
print(here.parent, type(build_pose_estimator(Config.fromfile(config).model)).__name__)
pathlib.Path('mine.py').write_text(
    "_base_ = 'hrnet_plugin::body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'"
)
print(Config.fromfile('mine.py').model.backbone.arch)
print(BaseInferencer._get_repo_or_mim_dir('hrnet_plugin'))
"""
    site = tmp_path / 'site'
    mim = str(site / 'hrnet_plugin/.mim')
    assert run(wheel, tmp_path, code) == [str(site), 'TopdownPoseEstimator', 'w32', mim]
