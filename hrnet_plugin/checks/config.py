"""Check a config and its data before a run: no weights, no network."""

import copy
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from ..functional.coco.schema import quote
from .dataloader import DataloaderCheck, Progress
from .findings import Finding, Findings
from .old_config import explain_old_config
from .other_task import explain_other_task
from .pipelines import decoder_of, output_error
from .weights import check_checkpoint_paths, without_weights

PHASES = ('train', 'val', 'test')


@dataclass
class Report:
    """The result of checking a config.

    Attributes:
        findings: Everything that is wrong, each once.
        instances: How many usable instances the datasets have.
        images: How many images these are in.
        sheets: Contact sheets (H, W, 3), BGR, by phase.
    """

    findings: list[Finding] = field(default_factory=list)
    instances: int = 0
    images: int = 0
    sheets: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.is_error for finding in self.findings)

    @property
    def people(self) -> int:
        """The former name of ``instances``."""
        warnings.warn(
            'Report.people is now Report.instances; the former name goes with the next release',
            DeprecationWarning,
            stacklevel=2,
        )
        return self.instances


def check_config(
    config: Config,
    read_images: bool = True,
    draw: bool = False,
    progress: Progress = lambda folder, images: lambda: None,
) -> Report:
    """Check a config: its annotations, boxes, images, metainfo, pipelines, codec and model.

    Args:
        config: A config of MMPose; of one of 0.x, the report only says what 1.x calls its parts,
            and of one of segmentation, detection or classification what runs it.
        read_images: Whether to decode every image; else the files only have to exist.
        draw: Whether to draw contact sheets.
        progress: A function that is called with each folder and its number of images; what it
            returns is called after each image.

    Returns:
        The findings, and how much was checked.
    """
    findings = Findings('config')
    report = Report(findings)
    if explanation := explain_old_config(config):
        findings.error(explanation)
        return report
    if explanation := explain_other_task(config):
        findings.error(f'{explanation}. Only configs of pose estimation are checked')
        return report
    scope = config.get('default_scope') or 'mmpose'
    if not isinstance(scope, str):
        findings.error(f'default_scope is {quote(scope)}; expected the name of a package')
        return report
    init_default_scope(scope)
    model = _build_model(config, findings)
    findings += check_checkpoint_paths(config)
    if model is not None:
        findings += _check_outputs(model)
    with tempfile.TemporaryDirectory() as folder:
        for phase in _phases(config, findings):
            check = DataloaderCheck(phase, config, model, Path(folder))
            check.run(read_images, draw, progress)
            findings += check.findings
            report.instances += check.instances
            report.images += check.images
            if check.sheet is not None:
                report.sheets[phase] = check.sheet
    report.findings = list(dict.fromkeys(findings))
    return report


def _phases(config: Config, findings: Findings) -> Iterator[str]:
    """Yield the phases whose dataset can be checked, those with the same dataset once."""
    seen: list[Any] = []
    for phase in PHASES:
        loader = config.get(f'{phase}_dataloader')
        if not loader:
            continue
        is_dict = isinstance(loader, dict)
        dataset = loader.get('dataset') if is_dict else loader
        if not (is_dict and isinstance(dataset, dict)):
            where = f'{phase}_dataloader' + ('.dataset' if is_dict else '')
            findings.error(f'{where} is {quote(dataset)}; expected a dict that describes it')
            seen.append(None)
        elif dataset not in seen:
            seen.append(dataset)
            yield phase
    if not seen:
        findings.error(f'it has none of {", ".join(f"{p}_dataloader" for p in PHASES)}')


def _build_model(config: Config, findings: Findings) -> Any:
    """Return the model of a config in evaluation mode, without weights; None if that fails."""
    if not config.get('model'):
        findings.error('it has no model')
        return None
    model_findings = Findings('model')
    cfg = without_weights(copy.deepcopy(config.model))
    model = model_findings.attempt(lambda: MODELS.build(cfg).eval(), 'it cannot be built')
    findings += model_findings
    return model


def _check_outputs(model: Any) -> Findings:
    """Run the model once: do its parts fit, and are its heatmaps as large as the codec's?"""
    findings = Findings('model')
    decoder = decoder_of(model)
    if decoder is None:
        return findings

    def infer() -> Any:
        width, height = decoder.input_size
        with torch.no_grad():
            return model.head(model.extract_feat(torch.zeros(1, 3, height, width)))

    outputs = findings.attempt(infer, f'it fails with an input of (w, h) = {decoder.input_size}')
    if error := output_error(outputs, decoder):
        findings.error(error)
    return findings
