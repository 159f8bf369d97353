"""What pip cannot require for us: OpenMMLab's packages, with the operations of MMCV."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

# One set of versions that works together: `[dependency-groups]` of pyproject.toml, which no wheel
# carries; a test compares the two.
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
MEND = (
    '`hrnet-plugin doctor` says what to type; on a fresh machine, `make` in a clone of '
    'hrnet_plugin installs a set that works together.'
)


@contextmanager
def explained_import_errors(what: str) -> Iterator[None]:
    """Say what is missing, and what installs it, where an import fails inside.

    Args:
        what: What is being imported, such as ``'hrnet_plugin.HeatmapHead'``.

    Raises:
        ImportError: An import failed; with the original error as its cause.
    """
    try:
        yield
    except ImportError as error:
        if MEND in str(error):  # explained where it happened
            raise
        raise ImportError(
            f'{what} {_explanation(error)}. {MEND}', name=error.name, path=error.path
        ) from error


def _explanation(error: ImportError) -> str:
    if "'mmcv._ext'" in str(error) or error.name == 'mmcv._ext':
        return (
            f'needs the operations of MMCV, which do not load ({error}): mmcv-lite has none '
            'without mmcv-torchvision, and a compiled mmcv goes with the torch it was built for'
        )
    package = re.split(r'\.', error.name or '')[0]
    if isinstance(error, ModuleNotFoundError) and package != 'hrnet_plugin':
        return f'needs {package}, which is not installed ({error})'
    return f'cannot be imported ({type(error).__name__}: {error})'
