"""Export the detector of a config and its weights."""

from pathlib import Path

import numpy as np
from mmengine.dataset import Compose

from ...datasets import scene_of
from ...export import DetectorExport, Letterbox, export_detector_onnx
from ...export.letterbox import INTERPOLATIONS
from ...export.onnx_file import import_onnx
from .detector import load_detector
from .model_files import ModelConfig

SIZES = ((320, 240), (240, 320), (333, 217))  # (w, h) of rendered images to compare on


def export_detector_file(
    config: ModelConfig, weights: str | None, path: str | Path, *, overwrite: bool = False
) -> DetectorExport:
    """Export the detector of a config as ONNX.

    Args:
        config: Config of the detector, as :class:`PoseInferencer` takes it.
        weights: Checkpoint; by default the one in the metafile.
        path: The file to write, ``*.onnx``.
        overwrite: Whether to replace an existing file.

    Returns:
        What was exported, with the largest differences from MMDetection.

    Raises:
        FileExistsError: ``path`` exists, and ``overwrite`` is False.
        ImportError: onnx, onnxscript, onnxruntime or mmdet is not installed.
        OSError: A file cannot be read or written.
        RuntimeError: The exported graph detects something else than MMDetection.
        ValueError: The config is not of a detector that can be exported, or files do not fit
            together.
    """
    import_onnx()  # what is cheap to check comes before a model is loaded
    loaded = load_detector(config, weights)
    letterbox = letterbox_of(loaded.pipeline)
    images = [scene_of(0, 'val', number, size).image for number, size in enumerate(SIZES)]
    check_letterbox(letterbox, loaded.pipeline, images)
    return export_detector_onnx(
        loaded.model,
        path,
        letterbox,
        class_names=loaded.classes,
        images=images,
        overwrite=overwrite,
    )


def letterbox_of(pipeline: Compose) -> Letterbox:
    """Return how a test pipeline of MMDetection resizes and pads images.

    Args:
        pipeline: Test pipeline for images that are in memory.

    Raises:
        ValueError: It does something else, too.
    """
    from mmdet.datasets.transforms import PackDetInputs, Pad, Resize

    _, *steps = pipeline.transforms
    if [type(step) for step in steps] != [Resize, Pad, PackDetInputs]:
        names = ', '.join(type(step).__name__ for step in steps)
        raise ValueError(
            f'the test pipeline of det_model has {names} after loading; expected Resize, Pad, '
            'PackDetInputs: other pipelines are not exported'
        )
    resize, pad, _ = steps
    if (
        resize.scale is None
        or resize.backend != 'cv2'
        or resize.interpolation not in INTERPOLATIONS
    ):
        raise ValueError(f'{resize} cannot be exported; expected a scale, and backend cv2')
    if pad.pad_to_square or pad.padding_mode != 'constant':
        raise ValueError(
            f'{pad} cannot be exported; expected a constant, and size or size_divisor'
        )
    value = pad.pad_val.get('img', 0)
    return Letterbox(
        resize_to=tuple(resize.scale),
        pad_to=None if pad.size_divisor else tuple(pad.size),
        size_divisor=pad.size_divisor or 0,
        keep_ratio=resize.keep_ratio,
        interpolation=resize.interpolation,
        pad_value=(value,) * 3 if isinstance(value, int | float) else tuple(value),
    )


def check_letterbox(letterbox: Letterbox, pipeline: Compose, images: list[np.ndarray]) -> None:
    """Raise a ValueError unless both make the same inputs of images (H, W, 3)."""
    for number, image in enumerate(images):
        packed = pipeline(dict(img=image, img_id=number))
        expected = packed['inputs'].numpy().transpose(1, 2, 0)
        factor = packed['data_samples'].scale_factor
        padded, factors = letterbox(image)
        if not np.array_equal(padded, expected) or not np.allclose(factors, factor):
            raise ValueError(
                'the test pipeline of det_model changes images in a way that cannot be exported: '
                f'{letterbox} makes other inputs'
            )
