"""Requirements that pip cannot resolve: OpenMMLab's packages with the operations of MMCV."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

# Versions that work together, as in `[dependency-groups]` of pyproject.toml, which is not in the
# wheel; a test compares the two.
WORKING_SET = (
    'mmcv-lite==2.1.0',
    'mmdet==3.3.0',
    'mmengine==0.10.7',
    'mmpose==1.3.2',
    'numpy>=2.2,<2.4',
    'opencv-python==5.0.0.93',
    'openmim==0.3.9',
    'pycocotools==2.0.11',
    'setuptools<81',
    'six',
    'torch==2.13.0',
    'torchvision==0.28.0',
)
# What installs each package that only some configs need. MMSegmentation imports ftfy and regex
# without declaring them; importlib_metadata brings a package that is weeks old from version 9 on.
OPTIONAL_SETS = {
    'mmsegmentation': ('mmsegmentation==1.2.2', 'ftfy', 'regex'),
    'mmpretrain': ('mmpretrain==1.2.0', 'importlib_metadata<9'),
}
# The package that a missing module is of, or is needed by
OPTIONAL_MODULES = {
    'mmseg': 'mmsegmentation',
    'mmsegmentation': 'mmsegmentation',
    'ftfy': 'mmsegmentation',
    'regex': 'mmsegmentation',
    'mmpretrain': 'mmpretrain',
    'importlib_metadata': 'mmpretrain',
}
HINT = (
    '`hrnet-plugin doctor` prints the commands that fix it; on a fresh machine, `make` in a clone '
    'of hrnet_plugin installs versions that work together.'
)


@contextmanager
def explained_import_errors(what: str) -> Iterator[None]:
    """Explain import errors in a ``with`` block: what is missing, and how to install it.

    Args:
        what: Name of what is imported, such as ``'hrnet_plugin.HeatmapHead'``.

    Raises:
        ImportError: An import failed; the original error is the cause.
    """
    try:
        yield
    except ImportError as error:
        if HINT in str(error) or 'pip install' in str(error):  # explained where it happened
            raise
        package = missing_package(error)
        hint = HINT
        if package in OPTIONAL_MODULES:
            hint = f'{install_command(OPTIONAL_MODULES[package])} installs it'
        raise ImportError(
            f'{what} {_explanation(error)}. {hint}', name=error.name, path=error.path
        ) from error


def install_command(package: str) -> str:
    """Return the command that installs a package that only some configs need."""
    return f'pip install {shlex.join(OPTIONAL_SETS[package])}'


def missing_package(error: ImportError) -> str | None:
    """Return the package that is not installed; None if that is not why an import failed."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    # MMEngine, of a base that is `package::…`: 'mmdet is not installed, please install …'
    base = re.match(r'(\w+) is not installed', str(error))
    return base[1] if base else (error.name or '').split('.')[0]


def _explanation(error: ImportError) -> str:
    if "'mmcv._ext'" in str(error) or error.name == 'mmcv._ext':
        return (
            f'needs the operations of MMCV, which do not load ({error}): mmcv-lite has none '
            'without mmcv-torchvision, and a compiled mmcv goes with the torch it was built for'
        )
    package = missing_package(error)
    if package is not None and package != 'hrnet_plugin':
        return f'needs {package}, which is not installed ({error})'
    return f'cannot be imported ({type(error).__name__}: {error})'
