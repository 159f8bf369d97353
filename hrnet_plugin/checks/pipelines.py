"""Whether pipelines and model fit together."""

from collections.abc import Iterable, Iterator
from typing import Any

from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.datasets.transforms import RandomFlip
from mmpose.models.heads import AssociativeEmbeddingHead

from ..codecs import GaussianHeatmap, follows_udp, shift_error
from ..datasets.mirror_pairs import describe_pairs, find_mirror_pairs
from ..models import HeatmapHead
from ..models.backbones.base import ParallelStreamBackbone

HEATMAP_CODECS = (GaussianHeatmap, MSRAHeatmap, UDPHeatmap)


def disagreements(dataset: Any, model: Any) -> list[str]:
    """What does not fit between a dataset with its pipelines and a top-down estimator."""
    head = getattr(model, 'head', None)
    decoder = getattr(head, 'decoder', None)
    problems: list[str | None] = []
    for steps in pipelines(dataset):
        encoders = [(f'the codec of {_name(s)}', c) for s in steps for c in _encoders(s)]
        codecs = [
            (name, codec)
            for name, codec in [*encoders, ('head.decoder', decoder)]
            if isinstance(codec, HEATMAP_CODECS)
        ]
        for step in steps:
            if hasattr(step, 'use_udp') and hasattr(step, 'input_size'):
                problems += [_affine_error(step, name, codec) for name, codec in codecs]
        problems += [_size_error(*codecs[0], name, codec) for name, codec in codecs[1:]]
        problems += [_sigma_error(dataset, name, codec) for name, codec in codecs]
        problems += [_tag_error(head, codec) for _, codec in encoders]
    k = num_keypoints(dataset)
    if isinstance(head, HeatmapHead) or isinstance(decoder, HEATMAP_CODECS):
        channels = getattr(head, 'out_channels', k)
        if k not in (None, channels):
            problems.append(f'{k} keypoints in the dataset, but head.out_channels={channels}')
    problems.append(_flip_error(dataset, model))
    problems.append(_channel_error(model))
    problems.append(shift_error(decoder, getattr(model, 'test_cfg', None) or {}))
    return list(dict.fromkeys(p for p in problems if p))


def flip_warning(dataset: Any, model: Any) -> str | None:
    """What to say of images that are flipped although no keypoints are swapped."""
    flip = list((getattr(dataset, 'metainfo', None) or {}).get('flip_indices') or ())
    mirror = _mirror(dataset, model)
    if mirror is None or len(flip) < 2 or flip != list(range(len(flip))):
        return None
    return (
        f'{mirror} mirrors images, but the metainfo swaps no keypoints; if they have sides, left '
        'is learnt as right: set `swap` in keypoint_info, or train and test without flips'
    )


def pipelines(dataset: Any) -> Iterator[list[Any]]:
    """The transforms that samples go through, one list for each way through wrapped datasets."""
    own = list(_flat(getattr(dataset, 'pipeline', ())))
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in inner:
        if part is None:
            yield own
        else:
            yield from (before + own for before in pipelines(part))


def num_keypoints(dataset: Any) -> int | None:
    """K, if the dataset says so."""
    return (getattr(dataset, 'metainfo', None) or {}).get('num_keypoints')


def _flat(transform: Any) -> Iterator[Any]:
    """Transforms, with those within wrappers."""
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


def _affine_error(affine: Any, name: str, codec: Any) -> str | None:
    step = _name(affine)
    if bool(affine.use_udp) != follows_udp(codec):
        kind = 'follows UDP' if follows_udp(codec) else 'does not follow UDP'
        return f'{step} has use_udp={affine.use_udp}, but {name} {kind}; set both alike'
    if tuple(affine.input_size) != tuple(codec.input_size):
        return (
            f'{step} has input_size (w, h) = {tuple(affine.input_size)}, but {name} has '
            f'{tuple(codec.input_size)}; set both alike'
        )
    return None


def _size_error(first_name: str, first: Any, name: str, codec: Any) -> str | None:
    if tuple(first.heatmap_size) == tuple(codec.heatmap_size):
        return None
    return (
        f'{first_name} has heatmap_size (w, h) = {tuple(first.heatmap_size)}, but {name} has '
        f'{tuple(codec.heatmap_size)}; set both alike'
    )


def _sigma_error(dataset: Any, name: str, codec: Any) -> str | None:
    sigmas, k = getattr(codec, 'num_keypoints', None), num_keypoints(dataset)
    if None in (sigmas, k) or sigmas == k:
        return None
    return f'{k} keypoints in the dataset, but {name} has {sigmas} values of sigma'


def _mirror(dataset: Any, model: Any) -> str | None:
    """What mirrors images of a dataset: a transform, or the flip test."""
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
    """Keypoints that flips ought to swap, by their names, but do not."""
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
    """What is wrong where our backbone and head are in the company of stock's estimator."""
    backbone, head = getattr(model, 'backbone', None), getattr(model, 'head', None)
    if not isinstance(backbone, ParallelStreamBackbone) or not isinstance(head, HeatmapHead):
        return None
    if model.with_neck:
        return None
    try:
        head.check_channels(backbone.out_channels)
    except ValueError as error:
        return str(error)
    return None


def _tag_error(head: Any, codec: Any) -> str | None:
    """What stock's associative embedding lacks: its own configs have no training pipeline."""
    if codec is None or not isinstance(head, AssociativeEmbeddingHead):
        return None
    if 'keypoint_indices' in (getattr(codec, 'label_mapping_table', None) or ()):
        return None
    return (
        f'AssociativeEmbeddingHead learns from keypoint_indices, which {type(codec).__name__} '
        'does not pass on: MMPose 1.3 evaluates associative embedding, but cannot train it. Take '
        'DEKRHead with SPR, or a codec of your own whose label_mapping_table has keypoint_indices'
    )


def _name(step: Any) -> str:
    return type(step).__name__
