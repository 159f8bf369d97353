"""`hrnet-plugin export`: export a trained pose model as one ONNX file."""

import argparse
from pathlib import Path

from . import OK, Run


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Export a trained top-down pose model with a heatmap head as one ONNX file: from uint8 '
        'crops to keypoints and scores, with normalization, flip test and decoding in the graph. '
        'The file is written once ONNX Runtime has computed the same as PyTorch, and describes '
        'the model, so that it runs without a config.'
    )
    model = 'config file, or its name in the metafiles'
    parser.add_argument('--config', required=True, help=f'pose model: {model}')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint; default: that of the metafile'
    )
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write, *.onnx')
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
    parser.add_argument('--overwrite', action='store_true', help='replace the file')
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if Path(args.out).suffix.lower() != '.onnx':
        raise ValueError(f'--out {args.out} is not the name of an ONNX file; expected *.onnx')
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
            overwrite=args.overwrite,
        )
    )
    return OK
