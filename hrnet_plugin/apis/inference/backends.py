"""Backends: what runs a pose network on a batch of crops, torch or another runtime.

Another runtime (ONNX Runtime, OpenVINO) is a :class:`PoseBackend`: a function of arrays. Cropping,
normalization, the flip test, decoding and the way back to image coordinates are done here.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS
from mmpose.structures import PoseDataSample
from torch import Tensor

Crop = dict[str, Any]  # as the test pipeline packs it: inputs (3, h, w) and data_samples


@dataclass(frozen=True)
class BackendOutput:
    """Output of a network for N crops: heatmaps, or keypoints that are decoded already.

    Attributes:
        heatmaps: (N, K, H, W), to be decoded by the config's codec.
        keypoints: (N, K, 2), in pixels of the network's input, as the codec decodes them.
        scores: (N, K), scores of ``keypoints``.

    Raises:
        ValueError: Both or neither are given, or their shapes differ.
    """

    heatmaps: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.heatmaps is None) == (self.keypoints is None):
            raise ValueError('a backend returns either heatmaps, or keypoints and scores')
        if self.heatmaps is not None and np.ndim(self.heatmaps) != 4:
            raise ValueError(
                f'heatmaps have shape {np.shape(self.heatmaps)}; expected (N, K, H, W)'
            )
        if self.keypoints is None:
            return
        shape = np.shape(self.keypoints)
        scores = () if self.scores is None else np.shape(self.scores)
        if len(shape) != 3 or shape != (*scores, 2):
            raise ValueError(
                f'keypoints have shape {shape} and scores {scores}; expected (N, K, 2) and (N, K)'
            )


class PoseBackend(Protocol):
    """A network in any runtime: a callable, so that a function will do.

    Example::

        class OnnxBackend:
            def __init__(self, path: str) -> None:
                self.session = onnxruntime.InferenceSession(path)

            def __call__(self, inputs: np.ndarray) -> BackendOutput:
                (heatmaps,) = self.session.run(None, {'inputs': inputs})
                return BackendOutput(heatmaps=heatmaps)

        inferencer = PoseInferencer('config.py', backend=OnnxBackend('model.onnx'))
    """

    def __call__(self, inputs: np.ndarray) -> BackendOutput:
        """Run the network.

        Args:
            inputs: Crops (N, 3, h, w), float32, normalized as the config's ``data_preprocessor``
                says. With ``flip_test``, a second call gets them mirrored, if the network returns
                heatmaps.

        Returns:
            Heatmaps, or keypoints and scores, of each crop.
        """
        ...


class TorchPredictor:
    """Predict with MMPose's estimator, of any head.

    Args:
        model: Estimator in evaluation mode, on its device.
        bfloat16: Whether to compute features in it; the head is in float32.
    """

    def __init__(self, model: BaseModel, bfloat16: bool = False) -> None:
        if bfloat16:
            model = _with_bfloat16_features(model)
        self.model = model
        # Estimators read test_cfg, not an argument: two views of one network, which share its
        # modules, so that concurrent calls do not change each other's options.
        self.views = {value: _with_output_heatmaps(model, value) for value in (False, True)}

    @torch.inference_mode()
    def predict(self, crops: Sequence[Crop], heatmaps: bool) -> list[PoseDataSample]:
        """Predict a batch of crops, in one forward pass.

        Args:
            crops: N crops.
            heatmaps: Whether to return heatmaps, too.

        Returns:
            N samples with one instance each, in pixels of the image.
        """
        return self.views[heatmaps].test_step(pseudo_collate(list(crops)))


class BackendPredictor:
    """Predict with a backend, and decode as the config says.

    Args:
        backend: The network.
        cfg: Config of the pose model: its ``data_preprocessor``, codec and ``test_cfg`` are used.
    """

    def __init__(self, backend: PoseBackend, cfg: Config) -> None:
        self.backend = backend
        self.preprocessor = MODELS.build(cfg.model.data_preprocessor)
        decoder = cfg.model.head.get('decoder')
        self.codec = KEYPOINT_CODECS.build({'_scope_': 'mmpose', **decoder}) if decoder else None
        self.test_cfg: Mapping[str, Any] = cfg.model.get('test_cfg') or {}

    @torch.inference_mode()
    def predict(self, crops: Sequence[Crop], heatmaps: bool) -> list[PoseDataSample]:
        """Predict a batch of crops, as :meth:`TorchPredictor.predict`.

        Raises:
            ValueError: The backend returns heatmaps without a codec that decodes them, or none
                although they are asked for.
        """
        batch = self.preprocessor(pseudo_collate(list(crops)), False)
        samples = batch['data_samples']
        output = self.backend(batch['inputs'].numpy())
        maps = None
        if output.heatmaps is not None:
            maps = self._flip_test(batch['inputs'], torch.as_tensor(output.heatmaps), samples)
            keypoints, scores = self._decode(maps)
        else:
            keypoints, scores = np.array(output.keypoints), np.array(output.scores)
        if heatmaps and maps is None:
            raise ValueError(
                'draw_heatmap=True, but the backend returns keypoints without heatmaps'
            )
        chosen = self.test_cfg.get('output_keypoint_indices')
        for i, sample in enumerate(samples):
            sample.pred_instances = to_image(keypoints[i : i + 1], scores[i : i + 1], sample)
            if chosen is not None:
                _choose_keypoints(sample.pred_instances, chosen)
            if heatmaps and maps is not None:
                sample.pred_fields = PixelData(
                    heatmaps=maps[i] if chosen is None else maps[i][chosen]
                )
        return samples

    def _flip_test(
        self, inputs: Tensor, heatmaps: Tensor, samples: Sequence[PoseDataSample]
    ) -> Tensor:
        """Average heatmaps (N, K, H, W) with those of mirrored inputs, if the config says so."""
        if not self.test_cfg.get('flip_test', False):
            return heatmaps
        mirrored = self.backend(np.ascontiguousarray(inputs.flip(-1).numpy())).heatmaps
        unmirrored = flip_heatmaps(
            torch.as_tensor(mirrored),
            flip_mode=self.test_cfg.get('flip_mode', 'heatmap'),
            flip_indices=samples[0].metainfo['flip_indices'],
            shift_heatmap=self.test_cfg.get('shift_heatmap', False),
        )
        return (heatmaps + unmirrored) * 0.5

    def _decode(self, heatmaps: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Decode heatmaps (N, K, H, W) to keypoints (N, K, 2) and scores (N, K)."""
        if self.codec is None:
            raise ValueError(
                'the backend returns heatmaps, but model.head of pose2d has no decoder for them'
            )
        if self.codec.support_batch_decoding:
            keypoints, scores = self.codec.batch_decode(heatmaps)
        else:
            keypoints, scores = zip(*map(self.codec.decode, heatmaps.numpy()))
        return np.concatenate(list(keypoints)), np.concatenate(list(scores))


def to_image(keypoints: np.ndarray, scores: np.ndarray, sample: PoseDataSample) -> InstanceData:
    """Map the keypoints of a crop to its image, as MMPose's estimators do.

    Args:
        keypoints: (1, K, 2), in pixels of the network's input.
        scores: (1, K).
        sample: Sample of the crop, with its box and the crop's place in the image.

    Returns:
        An instance as MMPose predicts it, in pixels of the image.
    """
    center, scale = sample.metainfo['input_center'], sample.metainfo['input_scale']
    mapped = keypoints / sample.metainfo['input_size'] * scale + center - 0.5 * scale
    return InstanceData(
        keypoints=mapped.astype(keypoints.dtype),
        keypoint_scores=scores,
        keypoints_visible=scores,
        bboxes=sample.gt_instances.bboxes,
        bbox_scores=sample.gt_instances.bbox_scores,
    )


def _choose_keypoints(instances: InstanceData, indices: Sequence[int]) -> None:
    for key, value in instances.all_items():
        if key.startswith('keypoint'):
            instances.set_field(value[:, indices], key)


def _with_bfloat16_features(model: BaseModel) -> BaseModel:
    """Return a view of an estimator that extracts features in mixed precision."""
    view = copy(model)

    def extract_feat(inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            features = model.extract_feat(inputs)
        return tuple(feature.float() for feature in features)

    view.extract_feat = extract_feat
    return view


def _with_output_heatmaps(model: BaseModel, output_heatmaps: bool) -> BaseModel:
    """Return a view of an estimator with this option in its test_cfg."""
    view = copy(model)
    view.test_cfg = copy(model.test_cfg)
    view.test_cfg['output_heatmaps'] = output_heatmaps
    return view
