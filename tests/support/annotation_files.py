"""Small annotation files, right until a test edits them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Edit = Callable[[Any], object]
K = 3


def coco_annotations() -> dict[str, Any]:
    """Two images of 100x80, with two instances of three keypoints each."""
    instances = [
        dict(
            id=10 + i,
            image_id=1 + i // 2,
            category_id=1,
            bbox=[10, 10, 40, 50],
            area=900.0,
            iscrowd=0,
            num_keypoints=2,
            keypoints=[20, 30, 2, 40, 50, 1, 0, 0, 0],
        )
        for i in range(4)
    ]
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=100, height=80) for i in (1, 2)],
        annotations=instances,
        categories=[dict(id=1, name='person')],
    )


def written(folder: Path, content: Any) -> Path:
    path = folder / 'instances.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def edited(edit: Edit) -> dict[str, Any]:
    content = coco_annotations()
    edit(content)
    return content


def instance(**changes: Any) -> Edit:
    """Change the second instance; None removes a field."""

    def edit(content: dict[str, Any]) -> None:
        row = content['annotations'][1]
        row.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del row[name]

    return edit


def image(**changes: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        content['images'][1].update(changes)

    return edit


def every_instance(**changes: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        for row in content['annotations']:
            row.update(changes)

    return edit


def mpii_annotations() -> list[dict[str, Any]]:
    return [
        dict(
            image=f'{i:09}.jpg',
            center=[50, 40],
            scale=0.3,
            joints=[[20, 30], [40, 50], [-1, -1]],
            joints_vis=[1, 1, 0],
        )
        for i in range(3)
    ]


def detections() -> list[dict[str, Any]]:
    return [dict(image_id=i, category_id=1, bbox=[10, 10, 30, 40], score=0.9) for i in (1, 1, 2)]
