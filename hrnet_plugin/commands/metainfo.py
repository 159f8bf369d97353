"""`hrnet-plugin metainfo`: what MMPose has to know of a data set of one's own."""

import argparse
import warnings
from pathlib import Path
from typing import Any

from . import OK, Run


def add(parser: argparse.ArgumentParser) -> Run:
    parser.description = (
        'Write the metainfo of a data set with keypoints of your own: names, skeleton, which '
        'keypoints a mirror swaps, and sigmas.'
    )
    parser.add_argument('annotations', metavar='ANN.json', help='annotations in COCO format')
    parser.add_argument('out', metavar='OUT.py', help='file to write')
    parser.add_argument(
        '--repeated',
        nargs='+',
        default=[],
        metavar='ANN.json',
        help='the same objects, under the same ids, annotated again: sigmas are estimated from '
        'how far they differ; without, they are all 0.05',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace OUT.py')
    return run


def run(args: argparse.Namespace) -> int:
    from ..datasets import metainfo_from_coco

    out = Path(args.out)
    if out.suffix != '.py':
        raise ValueError(f'{out} is not a .py file, which MMPose expects metainfo to be')
    if out.exists() and not args.overwrite:
        raise ValueError(f'{out} is there already; name another file, or give --overwrite')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')  # they are notes below, whatever Python was told
        info = metainfo_from_coco(args.annotations, args.repeated, out.stem)
    out.write_text(_source(info), encoding='utf-8')

    keypoints = info['keypoint_info'].values()
    for keypoint, sigma in zip(keypoints, info['sigmas']):
        swap = f', mirrored: {keypoint["swap"]}' if keypoint['swap'] else ''
        print(f'{keypoint["id"]} {keypoint["name"]}: sigma {sigma}{swap}')
    for warning in caught:
        print(f'note: {warning.message}')
    if len(keypoints) > 1 and not any(keypoint['swap'] for keypoint in keypoints):
        print('note: mirrored images swap no keypoints; train without flips if they have sides')
    if not args.repeated:
        print('note: no --repeated annotations, so every sigma is the same')
    print(f'wrote {out}: metainfo=dict(from_file={str(out)!r})')
    return OK


def _source(info: dict[str, Any]) -> str:
    """The file, one line for each keypoint and each link."""

    def entries(name: str) -> list[str]:
        lines = [f'        {number}: {entry!r},' for number, entry in info[name].items()]
        return [f'    {name}={{', *lines, '    },']

    rest = [f'    {name}={info[name]!r},' for name in ('joint_weights', 'sigmas')]
    return '\n'.join(
        [
            'dataset_info = dict(',
            f'    dataset_name={info["dataset_name"]!r},',
            *entries('keypoint_info'),
            *entries('skeleton_info'),
            *rest,
            ')',
            '',
        ]
    )
