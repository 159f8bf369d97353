"""Rules by which settings follow from data, derived by hand."""

import math

import numpy as np
import pytest

from hrnet_plugin.apis.training import derive
from hrnet_plugin.apis.training.derive import Recipe

ADAM = Recipe(
    optimizer=dict(type='Adam', lr=5e-4),
    paramwise=None,
    batch_size=512,
    epochs=210,
    warmup=500,
    milestones=(170, 200),
    augmentation={},
)


def test_usable_instances() -> None:
    """As MMPose keeps them: a box with a size, a labelled keypoint, no crowd."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 0], [0, 0, 9, 9], [0, 0, 9, 9]], float)
    keypoints = np.zeros((4, 2, 3))
    keypoints[[0, 1, 3], 1, 2] = 1  # the third has no labelled keypoint
    assert derive.usable_instances(boxes, keypoints, np.array([0, 0, 0, 1])).tolist() == [
        *(True, False, False, False)
    ]


def test_median_aspect_is_of_ratios_not_of_sides() -> None:
    boxes = np.array([[0, 0, 10, 20], [3, 4, 90, 100], [0, 0, 5, 20]], float)
    assert derive.median_aspect(boxes) == 0.5  # of 0.5, 0.9, 0.25


@pytest.mark.parametrize(
    ('aspect', 'expected'),
    [
        (0.75, (192, 256)),  # as published
        (1.0, (224, 224)),  # sqrt(49152) = 221.7
        (0.5, (160, 320)),  # 156.8 and 313.5
        (2.0, (320, 160)),
        (4.0, (448, 96)),  # 443.4; 110.9 is nearer to 96 than to 128
        (100.0, (448, 96)),  # as an aspect of 4
        (0.001, (96, 448)),
    ],
)
def test_input_size(aspect: float, expected: tuple[int, int]) -> None:
    assert derive.input_size(aspect) == expected


@pytest.mark.parametrize(
    ('size', 'sigma'),
    [((192, 256), 2), ((288, 384), 3), ((256, 256), 2), ((64, 96), 2), ((224, 288), 2.25)],
)
def test_sigma(size: tuple[int, int], sigma: float) -> None:
    assert derive.heatmap_sigma(size) == sigma


class TestBatch:
    @pytest.mark.parametrize(
        ('instances', 'memory', 'processes', 'expected', 'reason'),
        [
            (100_000, 1000, 1, 64, 'as published'),
            (100_000, 100, 1, 32, 'half of the memory'),  # 50 instances fit
            (400, 1000, 1, 32, 'iterations an epoch'),  # 40
            (400, 1000, 2, 16, 'iterations an epoch'),  # 200 for each process: 20
            (50, 1000, 1, 8, 'iterations an epoch'),  # not 5: batch norms need some
            (5, 1000, 1, 4, 'the size of the data'),
            (1, 1000, 1, 1, 'the size of the data'),
            (100_000, 0.5, 1, 1, 'half of the memory'),  # not even one fits
        ],
    )
    def test_limits(
        self, instances: int, memory: float, processes: int, expected: int, reason: str
    ) -> None:
        batch, why = derive.batch_size(instances, 1, memory, processes)
        assert batch == expected
        assert reason in why

    def test_is_never_larger_than_the_data(self) -> None:
        for instances in range(1, 200):
            batch, _ = derive.batch_size(instances, 1, 1e9)
            assert batch <= instances
            assert math.log2(batch).is_integer()


class TestLearningRate:
    SEEN = 149_813 * 210  # COCO, as published

    def test_is_the_published_one_at_the_published_batch(self) -> None:
        assert derive.learning_rate(ADAM, 512, self.SEEN) == 5e-4

    def test_scales_with_the_root_of_the_batch(self) -> None:
        assert derive.learning_rate(ADAM, 128, self.SEEN) == 2.5e-4
        assert derive.learning_rate(ADAM, 2048, self.SEEN) == 1e-3
        assert derive.learning_rate(ADAM, 2, 2 * self.SEEN) == 3.1e-5  # 3.125e-5

    def test_is_larger_where_less_is_seen(self) -> None:
        """Half of the rate for a sixteenth of the batch and a quarter of the instances."""
        assert derive.learning_rate(ADAM, 32, self.SEEN // 4) == 2.5e-4

    def test_never_beyond_the_published_one(self) -> None:
        assert derive.learning_rate(ADAM, 16, 160 * 15) == 5e-4
        assert derive.learning_rate(ADAM, 2048, 160 * 15) == 1e-3  # but as scaled by the batch


class TestSchedule:
    def test_as_published(self) -> None:
        """5,120 instances in batches of 512: 10 steps; 2,100 iterations."""
        plan = derive.schedule(5_120, 512, ADAM)
        assert (plan.epochs, plan.iterations) == (210, 2_100)
        assert plan.milestones == (170, 200)
        assert plan.warmup == 210  # a tenth
        assert plan.val_interval == 7

    def test_small_data_are_repeated(self) -> None:
        """20 instances in batches of 8: 3 steps; 1,500 / 3."""
        plan = derive.schedule(20, 8, ADAM)
        assert (plan.epochs, plan.iterations) == (500, 1_500)
        assert plan.milestones == (405, 476)  # 170 and 200 of 210 are 404.8 and 476.2
        assert '210 epochs as published would be 630' in plan.reason

    def test_large_data_are_not(self) -> None:
        """150,000 in batches of 64: 2,344 steps; 60,000 / 2,344 = 25.6."""
        plan = derive.schedule(150_000, 64, ADAM)
        assert (plan.epochs, plan.iterations) == (25, 58_600)
        assert plan.milestones == (20, 24)
        assert (plan.warmup, plan.val_interval) == (500, 1)

    def test_huge_data_once(self) -> None:
        assert derive.schedule(10_000_000, 64, ADAM).epochs == 1

    def test_given_epochs(self) -> None:
        plan = derive.schedule(160, 16, ADAM, epochs=1)
        assert (plan.epochs, plan.iterations, plan.milestones, plan.reason) == (
            *(1, 10, (), 'as given'),
        )


@pytest.mark.parametrize(
    ('cores', 'processes', 'on_gpu', 'expected'),
    [(2, 1, False, 1), (16, 1, False, 4), (16, 1, True, 8), (8, 2, True, 3), (1, 4, True, 1)],
)
def test_workers(cores: int, processes: int, on_gpu: bool, expected: int) -> None:
    assert derive.num_workers(cores, processes, on_gpu) == expected


class TestSplit:
    def test_shares(self) -> None:
        train, val = derive.split(list(range(100)), seed=0)
        assert (len(train), len(val)) == (90, 10)
        assert sorted(train + val) == list(range(100))
        assert train == sorted(train)

    def test_follows_the_seed(self) -> None:
        first, again, other = (derive.split(list(range(100)), seed)[1] for seed in (0, 0, 1))
        assert first == again != other

    def test_each_gets_one(self) -> None:
        assert sorted(map(len, derive.split('ab', seed=0))) == [1, 1]
        with pytest.raises(ValueError, match='1 cannot be split'):
            derive.split('a', seed=0)
