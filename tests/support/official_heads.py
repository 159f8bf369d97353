"""Necks and heads as the official repositories of the other tasks write them.

Each is written from the papers and the names of their checkpoints, with biases before norms where
the official code has them; none shares code with OpenMMLab's. Channels inside are small.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OCR_CHANNELS, KEY_CHANNELS = 24, 8  # 512 and 256 in the official code


def concatenated(streams: Sequence[Tensor], align_corners: bool) -> Tensor:
    size = streams[0].shape[-2:]
    return torch.cat(
        [F.interpolate(x, size, mode='bilinear', align_corners=align_corners) for x in streams], 1
    )


class Segmentation(nn.Module):
    """HRNet-Semantic-Segmentation without OCR: logits at stride 4."""

    def __init__(self, channels: Sequence[int], classes: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        total = sum(channels)
        self.last_layer = nn.Sequential(
            nn.Conv2d(total, total, 1),
            nn.BatchNorm2d(total),
            nn.ReLU(),
            nn.Conv2d(total, classes, 1),
        )

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor]:
        return (self.last_layer(concatenated(streams, self.align_corners)),)


def bn_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class ObjectAttention(nn.Module):
    def __init__(self, channels: int, key_channels: int, bias: bool) -> None:
        super().__init__()

        def project(inputs: int, *outputs: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for width in outputs:
                layers += [nn.Conv2d(inputs, width, 1, bias=bias), bn_relu(width)]
                inputs = width
            return nn.Sequential(*layers)

        self.key_channels = key_channels
        self.f_pixel = project(channels, key_channels, key_channels)
        self.f_object = project(channels, key_channels, key_channels)
        self.f_down = project(channels, key_channels)
        self.f_up = project(key_channels, channels)

    def forward(self, features: Tensor, objects: Tensor) -> Tensor:
        query = self.f_pixel(features).flatten(2).transpose(1, 2)
        key = self.f_object(objects).flatten(2)
        value = self.f_down(objects).flatten(2).transpose(1, 2)
        weights = (query @ key * self.key_channels**-0.5).softmax(-1)
        context = (weights @ value).transpose(1, 2)
        return self.f_up(context.reshape(len(features), -1, *features.shape[2:]))


class Distribution(nn.Module):
    def __init__(self, channels: int, key_channels: int, bias: bool) -> None:
        super().__init__()
        self.object_context_block = ObjectAttention(channels, key_channels, bias)
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=bias), bn_relu(channels), nn.Dropout2d(0.05)
        )

    def forward(self, features: Tensor, objects: Tensor) -> Tensor:
        context = self.object_context_block(features, objects)
        return self.conv_bn_dropout(torch.cat([context, features], 1))


class OCR(nn.Module):
    """Object-contextual representations: logits of the auxiliary and of the final head.

    Args:
        channels: Channels of the streams.
        classes: Number of classes.
        hrformer: Whether as in HRFormer's code (its features are ``conv3x3``, the auxiliary head
            begins with a 3x3 convolution, and all convolutions have biases) or in HRNet's.
    """

    def __init__(self, channels: Sequence[int], classes: int, hrformer: bool) -> None:
        super().__init__()
        total = sum(channels)
        features = nn.Conv2d(total, OCR_CHANNELS, 3, padding=1)
        if hrformer:
            self.conv3x3 = nn.Sequential(features, bn_relu(OCR_CHANNELS))
            self.aux_head = nn.Sequential(
                nn.Conv2d(total, OCR_CHANNELS, 3, padding=1),
                bn_relu(OCR_CHANNELS),
                nn.Conv2d(OCR_CHANNELS, classes, 1),
            )
        else:
            self.conv3x3_ocr = nn.Sequential(features, nn.BatchNorm2d(OCR_CHANNELS), nn.ReLU())
            self.aux_head = nn.Sequential(
                nn.Conv2d(total, total, 1),
                nn.BatchNorm2d(total),
                nn.ReLU(),
                nn.Conv2d(total, classes, 1),
            )
        self.ocr_distri_head = Distribution(OCR_CHANNELS, KEY_CHANNELS, bias=hrformer)
        self.cls_head = nn.Conv2d(OCR_CHANNELS, classes, 1)
        self.features = [self.conv3x3 if hrformer else self.conv3x3_ocr]  # registered once

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        x = concatenated(streams, align_corners=True)
        aux = self.aux_head(x)
        features = self.features[0](x)
        weights = aux.flatten(2).softmax(-1)
        objects = (weights @ features.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]
        return aux, self.cls_head(self.ocr_distri_head(features, objects))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, inside: int, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        groups = inside if depthwise else 1
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, 4 * inside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inside)
        self.downsample = nn.Sequential(
            nn.Conv2d(channels, 4 * inside, 1, bias=False), nn.BatchNorm2d(4 * inside)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class Classifier(nn.Module):
    """HRNet-Image-Classification, or HRFormer's classifiers, whose 3x3 convolutions are depthwise.

    Its widths are the official ones; HRFuseScales has no others.
    """

    def __init__(self, channels: Sequence[int], classes: int, hrformer: bool) -> None:
        super().__init__()
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(c, 32 * 2**i, hrformer)) for i, c in enumerate(channels)
        )
        down: Callable[[int], nn.Sequential] = self.separable if hrformer else self.full
        self.downsamp_modules = nn.ModuleList(down(128 * 2**i) for i in range(len(channels) - 1))
        self.final_layer = nn.Sequential(nn.Conv2d(1024, 2048, 1), nn.BatchNorm2d(2048), nn.ReLU())
        self.classifier = nn.Linear(2048, classes)

    def full(self, width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU()
        )

    def separable(self, width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, 2, 1, groups=width),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor]:
        y = self.incre_modules[0](streams[0])
        for increase, down, x in zip(self.incre_modules[1:], self.downsamp_modules, streams[1:]):
            y = increase(x) + down(y)
        return (self.classifier(self.final_layer(y).mean((2, 3))),)


class HRV2pNeck(nn.Module):
    """HRNet-Object-Detection's neck: five levels."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduction_conv = nn.Sequential(nn.Conv2d(sum(channels), width, 1))
        self.fpn_conv = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(5))

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        x = self.reduction_conv(concatenated(streams, align_corners=False))
        levels = [x, *(F.avg_pool2d(x, 2**i) for i in range(1, 5))]
        return tuple(conv(level) for conv, level in zip(self.fpn_conv, levels))


class Official(nn.Module):
    """A backbone with all streams and what stands behind it."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.backbone(x))

    def checkpoint(self, backbone: str = '', head: str = '') -> dict[str, Tensor]:
        """The state dict with the names that the repository gives its two parts."""
        state = {f'{backbone}{n}': t for n, t in self.backbone.state_dict().items()}
        return state | {f'{head}{n}': t for n, t in self.head.state_dict().items()}
