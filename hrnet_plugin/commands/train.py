"""`hrnet-plugin train`: train a pose model on annotations, without a config."""

import argparse
import re

from . import OK, Run, positive


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Train a pose model on annotations in COCO format. Keypoints, input, schedule, batch and '
        'learning rate are derived from the data and explained; the config is written into the '
        'work folder. Ends with the AP of the best checkpoint. The same command resumes an '
        'interrupted training, exactly.'
    )
    parser.add_argument(
        'data',
        metavar='DATA|train.json',
        help='folder with annotations/train.json (and val.json), as `hrnet-plugin import` writes '
        'it; or a file of annotations',
    )
    parser.add_argument(
        '--val',
        metavar='FILE',
        help='annotations for validation; default: annotations/val.json of DATA, or 10 %% of the '
        'images, which are split off',
    )
    parser.add_argument(
        '--arch',
        default='w32',
        metavar='NAME',
        help='w18, w32, w48, w18-small-v1, …, lite-18, lite-30, …, hrformer-tiny, hrformer-small, '
        'hrformer-base; default: %(default)s',
    )
    parser.add_argument(
        '--input',
        dest='input_size',
        type=input_size,
        metavar='WxH',
        help='width x height of crops in pixels, multiples of 32: 192x256 is higher than wide '
        '(which names of configs call 256x192); default: by the shape of the boxes',
    )
    parser.add_argument(
        '--weights',
        metavar='FILE|NAME',
        help='trained weights to start from: any checkpoint that `hrnet-plugin convert` reads, or '
        'a name of the metafiles, such as hrnet-w32_coco-256x192; default: random weights',
    )
    parser.add_argument(
        '--epochs',
        type=auto,
        metavar='N|auto',
        help='default: 210 as published, within 1,500 to 60,000 iterations',
    )
    parser.add_argument(
        '--batch',
        dest='batch_size',
        type=auto,
        metavar='N|auto',
        help='instances of each process in an update; default: by memory and data, at most 64',
    )
    parser.add_argument(
        '--codec', default='msra', help='heatmaps: msra, dark or udp; default: %(default)s'
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision, where the device has it; the losses stay in float32',
    )
    parser.add_argument('--images', metavar='FOLDER', help='images; default: beside DATA')
    parser.add_argument(
        '--metainfo',
        metavar='FILE',
        help='sigmas, mirrored pairs and skeleton; default: metainfo.py of DATA, or derived from '
        'the categories',
    )
    parser.add_argument(
        '--logger',
        type=lambda text: tuple(text.split(',')),
        default=(),
        metavar='NAME,…',
        help='also log to tensorboard, wandb, mlflow',
    )
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    parser.add_argument(
        '--work-dir', metavar='FOLDER', help='default: work_dirs/DATA_ARCH; one training each'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='fail if there is no training to resume, instead of beginning one',
    )
    parser.add_argument('--device', help='cpu, cuda:0, …; default: the best there is')
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch'),
        default='none',
        help='pytorch: one of several processes that torchrun started',
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    import os

    from ..apis import train
    from .processes import end_with_launcher, explained_lost_peers, explained_worker_deaths

    end_with_launcher(os.environ)
    options = {
        name: value
        for name, value in vars(args).items()
        if name not in ('run', 'parser', 'command', 'data')
    }
    try:
        with explained_worker_deaths(), explained_lost_peers():
            train(args.data, **options)
    except KeyboardInterrupt:
        print('\nThe same command resumes the training from its last checkpoint.')
        raise
    return OK


def auto(text: str) -> int | None:
    """Parse a number of 1 or more, or ``auto``."""
    return None if text == 'auto' else positive(text)


def input_size(text: str) -> tuple[int, int]:
    """Parse ``WxH``."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not WxH, width x height in pixels, such as 192x256'
        )
    return int(match[1]), int(match[2])
