"""The One-Euro filter against its formula by hand, and its purpose."""

import math

import numpy as np
import pytest

from hrnet_plugin.functional import OneEuroFilter


def test_three_values_by_hand():
    # T = 1/(2 pi), so that a = f / (f + 1). Speed cutoff 1: a = 1/2; f_min = 1, beta = 1/(2 pi).
    step = 1 / (2 * math.pi)
    smooth = OneEuroFilter(min_cutoff=1, beta=step, speed_cutoff=1)
    assert smooth(np.array(0.0), 0) == 0
    # v = 2 pi * 4; v^ = half of it; f = 1 + 2 = 3; a = 3/4
    assert smooth(np.array(4.0), step) == pytest.approx(3)
    # v = 2 pi * (4 - 3); v^ = 2 pi * (2 + 1) / 2; f = 1 + 1.5 = 2.5; a = 5/7
    assert smooth(np.array(4.0), 2 * step) == pytest.approx(3 + 5 / 7)


def test_steps_may_differ():
    # beta = 0 makes it a plain low-pass: one step of 2 T is a = 2 / (2 + 1).
    step = 1 / (2 * math.pi)
    smooth = OneEuroFilter(min_cutoff=1, beta=0)
    smooth(np.zeros(2), 0)
    np.testing.assert_allclose(smooth(np.array([3.0, 6.0]), 2 * step), [2, 4])


def test_reduces_jitter_at_rest_and_hardly_lags_in_motion():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (300, 17, 2))
    still = OneEuroFilter()
    moving = OneEuroFilter()
    speed, unit = 150, 100  # pixels per second, of a person 100 pixels large
    jitter, lag = [], []
    for i, n in enumerate(noise):
        jitter.append(still(n, i / 30, unit))
        lag.append(moving(np.full((17, 2), speed * i / 30), i / 30, unit) - speed * i / 30)
    assert np.std(jitter[30:]) < 0.5
    assert np.abs(lag[30:]).max() < 4


def test_near_and_far_instances_are_smoothed_alike():
    rng = np.random.default_rng(1)
    far, near = OneEuroFilter(), OneEuroFilter()
    for i, value in enumerate(rng.normal(0, 5, (20, 17, 2))):
        a, b = far(value, i / 25, unit=40), near(7 * value, i / 25, unit=280)
        np.testing.assert_allclose(7 * a, b)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(min_cutoff=0), 'min_cutoff is 0'),
        (dict(speed_cutoff=-1), 'speed_cutoff is -1'),
        (dict(beta=-1), 'beta is -1'),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        OneEuroFilter(**options)


def test_refuses_an_earlier_time_and_another_shape():
    smooth = OneEuroFilter()
    smooth(np.zeros(3), 1)
    with pytest.raises(ValueError, match='time is 1 s after 1 s'):
        smooth(np.zeros(3), 1)
    with pytest.raises(ValueError, match=r'shape \(4,\); expected \(3,\)'):
        smooth(np.zeros(4), 2)
