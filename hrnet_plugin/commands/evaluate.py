"""`hrnet-plugin evaluate`: numbers, errors and their cost, and a page to look at them."""

import argparse
import sys
import warnings
from pathlib import Path

from . import INCOMPLETE, OK, Run, positive


def _whole(text: str) -> int:
    """Parse a number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 0 or more')
    return int(text)


def _above_0(text: str) -> float:
    """Parse a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
    return value


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Evaluate predicted keypoints: AP and AR with intervals, what is wrong and what it costs, '
        'calibration, and for two files of results, whether one is better by more than chance. '
        'Writes report.html, a page that opens without network, and report.json. Exit code 3 if '
        'some images cannot be shown.'
    )
    parser.add_argument('annotations', metavar='ANNOTATIONS', help='a JSON file in COCO format')
    parser.add_argument(
        'results',
        metavar='RESULTS',
        nargs='+',
        help='one or two JSON files, lists of COCO results; or work folders of trainings, whose '
        'best model predicts in the annotated boxes of --images',
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder to write to')
    parser.add_argument(
        '--images', metavar='FOLDER', help='folder of the images, to show what is wrong in them'
    )
    parser.add_argument(
        '--metainfo',
        metavar='FILE.py',
        help="the dataset's keypoints, as `hrnet-plugin metainfo` writes them; default: as the "
        "annotations name them, or COCO's",
    )
    parser.add_argument(
        '--sigmas',
        type=_above_0,
        nargs='+',
        metavar='S',
        help='sigmas of the OKS, one for each keypoint or one for all',
    )
    parser.add_argument(
        '--no-area', action='store_true', help='take 0.53 of the boxes instead of annotated areas'
    )
    parser.add_argument(
        '--max-dets',
        type=positive,
        default=20,
        metavar='N',
        help='detections that count in each image; default: %(default)s',
    )
    parser.add_argument(
        '--resamples',
        type=_whole,
        default=1000,
        metavar='N',
        help='of the images, for intervals; 0 for none; default: %(default)s',
    )
    parser.add_argument('--seed', type=_whole, default=0, metavar='S', help='default: %(default)s')
    parser.add_argument(
        '--gallery',
        type=_whole,
        default=500,
        metavar='N',
        help='instances that the page shows at most; default: %(default)s',
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if len(args.results) > 2:
        raise ValueError(f'{len(args.results)} files of results; expected one, or two to compare')
    # What is cheap to check comes first.
    folders = [path for path in args.results if Path(path).is_dir()]
    for path in (args.annotations, *args.results):
        if path not in folders and not Path(path).is_file():
            reason = 'is a folder' if Path(path).is_dir() else 'does not exist'
            raise FileNotFoundError(f'{path} {reason}; expected a JSON file')
    if folders and args.images is None:
        raise ValueError(
            f'{folders[0]} is a folder: give --images, in which its model is to predict, or a '
            'JSON file of results'
        )
    if Path(args.out).exists() and not Path(args.out).is_dir():
        raise NotADirectoryError(f'--out {args.out} is a file; expected a folder')

    from ..apis import evaluate_files
    from ..report.content import require_page_packages

    require_page_packages()
    results = [
        predict_with(path, args.annotations, args.images, args.out) if path in folders else path
        for path in args.results
    ]
    with _Bar() as bar, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # they are among the notes
        report = evaluate_files(
            args.annotations,
            results,
            images=args.images,
            metainfo=args.metainfo,
            sigmas=args.sigmas,
            use_area=not args.no_area,
            max_dets=args.max_dets,
            resamples=args.resamples,
            seed=args.seed,
            gallery=args.gallery,
            progress=bar,
        )
        bar('page', 0, 0)
        paths = report.write(args.out)
    print(report)
    for note in report.content['notes']:
        print(f'note: {note}')
    for path in paths:
        print(f'wrote {path}')
    problems = report.content['images']['problems']
    for problem in problems:
        print(f'not shown: {problem}', file=sys.stderr)
    return INCOMPLETE if problems else OK


def predict_with(folder: str, annotations: str, images: str, out: str) -> Path:
    """Predict with the best model of a training in annotated boxes, into a file of results.

    Args:
        folder: Work folder of the training.
        annotations: JSON file in COCO format, whose boxes are used.
        images: Folder of the images.
        out: Folder to write to.

    Returns:
        The file: ``NAME.keypoints.json``, with the name of the work folder.
    """
    from ..apis import PoseInferencer, write_coco_results

    path = Path(out) / f'{Path(folder).resolve().name}.keypoints.json'
    print(f'predicting with {folder} in the boxes of {annotations}', file=sys.stderr)
    inferencer = PoseInferencer(folder, show_progress=True)
    Path(out).mkdir(parents=True, exist_ok=True)
    write_coco_results(inferencer, images, path, bboxes=annotations, recursive=True)
    print(f'wrote {path}')
    return path


class _Bar:
    """Show on a terminal what is being done."""

    def __enter__(self) -> '_Bar':
        from tqdm import tqdm

        self.bar = tqdm(delay=0.5, disable=None, leave=False, bar_format='{desc} {elapsed}')
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show a step, and how much of it is done."""
        self.bar.set_description_str(f'{step} {done}/{total}' if total else step)
