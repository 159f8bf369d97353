"""Heatmaps drawn and read on the CPU by ``heatmap_cpu.c``, where that could be compiled.

Without it (no C compiler when the package was installed), on devices, and while a model is being
compiled or exported, torch does the same: see ``heatmap_encode`` and ``heatmap_decode``.
"""

import ctypes
from importlib.util import find_spec

import torch
from torch import Tensor

# To be counted up in both files whenever a signature or a choice changes
INTERFACE_VERSION = 1
POINTER, INTEGER, NUMBER, CHOICE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int
SIGNATURES = {
    'read_heatmaps': (POINTER, *[INTEGER] * 4, CHOICE, POINTER, INTEGER, POINTER, POINTER),
    'draw_heatmaps': (
        *(POINTER, POINTER, POINTER, INTEGER, NUMBER, INTEGER, INTEGER, INTEGER, INTEGER),
        *(CHOICE, INTEGER, POINTER, POINTER),
    ),
}
DECODERS = ('peak', 'msra', 'dark', 'udp')
ENCODERS = ('msra', 'dark', 'udp')
# So many pixels are some ten microseconds of work, and to wake another thread takes as long.
PIXELS_PER_THREAD = 2**17
# Numbers for which there is room on the stack of any thread
STACK = 2**14


def load() -> ctypes.CDLL | None:
    """The compiled library, unless there is none for this machine, this Python and this file."""
    spec = find_spec(f'{__package__}._heatmap_cpu')
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # built on another machine, or the run-time library of OpenMP is missing
        return None
    if ctypes.c_int64.in_dll(library, 'interface_version').value != INTERFACE_VERSION:
        return None  # compiled before the last update
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return library


LIBRARY = load()


def on_host(tensor: Tensor) -> bool:
    """Whether looking at a tensor's values costs nothing.

    On a device, it means to wait for it; while a model is compiled or exported, there are none.
    """
    return tensor.device.type == 'cpu' and not torch.compiler.is_compiling()


def can_read(heatmaps: Tensor, kernel_size: int = 1) -> bool:
    """Whether ``read_heatmaps`` takes them: single precision is enough for their values."""
    single = torch.promote_types(heatmaps.dtype, torch.float32) == torch.float32
    return single and _serves(heatmaps, heatmaps.shape[-1] + (kernel_size + 5) ** 2)


def can_draw(keypoints: Tensor, heatmap_size: tuple[int, int]) -> bool:
    """Whether ``draw_heatmaps`` draws them."""
    return _serves(keypoints, sum(heatmap_size))


def _serves(tensor: Tensor, numbers: int) -> bool:
    """Whether there is compiled code for where a tensor is, and ``numbers`` fit on the stack."""
    return LIBRARY is not None and on_host(tensor) and tensor.numel() > 0 and numbers <= STACK


def read_heatmaps(
    decoder: str, heatmaps: Tensor, kernel: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``heatmap_peaks``, or ``decode_msra`` and so on.

    Args:
        decoder: of ``DECODERS``.
        heatmaps: (..., H, W).
        kernel: weights of the blur by rows and by columns, float64; for ``'dark'`` and ``'udp'``.

    Returns:
        Keypoints (..., 2) and scores (...), float32.
    """
    maps = heatmaps.detach().float().contiguous()
    *people, height, width = maps.shape
    keypoints, scores = torch.empty((*people, 2)), torch.empty(people)
    assert LIBRARY is not None
    LIBRARY.read_heatmaps(
        maps.data_ptr(),
        scores.numel(),
        height,
        width,
        _threads(maps),
        DECODERS.index(decoder),
        None if kernel is None else kernel.data_ptr(),
        0 if kernel is None else len(kernel) // 2,
        keypoints.data_ptr(),
        scores.data_ptr(),
    )
    return keypoints, scores


def draw_heatmaps(
    encoder: str,
    keypoints: Tensor,
    seen: Tensor,
    radius: float | Tensor,
    steepness: float | Tensor,
    lowest: float,
    heatmap_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """The heatmaps of ``encode_msra`` and so on.

    Args:
        encoder: of ``ENCODERS``.
        keypoints: (N, K, 2), in heatmap pixels.
        seen: (N, K), bool; the others are not drawn.
        radius: 3 sigma, a number or (N, K).
        steepness: -1 / 2 sigma^2, a number or (N, K).
        lowest: of a profile that is drawn.
        heatmap_size: (W, H).

    Returns:
        Heatmaps (N, K, H, W), float32, and whether a keypoint is seen but too far outside to leave
        a trace: (N, K).
    """
    width, height = heatmap_size
    points, seen = keypoints.double().contiguous(), seen.contiguous()
    if isinstance(radius, Tensor):
        shapes = torch.stack((radius, torch.as_tensor(steepness)), dim=-1).double()
        step = 2
    else:
        shapes, step = torch.tensor((radius, steepness), dtype=torch.float64), 0
    maps, outside = torch.empty((*seen.shape, height, width)), torch.empty_like(seen)
    assert LIBRARY is not None
    LIBRARY.draw_heatmaps(
        points.data_ptr(),
        seen.data_ptr(),
        shapes.data_ptr(),
        step,
        lowest,
        seen.numel(),
        height,
        width,
        _threads(maps),
        ENCODERS.index(encoder),
        keypoints.dtype != torch.float64,
        maps.data_ptr(),
        outside.data_ptr(),
    )
    return maps, outside


def _threads(maps: Tensor) -> int:
    return min(torch.get_num_threads(), 1 + maps.numel() // PIXELS_PER_THREAD)
