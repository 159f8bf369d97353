"""`hrnet-plugin predict`: predict poses in images and videos, drawn and as COCO results."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from . import INCOMPLETE, OK, Run, positive

RESULTS = 'results.json'


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Predict poses in images and videos: drawn, and in results.json as COCO results. Boxes '
        'come from a detector (--det) or from a file (--boxes). Images and frames that cannot be '
        'read are skipped and listed at the end; the exit code is then 3.'
    )
    parser.add_argument(
        'inputs', metavar='IMAGE|FOLDER|VIDEO', nargs='+', help='also patterns such as "*.jpg"'
    )
    model = 'config file, or its name in the metafiles'
    parser.add_argument('--config', help=f'pose model: {model}')
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help='checkpoint; default: that of the metafile. Or an exported model, *.onnx or '
        '*.xml, which needs no --config',
    )
    parser.add_argument(
        '--runtime',
        choices=('auto', 'onnxruntime', 'openvino'),
        help='what runs exported models; auto times what is installed, and takes the fastest '
        'that gives the same keypoints; default: openvino for *.xml, else onnxruntime',
    )
    parser.add_argument(
        '--precision',
        choices=('float32', 'bfloat16', 'auto'),
        default='float32',
        help='of the pose network: bfloat16 is faster on processors that compute in it, and less '
        'exact; auto takes it there in PyTorch; default: %(default)s',
    )
    parser.add_argument(
        '--det',
        metavar='CONFIG',
        help=f'detector: {model}; or an exported one, *.onnx, which needs no --det-weights; or '
        'whole_image: each image is one instance',
    )
    parser.add_argument('--det-weights', metavar='FILE', help='its checkpoint')
    parser.add_argument(
        '--det-cat-ids',
        metavar='N',
        type=int,
        nargs='+',
        help="indices of its classes to use; default: 'person', or its only one",
    )
    parser.add_argument(
        '--boxes',
        metavar='FILE',
        help='boxes in COCO format: detection results or annotations; each entry names its image '
        'by file_name or image_id, and in a video its frame, from 0',
    )
    parser.add_argument(
        '--box-categories',
        metavar='NAME|ID',
        nargs='+',
        help="categories of --boxes to use, or all; default: 'person', or the only one, or 1 if "
        'they have no names',
    )
    parser.add_argument(
        '--out', metavar='FOLDER', default='predictions', help='default: %(default)s'
    )
    parser.add_argument('--device', help='cpu, cuda:0, …; default: the best there is')
    parser.add_argument(
        '--batch-size',
        type=positive,
        default=16,
        metavar='N',
        help='instances in one forward pass; default: %(default)s',
    )
    for name, what in (
        ('bbox', 'boxes up to it are dropped'),
        ('kpt', 'keypoints below it are not drawn'),
    ):
        parser.add_argument(
            f'--{name}-thr',
            type=float,
            default=0.3,
            metavar='SCORE',
            help=f'{what}; default: %(default)s',
        )
    parser.add_argument(
        '--track', action='store_true', help='give instances of a video a track_id'
    )
    parser.add_argument(
        '--smooth', action='store_true', help='smooth keypoints over time; implies --track'
    )
    parser.add_argument(
        '--calibration',
        metavar='FILE',
        help='calibration of the scores, as fit_calibration(…).to_json writes it, fitted on '
        'results of the same models; --kpt-thr applies to calibrated scores',
    )
    parser.add_argument('--recursive', action='store_true', help='read subfolders, too')
    parser.add_argument(
        '--strict',
        action='store_true',
        help='stop at the first image or frame that cannot be read',
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        The exit code.
    """
    from mmengine.device import get_device

    from ..apis import PoseInferencer
    from ..apis.inference.coco_results import CocoTask
    from ..apis.inference.exported import is_exported
    from ..apis.inputs.report import InputReport
    from ..functional import Calibration
    from ..utils.allocator import disable_malloc_trim

    # What is cheap to check comes before the models.
    if not args.det and not args.boxes:
        raise ValueError(
            'nothing says where instances are: give a detector with --det and --det-weights, or '
            '--boxes, or --det whole_image if each image shows one instance and little else'
        )
    if not args.config and not is_exported(args.weights):
        raise ValueError(
            '--config is missing: give it, or an exported model (*.onnx, *.xml) as --weights'
        )
    if args.runtime and not is_exported(args.weights) and not is_exported(args.det):
        raise ValueError(
            f'--runtime {args.runtime} runs an exported model: give one (*.onnx, *.xml) as '
            '--weights, or a detector (*.onnx) as --det'
        )
    if args.box_categories and not args.boxes:
        raise ValueError('--box-categories selects boxes of a file: give --boxes, too')
    calibration = None if args.calibration is None else Calibration.from_json(args.calibration)
    task = CocoTask(
        args.inputs,
        InputReport(strict=args.strict, quiet=True),
        args.boxes,
        args.bbox_thr,
        args.box_categories,
        recursive=args.recursive,
        path=Path(args.out) / RESULTS,
        vis_out_dir=args.out,
        option_names=('--out', '--out'),
    )
    print_notes(task.file_notes)
    if (args.device or get_device()) == 'cpu':
        disable_malloc_trim()
    inferencer = PoseInferencer(
        args.config or args.weights,
        args.weights,
        device=args.device,
        det_model=args.det,
        det_weights=args.det_weights,
        det_cat_ids=args.det_cat_ids,
        show_progress=True,
        runtime=args.runtime,
        precision=args.precision,
        calibration=calibration,
    )
    try:
        task.write(
            inferencer,
            batch_size=args.batch_size,
            bbox_thr=args.bbox_thr,
            kpt_thr=args.kpt_thr,
            draw_bbox=True,
            track=args.track or args.smooth,
            smooth=args.smooth,
        )
    finally:  # also when interrupted
        if task.num_images:
            print_notes(task.box_notes())
            print(
                f'{task.num_instances} instances in {task.num_images} images, drawn in '
                f'{args.out}; all in {task.path}'
            )
        report = task.report.lines()
        print(*report, sep='\n', end='\n' * bool(report), file=sys.stderr)
    return INCOMPLETE if task.report.unreadable else OK


def print_notes(notes: Iterable[str]) -> None:
    """Print notes to stderr, one a line."""
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
