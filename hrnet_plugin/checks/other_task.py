"""Recognise configs of segmentation, detection and classification."""

from collections.abc import Mapping
from typing import Any

# Packages whose configs their own tools run, and their projects; MMPose's tools run all others.
TASK_PACKAGES = dict(mmseg='MMSegmentation', mmdet='MMDetection', mmpretrain='MMPretrain')
POSE_SCOPES = ('mmpose', 'hrnet_plugin')


def explain_other_task(config: Mapping[str, Any]) -> str | None:
    """Say what a config is for, and what runs it, if that is not pose estimation.

    Args:
        config: A config.

    Returns:
        The explanation; None for a config of MMPose, and of packages that are not known.

    Example:
        >>> print(explain_other_task(dict(default_scope='mmseg', model=dict(type='SegFormer'))))
        it is a config of MMSegmentation (default_scope='mmseg', model SegFormer), not of pose...
    """
    scope, model = config.get('default_scope'), config.get('model')
    kind = model.get('type') if isinstance(model, Mapping) else None
    if not isinstance(scope, str) or scope not in TASK_PACKAGES:
        return None
    if isinstance(kind, str) and kind.partition('.')[0] in POSE_SCOPES:
        return None
    return (
        f'it is a config of {TASK_PACKAGES[scope]} (default_scope={scope!r}, model {kind}), not '
        'of pose estimation; `mim train hrnet_plugin CONFIG` and `mim test` run it'
    )
