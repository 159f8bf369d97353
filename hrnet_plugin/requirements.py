"""What pip cannot require for us: OpenMMLab's packages, with the compiled operations of MMCV."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

# One set of versions that works together: `[dependency-groups]` of pyproject.toml, which no wheel
# carries; a test compares the two.
WORKING_SET = (
    'mmcv==2.1.0',
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
    'xtcocotools==1.14.3',
)
MEND = (
    '`hrnet-plugin doctor` says what to type; on a fresh machine, `make` in a clone of '
    'hrnet_plugin installs a set that works together.'
)


def check_requirements() -> None:
    """Fail early, with the reason, where a part of OpenMMLab is missing.

    Raises:
        ImportError: a package is missing, or MMCV was installed without its operations.
    """
    missing = [name for name in ('mmengine', 'mmcv', 'mmdet', 'mmpose') if not find_spec(name)]
    if missing:
        raise ImportError(f'hrnet_plugin needs {", ".join(missing)}. {MEND}')
    try:
        import_module('mmcv._ext')
    except ImportError as error:
        raise ImportError(
            f"mmcv's compiled operations do not load ({error}): its build did not see torch, "
            f'torch was changed since, or it is mmcv-lite. {MEND}'
        ) from error


def doctor_is_called() -> bool:
    """Whether this process is ``hrnet-plugin doctor``, which has to run where nothing else does.

    Python imports the package before any module of it, so the package itself has to ask.
    """
    program = Path(sys.argv[0]).stem if sys.argv else ''
    as_module = program == '-m' and 'hrnet_plugin' in sys.orig_argv
    return (as_module or program == 'hrnet-plugin') and sys.argv[1:2] == ['doctor']
