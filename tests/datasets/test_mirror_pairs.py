"""Left and right by name, in the ways in which they are written."""

from pathlib import Path
from runpy import run_path

import mmpose
import pytest

from hrnet_plugin.datasets.mirror_pairs import find_mirror_pairs

SKELETONS = sorted(Path(mmpose.__file__).parent.glob('.mim/configs/_base_/datasets/*.py'))


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('left_eye', 'right_eye'),
        ('LEFT_EYE', 'RIGHT_EYE'),
        ('Left_Eye', 'right_eye'),
        ('LeftEye', 'RightEye'),
        ('leftEye', 'rightEye'),
        ('leftear', 'rightear'),
        ('eye_left', 'eye_right'),
        ('eyeleft', 'eyeright'),
        ('forelegLeft1', 'forelegRight1'),
        ('Left1', 'Right1'),
        ('left', 'right'),
        ('left_hand_left_finger', 'right_hand_right_finger'),
        ('left_eye_right_corner', 'right_eye_left_corner'),
        ('eyeL', 'eyeR'),
        ('eyeLTip', 'eyeRTip'),
        ('forelegL1', 'forelegR1'),
        ('lEye', 'rEye'),
        ('LEye', 'REye'),
        ('Lwrist', 'Rwrist'),
        ('LHIP', 'RHIP'),
        ('eye_l', 'eye_r'),
        ('L_eye', 'R_eye'),
        ('l.eye', 'r.eye'),
        ('eye(L)', 'eye(R)'),
        ('L1', 'R1'),
        ('l', 'r'),
        ('fl_paw', 'fr_paw'),
        ('pawFL', 'pawFR'),
        ('FLpaw', 'FRpaw'),
        ('RL', 'RR'),
        ('LR', 'RR'),
        ('lwrist', 'rwrist'),
        ('wristl', 'wristr'),
        ('左眼', '右眼'),
        ('눈_왼쪽', '눈_오른쪽'),
        ('linkes_Auge', 'rechtes_Auge'),
        ('œil_gauche', 'œil_droit'),
        ('main_gauche', 'main_droite'),
        ('ojo_izquierdo', 'ojo_derecho'),
        ('левый_глаз', 'правый_глаз'),
    ],
)
def test_pairs(left: str, right: str) -> None:
    pairs = find_mirror_pairs(['nose', right, left, 'tail'])
    assert pairs.mirrored == {left: right, right: left}
    assert pairs.sides == {left: 'left', right: 'right'}
    assert pairs.unpaired == ()


@pytest.mark.parametrize(
    'names',
    [
        ['lip', 'rib', 'ear', 'leg', 'nail', 'collar', 'rear'],
        ['upperlip', 'lowerlip', 'Rib', 'Leg', 'tailTip'],
        ['L1', 'L2', 'L5', 'S1', 'T12'],  # vertebrae
        ['cleft', 'bright', 'light'],
        ['kpt-0', 'kpt-1', '1', '2'],
        ['left_shoulder', 'right_shoulder', 'low', 'row'],
    ],
)
def test_no_false_pairs(names: list[str]) -> None:
    pairs = find_mirror_pairs(names)
    assert set(pairs.mirrored) == set(names) & {'left_shoulder', 'right_shoulder'}
    assert pairs.unpaired == ()


@pytest.mark.parametrize(
    ('names', 'mirrored', 'unpaired'),
    [
        (['eye_l', 'ear_r', 'nose'], [], ['eye_l', 'ear_r']),
        (['LeftEye', 'EyeRight'], [], ['LeftEye', 'EyeRight']),
        (['left_ear', 'right_ear', 'left_foot'], ['left_ear', 'right_ear'], ['left_foot']),
        (['left', 'light'], [], ['left']),
        (['light', 'right'], [], ['right']),
        (['Eyel', 'eyeL', 'eyeR'], ['eyeL', 'eyeR'], []),  # the same but for case
        (['左眼', '鼻'], [], ['左眼']),
    ],
)
def test_unpaired_names(names: list[str], mirrored: list[str], unpaired: list[str]) -> None:
    pairs = find_mirror_pairs(names)
    assert sorted(pairs.mirrored) == mirrored
    assert list(pairs.unpaired) == unpaired


def test_of_four_corners_each_has_one_partner() -> None:
    names = [f'{a}_eye_{b}_corner' for a in ('left', 'right') for b in ('left', 'right')]
    mirrored = find_mirror_pairs(names).mirrored
    assert mirrored == dict(zip(names, reversed(names)))
    assert find_mirror_pairs(['FL', 'FR', 'RL', 'RR']).mirrored == dict(
        FL='FR', FR='FL', RL='RR', RR='RL'
    )


def test_never_contradicts_a_published_skeleton() -> None:
    """A pair by name is always one of the published pairs; left and right words always pair."""
    num_mirrored = 0
    for path in SKELETONS:
        keypoints = run_path(str(path))['dataset_info']['keypoint_info'].values()
        swaps = {keypoint['name']: keypoint.get('swap', '') for keypoint in keypoints}
        if len(swaps) < len(keypoints):
            continue  # two of one name
        pairs = find_mirror_pairs(swaps)
        assert pairs.mirrored.items() <= swaps.items(), path
        assert pairs.unpaired == (), path
        with_side = {name for name in swaps if 'left' in name.lower() or 'right' in name.lower()}
        assert with_side <= set(pairs.mirrored), path
        num_mirrored += len(pairs.mirrored)
    assert num_mirrored > 800
