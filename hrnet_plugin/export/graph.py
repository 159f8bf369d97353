"""Inference as one module, from crops to keypoints, for exporters to trace."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ..codecs import GaussianHeatmap, as_gaussian_heatmap
from ..models.fuse import fuse_norms


class NormalizingGraph(nn.Module):
    """A graph that can normalize images as the data preprocessor of its model does.

    Args:
        model: Model with a data preprocessor of OpenMMLab.

    Raises:
        ValueError: The preprocessor is another.
    """

    mean_of_channels: Tensor
    std_of_channels: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.mean, self.std, self.color_order = normalization(model)
        for name in ('mean', 'std'):
            values = torch.tensor(getattr(self, name)).view(1, -1, 1, 1)
            self.register_buffer(f'{name}_of_channels', values)

    def normalized(self, crops: Tensor) -> Tensor:
        """Convert uint8 crops (N, h, w, 3) in BGR to normalized images (N, 3, h, w)."""
        images = crops.permute(0, 3, 1, 2)
        if self.color_order == 'rgb':
            images = images.flip(1)
        return (images.float() - self.mean_of_channels) / self.std_of_channels


class InferenceGraph(NormalizingGraph):
    """A top-down estimator whose forward pass normalizes, tests with a flip and decodes.

    Args:
        model: A top-down pose estimator of MMPose or of this package with a heatmap head, in
            evaluation mode.
        input_size: (w, h) of crops, in pixels.
        outputs: ``'keypoints'`` decodes in the graph, ``'heatmaps'`` does not.
        normalize: Takes uint8 crops (N, h, w, 3) in BGR instead of normalized images
            (N, 3, h, w).
        flip_test: Averages heatmaps with those of mirrored crops.
        flip_indices: Number of the keypoint that each becomes in a mirrored image (K,); for
            ``flip_test``.

    Raises:
        ValueError: The model has no heatmap head or an input size that does not fit, or its
            codec cannot decode in a graph.
    """

    flip_indices: Tensor

    def __init__(
        self,
        model: Any,
        input_size: tuple[int, int],
        *,
        outputs: str,
        normalize: bool,
        flip_test: bool,
        flip_indices: list[int] | None,
    ) -> None:
        check_heatmap_head(model)
        check_test_cfg(model.test_cfg or {})
        super().__init__(model)
        width, height = input_size
        image = torch.rand(1, 3, height, width)
        self.model = fuse_norms(deepcopy(model).cpu().float().eval(), image)
        self.outputs = outputs
        self.normalize = normalize
        self.flip_test = flip_test
        self.shifts = bool((model.test_cfg or {}).get('shift_heatmap'))
        self.codec = decoder(model, input_size) if outputs == 'keypoints' else None
        if flip_test and not flip_indices:
            raise ValueError(
                'a flip test in the graph needs flip pairs: give the metainfo of the dataset, or '
                'flip_test=False'
            )
        self.register_buffer('flip_indices', torch.tensor(flip_indices or [], dtype=torch.long))
        self.num_keypoints: int = model.head.out_channels

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops to heatmaps (N, K, H, W), or to keypoints, scores and heatmaps.

        Keypoints (N, K, 2) are in pixels of the crop, scores (N, K) are values of heatmaps.
        """
        images = self.normalized(crops) if self.normalize else crops
        heatmaps = self.heatmaps(images)
        if self.codec is None:
            return (heatmaps,)
        keypoints, scores = self.codec.decode_batch(heatmaps)
        return keypoints, scores, heatmaps

    def heatmaps(self, images: Tensor) -> Tensor:
        """Heatmaps (N, K, H, W) of normalized images, averaged over orientations if asked for."""
        if not self.flip_test:
            return self.model.head.forward(self.model.extract_feat(images))
        both = torch.cat([images, images.flip(-1)])
        heatmaps = self.model.head.forward(self.model.extract_feat(both))
        count = images.shape[0]  # chunk would make an exporter fix the batch size
        plain, mirrored = heatmaps[:count], heatmaps[count:]
        mirrored = mirrored.index_select(1, self.flip_indices).flip(-1)
        if self.shifts:
            mirrored = torch.cat([mirrored[..., :1], mirrored[..., :-1]], dim=-1)
        return (plain + mirrored) * 0.5


def check_heatmap_head(model: Any) -> None:
    """Raise a ValueError unless this is a top-down estimator with a heatmap head."""
    from mmpose.models.heads import HeatmapHead as StockHeatmapHead

    from ..models.heads import HeatmapHead

    head = getattr(model, 'head', None)
    if not isinstance(head, (HeatmapHead, StockHeatmapHead)):
        raise ValueError(
            f'the model is {type(model).__name__} with {type(head).__name__} as its head; '
            'expected a top-down pose estimator with a heatmap head'
        )


def check_test_cfg(test_cfg: Mapping[str, Any]) -> None:
    """Raise a ValueError if ``test_cfg`` asks for what the graph does not do."""
    if test_cfg.get('output_keypoint_indices') is not None:
        raise ValueError(
            'test_cfg.output_keypoint_indices cannot be exported: remove it, and choose among the '
            'keypoints that the exported file returns'
        )
    if test_cfg.get('flip_test') and test_cfg.get('flip_mode', 'heatmap') != 'heatmap':
        raise ValueError(
            f"test_cfg.flip_mode is {test_cfg['flip_mode']!r}; expected 'heatmap', or "
            'flip_test=False'
        )


def decoder(model: Any, input_size: tuple[int, int]) -> GaussianHeatmap:
    """Return the codec that decodes the heatmaps of a model.

    Raises:
        ValueError: There is none for a graph, or it is for another input size.
    """
    given = model.head.decoder
    codec = as_gaussian_heatmap(given)
    if codec is None:
        raise ValueError(
            f'head.decoder is {type(given).__name__}, which cannot decode in a graph; expected '
            "GaussianHeatmap, MSRAHeatmap or UDPHeatmap: or export with outputs='heatmaps'"
        )
    if codec.input_size != tuple(input_size):
        raise ValueError(
            f'input_size (w, h) = {tuple(input_size)}, but head.decoder has {codec.input_size}; '
            'make them alike'
        )
    return codec


def normalization(model: Any) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Return mean and standard deviation of channels, and their order, of a data preprocessor.

    Raises:
        ValueError: The preprocessor is none of OpenMMLab's.
    """
    preprocessor = model.data_preprocessor
    if not hasattr(preprocessor, '_channel_conversion'):
        raise ValueError(
            f'data_preprocessor is {type(preprocessor).__name__}; expected that of '
            'MMPose or MMDetection'
        )
    order = 'rgb' if preprocessor._channel_conversion else 'bgr'
    if not preprocessor._enable_normalize:
        return (0.0,) * 3, (1.0,) * 3, order
    mean, std = (v.flatten().tolist() for v in (preprocessor.mean, preprocessor.std))
    return tuple(mean), tuple(std), order
