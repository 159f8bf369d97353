"""Train a pose model on annotations alone."""

import io
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist, is_main_process

from ...checks.config import check_config
from ...hooks import ProgressHook
from ...utils.allocator import disable_malloc_trim
from ...utils.atomic_files import write_atomically
from ..inference.model_files import CONFIG, best_checkpoint
from . import derive
from .config_file import config_source
from .data import (
    Source,
    find_metainfo,
    find_source,
    read_annotations,
    split_annotations,
)
from .distributed import check_launcher, cpu_changes, join_processes
from .machine import Machine, bytes_per_instance, inspect_machine
from .quiet import QuietRunner, warnings_in_log
from .recipes import read_recipe
from .settings import Options, Settings, derive_settings, summary
from .weights import starting_weights
from .work_folder import State, checksum, has_checkpoint, read_state

METRICS = (
    'AP',
    'AP .5',
    'AP .75',
    'AP (M)',
    'AP (L)',
    'AR',
    'AR .5',
    'AR .75',
    'AR (M)',
    'AR (L)',
)
EVALUATION = 'evaluation.json'
REPORT = 'report'
MODULES = dict(tensorboard='torch.utils.tensorboard', wandb='wandb', mlflow='mlflow')
MAX_DECODED = 2_000  # images that are decoded before a training; of more, only their existence
Report = Callable[[str], object]


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        work_dir: Work folder.
        config: The config that was trained with.
        checkpoint: Checkpoint with the highest AP in validation.
        metrics: Metrics of that checkpoint on the annotations for validation, such as
            ``coco/AP``.
        was_finished: Whether it had been finished before.
    """

    work_dir: Path
    config: Path
    checkpoint: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    was_finished: bool = False


def train(
    data: str | Path,
    *,
    val: str | Path | None = None,
    arch: str = 'w32',
    input_size: tuple[int, int] | None = None,
    weights: str | Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    codec: str = 'msra',
    amp: bool = False,
    images: str | Path | None = None,
    metainfo: str | Path | None = None,
    logger: Sequence[str] = (),
    seed: int = 0,
    work_dir: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    launcher: str = 'none',
    report: Report = print,
) -> TrainResult:
    """Train a pose model on annotations in COCO's format; all else is derived from them.

    The same call resumes an interrupted training, exactly.

    Args:
        data: Folder with ``annotations/train.json``, or a file of annotations.
        val: File of annotations for validation; by default ``annotations/val.json`` of the folder,
            or a tenth of the images, which is split off.
        arch: Key of ``models.families.ARCH_NAMES``, such as ``'w32'``, ``'lite-18'`` or
            ``'hrformer-small'``.
        input_size: Width and height of crops in pixels; by default by the shape of the boxes.
        weights: Checkpoint that the training starts from, or name of a published model.
        epochs: Number of epochs; by default by the number of instances.
        batch_size: Instances of one process in an update; by default by memory and data.
        codec: ``'msra'``, ``'dark'`` or ``'udp'``.
        amp: Whether to train in mixed precision where the device has it.
        images: Folder of the images; by default it is looked for beside the annotations.
        metainfo: File of metainfo; by default ``metainfo.py`` in the folder of the data, or
            derived from the categories.
        logger: Any of ``'tensorboard'``, ``'wandb'``, ``'mlflow'``.
        seed: Seed of all random numbers.
        work_dir: Work folder; by default ``work_dirs/DATA_ARCH``.
        resume: Whether to refuse to begin a new training.
        device: ``'cpu'`` or ``'cuda'``, ``'cuda:1'``, …; by default the best there is.
        launcher: ``'none'``, or ``'pytorch'`` in processes that torchrun started.
        report: Function that takes lines for the user.

    Returns:
        The best checkpoint, with its metrics.

    Raises:
        ImportError: A logger is not installed.
        OSError: A file is not there, or cannot be written.
        ValueError: An option is unknown, the data have errors, or the work folder holds another
            training.
    """
    options = Options(
        data=str(Path(data).expanduser().absolute()),
        val=_absolute(val),
        images=_absolute(images),
        metainfo=_absolute(metainfo),
        arch=arch,
        input_size=None if input_size is None else (int(input_size[0]), int(input_size[1])),
        weights=None if weights is None else str(weights),
        epochs=epochs,
        batch_size=batch_size,
        codec=codec,
        amp=amp,
        logger=tuple(logger),
        seed=seed,
    )
    check_loggers(options.logger)
    choose_device(device)
    check_launcher(launcher, os.environ)
    source = find_source(options.data, options.val)
    folder = Path(work_dir or f'work_dirs/{source.root.name}_{arch}').expanduser().absolute()
    if launcher == 'pytorch' and not torch.distributed.is_initialized():
        join_processes(Config()) if get_device() == 'cpu' else init_dist('pytorch')
    prepared = on_main_process(lambda: prepare(options, folder, resume, report))
    if prepared is None:
        metrics = on_main_process(lambda: finished_metrics(folder, report))
        return _result(folder, metrics, was_finished=True)
    metrics = run(folder, prepared, launcher, report)
    return _result(folder, metrics)


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def _result(folder: Path, metrics: Mapping[str, float], was_finished: bool = False) -> TrainResult:
    checkpoint = best_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(f'{folder} has lost its checkpoints: give another --work-dir')
    return TrainResult(folder, folder / CONFIG, checkpoint, metrics, was_finished)


def check_loggers(names: Sequence[str]) -> None:
    """Check that what writes logs can be imported, before anything is trained.

    Raises:
        ImportError: It cannot; with the command that installs it.
    """
    for name in names:
        try:
            import_module(MODULES[name])
        except ImportError as error:
            raise ImportError(
                f'--logger {name} needs {name}, which does not import ({error}): '
                f'pip install {name}'
            ) from error


def choose_device(device: str | None) -> None:
    """Let MMEngine, which takes the best device that it sees, use a given one.

    Raises:
        ValueError: The device is not there.
    """
    best = get_device()
    if device is None or device == best:
        return
    kind, _, index = device.partition(':')
    if kind == 'cuda' == best:
        count = torch.cuda.device_count()
        if not index.isdecimal() or int(index) >= count:
            raise ValueError(f'device {device!r} is not there; there are cuda:0 to {count - 1}')
        torch.cuda.set_device(int(index))
    elif device == 'cpu':
        import mmengine.device.utils

        mmengine.device.utils.DEVICE = 'cpu'  # what get_device returns
    else:
        raise ValueError(f'device {device!r} is not there; the best one is {best!r}')


def on_main_process(function: Callable[[], Any]) -> Any:
    """Call a function in one process, and return its result, or raise its error, in all."""
    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = function()
        except (ImportError, OSError, ValueError) as error:
            if not torch.distributed.is_initialized():
                raise
            outcome[1] = error
    if torch.distributed.is_initialized():
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


@dataclass(frozen=True)
class Prepared:
    """What a run needs to know.

    Attributes:
        resume: Whether there is a checkpoint to resume from.
    """

    resume: bool


def prepare(options: Options, folder: Path, resume: bool, report: Report) -> Prepared | None:
    """Derive the settings, check them and the data, and write the config.

    Args:
        options: What the user chose.
        folder: Work folder.
        resume: Whether to refuse to begin a new training.
        report: Function that takes lines for the user.

    Returns:
        What the run needs to know; None if the training is finished.

    Raises:
        OSError: A file is not there.
        ValueError: Data or settings have errors, or differ from those of the interrupted run.
    """
    former = read_state(folder)
    machine = inspect_machine()
    source = find_source(options.data, options.val)
    state = State.of(options, source, machine)
    resumes = has_checkpoint(folder)
    if resume and not resumes:
        raise ValueError(f'--resume: {folder} has no checkpoint to resume from')
    if former is not None and (differences := former.differences(state)):
        if resumes:
            raise ValueError(
                f'{folder} holds a training with other settings: {"; ".join(differences)}. Give '
                'the former ones to resume it, or another --work-dir'
            )
        former = None  # it was stopped before there was anything to lose
    if former is not None:
        if former.metrics:
            return None
        state = former
    settings = settings_of(options, source, folder, former, machine)
    for line in summary(settings):
        report(line)
    path = folder / CONFIG
    if former is not None and path.is_file():
        if checksum(path.read_text()) != former.config:
            report(f'note: {path} was changed since it was written, and is used as it is')
        check(path, settings, report)
    else:
        text = config_source(settings, folder)
        unchecked = folder / f'unchecked_{CONFIG}'
        write_atomically(unchecked, text.encode())
        try:
            check(unchecked, settings, report)
            state.config = checksum(text)
            state.write(folder)
            unchecked.replace(path)
        finally:
            unchecked.unlink(missing_ok=True)
    report(f'{"resuming" if resumes else "training"} in {folder}: config {CONFIG}')
    return Prepared(resumes)


def settings_of(
    options: Options, source: Source, folder: Path, former: State | None, machine: Machine
) -> Settings:
    """Derive all settings from options, data and machine.

    Args:
        options: What the user chose.
        source: Files of annotations.
        folder: Work folder.
        former: What an interrupted run was begun with: memory and cores are those of its machine.
        machine: What the training runs on.
    """
    if former is not None:
        kept = {k: v for k, v in former.machine.items() if k not in ('device', 'processes')}
        machine = replace(machine, **kept)
    info, metainfo_reason = find_metainfo(source.train, source.root, options.metainfo)
    train_file, val_file = source.train, source.val
    val_reason = 'as given' if options.val else 'found beside it'
    read_from = source.train
    if val_file is None:
        train_file, val_file = split_annotations(
            source.train, folder / 'annotations', options.seed
        )
        val_reason = (
            f'{derive.VAL_FRACTION:.0%} of the images of {source.train.name}, chosen at random '
            f'with seed {options.seed}'
        )
    images = options.images
    if train_file != read_from:  # the images are where those of the whole file are
        images = str(read_annotations(read_from, source.root, images).images)
    train_data, val_data = (
        read_annotations(path, source.root, images) for path in (train_file, val_file)
    )
    size = options.input_size or derive.input_size(train_data.aspect)
    return derive_settings(
        options,
        train_data,
        val_data,
        info,
        metainfo_reason,
        val_reason,
        starting_weights(
            options.weights, options.arch, len(info['keypoint_info']), folder, former is None
        ),
        read_recipe(options.arch),
        machine,
        size,
        bytes_per_instance(options.arch, size),
    )


def check(path: Path, settings: Settings, report: Report) -> None:
    """Check config and data as `hrnet-plugin check` does; report warnings.

    Raises:
        ValueError: There are errors; the message lists them.
    """
    decoded = settings.train.num_images + settings.val.num_images <= MAX_DECODED
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # what metrics warn of is among the findings
        result = check_config(Config.fromfile(path), decoded)
    for finding in result.findings:
        if not finding.is_error:
            report(f'note: {finding}')
    if result.has_errors:
        errors = [f'error: {finding}' for finding in result.findings if finding.is_error]
        raise ValueError('\n'.join(['nothing was trained, as the data have errors:', *errors]))
    if not decoded:
        report(
            f'note: of more than {MAX_DECODED:,} images, only their existence was checked; '
            f'`hrnet-plugin check {path}` decodes them all'
        )


def run(folder: Path, prepared: Prepared, launcher: str, report: Report) -> dict[str, float]:
    """Train, evaluate the best checkpoint, and note that the training is finished.

    Args:
        folder: Work folder, with the config.
        prepared: What `prepare` found.
        launcher: As for `train`.
        report: Function that takes lines for the user.

    Returns:
        The metrics of the best checkpoint.
    """
    cfg = runtime_config(folder, prepared, launcher)
    if get_device() == 'cpu':
        disable_malloc_trim()
    runner = QuietRunner.from_cfg(cfg)
    progress = ProgressHook()
    runner.register_hook(progress)
    with warnings_in_log(runner):
        try:
            runner.train()
        finally:
            progress.close()
        metrics = evaluate_best(runner, folder)
    if is_main_process():
        state = read_state(folder)
        assert state is not None
        state.metrics = metrics
        write_atomically(folder / EVALUATION, json.dumps(metrics, indent=1).encode())
        state.write(folder)
        finished_metrics(folder, report)
    return metrics


def runtime_config(folder: Path, prepared: Prepared, launcher: str) -> Config:
    """Return the config as it runs: with its work folder, and what depends on the processes."""
    cfg = Config.fromfile(folder / CONFIG)
    cfg.merge_from_dict(dict(work_dir=str(folder), launcher=launcher))
    if prepared.resume:
        cfg.merge_from_dict(dict(resume=True, load_from=None))
    if launcher == 'pytorch' and get_device() == 'cpu':
        cfg.merge_from_dict(cpu_changes(cfg))
    # Of the evaluation at the end; those during the training write none.
    cfg.test_evaluator = dict(cfg.test_evaluator, report_dir=str(folder / REPORT))
    # MMEngine keeps visualizers by name, and writes the resolved config by the name of its file,
    # which is not to replace ours.
    cfg.visualizer.name = str(folder)
    # Without yapf, which takes a second for each checkpoint, and hides that it was interrupted
    return Config(
        cfg._cfg_dict,
        cfg_text=cfg.text,
        filename=str(folder / 'resolved_config.py'),
        format_python_code=False,
    )


def evaluate_best(runner: QuietRunner, folder: Path) -> dict[str, float]:
    """Return the metrics of the best checkpoint on the annotations for validation."""
    path = best_checkpoint(folder)
    if path is not None:
        with redirect_stdout(io.StringIO()):
            runner.load_checkpoint(str(path), map_location='cpu')
    return {name: float(value) for name, value in runner.test().items()}


def finished_metrics(folder: Path, report: Report) -> dict[str, float]:
    """Report the metrics of a finished training, and return them."""
    state = read_state(folder)
    assert state is not None
    metrics = state.metrics
    best = best_checkpoint(folder)
    report(f'finished: {folder}; best checkpoint {best.name if best else "none"}')
    for name in METRICS:
        if f'coco/{name}' in metrics:
            report(f'{name:<8} {metrics[f"coco/{name}"]:.3f}')
    report(f'curves: {folder / "curves.png"}')
    report(f'errors: {folder / REPORT / "report.html"}')
    report(f'predict: hrnet-plugin predict IMAGES --config {folder} --det whole_image')
    return metrics
