"""`hrnet-plugin convert`: convert published checkpoints to OpenMMLab's names."""

import argparse

from ..checkpoints.tasks import TASKS
from . import OK, Run


def _keypoints(text: str) -> int:
    """Parse a number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of keypoints, 1 or more')
    return int(text)


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Convert a published checkpoint of HRNet, Lite-HRNet or HRFormer to the names of MMPose '
        '1.x, MMSegmentation, MMDetection or MMPretrain, and print its layout, its model and the '
        'upsampling that the backbone needs.'
    )
    parser.add_argument('source', metavar='IN', help='checkpoint to read')
    parser.add_argument('target', metavar='OUT', help='checkpoint to write')
    parser.add_argument(
        '--task',
        choices=tuple(TASKS),
        default='pose',
        help='what the model is for; default: pose, which also takes models of the other tasks '
        'and keeps the backbone, from which a pose model can start',
    )
    parser.add_argument(
        '--align-corners',
        action=argparse.BooleanOptionalAction,
        help='how official segmentation weights of HRNet without OCR upsample: with --align-'
        'corners those of the branch HRNet-OCR, without those of master and pytorch-v1.1',
    )
    parser.add_argument(
        '--num-keypoints',
        type=_keypoints,
        metavar='N',
        help='re-initialise the final layer if it has another number of keypoints',
    )
    parser.add_argument(
        '--position-bias',
        choices=('keep', 'zero', 'drop'),
        help="HRFormer's tables of position biases; default: zero those of official pose models, "
        'whose code does not add them, and keep all others',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace OUT, which may be IN')
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from ..apis import convert_file

    conversion = convert_file(
        args.source,
        args.target,
        task=args.task,
        num_keypoints=args.num_keypoints,
        position_bias=args.position_bias,
        align_corners=args.align_corners,
        overwrite=args.overwrite,
    )
    print(conversion)
    for note in conversion.notes:
        print(f'- {note}')
    print(f'wrote {args.target}')
    return OK
