"""Let Python >= 3.13 build mmcv 2.1.0 and xtcocotools 1.14.3.

Their setup.py runs ``exec(code)`` in a function and then looks the result up in ``locals()``,
which PEP 667 made a fresh copy. Here ``exec`` without a namespace writes through to the caller's
locals, as it used to. Only the installation has this folder on PYTHONPATH.
"""

import builtins
import sys
from typing import Any

if sys.version_info >= (3, 13):
    plain_exec = builtins.exec

    def write_through_exec(
        code: Any, globals: Any = None, locals: Any = None, /, *, closure: Any = None
    ) -> None:
        frame = sys._getframe(1)
        if globals is None:
            globals, locals = frame.f_globals, frame.f_locals
        plain_exec(code, globals, locals, closure=closure)

    builtins.exec = write_through_exec
