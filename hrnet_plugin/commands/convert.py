"""`hrnet-plugin convert`: convert published checkpoints to MMPose 1.x's names."""

import argparse

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
        '1.x, and print its layout and model.'
    )
    parser.add_argument('source', metavar='IN', help='checkpoint to read')
    parser.add_argument('target', metavar='OUT', help='checkpoint to write')
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
        num_keypoints=args.num_keypoints,
        position_bias=args.position_bias,
        overwrite=args.overwrite,
    )
    print(conversion)
    for note in conversion.notes:
        print(f'- {note}')
    print(f'wrote {args.target}')
    return OK
