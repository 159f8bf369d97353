"""All settings of a training, each with the reason for its value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...models.families import find_arch
from ...utils.errors import unknown_name
from . import derive
from .data import Annotations
from .derive import Recipe, Schedule, Size
from .machine import Machine

CODECS = ('msra', 'dark', 'udp')
LOGGERS = ('tensorboard', 'wandb', 'mlflow')


@dataclass(frozen=True)
class Options:
    """What a user chooses; None stands for what is derived.

    Attributes:
        data: Folder of a dataset, or file of annotations for training.
        val: File of annotations for validation.
        images: Folder of the images.
        metainfo: File of metainfo.
        arch: Key of ``ARCH_NAMES``.
        input_size: Width and height of crops, multiples of 32.
        weights: File of a checkpoint, or name of a published model.
        epochs: Number of epochs.
        batch_size: Instances of one process in an update.
        codec: Key of ``CODECS``.
        amp: Whether to train in mixed precision where it pays.
        logger: Keys of ``LOGGERS``.
        seed: Seed of weights, order, augmentation, and of a split.

    Raises:
        ValueError: A value is impossible.
    """

    data: str
    val: str | None = None
    images: str | None = None
    metainfo: str | None = None
    arch: str = 'w32'
    input_size: Size | None = None
    weights: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    codec: str = 'msra'
    amp: bool = False
    logger: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        find_arch(self.arch)
        for what, values, valid in (
            ('codec', (self.codec,), CODECS),
            ('logger', self.logger, LOGGERS),
        ):
            for value in values:
                if value not in valid:
                    raise ValueError(unknown_name(what, value, valid))
        for side in self.input_size or ():
            if side < derive.SIDE or side % derive.SIDE:
                width, height = self.input_size or (0, 0)
                raise ValueError(
                    f'input size {width}x{height} (width x height): {side} is not a multiple of '
                    f'{derive.SIDE}, which the strides of the network need'
                )
        for name in ('epochs', 'batch_size'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name}={value}; expected 1 or more')


@dataclass(frozen=True)
class Weights:
    """What a training starts from.

    Attributes:
        load_from: Checkpoint of a whole pose model, with the names of MMPose 1.x.
        backbone: Checkpoint for ``type='Pretrained'``, from which the backbone is taken.
        new_final_layer: Whether ``load_from`` is of another number of keypoints.
        description: What it is, for a person.
    """

    load_from: str | None = None
    backbone: str | None = None
    new_final_layer: bool = False
    description: str = 'random weights; --weights starts from trained ones'


@dataclass(frozen=True)
class Settings:
    """A whole training.

    Attributes:
        options: What the user chose.
        train: Annotations for training.
        val: Annotations for validation.
        metainfo: MMPose's ``dataset_info``.
        weights: What the training starts from.
        recipe: Published recipe of the family.
        input_size: Width and height of crops.
        sigma: Standard deviation of heatmaps, in their pixels.
        batch_size: Instances of one process in an update.
        learning_rate: The highest one.
        schedule: Number of epochs, and changes of the learning rate.
        workers: Number of workers of each process.
        precision: ``'float32'``, ``'bfloat16'`` or ``'float16'``.
        processes: Number of processes.
        mirrors: Whether images are mirrored, in training and in the flip test.
        half_bodies: Whether some instances are cut in half, in training.
        reasons: Where each derived value comes from, by its name.
    """

    options: Options
    train: Annotations
    val: Annotations
    metainfo: Mapping[str, Any]
    weights: Weights
    recipe: Recipe
    input_size: Size
    sigma: float
    batch_size: int
    learning_rate: float
    schedule: Schedule
    workers: int
    precision: str
    processes: int
    mirrors: bool
    half_bodies: bool
    reasons: Mapping[str, str]

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.metainfo['keypoint_info'])


def derive_settings(
    options: Options,
    train: Annotations,
    val: Annotations,
    metainfo: Mapping[str, Any],
    metainfo_reason: str,
    val_reason: str,
    weights: Weights,
    recipe: Recipe,
    machine: Machine,
    size: Size,
    instance_bytes: int,
) -> Settings:
    """Derive all settings.

    Args:
        options: What the user chose.
        train: Annotations for training.
        val: Annotations for validation.
        metainfo: MMPose's ``dataset_info``.
        metainfo_reason: Where it comes from.
        val_reason: Where the annotations for validation come from.
        weights: What the training starts from.
        recipe: Published recipe of the family.
        machine: What the training runs on.
        size: Width and height of crops.
        instance_bytes: Memory of an instance in training.

    Raises:
        ValueError: Annotations, metainfo and options contradict each other.
    """
    num_keypoints = len(metainfo['keypoint_info'])
    for annotations in (train, val):
        if annotations.num_keypoints != num_keypoints:
            raise ValueError(
                f'{annotations.path} has {annotations.num_keypoints} keypoints, the metainfo '
                f'({metainfo_reason}) {num_keypoints}: give the metainfo of these annotations, '
                '--metainfo FILE'
            )
    reasons = dict(metainfo=metainfo_reason, val=val_reason, weights=weights.description)
    reasons['input_size'] = _size_reason(options, train.aspect, size)
    batch, reasons['batch_size'] = derive.batch_size(
        train.num_instances, instance_bytes, machine.memory, machine.processes
    )
    if options.batch_size is not None:
        batch, reasons['batch_size'] = options.batch_size, 'as given'
        share = train.num_instances // machine.processes
        if batch > share:
            raise ValueError(
                f'batch size {batch} is larger than the data: {train.num_instances} instances'
                + (f' in {machine.processes} processes' if machine.processes > 1 else '')
            )
    whole_batch = batch * machine.processes
    plan = derive.schedule(train.num_instances, whole_batch, recipe, options.epochs)
    reasons['epochs'] = plan.reason
    seen = train.num_instances * plan.epochs
    rate = derive.learning_rate(recipe, whole_batch, seen)
    published = recipe.optimizer['lr']
    reasons['learning_rate'] = (
        f'{recipe.optimizer["type"]}, as published for batches of {recipe.batch_size}'
        if rate == published
        else f'{recipe.optimizer["type"]}, {published:g} as published for batches of '
        f'{recipe.batch_size}, scaled to {whole_batch}'
    )
    if rate == published and whole_batch < recipe.batch_size:
        reasons['learning_rate'] += ', not scaled down, as far fewer instances are seen'
    precision = 'float32'
    if options.amp:
        reasons['precision'] = 'this device has it'
        if machine.amp is None:
            reasons['precision'] = '--amp was given, but this device has no bfloat16 instructions'
        precision = machine.amp or precision
    swaps = [info.get('swap') for info in metainfo['keypoint_info'].values()]
    types = {info.get('type') for info in metainfo['keypoint_info'].values()}
    pairs = sum(map(bool, swaps)) // 2
    reasons['mirrors'] = (
        f'{pairs} {"pairs" if pairs > 1 else "pair"} of keypoints swapped'
        if any(swaps)
        else 'no keypoints are swapped: what is left would be learnt as right'
    )
    return Settings(
        options=options,
        train=train,
        val=val,
        metainfo=metainfo,
        weights=weights,
        recipe=recipe,
        input_size=size,
        sigma=derive.heatmap_sigma(size),
        batch_size=batch,
        learning_rate=rate,
        schedule=plan,
        workers=derive.num_workers(
            machine.cores, machine.local_processes, machine.device != 'cpu'
        ),
        precision=precision,
        processes=machine.processes,
        mirrors=any(swaps),
        half_bodies={'upper', 'lower'} <= types,
        reasons=reasons,
    )


def _size_reason(options: Options, aspect: float, size: Size) -> str:
    boxes = f'boxes have a median width / height of {aspect:g}'
    if options.input_size is None:
        return boxes
    given = size[0] / size[1]
    if (given - 1) * (aspect - 1) < 0 and abs(aspect - 1) > 0.1:
        return f'as given, but {boxes}: the width comes first'
    return 'as given'


def summary(settings: Settings) -> list[str]:
    """Explain the settings to a person, a line each."""
    s = settings
    width, height = s.input_size
    names = [info['name'] for info in s.metainfo['keypoint_info'].values()]
    listed = ', '.join(names[:5]) + (', …' if len(names) > 5 else '')
    epochs = s.schedule.epochs
    rows = {
        'train': f'{s.train.num_instances} instances in {s.train.num_images} images, '
        f'{s.train.path}',
        'val': f'{s.val.num_instances} instances in {s.val.num_images} images, {s.val.path} '
        f'({s.reasons["val"]})',
        'images': str(s.train.images),
        'keypoints': f'{s.num_keypoints}: {listed} ({s.reasons["metainfo"]})',
        'model': f'{s.options.arch}, {s.options.codec} heatmaps, from {s.weights.description}',
        'input': f'{width} wide x {height} high ({s.reasons["input_size"]})',
        'mirroring': f'{"on" if s.mirrors else "off"} ({s.reasons["mirrors"]})',
        'batch': f'{s.batch_size} instances'
        + (f' in each of {s.processes} processes' if s.processes > 1 else '')
        + f' ({s.reasons["batch_size"]})',
        'epochs': f'{epochs} ({s.reasons["epochs"]}); validation every {s.schedule.val_interval}',
        'lr': f'{s.learning_rate:g} ({s.reasons["learning_rate"]})',
    }
    if s.options.amp:
        rows['precision'] = f'{s.precision} ({s.reasons["precision"]})'
    return [f'{name:<10} {text}' for name, text in rows.items()]
