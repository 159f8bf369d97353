"""Reuse of freed memory, which training on a CPU needs for its activations."""

import ctypes
import warnings

# Parameters of glibc's mallopt(3)
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def disable_malloc_trim() -> bool:
    """Make glibc's malloc keep freed memory in this process.

    By default glibc returns large blocks to the system at once, and the system clears every page
    before it hands it out again. The cost grows with the batch: 40 % of a training step of
    HRNet-W18-Small-v1 with the demo's head, 32 people and 256x192 pixels, on two cores.

    Returns:
        Whether the process uses glibc; with another C library, nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))


def keep_freed_memory() -> bool:
    """Call :func:`disable_malloc_trim`, which this was in the last release."""
    warnings.warn(
        'keep_freed_memory is now disable_malloc_trim; the former name goes with the next release',
        DeprecationWarning,
        stacklevel=2,
    )
    return disable_malloc_trim()
