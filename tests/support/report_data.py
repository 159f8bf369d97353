"""A small dataset with images, and two files of predictions for it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from hrnet_plugin.datasets import synthesize

from .plausible_predictions import plausible_predictions


class ReportData(NamedTuple):
    """Files to make a report of."""

    annotations: Path
    images: Path
    worse: Path
    better: Path

    @property
    def coco(self) -> dict[str, Any]:
        return json.loads(self.annotations.read_text())


def report_data(folder: Path, images: int = 14) -> ReportData:
    """Write images, annotations and predictions; the second file of predictions is better."""
    synthesize(folder, images, seed=3, val_fraction=0.9, image_size=(160, 120), num_workers=1)
    annotations = folder / 'annotations' / 'person_keypoints_val2017.json'
    coco = json.loads(annotations.read_text())
    files = []
    for name, options in (('worse', {}), ('better', dict(jitter=0.1, missed=0.02))):
        files.append(folder / f'{name}.json')
        files[-1].write_text(json.dumps(plausible_predictions(coco, seed=1, **options)))
    return ReportData(annotations, folder / 'val2017', *files)


def kites(folder: Path) -> tuple[Path, Path]:
    """Write annotations and predictions of five keypoints with names that are markup."""
    names = ['<b>tip</b>', 'left_$x$', 'right_$x$', '"keel"', '</script><script>alert(1)']
    category = dict(id=1, name='kite', keypoints=names, skeleton=[[1, 2], [1, 3], [1, 4], [4, 5]])
    points = [80, 40, 2, 62, 60, 2, 99, 61, 2, 81, 105, 2, 92, 130, 2]
    coco = dict(
        categories=[category],
        images=[dict(id=n, file_name=f'<i>{n}</i>.jpg', width=160, height=160) for n in range(6)],
        annotations=[
            dict(
                id=n,
                image_id=n,
                category_id=1,
                keypoints=[v + n if i % 3 != 2 else v for i, v in enumerate(points)],
                bbox=[55, 36, 50, 100],
                area=2200,
            )
            for n in range(6)
        ],
    )
    results = [
        dict(
            image_id=n,
            category_id=1,
            score=0.9 - 0.1 * n,
            keypoints=[
                v + n + (4 * n * (i % 6 == 0)) if i % 3 != 2 else 0.5 + 0.05 * n
                for i, v in enumerate(points)
            ],
        )
        for n in range(5)
    ]
    annotations, predictions = folder / 'kites.json', folder / '<img src=x>.json'
    annotations.write_text(json.dumps(coco))
    predictions.write_text(json.dumps(results))
    return annotations, predictions
