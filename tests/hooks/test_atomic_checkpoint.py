"""The rest of what AtomicCheckpointHook does is tested in whole runs: tests/test_training.py."""

from types import SimpleNamespace

import torch

from hrnet_plugin.hooks import AtomicCheckpointHook


def test_a_run_allows_again_what_other_code_cleared() -> None:
    """MMEngine loads what a run resumes from or tests, with torch's safe loader."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        AtomicCheckpointHook().before_run(SimpleNamespace(_resume=False, _train_loop=None))
        names = {entry[1] for entry in torch.serialization.get_safe_globals()}
    finally:
        torch.serialization.add_safe_globals(before)
    assert names >= {'numpy.ndarray', 'mmengine.logging.history_buffer.HistoryBuffer'}
