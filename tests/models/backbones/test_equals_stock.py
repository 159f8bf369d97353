"""Our backbones against stock MMPose's: outputs and gradients with copied weights, in float64."""

from typing import Any

import pytest
from support.model_checks import (
    SMALL,
    Pair,
    assert_same_outputs,
    assert_same_training,
    image,
    make_pair,
    one_block_lite,
    shapes,
)

from hrnet_plugin.models.families import FAMILIES

# 32 divides neither side of the second one, but its streams halve evenly: stock runs.
SIZES = [(64, 64), (62, 94)]
PUBLISHED_SIZES = [(256, 192), (384, 288)]
PUBLISHED = [
    *(('HRNet', arch) for arch in ('w32', 'w48')),
    *((family, arch) for family in ('LiteHRNet', 'HRFormer') for arch in FAMILIES[family].archs),
]


def size_id(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def pair_of(family: str, row: Any) -> Pair:
    return make_pair(family, row.extra | ({'drop_path_rate': 0.0} if family == 'HRFormer' else {}))


class TestSmall:
    @pytest.fixture(scope='class', params=SMALL)
    def pair(self, request: pytest.FixtureRequest) -> Pair:
        return pair_of(*SMALL[request.param])

    @pytest.mark.parametrize('size', SIZES, ids=size_id)
    def test_outputs(self, pair: Pair, size: tuple[int, int]) -> None:
        assert_same_outputs(pair, image(size))

    @pytest.mark.parametrize('size', SIZES, ids=size_id)
    def test_training(self, pair: Pair, size: tuple[int, int]) -> None:
        assert_same_training(pair, image(size))


@pytest.mark.slow
class TestPublished:
    @pytest.fixture(scope='class', params=PUBLISHED, ids='-'.join)
    def pair(self, request: pytest.FixtureRequest) -> Pair:
        family, arch = request.param
        return pair_of(family, FAMILIES[family].archs[arch])

    @pytest.mark.parametrize('size', PUBLISHED_SIZES, ids=size_id)
    def test_outputs(self, pair: Pair, size: tuple[int, int]) -> None:
        assert_same_outputs(pair, image(size))

    @pytest.mark.parametrize('size', PUBLISHED_SIZES, ids=size_id)
    def test_training(self, pair: Pair, size: tuple[int, int]) -> None:
        assert_same_training(pair, image(size))


@pytest.mark.parametrize(
    'changes',
    [
        dict(with_head=False),
        dict(with_fuse=(False, True, False)),
        dict(module_type=('naive', 'lite', 'Naive')),
        dict(reduce_ratios=(4, 8, 15)),
        dict(stem_channels=16, expand_ratio=1.5),
        dict(out_channels=48),
        dict(out_channels=40),  # no transition of stream 0
        dict(num_channels=((24, 48), (40, 48, 96), (40, 48, 64, 80))),
        dict(
            num_stages=2,
            num_modules=(1, 2),
            num_branches=(2, 4),
            num_blocks=(2, 1),
            module_type=('LITE', 'LITE'),
            with_fuse=(True, True),
            reduce_ratios=(8, 8),
            num_channels=((16, 32), (16, 32, 64, 128)),
        ),
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_lite_hrnets(changes: dict[str, Any]) -> None:
    extra = one_block_lite(**changes)
    assert extra != one_block_lite()
    ours, stock = pair = make_pair('LiteHRNet', extra)
    assert shapes(ours) == shapes(stock)
    streams = assert_same_outputs(pair, image((64, 96)))
    assert ours.out_channels == tuple(x.shape[1] for x in streams)
