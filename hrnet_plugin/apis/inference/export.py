"""Export the pose model of a config and its weights."""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

from ...datasets import scene_of
from ...export import OnnxExport, export_onnx
from ...export.onnx_file import check_precision, import_onnx
from ...export.openvino_file import check_targets, import_openvino, onnx_to_openvino
from .calibration import calibration_crops
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
    precision: str = 'float32',
    calibration: str | Path | None = None,
    dynamic_size: bool = False,
    overwrite: bool = False,
) -> OnnxExport:
    """Export the pose model of a config as ONNX, or from there as OpenVINO IR.

    Args:
        config: Config of the pose model, as :class:`PoseInferencer` takes it.
        weights: Checkpoint; by default the one in the metafile.
        path: The file to write: ``*.onnx``, or ``*.xml``, beside which goes ``*.bin``.
        outputs: See :func:`hrnet_plugin.export.export_onnx`, as for the following ones.
        normalize: Whether the graph normalizes.
        flip_test: Whether the graph averages with the mirrored crop.
        precision: Precision of the network.
        calibration: For ``precision='int8'``, images like those of use: a folder of crops, or a
            file of COCO annotations; see ``calibration_crops``.
        dynamic_size: Whether the graph takes images of several sizes.
        overwrite: Whether to replace an existing file.

    Returns:
        What was exported, with the largest differences from PyTorch.

    Raises:
        FileExistsError: ``path`` exists, and ``overwrite`` is False.
        ImportError: onnx, onnxscript, onnxruntime or, for ``*.xml``, openvino is
            not installed.
        OSError: A file cannot be read or written.
        RuntimeError: The exported graph computes something else than PyTorch.
        ValueError: The config is not of a top-down model with a heatmap head, files do not fit
            together, or precision and calibration do not.
    """
    is_openvino = Path(path).suffix.lower() == '.xml'
    # What is cheap to check comes before a model is loaded.
    check_precision(precision, calibration is not None)
    import_onnx()
    if is_openvino:
        import_openvino('exporting as OpenVINO IR')
        check_targets(path, overwrite)
    pose = PoseModel(config, weights, 'cpu', 'mmpose')
    padding, is_udp = crop_options(pose)
    with ExitStack() as stack:
        onnx_path = Path(path)
        if is_openvino:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            onnx_path = Path(folder, 'pose.onnx')
        export = export_onnx(
            pose.model,
            onnx_path,
            pose.input_size,
            outputs=outputs,
            normalize=normalize,
            flip_test=flip_test,
            dataset_meta=pose.dataset_meta,
            box_padding=padding,
            is_udp=is_udp,
            crops=rendered_crops(pose.input_size),
            precision=precision,
            calibration=() if calibration is None else calibration_crops(pose, calibration),
            dynamic_size=dynamic_size,
            overwrite=overwrite,
        )
        if is_openvino:
            size = onnx_to_openvino(onnx_path, path, overwrite)
            export = replace(export, path=Path(path), size=size)
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
