"""Write settings as a config that `mim train` runs, too, from any folder."""

import math
from pathlib import Path
from typing import Any

from .config_text import Code, Section, format_config
from .derive import HEATMAP_STRIDE
from .recipes import read_data, read_model
from .settings import Settings

HERE = '{{ fileDirname }}'  # which MMEngine replaces by the folder of the config
EVALUATOR = Code('val_evaluator')
BACKENDS = {
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'WandbVisBackend',
    'mlflow': 'MLflowVisBackend',
}


def config_source(settings: Settings, work_dir: Path) -> str:
    """Return the source of the config of a training.

    Args:
        settings: All settings of the training.
        work_dir: Folder of the config; files in it are named relative to the config.
    """
    s = settings
    docstring = (
        f'{s.options.arch} for {s.num_keypoints} keypoints, written by `hrnet-plugin train`.\n\n'
        'Comments say where derived values come from. To train with it otherwise:\n'
        'mim train hrnet_plugin config.py\n'
    )
    runtime = Section(
        ["MMPose's runtime, with the plugin imported as soon as this file is read"],
        dict(
            _base_='mmpose::_base_/default_runtime.py',
            custom_imports=dict(imports=['hrnet_plugin'], allow_failed_imports=False),
        ),
    )
    keypoints = Section(
        [f'Keypoints: from {s.reasons["metainfo"]}'], dict(metainfo=dict(s.metainfo))
    )
    return format_config(
        docstring,
        [runtime, keypoints, *_data(s, work_dir), _model(s), *_training(s), _hooks(s)],
    )


def _data(s: Settings, work_dir: Path) -> list[Section]:
    width, height = s.input_size
    published = read_data()
    codec = published['codec'] | dict(
        input_size=s.input_size,
        heatmap_size=(width // HEATMAP_STRIDE, height // HEATMAP_STRIDE),
        sigma=s.sigma,
        variant=s.options.codec,
    )
    changes: dict[str, dict[str, Any]] = {
        name: dict(o) for name, o in s.recipe.augmentation.items()
    }
    changes['TopdownAffine'] = dict(input_size=Code("codec['input_size']"))
    if s.options.codec == 'udp':
        changes['TopdownAffine']['use_udp'] = True
    changes['GenerateTarget'] = dict(encoder=Code('codec'))
    left_out = set() if s.mirrors else {'RandomFlip'}
    left_out |= set() if s.half_bodies else {'RandomHalfBody'}

    def pipeline(name: str) -> list[dict[str, Any]]:
        return [
            step | changes.get(step['type'], {})
            for step in published[f'{name}_pipeline']
            if step['type'] not in left_out
        ]

    def named(path: Path) -> str:
        return f'{HERE}/{path.relative_to(work_dir)}' if work_dir in path.parents else str(path)

    def loader(name: str) -> dict[str, Any]:
        annotations = getattr(s, name)
        loader = dict(published[f'{name}_dataloader'], num_workers=s.workers)
        if name == 'train':
            loader['batch_size'] = s.batch_size
        loader['dataset'] = dict(
            type=Code('dataset_type'),
            ann_file=named(annotations.path),
            data_prefix=dict(img=f'{named(annotations.images)}/'),
            metainfo=Code('metainfo'),
            data_mode=Code('data_mode'),
            pipeline=Code(f'{name}_pipeline'),
        )
        if name == 'val':
            loader['dataset']['test_mode'] = True
        return loader

    without = [f'{step} is left out' for step in sorted(left_out)]
    return [
        Section(
            [
                f'Input: {width} wide x {height} high; {s.reasons["input_size"]}.',
                f'Sigma: 2 of heatmaps for inputs of up to 256, as published. '
                f'Targets: {s.options.codec}',
            ],
            dict(data_mode='topdown', codec=codec),
        ),
        Section(
            [
                f'Mirroring: {s.reasons["mirrors"]}.',
                *(['; '.join(without)] if without else []),
            ],
            dict(train_pipeline=pipeline('train'), val_pipeline=pipeline('val')),
        ),
        Section(
            [
                f'{s.train.num_instances} instances for training, in {s.train.num_images} images.',
                f'Batch: {s.reasons["batch_size"]}. Workers: by the number of cores',
            ],
            dict(dataset_type='CocoDataset', train_dataloader=loader('train')),
        ),
        Section(
            [
                f'{s.val.num_instances} instances for validation, in {s.val.num_images} images: '
                f'{s.reasons["val"]}. Boxes are the annotated ones'
            ],
            dict(
                val_dataloader=loader('val'),
                test_dataloader=Code('val_dataloader'),
                val_evaluator=dict(type='hrnet_plugin.OKSMetric', ann_file=named(s.val.path)),
                test_evaluator=EVALUATOR,
                val_cfg=dict(),
                test_cfg=dict(),
            ),
        ),
    ]


def _model(s: Settings) -> Section:
    model = read_model(s.options.arch)
    backbone, head = model['backbone'], model['head']
    if s.processes == 1:
        backbone.pop('norm_cfg', None)  # SyncBN, which synchronises nothing then
    if s.weights.backbone is not None:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=s.weights.backbone)
    head |= dict(out_channels=s.num_keypoints, decoder=Code('codec'))
    if s.weights.new_final_layer:
        head['reset_final_layer'] = True
    model['test_cfg'] = (
        dict(flip_test=True, flip_mode='heatmap', shift_heatmap=s.options.codec != 'udp')
        if s.mirrors
        else dict(flip_test=False)
    )
    order = ('type', 'data_preprocessor', 'backbone', 'head', 'test_cfg')
    return Section(
        [f'Model: starts from {s.weights.description}'],
        dict(
            model={name: model[name] for name in order} | dict(train_cfg=dict(compute_acc=True)),
            load_from=s.weights.load_from,
        ),
    )


def _training(s: Settings) -> list[Section]:
    optimizer = dict(s.recipe.optimizer, lr=s.learning_rate)
    wrapper: dict[str, Any] = dict(type='OptimWrapper', optimizer=optimizer)
    if s.recipe.paramwise:
        wrapper['paramwise_cfg'] = dict(s.recipe.paramwise)
    if s.precision == 'bfloat16':
        wrapper['type'] = 'hrnet_plugin.AutocastOptimWrapper'
    elif s.precision == 'float16':
        wrapper |= dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    plan = s.schedule
    schedulers: list[dict[str, Any]] = []
    if plan.warmup:
        schedulers.append(
            dict(type='LinearLR', begin=0, end=plan.warmup, start_factor=0.001, by_epoch=False)
        )
    if plan.milestones:
        schedulers.append(
            dict(type='MultiStepLR', milestones=list(plan.milestones), gamma=0.1, by_epoch=True)
        )
    lines = [
        f'Epochs: {s.reasons["epochs"]}.',
        f'Learning rate: {s.reasons["learning_rate"]}; warm-up and milestones as far as published',
    ]
    if 'precision' in s.reasons:
        lines.append(f'Precision: {s.precision}; {s.reasons["precision"]}')
    training = Section(
        lines,
        dict(
            max_epochs=plan.epochs,
            train_cfg=dict(
                by_epoch=True, max_epochs=Code('max_epochs'), val_interval=plan.val_interval
            ),
            optim_wrapper=wrapper,
            param_scheduler=schedulers,
        ),
    )
    seed = Section(
        ['Weights, order and augmentation follow from it'],
        dict(randomness=dict(seed=s.options.seed)),
    )
    return [training, seed]


def _hooks(s: Settings) -> Section:
    steps = math.ceil(s.schedule.iterations / s.schedule.epochs)
    return Section(
        [
            'A run that is killed at any moment and resumed ends with the same weights; the best',
            'checkpoint by AP is kept beside the last ones',
        ],
        dict(
            default_hooks=dict(
                logger=dict(interval=min(50, steps)),
                checkpoint=dict(
                    type='hrnet_plugin.AtomicCheckpointHook',
                    interval=s.schedule.val_interval,
                    max_keep_ckpts=2,
                    save_best='coco/AP',
                    rule='greater',
                ),
                exact_resume=dict(type='hrnet_plugin.ExactResumeHook'),
                preflight=dict(type='hrnet_plugin.PreflightHook'),
                curves=dict(type='hrnet_plugin.CurvesHook'),
            ),
            vis_backends=[
                dict(type='LocalVisBackend'),
                *(dict(type=BACKENDS[name]) for name in s.options.logger),
            ],
            visualizer=dict(type='PoseLocalVisualizer', vis_backends=Code('vis_backends')),
        ),
    )
