"""`hrnet-plugin …`: one subcommand per job, each a module of ``commands``."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..environment.requirements import explained_import_errors
from ..utils.errors import unknown_name
from ..version import __version__
from . import (
    BAD_INPUT,
    INTERRUPTED,
    Run,
    bench,
    check,
    convert,
    doctor,
    evaluate,
    export,
    import_,
    metainfo,
    predict,
    synth,
    train,
)

# Unavoidable OpenMMLab warnings
NOISE = (
    'pkg_resources is deprecated',
    'The metainfo config file .* does not exist. A matched',
    r'`torch\.cuda\.amp\.autocast',  # of MMDetection's losses and heads
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the closest valid option."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; exit with an error at the first unknown one."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = getattr(parsed, 'parser', self)
            parser.error(parser.describe(unknown[0]))
        return parsed

    def describe(self, argument: str) -> str:
        """Describe an unknown argument."""
        if not argument.startswith('-'):
            return f'unexpected argument {argument!r}'
        options = [o for o in self._option_string_actions if o.startswith('--')]
        return unknown_name('option', argument.split('=')[0], options)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], Run]]] = {
    'bench': ('time a pose network in the runtimes of this machine', bench.add),
    'check': ('check a config and its data before training', check.add),
    'convert': ('convert a published checkpoint to the names of OpenMMLab', convert.add),
    'doctor': ('report package conflicts and the commands that fix them', doctor.add),
    'evaluate': ('evaluate predictions, and write a page about their errors', evaluate.add),
    'export': ('export a trained pose model as an ONNX file', export.add),
    'import': ('make a COCO dataset of annotations of other tools', import_.add),
    'metainfo': ('write the metainfo of a custom dataset', metainfo.add),
    'predict': ('predict poses in images and videos', predict.add),
    'synth': ('write a synthetic dataset in COCO format', synth.add),
    'train': ('train a pose model on annotations, without a config', train.add),
}


def _build_parser() -> _Parser:
    # No abbreviations: new options would change their meaning.
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
    """Run the command line.

    Args:
        argv: Arguments; those of the program by default.

    Returns:
        The exit code: 0 on success, 1 if a check found errors, 2 on bad input, 3 if some inputs
        were unreadable, 130 when interrupted.
    """
    args = _build_parser().parse_args(argv)
    try:
        with warnings.catch_warnings(), explained_import_errors(f'hrnet-plugin {args.command}'):
            for message in NOISE:
                warnings.filterwarnings('ignore', message)
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
