import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

import hrnet_plugin  # importing it is what is tested
from hrnet_plugin.checkpoints import read_checkpoint
from hrnet_plugin.checkpoints.safe_globals import HistoryBufferStandIn, history_statistic


class Unknown:
    """Not among the types that MMEngine writes."""


class Evil:
    """Runs a command when it is unpickled by a loader that is not safe."""

    def __reduce__(self) -> tuple:
        return os.getenv, ('HOME',)


class Attribute:
    """Asks for an attribute of a type that is allowed."""

    def __reduce__(self) -> tuple:
        return getattr, (HistoryBuffer, '__init__')


class ManyBytes:
    """Asks for more memory than there is."""

    def __reduce__(self) -> tuple:
        return bytes, (2**62,)


@pytest.fixture
def allowed_as_before():
    """Leave the types that the safe loader knows as they are."""
    before = torch.serialization.get_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


def saved(tmp_path: Path, thing: object) -> Path:
    torch.save(thing, tmp_path / 'checkpoint.pth')
    return tmp_path / 'checkpoint.pth'


def test_what_training_writes_loads(tmp_path: Path) -> None:
    history = HistoryBuffer([1.0, 2.0], [1, 3])
    meta = dict(
        sigmas=np.array([0.026, 0.025], np.float32),
        pairs=np.array([[0, 1]]),
        flags=np.array([True]),
        colours=np.array([[255, 0, 0]], np.uint8),
        best=np.float64(0.5),
        links=np.zeros((0, 3), np.uint8),  # of keypoints without a skeleton
    )
    checkpoint = dict(
        meta=dict(dataset_meta=meta),
        state_dict=OrderedDict(weight=torch.ones(2)),
        message_hub=dict(log_scalars=OrderedDict({'train/loss': history})),
    )
    loaded = torch.load(saved(tmp_path, checkpoint), weights_only=True)
    back = loaded['message_hub']['log_scalars']['train/loss']
    assert back.mean() == history.mean() == 3 / 4  # sum of values by sum of counts
    assert back.statistics('max') == 2
    for name, value in meta.items():
        np.testing.assert_array_equal(loaded['meta']['dataset_meta'][name], value)
        assert loaded['meta']['dataset_meta'][name].dtype == value.dtype


@pytest.mark.parametrize('kind', [Unknown, Evil, Attribute, ManyBytes])
def test_anything_else_is_refused(tmp_path: Path, kind: type) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(saved(tmp_path, dict(meta=kind())), weights_only=True)


RECONSTRUCT = np._core.multiarray._reconstruct
SAFE_GLOBALS_OF_OTHERS = {
    'types': [np.ndarray, np.dtype, RECONSTRUCT, type(np.dtype(np.int64)), HistoryBuffer],
    'names': [
        (np.ndarray, 'numpy.ndarray'),
        (RECONSTRUCT, 'numpy.core.multiarray._reconstruct'),
        (RECONSTRUCT, 'numpy._core.multiarray._reconstruct'),
        (HistoryBufferStandIn, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (history_statistic, 'builtins.getattr'),
    ],
}


@pytest.mark.parametrize('theirs', SAFE_GLOBALS_OF_OTHERS.values(), ids=SAFE_GLOBALS_OF_OTHERS)
def test_what_other_code_allowed_for_a_while_stays_allowed(
    tmp_path: Path, allowed_as_before: None, theirs: list
) -> None:
    path = saved(tmp_path, dict(history=HistoryBuffer([1.0, 2.0], [1, 3]), pairs=np.array([2, 1])))
    with torch.serialization.safe_globals(theirs):
        assert torch.load(path, weights_only=True)['history'].mean() == 3 / 4
    loaded = torch.load(path, weights_only=True)
    assert loaded['history'].mean() == 3 / 4
    assert loaded['pairs'].tolist() == [2, 1]


@pytest.mark.parametrize('theirs', [[HistoryBuffer], [getattr], [HistoryBuffer, getattr]])
def test_either_of_two_types_with_one_name_will_do(
    tmp_path: Path, allowed_as_before: None, theirs: list
) -> None:
    """onedl-mmengine allows both while it loads; which one torch takes is a matter of hashes."""
    path = saved(tmp_path, HistoryBuffer([1.0, 2.0], [1, 3]))
    names = {f'{thing.__module__}.{thing.__qualname__}' for thing in theirs}
    before = torch.serialization.get_safe_globals()
    others = [entry for entry in before if not (isinstance(entry, tuple) and entry[1] in names)]
    assert len(others) == len(before) - len(theirs)
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*others, *theirs])
    back = torch.load(path, weights_only=True)
    assert type(back) is HistoryBuffer
    assert back.statistics('max') == 2


def test_our_loader_allows_again_what_other_code_cleared(
    tmp_path: Path, allowed_as_before: None
) -> None:
    path = saved(tmp_path, dict(pairs=np.array([2, 1])))
    torch.serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert read_checkpoint(path)['pairs'].tolist() == [2, 1]


def test_allowing_again_adds_nothing(allowed_as_before: None) -> None:
    before = len(torch.serialization.get_safe_globals())
    hrnet_plugin.checkpoints.allow_mmengine_checkpoints()
    assert len(torch.serialization.get_safe_globals()) == before > 15
