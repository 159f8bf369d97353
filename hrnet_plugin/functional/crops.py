"""Crops of one image, all at once and on its device."""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_batch(
    image: Tensor,
    centers: Tensor,
    sizes: Tensor,
    input_size: tuple[int, int],
    is_udp: bool = False,
) -> Tensor:
    """Cut parts out of an image and resize them to a network's input, bilinearly.

    These are the crops of MMPose's ``TopdownAffine`` without rotation, which come from
    ``cv2.warpAffine`` one by one: on average within one grey level. What lies outside the image
    is 0.

    Args:
        image: (C, H, W), uint8 or floating point.
        centers: (N, 2), the parts' centers x, y in pixels of the image, on its device.
        sizes: (N, 2), the parts' widths and heights in pixels of the image.
        input_size: (w, h) of a crop, in pixels.
        is_udp: Whether lengths are measured between the centers of pixels
            (https://arxiv.org/abs/1911.07524, section 3.2), as by
            ``TopdownAffine(use_udp=True)``.

    Returns:
        (N, C, h, w), rounded to uint8 if the image is of uint8.

    Raises:
        ValueError: A shape differs from those above.

    >>> image = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    >>> center, size = torch.tensor([[2.0, 1.0]]), torch.tensor([[2.0, 2.0]])
    >>> crop_batch(image, center, size, input_size=(2, 2)).tolist()
    [[[[1, 2], [5, 6]]]]
    """
    if image.ndim != 3:
        raise ValueError(f'image has shape {tuple(image.shape)}; expected (C, H, W)')
    for name, tensor in dict(centers=centers, sizes=sizes).items():
        if tensor.shape != (len(centers), 2):
            raise ValueError(
                f'{name} has shape {tuple(tensor.shape)}; expected (N, 2) for N = {len(centers)}'
            )
    width, height = input_size
    axes = zip(input_size, image.shape[:0:-1], centers.float().T, sizes.float().T)
    x, y = (_positions(*axis, is_udp) for axis in axes)
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    # As one tall crop: one per image would make as many copies of the image.
    tall = F.grid_sample(
        image[None] if image.is_floating_point() else image[None].float(),
        grid.flatten(0, 1)[None].to(image.dtype if image.is_floating_point() else torch.float32),
        align_corners=False,
    )
    crops = tall.view(len(image), -1, height, width).transpose(0, 1)
    return crops if image.is_floating_point() else crops.round().to(image.dtype)


def _positions(count: int, length: int, center: Tensor, size: Tensor, is_udp: bool) -> Tensor:
    """Return where pixels of crops are along an axis of the image.

    Args:
        count: Pixels of a crop.
        length: Pixels of the image.
        center: (N,), in pixels.
        size: (N,), in pixels.
        is_udp: Whether the first and the last pixel are ``size`` apart.

    Returns:
        (N, count), from -1 to 1 between the outer edges of the image.
    """
    steps = torch.arange(count, device=size.device) / (count - 1 if is_udp else count)
    pixels = (center - size / 2)[:, None] + size[:, None] * steps
    return (2 * pixels + 1) / length - 1
