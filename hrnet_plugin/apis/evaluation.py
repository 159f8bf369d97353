"""Evaluate files of predictions, and make a report of it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.metainfo import USUAL_SIGMA, metainfo_from_coco
from ..datasets.synthetic.body import KEYPOINTS, SKELETON
from ..evaluation.reference import Reference, reference_from_content
from ..functional.coco.arrays import read_predictions
from ..functional.coco.evaluate import evaluate_coco_keypoints
from ..functional.coco.oks import COCO_SIGMAS
from ..functional.coco.schema import coco_entries, errors_name, kind, quote
from ..report import ImageSource, Report, Results, Skeleton, build_report
from ..utils.json_files import read_json

EXPECTED = (
    'a list of COCO results, '
    '[{"image_id": 1, "category_id": 1, "keypoints": […], "score": 0.9}, …]'
)
COCO_SKELETON = Skeleton(
    names=KEYPOINTS,
    sigmas=COCO_SIGMAS,
    links=tuple((a - 1, b - 1) for a, b in SKELETON),
    flip_pairs=tuple((k, k + 1) for k in range(1, 17, 2)),
)


def evaluate_files(
    annotations: str | Path,
    results: str | Path | Sequence[str | Path],
    *,
    images: str | Path | None = None,
    metainfo: str | Path | None = None,
    sigmas: Sequence[float] | None = None,
    use_area: bool = True,
    max_dets: int = 20,
    resamples: int = 1000,
    seed: int = 0,
    gallery: int = 500,
    progress: Callable[[str, int, int], object] = lambda step, done, total: None,
) -> Report:
    """Evaluate one or two files of predictions: numbers, errors, calibration, comparison.

    Keypoints are those of ``metainfo``; else those that the annotations' category names, with
    mirrored pairs by their names; else COCO's, if there are 17. Sigmas are those of ``metainfo``;
    else COCO's for COCO's keypoints, and 0.05 for others, which a note of the report says.

    Args:
        annotations: Annotations in COCO format, a JSON file.
        results: One or two JSON files, each a list of COCO results.
        images: Folder of the images, by the file names of the annotations; without it, skeletons
            are drawn without images.
        metainfo: Python file with MMPose's ``dataset_info``, as ``hrnet-plugin metainfo`` writes.
        sigmas: Standard deviations (K,) of the keypoints instead, or a single one for all.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        resamples: Number of resamples of the images for intervals; 0 for none.
        seed: Seed of the resamples.
        gallery: How many instances the page shows at most.
        progress: Called with the name of a step, how much of it is done and how much there is.

    Returns:
        The report: ``print`` shows its numbers, ``to_json``, ``to_html`` and ``write`` write it.

    Raises:
        OSError: A file or the folder of the images cannot be read.
        ValueError: A file is not what is expected; keypoints differ in number; predictions are of
            other images than the annotations; a prediction is NaN.
    """
    paths = [results] if isinstance(results, (str, Path)) else list(results)
    if not 1 <= len(paths) <= 2:
        raise ValueError(f'one or two files of results can be evaluated, not {len(paths)}')
    if gallery < 0 or resamples < 0:
        raise ValueError(f'gallery={gallery} and resamples={resamples} must not be below 0')
    progress('files', 0, 0)
    content = read_json(annotations)
    reference = reference_from_content(str(annotations), content, crowded=False)
    skeleton, notes = _skeleton(annotations, content, reference, metainfo, sigmas)
    with errors_name(annotations), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # they come with the evaluation
        evaluate_coco_keypoints(reference.annotations, [], sigmas=np.array(skeleton.sigmas))
    source = None
    if images is not None:
        source = ImageSource.from_folder(images, reference.image_entries)
    named = []
    for name, path in zip(_names(paths), paths):
        predictions = read_json(path)
        with errors_name(path):
            if not isinstance(predictions, list):
                raise ValueError(f'it holds {kind(predictions)}; expected {EXPECTED}')
            table = read_predictions(predictions, len(skeleton.sigmas))
        columns = {key: value for key, value in vars(table).items() if value is not None}
        named.append(Results(name, str(path), columns))
    return build_report(
        reference.annotations,
        named,
        skeleton,
        source=str(annotations),
        image_info=reference.image_entries,
        images=source,
        use_area=use_area,
        max_dets=max_dets,
        resamples=resamples,
        seed=seed,
        gallery=gallery,
        notes=notes,
        progress=progress,
    )


def _names(paths: Sequence[str | Path]) -> list[str]:
    """Return short names of files, which differ."""
    stems = [Path(path).stem.removesuffix('.keypoints') for path in paths]
    stems = [stem.encode('utf-8', 'replace').decode() for stem in stems]
    if len({*stems}) == len(stems):
        return stems
    longer = [f'{Path(path).resolve().parent.name}/{stem}' for path, stem in zip(paths, stems)]
    if len({*longer}) == len(longer):
        return longer
    return [f'{stem} ({number})' for number, stem in enumerate(stems, 1)]


def _skeleton(
    annotations: str | Path,
    content: Mapping[str, Any],
    reference: Reference,
    metainfo: str | Path | None,
    sigmas: Sequence[float] | None,
) -> tuple[Skeleton, list[str]]:
    """Return the keypoints, and notes on what was assumed of them."""
    notes: list[str] = []
    if metainfo is not None:
        skeleton = Skeleton.from_dataset_info(read_dataset_info(metainfo), str(metainfo))
    else:
        skeleton, notes = _annotated_skeleton(annotations, content, reference)
    count = len(skeleton.names)
    if sigmas is not None:
        given = [*sigmas] * (count if len(sigmas) == 1 else 1)
        if len(given) != count:
            raise ValueError(
                f'there are {count} keypoints, but {len(given)} sigmas: {quote(given)}; give one '
                'for each keypoint, or a single one for all'
            )
        skeleton = Skeleton(skeleton.names, tuple(given), skeleton.links, skeleton.flip_pairs)
        notes = [note for note in notes if 'sigma' not in note]
    return skeleton, notes


def _annotated_skeleton(
    annotations: str | Path, content: Mapping[str, Any], reference: Reference
) -> tuple[Skeleton, list[str]]:
    same_sigma = (
        f'every sigma of the OKS is {USUAL_SIGMA}, as nothing says how exact a keypoint can be: '
        'give metainfo or sigmas'
    )
    listed = dict(content, categories=content.get('categories') or ())
    named = [each for each in coco_entries(listed, 'categories') if each.get('keypoints')]
    if not named:
        count = reference.num_keypoints
        if count is None or count == len(KEYPOINTS):
            return COCO_SKELETON, []
        names = tuple(str(k + 1) for k in range(count))
        return Skeleton(names, (USUAL_SIGMA,) * count), [
            f'the annotations do not name their {count} keypoints, so that no left and right are '
            'known, and no inversions are found: give metainfo',
            same_sigma,
        ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with errors_name(annotations):
            info = metainfo_from_coco(dict(content, categories=named))
    skeleton = Skeleton.from_dataset_info(info)
    if skeleton.names == KEYPOINTS:
        return COCO_SKELETON, []
    notes = [str(each.message) for each in caught if 'counterpart' in str(each.message)]
    if not skeleton.flip_pairs:
        notes.append('no keypoints are left and right by their names: no inversions are found')
    return skeleton, [*notes, same_sigma]


def read_dataset_info(path: str | Path) -> Mapping[str, Any]:
    """Read MMPose's ``dataset_info`` from a Python file.

    Raises:
        OSError: There is no such file.
        ValueError: It cannot be read, or has no ``dataset_info``.
    """
    from mmengine.config import Config

    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no metainfo file {path}')
    try:
        config = Config.fromfile(str(path), import_custom_modules=False)
    except Exception as error:  # a config is Python, which can fail in any way
        reason = ' '.join(str(error).split())
        raise ValueError(f'{path} cannot be read: {type(error).__name__}: {reason}') from error
    info = config.get('dataset_info')
    if not isinstance(info, Mapping):
        raise ValueError(
            f'{path} has no dict `dataset_info`; expected metainfo, as `hrnet-plugin metainfo` '
            'writes it'
        )
    return info
