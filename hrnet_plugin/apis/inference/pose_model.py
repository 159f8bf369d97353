"""A top-down pose model with its config's pipeline: boxes of images to keypoints."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample, merge_data_samples

from ...checks.other_task import explain_other_task
from ...models.fuse import to_inference_form
from ...optim.autocast import computes_in_bfloat16
from ...utils.errors import unknown_name
from ..inputs.images import Frame
from .backends import BackendPredictor, Crop, PoseBackend, TorchPredictor
from .model_files import ModelConfig, config_errors, load_weights, read_model_config

TORCH_PRECISIONS = ('float32', 'bfloat16', 'auto')


class PoseModel:
    """A pose model.

    Args:
        model: Config, path of one, or name in a metafile.
        weights: Checkpoint; by default the one in the metafile.
        device: Device of torch.
        scope: Package whose metafiles are searched for the name, before this package's.
        backend: What runs the network instead of torch; ``weights`` and ``device`` are not used.
        precision: Of features in torch: ``'float32'``, ``'bfloat16'``, or ``'auto'`` for bfloat16
            where the device has instructions for it.

    Attributes:
        cfg: The config.
        dataset_meta: Names, colours, flip pairs and sigmas of the keypoints.
        model: The estimator of MMPose; None with a backend.
        backend_name: What runs the network, such as ``'PyTorch'`` or ``'ONNX Runtime float32'``.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: The config is not of a top-down model, files do not fit together, or the
            precision is unknown.
    """

    def __init__(
        self,
        model: ModelConfig,
        weights: str | None,
        device: str,
        scope: str,
        backend: PoseBackend | None = None,
        precision: str = 'float32',
    ) -> None:
        if backend is None and precision not in TORCH_PRECISIONS:
            raise ValueError(unknown_name('precision of PyTorch', precision, TORCH_PRECISIONS))
        scopes = list(dict.fromkeys([scope, 'hrnet_plugin']))
        self.cfg, default_weights = read_model_config('pose2d', model, scopes)
        with config_errors('pose2d', model):
            check_topdown(self.cfg)
            if not isinstance(self.cfg.get('default_scope', ''), str | None):
                raise ValueError('its default_scope is not the name of a package')
        weights = weights or default_weights
        if weights is None and backend is None:
            raise ValueError('pose2d_weights is missing: give the checkpoint of pose2d')
        in_bfloat16 = precision == 'bfloat16' or (
            precision == 'auto' and computes_in_bfloat16(torch.device(device).type)
        )
        self.backend_name = 'PyTorch bfloat16' if in_bfloat16 else 'PyTorch'
        if backend is not None:
            self.backend_name = str(getattr(backend, 'name', type(backend).__name__))
        self.scope = self.cfg.get('default_scope') or scope
        self.model: BaseModel | None = None
        meta: dict[str, Any] = {}
        with DefaultScope.overwrite_default_scope(self.scope):
            if backend is None:
                assert weights is not None
                with config_errors('pose2d', model):
                    self.model = revert_sync_batchnorm(MODELS.build(self.cfg.model))
                meta = load_weights('pose2d_weights', self.model, weights)
            with config_errors('pose2d', model):
                self.dataset_meta = dataset_meta(self.cfg, meta)
                self.pipeline = Compose(self.cfg.test_dataloader.dataset.pipeline)
            self.check_keypoints()
            self.predictor: TorchPredictor | BackendPredictor
            if backend is None:
                self.model = self._prepared(self.model, device)
                self.predictor = TorchPredictor(self.model, in_bfloat16)
            else:
                with config_errors('pose2d', model):
                    self.predictor = BackendPredictor(backend, self.cfg)

    def _prepared(self, model: BaseModel, device: str) -> BaseModel:
        """Return the model as it runs fastest, in evaluation mode on its device."""
        width, height = self.input_size
        model = to_inference_form(model.eval(), torch.rand(1, 3, height, width)).to(device)
        if torch.device(device).type == 'cpu':
            # oneDNN's convolutions take up to half as long. On a GPU it was not measured.
            model.to(memory_format=torch.channels_last)
        return model

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of crops in pixels, as the test pipeline makes them."""
        # A head need not have a decoder: stock's VisPredictHead wraps one that has.
        sizes = [getattr(step, 'input_size', None) for step in self.pipeline.transforms]
        width, height = next(size for size in reversed(sizes) if size is not None)
        return int(width), int(height)

    @property
    def output_indices(self) -> Sequence[int] | None:
        """Indices of the keypoints that results have, if ``test_cfg`` chooses some."""
        return (self.cfg.model.get('test_cfg') or {}).get('output_keypoint_indices')

    @property
    def num_keypoints(self) -> int:
        """K, the number of keypoints of a result."""
        indices = self.output_indices
        return self.dataset_meta['num_keypoints'] if indices is None else len(indices)

    @property
    def sigmas(self) -> np.ndarray:
        """(K,), the keypoint constants of OKS."""
        sigmas = np.asarray(self.dataset_meta['sigmas'], np.float64)
        return sigmas if self.output_indices is None else sigmas[self.output_indices]

    def check_keypoints(self) -> None:
        """Check that the head predicts the keypoints that the dataset names.

        Raises:
            ValueError: Their numbers differ.
        """
        head = self.cfg.model.get('head') if self.model is None else self.model.head
        channels = getattr(head, 'out_channels', None)
        num_named = self.dataset_meta['num_keypoints']
        if self.output_indices is None and channels not in (None, num_named):
            raise ValueError(
                f'head.out_channels={channels}, but the dataset has {num_named} keypoints: make '
                'them the same in pose2d'
            )

    def crop(self, frame: Frame, box: np.ndarray) -> Crop:
        """Crop an instance as the config's test pipeline does.

        Args:
            frame: Image.
            box: (5,): x1, y1, x2, y2 in pixels and a score.

        Returns:
            ``inputs``, the crop (3, h, w), and ``data_samples``, its sample.
        """
        box = np.asarray(box, np.float32)
        return self.pipeline(
            dict(
                img=frame.image,
                img_path=frame.name,
                bbox=box[None, :4],
                bbox_score=box[4:],
                **self.dataset_meta,
            )
        )

    def predict(self, crops: Sequence[Crop], heatmaps: bool) -> list[PoseDataSample]:
        """Predict the keypoints of a batch of crops.

        Args:
            crops: N crops, of any images.
            heatmaps: Whether to return heatmaps, too.

        Returns:
            N samples with one instance each, in pixels of its image.
        """
        return self.predictor.predict(crops, heatmaps)

    def merge(
        self, frame: Frame, instances: Sequence[PoseDataSample], heatmaps: bool
    ) -> PoseDataSample:
        """Merge the instances of an image into one sample, which may be of length 0.

        Args:
            frame: Image (h, w, 3).
            instances: A sample for each instance.
            heatmaps: Whether they have heatmaps, which are merged to (K, h, w).

        Returns:
            The sample of the image.
        """
        if instances:
            return merge_data_samples(list(instances))
        size, num_keypoints = frame.image.shape[:2], self.num_keypoints
        sample = PoseDataSample(metainfo=dict(img_path=frame.name, ori_shape=size, img_shape=size))
        sample.pred_instances = InstanceData(
            keypoints=np.zeros((0, num_keypoints, 2), np.float32),
            keypoint_scores=np.zeros((0, num_keypoints), np.float32),
            keypoints_visible=np.zeros((0, num_keypoints), np.float32),
            bboxes=np.zeros((0, 4), np.float32),
            bbox_scores=np.zeros(0, np.float32),
        )
        if heatmaps:
            maps = np.zeros((num_keypoints, *size), np.float32)
            sample.pred_fields = PixelData(heatmaps=maps)
        return sample


def check_topdown(cfg: Config) -> None:
    """Check that a config is of a top-down pose estimator.

    Raises:
        ValueError: It is of another model.
    """
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    mode = cfg.get('data_mode') or dataset.get('data_mode')
    kind = cfg.get('model', {}).get('type')
    if mode == 'topdown' and 'pipeline' in dataset:
        return
    if mode == 'bottomup':
        raise ValueError(
            f'pose2d is a bottom-up model ({kind}): use MMPoseInferencer for it; expected '
            "data_mode='topdown'"
        )
    if explanation := explain_other_task(cfg):
        raise ValueError(f'pose2d is not a config of a top-down pose estimator: {explanation}')
    raise ValueError(
        f'pose2d is not a config of a top-down pose estimator: its model is {kind}, its data_mode '
        f"{mode}; expected data_mode='topdown' and a test_dataloader"
    )


def dataset_meta(cfg: Config, checkpoint_meta: dict[str, Any]) -> dict[str, Any]:
    """Return names, colours, flip pairs and sigmas of keypoints: the checkpoint's or the config's.

    Args:
        cfg: Config of the model.
        checkpoint_meta: ``meta`` of its checkpoint.

    Raises:
        ValueError: Neither has them.
    """
    from mmpose.apis.inference import dataset_meta_from_config

    meta = checkpoint_meta.get('dataset_meta') or dataset_meta_from_config(cfg, 'test')
    if not meta or 'num_keypoints' not in meta:
        raise ValueError(
            'neither pose2d_weights nor pose2d define the keypoints: add metainfo to '
            'test_dataloader.dataset of pose2d'
        )
    return meta
