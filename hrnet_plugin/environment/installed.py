"""The packages that are installed, and whether they import; needs nothing but Python."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

PROBE = Path(__file__).with_name('_probe.py')
OPENCV = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
# Distribution of each module; modules that others import come first
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
    'mmseg.models': 'mmsegmentation',
    'mmpretrain.models': 'mmpretrain',
    'pkg_resources': 'setuptools',
}
# Distributions of one import package; those of onedl are maintained forks
PROVIDERS = {
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'opencv-python': OPENCV,
}
# Distributions that need not be installed
OPTIONAL = (
    *(name for names in PROVIDERS.values() for name in names[1:]),
    'mmcv-torchvision',
    'mmsegmentation',
    'mmpretrain',
    'ftfy',
    'regex',
    'importlib-metadata',
)
DISTRIBUTIONS = (*dict.fromkeys(MODULES.values()), 'openmim', 'six', *OPTIONAL)
IMPORT_SECONDS = 600


@dataclass(frozen=True)
class Environment:
    """Installed packages.

    Attributes:
        versions: Version of each installed distribution.
        failures: Error of each module that does not import.
        facts: Known ones of: ``cuda`` that torch was built for, ``gpu`` that it finds, whose
            ``operations`` mmcv has and ``mmcv_cuda`` that they were built for, ``mmcv_files`` if
            only some are left.
        python: Version of Python.
    """

    versions: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | None] = field(default_factory=dict)
    python: tuple[int, ...] = sys.version_info[:2]

    def __contains__(self, distribution: str) -> bool:
        return distribution in self.versions

    def provides(self, package: str) -> bool:
        """Return whether any distribution of an import package is installed."""
        return any(name in self for name in PROVIDERS.get(package, (package,)))

    def within(self, distribution: str, low: str = '', below: str = '') -> bool:
        """Return whether a version from ``low`` on and below ``below`` is installed."""
        if distribution not in self:
            return False
        version = release(self.versions[distribution])
        return release(low) <= version and (not below or version < release(below))


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    >>> release('2.13.0+cpu')
    (2, 13, 0)
    """
    return tuple(int(n) for n in re.findall(r'\d+', re.split(r'[+a-z]', version)[0]))


def inspect_environment() -> Environment:
    """List what is installed here, and import every module in another process."""
    versions: dict[str, str] = {}
    for distribution in distributions():
        # A broken installation may have no name; the first on the path is imported.
        name = re.sub('[-_.]+', '-', distribution.metadata['Name'] or '').lower()
        if name in DISTRIBUTIONS:
            versions.setdefault(name, distribution.version)
    installed = Environment(versions)
    failures, facts = probe([m for m, d in MODULES.items() if installed.provides(d)])
    return Environment(versions, failures, facts)


def probe(modules: Sequence[str]) -> tuple[dict[str, str], dict[str, str | None]]:
    """Import modules in another process, and in a new one after each crash.

    Args:
        modules: Names of modules.

    Returns:
        The error of each module that does not import, and ``Environment.facts``.
    """
    failures: dict[str, str] = {}
    facts: dict[str, str | None] = {}
    pending = list(modules)
    while pending:
        command = [sys.executable, '-W', 'ignore', str(PROBE), *pending]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
            output, end = ended.stdout, _describe_end(ended.returncode)
        except subprocess.TimeoutExpired as expired:
            output = (expired.stdout or b'').decode()
            end = f'is not done after {IMPORT_SECONDS} seconds'
        module = None
        for report in _reports(output):
            if 'module' in report:
                module = pending.pop(0)
            elif 'error' in report:
                if report['error'] is not None and module is not None:
                    failures[module] = report['error']
                module = None
            else:
                facts.update(report)
        if module is None:
            break  # the process was not ended by an import
        failures[module] = end
    return failures, facts


def _reports(output: str) -> Iterator[dict[str, str | None]]:
    for line in output.splitlines():
        # C code of a module may print to the same output.
        if line.startswith('{') and line.endswith('}'):
            yield json.loads(line)


def _describe_end(returncode: int) -> str:
    how = f'signal {-returncode}' if returncode < 0 else f'exit code {returncode}'
    return f'Python crashes ({how})'
