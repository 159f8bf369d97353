"""Write the page of an evaluation from what a metric has collected."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..functional.coco.ids import as_id
from ..report.content import require_page_packages
from .gather import Table
from .reference import Reference

NAME = 'predictions'
SOURCE = 'the annotations of the test dataset'


def check_report(images: str | bool, format_only: bool) -> None:
    """Raise before a run what would prevent its report.

    Raises:
        ImportError: A package that draws the page is missing.
        OSError: There is no such folder of images.
        ValueError: Nothing is to be evaluated.
    """
    if format_only:
        raise ValueError('format_only=True evaluates nothing: there is no report for report_dir')
    require_page_packages()
    if isinstance(images, str) and not Path(images).is_dir():
        raise OSError(f'report_images={images!r} is no folder')


def write_report(
    folder: str,
    reference: Reference,
    predictions: Table,
    dataset_meta: Mapping[str, Any],
    images: str | bool,
    samples: Table,
    use_area: bool,
) -> None:
    """Write ``report.html`` and ``report.json``; if that fails, warn and keep the numbers.

    Args:
        folder: Folder to write to.
        reference: Annotations.
        predictions: Predictions that count, as columns.
        dataset_meta: Metainfo of the dataset.
        images: Folder of the images; True for where the samples say that they are; False for none.
        samples: Table of the samples, with ``image_id`` and ``img_path``.
        use_area: Whether to take the annotated areas.
    """
    from ..report import ImageSource, Results, Skeleton, build_report

    try:
        source = None
        entries = reference.image_entries
        if isinstance(images, str):
            source = ImageSource.from_folder(images, entries)
        elif images:
            paths = {
                as_id(image_id): Path(path)
                for image_id, path in zip(
                    samples['image_id'].tolist(), samples['img_path'].tolist()
                )
                if path and not isinstance(image_id, list)
            }
            if paths:
                source = ImageSource(paths, str(next(iter(paths.values())).parent))
                entries = entries or [
                    dict(id=image_id, file_name=path.name) for image_id, path in paths.items()
                ]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the evaluation has warned
            report = build_report(
                reference.annotations,
                [Results(NAME, NAME, predictions)],
                Skeleton.from_dataset_meta(dataset_meta),
                source=SOURCE,
                image_info=entries,
                images=source,
                use_area=use_area,
            )
            written = report.write(folder)
    except (ImportError, OSError, ValueError) as error:
        warnings.warn(f'the report was not written to {folder}: {error}', stacklevel=4)
        return
    for note in report.content['notes']:
        print_log(f'report: {note}', 'current')
    print_log(f'wrote {" and ".join(map(str, written))}', 'current')
