"""`hrnet-plugin metainfo`: write the metainfo of a custom dataset."""

import argparse
import warnings
from pathlib import Path
from typing import Any

from . import OK, Run


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Write the metainfo of a dataset with custom keypoints: names, skeleton, pairs that a '
        'flip swaps, and sigmas.'
    )
    parser.add_argument('annotations', metavar='ANN.json', help='annotations in COCO format')
    parser.add_argument('out', metavar='OUT.py', help='file to write')
    parser.add_argument(
        '--repeated',
        nargs='+',
        default=[],
        metavar='ANN.json',
        help='further annotations of the same instances, under the same ids: sigmas are '
        'estimated from the differences; without them, all sigmas are 0.05',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace OUT.py')
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from ..datasets import metainfo_from_coco
    from ..datasets.metainfo import metainfo_source

    out = Path(args.out)
    if out.suffix != '.py':
        raise ValueError(f'{out} is not a .py file, which MMPose expects of metainfo')
    if out.exists() and not args.overwrite:
        raise ValueError(f'{out} is there already; give another name or --overwrite')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')  # notes below, whatever the filters
        info = metainfo_from_coco(args.annotations, args.repeated, out.stem)
    out.write_text(metainfo_source(info), encoding='utf-8')
    _print_keypoints(info)
    for warning in caught:
        print(f'note: {warning.message}')
    swaps = [keypoint['swap'] for keypoint in info['keypoint_info'].values()]
    if len(swaps) > 1 and not any(swaps):
        print('note: a flip swaps no keypoints; train without flips if they have sides')
    if not args.repeated:
        print('note: no --repeated annotations, so every sigma is the same')
    print(f'wrote {out}: metainfo=dict(from_file={str(out)!r})')
    return OK


def _print_keypoints(info: dict[str, Any]) -> None:
    """Print one line for each keypoint."""
    keypoints = info['keypoint_info'].values()
    for keypoint, sigma in zip(keypoints, info['sigmas']):
        swap = f', mirrored: {keypoint["swap"]}' if keypoint['swap'] else ''
        print(f'{keypoint["id"]} {keypoint["name"]}: sigma {sigma}{swap}')
