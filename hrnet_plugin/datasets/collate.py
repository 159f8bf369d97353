"""Collate the samples of a batch, in the worker that has loaded them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import default_collate

from ..registry import FUNCTIONS


@FUNCTIONS.register_module()
def stack_inputs(samples: Sequence[Mapping[str, Any]]) -> Any:
    """Collate samples as MMEngine's ``pseudo_collate`` does, with their inputs in one tensor.

    A tensor for each sample would have to be sent to the main process, moved to the device and
    normalized one by one. The data preprocessors of OpenMMLab take both, to the same values.
    Inputs of different shapes or types stay a list. It is for ``train_dataloader``: MMEngine's
    inferencers cannot read a ``collate_fn`` of ``test_dataloader`` that loaders can.

    Args:
        samples: N samples with ``inputs``, each (C, H, W), as pipelines pack them.

    Returns:
        A dict with ``inputs`` (N, C, H, W), and lists of whatever else samples have.
    """
    batch = pseudo_collate(samples)
    inputs: list[Any] = batch.get('inputs', []) if isinstance(batch, dict) else []
    kinds = {(x.shape, x.dtype) if isinstance(x, torch.Tensor) else None for x in inputs}
    if len(kinds) == 1 and None not in kinds:
        batch['inputs'] = default_collate(inputs)
    return batch
