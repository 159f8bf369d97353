"""Subcommands of ``hrnet-plugin``, one file each.

``add(parser)`` adds a subcommand's arguments to its parser and returns the function ``run``, which
takes the parsed arguments and returns an exit code. Other packages are imported in ``run`` only:
``hrnet-plugin doctor`` must start where they are broken.
"""

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]

OK, FOUND_ERRORS, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130


def positive(text: str) -> int:
    """Parse a number of 1 or more.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 1 or more')
    return int(text)
