"""`hrnet-plugin bench`: time a pose network in the runtimes of this machine."""

import argparse
import sys

from . import OK, Run, positive


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Time a pose network, from uint8 crops to keypoints, in what is installed here: ONNX '
        'Runtime and OpenVINO run an exported model; with --config also PyTorch. By turns, so '
        'that other load affects all alike. Prints a table with the times as fast as its first '
        'row.'
    )
    parser.add_argument(
        'model', metavar='MODEL', nargs='?', help='exported model, *.onnx or *.xml'
    )
    parser.add_argument(
        '--config',
        help='instead of MODEL: config file, or its name in the metafiles; the model is exported '
        'to a temporary file',
    )
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint of --config; default: that of the metafile'
    )
    parser.add_argument(
        '--batch-sizes',
        type=positive,
        nargs='+',
        default=[1, 16],
        metavar='N',
        help='instances in one forward pass; default: 1 16',
    )
    parser.add_argument(
        '--threads', type=positive, metavar='N', help='default: as many as there are cores'
    )
    parser.add_argument(
        '--repeats',
        type=positive,
        default=5,
        metavar='N',
        help='turns of each runtime; default: %(default)s',
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if args.model and args.config:
        raise ValueError('MODEL and --config are two models; expected one of them')
    if not args.model and not args.config:
        raise ValueError('nothing to time: give an exported model, *.onnx or *.xml, or --config')
    if args.weights and not args.config:
        raise ValueError('--weights is missing its --config, with which it was trained')
    if args.model and not args.model.lower().endswith(('.onnx', '.xml')):
        raise ValueError(
            f'{args.model} is not the name of an exported model, *.onnx or *.xml: write one with '
            '`hrnet-plugin export`, or give --config and --weights'
        )
    from ..apis import benchmark_model

    result = benchmark_model(
        args.model or args.config,
        args.weights,
        batch_sizes=args.batch_sizes,
        threads=args.threads,
        repeats=args.repeats,
        report=lambda text: print(text, file=sys.stderr),
    )
    print(result)
    return OK
