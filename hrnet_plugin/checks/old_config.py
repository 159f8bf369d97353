"""Recognise configs of MMPose 0.x, and say what 1.x calls their parts."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

# What replaces a name at the top level, or in `data` and `model`
KEYS = {
    'data': 'train_dataloader, val_dataloader, test_dataloader = dict(batch_size=…, '
    'num_workers=…, sampler=…, dataset=dict(…, pipeline=…))',
    'samples_per_gpu': 'batch_size of a dataloader',
    'workers_per_gpu': 'num_workers of a dataloader',
    'data_cfg': 'a codec, as encoder of GenerateTarget and decoder of the head',
    'optimizer': 'optim_wrapper = dict(optimizer=…)',
    'optimizer_config': 'optim_wrapper = dict(clip_grad=…)',
    'lr_config': 'param_scheduler = [dict(type=…), …]',
    'runner': 'train_cfg = dict(by_epoch=True, max_epochs=…)',
    'total_epochs': 'train_cfg = dict(by_epoch=True, max_epochs=…)',
    'checkpoint_config': "default_hooks = dict(checkpoint=dict(type='CheckpointHook', …))",
    'log_config': "default_hooks = dict(logger=dict(type='LoggerHook', …))",
    'evaluation': 'val_evaluator, and train_cfg = dict(val_interval=…)',
    'dist_params': 'env_cfg = dict(dist_cfg=…)',
    'workflow': 'nothing: train_cfg and val_cfg say what runs',
    'keypoint_head': 'head of the model',
    'pretrained': "init_cfg=dict(type='Pretrained', checkpoint=…) of the backbone",
}
TYPES = {
    'TopDown': 'TopdownPoseEstimator',
    'AssociativeEmbedding': 'BottomupPoseEstimator',
    'TopdownHeatmapSimpleHead': 'HeatmapHead',
    'TopdownHeatmapMultiStageHead': 'CPMHead or MSPNHead',
    'DeepposeRegressionHead': 'RegressionHead',
    'AESimpleHead': 'AssociativeEmbeddingHead',
    'JointsMSELoss': 'KeypointMSELoss',
    'JointsOHKMMSELoss': 'KeypointOHKMMSELoss',
    'TopDownCocoDataset': 'CocoDataset',
    'TopDownCrowdPoseDataset': 'CrowdPoseDataset',
    'TopDownMpiiDataset': 'MpiiDataset',
    'TopDownAicDataset': 'AicDataset',
    'TopDownRandomFlip': 'RandomFlip',
    'TopDownHalfBodyTransform': 'RandomHalfBody',
    'TopDownGetBboxCenterScale': 'GetBBoxCenterScale',
    'TopDownGetRandomScaleRotation': 'RandomBBoxTransform',
    'TopDownRandomShiftBboxCenter': 'RandomBBoxTransform',
    'TopDownAffine': 'TopdownAffine',
    'TopDownGenerateTarget': 'GenerateTarget, whose encoder is a codec',
    'NormalizeTensor': "model.data_preprocessor = dict(type='PoseDataPreprocessor', …)",
    'ToTensor': 'nothing: PackPoseInputs does it',
    'Collect': 'PackPoseInputs',
}
# A config with one of these is of 1.x, whatever else it holds.
OF_1_X = {
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'default_hooks',
    'default_scope',
}
# Names that a config of 1.x may use for its own purposes
COMMON = {'data', 'runner', 'evaluation', 'pretrained', 'optimizer', 'data_cfg'}


def explain_old_config(config: Mapping[str, Any] | str) -> str | None:
    """Say what to write in 1.x instead of a config of MMPose 0.x.

    Args:
        config: A config, or the text of one, such as when its bases cannot be read.

    Returns:
        The explanation; None for a config of 1.x and for anything else.
    """
    keys, types = _of_text(config) if isinstance(config, str) else _of_config(config)
    old = [f'{key}: {KEYS[key]}' for key in KEYS if key in keys]
    old_types = [f'{name}: {TYPES[name]}' for name in TYPES if name in types]
    if keys & OF_1_X or not (old_types or keys & (KEYS.keys() - COMMON)):
        return None
    return '\n'.join(
        ['this is a config of MMPose 0.x; in MMPose 1.x it is written otherwise:']
        + [f'    {line}' for line in old + old_types]
        + ['the configs of hrnet_plugin are examples; `hrnet-plugin convert` converts weights']
    )


def _of_config(config: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return keys at the top and in ``data`` and ``model``, and all types."""
    keys = set(config)
    for part in ('data', 'model'):
        if isinstance(config.get(part), Mapping):
            keys |= set(config[part])
    return keys, set(_types(dict(config)))


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get('type'), str):
            yield value['type']
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _types(item)


def _of_text(text: str) -> tuple[set[str], set[str]]:
    """Return the same of a text, which is only parsed; nothing if it is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # Python 3.10 raises the latter for null bytes
        return set(), set()
    keys, types = set(), set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            names = {t.id for t in statement.targets if isinstance(t, ast.Name)}
            keys |= names
            if names & {'data', 'model'} and isinstance(statement.value, ast.Call):
                keys |= {k.arg for k in statement.value.keywords if k.arg}
    for node in ast.walk(tree):
        pairs: list[tuple[Any, ast.expr]] = []
        if isinstance(node, ast.keyword) and node.arg == 'type':
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(k, 'value', None), v) for k, v in zip(node.keys, node.values)]
        types |= {
            v.value
            for name, v in pairs
            if name == 'type' and isinstance(v, ast.Constant) and isinstance(v.value, str)
        }
    return keys, types
