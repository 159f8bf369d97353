"""What tests on a GPU have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@contextmanager
def waiting_for_the_gpu_fails() -> Iterator[None]:
    """Inside, whatever makes the host wait for the device raises a RuntimeError."""
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')
