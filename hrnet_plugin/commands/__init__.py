"""One file for each of ``hrnet-plugin``'s subcommands.

``add(parser)`` adds the subcommand's arguments to its parser and returns the function that runs
it, which takes the parsed arguments and returns an exit code. Only that function imports other
packages: ``hrnet-plugin doctor`` has to start where they are broken.
"""

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]

OK, FOUND_ERRORS, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130
