"""Samples as a pipeline puts them out, on one page, to be looked at."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

COLUMNS = 4
HEIGHT = 224  # of a crop, in pixels
GAP = 6
LINE, POINT = (80, 200, 80), (60, 60, 250)  # BGR


def contact_sheet(samples: Sequence[dict[str, Any]], codec: Any) -> np.ndarray:
    """Draw samples: each crop with its keypoints, and beside it under its heatmaps.

    Args:
        samples: results of a pipeline without its ``PackPoseInputs``.
        codec: draws heatmaps, where the pipeline has not drawn them.

    Returns:
        A page (H, W, 3), BGR.
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
    """One sample: the crop with keypoints, and dimmed under its heatmaps, if it has any."""
    crop = np.clip(sample['img'], 0, 255).astype(np.uint8)
    scale = HEIGHT / crop.shape[0]
    crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    parts = [_with_keypoints(crop, sample, scale)]
    heatmaps = heatmaps_of(sample, codec)
    if heatmaps is not None:
        parts.append(_under(heatmaps, crop))
    caption = f'image {sample.get("img_id", "?")}'
    cv2.putText(parts[0], caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3)
    cv2.putText(parts[0], caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    return np.hstack(parts)


def heatmaps_of(sample: dict[str, Any], codec: Any) -> np.ndarray | None:
    """Heatmaps (K, H, W): those of the pipeline, or drawn by the codec, where it can."""
    heatmaps = sample.get('heatmaps')
    if heatmaps is None:
        points, seen = _keypoints(sample)
        if points is None:
            return None
        if hasattr(codec, 'render'):
            heatmaps = codec.render(points[None], seen[None].astype(np.float32))[0][0]
        elif codec is not None:
            heatmaps = codec.encode(points[None], seen[None]).get('heatmaps')
    if isinstance(heatmaps, list):  # of several stages or scales
        heatmaps = heatmaps[-1]
    return None if heatmaps is None or heatmaps.ndim != 3 else heatmaps


def _keypoints(sample: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray]:
    """Keypoints (K, 2) in the crop, and whether each is labelled (K,)."""
    points = sample.get('transformed_keypoints')
    visible = np.asarray(sample.get('keypoints_visible', ()))
    if points is None or len(points) != 1:
        return None, visible
    return points[0], (visible[..., 0] if visible.ndim == 3 else visible)[0]


def _with_keypoints(crop: np.ndarray, sample: dict[str, Any], scale: float) -> np.ndarray:
    image = crop.copy()
    points, seen = _keypoints(sample)
    if points is None:
        return image
    # Coordinates of what is not labelled may be NaN.
    places = np.clip(np.nan_to_num(np.round(points * scale)), -9999, 9999)
    at = [(int(x), int(y)) for x, y in places]
    for start, end in sample.get('skeleton_links') or ():
        if seen[start] > 0 and seen[end] > 0:
            cv2.line(image, at[start], at[end], LINE, 1, cv2.LINE_AA)
    for place, labelled in zip(at, seen):
        if labelled > 0:
            cv2.circle(image, place, 3, POINT, -1, cv2.LINE_AA)
    return image


def _under(heatmaps: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The crop, dimmed, under the highest of all heatmaps at each place."""
    highest = np.clip(np.asarray(heatmaps).max(axis=0), 0, 1)
    size = crop.shape[1], crop.shape[0]
    grey = cv2.resize((highest * 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(grey, cv2.COLORMAP_JET)
    share = (grey / 255.0)[..., None]
    return np.asarray(crop * 0.5 * (1 - share) + colours * share).astype(np.uint8)
