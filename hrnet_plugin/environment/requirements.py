"""Requirements that pip cannot resolve: OpenMMLab's packages with the operations of MMCV."""

import re
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
        raise ImportError(
            f'{what} {_explanation(error)}. {HINT}', name=error.name, path=error.path
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
