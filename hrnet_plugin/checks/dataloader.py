"""Check the dataset of one dataloader of a config, with its evaluator."""

import copy
import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS
from mmpose.datasets import MpiiDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.metrics import CocoMetric

from ..functional.coco.schema import quote
from .boxes import check_boxes
from .coco import check_coco
from .contact_sheet import contact_sheet
from .dataset_configs import build_dataset, leaf_configs, make_small, without_packing
from .findings import Findings
from .images import check_images
from .instances import AnnotatedInstances
from .metainfo import check_metainfo
from .mpii import check_mpii
from .pipelines import disagreements, flip_warning
from .samples import check_samples

# Instances of which small datasets are made: to try pipelines, and for contact sheets
SAMPLES = 12

# Called with a folder and its number of images; what it returns is called after each image.
Progress = Callable[[str, int], Callable[[], object]]


class DataloaderCheck:
    """The check of the dataset of one dataloader.

    Args:
        phase: ``'train'``, ``'val'`` or ``'test'``.
        config: The config of the run.
        model: The model of the config; None if it cannot be built.
        folder: Where small copies of the annotations are written.

    Attributes:
        findings: What is wrong.
        instances: How many instances are usable.
        images: How many images they are in.
        sheet: A contact sheet (H, W, 3), BGR; None unless it was asked for.
    """

    def __init__(self, phase: str, config: Config, model: Any, folder: Path) -> None:
        self.phase, self.model, self.folder = phase, model, folder
        self.dataset = config[f'{phase}_dataloader']['dataset']
        self.evaluator = config.get(f'{phase}_evaluator')
        self.findings = Findings(f'{phase}_dataloader')
        self.instances = 0
        self.images = 0
        self.sheet: np.ndarray | None = None
        self._has_boxes = False
        self._has_metainfo = False

    def run(self, read_images: bool, draw: bool, progress: Progress) -> None:
        """Check annotations, boxes, images, metainfo, evaluator and pipelines.

        Args:
            read_images: Whether to decode every image.
            draw: Whether to draw a contact sheet.
            progress: Is told of each folder of images.
        """
        small = copy.deepcopy(self.dataset)
        self._leaves = list(leaf_configs(small))
        are_usable = [
            self._check_leaf(leaf, number, read_images, progress)
            for number, leaf in enumerate(self._leaves)
        ]
        if all(are_usable):
            self._check_pipeline(without_packing(small), True, draw)
        elif self._has_metainfo and self._leaves == [small]:  # pipelines need no data to compare
            lazy = {**self.dataset, 'lazy_init': True}
            self._check_pipeline(without_packing(lazy), False, draw)

    def _check_leaf(
        self, leaf: ConfigDict, number: int, read_images: bool, progress: Progress
    ) -> bool:
        """Check one dataset, and make its config small; return whether it can be used."""
        empty = {**leaf, 'pipeline': [], 'lazy_init': True}
        dataset = self.findings.attempt(
            lambda: build_dataset(empty), f'the dataset {leaf.get("type")} cannot be built'
        )
        if dataset is None:
            return False
        self._has_metainfo = True
        for name in ('ann_file', 'bbox_file', 'headbox_file'):
            path = getattr(dataset, name, None)
            if not isinstance(path, str | None):
                self.findings.error(f'its {name} is {quote(path)}; expected a path')
                return False
        metainfo = self.findings.attempt(
            lambda: check_metainfo(self.findings.where, dataset.metainfo),
            'its metainfo cannot be used',
        )
        self.findings += metainfo or []
        instances, folder = self._check_annotations(leaf, dataset)
        self.findings += instances.findings
        boxes: list[Any] = []
        if getattr(dataset, 'bbox_file', None):
            self._has_boxes = True
            box_findings, boxes = check_boxes(dataset.bbox_file, instances)
            self.findings += box_findings
        self.findings += self._check_evaluator(dataset, instances)
        if instances.images:
            done = progress(folder, len(instances.images))
            self.findings += check_images(folder, instances.images, read_images, done)
        self.instances += len(instances.usable)
        self.images += len(instances.images)
        is_usable = len(instances.usable) > 0 and not (self._has_boxes and not boxes)
        if is_usable and instances.content is not None:
            make_small(leaf, instances, boxes, SAMPLES, self.folder / f'{self.phase}_{number}')
        return is_usable

    def _check_annotations(self, leaf: ConfigDict, dataset: Any) -> tuple[AnnotatedInstances, str]:
        """Check the annotations of a dataset, and return its folder of images, too."""
        k, folder = dataset.metainfo.get('num_keypoints'), dataset.data_prefix.get('img', '')
        ann_file = dataset.ann_file or ''
        if isinstance(dataset, MpiiDataset):
            return check_mpii(ann_file, k, dataset.headbox_file), folder
        if isinstance(dataset, BaseCocoStyleDataset) and all(
            getattr(type(dataset), name) is getattr(BaseCocoStyleDataset, name)
            for name in ('_load_annotations', 'parse_data_info')
        ):
            return check_coco(ann_file, k), folder
        where = f'{self.phase}_dataloader, {leaf["type"]}'

        def read() -> AnnotatedInstances:
            own = build_dataset({**leaf, 'pipeline': [], 'serialize_data': False})
            rows = [own.get_data_info(i) for i in range(len(own))]
            return check_samples(where, rows, own.metainfo.get('num_keypoints'))

        findings = Findings(where)
        instances = findings.attempt(read, 'its data cannot be read')
        return instances or AnnotatedInstances(findings), ''

    def _check_evaluator(self, dataset: Any, instances: AnnotatedInstances) -> Findings:
        """Check whether the phase's metrics evaluate on the annotations of its dataset."""
        findings = Findings(f'{self.phase}_evaluator')
        for cfg in _metric_configs(self.evaluator):
            ann_file = cfg.get('ann_file')
            if ann_file and not isinstance(ann_file, str):
                findings.error(f'its ann_file is {quote(ann_file)}; expected a path')
            elif ann_file and os.path.realpath(ann_file) != os.path.realpath(dataset.ann_file):
                findings.error(
                    f'its ann_file is {ann_file}, but the dataset of {self.phase}_dataloader has '
                    f'{dataset.ann_file}; set both alike'
                )
            elif len(self._leaves) == 1 and not instances.findings.has_errors:
                _build_metric(cfg, dataset, instances, findings)
        return findings

    def _check_pipeline(self, cfg: dict[str, Any], has_data: bool, draw: bool) -> None:
        """Compare pipelines and model, and put a few samples through, if there are any."""
        dataset = self.findings.attempt(lambda: build_dataset(cfg), 'it cannot be built')
        if dataset is None:
            return
        if self.model is not None:
            problems = self.findings.attempt(
                lambda: disagreements(dataset, self.model),
                'pipelines and model cannot be compared',
            )
            for problem in problems or ():
                self.findings.error(problem)
        if warning := flip_warning(dataset, self.model):
            self.findings.warn(warning)
        if not has_data:
            return
        number = min(SAMPLES if draw else 1, len(dataset))
        samples = self.findings.attempt(
            lambda: [dataset[i] for i in range(number)], 'its pipeline fails'
        )
        if draw and samples:
            if self._has_boxes:  # their keypoints are zeros that stand for none
                samples = [{**s, 'transformed_keypoints': None} for s in samples]
            decoder = getattr(getattr(self.model, 'head', None), 'decoder', None)
            self.sheet = self.findings.attempt(
                lambda: contact_sheet(samples, decoder), 'no contact sheet can be made of it'
            )


def _build_metric(
    cfg: dict[str, Any], dataset: Any, instances: AnnotatedInstances, findings: Findings
) -> None:
    """Build a metric as a run does, which reads its annotations."""

    def build() -> Any:
        with redirect_stdout(io.StringIO()):
            metric = METRICS.build(copy.deepcopy(cfg))
            metric.dataset_meta = dataset.metainfo
        return metric

    metric = findings.attempt(build, f'{cfg.get("type")} cannot be built')
    if type(metric) is CocoMetric and isinstance(instances.content, dict):
        rows = instances.content['annotations']
        findings.errors(
            'stock CocoMetric fails with annotations without keypoints; '
            'hrnet_plugin.OKSMetric ignores them, as COCO does',
            'annotation',
            [row.get('id') for row in rows if not row.get('keypoints')],
        )


def _metric_configs(evaluator: Any) -> list[Any]:
    """Return the configs of an evaluator's metrics, in any of the forms that MMEngine takes."""
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator = evaluator['metrics']
    parts = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return [part for part in parts if isinstance(part, dict)]
