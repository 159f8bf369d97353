"""A training of seconds with our runtime, in processes that are forked: importing takes longer."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from mmpose.registry import METRICS, MODELS
from mmpose.utils import register_all_modules
from torch import Tensor, nn

from hrnet_plugin.datasets import synthesize

from .paths import ROOT

RUNTIME = ROOT / 'configs/_base_/default_runtime.py'
SIZES = dict(input_size=(32, 32), heatmap_size=(8, 8))


@MODELS.register_module(force=True)
class TinyBackbone(nn.Sequential):
    """To 8 channels of a quarter of the size, with a norm and with random numbers."""

    def __init__(self, norm_eval: bool = False, dropout: float = 0.2) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 4, stride=4),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.norm_eval = norm_eval

    def train(self, mode: bool = True) -> 'TinyBackbone':
        super().train(mode)
        self[1].train(mode and not self.norm_eval)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (super().forward(x),)


@METRICS.register_module(force=True)
class Confidence(BaseMetric):
    """The mean score of keypoints: unlike AP, never the same after so short a training."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [s['pred_instances']['keypoint_scores'].mean() for s in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return dict(confidence=float(sum(results) / len(results)))


def write_people(folder: Path) -> None:
    """Write a handful of synthetic images of people, in COCO's format."""
    synthesize(folder, 8, seed=3, val_fraction=0.25, image_size=(96, 96), num_workers=1)


def config(people: Path, work_dir: Path, **changes: Any) -> Config:
    """A training of 3 epochs with validation, our runtime, and changes to it."""
    register_all_modules()
    codec = dict(type='hrnet_plugin.GaussianHeatmap', sigma=1, **SIZES)
    first = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    affine = dict(type='TopdownAffine', input_size=SIZES['input_size'])
    random = [
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform'),
    ]
    train = [*first, *random, affine, dict(type='GenerateTarget', encoder=codec)]
    common = dict(type='CocoDataset', data_root=str(people), data_mode='topdown')
    annotations = 'annotations/person_keypoints_{}2017.json'
    ann_file = str(people / annotations.format('val'))
    evaluator = [dict(type='hrnet_plugin.OKSMetric', ann_file=ann_file), dict(type='Confidence')]
    save = dict(interval=1, max_keep_ckpts=2, save_best='confidence', rule='less')
    val_loader = dict(
        batch_size=4,
        num_workers=0,
        drop_last=False,
        sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
        dataset=dict(
            **common,
            ann_file=annotations.format('val'),
            data_prefix=dict(img='val2017/'),
            pipeline=[*first, affine, dict(type='PackPoseInputs')],
            test_mode=True,
        ),
    )
    cfg = Config.fromfile(RUNTIME)
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            log_level='WARNING',
            randomness=dict(seed=0),
            model=dict(
                type='hrnet_plugin.TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseDataPreprocessor'),
                backbone=dict(type='TinyBackbone'),
                head=dict(
                    type='hrnet_plugin.HeatmapHead', in_channels=8, out_channels=17, decoder=codec
                ),
                test_cfg=dict(flip_test=True, shift_heatmap=True),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-2)),
            param_scheduler=[
                dict(type='LinearLR', begin=0, end=4, start_factor=0.1, by_epoch=False),
                dict(type='MultiStepLR', begin=0, end=3, milestones=[2], gamma=0.1),
            ],
            train_dataloader=dict(
                batch_size=4,
                num_workers=2,
                persistent_workers=True,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(
                    **common,
                    ann_file=annotations.format('train'),
                    data_prefix=dict(img='train2017/'),
                    pipeline=[*train, dict(type='PackPoseInputs')],
                ),
            ),
            val_dataloader=val_loader,
            test_dataloader=val_loader,
            val_evaluator=evaluator,
            test_evaluator=evaluator,
            default_hooks=dict(checkpoint=save),
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


def train(cfg: Config) -> Runner:
    """Run a training, without the versions of compilers and the formatted config in its log."""
    import mmengine.runner.runner

    torch.set_num_threads(1)
    mmengine.runner.runner.collect_env = dict
    Config.pretty_text = ''
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


class Forked:
    """A function that runs in a process forked from this one, in a group of its own."""

    def __init__(self, function: Callable[[], object], log: Path) -> None:
        self.log = log
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            return
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = sys.stderr = os.fdopen(1, 'w', buffering=1)  # instead of pytest's
        code = 1
        try:
            function()
            code = 0
        except BaseException:  # nothing may get past _exit into pytest's frames
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def ended(self) -> bool:
        """Whether it has ended by now; if so, its process is gone."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """Kill it and all that it has started, without any warning."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # between fork and setsid
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code; minus the signal's number if it was killed. Workers are killed."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return code

    def succeeds(self) -> None:
        assert self.wait() == 0, self.log.read_text()[-4000:]
