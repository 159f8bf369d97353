"""What pip cannot require for us: OpenMMLab's packages, with the compiled operations of MMCV."""

from importlib import import_module
from importlib.util import find_spec

MEND = (
    'On a fresh machine, `make` in a clone of hrnet_plugin installs a set that works together; '
    'README.md, "Install", names the versions.'
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
