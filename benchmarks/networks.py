"""Networks of stock MMPose and ours, and the forms in which they run on a device."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugin.models.archs import HRFormerArch, HRNetArch, LiteHRNetArch

FOLDER = 'body_2d_keypoint/topdown_heatmap/coco'
OURS = Path(__file__).parent.parent / 'configs' / FOLDER
# The smallest row of each family, to see whether a script works
SMALL: dict[str, Any] = dict(
    HRNet=HRNetArch(width=8, modules=(1, 1, 1), blocks=1, layer1=(8, 1)),
    LiteHRNet=LiteHRNetArch(width=16, modules=(1, 1, 1), kind='LITE'),
    HRFormer=HRFormerArch(width=8, heads=1, drop_path_rate=0.0, modules=(1, 1, 1)),
)


@dataclass(frozen=True)
class Model:
    """A published model, or the smallest of its family in its place.

    Attributes:
        name: Its name in reports.
        family: Class of its backbone.
        arch: Name of its architecture in the family.
        config: File of its config, of ours and of stock alike.
        is_small: Whether the family's smallest row takes its place, for inputs of 64 x 64.
    """

    name: str
    family: str
    arch: str
    config: str
    is_small: bool = False

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h), in pixels; names of configs end in HEIGHTxWIDTH."""
        height, width = self.config.removesuffix('.py').rpartition('-')[2].split('x')
        return (64, 64) if self.is_small else (int(width), int(height))

    @property
    def has_stock(self) -> bool:
        """Whether MMPose has a config of this model."""
        try:
            self.read_config('stock')
        except FileNotFoundError:
            return False
        return True

    def read_config(self, side: str) -> Any:
        """Read the config of a side, ``'ours'`` or ``'stock'``, without pretrained weights."""
        from mmengine.config import Config

        if side == 'ours':
            cfg = Config.fromfile(OURS / self.config)
        else:
            cfg = Config.fromstring(f"_base_ = 'mmpose::{FOLDER}/{self.config}'", '.py')
        backbone, head = cfg.model.backbone, cfg.model.head
        backbone.pop('init_cfg', None)
        if self.is_small:
            backbone.pop('arch', None)
            backbone.extra = SMALL[self.family].extra
            head.in_channels = SMALL[self.family].width
            width, height = self.input_size
            sizes = dict(input_size=(width, height), heatmap_size=(width // 4, height // 4))
            head.decoder.update(sizes)
        return cfg

    def build(self, side: str) -> Any:
        """Build the estimator of a side, with random weights."""
        from mmengine.model import revert_sync_batchnorm
        from mmpose.models import build_pose_estimator
        from mmpose.utils import register_all_modules

        register_all_modules()
        return revert_sync_batchnorm(build_pose_estimator(self.read_config(side).model))

    def build_backbone(self) -> nn.Module:
        """Build our backbone, which needs no MMPose."""
        from hrnet_plugin import models

        row = dict(extra=SMALL[self.family].extra) if self.is_small else dict(arch=self.arch)
        return getattr(models, self.family)(**row)

    def networks(self, device: torch.device) -> dict[str, nn.Module]:
        """Build ours, in its form for inference, and stock, with the same weights.

        Without MMPose, there are only ours, and only backbones.

        Raises:
            RuntimeError: Norms of ours could not be folded.
        """
        from hrnet_plugin.models.fuse import fuse_norms

        torch.manual_seed(0)
        result: dict[str, nn.Module] = {}
        if find_spec('mmpose'):
            ours, stock = self.build('ours'), self.build('stock')
            ours.load_state_dict(stock.state_dict())
            result['stock'] = Network(stock.backbone, stock.head)
            network = Network(ours.backbone, ours.head)
        else:
            network = Network(self.build_backbone(), First())
        for each in (network, *result.values()):
            each.eval().to(device)
        width, height = self.input_size
        use_precision(tf32=False)  # which would blur whether outputs are the same
        fused = fuse_norms(network, torch.rand(1, 3, height, width, device=device))
        if fused is network:
            raise RuntimeError('outputs changed when norms were folded')
        return dict(ours=fused, **result)


class Network(nn.Module):
    """From images (N, 3, H, W) to heatmaps, as an estimator without its codec."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor, _: None = None) -> Tensor:
        return self.head(self.backbone(images))


class First(nn.Module):
    """In place of a head: return the stream of the highest resolution."""

    def forward(self, streams: tuple[Tensor, ...]) -> Tensor:
        return streams[0]


MODELS = (
    Model('HRNet-W32', 'HRNet', 'w32', 'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'),
    Model(
        'Lite-HRNet-18', 'LiteHRNet', 'lite-18', 'td-hm_litehrnet-18_8xb64-210e_coco-256x192.py'
    ),
    Model('HRFormer-S', 'HRFormer', 'small', 'td-hm_hrformer-small_8xb32-210e_coco-256x192.py'),
    Model('HRNet-W48', 'HRNet', 'w48', 'td-hm_hrnet-w48_8xb32-210e_coco-256x192.py'),
    Model('HRFormer-B', 'HRFormer', 'base', 'td-hm_hrformer-base_8xb32-210e_coco-256x192.py'),
)
SMALL_MODELS = tuple(
    Model(f'small {model.family}', model.family, model.arch, model.config, is_small=True)
    for model in MODELS[:3]
)

DTYPES = dict(fp32=torch.float32, tf32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


@dataclass(frozen=True)
class Form:
    """A way to run a network.

    Attributes:
        side: ``'ours'`` or ``'stock'``.
        precision: A key of DTYPES. ``'fp32'`` does without the reduced precision of TF32, which
            PyTorch's convolutions use unless told otherwise.
        channels_last: Whether tensors are in the layout (N, H, W, C).
        tunes: Whether cuDNN tries its algorithms and takes the fastest.
        compiles: Whether torch.compile compiles it, with CUDA graphs.
        replays: Whether a CUDA graph is captured, and replayed.
    """

    side: str
    precision: str
    channels_last: bool = False
    tunes: bool = False
    compiles: bool = False
    replays: bool = False

    def __str__(self) -> str:
        options = {
            'channels last': self.channels_last,
            'cuDNN tuned': self.tunes,
            'torch.compile': self.compiles,
            'CUDA graph': self.replays,
        }
        parts = [f'{self.side} {self.precision}', *(name for name, on in options.items() if on)]
        return ', '.join(parts)

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
        """Return a function that runs a copy of a network on images."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        dtype = DTYPES[self.precision]
        model: Any = deepcopy(network)
        model = model.to(dtype).to(memory_format=layout)
        inputs = images.to(dtype).contiguous(memory_format=layout)
        if self.compiles:
            # Without a GPU only the graph is traced: what works is known within seconds.
            backend, mode = ('inductor', 'reduce-overhead') if inputs.is_cuda else ('eager', None)
            model = torch.compile(model, backend=backend, mode=mode)

        def run() -> Tensor:
            use_precision(self.precision == 'tf32', self.tunes)
            return model(inputs)

        return capture(run) if self.replays else run


def use_precision(tf32: bool, tunes: bool = False) -> None:
    """Allow, or forbid, TF32 and cuDNN's trials of its algorithms."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = tunes


def use_defaults() -> None:
    """Let PyTorch choose precision as it does unless told otherwise: convolutions use TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = False


def capture(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture a function in a CUDA graph; return one that replays it.

    After https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: a few runs on another
    stream come first.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay
