"""`hrnet-plugin synth`: write a synthetic dataset in COCO format."""

import argparse

from . import OK, Run


def _image_size(text: str) -> tuple[int, int]:
    """Parse ``WIDTHxHEIGHT``."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, such as 320x240')
    return int(width), int(height)


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = 'Write a synthetic COCO dataset of people, with train and val splits.'
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--images',
        type=int,
        required=True,
        metavar='N',
        help='images, train and val together',
    )
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='default: %(default)s')
    parser.add_argument(
        '--val-fraction', type=float, default=0.1, metavar='F', help='default: %(default)s'
    )
    parser.add_argument(
        '--size', type=_image_size, default=(320, 240), metavar='WxH', help='default: 320x240'
    )
    parser.add_argument('--workers', type=int, metavar='N', help='default: one per core')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a dataset of other parameters'
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=('pose', 'detection', 'segmentation', 'classification'),
        default=['pose'],
        metavar='TASK',
        help='what to annotate beside pose: detection (instance masks), segmentation (label maps '
        'of persons and their parts), classification (labels of images)',
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from tqdm import tqdm

    from ..datasets.synthetic import synthesize

    with tqdm(total=args.images, unit='image', desc=args.out, leave=False, delay=0.5) as bar:
        summary = synthesize(
            args.out,
            args.images,
            args.seed,
            args.val_fraction,
            args.size,
            num_workers=args.workers,
            overwrite=args.overwrite,
            progress=lambda done: bar.update(done - bar.n),
            tasks=args.tasks,
        )
    result = 'wrote' if summary.written else 'nothing to do, there are already'
    print(f'{result} {summary.images} images with {summary.people} people in {summary.out_dir}')
    return OK
