"""Export the pose model of a config and its weights."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

from ...datasets import scene_of
from ...export import OnnxExport, export_onnx
from ...export.onnx_file import import_onnx
from .model_files import ModelConfig
from .pose_model import PoseModel

SCENES = 4  # rendered people on which PyTorch and ONNX Runtime are compared


def export_files(
    config: ModelConfig,
    weights: str | None,
    path: str | Path,
    *,
    outputs: str = 'keypoints',
    normalize: bool = True,
    flip_test: bool | None = None,
    overwrite: bool = False,
) -> OnnxExport:
    """Export the pose model of a config as ONNX.

    Args:
        config: Config of the pose model, as :class:`PoseInferencer` takes it.
        weights: Checkpoint; by default the one in the metafile.
        path: The file to write, ``*.onnx``.
        outputs: See :func:`hrnet_plugin.export.export_onnx`, as for the following ones.
        normalize: Whether the graph normalizes.
        flip_test: Whether the graph averages with the mirrored crop.
        overwrite: Whether to replace an existing file.

    Returns:
        What was exported, with the largest differences from PyTorch.

    Raises:
        FileExistsError: ``path`` exists, and ``overwrite`` is False.
        ImportError: onnx, onnxscript or onnxruntime is not installed.
        OSError: A file cannot be read or written.
        RuntimeError: The exported graph computes something else than PyTorch.
        ValueError: The config is not of a top-down model with a heatmap head, or files do not
            fit together.
    """
    import_onnx()  # before a model is loaded
    pose = PoseModel(config, weights, 'cpu', 'mmpose')
    padding, is_udp = crop_options(pose)
    export = export_onnx(
        pose.model,
        path,
        pose.input_size,
        outputs=outputs,
        normalize=normalize,
        flip_test=flip_test,
        dataset_meta=pose.dataset_meta,
        box_padding=padding,
        is_udp=is_udp,
        crops=rendered_crops(pose.input_size),
        overwrite=overwrite,
    )
    return export


def crop_options(pose: PoseModel) -> tuple[float, bool]:
    """Return the padding of boxes, and whether crops are cut with UDP, of a test pipeline.

    Raises:
        ValueError: The pipeline cuts crops in another way.
    """
    steps: list[Any] = pose.pipeline.transforms
    padding = [step.padding for step in steps if isinstance(step, GetBBoxCenterScale)]
    udp = [bool(step.use_udp) for step in steps if isinstance(step, TopdownAffine)]
    if len(padding) != 1 or len(udp) != 1:
        raise ValueError(
            'the test pipeline of the config cuts crops in a way that cannot be exported; '
            'expected one GetBBoxCenterScale and one TopdownAffine'
        )
    return float(padding[0]), udp[0]


def rendered_crops(input_size: tuple[int, int]) -> list[np.ndarray]:
    """Render images of people as crops (h, w, 3) in BGR: smooth as photographs, unlike noise."""
    images = (scene_of(0, 'val', i).image for i in range(SCENES))
    return [cv2.resize(image, input_size, interpolation=cv2.INTER_AREA) for image in images]
