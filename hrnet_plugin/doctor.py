"""What is wrong with the installed packages, and the commands that mend it.

It needs nothing but Python, and stands outside of ``apis``, which needs torch.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions

from .requirements import WORKING_SET

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
DISTRIBUTIONS = (*dict.fromkeys(MODULES.values()), *OPENCV[1:], 'openmim', 'six', 'mmcv-lite')
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
if 'mmcv._ext' in sys.modules:
    say(mmcv_cuda=sys.modules['mmcv._ext'].get_compiling_cuda_version())
if 'mmpose.apis' in sys.modules:  # without which this does not import
    try:
        from hrnet_plugin.functional.heatmap_cpu import LIBRARY
    except Exception:  # for one of the reasons above
        pass
    else:
        say(heatmaps='compiled' if LIBRARY else 'not compiled')
"""


@dataclass(frozen=True)
class Environment:
    """What is installed.

    Attributes:
        versions: of distributions that are installed, by name.
        failures: modules that do not import -> the error.
        facts: ``cuda`` that torch was built for, ``gpu`` that it sees, ``mmcv_cuda`` that mmcv
            was built for, whether ``heatmaps`` are drawn by compiled code; those that are known.
        python: version of Python.
    """

    versions: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | None] = field(default_factory=dict)
    python: tuple[int, ...] = sys.version_info[:2]

    def __contains__(self, distribution: str) -> bool:
        return distribution in self.versions

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
        mend: a command; ``pip`` at the beginning of a part of it is this Python's.
    """

    applies: Callable[[Environment], bool]
    reason: str
    mend: str


def pinned(*names: str) -> str:
    """Requirements of the working set, as arguments of pip."""
    by_name = {re.split('[<>=]', r)[0]: r for r in WORKING_SET}
    return ' '.join(shlex.quote(by_name[name]) for name in names)


# A fresh one for this torch: neither a cached wheel nor an isolated build would fit it.
BUILD_MMCV = (
    f'pip uninstall -y mmcv mmcv-lite mmcv-full && pip install {pinned("setuptools")} wheel ninja '
    f'&& CFLAGS="-g0 -O2" pip install --no-cache-dir --no-build-isolation {pinned("mmcv")}'
)
BUILD_XTCOCOTOOLS = (
    f'pip install cython wheel {pinned("setuptools")} && pip install --no-cache-dir '
    '--no-build-isolation --no-deps --force-reinstall --no-binary xtcocotools '
    f'{pinned("xtcocotools")}'
)
# Without its dependencies: one of them, chumpy, cannot be built, and 2-D poses do not need it.
INSTALL_MMPOSE = (
    f'pip install json-tricks matplotlib munkres pillow scipy six && {BUILD_XTCOCOTOOLS} && '
    f'pip install --no-deps {pinned("mmpose")}'
)


def without_ops(env: Environment) -> bool:
    return 'mmcv' in env and 'mmcv._ext' in env.failures and 'torch' not in env.failures


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
        '{numpy}',
        BUILD_XTCOCOTOOLS,
    ),
    Rule(
        lambda env: 'numpy.dtype size changed' in env.failures.get('pycocotools.mask', ''),
        'pycocotools {pycocotools} was built for numpy 1, not for numpy {numpy}',
        f'pip install --no-deps --force-reinstall {pinned("pycocotools")}',
    ),
    Rule(
        lambda env: not any(name in env for name in OPENCV),
        'OpenCV is missing',
        f'pip install {pinned("opencv-python")}',
    ),
    Rule(
        lambda env: len(twins(env)) > 1,
        'OpenCV is installed twice, in the same folder, where one overwrites the other',
        f'pip uninstall -y {" ".join(OPENCV)} && pip install {pinned("opencv-python")}',
    ),
    Rule(
        lambda env: 'mmengine' not in env,
        'mmengine is missing',
        f'pip install {pinned("mmengine")}',
    ),
    Rule(
        lambda env: 'mmcv' not in env,
        'mmcv is missing (mmcv-lite, which has no operations, does not do)',
        BUILD_MMCV,
    ),
    Rule(
        without_ops,
        'mmcv {mmcv} was built without its operations, or for another torch than {torch}; its '
        'build has to see the installed one (10 minutes on two cores)',
        BUILD_MMCV,
    ),
    Rule(
        lambda env: env.within('mmdet', '3.3', '3.4') and env.within('mmcv', '2.2'),
        'mmdet {mmdet} refuses mmcv {mmcv}: it takes mmcv from 2.0 on, below 2.2',
        BUILD_MMCV,
    ),
    Rule(
        lambda env: env.within('mmcv', below='2.0'),
        'mmcv {mmcv} is of MMPose 0.x; MMPose 1.x needs mmcv 2',
        BUILD_MMCV,
    ),
    Rule(
        lambda env: (bool(env.facts.get('gpu')) and env.facts.get('mmcv_cuda') == 'not available'),
        'torch sees a GPU, but mmcv {mmcv} was built without CUDA, so that detectors fail there',
        f'export FORCE_CUDA=1 && {BUILD_MMCV}',
    ),
    Rule(
        lambda env: 'mmdet' not in env,
        'mmdet is missing',
        f'pip install {pinned("mmdet")}',
    ),
    Rule(lambda env: 'mmpose' not in env, 'mmpose is missing', INSTALL_MMPOSE),
    Rule(
        lambda env: env.within('mmpose', below='1.0'),
        'mmpose {mmpose} is 0.x; this plugin is for MMPose 1.x',
        INSTALL_MMPOSE,
    ),
    Rule(
        lambda env: 'mmpose' in env and 'xtcocotools' not in env,
        'xtcocotools is missing, which mmpose imports',
        BUILD_XTCOCOTOOLS,
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
    found = [Clash(rule.reason.format_map(names), this_pip(rule.mend)) for rule in rules]
    if found:  # which may well be why something does not import
        return list(dict.fromkeys(found))
    return [
        Clash(f'{module} does not import: {error}', this_pip(reinstall(MODULES[module])))
        for module, error in env.failures.items()
    ]


def reinstall(distribution: str) -> str:
    commands = {'mmcv': BUILD_MMCV, 'xtcocotools': BUILD_XTCOCOTOOLS, 'mmpose': INSTALL_MMPOSE}
    plain = f'pip install --force-reinstall --no-deps {pinned(distribution)}'
    return commands.get(distribution, plain)


def this_pip(command: str) -> str:
    """The command with the pip of the Python that runs, whatever `pip` is in the shell."""
    pip = f'{shlex.quote(sys.executable)} -m pip'
    return re.sub(r'(^|&& |" )pip ', lambda m: f'{m[1]}{pip} ', command)


def environment() -> Environment:
    """What is installed here; every module is imported, in other processes."""
    found: dict[str, str] = {}
    for distribution in distributions():
        # A damaged installation may have no name; the first on the path is the one imported.
        name = re.sub('[-_.]+', '-', distribution.metadata['Name'] or '').lower()
        if name in DISTRIBUTIONS:
            found.setdefault(name, distribution.version)
    failures, facts = probe([m for m, d in MODULES.items() if d in found or _opencv(m, found)])
    return Environment(found, failures, facts)


def _opencv(module: str, found: Iterable[str]) -> bool:
    return module == 'cv2' and any(name in found for name in OPENCV)


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
