"""Drawing and reading heatmaps: 64 people x 17 keypoints, 48x64 heatmaps, NumPy in and out."""

import sys

import numpy as np
import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from timing import Ratio, best, compare, ratio_table, table, use_threads

from hrnet_plugin.codecs import GaussianHeatmap
from hrnet_plugin.functional import heatmap_cpu

SIZES = dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
PEOPLE = 64
VARIANTS = {
    'msra': MSRAHeatmap(**SIZES),
    'dark': MSRAHeatmap(**SIZES, unbiased=True),
    'udp': UDPHeatmap(**SIZES),
}
WANTED = {
    'encode, msra': 30.0,
    'encode, dark': 30.0,
    'encode, udp': 30.0,
    'decode, msra': 12.0,
    'decode, dark': 50.0,
    'decode, udp': 40.0,
}


def compare_variant(variant: str, rng: np.random.Generator) -> dict[str, Ratio]:
    ours, stock = GaussianHeatmap(**SIZES, variant=variant), VARIANTS[variant]
    keypoints = rng.uniform([0, 0], SIZES['input_size'], (PEOPLE, 17, 2)).astype(np.float32)
    visible = np.ones((PEOPLE, 17), np.float32)
    heatmaps, _ = ours.render(keypoints, visible)
    # As of a network: not quite Gaussians, and never quite 0
    heatmaps = heatmaps + rng.uniform(0, 0.02, heatmaps.shape).astype(np.float32)

    def stock_encode() -> None:
        for k, v in zip(keypoints, visible):
            stock.encode(k[None], v[None])

    def stock_decode() -> None:
        for maps in heatmaps:
            stock.decode(maps)

    return {
        f'encode, {variant}': compare(lambda: ours.render(keypoints, visible), stock_encode, 25),
        f'decode, {variant}': compare(lambda: ours.batch_decode(heatmaps), stock_decode, 25),
    }


def floors() -> str:
    """What no encoder or decoder of these heatmaps can go below on this machine."""
    heatmaps = torch.rand(PEOPLE, 17, 64, 48)
    flat = heatmaps.flatten(-2)
    x, y = torch.rand(PEOPLE, 17, 1, 48), torch.rand(PEOPLE, 17, 64, 1)
    parts = {
        'encode: write heatmaps that are products of two profiles': lambda: x * y,
        'encode: copy heatmaps': heatmaps.clone,
        'decode: read heatmaps once, for their maxima (torch)': lambda: flat.amax(-1),
        'decode: find where the maxima are (NumPy)': lambda: flat.numpy().argmax(-1),
    }
    rows = [[name, 1e3 * best(part)] for name, part in parts.items()]
    return table(['the least it can be', 'at best (ms)'], rows)


def compare_all() -> dict[str, Ratio]:
    rng = np.random.default_rng(0)
    results: dict[str, Ratio] = {}
    for variant in VARIANTS:
        results |= compare_variant(variant, rng)
    return dict(sorted(results.items(), reverse=True))


def main() -> None:
    use_threads()
    if heatmap_cpu.LIBRARY is None:
        sys.exit('heatmap_cpu.c has not been compiled: `make install` does that')
    print('## Codec\n')
    print(__doc__.splitlines()[0], '\n')
    print(ratio_table(compare_all(), WANTED))
    print(floors())
    heatmap_cpu.LIBRARY = None
    print('The same where no C compiler was at hand, so that torch does it:\n')
    print(ratio_table(compare_all()))


if __name__ == '__main__':
    main()
