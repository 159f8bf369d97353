"""check_mpii: annotations in MPII's format, and boxes of heads."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from support.annotation_files import Edit, K, mpii_annotations, written

from hrnet_plugin.checks import check_mpii


def mpii_with(**changes: Any) -> list[dict[str, Any]]:
    content = mpii_annotations()
    content[1].update(changes)
    return content


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda p: p[1].pop('scale'), 'not all of image, center, scale'),
        (lambda p: p[1].update(scale=0), 'the scale is not above 0: 1x (entry 1)'),
        (lambda p: p[1].update(image='a.jpg'), 'the name of the image is not a number'),
        (lambda p: p[1].update(joints=[[1, 2]] * 4), '4 keypoints, but'),
        (lambda p: p[1].update(joints=[[1, 2], [3, 4], [5]]), 'other than pairs of numbers'),
        (lambda p: p[1].update(joints_vis=[1]), 'joints_vis has not one number for each'),
        (lambda p: p.clear(), 'no instance in it can be used'),
    ],
)
def test_mistakes(tmp_path: Path, edit: Edit, message: str) -> None:
    content = mpii_annotations()
    edit(content)
    instances = check_mpii(written(tmp_path, content), K)
    assert message in '\n'.join(map(str, instances.findings))
    assert instances.usable.tolist() == ([0, 2] if content else [])


def test_heads(tmp_path: Path) -> None:
    path, heads = written(tmp_path, mpii_annotations()), str(tmp_path / 'heads.mat')
    assert 'does not exist' in str(check_mpii(path, K, heads).findings)
    savemat(heads, dict(headboxes_src=np.zeros((2, 2, 4))))
    assert '4 heads, but the annotations have 3 instances' in str(
        check_mpii(path, K, heads).findings
    )
    savemat(heads, dict(headboxes_src=np.zeros((4, 3))))
    assert 'headboxes_src has shape (4, 3); exp' in str(check_mpii(path, K, heads).findings)
    savemat(heads, dict(headboxes_src=np.zeros((2, 2, 3))))
    assert check_mpii(path, K, heads).findings == []


@pytest.mark.parametrize(
    'damage',
    [
        lambda whole: b'',
        lambda whole: whole[:60],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:200] + bytes(40) + whole[240:],
        lambda whole: b'<html>not found</html>' * 20,
        lambda whole: b'MATLAB 7.3 MAT-file'.ljust(124) + b'\0\2IM\x89HDF',
    ],
    ids=['empty', 'header cut', 'cut', 'corrupt', 'another format', 'HDF5'],
)
def test_heads_of_a_damaged_file(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    heads = tmp_path / 'heads.mat'
    boxes = np.random.default_rng(0).random((2, 2, 3))
    savemat(heads, dict(headboxes_src=boxes), do_compression=True)
    heads.write_bytes(damage(heads.read_bytes()))
    (finding,) = check_mpii(written(tmp_path, mpii_annotations()), K, str(heads)).findings
    # With what scipy says, which is not ours to prescribe
    assert re.search(r'cannot be read as a MATLAB file before version 7\.3 \(\w+: .', str(finding))


def test_heads_under_another_name(tmp_path: Path) -> None:
    heads = str(tmp_path / 'heads.mat')
    savemat(heads, dict(headboxes=np.zeros((2, 2, 3))))
    findings = check_mpii(written(tmp_path, mpii_annotations()), K, heads).findings
    assert 'it has no headboxes_src, but headboxes' in str(findings)


def test_joints_in_fractions(tmp_path: Path) -> None:
    content = mpii_annotations()
    for row in content:
        row['joints'] = [[0.2, 0.3], [0.4, 0.5], [-1, -1]]
    (finding,) = check_mpii(written(tmp_path, content), K).findings
    assert 'the keypoints are in fractions of the image (0 to 1)' in finding.message
    assert finding.count == 3


@pytest.mark.parametrize('value', [None, math.nan])
def test_unlabelled_coordinates_may_be_anything(tmp_path: Path, value: Any) -> None:
    instances = check_mpii(
        written(tmp_path, mpii_with(joints=[[20, 30], [40, 50], [value] * 2])), K
    )
    assert instances.findings == []
    assert instances.usable.tolist() == [0, 1, 2]
    instances = check_mpii(
        written(tmp_path, mpii_with(joints=[[20, 30], [value] * 2, [-1, -1]])), K
    )
    (finding,) = instances.findings
    assert 'pairs of numbers, finite where they are labelled: 1x (entry 1)' in str(finding)
    instances = check_mpii(written(tmp_path, mpii_with(joints_vis=[1, 1, value])), K)
    (finding,) = instances.findings
    assert 'joints_vis has not one number for each joint: 1x (entry 1)' in str(finding)
