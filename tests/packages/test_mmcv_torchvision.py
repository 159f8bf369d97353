"""``mmcv.ops`` equals compiled mmcv's, with whatever ``mmcv._ext`` is installed.

The golden values are compiled mmcv's; ``support/make_mmcv_goldens.py`` says how they were made.
What compiled mmcv has for CUDA only is compared with its formula.
"""

import importlib.machinery
import math
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import mmcv._ext
import numpy as np
import pytest
import torch
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from support.gpu import needs_gpu
from support.mmcv_cases import CASES, normal, random_boxes
from support.paths import GOLDENS, ROOT
from torch import Tensor

RECORDED = np.load(GOLDENS / 'mmcv.npz')
IS_COMPILED = not str(mmcv._ext.__file__).endswith('.py')
# Kernels sum in another order: of up to 300 products in a convolution, of few in all others.
TOLERANCES = {'deform': 2e-5, 'modulated': 2e-5}

only_stand_in = pytest.mark.skipif(
    IS_COMPILED, reason='it is about the stand-in, and compiled mmcv is installed'
)


def check_case(name: str) -> None:
    results = CASES[name]()
    expected = {
        key.removeprefix(f'{name}: '): RECORDED[key]
        for key in RECORDED.files
        if key.startswith(f'{name}: ')
    }
    assert results.keys() == expected.keys()
    assert results
    tolerance = TOLERANCES.get(re.split('[_ ]', name)[0], 1e-6)
    for key, array in results.items():
        assert array.dtype == expected[key].dtype, key
        if array.dtype.kind == 'i':
            np.testing.assert_array_equal(array, expected[key], err_msg=key)
        else:
            np.testing.assert_allclose(array, expected[key], 1e-5, tolerance, err_msg=key)


@pytest.mark.parametrize('name', CASES)
def test_equals_compiled_mmcv(name: str) -> None:
    check_case(name)


@needs_gpu
@pytest.mark.parametrize('name', CASES)
def test_equals_compiled_mmcv_on_a_gpu(name: str) -> None:
    with torch.device('cuda'):
        check_case(name)


def suppress_one_by_one(
    boxes: np.ndarray, order: list[int], threshold: float, offset: int
) -> list[int]:
    """Plain NMS that visits boxes in a given order."""
    kept: list[int] = []
    for i in order:
        for j in kept:
            low, high = (
                np.maximum(boxes[i, :2], boxes[j, :2]),
                np.minimum(boxes[i, 2:], boxes[j, 2:]),
            )
            overlap = np.prod(np.maximum(high - low + offset, 0))
            area_i, area_j = (np.prod(b[2:] - b[:2] + offset) for b in (boxes[i], boxes[j]))
            if overlap / (area_i + area_j - overlap) > boxes.dtype.type(threshold):
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.7])
def test_equal_scores_are_visited_in_the_order_of_torch_sort(
    threshold: float, offset: int
) -> None:
    """As by compiled mmcv; on a CPU that sort is not stable, so that indices do not decide."""
    unstable = 0
    for seed in range(20):
        boxes, scores = random_boxes(seed, 120, whole=True)
        scores = (scores * 4).round() / 4
        order = scores.sort(descending=True).indices
        unstable += not torch.equal(order, scores.sort(descending=True, stable=True).indices)
        expected = suppress_one_by_one(boxes.numpy(), order.tolist(), threshold, offset)
        assert ops.nms(boxes, scores, threshold, offset=offset)[1].tolist() == expected
        assert len(expected) > 1
    assert unstable or not torch.backends.cpu.get_cpu_capability().startswith('AVX')


def test_an_iou_at_the_threshold_is_kept() -> None:
    """0.1 as float32 exceeds 0.1 as float64; compiled mmcv compares float32."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [9, 0, 19, 1], [0, 0, 10, 1]])
    kept = ops.nms(boxes, torch.tensor([3.0, 2, 1]), 0.1)[1]
    assert kept.tolist() == [0, 1, 2]
    assert ops.nms(boxes, torch.tensor([3.0, 2, 1]), 0.0999)[1].tolist() == [0, 1]


def test_soft_nms_of_equal_scores_equals_compiled_mmcv() -> None:
    """Boxes that are dropped are replaced from the end of the list, which decides who is next."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [40, 0, 50, 10]])
    scores = torch.tensor([0.9, 0.5, 0.8, 0.8])
    dets, kept = ops.soft_nms(boxes, scores, 0.3, min_score=0.1, method='naive')
    assert kept.tolist() == [0, 3, 2]
    np.testing.assert_array_equal(dets[:, 4].numpy(), np.array([0.9, 0.8, 0.8], np.float32))


def test_empty_inputs() -> None:
    boxes, scores = torch.zeros((0, 4)), torch.zeros(0)
    for function in (ops.nms, ops.soft_nms):
        dets, kept = function(boxes, scores, 0.5)
        assert dets.shape == (0, 5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.long
    assert ops.nms_match(torch.zeros((0, 5)), 0.5) == []
    some = torch.tensor([[0.0, 0, 1, 1]])
    assert ops.bbox_overlaps(boxes, some).shape == (0, 1)
    assert ops.bbox_overlaps(some, boxes).shape == (1, 0)
    image = torch.ones((1, 2, 8, 8), requires_grad=True)
    pooled = ops.roi_align(image, torch.zeros((0, 5)), (3, 3))
    assert pooled.shape == (0, 2, 3, 3)
    pooled.sum().backward()
    assert image.grad is not None
    assert image.grad.shape == image.shape
    assert not image.grad.any()


def strided(tensor: Tensor) -> Tensor:
    """The same values, not contiguous in memory."""
    copy = tensor.new_empty((*tensor.shape[::-1], 2))[..., 0].permute(
        *reversed(range(tensor.ndim))
    )
    copy.copy_(tensor)
    assert copy.numel() < 2 or not copy.is_contiguous()
    return copy


RNG = partial(np.random.default_rng, 3)
BOXES, SCORES = random_boxes(1, 30)
ROIS = torch.cat((torch.zeros(5, 1), BOXES[:5]), dim=1)
LAYOUTS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    'nms': (lambda b, s: ops.nms(b, s, 0.4)[1], (BOXES, SCORES)),
    'soft_nms': (lambda b, s: ops.soft_nms(b, s, 0.4)[0], (BOXES, SCORES)),
    'bbox_overlaps': (ops.bbox_overlaps, (BOXES, BOXES[:9])),
    'roi_align': (
        lambda x, r: ops.roi_align(x, r, (3, 4), 0.25, 2),
        (normal(RNG(), 1, 3, 12, 12), ROIS),
    ),
    'deform_conv2d': (
        lambda x, o, w: ops.deform_conv2d(x, o, w, 1, 1),
        (normal(RNG(), 2, 4, 6, 6), normal(RNG(), 2, 18, 6, 6), normal(RNG(), 5, 4, 3, 3)),
    ),
    'modulated_deform_conv2d': (
        lambda x, o, m, w: ops.modulated_deform_conv2d(x, o, m, w, None, 1, 1),
        (
            normal(RNG(), 2, 4, 6, 6),
            normal(RNG(), 2, 18, 6, 6),
            normal(RNG(), 2, 9, 6, 6).sigmoid(),
            normal(RNG(), 5, 4, 3, 3),
        ),
    ),
}


@only_stand_in
@pytest.mark.parametrize('name', LAYOUTS)
def test_memory_layout_does_not_matter(name: str) -> None:
    function, inputs = LAYOUTS[name]
    expected = function(*inputs)
    torch.testing.assert_close(function(*map(strided, inputs)), expected, rtol=0, atol=1e-6)
    if inputs[0].ndim == 4:
        last = [t.contiguous(memory_format=torch.channels_last) for t in inputs if t.ndim == 4]
        rest = [t for t in inputs if t.ndim != 4]
        torch.testing.assert_close(function(*last, *rest), expected, rtol=0, atol=1e-6)


@only_stand_in
@pytest.mark.parametrize('name', LAYOUTS)
def test_double_and_half_precision(name: str) -> None:
    function, inputs = LAYOUTS[name]
    expected = function(*inputs)
    double = function(*(tensor.double() for tensor in inputs))
    torch.testing.assert_close(double.to(expected.dtype), expected, rtol=1e-4, atol=1e-4)
    if expected.is_floating_point():
        assert double.dtype == torch.float64
    if name in ('roi_align', 'deform_conv2d', 'modulated_deform_conv2d', 'bbox_overlaps'):
        half = function(*(tensor.half() for tensor in inputs))
        assert half.dtype == torch.float16
        torch.testing.assert_close(half.float(), expected, rtol=5e-2, atol=5e-2)


# Formulas of float64, differentiated by torch
def sigmoid_focal(x: Tensor, label: Tensor, factor: Tensor, gamma: float, alpha: float) -> Tensor:
    own = label[:, None] == torch.arange(x.shape[1])
    p = torch.where(own, x.sigmoid(), 1 - x.sigmoid())
    balance = torch.where(own, alpha, 1 - alpha)
    return -balance * (1 - p) ** gamma * p.log() * factor[:, None]


def softmax_focal(x: Tensor, label: Tensor, factor: Tensor, gamma: float, alpha: float) -> Tensor:
    p = x.softmax(dim=1)[torch.arange(len(x)), label.clamp(0, x.shape[1] - 1)]
    return -alpha * (1 - p) ** gamma * p.log() * factor * ((label >= 0) & (label < x.shape[1]))


@only_stand_in
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma', [2.0, 0.0, 1.5])
@pytest.mark.parametrize(
    ('loss', 'formula', 'background'),
    [(ops.sigmoid_focal_loss, sigmoid_focal, 4), (ops.softmax_focal_loss, softmax_focal, -1)],
)
def test_focal_losses_equal_their_formula(
    loss: Callable[..., Tensor],
    formula: Callable[..., Tensor],
    background: int,
    gamma: float,
    weighted: bool,
) -> None:
    x = normal(RNG(), 9, 4).double().requires_grad_()
    label = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, background])
    weight = torch.tensor([1.0, 2, 3, 0.5], dtype=torch.float64) if weighted else None
    factor = torch.ones(9, dtype=torch.float64)
    if weight is not None:
        factor[:8] = weight[label[:8]]
    expected = formula(x, label, factor, gamma, 0.25)
    result = loss(x, label, gamma, 0.25, weight, 'none')
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    expected_mean = expected.sum() / 9
    mean = loss(x, label, gamma, 0.25, weight, 'mean')
    torch.testing.assert_close(mean, expected_mean, rtol=1e-12, atol=1e-12)
    (expected_gradient,) = torch.autograd.grad(expected_mean, x)
    (gradient,) = torch.autograd.grad(mean, x)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


@only_stand_in
def test_focal_loss_of_certain_predictions_is_finite() -> None:
    x = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = ops.sigmoid_focal_loss(x, torch.tensor([0, 0]), 2.0, 0.25, None, 'sum')
    loss.backward()
    # One label and one other class are as wrong as float32 can say: (0.25 + 0.75) log(2^126)
    assert loss.item() == pytest.approx(126 * math.log(2), rel=1e-6)
    assert x.grad is not None
    assert x.grad.isfinite().all()


@only_stand_in
def test_roi_pool_takes_maxima_of_bins() -> None:
    image = normal(RNG(), 2, 3, 8, 8).requires_grad_()
    rois = torch.tensor([[0.0, 0, 0, 7, 7], [1, 4, 0, 7, 3]])
    pooled = ops.roi_pool(image, rois, (2, 2))
    assert pooled.shape == (2, 3, 2, 2)
    blocks = image[0].unfold(1, 4, 4).unfold(2, 4, 4).amax(dim=(-2, -1))
    torch.testing.assert_close(pooled[0], blocks, rtol=0, atol=0)
    corner = image[1, :, :4, 4:].unfold(1, 2, 2).unfold(2, 2, 2).amax(dim=(-2, -1))
    torch.testing.assert_close(pooled[1], corner, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(pooled.sum(), image)
    assert float(gradient.sum()) == 2 * 3 * 4
    assert set(gradient.unique().tolist()) == {0, 1}


@only_stand_in
def test_multi_scale_deformable_attention_equals_mmcvs_torch_version() -> None:
    """The autograd function that mmcv calls on a GPU, forward and backward."""
    rng = RNG()
    shapes = torch.tensor([[6, 5], [3, 2]])
    starts = torch.tensor([0, 30])
    value = normal(rng, 2, 36, 2, 4).requires_grad_()
    places = normal(rng, 2, 7, 2, 2, 3, 2).sigmoid().requires_grad_()
    weights = normal(rng, 2, 7, 2, 2, 3).sigmoid().requires_grad_()
    inputs = (value, places, weights)
    expected = multi_scale_deformable_attn_pytorch(value, shapes, places, weights)
    result = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, places, weights, 64)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    upstream = normal(rng, *expected.shape)
    for ours, theirs in zip(
        torch.autograd.grad(result, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@only_stand_in
@pytest.mark.parametrize(
    ('call', 'name'),
    [
        (lambda: ops.box_iou_rotated(torch.ones(1, 5), torch.ones(1, 5)), 'box_iou_rotated'),
        (lambda: ops.PSAMask('collect', (3, 3))(torch.ones(1, 9, 2, 2)), 'psamask_forward'),
        (
            lambda: ops.roi_align(torch.ones(1, 1, 4, 4), ROIS, (2, 2), 1.0, 0, 'max', True),
            "pool_mode='max'",
        ),
    ],
)
def test_an_operation_that_is_not_there_says_so_when_it_is_called(
    call: Callable[[], object], name: str
) -> None:
    with pytest.raises(NotImplementedError, match=re.escape(name)) as error:
        call()
    assert 'built from its sources' in str(error.value)


@only_stand_in
def test_names_the_cuda_version_of_torchvision() -> None:
    version = ops.get_compiling_cuda_version()
    has_kernels = torch.version.cuda is not None
    assert version == (torch.version.cuda if has_kernels else 'not available')
    assert 'mmcv-torchvision' in ops.get_compiler_version()


def test_a_compiled_extension_wins(tmp_path: Path) -> None:
    """Whichever was installed first."""
    (tmp_path / '_ext.py').touch()
    (tmp_path / f'_ext{importlib.machinery.EXTENSION_SUFFIXES[0]}').touch()
    spec = importlib.machinery.PathFinder.find_spec('_ext', [str(tmp_path)])
    assert spec is not None
    assert isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)


def test_its_wheel_adds_one_file_to_mmcv(tmp_path: Path) -> None:
    """So that nothing of a mmcv that is there is replaced, not even its version."""
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir']
    source = ROOT / 'packages/mmcv-torchvision'
    subprocess.run(
        [*command, str(tmp_path), '--no-build-isolation', str(source)],
        check=True,
        env={'CC': 'false', 'CXX': 'false', 'PATH': ''},
    )
    (wheel,) = tmp_path.glob('*.whl')
    assert wheel.name.endswith('-py3-none-any.whl')
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(n).decode() for n in names if n.endswith('/METADATA'))
    assert [n for n in names if n.startswith('mmcv/')] == ['mmcv/_ext.py']
    requirements = re.findall(r'^Requires-Dist: (.*)$', metadata, re.MULTILINE)
    assert sorted(requirements) == ['numpy', 'torch', 'torchvision']
