"""Rules that derive the settings of a training from its data and its machine: pure functions.

docs/training.md lists them for users.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Size = tuple[int, int]  # width, height

SIDE = 32  # of which the sides of an input are multiples: the stride of the smallest stream
PUBLISHED_INPUT: Size = (192, 256)
EXTREME_ASPECT = 4.0  # inputs are no wider or higher than that, relative to the other side
HEATMAP_STRIDE = 4
# Instances of one GPU in the published recipes
MAX_BATCH = 64
# Smaller batches make the statistics of batch norms unreliable.
MIN_BATCH = 8
MIN_ITERATIONS_PER_EPOCH = 10
MEMORY_SHARE = 0.5
COCO_INSTANCES = 149_813  # that the published recipes are for
# Bounds of the number of updates; the published recipe has 61,000 of 512 instances.
MIN_ITERATIONS, MAX_ITERATIONS = 1_500, 60_000
WARMUP_SHARE = 0.1
VALIDATIONS = 30
VAL_FRACTION = 0.1
MAX_WORKERS = 8

T = TypeVar('T')


@dataclass(frozen=True)
class Recipe:
    """The published training of a family of backbones, as ``configs/_base_/schedules`` has it.

    Attributes:
        optimizer: Config of the optimizer, with its learning rate ``lr``.
        paramwise: Config of what differs between parameters, or None.
        batch_size: Instances of all GPUs together.
        epochs: Number of epochs.
        warmup: Iterations in which the learning rate rises.
        milestones: Epochs at which the learning rate becomes a tenth.
        augmentation: Options of steps of the pipeline that differ from MMPose's.
    """

    optimizer: Mapping[str, Any]
    paramwise: Mapping[str, Any] | None
    batch_size: int
    epochs: int
    warmup: int
    milestones: tuple[int, ...]
    augmentation: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Schedule:
    """How long to train, and when the learning rate changes.

    Attributes:
        epochs: Number of epochs.
        iterations: Number of updates, of all epochs.
        warmup: Iterations in which the learning rate rises.
        milestones: Epochs at which the learning rate becomes a tenth.
        val_interval: Epochs from one validation, and one checkpoint, to the next.
        reason: Where the number of epochs comes from.
    """

    epochs: int
    iterations: int
    warmup: int
    milestones: tuple[int, ...]
    val_interval: int
    reason: str


def usable_instances(boxes: np.ndarray, keypoints: np.ndarray, iscrowd: np.ndarray) -> np.ndarray:
    """Return which annotations MMPose trains on.

    Args:
        boxes: x, y, width and height (N, 4).
        keypoints: x, y and visibility (N, K, 3).
        iscrowd: Whether each stands for a crowd (N,).

    Returns:
        A mask (N,).
    """
    labelled = (keypoints[..., 2] > 0).any(axis=1)
    return labelled & (boxes[:, 2:] > 0).all(axis=1) & ~iscrowd.astype(bool)


def median_aspect(boxes: np.ndarray) -> float:
    """Return the median of width / height of boxes (N, 4): x, y, width, height.

    The padding of boxes, 1.25 on both sides, does not change it.

    >>> median_aspect(np.array([[0, 0, 10, 20], [5, 5, 30, 30], [0, 0, 30, 10]]))
    1.0
    """
    return float(np.median(boxes[:, 2] / boxes[:, 3]))


def input_size(aspect: float, published: Size = PUBLISHED_INPUT) -> Size:
    """Return the input with the aspect of the boxes and about as many pixels as the published one.

    Sides are the nearest multiples of 32, none below 32; aspects beyond 4 are treated as 4.

    Args:
        aspect: Width / height.
        published: Width and height whose product, the cost of a training, is kept.

    >>> input_size(0.75), input_size(1.0), input_size(2.0)
    ((192, 256), (224, 224), (320, 160))
    """
    aspect = min(max(aspect, 1 / EXTREME_ASPECT), EXTREME_ASPECT)
    pixels = published[0] * published[1]
    return _multiple(math.sqrt(pixels * aspect)), _multiple(math.sqrt(pixels / aspect))


def _multiple(length: float) -> int:
    return max(SIDE, SIDE * round(length / SIDE))


def heatmap_sigma(size: Size) -> float:
    """Return the sigma of heatmaps, in their pixels: 2 for inputs of up to 256, 3 for 384.

    As published; in between and beyond it grows with the longer side, in steps of 0.25.
    Below, it stays: heatmaps of smaller sigmas are harder to learn.

    >>> heatmap_sigma((192, 256)), heatmap_sigma((288, 384)), heatmap_sigma((320, 160))
    (2.0, 3.0, 2.5)
    """
    return max(2.0, round(4 * 2 * max(size) / 256) / 4)


def batch_size(
    instances: int, bytes_per_instance: float, memory: float, processes: int = 1
) -> tuple[int, str]:
    """Choose the batch of one process.

    The largest power of two that is at most 64, as published; that uses half of the memory; and
    that leaves ten iterations an epoch, but for batches up to 8. Never more than the data.

    Args:
        instances: Instances to train on, of all processes.
        bytes_per_instance: Estimated memory of an instance in training.
        memory: Bytes that one process has.
        processes: Number of processes.

    Returns:
        The batch, and what limits it.

    >>> batch_size(160, 2e8, 16e9)
    (16, '10 iterations an epoch')
    """
    share = max(1, instances // processes)
    limits = {
        'as published': MAX_BATCH,
        f'half of the memory, {memory / 2**30:.0f} GiB': int(
            MEMORY_SHARE * memory / bytes_per_instance
        ),
        f'{MIN_ITERATIONS_PER_EPOCH} iterations an epoch': max(
            MIN_BATCH, share // MIN_ITERATIONS_PER_EPOCH
        ),
        'the size of the data': share,
    }
    reason = min(limits, key=lambda name: limits[name])
    return 2 ** int(math.log2(max(1, limits[reason]))), reason


def learning_rate(recipe: Recipe, batch: int, seen: int) -> float:
    """Scale the published learning rate with the batch, and for a shorter training.

    Adam's rule is the square root of the batch, for as many instances seen (Malladi et al. 2022,
    https://arxiv.org/abs/2205.10287): what counts is the number of updates times the square of
    the rate. Where fewer are seen, a larger rate makes up for it, up to the published one.

    Args:
        recipe: The published recipe.
        batch: Instances of all processes together.
        seen: Instances of all epochs together.
    """
    by_batch = math.sqrt(batch / recipe.batch_size)
    published = COCO_INSTANCES * recipe.epochs
    factor = by_batch * max(1, math.sqrt(published / seen))
    return float(f'{recipe.optimizer["lr"] * min(factor, max(1, by_batch)):.2g}')


def schedule(instances: int, batch: int, recipe: Recipe, epochs: int | None = None) -> Schedule:
    """Choose the number of epochs, and scale the published schedule to it.

    The published number of epochs, within 1,500 to 60,000 iterations: small data are repeated
    more often, large ones less.

    Args:
        instances: Instances to train on.
        batch: Instances of all processes together.
        recipe: The published recipe.
        epochs: A number of epochs to keep.

    Returns:
        The schedule. Milestones are as far as in the published one; warm-up is no longer than a
        tenth; there are about 30 validations.
    """
    steps = max(1, math.ceil(instances / batch))
    reason = 'as given'
    if epochs is None:
        low, high = math.ceil(MIN_ITERATIONS / steps), max(1, MAX_ITERATIONS // steps)
        epochs = min(max(recipe.epochs, low), high)
        reason = f'as published, {epochs * steps:,} iterations'
        if epochs != recipe.epochs:
            reason = f'{epochs * steps:,} iterations; {recipe.epochs} epochs as published would '
            reason += f'be {recipe.epochs * steps:,}'
    milestones = (round(m * epochs / recipe.epochs) for m in recipe.milestones)
    return Schedule(
        epochs=epochs,
        iterations=epochs * steps,
        warmup=min(recipe.warmup, int(WARMUP_SHARE * epochs * steps)),
        milestones=tuple(dict.fromkeys(m for m in milestones if 0 < m < epochs)),
        val_interval=max(1, epochs // VALIDATIONS),
        reason=reason,
    )


def num_workers(cores: int, processes: int, on_gpu: bool) -> int:
    """Return the number of workers that load data, for one of the processes of a machine.

    A GPU leaves the cores to the workers; without one, the network needs them: one worker of
    four cores, at least one and at most 8.

    >>> num_workers(16, 1, on_gpu=True), num_workers(2, 1, on_gpu=False)
    (8, 1)
    """
    share = cores // processes
    return min(MAX_WORKERS, max(1, share - 1 if on_gpu else share // 4))


def split(
    items: Sequence[T], seed: int, fraction: float = VAL_FRACTION
) -> tuple[list[T], list[T]]:
    """Split items at random into those for training and those for validation, each in order.

    Args:
        items: Two or more items.
        seed: Seed of the random numbers.
        fraction: Share for validation, of which there is at least one item.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(items) < 2:
        raise ValueError(f'{len(items)} cannot be split into training and validation')
    count = max(1, round(fraction * len(items)))
    chosen = set(random.Random(seed).sample(range(len(items)), count))
    return (
        [item for i, item in enumerate(items) if i not in chosen],
        [item for i, item in enumerate(items) if i in chosen],
    )
