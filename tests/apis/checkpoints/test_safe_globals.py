import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

import hrnet_plugin  # noqa: F401  (importing it is what is tested)


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


def saved(tmp_path: Path, thing: object) -> Path:
    torch.save(thing, tmp_path / 'checkpoint.pth')
    return tmp_path / 'checkpoint.pth'


# user_pains 15
def test_what_training_writes_loads(tmp_path: Path) -> None:
    history = HistoryBuffer([1.0, 2.0], [1, 3])
    meta = dict(
        sigmas=np.array([0.026, 0.025], np.float32),
        pairs=np.array([[0, 1]]),
        flags=np.array([True]),
        colours=np.array([[255, 0, 0]], np.uint8),
        best=np.float64(0.5),
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


# user_pains 15
@pytest.mark.parametrize('kind', [Unknown, Evil, Attribute])
def test_anything_else_is_refused(tmp_path: Path, kind: type) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(saved(tmp_path, dict(meta=kind())), weights_only=True)
