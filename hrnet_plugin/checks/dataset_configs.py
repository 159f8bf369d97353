"""Configs of datasets: those in wrappers, and small copies to try a pipeline on."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from .instances import AnnotatedInstances


def build_dataset(cfg: dict[str, Any]) -> Any:
    """Build a dataset, without what COCO's library prints."""
    with redirect_stdout(io.StringIO()):
        return DATASETS.build(cfg)


def leaf_configs(cfg: dict[str, Any]) -> Iterator[Any]:
    """Yield the configs of the datasets that read annotations: those that wrap no other."""
    parts = [*(cfg.get('datasets') or ()), cfg.get('dataset')]
    inner = [part for part in parts if isinstance(part, dict)]
    if not inner:
        yield cfg
    for part in inner:
        yield from leaf_configs(part)


def without_packing(cfg: Any) -> Any:
    """Return a dataset's config without PackPoseInputs: samples are what its pipelines make."""
    if isinstance(cfg, dict):
        return {name: without_packing(value) for name, value in cfg.items()}
    if isinstance(cfg, (list, tuple)):
        return [
            without_packing(item)
            for item in cfg
            if not (isinstance(item, dict) and item.get('type') == 'PackPoseInputs')
        ]
    return cfg


def make_small(
    cfg: Any, instances: AnnotatedInstances, boxes: list[Any], number: int, stem: Path
) -> None:
    """Let a dataset's config name files with a few of its instances.

    Args:
        cfg: The config, which is changed.
        instances: What its annotations hold.
        boxes: The detections of its ``bbox_file``.
        number: How many instances are kept.
        stem: Where the files are written: a path without suffix.
    """
    rows = instances.spread_rows(number)
    content = instances.content
    if isinstance(content, list):
        content = [content[i] for i in rows]
    else:
        annotations = [content['annotations'][i] for i in rows]
        ids = {a['image_id'] for a in annotations}
        images = [i for i in content['images'] if i.get('id') in ids]
        content = dict(content, images=images, annotations=annotations)
        boxes = [box for box in boxes if box.get('image_id') in ids]
    cfg.update(ann_file=_write(f'{stem}.json', content), serialize_data=False)
    for option in ('indices', 'headbox_file'):  # they count instances
        cfg.pop(option, None)
    if cfg.get('bbox_file'):
        cfg['bbox_file'] = _write(f'{stem}_boxes.json', boxes)


def _write(path: str, content: Any) -> str:
    Path(path).write_text(json.dumps(content))
    return path
