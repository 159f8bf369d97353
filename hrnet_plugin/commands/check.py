"""`hrnet-plugin check`: list all errors of a config and its data."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import FOUND_ERRORS, OK, Run

LONGEST_CONFIG = 1 << 20  # characters; a longer file is not a config


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Check a config of pose estimation and its data before training: annotations, boxes, '
        'images, metainfo, pipelines, codec and model. Lists all errors and warnings with file '
        'and id. Exit code 1 if there are errors.'
    )
    parser.add_argument('config', metavar='CONFIG', help='a file, or a name of `mim search`')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    parser.add_argument(
        '--no-images', action='store_true', help='check that images exist without reading them'
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='folder for images of samples with their heatmaps'
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    import cv2

    from ..checks.config import check_config

    config = read_config(args.config, args.cfg_options)
    if isinstance(config, str):
        print(config)
        return FOUND_ERRORS
    report = check_config(config, not args.no_images, args.out is not None, progress)
    for severity, is_error in (('error', True), ('warning', False)):
        for finding in report.findings:
            if finding.is_error == is_error:
                print(f'{severity}: {finding}')
    errors = sum(finding.is_error for finding in report.findings)
    for phase, sheet in report.sheets.items():
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f'{phase}_samples.jpg'
        cv2.imwrite(str(path), sheet)
        print(f'wrote {path}')
    print(
        f'{report.instances} instances in {report.images} images: {errors} errors, '
        f'{len(report.findings) - errors} warnings'
    )
    return FOUND_ERRORS if report.has_errors else OK


def read_config(name: str, changes: list[str]) -> Any:
    """Read a config; return an explanation instead if it is an unreadable one of MMPose 0.x."""
    from mmengine.config import Config

    from ..apis import explain_old_config, find_config
    from ..environment.requirements import explained_import_errors
    from .launch import import_custom

    path = find_config(name)
    try:
        with explained_import_errors(str(path)):
            config = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # a config is Python, which can fail in any way
        with path.open(encoding='utf-8', errors='replace') as file:
            beginning = file.read(LONGEST_CONFIG)
        if explanation := explain_old_config(beginning):
            return explanation
        if isinstance(error, ImportError):  # explained, as of a package of its bases
            raise
        reason = ' '.join(str(error).split())
        raise ValueError(f'{path} cannot be read: {type(error).__name__}: {reason}') from error
    try:
        import_custom(config, path)
    except ImportError as error:
        raise ValueError(str(error)) from error
    config.merge_from_dict(dict(map(change, changes)))
    return config


def change(text: str) -> tuple[str, Any]:
    """Parse ``key=value`` as MMEngine's tools do."""
    from mmengine.config import DictAction

    key, equals, value = text.partition('=')
    if not equals:
        raise ValueError(f'{text!r} is not KEY=VALUE, such as model.head.out_channels=17')
    return key, DictAction._parse_iterable(value)


def progress(folder: str, images: int) -> Callable[[], object]:
    """Show a bar on a terminal; return the function that advances it."""
    from tqdm import tqdm

    bar = tqdm(total=images, unit='image', desc=folder or 'images', delay=0.5, disable=None)

    def done() -> None:
        bar.update()
        if bar.n == images:
            bar.close()

    return done
