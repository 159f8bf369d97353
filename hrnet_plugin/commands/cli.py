"""`hrnet-plugin …`: one subcommand per job, each a module of ``commands``."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence

from ..environment.requirements import explained_import_errors
from ..utils.errors import unknown_name
from ..version import __version__
from . import (
    BAD_INPUT,
    INTERRUPTED,
    Run,
    check,
    convert,
    doctor,
    metainfo,
    predict,
    synth,
)

# What OpenMMLab warns of whatever is done, and nobody can help
NOISE = ('pkg_resources is deprecated', 'The metainfo config file .* does not exist. A matched')


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


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], Run]]] = {
    'check': ('check a config and its data before training', check.add),
    'convert': ('convert a published checkpoint to the names of MMPose 1.x', convert.add),
    'doctor': ('say which packages clash, and what mends it', doctor.add),
    'metainfo': ('describe keypoints of your own to MMPose', metainfo.add),
    'predict': ('find poses in pictures and videos', predict.add),
    'synth': ('write synthetic people in COCO format', synth.add),
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
        command.set_defaults(run=add(command), parser=command, command=name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it went well, 2 on bad input, 3 if some inputs were unreadable, 130 when
    interrupted."""
    args = _build_parser().parse_args(argv)
    for message in NOISE:
        warnings.filterwarnings('ignore', message)
    try:
        with explained_import_errors(f'hrnet-plugin {args.command}'):
            return args.run(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    except MemoryError as error:
        print(f'hrnet-plugin: error: not enough memory {error}'.rstrip(), file=sys.stderr)
        return BAD_INPUT
    except (ImportError, ValueError, OSError) as error:
        print(f'hrnet-plugin: error: {error}', file=sys.stderr)
        return BAD_INPUT
