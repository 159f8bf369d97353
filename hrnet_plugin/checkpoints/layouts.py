"""Layouts of published checkpoints, one row each: what their names are in OpenMMLab."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from .tasks import Task
from .tensors import Finished, State, fold_biases, put_background_last, split_final_layer
from .wording import listed

PositionBias = Literal['keep', 'zero', 'drop']
# A pattern of the beginning of a name, and its replacement; None: OpenMMLab has no such tensor
Rule = tuple[str, str | None]


def leave(state: State) -> Finished:
    """Return renamed tensors as they are."""
    return state, []


@dataclass(frozen=True)
class Layout:
    """One way to name the parts of a model. Patterns match the beginning of a name.

    Attributes:
        title: Name of the layout, for messages.
        marks: Patterns, each of which matches some name of such a checkpoint.
        backbone: Pair of a pattern and its replacement for the names of the backbone.
        head: Such pairs for necks and heads, the first of which is applied that matches.
        task: The task of the model; None for a backbone alone.
        upsample: What the backbone was trained with; without ``align_corners`` where the names do
            not tell it. None: that of the pose models of its family, if ``task`` is pose.
        position_bias: What becomes of HRFormer's tables of position biases.
        finish: Function that completes the renamed tensors of a whole model.
    """

    title: str
    marks: tuple[str, ...]
    backbone: tuple[str, str]
    head: Sequence[Rule] = ()
    task: Task | None = None
    upsample: Mapping[str, Any] | None = None
    position_bias: PositionBias = 'keep'
    finish: Callable[[State], Finished] = leave


LEAF = r'(?=(?:weight|bias|running_mean|running_var|num_batches_tracked)$)'


def layers(before: str, after: str, names: Mapping[str, str]) -> list[Rule]:
    """Return the rules for the layers of a module.

    Args:
        before: Name of the module in the checkpoint.
        after: Its name in OpenMMLab.
        names: OpenMMLab's name of each layer by that in the checkpoint.
    """
    return [(re.escape(f'{before}{old}.') + LEAF, f'{after}{new}.') for old, new in names.items()]


PREFIXED = (r'backbone\.', 'backbone.')
BARE = (r'', 'backbone.')
POSE_HEAD = ((r'head\.', 'head.'), (r'neck\.', 'neck.'))
POSE_HEAD_0 = ((r'keypoint_head\.', 'head.'),)

NEAREST = dict(mode='nearest')
BILINEAR = dict(mode='bilinear')
ALIGNED = dict(align_corners=True)

NORMED = {'0': 'conv', '1': 'bn'}
# In OCR's code, norm and ReLU are one module.
NORMED_RELU = {'0': 'conv', '1.0': 'bn'}
NORMED_RELU_TWICE = {'0': '0.conv', '1.0': '0.bn', '2': '1.conv', '3.0': '1.bn'}
CONTEXT = 'decode_head.1.object_context_block.'
OBJECT_CONTEXT = [
    rule
    for name, after, names in (
        ('object_context_block.f_pixel.', 'query_project.', NORMED_RELU_TWICE),
        ('object_context_block.f_object.', 'key_project.', NORMED_RELU_TWICE),
        ('object_context_block.f_down.', 'value_project.', NORMED_RELU),
        ('object_context_block.f_up.', 'out_project.', NORMED_RELU),
        ('conv_bn_dropout.', 'bottleneck.', NORMED_RELU),
    )
    for rule in layers(f'ocr_distri_head.{name}', f'{CONTEXT}{after}', names)
] + layers('', 'decode_head.1.', {'cls_head': 'conv_seg'})
FCN = {'0': 'convs.0.conv', '1': 'convs.0.bn', '3': 'conv_seg'}

CLASSIFIER: list[Rule] = [
    (
        r'incre_modules\.(\d+\.0\.(?:conv[123]|bn[123]|downsample\.[01])\.)' + LEAF,
        r'neck.0.increase_layers.\1',
    ),
    *layers('final_layer.', 'neck.0.final_layer.', NORMED),
    *layers('', 'head.', {'classifier': 'fc'}),
]
HALVING = r'downsamp_modules\.(\d+)\.'
HRV2P: list[Rule] = [
    (r'neck\.reduction_conv\.0\.' + LEAF, 'neck.reduction_conv.conv.'),
    (r'neck\.fpn_conv\.(\d+)\.' + LEAF, r'neck.fpn_convs.\1.conv.'),
    (r'rpn_head\.', 'rpn_head.'),
]
HRV2P_MARK = r'neck\.(?:reduction_conv\.0|fpn_conv\.\d+)\.'

# A checkpoint has the layout of the first row whose marks all match.
LAYOUTS = (
    Layout(
        # https://github.com/HRNet/HRFormer, seg. The exchange upsamples by powers of 2, then
        # bilinearly to the size of its target.
        'official HRFormer segmentation model (OCR)',
        marks=(r'backbone\..*\.q_proj\.', r'ocr_distri_head\.'),
        backbone=PREFIXED,
        head=[
            *layers(
                'aux_head.',
                'decode_head.0.',
                {'0': 'convs.0.conv', '1.0': 'convs.0.bn', '2': 'conv_seg'},
            ),
            *layers('conv3x3.', 'decode_head.1.bottleneck.', NORMED_RELU),
            *OBJECT_CONTEXT,
        ],
        task='segmentation',
        upsample=NEAREST | ALIGNED,
        finish=fold_biases,
    ),
    Layout(
        # https://github.com/HRNet/HRFormer, pose: bias tables are kept from ImageNet, but the line
        # that adds them is commented out.
        'official HRFormer pose model',
        marks=(r'backbone\..*\.q_proj\.',),
        backbone=PREFIXED,
        head=POSE_HEAD_0,
        task='pose',
        position_bias='zero',
        finish=split_final_layer,
    ),
    Layout(
        # https://github.com/HRNet/HRNet-Semantic-Segmentation, branch HRNet-OCR
        'official HRNet segmentation model (OCR)',
        marks=(r'stage2\.0\.', r'ocr_distri_head\.'),
        backbone=BARE,
        head=[
            *layers('aux_head.', 'decode_head.0.', FCN),
            *layers('conv3x3_ocr.', 'decode_head.1.bottleneck.', NORMED),
            *OBJECT_CONTEXT,
        ],
        task='segmentation',
        upsample=BILINEAR | ALIGNED,
        finish=fold_biases,
    ),
    Layout(
        # The same repository: all branches name this head alike, but HRNet-OCR aligns corners.
        'official HRNet segmentation model',
        marks=(r'stage2\.0\.', r'last_layer\.3\.'),
        backbone=BARE,
        head=layers('last_layer.', 'decode_head.', FCN),
        task='segmentation',
        upsample=BILINEAR,
        finish=fold_biases,
    ),
    Layout(
        # https://github.com/HRNet/HRFormer, cls: its bias tables are added.
        'official ImageNet classifier',
        marks=(r'stage2\.0\.', HALVING + r'3\.'),
        backbone=BARE,
        head=[
            *CLASSIFIER,
            (HALVING + r'([0-3]\.)' + LEAF, r'neck.0.downsample_layers.\1.\2'),
        ],
        task='classification',
        upsample=NEAREST,
        finish=fold_biases,
    ),
    Layout(
        # https://github.com/HRNet/HRNet-Image-Classification
        'official ImageNet classifier',
        marks=(r'stage2\.0\.', r'incre_modules\.'),
        backbone=BARE,
        head=[
            *CLASSIFIER,
            (HALVING + r'0\.' + LEAF, r'neck.0.downsample_layers.\1.conv.'),
            (HALVING + r'1\.' + LEAF, r'neck.0.downsample_layers.\1.bn.'),
        ],
        task='classification',
        upsample=NEAREST,
        finish=fold_biases,
    ),
    Layout(
        # hrnet_w32-36af842e.pth and its like, from which MMPose's configs start
        'ImageNet classifier of the HRNet pose repository',
        marks=(r'stage2\.0\.', r'head\.0\.0\.0\.'),
        backbone=BARE,
        head=[(r'(head|fc|classifier)\.', None)],
        task='classification',
        upsample=NEAREST,
    ),
    Layout(
        # https://github.com/leoxiaobin/deep-high-resolution-net.pytorch
        'official HRNet pose model',
        marks=(r'stage2\.0\.', r'final_layer\.weight'),
        backbone=BARE,
        head=[(r'final_layer\.', 'head.final_layer.')],
        task='pose',
        finish=split_final_layer,
    ),
    Layout(
        # https://github.com/HRNet/HRNet-Object-Detection, written for MMDetection 0.x and 1.x
        'official HRNetV2p detector',
        marks=(r'backbone\.stage2\.0\.', HRV2P_MARK, r'rpn_head\.'),
        backbone=PREFIXED,
        head=[*HRV2P, (r'((?:bbox|mask|semantic|grid|mask_iou)_head\.)', r'roi_head.\1')],
        task='detection',
        upsample=NEAREST,
        finish=put_background_last,
    ),
    Layout(
        'official HRNetV2p detector',  # of one stage
        marks=(r'backbone\.stage2\.0\.', HRV2P_MARK),
        backbone=PREFIXED,
        head=[*HRV2P, (r'bbox_head\.', 'bbox_head.')],
        task='detection',
        upsample=NEAREST,
        finish=put_background_last,
    ),
    Layout(
        'MMPose 1.x model',  # with a neck of this plugin, maybe one that detectors have
        marks=(r'backbone\.stage2\.0\.', r'neck\.', r'head\.final_layer\.'),
        backbone=PREFIXED,
        head=POSE_HEAD,
        task='pose',
        finish=split_final_layer,
    ),
    Layout(
        'MMDetection detector',
        marks=(r'backbone\.stage2\.0\.', r'neck\.fpn_convs\.|(?:rpn|roi|bbox)_head\.'),
        backbone=PREFIXED,
        head=[(r'(neck|\w+_head)\.', r'\1.')],
        task='detection',
        upsample=NEAREST,
    ),
    Layout(
        'MMPretrain classifier',
        marks=(r'backbone\.stage2\.0\.', r'head\.fc\.|neck\.(?:0\.)?increase_layers\.'),
        backbone=PREFIXED,
        head=[(r'neck\.(?:0\.)?(?=\D)', 'neck.0.'), (r'head\.', 'head.')],
        task='classification',
        upsample=NEAREST,
    ),
    Layout(
        'MMSegmentation model',  # HRFormer: only with this plugin
        marks=(r'backbone\..*\.qkv\.', r'decode_head\.'),
        backbone=PREFIXED,
        head=[(r'(decode|auxiliary)_head\.', r'\1_head.')],
        task='segmentation',
        upsample=NEAREST | ALIGNED,
    ),
    Layout(
        'MMSegmentation model',
        marks=(r'backbone\.stage2\.0\.', r'decode_head\.'),
        backbone=PREFIXED,
        head=[(r'(decode|auxiliary)_head\.', r'\1_head.')],
        task='segmentation',
        upsample=BILINEAR | dict(align_corners=False),
    ),
    Layout(
        # https://github.com/HRNet/Lite-HRNet is written for MMPose 0.x.
        'official Lite-HRNet or MMPose 0.x model',
        marks=(r'backbone\.stem\.', r'keypoint_head\.'),
        backbone=PREFIXED,
        head=POSE_HEAD_0,
        task='pose',
        finish=split_final_layer,
    ),
    Layout(
        'MMPose 0.x model',
        marks=(r'backbone\.stage2\.0\.', r'keypoint_head\.'),
        backbone=PREFIXED,
        head=POSE_HEAD_0,
        task='pose',
        finish=split_final_layer,
    ),
    Layout(
        'MMPose 1.x model',
        marks=(r'backbone\.stage2\.0\.', r'head\.'),
        backbone=PREFIXED,
        head=POSE_HEAD,
        task='pose',
        finish=split_final_layer,
    ),
    Layout('backbone alone', marks=(r'backbone\.stage2\.0\.',), backbone=PREFIXED),
    Layout('backbone alone', marks=(r'stage2\.0\.',), backbone=BARE),
)


def find_layout(state: Mapping[str, Tensor]) -> Layout:
    """Return the layout of a state dict.

    Raises:
        ValueError: No known layout matches.
    """
    for layout in LAYOUTS:
        if all(any(re.match(mark, name) for name in state) for mark in layout.marks):
            return layout
    raise ValueError(
        f'not a known checkpoint of HRNet, Lite-HRNet or HRFormer: its names begin with '
        f'{listed(state)}; known layouts: {known_layouts()}'
    )


def known_layouts() -> str:
    """List the titles of all layouts for a message."""
    return ', '.join(dict.fromkeys(layout.title for layout in LAYOUTS))
