"""Contact sheet: the samples that a pipeline makes, on one page."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..codecs import as_keypoint_codec

COLUMNS = 4
HEIGHT = 224  # of a crop, in pixels
GAP = 6
LINE, POINT = (80, 200, 80), (60, 60, 250)  # BGR


def contact_sheet(samples: Sequence[dict[str, Any]], codec: Any) -> np.ndarray:
    """Draw samples: each crop with its keypoints, and next to it under its heatmaps.

    Args:
        samples: Results of a pipeline without its ``PackPoseInputs``.
        codec: Codec that encodes heatmaps where the pipeline has not; None for no heatmaps.

    Returns:
        Page (H, W, 3), uint8, BGR.
    """
    tiles = [tile(sample, codec) for sample in samples]
    height, width = (max(t.shape[axis] for t in tiles) + GAP for axis in (0, 1))
    columns = min(COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    page = np.full((rows * height + GAP, columns * width + GAP, 3), 255, np.uint8)
    for i, t in enumerate(tiles):
        y, x = i // columns * height + GAP, i % columns * width + GAP
        page[y : y + t.shape[0], x : x + t.shape[1]] = t
    return page


def tile(sample: dict[str, Any], codec: Any) -> np.ndarray:
    """Draw one sample: the crop with keypoints, and, if it has heatmaps, dimmed under them."""
    crop = np.clip(sample['img'], 0, 255).astype(np.uint8)
    scale = HEIGHT / crop.shape[0]
    crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    parts = [_with_keypoints(crop, sample, scale)]
    heatmaps = heatmaps_of(sample, codec)
    if heatmaps is not None:
        parts.append(_with_heatmaps(heatmaps, crop))
    caption = f'image {sample.get("img_id", "?")}'
    cv2.putText(parts[0], caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3)
    cv2.putText(parts[0], caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    return np.hstack(parts)


def heatmaps_of(sample: dict[str, Any], codec: Any) -> np.ndarray | None:
    """Return the heatmaps (K, H, W) of a sample: the pipeline's, or the codec's, if any."""
    heatmaps = sample.get('heatmaps')
    if heatmaps is None:
        heatmaps = _encode(sample, codec)
    if isinstance(heatmaps, list):  # of several stages or scales
        heatmaps = heatmaps[-1]
    return None if heatmaps is None or heatmaps.ndim != 3 else heatmaps


def _encode(sample: dict[str, Any], codec: Any) -> Any:
    points, visible = _keypoints(sample)
    if points is None or codec is None:
        return None
    known = as_keypoint_codec(codec)
    if known is None:
        return codec.encode(points[None], visible[None]).get('heatmaps')
    targets, _ = known.encode_batch(points[None], visible[None].astype(np.float32))
    heatmaps = known.to_heatmaps(targets)
    return None if heatmaps is None else heatmaps[0]


def _keypoints(sample: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray]:
    """Keypoints (K, 2) in pixels of the crop, and their visibility (K,)."""
    points = sample.get('transformed_keypoints')
    visible = np.asarray(sample.get('keypoints_visible', ()))
    if points is None or len(points) != 1:
        return None, visible
    return points[0], (visible[..., 0] if visible.ndim == 3 else visible)[0]


def _with_keypoints(crop: np.ndarray, sample: dict[str, Any], scale: float) -> np.ndarray:
    image = crop.copy()
    points, visible = _keypoints(sample)
    if points is None:
        return image
    # Coordinates of keypoints without a label may be NaN.
    rounded = np.clip(np.nan_to_num(np.round(points * scale)), -9999, 9999)
    pixels = [(int(x), int(y)) for x, y in rounded]
    for start, end in sample.get('skeleton_links') or ():
        if visible[start] > 0 and visible[end] > 0:
            cv2.line(image, pixels[start], pixels[end], LINE, 1, cv2.LINE_AA)
    for pixel, is_labelled in zip(pixels, visible > 0):
        if is_labelled:
            cv2.circle(image, pixel, 3, POINT, -1, cv2.LINE_AA)
    return image


def _with_heatmaps(heatmaps: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The crop, dimmed, under the maximum of all heatmaps at each pixel."""
    highest = np.clip(np.asarray(heatmaps).max(axis=0), 0, 1)
    size = crop.shape[1], crop.shape[0]
    grey = cv2.resize((highest * 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(grey, cv2.COLORMAP_JET)
    opacity = (grey / 255.0)[..., None]
    return np.asarray(crop * 0.5 * (1 - opacity) + colours * opacity).astype(np.uint8)
