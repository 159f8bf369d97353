"""Heatmap head (Xiao et al., https://arxiv.org/abs/1804.06208), with stock MMPose's names."""

import warnings
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

from ...codecs import KeypointCodec, as_keypoint_codec
from ...functional import heatmap_accuracy
from ...registry import MODELS, strict_options
from ..layers.initialisation import NORMAL

# kernel size of a deconvolution that doubles the size: (padding, output_padding)
DECONV_PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}
MSE = dict(type='KeypointMSELoss', use_target_weight=True)


@MODELS.register_module()
@strict_options
class HeatmapHead(BaseHead):
    """One stream of features -> deconvolutions -> convolutions -> one heatmap per keypoint.

    Args:
        in_channels: Channels of the stream that the head reads.
        out_channels: Number of keypoints K.
        deconv_out_channels: Channels of deconvolutions, each of which doubles the size. Stock's
            default is three of them; here it is none, as high-resolution streams need none.
        deconv_kernel_sizes: Their kernel sizes: 2, 3 or 4.
        conv_out_channels: Channels of convolutions behind them.
        conv_kernel_sizes: Their kernel sizes, odd.
        final_layer: Arguments of the last convolution, such as ``dict(kernel_size=3, padding=1)``;
            None leaves it out.
        loss: Config of the loss between heatmaps and targets.
        decoder: Config of the keypoint codec that decodes heatmaps, and encodes the targets where
            samples carry keypoints instead.
        stream: Index of the stream to read; 0 is the one with the highest resolution.
        reset_final_layer: Start with a new last convolution where a checkpoint has another number
            of keypoints, to train from it. Without this, such a checkpoint is an error.
        init_cfg: Initialisation of weights, as in MMEngine; Normal with std 0.001 if not given.

    Raises:
        ValueError: Lengths or kernel sizes do not fit, or the decoder is for another number of
            keypoints or for targets that are not one heatmap per keypoint. In use: the stream
            does not exist or has other channels than ``in_channels``.

    >>> head = HeatmapHead(in_channels=8, out_channels=17)
    >>> streams = [torch.zeros(2, 8, 16, 12), torch.zeros(2, 16, 8, 6)]
    >>> tuple(head(streams).shape)
    (2, 17, 16, 12)
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
        self.target_name = self._check_codec()

        width = in_channels
        deconvs: list[nn.Module] = []
        for channels, kernel in pairs('deconv', deconv_out_channels, deconv_kernel_sizes):
            deconvs += [
                deconv(width, channels, kernel),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            width = channels
        convs: list[nn.Module] = []
        for channels, kernel in pairs('conv', conv_out_channels, conv_kernel_sizes):
            if kernel % 2 == 0:
                raise ValueError(f'conv kernel size {kernel}; expected an odd one')
            conv = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
            convs += [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
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

    @property
    def codec(self) -> KeypointCodec | None:
        """The decoder behind the protocol of codecs; None without a decoder that is known."""
        return as_keypoint_codec(self.decoder)

    def _check_codec(self) -> str:
        """Check that the codec's targets are heatmaps of K keypoints; return their name."""
        if self.codec is None:
            return 'heatmaps'
        try:
            self.codec.check_num_keypoints(self.out_channels)
        except ValueError as error:
            raise ValueError(
                f'head.out_channels={self.out_channels} does not fit its decoder: {error}'
            ) from None
        shapes = self.codec.target_shapes(self.out_channels)
        if [len(shape) for shape in shapes.values()] != [3]:
            raise ValueError(
                f'the targets of {type(self.decoder).__name__} have the shapes {shapes}; expected '
                'heatmaps (K, H, W): choose a decoder for heatmaps, or another head than '
                'HeatmapHead'
            )
        return next(iter(shapes))

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Convert streams, each (N, C_i, h_i, w_i), to heatmaps (N, K, H, W)."""
        try:
            x = feats[self.stream]
            return self.final_layer(self.conv_layers(self.deconv_layers(x)))
        except (IndexError, RuntimeError):
            self.check_channels([x.shape[1] for x in feats])  # explains it, if this is the reason
            raise

    def select(self, feats: Sequence[Tensor]) -> Tensor:
        """Former way to check streams: ``check_channels``."""
        warnings.warn(
            'HeatmapHead.select goes with the next release: use check_channels',
            DeprecationWarning,
            stacklevel=2,
        )
        self.check_channels([x.shape[1] for x in feats])
        return feats[self.stream]

    def check_channels(self, channels: Sequence[int]) -> None:
        """Raise a ValueError unless streams of these channels fit the head."""
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
        """Refuse a checkpoint for another number of keypoints, or keep the last convolution.

        MMEngine's loader would only log the mismatch, and continue with random weights.
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
        """Predict the keypoints of a batch, in pixels of the network's input.

        Args:
            feats: Streams; with ``test_cfg['flip_test']`` a pair of them: those of the images and
                those of the mirrored images.
            batch_data_samples: N samples, whose ``flip_indices`` are read.
            test_cfg: Options ``flip_test``, ``flip_mode``, ``shift_heatmap``, ``output_heatmaps``.

        Returns:
            N InstanceData with ``keypoints`` (1, K, 2) and ``keypoint_scores`` (1, K); with
            ``output_heatmaps`` also N PixelData with ``heatmaps`` (K, H, W).
        """
        if test_cfg.get('flip_test', False):
            plain, mirrored = (at_least_float32(self.forward(f)) for f in feats)
            unmirrored = flip_heatmaps(
                mirrored,
                flip_mode=test_cfg.get('flip_mode', 'heatmap'),
                flip_indices=batch_data_samples[0].metainfo['flip_indices'],
                shift_heatmap=test_cfg.get('shift_heatmap', False),
            )
            heatmaps = (plain + unmirrored) * 0.5
        else:
            heatmaps = at_least_float32(self.forward(feats))
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
        """Compute the loss of a batch without synchronising the device.

        Args:
            feats: Streams.
            batch_data_samples: N samples with heatmaps, or with keypoints that the decoder encodes
                (``GaussianHeatmap(targets='keypoints')``).
            train_cfg: Option ``compute_acc``: also compute the accuracy.

        Returns:
            Scalars ``loss_kpt`` and, with ``compute_acc``, ``acc_pose``, on the device.

        Raises:
            ValueError: Targets have another shape than the head's output, or see ``targets``.
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
        predicted = predicted.to(target.dtype)  # in mixed precision, the loss is in float32
        losses = dict(loss_kpt=self.loss_module(predicted, target, weights))
        if train_cfg.get('compute_acc', False):
            losses['acc_pose'] = heatmap_accuracy(predicted.detach(), target, weights > 0)
        return losses

    def targets(self, batch_data_samples: list[PoseDataSample]) -> tuple[Tensor, Tensor]:
        """Stack, or encode, the heatmaps (N, K, H, W) and keypoint weights (N, K) of a batch.

        Raises:
            ValueError: The samples carry neither heatmaps nor keypoints, or keypoints that the
                decoder cannot encode on the device.
        """
        labels = [d.gt_instance_labels for d in batch_data_samples]
        weights = torch.cat([label.keypoint_weights for label in labels])
        if 'gt_fields' in batch_data_samples[0]:
            maps = [getattr(d.gt_fields, self.target_name) for d in batch_data_samples]
            return torch.stack(maps), weights
        if 'keypoint_labels' not in labels[0]:
            raise ValueError(
                'the samples have neither heatmaps nor keypoint_labels; the pipeline needs a '
                'GenerateTarget with a codec for heatmaps, such as hrnet_plugin.GaussianHeatmap'
            )
        if not isinstance(self.decoder, KeypointCodec):
            raise ValueError(
                'the samples have keypoints, which head.decoder has to encode as heatmaps: make '
                f'it hrnet_plugin.GaussianHeatmap; it is {type(self.decoder).__name__}'
            )
        points = torch.cat([label.keypoint_labels for label in labels])  # x, y, visibility
        heatmaps, traces = self.decoder.encode_batch(points[..., :2], points[..., 2])
        # A keypoint that leaves no trace does not count; others as the pipeline weighs them.
        return heatmaps, torch.where(traces == 0, 0, weights)


def at_least_float32(heatmaps: Tensor) -> Tensor:
    """Return heatmaps as they are decoded: in float32 where mixed precision has less."""
    return heatmaps.to(torch.promote_types(heatmaps.dtype, torch.float32))


def deconv(in_channels: int, out_channels: int, kernel_size: int) -> nn.ConvTranspose2d:
    """Build a deconvolution that doubles the size."""
    if kernel_size not in DECONV_PADDING:
        raise ValueError(f'deconv kernel size {kernel_size}; expected 2, 3 or 4')
    padding, output_padding = DECONV_PADDING[kernel_size]
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size, 2, padding, output_padding, bias=False
    )


def pairs(
    name: str, channels: Sequence[int] | None, kernels: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Pair channels and kernel sizes, one pair per layer."""
    channels, kernels = channels or (), kernels or ()
    if len(channels) != len(kernels):
        raise ValueError(
            f'{name}_out_channels={tuple(channels)} and {name}_kernel_sizes={tuple(kernels)} '
            'differ in length; expected one kernel size per layer'
        )
    return list(zip(channels, kernels))
