"""What is wrong with the installed packages, and the commands that mend it.

It needs nothing but Python, and stands outside of ``apis``, which needs torch.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from .requirements import WORKING_SET

# The stand-ins for what OpenMMLab would have to compile lie in the package: ../packages
PACKAGES = Path(__file__).parents[1] / '.mim' / 'packages'

OPENCV = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
# module to import -> distribution that brings it; those that others import come first
MODULES = {
    'numpy': 'numpy',
    'cv2': 'opencv-python',
    'torch': 'torch',
    'torchvision': 'torchvision',
    'pycocotools.mask': 'pycocotools',
    'xtcocotools.mask': 'xtcocotools',
    'mmengine': 'mmengine',
    'mmcv': 'mmcv',
    'mmcv._ext': 'mmcv',
    'mmdet': 'mmdet',
    'mmpose.apis': 'mmpose',
    'pkg_resources': 'setuptools',
}
# Other distributions of the same import packages: those of onedl are maintained forks
PROVIDERS = {
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'opencv-python': OPENCV,
}
# Not missed where they are not installed
OPTIONAL = (
    *(name for names in PROVIDERS.values() for name in names[1:]),
    'mmcv-torchvision',
    'mmsegmentation',
    'mmpretrain',
)
DISTRIBUTIONS = (*dict.fromkeys(MODULES.values()), 'openmim', 'six', *OPTIONAL)
IMPORT_SECONDS = 600

# Imports the modules that its arguments name, in one process, as each takes seconds, and says of
# each what it is about to do, for the case that it does not survive it.
PROBE = """
import json, sys
sys.path = [folder for folder in sys.path if folder]
out, sys.stdout = sys.stdout, sys.stderr
def say(**facts):
    print(json.dumps(facts), file=out, flush=True)
for name in sys.argv[1:]:
    say(module=name)
    try:
        __import__(name)
    except BaseException as error:  # a package may even exit
        say(error=f'{type(error).__name__}: {error}')
    else:
        say(error=None)
torch = sys.modules.get('torch')
if hasattr(torch, 'version'):
    say(cuda=torch.version.cuda)
    if torch.cuda.is_available():
        say(gpu=torch.cuda.get_device_name())
if 'mmcv' in sys.modules and getattr(sys.modules['mmcv'], '__file__', None) is None:
    say(mmcv_files='only mmcv/_ext.py')
if 'mmcv._ext' in sys.modules:
    operations = sys.modules['mmcv._ext']
    is_python = operations.__file__.endswith('.py')
    say(operations='mmcv-torchvision' if is_python else 'compiled')
    say(mmcv_cuda=operations.get_compiling_cuda_version())
"""


@dataclass(frozen=True)
class Environment:
    """What is installed.

    Attributes:
        versions: of distributions that are installed, by name.
        failures: modules that do not import -> the error.
        facts: ``cuda`` that torch was built for, ``gpu`` that it sees, whose ``operations`` mmcv
            has and the ``mmcv_cuda`` they were built for, ``mmcv_files`` if only some are left;
            those that are known.
        python: version of Python.
    """

    versions: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | None] = field(default_factory=dict)
    python: tuple[int, ...] = sys.version_info[:2]

    def __contains__(self, distribution: str) -> bool:
        return distribution in self.versions

    def provides(self, package: str) -> bool:
        """Whether any distribution of an import package is installed."""
        return any(name in self for name in PROVIDERS.get(package, (package,)))

    def within(self, distribution: str, low: str = '', below: str = '') -> bool:
        """Whether it is installed, in a version from ``low`` on and below ``below``."""
        if distribution not in self:
            return False
        version = release(self.versions[distribution])
        return release(low) <= version and (not below or version < release(below))


def release(version: str) -> tuple[int, ...]:
    """'2.13.0+cpu' -> (2, 13, 0)"""
    return tuple(int(n) for n in re.findall(r'\d+', re.split(r'[+a-z]', version)[0]))


@dataclass(frozen=True)
class Clash:
    """What does not fit, and the command that mends it."""

    reason: str
    mend: str


@dataclass(frozen=True)
class Rule:
    """One way in which packages clash.

    Attributes:
        applies: whether they do.
        reason: what goes wrong; ``{numpy}`` stands for numpy's version.
        mend: a command; ``pip`` at the beginning of a part of it is this Python's, and
            ``{packages}`` the folder of the stand-ins.
    """

    applies: Callable[[Environment], bool]
    reason: str
    mend: str


def pinned(*names: str) -> str:
    """Requirements of the working set, as arguments of pip."""
    by_name = {re.split('[<>=]', r)[0]: r for r in WORKING_SET}
    return ' '.join(shlex.quote(by_name[name]) for name in names)


INSTALL_OPERATIONS = 'pip install --force-reinstall --no-deps {packages}/mmcv-torchvision'
# What an environment that has another mmcv becomes; nothing is compiled.
INSTALL_MMCV = (
    'pip uninstall -y mmcv mmcv-full mmcv-lite onedl-mmcv && '
    f'pip install {pinned("mmcv-lite")} {{packages}}/mmcv-torchvision'
)
INSTALL_XTCOCOTOOLS = 'pip install --force-reinstall --no-deps {packages}/xtcocotools-pycocotools'
# Without its dependencies: one of them, chumpy, cannot be built, and 2-D poses do not need it.
INSTALL_MMPOSE = (
    f'pip install json-tricks matplotlib munkres pillow scipy six && {INSTALL_XTCOCOTOOLS} && '
    f'pip install --no-deps {pinned("mmpose")}'
)


def without_operations(env: Environment) -> bool:
    return 'mmcv._ext' in env.failures and 'torch' not in env.failures


def only_the_operations(env: Environment) -> bool:
    """Whether mmcv's own files were uninstalled, but not mmcv/_ext.py."""
    return 'mmcv-torchvision' in env and ('mmcv_files' in env.facts or not env.provides('mmcv'))


def without_mmpose_on_purpose(env: Environment) -> bool:
    """Whether the plugin serves another project of OpenMMLab: backbones do not need mmpose."""
    return 'mmpose' not in env and ('mmsegmentation' in env or 'mmpretrain' in env)


def overwritten(env: Environment) -> list[str]:
    """Distributions of which one has overwritten another's files, by name of the package."""
    return [
        package
        for package, names in PROVIDERS.items()
        if package != 'opencv-python'
        and any(name.startswith('onedl-') for name in names if name in env)
        and sum(name in env for name in names) > 1
    ]


def odd_pair(env: Environment) -> bool:
    """torch 1.13 goes with torchvision 0.14, torch 2.0 with 0.15, and so on, built alike."""
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


def twins(env: Environment) -> list[str]:
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
        odd_pair,
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
        lambda env: len(twins(env)) > 1,
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


def diagnose(env: Environment) -> list[Clash]:
    """What clashes; where no rule knows why a module does not import, its own error."""
    names = {**dict.fromkeys(DISTRIBUTIONS, '(missing)'), **env.versions}
    rules = [rule for rule in RULES if rule.applies(env)]
    found = [Clash(rule.reason.format_map(names), command(rule.mend)) for rule in rules]
    if found:  # which may well be why something does not import
        return list(dict.fromkeys(found))
    return [
        Clash(f'{module} does not import: {error}', command(reinstall(MODULES[module])))
        for module, error in env.failures.items()
    ]


NOTES = (
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
    """What is worth knowing although it works."""
    return [text.format_map(env.versions) for applies, text in NOTES if applies(env)]


def reinstall(distribution: str) -> str:
    commands = {'mmcv': INSTALL_MMCV, 'xtcocotools': INSTALL_XTCOCOTOOLS, 'mmpose': INSTALL_MMPOSE}
    if distribution in commands:
        return commands[distribution]
    return f'pip install --force-reinstall --no-deps {pinned(distribution)}'


def command(mend: str) -> str:
    """The command with the pip of the Python that runs, whatever `pip` is in the shell."""
    pip = f'{shlex.quote(sys.executable)} -m pip'
    mend = re.sub(r'(^|&& )pip ', lambda m: f'{m[1]}{pip} ', mend)
    return mend.replace('{packages}', shlex.quote(str(PACKAGES)))


def environment() -> Environment:
    """What is installed here; every module is imported, in other processes."""
    found: dict[str, str] = {}
    for distribution in distributions():
        # A damaged installation may have no name; the first on the path is the one imported.
        name = re.sub('[-_.]+', '-', distribution.metadata['Name'] or '').lower()
        if name in DISTRIBUTIONS:
            found.setdefault(name, distribution.version)
    installed = Environment(found)
    failures, facts = probe([m for m, d in MODULES.items() if installed.provides(d)])
    return Environment(found, failures, facts)


def probe(modules: Sequence[str]) -> tuple[dict[str, str], dict[str, str | None]]:
    """Import modules in a process of their own, which may die of it.

    Returns:
        The modules that do not import, with the errors; and ``Environment.facts``.
    """
    failures: dict[str, str] = {}
    facts: dict[str, str | None] = {}
    left = list(modules)
    while left:
        command = [sys.executable, '-W', 'ignore', '-c', PROBE, *left]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
            output, end = ended.stdout, _end(ended.returncode)
        except subprocess.TimeoutExpired as expired:
            output = (expired.stdout or b'').decode()
            end = f'is not done after {IMPORT_SECONDS} seconds'
        module = None
        for said in _lines(output):
            if 'module' in said:
                module = left.pop(0)
            elif 'error' in said:
                if said['error'] is not None and module is not None:
                    failures[module] = said['error']
                module = None
            else:
                facts.update(said)
        if module is None:
            break  # it came to its end
        failures[module] = end
    return failures, facts


def _lines(output: str) -> Iterator[dict[str, str | None]]:
    for line in output.splitlines():
        # What a module prints below Python lands here, too.
        if line.startswith('{') and line.endswith('}'):
            yield json.loads(line)


def _end(returncode: int) -> str:
    how = f'signal {-returncode}' if returncode < 0 else f'exit code {returncode}'
    return f'Python crashes ({how})'
