"""Conflicts of the installed packages, and the commands that fix them.

It needs nothing but Python, as the packages may be broken.
"""

import functools
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .installed import DISTRIBUTIONS, MODULES, OPENCV, PROVIDERS, Environment, release
from .requirements import OPTIONAL_SETS, WORKING_SET, install_command

# The stand-ins for packages that OpenMMLab would have to compile: ../packages
PACKAGES = Path(__file__).parents[1] / '.mim' / 'packages'


@dataclass(frozen=True)
class Conflict:
    """A conflict of packages.

    Attributes:
        reason: What is wrong.
        fix: Command that fixes it.
    """

    reason: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """A known conflict of packages.

    Attributes:
        applies: Function that returns whether an environment has it.
        reason: What is wrong; ``{numpy}`` stands for numpy's version.
        fix: Command that fixes it; ``pip`` stands for this Python's, and ``{packages}`` for the
            folder of the stand-ins.
    """

    applies: Callable[[Environment], bool]
    reason: str
    fix: str


def pinned(*names: str) -> str:
    """Return requirements of the working set as arguments of pip."""
    by_name = {re.split('[<>=]', r)[0]: r for r in WORKING_SET}
    return ' '.join(shlex.quote(by_name[name]) for name in names)


INSTALL_OPERATIONS = 'pip install --force-reinstall --no-deps {packages}/mmcv-torchvision'
# Replaces any other mmcv; compiles nothing.
INSTALL_MMCV = (
    'pip uninstall -y mmcv mmcv-full mmcv-lite onedl-mmcv && '
    f'pip install {pinned("mmcv-lite")} {{packages}}/mmcv-torchvision'
)
INSTALL_XTCOCOTOOLS = 'pip install --force-reinstall --no-deps {packages}/xtcocotools-pycocotools'
# Without dependencies: chumpy is one that cannot be built, and 2-D poses do not need it.
INSTALL_MMPOSE = (
    f'pip install json-tricks matplotlib munkres pillow scipy six && {INSTALL_XTCOCOTOOLS} && '
    f'pip install --no-deps {pinned("mmpose")}'
)


def without_operations(env: Environment) -> bool:
    """Return whether the operations of mmcv are missing, and not because of torch."""
    return 'mmcv._ext' in env.failures and 'torch' not in env.failures


def only_the_operations(env: Environment) -> bool:
    """Return whether mmcv/_ext.py is left of mmcv, whose own files were uninstalled."""
    return 'mmcv-torchvision' in env and ('mmcv_files' in env.facts or not env.provides('mmcv'))


def without_mmpose_on_purpose(env: Environment) -> bool:
    """Return whether another project of OpenMMLab uses the backbones, which do not need mmpose."""
    return 'mmpose' not in env and ('mmsegmentation' in env or 'mmpretrain' in env)


def incomplete(package: str, env: Environment) -> bool:
    """Return whether an optional package lacks one that it imports."""
    names = [re.split('[<>=]', r)[0].replace('_', '-') for r in OPTIONAL_SETS[package]]
    return package in env and not all(name in env for name in names)


def overwritten(env: Environment) -> list[str]:
    """List import packages whose files one distribution has overwritten with its own."""
    return [
        package
        for package, names in PROVIDERS.items()
        if package != 'opencv-python'
        and any(name.startswith('onedl-') for name in names if name in env)
        and sum(name in env for name in names) > 1
    ]


def has_other_torchvision(env: Environment) -> bool:
    """Return whether torchvision is not the one that was built with torch.

    torchvision 0.14 belongs to torch 1.13, torchvision 0.15 to torch 2.0, and so on.
    """
    if 'torch' not in env or 'torchvision' not in env:
        return False
    (major, minor), vision = (release(env.versions[name])[:2] for name in ('torch', 'torchvision'))
    labels = {env.versions[name].partition('+')[2] for name in ('torch', 'torchvision')}
    error = env.failures.get('torchvision', '')
    return (
        vision != (0, minor + (15 if major == 2 else 1))
        or len(labels - {''}) > 1
        or 'torchvision::' in error
    )


def installed_opencvs(env: Environment) -> list[str]:
    """List the installed distributions of OpenCV, which share one folder."""
    return [name for name in OPENCV if name in env]


RULES = (
    Rule(
        lambda env: not (3, 10) <= env.python,
        'hrnet_plugin needs Python 3.10 or later',
        'python3.11 -m venv .venv',
    ),
    Rule(lambda env: 'torch' not in env, 'torch is missing', f'pip install {pinned("torch")}'),
    Rule(
        lambda env: 'torchvision' not in env,
        'torchvision is missing, which mmpose imports',
        f'pip install {pinned("torch", "torchvision")}',
    ),
    Rule(
        has_other_torchvision,
        'torchvision {torchvision} was not built for torch {torch}: mmpose, which imports it, '
        'fails ("operator torchvision::nms does not exist")',
        f'pip install --force-reinstall {pinned("torch", "torchvision")}',
    ),
    Rule(
        lambda env: env.within('numpy', '2.4') and 'mmpose' in env,
        'numpy {numpy}: mmpose cannot draw keypoints from numpy 2.4 on, so that its inferencers '
        'fail at the first person',
        f'pip install {pinned("numpy")}',
    ),
    Rule(
        lambda env: 'numpy.dtype size changed' in env.failures.get('xtcocotools.mask', ''),
        'xtcocotools {xtcocotools} was built for numpy 1, as its wheels are, not for numpy '
        '{numpy}; this stand-in needs no building',
        INSTALL_XTCOCOTOOLS,
    ),
    Rule(
        lambda env: 'numpy.dtype size changed' in env.failures.get('pycocotools.mask', ''),
        'pycocotools {pycocotools} was built for numpy 1, not for numpy {numpy}',
        f'pip install --no-deps --force-reinstall {pinned("pycocotools")}',
    ),
    Rule(
        lambda env: not env.provides('opencv-python'),
        'OpenCV is missing',
        f'pip install {pinned("opencv-python")}',
    ),
    Rule(
        lambda env: len(installed_opencvs(env)) > 1,
        'OpenCV is installed twice, in the same folder, where one overwrites the other',
        f'pip uninstall -y {" ".join(OPENCV)} && pip install {pinned("opencv-python")}',
    ),
    Rule(
        lambda env: not env.provides('mmengine'),
        'mmengine is missing',
        f'pip install {pinned("mmengine")}',
    ),
    Rule(
        only_the_operations,
        'of mmcv, only mmcv/_ext.py is left, which is of mmcv-torchvision: importing mmcv gives '
        'an empty package',
        f'pip install --force-reinstall --no-deps {pinned("mmcv-lite")}',
    ),
    Rule(
        lambda env: not env.provides('mmcv') and 'mmcv-torchvision' not in env,
        'mmcv is missing',
        INSTALL_MMCV,
    ),
    Rule(
        lambda env: without_operations(env) and 'mmcv' not in env and env.provides('mmcv'),
        'mmcv-lite {mmcv-lite} has no operations, which mmpose and mmdet import; '
        'mmcv-torchvision adds them',
        INSTALL_OPERATIONS,
    ),
    Rule(
        lambda env: without_operations(env) and 'mmcv' in env,
        'mmcv {mmcv} was built without its operations, or for another torch than {torch}; '
        'torchvision has them without building (make OPS=compiled builds them)',
        INSTALL_MMCV,
    ),
    Rule(
        lambda env: env.within('mmdet', '3.3', '3.4') and env.within('mmcv', '2.2'),
        'mmdet {mmdet} refuses mmcv {mmcv}: it takes mmcv from 2.0 on, below 2.2',
        INSTALL_MMCV,
    ),
    Rule(
        lambda env: env.within('mmcv', below='2.0'),
        'mmcv {mmcv} is of MMPose 0.x; MMPose 1.x needs mmcv 2',
        INSTALL_MMCV,
    ),
    Rule(
        lambda env: (
            bool(env.facts.get('gpu'))
            and env.facts.get('operations') == 'compiled'
            and env.facts.get('mmcv_cuda') == 'not available'
        ),
        'torch sees a GPU, but mmcv {mmcv} was compiled without CUDA, so that detectors fail '
        'there; those of torchvision run on it (make OPS=compiled says how to compile for it)',
        INSTALL_MMCV,
    ),
    Rule(
        lambda env: bool(overwritten(env)),
        'distributions of onedl and OpenMMLab are installed into the same folders, where one '
        'overwrites the other',
        'pip uninstall -y onedl-mmcv onedl-mmengine onedl-mmdetection mmcv mmcv-lite mmengine '
        f'mmdet && pip install {pinned("mmengine", "mmcv-lite", "mmdet")} '
        '{packages}/mmcv-torchvision',
    ),
    Rule(
        lambda env: not env.provides('mmdet') and not without_mmpose_on_purpose(env),
        'mmdet is missing',
        f'pip install {pinned("mmdet")}',
    ),
    Rule(
        lambda env: 'mmpose' not in env and not without_mmpose_on_purpose(env),
        'mmpose is missing',
        INSTALL_MMPOSE,
    ),
    Rule(
        lambda env: env.within('mmpose', below='1.0'),
        'mmpose {mmpose} is 0.x; this plugin is for MMPose 1.x',
        INSTALL_MMPOSE,
    ),
    Rule(
        lambda env: 'mmpose' in env and 'xtcocotools' not in env,
        'xtcocotools is missing, which mmpose imports',
        INSTALL_XTCOCOTOOLS,
    ),
    Rule(
        lambda env: 'mmpose' in env and 'six' not in env,
        'six is missing, which mmpose imports without declaring it',
        f'pip install {pinned("six")}',
    ),
    *(
        Rule(
            functools.partial(incomplete, package),
            f'{package} {{{package}}} lacks a package that it imports',
            install_command(package),
        )
        for package in OPTIONAL_SETS
    ),
    Rule(
        lambda env: 'pycocotools' not in env,
        'pycocotools is missing',
        f'pip install {pinned("pycocotools")}',
    ),
    Rule(
        lambda env: 'openmim' in env
        and ('setuptools' not in env or env.within('setuptools', '81')),
        'openmim (the command `mim`) imports pkg_resources, which setuptools has up to version 80',
        f'pip install {pinned("setuptools")}',
    ),
)


def diagnose(env: Environment) -> list[Conflict]:
    """List the conflicts in an environment.

    Args:
        env: Installed packages.

    Returns:
        Conflicts that rules describe; if there are none, modules that do not import with their
        errors.
    """
    names = {**dict.fromkeys(DISTRIBUTIONS, '(missing)'), **env.versions}
    rules = [rule for rule in RULES if rule.applies(env)]
    conflicts = [Conflict(rule.reason.format_map(names), command(rule.fix)) for rule in rules]
    if conflicts:  # which probably explain why modules do not import
        return list(dict.fromkeys(conflicts))
    return [
        Conflict(f'{module} does not import: {error}', command(reinstall(MODULES[module])))
        for module, error in env.failures.items()
    ]


NOTES: tuple[tuple[Callable[[Environment], object], str], ...] = (
    (
        lambda env: env.provides('mmcv') and 'onedl-mmcv' in env,
        'onedl-mmcv {onedl-mmcv} is a fork with the import name mmcv. Of onedl, mmcv 2.3.6, '
        'mmengine 0.10.12 and mmdetection 3.5.1 were tried with mmpose 1.3.2: models and '
        'inferencers ran; training was not tried.',
    ),
    (
        lambda env: 'onedl-mmengine' in env,
        'onedl-mmengine {onedl-mmengine} loads a checkpoint that the safe loader refuses with '
        'the unsafe one: load none that you do not trust.',
    ),
    (
        lambda env: (
            env.within('xtcocotools')
            and '+pycocotools' not in env.versions['xtcocotools']
            and env.within('numpy', '2')
        ),
        'xtcocotools {xtcocotools}, compiled, evaluates keypoints, but with numpy {numpy} it '
        'cannot read masks, which boxes, segmentation and bottom-up training need; '
        'packages/xtcocotools-pycocotools can.',
    ),
    (
        lambda env: env.facts.get('operations') == 'compiled' and 'mmcv-torchvision' in env,
        'mmcv has compiled operations, which are preferred to those of mmcv-torchvision.',
    ),
)


def notes(env: Environment) -> list[str]:
    """List what users should know about packages that work."""
    return [text.format_map(env.versions) for applies, text in NOTES if applies(env)]


def reinstall(distribution: str) -> str:
    """Return the command that installs a distribution again."""
    commands = {'mmcv': INSTALL_MMCV, 'xtcocotools': INSTALL_XTCOCOTOOLS, 'mmpose': INSTALL_MMPOSE}
    if distribution in commands:
        return commands[distribution]
    if distribution in OPTIONAL_SETS:
        return install_command(distribution)
    return f'pip install --force-reinstall --no-deps {pinned(distribution)}'


def command(fix: str) -> str:
    """Complete a command with the folder of the stand-ins and the pip of this Python."""
    pip = f'{shlex.quote(sys.executable)} -m pip'
    fix = re.sub(r'(^|&& )pip ', lambda m: f'{m[1]}{pip} ', fix)
    return fix.replace('{packages}', shlex.quote(str(PACKAGES)))
