"""`hrnet-plugin export`: export a trained pose model as an ONNX file or OpenVINO IR."""

import argparse
from pathlib import Path

from . import OK, Run

SUFFIXES = dict(onnx='.onnx', openvino='.xml')


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Export a trained top-down pose model with a heatmap head as one ONNX file: from uint8 '
        'crops to keypoints and scores, with normalization, flip test and decoding in the graph. '
        'The file is written once ONNX Runtime has computed the same as PyTorch, and describes '
        'the model, so that it runs without a config. --half and --int8 reduce the precision of '
        'the network: evaluate the file before you use it.'
    )
    model = 'config file, or its name in the metafiles'
    parser.add_argument('--config', required=True, help=f'pose model: {model}')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint; default: that of the metafile'
    )
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='file to write, *.onnx or *.xml'
    )
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
    parser.add_argument('--overwrite', action='store_true', help='replace the file')
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    suffixes = [SUFFIXES[args.format]] if args.format else list(SUFFIXES.values())
    if Path(args.out).suffix.lower() not in suffixes:
        kind = 'an exported model' if args.format is None else f'a model of {args.format}'
        expected = ' or '.join(f'*{suffix}' for suffix in suffixes)
        raise ValueError(f'--out {args.out} is not the name of {kind}; expected {expected}')
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
    if Path(args.out).exists() and not args.overwrite:
        raise FileExistsError(f'{args.out} exists already: give another name or --overwrite')
    from ..apis.inference.export import export_files

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
    return OK
