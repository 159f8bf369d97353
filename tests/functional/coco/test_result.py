"""What an evaluation returns: the same values by attribute, by COCO's names and in print."""

import copy
import dataclasses
import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from support.coco_scenes import AREAS, make_scene

from hrnet_plugin.functional import KeypointEvaluation, KeypointMatches, evaluate_coco_keypoints

KEYS = {
    'AP': 'ap',
    'AP50': 'ap50',
    'AP75': 'ap75',
    'APM': 'ap_medium',
    'APL': 'ap_large',
    'AR': 'ar',
    'AR50': 'ar50',
    'AR75': 'ar75',
    'ARM': 'ar_medium',
    'ARL': 'ar_large',
    'precision': 'precision',
    'recall': 'recall',
    'scores': 'scores',
    'OKS': 'oks',
    'matches': 'matches',
}
MATCHES = {
    'dt': 'detection',
    'gt': 'matched_annotation',
    'gt_row': 'annotation',
    'dt_ignore': 'detection_ignored',
    'gt_ignore': 'annotation_ignored',
}


@pytest.fixture(scope='module')
def result() -> KeypointEvaluation:
    return make_scene(2).ours()


def test_every_attribute_has_cocos_name(result):
    assert isinstance(result, Mapping)
    assert list(result) == list(result.keys()) == list(result.to_dict()) == list(KEYS)
    for key, attribute in KEYS.items():
        assert key in result
        assert result[key] is getattr(result, attribute)
    # Ten values that differ, so that none can stand for another
    assert len({result[key] for key in list(KEYS)[:10]}) > 7
    assert list(result.matches) == list(MATCHES)
    for key, attribute in MATCHES.items():
        assert result.matches[key] is getattr(result.matches, attribute)
    with pytest.raises(KeyError):
        result['AP_small']
    assert result.get('AP_small', 7) == 7


def test_to_dict_is_plain(result):
    values = result.to_dict()
    assert type(values) is type(values['matches']) is dict
    assert type(values['AP']) is float
    assert {**result}.keys() == dict(result).keys() == values.keys()
    assert type(result['matches']) is KeypointMatches


def test_other_area_ranges_go_by_their_names():
    scene = make_scene(2)
    plain = scene.ours()
    ranges = dict(small=(0, 32**2), **AREAS)
    ours = evaluate_coco_keypoints(scene.gt, scene.dt, area_ranges=ranges)
    assert list(ours)[4:7] == ['APL', 'AP_small', 'AR']
    assert list(ours)[10:13] == ['ARL', 'AR_small', 'precision']
    assert ours['AP_small'] == ours.ap_by_area['small'] != ours.ap
    assert list(ours.ar_by_area) == list(ranges)
    assert ours.ar_by_area['large'] == ours.ar_large == plain.ar_large
    only = evaluate_coco_keypoints(scene.gt, scene.dt, area_ranges=dict(all=AREAS['all']))
    assert (only.ap, only.ap_medium, only['ARL']) == (plain.ap, -1, -1)


def test_matches_only_if_asked_for():
    scene = make_scene(2)
    ours = evaluate_coco_keypoints(scene.gt, scene.dt)
    assert ours.matches is None
    assert 'matches' not in ours
    assert list(ours) == list(KEYS)[:-1]
    assert len(ours) == len(KEYS) - 1


def test_prints_as_a_table(result):
    header, *rows = str(result).splitlines()
    assert header.split() == ['metric', 'OKS', 'area', 'max_dets', 'value']
    values = [f'{result[key]:.3f}' for key in list(KEYS)[:10]]
    assert [row.split()[-1] for row in rows] == values
    assert rows[1].split() == ['average', 'precision', '0.50', 'all', '20', values[1]]
    assert rows[8].split() == ['average', 'recall', '0.50:0.95', 'medium', '20', values[8]]
    assert 'ap_large=' in repr(result)
    assert 'precision=' not in repr(result)  # as arrays are long


def test_is_frozen_and_can_be_copied(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.ap = 1.0
    with pytest.raises(TypeError):
        result['AP'] = 1.0
    for again in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert again.ap == result.ap
        np.testing.assert_array_equal(again['matches']['gt'], result.matches.matched_annotation)
