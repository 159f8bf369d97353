"""Crops on the device against those of OpenCV."""

import cv2
import numpy as np
import pytest
import torch
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from hrnet_plugin.datasets import scene_of
from hrnet_plugin.functional.crops import crop_batch

INPUT_SIZE = (96, 128)
# Inside, beyond two borders, smaller than the crop, larger than the image, and outside
CENTERS = np.array([[160.3, 120.7], [10, 235], [200, 100], [160, 120], [900, 900]], np.float32)
WIDTHS = np.array([150, 90.5, 30, 600, 60], np.float32)
SIZES = np.stack([WIDTHS, WIDTHS / 3 * 4], axis=1)
MATRICES = {False: get_warp_matrix, True: get_udp_warp_matrix}


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    return np.ascontiguousarray(scene_of(3, 'val', 0, (320, 240)).image)


def opencv_crops(image: np.ndarray, is_udp: bool) -> np.ndarray:
    """Crops (N, h, w, 3) as MMPose's TopdownAffine makes them."""
    matrices = [MATRICES[is_udp](c, s, 0, output_size=INPUT_SIZE) for c, s in zip(CENTERS, SIZES)]
    crops = [cv2.warpAffine(image, m, INPUT_SIZE, flags=cv2.INTER_LINEAR) for m in matrices]
    return np.stack(crops)


def our_crops(image: torch.Tensor, is_udp: bool) -> np.ndarray:
    boxes = torch.from_numpy(CENTERS), torch.from_numpy(SIZES)
    return crop_batch(image, *boxes, INPUT_SIZE, is_udp).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize('is_udp', [False, True])
def test_same_as_opencv(image: np.ndarray, is_udp: bool) -> None:
    expected = opencv_crops(image, is_udp)
    ours = our_crops(torch.from_numpy(image).permute(2, 0, 1), is_udp)
    assert ours.dtype == np.uint8
    difference = np.abs(ours.astype(int) - expected)
    assert difference.mean(axis=(1, 2, 3)).max() < 0.2
    assert np.quantile(difference, 0.999) <= 4  # OpenCV 4 rounds positions
    assert (expected[:4].std(axis=(1, 2, 3)) > 10).all()
    assert not ours[4].any()


def test_the_conventions_differ(image: np.ndarray) -> None:
    """By up to a pixel: what the test above allows tells them apart."""
    ours = our_crops(torch.from_numpy(image).permute(2, 0, 1), False)
    assert np.abs(ours[2].astype(int) - opencv_crops(image, True)[2]).mean() > 0.3


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_floating_point_is_not_rounded(image: np.ndarray, dtype: torch.dtype) -> None:
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    crops = our_crops(pixels.to(dtype), False)
    assert torch.from_numpy(crops).dtype == dtype
    fraction = np.abs(crops - our_crops(pixels, False)).max()
    assert 0.3 < fraction < 0.51


def test_no_boxes(image: np.ndarray) -> None:
    none = torch.zeros(0, 2)
    crops = crop_batch(torch.from_numpy(image).permute(2, 0, 1), none, none, INPUT_SIZE)
    assert crops.shape == (0, 3, 128, 96)


@pytest.mark.parametrize(
    ('shapes', 'message'),
    [
        (((8, 8), (1, 2), (1, 2)), r'image has shape \(8, 8\); expected \(C, H, W\)'),
        (((3, 8, 8), (2,), (1, 2)), r'centers has shape \(2,\); expected \(N, 2\)'),
        (((3, 8, 8), (2, 2), (1, 2)), r'sizes has shape \(1, 2\); expected .* for N = 2'),
    ],
)
def test_wrong_shapes(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crop_batch(*map(torch.zeros, shapes), INPUT_SIZE)
