"""Targets encoded in the head, on the device, against heatmaps from the pipeline of MMPose.

From images on disk to the loss, as in training, but without the network: data loader with two
workers, transfer to the device, head's loss. Synthetic images of 640 x 480 pixels.
"""

import contextlib
import sys
import tempfile
from typing import Any

import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmpose.datasets import CocoDataset
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.models import PoseDataPreprocessor
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules
from timing import compare, table, use_threads
from torch.utils.data import DataLoader

from hrnet_plugin.datasets import synthesize
from hrnet_plugin.models import HeatmapHead

NUM_IMAGES, BATCH, WORKERS = 60, 32, 2
SIZES: dict[str, Any] = dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
STOCK: dict[str, dict[str, Any]] = dict(
    msra=dict(type='MSRAHeatmap', **SIZES),
    udp=dict(type='UDPHeatmap', **SIZES),
)
STEPS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
]
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


class Route:
    """The way of instances from the disk to the loss."""

    def __init__(self, root: str, codec: dict[str, Any], udp: bool) -> None:
        affine = dict(type='TopdownAffine', input_size=SIZES['input_size'], use_udp=udp)
        self.ends = [GenerateTarget(encoder=codec), PackPoseInputs()]
        self.dataset: Any = CocoDataset(
            data_root=root,
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix=dict(img='train2017/'),
            pipeline=[*STEPS, affine, *self.ends],
        )
        self.loader = DataLoader(
            self.dataset,
            batch_size=BATCH,
            sampler=DefaultSampler(self.dataset),
            num_workers=WORKERS,
            persistent_workers=True,
            collate_fn=pseudo_collate,
            pin_memory=DEVICE == 'cuda',
            worker_init_fn=start_worker,
        )
        self.preprocessor = PoseDataPreprocessor(
            mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
        ).to(DEVICE)
        self.head = HeatmapHead(1, 17, decoder=codec).to(DEVICE)
        self.features = torch.zeros(BATCH, 1, *SIZES['heatmap_size'][::-1], device=DEVICE)
        self.batch = next(iter(self.loader))

    def epoch(self) -> None:
        """Take all instances from the disk to the loss."""
        for data in self.loader:
            self.step(data)
        self.wait()

    def after_loading(self) -> None:
        """Take one batch from the loader to the loss."""
        self.step(self.batch)
        self.wait()

    def step(self, data: dict[str, Any]) -> None:
        samples = self.preprocessor(data, training=True)['data_samples']
        self.head.loss([self.features[: len(samples)]], samples)

    def wait(self) -> None:
        if DEVICE == 'cuda':
            torch.cuda.synchronize()

    def make_targets(self, results: dict[str, Any]) -> None:
        """Run the end of the pipeline for one instance."""
        results = dict(results)
        for step in self.ends:
            results = step(results)

    def bytes_per_sample(self) -> int:
        """Count the bytes that are sent to the device for one instance."""
        sample: PoseDataSample = self.batch['data_samples'][0]
        labels = [*sample.gt_instance_labels.values()]
        labels += sample.gt_fields.values() if 'gt_fields' in sample else []
        return sum(t.nbytes for t in (self.batch['inputs'][0], *labels))


def start_worker(_: int) -> None:
    torch.set_num_threads(1)


def compare_variant(root: str, variant: str) -> list[list[object]]:
    codec = dict(type='hrnet_plugin.GaussianHeatmap', variant=variant, targets='keypoints')
    ours, stock = (Route(root, c, variant == 'udp') for c in (codec | SIZES, STOCK[variant]))
    dataset: Any = ours.loader.dataset
    instances = len(dataset)
    data = dataset.get_data_info(0)
    for step in dataset.pipeline.transforms[:-2]:
        data = step(data)
    epoch = compare(ours.epoch, stock.epoch, repeats=5, warm_up=1)
    batch = compare(ours.after_loading, stock.after_loading, repeats=15)
    end = compare(lambda: ours.make_targets(data), lambda: stock.make_targets(data), repeats=50)
    a, b = ours.bytes_per_sample(), stock.bytes_per_sample()
    return [
        [f'{variant}: bytes per instance sent to the device', a, b, b / a],
        [f'{variant}: worker, targets and packing (ms per instance)', *milliseconds(end, 1)],
        [f'{variant}: from loader to loss (ms per instance)', *milliseconds(batch, BATCH)],
        [
            f'{variant}: from disk to loss (instances per second)',
            instances / epoch.ours_s,
            instances / epoch.stock_s,
            epoch.ratio,
        ],
    ]


def milliseconds(ratio: Any, instances: int) -> list[float]:
    return [1e3 * ratio.ours_s / instances, 1e3 * ratio.stock_s / instances, ratio.ratio]


def main() -> None:
    use_threads()
    register_all_modules()
    # The report goes to stdout, without what pycocotools prints.
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(sys.stderr):
        synthesize(root, NUM_IMAGES, image_size=(640, 480))
        rows = [row for variant in STOCK for row in compare_variant(root, variant)]
    print('## Targets on the device\n')
    print(__doc__, f'\nDevice: {DEVICE}.\n', sep='')
    print(table(['', 'ours', 'stock', 'ratio'], rows))


if __name__ == '__main__':
    main()
