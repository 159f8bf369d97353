"""Everything that is wrong with a config and its data, before a run: no weights, no network."""

import copy
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from mmpose.datasets import MpiiDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.metrics import CocoMetric

from ..functional.coco.schema import quote
from . import (
    Finding,
    Findings,
    Image,
    People,
    check_boxes,
    check_coco,
    check_images,
    check_metainfo,
    check_mpii,
)
from .contact_sheet import contact_sheet
from .old_config import explain_old_config
from .pipelines import decoder_of, disagreements, flip_warning, output_error
from .units import add_unit_findings, sample_problems

PHASES = ('train', 'val', 'test')
# People of whom small data sets are made: to try pipelines, and for contact sheets
SAMPLES = 12

# (images of a folder, how many) -> called after each of them
Progress = Callable[[str, int], Callable[[], object]]


@dataclass
class Report:
    """What the check of a config has found.

    Attributes:
        findings: everything that is wrong.
        people, images: how many were looked at.
        sheets: contact sheets of phases, BGR.
    """

    findings: list[Finding] = field(default_factory=list)
    people: int = 0
    images: int = 0
    sheets: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        return any(f.is_error for f in self.findings)


def check_config(
    config: Config,
    read_images: bool = True,
    draw: bool = False,
    progress: Progress = lambda folder, images: lambda: None,
) -> Report:
    """Check a config: its annotations, boxes, images, metainfo, pipelines, codec and model.

    Args:
        config: of MMPose; of 0.x, it is only said what it is in 1.x.
        read_images: decode every image, or only see whether it exists.
        draw: draw contact sheets.
        progress: is told of each folder of images.
    """
    report = Report()
    if explanation := explain_old_config(config):
        report.findings.append(Finding(True, 'config', explanation))
        return report
    scope = config.get('default_scope') or 'mmpose'
    if not isinstance(scope, str):
        message = f'default_scope is {quote(scope)}; expected the name of a package'
        report.findings.append(Finding(True, 'config', message))
        return report
    init_default_scope(scope)
    model = _build_model(config, report)
    report.findings += _missing_checkpoints(config)
    if model is not None:
        report.findings += _output_findings(model)
    with tempfile.TemporaryDirectory() as folder:
        seen: list[Any] = []
        for phase in PHASES:
            loader = config.get(f'{phase}_dataloader')
            if not loader:
                continue
            dataset = loader.get('dataset') if isinstance(loader, dict) else None
            if not isinstance(dataset, dict):
                where = f'{phase}_dataloader' + ('.dataset' if isinstance(loader, dict) else '')
                value = dataset if isinstance(loader, dict) else loader
                message = f'{where} is {quote(value)}; expected a dict that describes it'
                report.findings.append(Finding(True, 'config', message))
                seen.append(None)
                continue
            if dataset in seen:
                continue
            seen.append(dataset)
            _Phase(phase, config, model, report, Path(folder)).check(read_images, draw, progress)
    if not seen:
        report.findings.append(
            Finding(
                True, 'config', f'it has none of {", ".join(f"{p}_dataloader" for p in PHASES)}'
            )
        )
    report.findings = list(dict.fromkeys(report.findings))
    return report


class _Phase:
    """The data of training, validation or testing."""

    def __init__(
        self, name: str, config: Config, model: Any, report: Report, folder: Path
    ) -> None:
        self.name, self.model, self.report, self.folder = name, model, report, folder
        self.dataset = config[f'{name}_dataloader']['dataset']
        self.evaluator = config.get(f'{name}_evaluator')
        self.findings = Findings(f'{name}_dataloader')
        self.has_boxes = False
        self.has_metainfo = False

    def check(self, read_images: bool, draw: bool, progress: Progress) -> None:
        small = copy.deepcopy(self.dataset)
        leaves = self.leaves = list(_leaves(small))
        sound = [self._check_leaf(leaf, n, read_images, progress) for n, leaf in enumerate(leaves)]
        if all(sound):
            self._check_pipeline(_unpacked(small), True, draw)
        elif self.has_metainfo and leaves == [small]:  # without its data, the rest can be said
            self._check_pipeline(_unpacked({**self.dataset, 'lazy_init': True}), False, draw)
        self.report.findings += self.findings

    def _check_leaf(
        self, leaf: ConfigDict, number: int, read_images: bool, progress: Progress
    ) -> bool:
        """Check one data set, and make it small; False if it cannot be used."""
        found: list[Finding] = []
        failure = f'the data set {leaf.get("type")} cannot be built'
        empty = {**leaf, 'pipeline': [], 'lazy_init': True}
        dataset = _attempt(lambda: _build(empty), self.findings, failure)
        if dataset is None:
            return False
        self.has_metainfo = True
        for name in ('ann_file', 'bbox_file', 'headbox_file'):
            path = getattr(dataset, name, None)
            if not isinstance(path, str | None):
                self.findings.error(f'its {name} is {quote(path)}; expected a path')
                return False
        where = f'{self.name}_dataloader'
        metainfo = dataset.metainfo
        checked = _attempt(
            lambda: check_metainfo(where, metainfo), self.findings, 'its metainfo cannot be used'
        )
        found += checked or []
        people, folder = _read(dataset)
        if people is None:
            people, folder = self._read_other(leaf)
        found += people.findings
        boxes: list[Any] = []
        if getattr(dataset, 'bbox_file', None):
            self.has_boxes = True
            box_findings, boxes = check_boxes(dataset.bbox_file, people)
            found += box_findings
        found += self._evaluator_findings(dataset, people)
        if people.images:
            done = progress(folder, len(people.images))
            found += check_images(folder, people.images, read_images, done)
        self.report.people += len(people.usable)
        self.report.images += len(people.images)
        self.report.findings += found
        usable = bool(len(people.usable)) and not (self.has_boxes and not boxes)
        if usable and people.content is not None:
            self._make_small(leaf, number, people, boxes)
        return usable

    def _read_other(self, leaf: ConfigDict) -> tuple[People, str]:
        """People of a data set in a format of its own, as it reads them itself."""
        findings = Findings(f'{self.name}_dataloader, {leaf["type"]}')
        people = People(findings)

        def read() -> tuple[list[Any], int | None]:
            dataset = _build({**leaf, 'pipeline': [], 'serialize_data': False})
            rows = [dataset.get_data_info(i) for i in range(len(dataset))]
            return rows, dataset.metainfo.get('num_keypoints')

        found = _attempt(read, findings, 'its data cannot be read')
        if found is None:
            return people, ''
        rows, k = found
        people.usable = np.arange(len(rows))
        if not rows:
            findings.error('it has no samples')
        counts = [np.shape(row['keypoints'])[-2] for row in rows if np.ndim(row.get('keypoints'))]
        findings.errors(
            f"the sample's number of keypoints is not that of the metainfo, {k}",
            'sample',
            [f'{i} ({count})' for i, count in enumerate(counts) if count != k],
        )
        add_unit_findings(findings, sample_problems(rows), 'sample', range(len(rows)))
        paths = dict.fromkeys(row['img_path'] for row in rows if 'img_path' in row)
        people.images = [Image(path, path, None) for path in paths]
        people.image_ids = [row.get('img_id') for row in rows]
        return people, ''

    def _evaluator_findings(self, dataset: Any, people: People) -> Findings:
        findings = Findings(f'{self.name}_evaluator')
        for evaluator in _metrics(self.evaluator):
            ann_file = evaluator.get('ann_file')
            if ann_file and not isinstance(ann_file, str):
                findings.error(f'its ann_file is {quote(ann_file)}; expected a path')
            elif ann_file and _real(ann_file) != _real(dataset.ann_file):
                findings.error(
                    f'its ann_file is {ann_file}, but the data set of {self.name}_dataloader has '
                    f'{dataset.ann_file}; set both alike'
                )
            elif len(self.leaves) == 1 and not any(f.is_error for f in people.findings):
                self._try_metric(evaluator, dataset, people, findings)
        return findings

    def _try_metric(
        self, cfg: dict[str, Any], dataset: Any, people: People, findings: Findings
    ) -> None:
        """Build a metric as a run does, which reads its annotations."""

        def build() -> Any:
            with redirect_stdout(io.StringIO()):
                metric = METRICS.build(copy.deepcopy(cfg))
                metric.dataset_meta = dataset.metainfo
            return metric

        metric = _attempt(build, findings, f'{cfg.get("type")} cannot be built')
        if type(metric) is CocoMetric and isinstance(people.content, dict):
            rows = people.content['annotations']
            findings.errors(
                'stock CocoMetric fails with annotations without keypoints; '
                'hrnet_plugin.OKSMetric ignores them, as COCO does',
                'annotation',
                [row.get('id') for row in rows if not row.get('keypoints')],
            )

    def _make_small(self, leaf: ConfigDict, number: int, people: People, boxes: list[Any]) -> None:
        """Leave a few people in a data set: a pipeline is tried without reading all again."""
        rows = people.a_few(SAMPLES)
        if isinstance(people.content, list):
            content: Any = [people.content[i] for i in rows]
        else:
            annotations = [people.content['annotations'][i] for i in rows]
            ids = {a['image_id'] for a in annotations}
            images = [i for i in people.content['images'] if i.get('id') in ids]
            content = dict(people.content, images=images, annotations=annotations)
            boxes = [box for box in boxes if box.get('image_id') in ids]
        stem = f'{self.name}_{number}'
        leaf.update(ann_file=self._write(f'{stem}.json', content), serialize_data=False)
        for option in ('indices', 'headbox_file'):  # they count people
            leaf.pop(option, None)
        if leaf.get('bbox_file'):
            leaf['bbox_file'] = self._write(f'{stem}_boxes.json', boxes)

    def _write(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return str(path)

    def _check_pipeline(self, cfg: dict[str, Any], has_data: bool, draw: bool) -> None:
        """Compare pipelines and model, and put a few samples through, if there are any."""
        dataset = _attempt(lambda: _build(cfg), self.findings, 'it cannot be built')
        if dataset is None:
            return
        if self.model is not None:
            problems = _attempt(
                lambda: disagreements(dataset, self.model),
                self.findings,
                'pipelines and model cannot be compared',
            )
            for problem in problems or ():
                self.findings.error(problem)
        if warning := flip_warning(dataset, self.model):
            self.findings.warn(warning)
        if not has_data:
            return
        wanted = range(min(SAMPLES if draw else 1, len(dataset)))
        samples = _attempt(
            lambda: [dataset[i] for i in wanted], self.findings, 'its pipeline fails'
        )
        if draw and samples:
            if self.has_boxes:  # their keypoints are zeros that stand for none
                samples = [{**s, 'transformed_keypoints': None} for s in samples]
            decoder = getattr(getattr(self.model, 'head', None), 'decoder', None)
            self.report.sheets[self.name] = contact_sheet(samples, decoder)


def _build(cfg: dict[str, Any]) -> Any:
    """A data set, without what COCO's library prints."""
    with redirect_stdout(io.StringIO()):
        return DATASETS.build(cfg)


def _inner(cfg: dict[str, Any]) -> list[Any]:
    """Data sets in a wrapper of data sets."""
    inner = [*(cfg.get('datasets') or ()), cfg.get('dataset')]
    return [part for part in inner if isinstance(part, dict)]


def _metrics(evaluator: Any) -> list[Any]:
    """Configs of the metrics of an evaluator, in any of the forms that MMEngine takes."""
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator = evaluator['metrics']
    parts = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return [part for part in parts if isinstance(part, dict)]


def _leaves(cfg: dict[str, Any]) -> Iterator[Any]:
    parts = _inner(cfg)
    if not parts:
        yield cfg
    for part in parts:
        yield from _leaves(part)


def _unpacked(cfg: Any) -> Any:
    """A data set's config without PackPoseInputs, so that samples are what pipelines make."""
    if isinstance(cfg, dict):
        return {name: _unpacked(value) for name, value in cfg.items()}
    if isinstance(cfg, (list, tuple)):
        return [
            _unpacked(item)
            for item in cfg
            if not (isinstance(item, dict) and item.get('type') == 'PackPoseInputs')
        ]
    return cfg


def _read(dataset: Any) -> tuple[People | None, str]:
    """Check the annotations of a data set whose format is known; and its folder of images."""
    k, folder = dataset.metainfo.get('num_keypoints'), dataset.data_prefix.get('img', '')
    ann_file = dataset.ann_file or ''
    if isinstance(dataset, MpiiDataset):
        return check_mpii(ann_file, k, dataset.headbox_file), folder
    if isinstance(dataset, BaseCocoStyleDataset) and all(
        getattr(type(dataset), name) is getattr(BaseCocoStyleDataset, name)
        for name in ('_load_annotations', 'parse_data_info')
    ):
        return check_coco(ann_file, k), folder
    return None, folder


def _build_model(config: Config, report: Report) -> Any:
    if not config.get('model'):
        report.findings.append(Finding(True, 'config', 'it has no model'))
        return None
    findings = Findings('model')
    cfg = _without_weights(copy.deepcopy(config.model))
    model = _attempt(lambda: MODELS.build(cfg).eval(), findings, 'it cannot be built')
    report.findings += findings
    return model


def _is_pretrained(cfg: Any) -> bool:
    return isinstance(cfg, dict) and cfg.get('type') == 'Pretrained'


def _without_weights(cfg: Any) -> Any:
    if isinstance(cfg, dict):
        for name, value in cfg.items():
            weights = _is_pretrained(value) or (name == 'pretrained' and isinstance(value, str))
            cfg[name] = None if weights else _without_weights(value)
    elif isinstance(cfg, list):
        return [_without_weights(item) for item in cfg if not _is_pretrained(item)]
    return cfg


def _missing_checkpoints(config: Config) -> Findings:
    findings = Findings('config')

    def look(where: str, cfg: Any) -> None:
        if isinstance(cfg, (dict, list, tuple)):
            items = cfg.items() if isinstance(cfg, dict) else enumerate(cfg)
            for name, value in items:
                check(f'{where}.{name}', value, name in ('pretrained', 'checkpoint'))

    def check(where: str, value: Any, is_checkpoint: bool) -> None:
        if not is_checkpoint:
            look(where, value)
        elif isinstance(value, str) and '://' not in value and not os.path.exists(value):
            findings.error(f'{where} is {value}, which does not exist')

    look('model', config.get('model'))
    check('load_from', config.get('load_from'), True)
    return findings


def _output_findings(model: Any) -> Findings:
    """Run the model once: do its parts fit, and are its heatmaps as large as the codec's?"""
    findings = Findings('model')
    decoder = decoder_of(model)
    if decoder is None:
        return findings

    def infer() -> Any:
        width, height = decoder.input_size
        with torch.no_grad():
            return model.head(model.extract_feat(torch.zeros(1, 3, height, width)))

    outputs = _attempt(infer, findings, f'it fails with an input of (w, h) = {decoder.input_size}')
    if error := output_error(outputs, decoder):
        findings.error(error)
    return findings


def _real(path: str) -> str:
    return os.path.realpath(path)


def _attempt(make: Callable[[], Any], findings: Findings, failure: str) -> Any:
    """What this makes, or None after reporting its error: any, as users' own code takes part."""
    try:
        return make()
    except Exception as error:
        findings.error(f'{failure}: {_said(error)}')
        return None


def _said(error: Exception) -> str:
    """An error on one line."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, ValueError) and text else f'{type(error).__name__}: {text}'
