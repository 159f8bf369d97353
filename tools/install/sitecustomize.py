"""Lets mmcv 2.1.0 and xtcocotools 1.14.3 be built by Python >= 3.13.

Their setup.py runs ``exec(code)`` in a function and then looks the result up in ``locals()``,
which PEP 667 made a fresh copy. Here ``exec`` without a namespace writes through to the caller's
locals, as it used to. Only the installation has this folder on PYTHONPATH.
"""

import builtins
import sys

if sys.version_info >= (3, 13):
    plain_exec = builtins.exec

    def write_through_exec(code, globals=None, locals=None, /, *, closure=None):
        frame = sys._getframe(1)
        if globals is None:
            globals, locals = frame.f_globals, frame.f_locals
        plain_exec(code, globals, locals, closure=closure)

    builtins.exec = write_through_exec
