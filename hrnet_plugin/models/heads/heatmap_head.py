"""Heatmap head: Xiao et al., https://arxiv.org/abs/1804.06208, with the names of stock MMPose."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_KEYPOINT_CODECS
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from ...functional import heatmap_accuracy
from ...registry import MODELS, strict_options

# kernel size of a deconvolution that doubles the size: (padding, output_padding)
DECONV_PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}
MSE = dict(type='KeypointMSELoss', use_target_weight=True)
# The initialisation of the published code
NORMAL = [
    dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.001),
    dict(type='Constant', layer='BatchNorm2d', val=1),
]


@MODELS.register_module()
@strict_options
class HeatmapHead(BaseHead):
    """One stream of features -> deconvolutions -> convolutions -> one heatmap per keypoint.

    Args:
        in_channels: channels of the stream that the head reads.
        out_channels: keypoints K.
        deconv_out_channels: channels of deconvolutions, each of which doubles the size. Stock's
            default is three of them; here it is none, as high-resolution streams need none.
        deconv_kernel_sizes: their kernel sizes: 2, 3 or 4.
        conv_out_channels: channels of convolutions behind them.
        conv_kernel_sizes: their kernel sizes, odd.
        final_layer: arguments of the last convolution, such as ``dict(kernel_size=3, padding=1)``;
            None leaves it out.
        loss: loss of heatmaps against targets.
        decoder: keypoint codec that turns heatmaps into keypoints, and, where samples carry
            keypoints instead of heatmaps, draws those that the loss compares with.
        stream: which stream to read; 0 is the one with the highest resolution.
        reset_final_layer: begin with a new last convolution where a checkpoint has another number
            of keypoints, to train from it. Without this, such a checkpoint is an error.
        init_cfg: how weights are initialised, as in MMEngine.

    Raises:
        ValueError: lengths or kernel sizes do not fit, or the decoder is for another number of
            keypoints; or, in use, the stream is not there or has other channels than
            ``in_channels``.
    """

    _version = 2  # of the state dict; 2 is MMPose 1.x
    train_options = ('compute_acc',)
    test_options = ('flip_test', 'flip_mode', 'shift_heatmap', 'output_heatmaps')

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = None,
        deconv_kernel_sizes: Sequence[int] | None = None,
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        loss: dict[str, Any] = MSE,
        decoder: dict[str, Any] | None = None,
        stream: int = 0,
        reset_final_layer: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(NORMAL if init_cfg is None else init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stream = stream
        self.reset_final_layer = reset_final_layer
        self._register_load_state_dict_pre_hook(self.match_keypoints)
        # Names without a scope are MMPose's, also where the default scope is another package's.
        self.loss_module = MMPOSE_MODELS.build({'_scope_': 'mmpose', **loss})
        self.decoder = (
            None
            if decoder is None
            else MMPOSE_KEYPOINT_CODECS.build({'_scope_': 'mmpose', **decoder})
        )
        sigmas = getattr(self.decoder, 'num_keypoints', None)
        if sigmas not in (None, out_channels):
            raise ValueError(
                f'head.out_channels={out_channels}, but its decoder has {sigmas} values of sigma: '
                'give one number, or one for each keypoint'
            )

        width = in_channels
        deconvs: list[nn.Module] = []
        for channels, kernel in pairs('deconv', deconv_out_channels, deconv_kernel_sizes):
            deconvs += [deconv(width, channels, kernel), nn.BatchNorm2d(channels), relu()]
            width = channels
        convs: list[nn.Module] = []
        for channels, kernel in pairs('conv', conv_out_channels, conv_kernel_sizes):
            if kernel % 2 == 0:
                raise ValueError(f'conv kernel size {kernel}; expected an odd one')
            conv = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
            convs += [conv, nn.BatchNorm2d(channels), relu()]
            width = channels
        self.deconv_layers = nn.Sequential(*deconvs)
        self.conv_layers = nn.Sequential(*convs)
        if final_layer is None and width != out_channels:
            raise ValueError(
                f'final_layer=None leaves {width} channels; expected out_channels={out_channels}'
            )
        self.final_layer: nn.Module = (
            nn.Identity()
            if final_layer is None
            else nn.Conv2d(width, out_channels, **{'kernel_size': 1, **final_layer})
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Streams, each (N, C_i, h_i, w_i), to heatmaps (N, K, H, W)."""
        x = self.select(feats)
        return self.final_layer(self.conv_layers(self.deconv_layers(x)))

    def select(self, feats: Sequence[Tensor]) -> Tensor:
        """The stream that the head reads, checked."""
        self.check_channels([x.shape[1] for x in feats])
        return feats[self.stream]

    def check_channels(self, channels: Sequence[int]) -> None:
        """Raise a ValueError unless the streams have the channels that the head was built for."""
        if not -len(channels) <= self.stream < len(channels):
            raise ValueError(
                f'head.stream={self.stream}, but the backbone puts out '
                f'{len(channels)} stream(s), of {list(channels)} channels'
            )
        if channels[self.stream] != self.in_channels:
            raise ValueError(
                f'head.in_channels={self.in_channels}, but stream {self.stream} of the '
                f'backbone has {channels[self.stream]} channels: set it to that'
            )

    def match_keypoints(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Refuse another number of keypoints, or keep the last convolution as it is.

        MMEngine's loader would only log the mismatch, and go on with random weights.
        """
        weight = state_dict.get(f'{prefix}final_layer.weight')
        if weight is None or len(weight) == self.out_channels:
            return
        if not self.reset_final_layer:
            raise ValueError(
                f'the checkpoint has {len(weight)} keypoints ({prefix}final_layer.weight), '
                f'head.out_channels={self.out_channels}: set out_channels={len(weight)} to use it '
                'as it is, or reset_final_layer=True to train from it for other keypoints'
            )
        for name, tensor in self.final_layer.state_dict().items():
            state_dict[f'{prefix}final_layer.{name}'] = tensor

    def predict(
        self,
        feats: Sequence[Any],
        batch_data_samples: list[PoseDataSample],
        test_cfg: Mapping[str, Any] = {},
    ) -> list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
        """Keypoints of a batch, in pixels of the network's input.

        Args:
            feats: streams; with ``test_cfg['flip_test']`` a pair of them, of the pictures as they
                are and mirrored.
            batch_data_samples: N samples; their ``flip_indices`` are read.
            test_cfg: ``flip_test``, ``flip_mode``, ``shift_heatmap``, ``output_heatmaps``.

        Returns:
            N InstanceData with ``keypoints`` (1, K, 2) and ``keypoint_scores`` (1, K); with
            ``output_heatmaps`` also N PixelData with ``heatmaps`` (K, H, W).
        """
        if test_cfg.get('flip_test', False):
            plain, mirrored = (self.forward(f) for f in feats)
            unmirrored = flip_heatmaps(
                mirrored,
                flip_mode=test_cfg.get('flip_mode', 'heatmap'),
                flip_indices=batch_data_samples[0].metainfo['flip_indices'],
                shift_heatmap=test_cfg.get('shift_heatmap', False),
            )
            heatmaps = (plain + unmirrored) * 0.5
        else:
            heatmaps = self.forward(feats)
        keypoints = self.decode(heatmaps)
        if not test_cfg.get('output_heatmaps', False):
            return keypoints
        return keypoints, [PixelData(heatmaps=h) for h in heatmaps.detach()]

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: list[PoseDataSample],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """Loss of a batch, and with ``train_cfg['compute_acc']`` the accuracy, on the device.

        Args:
            feats: streams.
            batch_data_samples: N samples, with heatmaps, or with keypoints from which the decoder
                draws them (``GaussianHeatmap(targets='keypoints')``).
            train_cfg: ``compute_acc``.

        Returns:
            ``loss_kpt`` and, if asked for, ``acc_pose``: scalars, not waited for.
        """
        predicted = self.forward(feats)
        target, weights = self.targets(batch_data_samples)
        if predicted.shape != target.shape:
            raise ValueError(
                f'heatmaps of the head, {tuple(predicted.shape)}, and of the targets, '
                f'{tuple(target.shape)}, differ as (N, K, H, W): make out_channels the number of '
                "keypoints, and the codec's heatmap_size the size of the head's output, which "
                'doubles with each of deconv_out_channels'
            )
        losses = dict(loss_kpt=self.loss_module(predicted, target, weights))
        if train_cfg.get('compute_acc', False):
            losses['acc_pose'] = heatmap_accuracy(predicted.detach(), target, weights > 0)
        return losses

    def targets(self, batch_data_samples: list[PoseDataSample]) -> tuple[Tensor, Tensor]:
        """Heatmaps (N, K, H, W) and keypoints' weights (N, K), on the device.

        Raises:
            ValueError: the samples carry neither heatmaps nor keypoints, or keypoints that the
                decoder cannot draw.
        """
        labels = [d.gt_instance_labels for d in batch_data_samples]
        if 'gt_fields' in batch_data_samples[0]:
            heatmaps = torch.stack([d.gt_fields.heatmaps for d in batch_data_samples])
            return heatmaps, torch.cat([label.keypoint_weights for label in labels])
        if 'keypoint_labels' not in labels[0]:
            raise ValueError(
                'the samples have neither heatmaps nor keypoint_labels; the pipeline needs a '
                'GenerateTarget with a codec for heatmaps, such as hrnet_plugin.GaussianHeatmap'
            )
        render = getattr(self.decoder, 'render', None)
        if render is None:
            raise ValueError(
                'the samples have keypoints instead of heatmaps, which head.decoder has to draw: '
                f'make it hrnet_plugin.GaussianHeatmap; it is {type(self.decoder).__name__}'
            )
        points = torch.cat([label.keypoint_labels for label in labels])  # x, y, visibility
        heatmaps, drawn = render(points[..., :2], points[..., 2])
        # What leaves no trace does not count; the rest as the pipeline weighs it.
        weights = torch.cat([label.keypoint_weights for label in labels])
        return heatmaps, torch.where(drawn == 0, 0, weights)


def deconv(in_channels: int, out_channels: int, kernel_size: int) -> nn.ConvTranspose2d:
    """A deconvolution that doubles the size."""
    if kernel_size not in DECONV_PADDING:
        raise ValueError(f'deconv kernel size {kernel_size}; expected 2, 3 or 4')
    padding, output_padding = DECONV_PADDING[kernel_size]
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size, 2, padding, output_padding, bias=False
    )


def relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def pairs(
    name: str, channels: Sequence[int] | None, kernels: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Channels and kernel sizes, one pair a layer."""
    channels, kernels = channels or (), kernels or ()
    if len(channels) != len(kernels):
        raise ValueError(
            f'{name}_out_channels={tuple(channels)} and {name}_kernel_sizes={tuple(kernels)} '
            'differ in length; expected one kernel size a layer'
        )
    return list(zip(channels, kernels))
