"""`hrnet-plugin predict`: poses in pictures and videos, drawn and as one COCO results file."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path

from . import INCOMPLETE, OK, Run

RESULTS = 'results.json'


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of people, 1 or more')
    return int(text)


def add(parser: argparse.ArgumentParser) -> Run:
    parser.description = (
        'Find poses in pictures and videos: drawn, and in results.json as COCO results. Boxes of '
        'people come from a detector (--det) or from a file (--boxes). Images and frames that '
        'cannot be read are left out and listed at the end; the exit code is then 3.'
    )
    parser.add_argument(
        'inputs', metavar='IMAGE|FOLDER|VIDEO', nargs='+', help='also patterns such as "*.jpg"'
    )
    model = 'config file, or its name in the metafiles'
    parser.add_argument('--config', required=True, help=f'pose model: {model}')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint; default: the metafile knows'
    )
    parser.add_argument(
        '--det', metavar='CONFIG', help=f'detector: {model}; or whole_image: one person each'
    )
    parser.add_argument('--det-weights', metavar='FILE', help='its checkpoint')
    parser.add_argument(
        '--det-cat-ids',
        metavar='N',
        type=int,
        nargs='+',
        help="its classes that are people; default: 'person', or its only one",
    )
    parser.add_argument(
        '--boxes',
        metavar='FILE',
        help='boxes of people in COCO format: detection results or annotations; each entry names '
        'its picture by file_name or image_id, and in a video its frame, from 0',
    )
    parser.add_argument(
        '--box-categories',
        metavar='NAME|ID',
        nargs='+',
        help="categories of --boxes that are people, or all; default: 'person', or the only one, "
        'or 1 if they have no names',
    )
    parser.add_argument(
        '--out', metavar='FOLDER', default='predictions', help='default: %(default)s'
    )
    parser.add_argument('--device', help='cpu, cuda:0, …; default: the best there is')
    parser.add_argument(
        '--batch-size',
        type=_positive,
        default=16,
        metavar='N',
        help='people; default: %(default)s',
    )
    for name, what in (('bbox', 'boxes up to it are dropped'), ('kpt', 'keypoints to draw')):
        parser.add_argument(
            f'--{name}-thr',
            type=float,
            default=0.3,
            metavar='SCORE',
            help=f'{what}; default: %(default)s',
        )
    parser.add_argument('--track', action='store_true', help='number people through a video')
    parser.add_argument(
        '--smooth', action='store_true', help='smooth keypoints over time; implies --track'
    )
    parser.add_argument('--recursive', action='store_true', help='look into subfolders, too')
    parser.add_argument(
        '--strict',
        action='store_true',
        help='stop at the first image or frame that cannot be read',
    )
    return run


def run(args: argparse.Namespace) -> int:
    from mmengine.device import get_device

    from ..apis import PoseInferencer
    from ..apis.boxes.box_file import BoxFile
    from ..apis.boxes.given_boxes import GivenBoxes
    from ..apis.inference.coco_results import ResultLocations, coco_results
    from ..apis.inference.outputs import JsonList, call_targets
    from ..apis.inputs.file_names import check_out_folder, check_targets
    from ..apis.inputs.report import InputReport
    from ..apis.inputs.sources import open_sources
    from ..utils.allocator import keep_freed_memory

    # What is cheap to check comes before the models.
    if not args.det and not args.boxes:
        raise ValueError(
            'nothing tells where people are: give a detector with --det and --det-weights, or '
            '--boxes, or --det whole_image if each picture shows one person and little else'
        )
    if args.box_categories and not args.boxes:
        raise ValueError('--box-categories chooses among the boxes of a file: give --boxes, too')
    file = Path(args.out) / RESULTS
    check_out_folder('--out', args.out)
    report = InputReport(strict=args.strict, quiet=True)
    sources = open_sources(args.inputs, report, args.recursive)
    targets = call_targets(sources, args.out)
    protected = [name for source in sources for name in source.names]
    protected += [args.boxes] if args.boxes else []
    check_targets('--out', [file, *chain(*targets)], protected)
    bboxes: list[GivenBoxes | None] = [None] * len(sources)
    if args.boxes:
        boxes = BoxFile(args.boxes, args.bbox_thr, args.box_categories)
        bboxes[:] = boxes.of(sources)
        print_notes(boxes.notes)
    device = args.device or get_device()
    if device == 'cpu':
        keep_freed_memory()
    inferencer = PoseInferencer(
        args.config,
        args.weights,
        device=device,
        det_model=args.det,
        det_weights=args.det_weights,
        det_cat_ids=args.det_cat_ids,
        show_progress=True,
    )
    options = dict(
        return_datasamples=True,
        batch_size=args.batch_size,
        bbox_thr=args.bbox_thr,
        kpt_thr=args.kpt_thr,
        draw_bbox=True,
        track=args.track or args.smooth,
        smooth=args.smooth,
    )
    Path(args.out).mkdir(parents=True, exist_ok=True)
    locate = ResultLocations(sources)
    pictures = people = 0
    try:
        with closing(JsonList(file)) as results:
            for source, known, drawn in zip(sources, bboxes, targets):
                options['vis_out_dir'] = str(drawn[0]) if source.is_video else args.out
                with closing(inferencer(source, bboxes=known, **options)) as found:
                    for result in found:
                        sample = result['predictions'][0]
                        place = locate(source, sample.frame_id, sample.timestamp)
                        for person in coco_results(sample.pred_instances):
                            results.append(dict(place, **person))
                            people += 1
                        pictures += 1
    finally:  # what was done stays, also when interrupted
        if pictures:
            for known in bboxes:
                print_notes(known.notes() if known else ())
            print(f'{people} people in {pictures} pictures, drawn in {args.out}; all in {file}')
        print(*report.lines(), sep='\n', end='\n' * bool(report.lines()), file=sys.stderr)
    if not pictures:
        raise ValueError('none of the inputs could be read')
    return INCOMPLETE if report.unreadable else OK


def print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
