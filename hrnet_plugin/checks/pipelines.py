"""Compare the pipelines of a run with its model: sizes, conventions, keypoints, channels."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmpose.datasets.transforms import RandomFlip
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.models.pose_estimators.base import BasePoseEstimator

from ..codecs import KeypointCodec, as_keypoint_codec
from ..datasets.mirror_pairs import describe_pairs, find_mirror_pairs
from ..models import HeatmapHead
from ..models.estimators.topdown import check_channels


def disagreements(dataset: Any, model: Any) -> list[str]:
    """Compare a dataset and its pipelines with a top-down estimator.

    Args:
        dataset: Dataset of MMPose, also one that wraps others.
        model: Estimator; parts of other packages are compared as far as they are known.

    Returns:
        One sentence for each thing that does not fit.
    """
    head = getattr(model, 'head', None)
    decoder = decoder_of(model)
    k = num_keypoints(dataset)
    problems: list[str | None] = []
    for steps in pipelines(dataset):
        encoders = [(f'the codec of {_name(s)}', c) for s in steps for c in _encoders(s)]
        asked = [(name, as_keypoint_codec(c)) for name, c in encoders]
        codecs = [(name, c) for name, c in [*asked, ('head.decoder', decoder)] if c is not None]
        for step in steps:
            if hasattr(step, 'use_udp') and hasattr(step, 'input_size'):
                problems += [_affine_error(step, name, codec) for name, codec in codecs]
        problems += [_target_error(*codecs[0], name, codec) for name, codec in codecs[1:]]
        problems += [_keypoint_error(k, name, codec) for name, codec in codecs]
        problems += [_tag_error(head, codec) for _, codec in encoders]
    if isinstance(head, HeatmapHead) or decoder is not None:
        problems.append(_head_error(k, head, decoder))
    problems.append(_flip_error(dataset, model))
    problems.append(_channel_error(model))
    if decoder is not None:
        problems.append(decoder.shift_error(getattr(model, 'test_cfg', None) or {}))
    return list(dict.fromkeys(p for p in problems if p))


def decoder_of(model: Any) -> KeypointCodec | None:
    """Return the codec with which a model decodes, or None for one that is not known."""
    return as_keypoint_codec(getattr(getattr(model, 'head', None), 'decoder', None))


def output_error(outputs: Any, decoder: KeypointCodec) -> str | None:
    """Compare the outputs of a head with the targets of its decoder.

    Args:
        outputs: Tensor, or tensors in the order of the targets, each (N, C, …), for an input of
            the decoder's size; anything else is not compared.
        decoder: The head's codec.

    Returns:
        What does not fit, or None.
    """
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    shapes = decoder.target_shapes(1)
    if not isinstance(outputs, (list, tuple)) or len(outputs) != len(shapes):
        return None
    for output, (target, shape) in zip(outputs, shapes.items()):
        if isinstance(output, torch.Tensor) and tuple(output.shape[2:]) != shape[1:]:
            return (
                f'its {target} are {_size(output.shape[2:])} of an input of '
                f'{decoder.input_size}, but head.decoder has {_size(shape[1:])}; set the size '
                'there to that of the output, or let deconv_out_channels double the output'
            )
    return None


def flip_warning(dataset: Any, model: Any) -> str | None:
    """Return a warning if images are mirrored although no keypoints are swapped."""
    flip = list((getattr(dataset, 'metainfo', None) or {}).get('flip_indices') or ())
    mirror = _mirror(dataset, model)
    if mirror is None or len(flip) < 2 or flip != list(range(len(flip))):
        return None
    return (
        f'{mirror} mirrors images, but the metainfo swaps no keypoints; if they have sides, left '
        'is learnt as right: set `swap` in keypoint_info, or train and test without flips'
    )


def pipelines(dataset: Any) -> Iterator[list[Any]]:
    """Yield the transforms of samples, one list for each path through wrapped datasets."""
    own = list(_flat(getattr(dataset, 'pipeline', ())))
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in inner:
        if part is None:
            yield own
        else:
            yield from (before + own for before in pipelines(part))


def num_keypoints(dataset: Any) -> int | None:
    """Return the number of keypoints K of a dataset, or None without metainfo."""
    return (getattr(dataset, 'metainfo', None) or {}).get('num_keypoints')


def _flat(transform: Any) -> Iterator[Any]:
    """Yield transforms, those of wrappers included."""
    if not isinstance(transform, (list, tuple)):
        inside = getattr(transform, 'transforms', None)
        if not isinstance(inside, Iterable):
            yield transform
            return
        transform = inside
    for part in transform:
        yield from _flat(part)


def _encoders(step: Any) -> list[Any]:
    encoder = getattr(step, 'encoder', None)
    return encoder if isinstance(encoder, list) else [encoder]


def _affine_error(affine: Any, name: str, codec: KeypointCodec) -> str | None:
    step = _name(affine)
    if codec.is_udp not in (None, bool(affine.use_udp)):
        kind = 'follows UDP' if codec.is_udp else 'does not follow UDP'
        return f'{step} has use_udp={affine.use_udp}, but {name} {kind}; set both alike'
    if tuple(affine.input_size) != tuple(codec.input_size):
        return (
            f'{step} has input_size (w, h) = {tuple(affine.input_size)}, but {name} has '
            f'{tuple(codec.input_size)}; set both alike'
        )
    return None


def _target_error(
    first_name: str, first: KeypointCodec, name: str, codec: KeypointCodec
) -> str | None:
    """Compare the sizes of targets that two codecs have in common."""
    theirs = codec.target_shapes(1)
    for target, shape in first.target_shapes(1).items():
        if theirs.get(target, shape) != shape:
            return (
                f'{first_name} has {target} of {_size(shape[1:])}, but {name} of '
                f'{_size(theirs[target][1:])}; set both alike'
            )
    return None


def _size(shape: Iterable[int]) -> str:
    """Word the shape of a target without its channels; of maps as MMPose's options name it."""
    sizes = tuple(shape)
    return f'(w, h) = {sizes[::-1]}' if len(sizes) == 2 else f'size {sizes}'


def _keypoint_error(k: int | None, name: str, codec: KeypointCodec) -> str | None:
    if k is None:
        return None
    try:
        codec.check_num_keypoints(k)
    except ValueError as error:
        return f'{name} does not fit the dataset: {error}'
    return None


def _head_error(k: int | None, head: Any, decoder: KeypointCodec | None) -> str | None:
    """Compare the channels of a head with the keypoints of a dataset."""
    channels = getattr(head, 'out_channels', None)
    if k is None or channels is None:
        return None
    expected = {k} if decoder is None else {s[0] for s in decoder.target_shapes(k).values()}
    if channels in expected:
        return None
    mend = '' if expected == {k} else f'; its decoder expects {" or ".join(map(str, expected))}'
    return f'{k} keypoints in the dataset, but head.out_channels={channels}{mend}'


def _mirror(dataset: Any, model: Any) -> str | None:
    """Name what mirrors images of a dataset: a transform, or the flip test."""
    for steps in pipelines(dataset):
        for step in steps:
            if isinstance(step, RandomFlip) and _mirrors(step):
                return _name(step)
    test_cfg = getattr(model, 'test_cfg', None) or {}
    if getattr(dataset, 'test_mode', False) and test_cfg.get('flip_test'):
        return 'model.test_cfg.flip_test'
    return None


def _mirrors(flip: RandomFlip) -> bool:
    directions = flip.direction if isinstance(flip.direction, list) else [flip.direction]
    probs = flip.prob if isinstance(flip.prob, list) else [flip.prob] * len(directions)
    # A diagonal flip is a rotation by 180 degrees.
    return any(p > 0 and d in ('horizontal', 'vertical') for p, d in zip(probs, directions))


def _flip_error(dataset: Any, model: Any) -> str | None:
    """Find keypoints that flips should swap, by their names, but do not."""
    mirror = _mirror(dataset, model)
    metainfo = getattr(dataset, 'metainfo', None) or {}
    flip, names = metainfo.get('flip_indices') or (), metainfo.get('keypoint_id2name') or {}
    numbered = sorted(names) == list(range(len(flip)))
    if mirror is None or not numbered or len({*names.values()}) < len(flip):
        return None
    number_of = {str(name): number for number, name in names.items()}
    unswapped = [
        (name, other)
        for name, other in find_mirror_pairs(number_of).mirrored.items()
        if flip[number_of[name]] == number_of[name] < number_of[other]
    ]
    if not unswapped:
        return None
    return (
        f'{mirror} mirrors images, but the metainfo has no `swap` for '
        f'{describe_pairs(unswapped)}: left is learnt as right; set it in keypoint_info'
    )


def _channel_error(model: Any) -> str | None:
    """Compare our backbone, neck and head, where stock's estimator did not when it was built."""
    if not isinstance(model, BasePoseEstimator):
        return None
    try:
        check_channels(model)
    except ValueError as error:
        return str(error)
    return None


def _tag_error(head: Any, codec: Any) -> str | None:
    """Explain that stock's associative embedding cannot be trained, as its codec lacks a label."""
    if codec is None or not isinstance(head, AssociativeEmbeddingHead):
        return None
    if 'keypoint_indices' in (getattr(codec, 'label_mapping_table', None) or ()):
        return None
    return (
        f'AssociativeEmbeddingHead learns from keypoint_indices, which {type(codec).__name__} '
        'does not pass on: MMPose 1.3 evaluates associative embedding, but cannot train it. Use '
        'DEKRHead with SPR, or a codec of your own whose label_mapping_table has keypoint_indices'
    )


def _name(step: Any) -> str:
    return type(step).__name__
