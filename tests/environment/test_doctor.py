"""Conflicts that `hrnet-plugin doctor` finds, in made-up environments and in this one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from hrnet_plugin.environment.doctor import RULES, command, diagnose, notes
from hrnet_plugin.environment.installed import Environment, probe, release
from hrnet_plugin.environment.requirements import (
    OPTIONAL_SETS,
    WORKING_SET,
    explained_import_errors,
)

GOOD = {
    'mmcv-lite': '2.1.0',
    'mmcv-torchvision': '2.1.0',
    'mmdet': '3.3.0',
    'mmengine': '0.10.7',
    'mmpose': '1.3.2',
    'numpy': '2.3.5',
    'opencv-python': '5.0.0.93',
    'openmim': '0.3.9',
    'pycocotools': '2.0.11',
    'setuptools': '80.10.2',
    'six': '1.17.0',
    'torch': '2.13.0',
    'torchvision': '0.28.0',
    'xtcocotools': '1.14.3+pycocotools',
}
NUMPY_1 = 'ValueError: numpy.dtype size changed, may indicate binary incompatibility'
NO_OPS = "ModuleNotFoundError: No module named 'mmcv._ext'"
NMS = 'RuntimeError: operator torchvision::nms does not exist'
GONE = None


def env(failures=(), facts=(), python=(3, 11), **versions):
    """A good environment with other versions; without those that are None."""
    changed = GOOD | {name.replace('_', '-'): version for name, version in versions.items()}
    if versions.get('mmcv'):  # a compiled one, in the place of the two
        changed |= {'mmcv-lite': None, 'mmcv-torchvision': None}
    kept = {name: version for name, version in changed.items() if version is not None}
    return Environment(kept, dict(failures), dict(facts), python)


@pytest.mark.parametrize(
    ('broken', 'reason', 'fix'),
    [
        (env(numpy='2.4.0'), 'numpy 2.4.0: mmpose cannot draw', "pip install 'numpy>=2.2,<2.4'"),
        (
            env({'xtcocotools.mask': NUMPY_1}, xtcocotools='1.14.3'),
            'xtcocotools 1.14.3 was built for numpy 1',
            'packages/xtcocotools-pycocotools',
        ),
        (
            env({'pycocotools.mask': NUMPY_1}),
            'pycocotools 2.0.11 was built for numpy 1',
            '--force-reinstall pycocotools==2.0.11',
        ),
        (
            env({'mmcv._ext': NO_OPS, 'mmdet': NO_OPS, 'mmpose.apis': NO_OPS}, mmcv='2.1.0'),
            'mmcv 2.1.0 was built without its operations',
            'mmcv-lite==2.1.0',
        ),
        (
            env({'mmcv._ext': NO_OPS, 'mmpose.apis': NO_OPS}, mmcv_torchvision=GONE),
            'mmcv-lite 2.1.0 has no operations',
            'packages/mmcv-torchvision',
        ),
        (env(mmcv_lite=GONE, mmcv_torchvision=GONE), 'mmcv is missing', 'mmcv-lite==2.1.0'),
        (
            env(mmcv_lite=GONE),
            'only mmcv/_ext.py is left',
            '--force-reinstall --no-deps mmcv-lite',
        ),
        (
            env(facts=dict(mmcv_files='only mmcv/_ext.py')),
            'only mmcv/_ext.py is left',
            '--force-reinstall --no-deps mmcv-lite',
        ),
        (env(mmcv='2.2.0'), 'mmdet 3.3.0 refuses mmcv 2.2.0', 'mmcv-lite==2.1.0'),
        (env(mmcv='1.7.2', mmdet='3.0.0'), 'mmcv 1.7.2 is of MMPose 0.x', 'mmcv-lite==2.1.0'),
        (
            env(onedl_mmcv='2.3.6'),
            'distributions of onedl and OpenMMLab are installed into the same folders',
            'pip uninstall -y onedl-mmcv',
        ),
        (env(torchvision='0.27.0'), 'was not built for torch 2.13.0', 'torchvision==0.28.0'),
        (
            env(torch='2.13.0+cpu', torchvision='0.28.0+cu130'),
            'torchvision 0.28.0+cu130 was not built for torch 2.13.0+cpu',
            'torch==2.13.0 torchvision==0.28.0',
        ),
        (env({'torchvision': NMS}), 'torchvision::nms', '--force-reinstall torch==2.13.0'),
        (env(setuptools='81.0.0'), 'openmim', "'setuptools<81'"),
        (env(setuptools=GONE), 'openmim', "'setuptools<81'"),
        (env(six=GONE), 'six is missing', 'pip install six'),
        (env(mmpose=GONE), 'mmpose is missing', '--no-deps mmpose==1.3.2'),
        (env(mmpose='0.29.0'), 'mmpose 0.29.0 is 0.x', '--no-deps mmpose==1.3.2'),
        (env(mmdet=GONE), 'mmdet is missing', 'mmdet==3.3.0'),
        (env(mmengine=GONE), 'mmengine is missing', 'mmengine==0.10.7'),
        (env(torch=GONE), 'torch is missing', 'torch==2.13.0'),
        (env(torchvision=GONE), 'torchvision is missing', 'torchvision==0.28.0'),
        (env(xtcocotools=GONE), 'xtcocotools is missing', 'packages/xtcocotools-pycocotools'),
        (env(pycocotools=GONE), 'pycocotools is missing', 'pycocotools==2.0.11'),
        (
            env(opencv_python_headless='4.12.0'),
            'OpenCV is installed twice',
            'pip install opencv-python==5.0.0.93',
        ),
        (env(opencv_python=GONE), 'OpenCV is missing', 'opencv-python==5.0.0.93'),
        (
            env(
                facts=dict(gpu='H200', operations='compiled', mmcv_cuda='not available'),
                mmcv='2.1.0',
            ),
            'torch sees a GPU, but mmcv 2.1.0 was compiled without CUDA',
            'packages/mmcv-torchvision',
        ),
        (
            env(mmsegmentation='1.2.2', ftfy='6.3.1'),
            'mmsegmentation 1.2.2 lacks a package that it imports',
            'pip install mmsegmentation==1.2.2 ftfy regex',
        ),
        (
            env(mmpretrain='1.2.0'),
            'mmpretrain 1.2.0 lacks a package that it imports',
            "pip install mmpretrain==1.2.0 'importlib_metadata<9'",
        ),
        (
            env(
                {'mmpretrain.models': 'ImportError: unforeseen'},
                mmpretrain='1.2.0',
                importlib_metadata='8.9.0',
            ),
            'mmpretrain.models does not import: ImportError: unforeseen',
            "pip install mmpretrain==1.2.0 'importlib_metadata<9'",
        ),
        (env(python=(3, 9)), 'needs Python 3.10', 'python3.11 -m venv'),
        (
            env({'mmdet': 'ImportError: unforeseen'}),
            'mmdet does not import: ImportError: unforeseen',
            '--no-deps mmdet==3.3.0',
        ),
    ],
)
def test_names_the_conflict_and_the_command(broken: Environment, reason: str, fix: str) -> None:
    (conflict,) = diagnose(broken)
    assert reason in conflict.reason
    assert fix in conflict.fix
    assert '{' not in conflict.reason + conflict.fix


def test_every_rule_is_tried_above() -> None:
    (mark,) = test_names_the_conflict_and_the_command.pytestmark
    cases = [case[0] for case in mark.args[1]]
    assert all(any(rule.applies(case) for case in cases) for rule in RULES)


@pytest.mark.parametrize(
    'fine',
    [
        env(),
        env(torch='2.11.0+cpu', torchvision='0.26.0+cpu'),
        env(torch='1.13.1', torchvision='0.14.1'),
        env(opencv_python=GONE, opencv_python_headless='4.12.0'),
        env(numpy='1.26.4'),
        env(openmim=GONE, setuptools='82.0.0'),
        env(facts=dict(gpu='H200', operations='mmcv-torchvision', mmcv_cuda='13.0')),
        env(facts=dict(gpu='H200', operations='compiled', mmcv_cuda='13.0'), mmcv='2.1.0'),
        env(facts=dict(operations='compiled', mmcv_cuda='not available'), mmcv='2.1.0'),
        env(mmcv='2.1.0', xtcocotools='1.14.3'),
        env(
            **dict.fromkeys(('mmpose', 'mmdet', 'xtcocotools'), GONE),
            **dict(mmsegmentation='1.2.2', ftfy='6.3.1', regex='2026.1.1'),
        ),
        env(
            **dict.fromkeys(('mmcv_lite', 'mmengine', 'mmdet'), GONE),
            onedl_mmcv='2.3.6',
            onedl_mmengine='0.10.12',
            onedl_mmdetection='3.5.1',
        ),
    ],
)
def test_no_conflicts(fine: Environment) -> None:
    assert diagnose(fine) == []


def test_everything_at_once() -> None:
    found = diagnose(env(six=GONE, numpy='2.5', setuptools='82'))
    assert len(found) == 3


def test_commands_are_for_this_python() -> None:
    (conflict,) = diagnose(env({'mmcv._ext': NO_OPS}, mmcv='2.1.0'))
    assert len(re.findall(rf'{re.escape(sys.executable)} -m pip', conflict.fix)) == 2
    assert not re.search(r'(^|&& )pip ', conflict.fix)


def test_commands_name_folders_that_are_there() -> None:
    """The wheel contains them."""
    fixes = [command(rule.fix) for rule in RULES]
    folders = {folder for fix in fixes for folder in re.findall(r'\S*/packages/\S+', fix)}
    assert {Path(folder).name for folder in folders} == {
        'mmcv-torchvision',
        'xtcocotools-pycocotools',
    }
    assert all((Path(folder) / 'pyproject.toml').is_file() for folder in folders)


def test_notes_are_not_conflicts() -> None:
    assert notes(env()) == []
    (note,) = notes(env(facts=dict(operations='compiled')))
    assert 'preferred to those of mmcv-torchvision' in note
    (note,) = notes(env(xtcocotools='1.14.3'))
    assert 'with numpy 2.3.5 it cannot read masks' in note
    assert notes(env(xtcocotools='1.14.3', numpy='1.26.4')) == []
    of_onedl = notes(env(onedl_mmcv='2.3.6', onedl_mmengine='0.10.12'))
    assert ['2.3.6' in of_onedl[0], '0.10.12' in of_onedl[1]] == [True, True]
    assert 'unsafe' in of_onedl[1]


def test_working_set_is_pyprojects() -> None:
    tomllib = pytest.importorskip('tomllib', reason='Python 3.10 has no tomllib')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    groups = project['dependency-groups']
    assert sorted(WORKING_SET) == sorted(['mmcv-lite==2.1.0', *groups['openmmlab']])
    assert 'mmcv-lite==2.1.0' in groups['standins']
    optional = sorted(r for requirements in OPTIONAL_SETS.values() for r in requirements)
    assert sorted(groups['tasks']) == optional
    assert 'tasks' in project['tool']['uv']['default-groups']  # tests need them
    names = [re.split('[<>=]', requirement)[0] for requirement in optional]
    assert sorted(project['project']['optional-dependencies']['tasks']) == names


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (
            ModuleNotFoundError("No module named 'mmseg.models'", name='mmseg.models'),
            'seg.py needs mmseg, which is not installed .* '
            'pip install mmsegmentation==1.2.2 ftfy regex installs it',
        ),
        (
            ModuleNotFoundError("No module named 'ftfy'", name='ftfy'),
            'seg.py needs ftfy, .* pip install mmsegmentation==1.2.2 ftfy regex installs it',
        ),
        (
            ModuleNotFoundError('mmpretrain is not installed, please install it manually'),
            "seg.py needs mmpretrain, .* pip install mmpretrain==1.2.0 'importlib_metadata<9'",
        ),
        (
            ModuleNotFoundError('mmdet is not installed, please install mmdet manually'),
            'seg.py needs mmdet, .* `hrnet-plugin doctor` prints',
        ),
        (ImportError('unforeseen', name='mmseg'), 'seg.py cannot be imported .* doctor'),
    ],
)
def test_import_errors_name_what_installs(error: ImportError, message: str) -> None:
    with pytest.raises(ImportError, match=message), explained_import_errors('seg.py'):
        raise error


@pytest.mark.parametrize(
    ('version', 'expected'),
    [('2.13.0+cpu', (2, 13, 0)), ('2.4.0rc1', (2, 4, 0)), ('81', (81,)), ('', ())],
)
def test_release(version: str, expected: tuple[int, ...]) -> None:
    assert release(version) == expected


def test_a_crash_is_reported_and_the_rest_still_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        'crashes_': 'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)',
        'raises_': "raise ImportError('libGL.so.1 is not there')",
        'leaves_': 'import os; os._exit(3)',
        'prints_': "print('{hello}')",
    }.items():
        (tmp_path / f'{name}.py').write_text(text)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    failures, facts = probe(['raises_', 'crashes_', 'json', 'leaves_', 'prints_', 'no_such_'])
    assert failures == {
        'raises_': 'ImportError: libGL.so.1 is not there',
        'crashes_': 'Python crashes (signal 11)',
        'leaves_': 'Python crashes (exit code 3)',
        'no_such_': "ModuleNotFoundError: No module named 'no_such_'",
    }
    assert facts == {}


def doctor(folder: Path, broken: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the doctor where these modules are replaced."""
    for name, text in broken.items():
        (folder / f'{name}.py').write_text(text)
    path = os.pathsep.join([str(folder), os.environ.get('PYTHONPATH', '')])
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'hrnet_plugin', 'doctor'],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
    )


def test_runs_where_every_package_is_broken(tmp_path: Path) -> None:
    names = 'numpy cv2 torch torchvision pycocotools xtcocotools mmengine mmcv mmdet mmpose tqdm'
    broken = "raise ImportError('broken on purpose')"
    ran = doctor(tmp_path, dict.fromkeys(names.split(), broken))
    assert ran.stderr == ''
    assert ran.returncode == 1
    assert 'mmpose.apis does not import: ImportError: broken on purpose' in ran.stdout
    assert f'{sys.executable} -m pip install' in ran.stdout


def test_other_commands_name_the_doctor(tmp_path: Path) -> None:
    (tmp_path / 'cv2.py').write_text("raise ImportError('broken on purpose')")
    ran = subprocess.run(
        [sys.executable, '-m', 'hrnet_plugin', 'check', 'hrnet-w32_coco-256x192'],
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH")}'},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert 'hrnet-plugin: error: ' in ran.stderr
    assert 'broken on purpose' in ran.stderr
    assert '`hrnet-plugin doctor` prints the commands' in ran.stderr
    assert 'Traceback' not in ran.stderr


def test_this_environment(tmp_path: Path) -> None:
    """The environment that `make` installs has no conflicts."""
    ran = doctor(tmp_path, {})
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith('no conflicts\n')
    assert re.search(r'^mmpose +1\.', ran.stdout, re.MULTILINE)
    assert re.search(r'^operations of mmcv: (torchvision|compiled)', ran.stdout, re.MULTILINE)
