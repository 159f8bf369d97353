"""What pip cannot require for us: OpenMMLab's packages, with the compiled operations of MMCV."""

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
    if not find_spec('mmcv._ext'):
        raise ImportError(
            'mmcv is installed without its compiled operations (mmcv._ext is missing): its build '
            f'did not see torch, or it is mmcv-lite. {MEND}'
        )
