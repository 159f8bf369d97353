"""`hrnet-plugin …`: one subcommand per job.

A subcommand is a function that adds its arguments to a parser and names the function that runs
it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from .datasets.synthetic import synthesize
from .errors import unknown_name
from .version import __version__

Run = Callable[[argparse.Namespace], int]

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130


class _Parser(argparse.ArgumentParser):
    """A parser that names the closest valid option when one is misspelled."""

    def parse_args(self, args=None, namespace=None):
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = getattr(parsed, 'parser', self)
            parser.error(parser.describe(unknown[0]))
        return parsed

    def describe(self, argument: str) -> str:
        if not argument.startswith('-'):
            return f'unexpected argument {argument!r}'
        options = [o for o in self._option_string_actions if o.startswith('--')]
        return unknown_name('option', argument.split('=')[0], options)


def _image_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, such as 320x240')
    return int(width), int(height)


def _add_synth(parser: argparse.ArgumentParser) -> Run:
    parser.description = 'Write synthetic people as a COCO data set with train and val splits.'
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--images', type=int, required=True, metavar='N', help='train and val together'
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
        '--overwrite', action='store_true', help='replace a data set of other parameters'
    )
    return _synth


def _synth(args: argparse.Namespace) -> int:
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
        )
    done = 'wrote' if summary.written else 'nothing to do, there are already'
    print(f'{done} {summary.images} images with {summary.people} people in {summary.out_dir}')
    return OK


def _keypoints(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of keypoints, 1 or more')
    return int(text)


def _add_convert(parser: argparse.ArgumentParser) -> Run:
    parser.description = (
        'Convert a published checkpoint of HRNet, Lite-HRNet or HRFormer to the names of MMPose '
        '1.x, and say what it is.'
    )
    parser.add_argument('source', metavar='IN', help='checkpoint to read')
    parser.add_argument('target', metavar='OUT', help='checkpoint to write')
    parser.add_argument(
        '--num-keypoints',
        type=_keypoints,
        metavar='N',
        help='start the final layer afresh if it has another number of keypoints',
    )
    parser.add_argument(
        '--position-bias',
        choices=('keep', 'zero', 'drop'),
        help="what becomes of HRFormer's position biases; default: zero those of official pose "
        'models, whose code does not add them, keep all others',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace OUT, which may be IN')
    return _convert


def _convert(args: argparse.Namespace) -> int:
    from .apis import convert_file

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


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], Run]]] = {
    'convert': ('convert a published checkpoint to the names of MMPose 1.x', _add_convert),
    'synth': ('write synthetic people in COCO format', _add_synth),
}


def _build_parser() -> _Parser:
    # An abbreviation would change its meaning when an option is added: none are allowed.
    parser = _Parser(
        prog='hrnet-plugin',
        description='HRNet pose estimation for MMPose.',
        allow_abbrev=False,
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, (summary, add) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        command.set_defaults(run=add(command), parser=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it went well, 2 on bad input, 130 when interrupted."""
    args = _build_parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError) as error:
        print(f'hrnet-plugin: error: {error}', file=sys.stderr)
        return BAD_INPUT
