"""Configs of other tasks are recognised, and those of pose estimation are not taken for one."""

from typing import Any

import pytest

from hrnet_plugin.checks.other_task import TASK_PACKAGES, explain_other_task


@pytest.mark.parametrize('scope', TASK_PACKAGES)
def test_names_the_package_and_what_runs_it(scope: str) -> None:
    text = explain_other_task(dict(default_scope=scope, model=dict(type='Some')))
    assert text is not None
    assert f"of {TASK_PACKAGES[scope]} (default_scope='{scope}', model Some), not of pose" in text
    assert '`mim train hrnet_plugin CONFIG`' in text


@pytest.mark.parametrize(
    'config',
    [
        dict(model=dict(type='TopdownPoseEstimator')),
        dict(default_scope='mmpose', model=dict(type='TopdownPoseEstimator')),
        dict(default_scope='mmdet', model=dict(type='mmpose.TopdownPoseEstimator')),
        dict(default_scope='mmdet', model=dict(type='hrnet_plugin.TopdownPoseEstimator')),
        dict(default_scope='of_somebody', model=dict(type='Some')),
        dict(default_scope=['mmdet'], model=3),
    ],
    ids=str,
)
def test_any_other(config: dict[str, Any]) -> None:
    assert explain_other_task(config) is None
