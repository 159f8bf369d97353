"""`hrnet-plugin export`: export a trained pose model or detector as a file that runs alone."""

import argparse
from pathlib import Path

from . import OK, Run

SUFFIXES = dict(onnx='.onnx', openvino='.xml')
# Options of each model beside the model itself, as users write them
POSE_OPTIONS = dict(
    weights='--weights',
    out='--out',
    format='--format',
    half='--half',
    int8='--int8',
    calibrate='--calibrate',
    outputs='--outputs',
    normalize='--no-normalize',
    flip_test='--flip-test',
    dynamic_size='--dynamic-size',
)
DET_OPTIONS = dict(det_weights='--det-weights', det_out='--det-out')


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Export a trained top-down pose model with a heatmap head as one ONNX file: from uint8 '
        'crops to keypoints and scores, with normalization, flip test and decoding in the graph. '
        'The file is written once ONNX Runtime has computed the same as PyTorch, and describes '
        'the model, so that it runs without a config. --half and --int8 reduce the precision of '
        'the network: evaluate the file before you use it. --det exports a detector (RTMDet), too '
        'or alone: from resized and padded uint8 images to boxes after NMS.'
    )
    model = 'config file, or its name in the metafiles'
    parser.add_argument('--config', help=f'pose model: {model}')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint; default: that of the metafile'
    )
    parser.add_argument('--out', metavar='FILE', help='file to write, *.onnx or *.xml')
    parser.add_argument('--det', metavar='CONFIG', help=f'detector: {model}')
    parser.add_argument('--det-weights', metavar='FILE', help='its checkpoint')
    parser.add_argument('--det-out', metavar='FILE', help='file to write it to, *.onnx')
    parser.add_argument(
        '--format',
        choices=SUFFIXES,
        help='openvino writes OpenVINO IR, *.xml and *.bin; default: by the suffix of --out',
    )
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--half', action='store_true', help='compute the network in float16')
    precision.add_argument(
        '--int8', action='store_true', help='quantize the network; needs --calibrate'
    )
    parser.add_argument(
        '--calibrate',
        metavar='FOLDER|COCO.json',
        help='for --int8, images like those of use, 100 or more: a folder of crops of instances, '
        'or COCO annotations with boxes (beside their images, or in annotations/*_NAME.json with '
        'images in NAME/)',
    )
    parser.add_argument(
        '--outputs',
        choices=('keypoints', 'heatmaps'),
        default='keypoints',
        help='heatmaps leaves decoding out of the graph; default: %(default)s',
    )
    parser.add_argument(
        '--no-normalize',
        dest='normalize',
        action='store_false',
        help='take normalized images (N, 3, h, w) instead of uint8 crops (N, h, w, 3) in BGR',
    )
    parser.add_argument(
        '--flip-test',
        action=argparse.BooleanOptionalAction,
        help="average with the mirrored crop; default: as the config's test_cfg says",
    )
    parser.add_argument(
        '--dynamic-size',
        action='store_true',
        help='for --outputs heatmaps, take images whose sides are any multiples of 32',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace files')
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    check(args)
    if args.config:
        from ..apis import export_files

        print(
            export_files(
                args.config,
                args.weights,
                args.out,
                outputs=args.outputs,
                normalize=args.normalize,
                flip_test=args.flip_test,
                precision='int8' if args.int8 else 'float16' if args.half else 'float32',
                calibration=args.calibrate,
                dynamic_size=args.dynamic_size,
                overwrite=args.overwrite,
            )
        )
    if args.det:
        from ..apis import export_detector_file

        print(
            export_detector_file(
                args.det, args.det_weights, args.det_out, overwrite=args.overwrite
            )
        )
    return OK


def check(args: argparse.Namespace) -> None:
    """Raise an error if options do not fit together, or a file exists that may not be replaced."""
    if not args.config and not args.det:
        raise ValueError(
            'nothing to export: give a pose model with --config, --weights and --out, a detector '
            'with --det, --det-weights and --det-out, or both'
        )
    check_options(args, '--config', '--out', POSE_OPTIONS)
    check_options(args, '--det', '--det-out', DET_OPTIONS)
    suffixes = [SUFFIXES[args.format]] if args.format else list(SUFFIXES.values())
    if args.config and Path(args.out).suffix.lower() not in suffixes:
        kind = 'an exported model' if args.format is None else f'a model of {args.format}'
        expected = ' or '.join(f'*{suffix}' for suffix in suffixes)
        raise ValueError(f'--out {args.out} is not the name of {kind}; expected {expected}')
    if args.det and Path(args.det_out).suffix.lower() != '.onnx':
        raise ValueError(
            f'--det-out {args.det_out} is not the name of an exported detector; expected *.onnx, '
            'which OpenVINO runs, too'
        )
    if args.config and args.det and Path(args.out).resolve() == Path(args.det_out).resolve():
        raise ValueError(f'--out and --det-out are both {args.out}; expected two files')
    if args.int8 and args.calibrate is None:
        raise ValueError(
            '--int8 needs --calibrate FOLDER|COCO.json: images like those of use, 100 or more'
        )
    if args.calibrate is not None and not args.int8:
        raise ValueError('--calibrate is for --int8: give it, too, or leave --calibrate out')
    if args.dynamic_size and args.outputs != 'heatmaps':
        raise ValueError(
            '--dynamic-size is for --outputs heatmaps: decoding in the graph is for one size'
        )
    for path in (args.out, args.det_out):
        if path and Path(path).exists() and not args.overwrite:
            raise FileExistsError(f'{path} exists already: give another name or --overwrite')


def check_options(args: argparse.Namespace, model: str, out: str, options: dict[str, str]) -> None:
    """Raise a ValueError if a model is given without its file to write, or options without it.

    Args:
        args: All arguments.
        model: Option of the model.
        out: Option of the file.
        options: Options that are for the model, with their names in ``args``.
    """
    given = [
        option
        for name, option in options.items()
        if getattr(args, name) != args.parser.get_default(name)
    ]
    if not getattr(args, model.strip('-')):
        if given:
            raise ValueError(f'{given[0]} is for the model of {model}: give it, too')
    elif out not in given:
        raise ValueError(f'{out} is missing: give the file to write the model of {model} to')
