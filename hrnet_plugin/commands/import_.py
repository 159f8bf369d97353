"""`hrnet-plugin import`: make a COCO dataset of another tool's annotations."""

import argparse

from . import FOUND_ERRORS, OK, Run

FORMATS = ('coco', 'cvat', 'label-studio', 'labelme', 'yolo-pose', 'deeplabcut', 'sleap')


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Make a dataset in COCO format of keypoints that were annotated with CVAT, Label Studio, '
        'LabelMe, Roboflow, COCO-Annotator, DeepLabCut or SLEAP, or exported for YOLO-pose: '
        'images, annotations of train and val, and metainfo. Says what is repaired and left out, '
        'and checks the result. Exit code 1 if the check finds errors.'
    )
    parser.add_argument(
        'source', metavar='FILE|FOLDER', help='annotations; a zip file as tools export them, too'
    )
    parser.add_argument(
        '--out', required=True, metavar='DATA', help='folder to write; must be empty or not exist'
    )
    parser.add_argument('--format', choices=FORMATS, help='default: recognised')
    parser.add_argument(
        '--images', metavar='FOLDER', help='folder of the images; default: with the annotations'
    )
    parser.add_argument('--copy', action='store_true', help='copy images instead of linking')
    parser.add_argument(
        '--val',
        type=float,
        default=0.1,
        metavar='F',
        help='share of the images for validation, unless the source has splits; frames of a video '
        'stay together; default: %(default)s',
    )
    parser.add_argument(
        '--seed', type=int, default=0, metavar='S', help='of the split; default: %(default)s'
    )
    flips = parser.add_mutually_exclusive_group()
    flips.add_argument(
        '--flip-pairs',
        nargs='+',
        type=_pair,
        metavar='A:B',
        help='keypoints that swap when an image is mirrored; default: those of the source, or by '
        'their names (left, right)',
    )
    flips.add_argument('--no-flip-pairs', action='store_true', help='no keypoints swap')
    parser.add_argument(
        '--keypoint-names',
        nargs='+',
        default=[],
        metavar='NAME',
        help='names of keypoints that the source only numbers, in order; else those to take',
    )
    parser.add_argument(
        '--category', metavar='NAME', help='take this category, where keypoints differ'
    )
    parser.add_argument(
        '--no-images', action='store_true', help='check that images exist without reading them'
    )
    return run


def _pair(text: str) -> tuple[str, str]:
    """Parse ``A:B``."""
    one, colon, other = text.partition(':')
    if not (one and colon and other):
        raise argparse.ArgumentTypeError(f'{text!r} is not A:B, such as left_eye:right_eye')
    return one, other


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from ..apis import import_dataset

    result = import_dataset(
        args.source,
        args.out,
        args.format,
        args.images,
        args.val,
        args.seed,
        args.copy,
        () if args.no_flip_pairs else args.flip_pairs,
        args.keypoint_names,
        args.category,
        not args.no_images,
    )
    for title, lines in (
        ('repaired', result.repaired),
        ('left out', result.left_out),
        ('note', result.notes),
    ):
        for line in lines:
            print(f'{title}: {line}')
    for finding in result.findings:
        print(f'{"error" if finding.is_error else "warning"}: {finding}')
    print(f'read ({result.format}): {result.found}')
    for split, counts in result.written.items():
        print(f'wrote {result.folder / f"annotations/{split}.json"}: {counts}')
    print(
        f'{len(result.keypoints)} keypoints; in a config: data_root={str(result.folder)!r}, '
        "data_prefix=dict(img='images'), "
        f'metainfo=dict(from_file={str(result.metainfo)!r})'
    )
    return FOUND_ERRORS if result.findings.has_errors else OK
