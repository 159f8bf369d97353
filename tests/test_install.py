"""Installing needs no compiler, and changes nothing of an environment that is there."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from support.paths import ROOT
from support.shell import copy_repository

from hrnet_plugin.environment.doctor import (
    INSTALL_OPERATIONS,
    INSTALL_XTCOCOTOOLS,
    PACKAGES,
    command,
)

SOURCES = (ROOT, *sorted((ROOT / 'packages').iterdir()))
# A GPU that torch sees, without a CUDA toolkit: there, mmcv's own sources do not build.
FAKE_GPU = """
import torch
import torch.utils.cpp_extension
torch.cuda.is_available = lambda: True
torch.utils.cpp_extension.CUDA_HOME = None
"""
REGISTRY_ONLY = {'PIP_CONFIG_FILE': os.devnull, 'PIP_FIND_LINKS': ''}


def without_compilers(folder: Path) -> dict[str, str]:
    """Environment variables of a machine where compiling anything fails."""
    folder.mkdir()
    for name in ('cc', 'c++', 'gcc', 'g++', 'clang', 'ninja', 'nvcc'):
        (folder / name).symlink_to(str(shutil.which('false')))
    hidden = ('CUDA_HOME', 'CUDA_PATH', 'PYTHONPATH')
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {
        'PATH': f'{folder}{os.pathsep}{os.environ["PATH"]}',
        'CC': 'false',
        'CXX': 'false',
        'FAKE_GPU': '1',
    }


def pip(*arguments: str, env: dict[str, str], python: str = sys.executable) -> str:
    result = subprocess.run(
        [python, '-m', 'pip', *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def readme_lines(heading: str) -> list[str]:
    """Command lines of the first block of code under a heading of README.md."""
    section = (ROOT / 'README.md').read_text().split(f'## {heading}\n')[1]
    return re.findall(r'```sh\n(.*?)```', section, re.DOTALL)[0].strip().splitlines()


@pytest.mark.slow
def test_builds_without_a_compiler_beside_a_gpu(tmp_path: Path) -> None:
    env = without_compilers(tmp_path / 'bin')
    (tmp_path / 'fake').mkdir()
    (tmp_path / 'fake' / 'sitecustomize.py').write_text(FAKE_GPU)
    env['PYTHONPATH'] = str(tmp_path / 'fake')
    copy = copy_repository(tmp_path / 'source')
    sources = [str(copy / path.relative_to(ROOT)) for path in SOURCES]
    assert len(sources) == 3
    options = ('--quiet', '--no-deps', '--no-index', '--no-build-isolation')
    pip('wheel', *options, '--wheel-dir', str(tmp_path / 'wheels'), *sources, env=env)
    wheels = sorted(path.name for path in (tmp_path / 'wheels').iterdir())
    assert [name.split('-')[0] for name in wheels] == [
        'hrnet_plugin',
        'mmcv_torchvision',
        'xtcocotools',
    ]
    assert all(name.endswith('-py3-none-any.whl') for name in wheels)


@pytest.mark.slow
def test_mmcv_itself_does_not_build_beside_a_gpu_without_cuda(tmp_path: Path) -> None:
    """Even with a C++ compiler, which is why ours must not depend on what torch sees."""
    (tmp_path / 'sitecustomize.py').write_text(FAKE_GPU)
    env = {'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(tmp_path), 'HOME': str(tmp_path)}
    build = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
    result = subprocess.run(
        [*build, '--no-binary', 'mmcv', '--wheel-dir', str(tmp_path), 'mmcv==2.1.0'],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode != 0
    assert 'CUDA_HOME environment variable is not set' in result.stdout


def new_environment(folder: Path, beside_the_set: bool) -> str:
    """Create a virtual environment; its Python. It may see what is installed here."""
    venv.create(folder, with_pip=True)
    python = folder / 'bin/python'
    if beside_the_set:
        site = sysconfig.get_path('purelib', vars={'base': str(folder)})
        # Its own setuptools is too old to build with, up to Python 3.11.
        subprocess.run([str(python), '-m', 'pip', 'uninstall', '-qy', 'setuptools'], check=True)
        (Path(site) / 'existing.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return str(python)


def versions(python: str) -> dict[str, str]:
    listed = pip('list', '--format', 'json', env=dict(os.environ), python=python)
    packages = json.loads(listed[listed.index('[') : listed.rindex(']') + 1])
    return {package['name']: package['version'] for package in packages}


@pytest.mark.slow
def test_the_readme_line_for_an_existing_environment_changes_no_version(tmp_path: Path) -> None:
    """pip has no index here: anything else to install would be an error."""
    python = new_environment(tmp_path / 'venv', beside_the_set=True)
    before = versions(python)
    assert before['mmpose'] == '1.3.2'
    line = readme_lines('Install')[-1]
    assert line.startswith('pip install ./packages/mmcv-torchvision')
    copy = copy_repository(tmp_path / 'source')
    env = without_compilers(tmp_path / 'bin')
    words = [str(copy / word) if word.startswith('.') else word for word in line.split()[2:]]
    pip('install', '--no-index', '--no-build-isolation', *words, env=env, python=python)
    assert versions(python) == before
    where = 'import mmcv._ext, hrnet_plugin; print(mmcv._ext.__file__, hrnet_plugin.__file__)'
    ran = subprocess.run(
        [python, '-W', 'ignore', '-c', where],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path / 'venv') in ran.stdout.split()[-1], ran.stderr


@pytest.mark.parametrize(
    ('repair', 'module'),
    [
        (INSTALL_XTCOCOTOOLS, 'xtcocotools'),
        pytest.param(INSTALL_OPERATIONS, 'mmcv_torchvision', marks=pytest.mark.slow),
    ],
)
def test_commands_of_the_doctor_run(tmp_path: Path, repair: str, module: str) -> None:
    python = new_environment(tmp_path / 'venv', beside_the_set=True)
    copy = copy_repository(tmp_path / 'source')
    line = (
        command(repair).replace(sys.executable, python).replace(str(PACKAGES), f'{copy}/packages')
    )
    env = without_compilers(tmp_path / 'bin') | {
        'PIP_NO_INDEX': '1',
        'PIP_NO_BUILD_ISOLATION': '0',
    }
    ran = subprocess.run(['sh', '-c', line], env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (installed,) = (tmp_path / 'venv').rglob(f'site-packages/{module}')
    assert installed.is_dir()


@pytest.mark.slow
def test_the_readme_lines_for_a_new_environment(tmp_path: Path) -> None:
    """From the registry: 3 GB are downloaded, or taken from pip's cache."""
    python = new_environment(tmp_path / 'venv', beside_the_set=False)
    env = without_compilers(tmp_path / 'bin') | REGISTRY_ONLY
    bin_ = Path(python).parent
    env['PATH'] = f'{bin_}{os.pathsep}{env["PATH"]}'
    lines = readme_lines('Install')
    assert len(lines) == 3
    script = '\n'.join(['set -e', *lines])
    copy = copy_repository(tmp_path / 'source')
    installed = subprocess.run(['sh', '-c', script], cwd=copy, env=env, capture_output=True)
    assert installed.returncode == 0, installed.stderr.decode()[-3000:]
    doctor = subprocess.run(
        [str(bin_ / 'hrnet-plugin'), 'doctor'], cwd=tmp_path, env=env, capture_output=True
    )
    assert doctor.returncode == 0, doctor.stdout.decode()
