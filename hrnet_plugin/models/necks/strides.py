"""Strides that a detector's heads assume, compared with those of its neck when it is built.

With other strides, a detector of MMDetection runs and learns boxes of wrong sizes
(https://github.com/open-mmlab/mmdetection/issues/5574). A neck never sees the head; and detectors
are stock's. But PyTorch reports every module that becomes part of another, and stock's detectors
build their neck first.
"""

from collections.abc import Iterator
from functools import cache

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from .base import StreamNeck

HEADS = ('bbox_head', 'rpn_head', 'roi_head')  # of stock's detectors
EXTRACTORS = ('bbox_roi_extractor', 'mask_roi_extractor')


@cache
def check_heads_when_built() -> None:
    """From now on, check each head that becomes part of a detector with one of our necks."""
    register_module_module_registration_hook(_check_head)


def _check_head(detector: nn.Module, name: str, head: nn.Module | None) -> None:
    """Raise a ValueError if a head assumes other strides than the detector's neck has."""
    if name not in HEADS or head is None:
        return
    neck = getattr(detector, 'neck', None)
    if not isinstance(neck, StreamNeck):
        return
    for what, strides, needs_all in _assumed_strides(name, head):
        levels = neck.out_strides if needs_all else neck.out_strides[: len(strides)]
        if strides != levels:
            raise ValueError(
                f'{what} assumes strides of {strides}, but those of {type(neck).__name__} are '
                f'{neck.out_strides}: make them agree, by the strides of the head or by stride '
                'and num_outs of the neck'
            )


def _assumed_strides(name: str, head: nn.Module) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Yield what assumes strides, which, and whether it reads all levels or the first ones."""
    for path, module in head.named_modules(prefix=name):
        if generator := getattr(module, 'prior_generator', None):
            yield f'{path}.prior_generator', _sides(generator.strides), True
        if set(path.split('.')) & set(EXTRACTORS) and hasattr(module, 'featmap_strides'):
            yield path, _sides(module.featmap_strides), False


def _sides(strides: list[int | tuple[int, int]]) -> tuple[int, ...]:
    """Return one number for each level; stock has pairs of two equal ones."""
    return tuple(s if isinstance(s, int) else s[0] for s in strides)
