"""check_metainfo: sizes, flips and names."""

from typing import Any

import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hrnet_plugin.checks import check_metainfo


def metainfo(**changes: Any) -> dict[str, Any]:
    points = {
        0: dict(name='nose', swap=''),
        1: dict(name='left_eye', swap='right_eye'),
        2: dict(name='right_eye', swap='left_eye'),
    }
    raw = dict(
        dataset_name='faces',
        keypoint_info=points,
        skeleton_info={0: dict(link=('left_eye', 'right_eye'))},
        joint_weights=[1.0] * 3,
        sigmas=[0.1] * 3,
    )
    for i, swap in changes.pop('swaps', {}).items():
        points[i]['swap'] = swap
    return parse_pose_metainfo(raw | changes)


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (metainfo(sigmas=[0.1] * 4), '3 keypoints, but 4 sigmas'),
        (metainfo(sigmas=[0.1, 0, 0.1]), 'sigmas are not all above 0'),
        (metainfo(joint_weights=[1.0]), '3 keypoints, but 1 joint_weights'),
        (metainfo(swaps={2: ''}), "'left_eye' is swapped with 'right_eye', but that with"),
        (metainfo() | dict(flip_indices=[0, 2, 5]), 'swapped with 5, but there are only 3'),
        (metainfo() | dict(flip_indices=[0, 2]), '3 keypoints, but 2 flip_indices'),
        (metainfo() | dict(flip_pairs=[]), 'flip_pairs and flip_indices say different things'),
        (metainfo() | dict(skeleton_links=[(0, 3)]), 'but there are only 3'),
        (metainfo() | dict(keypoint_id2name={1: 'nose'}), 'are not numbered 0 to 2'),
        (metainfo(swaps={1: '', 2: ''}), "'left_eye' and 'right_eye' have no `swap`"),
        ({}, 'no num_keypoints'),
    ],
)
def test_mistakes(info: dict[str, Any], message: str) -> None:
    found = check_metainfo('train_dataloader', info)
    assert message in '\n'.join(map(str, found))


def test_valid_metainfo_passes() -> None:
    assert check_metainfo('train_dataloader', metainfo()) == []


def named(*names: str, **swaps: str) -> dict[str, Any]:
    points = {i: dict(name=n, swap=swaps.get(n, '')) for i, n in enumerate(names)}
    return parse_pose_metainfo(
        dict(
            dataset_name='faces',
            keypoint_info=points,
            skeleton_info={},
            joint_weights=[1.0] * len(names),
            sigmas=[0.1] * len(names),
        )
    )


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (named('nose', 'eyeL', 'eyeR'), "'eyeL' and 'eyeR' have no `swap`, although their names"),
        (named('lEye', 'rEye', 'Lear', 'Rear'), "'lEye' and 'rEye', 'Lear' and 'Rear' have no"),
        (named('eye_l', 'ear_r'), "by name: mirrored images keep its side: 2x (keypoint 'eye_l'"),
        (
            named(
                'eyeL', 'eyeR', 'earL', 'earR', eyeL='earR', earR='eyeL', eyeR='earL', earL='eyeR'
            ),
            "'eyeL' is swapped with 'earR'; by its name, it should be 'eyeR'",
        ),
    ],
)
def test_sides_in_names(info: dict[str, Any], message: str) -> None:
    found = check_metainfo('train_dataloader', info)
    assert message in '\n'.join(map(str, found))
    assert not any(finding.is_error for finding in found)


@pytest.mark.parametrize(
    'info',
    [named('lip', 'rib', 'ear'), named('L1', 'L2'), named('tailL', 'x', tailL='x', x='tailL')],
)
def test_names_without_sides_pass(info: dict[str, Any]) -> None:
    assert check_metainfo('train_dataloader', info) == []
