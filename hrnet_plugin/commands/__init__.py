"""One file for each of ``hrnet-plugin``'s subcommands.

``add(parser)`` adds the subcommand's arguments to its parser and returns the function that runs
it, which takes the parsed arguments and returns an exit code.
"""

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130
