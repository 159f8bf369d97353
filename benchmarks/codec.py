"""Encoding and decoding heatmaps: 17 keypoints an instance, 48x64 heatmaps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from timing import THREADS, Ratio, best, cell, compare, ratio_table, table, use_threads
from training import MODELS, measure

from hrnet_plugin.codecs import GaussianHeatmap
from hrnet_plugin.utils.allocator import disable_malloc_trim

SIZES: dict[str, Any] = dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
INSTANCES = 64
STOCK = {
    'msra': MSRAHeatmap(**SIZES),
    'dark': MSRAHeatmap(**SIZES, unbiased=True),
    'udp': UDPHeatmap(**SIZES),
}
MODEL = 'Lite-HRNet-18'
SHARE_TURNS = 3
# Per cent of the time of the model's inference, and of its training step
INFERENCE_GOAL, TRAINING_GOAL = 1, 3


def make_instances(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (count, 17, 2) inside the input, and visibility (count, 17)."""
    keypoints = np.random.default_rng(0).uniform(0, SIZES['input_size'], (count, 17, 2))
    return keypoints.astype(np.float32), np.ones((count, 17), np.float32)


def make_heatmaps(codec: GaussianHeatmap, keypoints: np.ndarray) -> np.ndarray:
    """Like a network's: not quite Gaussians, and never quite 0."""
    heatmaps, _ = codec.encode_batch(keypoints)
    return heatmaps + np.random.default_rng(1).uniform(0, 0.02, heatmaps.shape).astype(np.float32)


def compare_with_stock(variant: str) -> dict[str, Ratio]:
    """Of all instances, ours at once and stock's one by one: it has no other way."""
    ours, stock = GaussianHeatmap(**SIZES, variant=variant), STOCK[variant]
    keypoints, visible = make_instances(INSTANCES)
    heatmaps = make_heatmaps(ours, keypoints)

    def stock_encode() -> None:
        for k, v in zip(keypoints, visible):
            stock.encode(k[None], v[None])

    def stock_decode() -> None:
        for maps in heatmaps:
            stock.decode(maps)

    return {
        f'encode, {variant}': compare(
            lambda: ours.encode_batch(keypoints, visible), stock_encode, 25
        ),
        f'decode, {variant}': compare(lambda: ours.batch_decode(heatmaps), stock_decode, 25),
    }


def floors() -> str:
    """What no encoder or decoder of these heatmaps can go below on this machine."""
    heatmaps = torch.rand(INSTANCES, 17, 64, 48)
    flat = heatmaps.flatten(-2)
    x, y = torch.rand(INSTANCES, 17, 1, 48), torch.rand(INSTANCES, 17, 64, 1)
    parts: dict[str, Callable[[], Any]] = {
        'encode: write heatmaps that are products of two profiles': lambda: x * y,
        'encode: copy heatmaps': heatmaps.clone,
        'decode: read heatmaps once, for their maxima (torch)': lambda: flat.amax(-1),
        'decode: find where the maxima are (NumPy)': lambda: flat.numpy().argmax(-1),
    }
    rows = [[name, 1e3 * best(part)] for name, part in parts.items()]
    return table(['lower bound', 'at best (ms)'], rows)


def codec_seconds(variant: str, count: int) -> tuple[float, float, float]:
    """Seconds per instance: encode one by one, encode ``count`` at once, decode them at once."""
    codec = GaussianHeatmap(**SIZES, variant=variant)
    keypoints, visible = make_instances(count)
    heatmaps = torch.from_numpy(make_heatmaps(codec, keypoints))
    points, seen = torch.from_numpy(keypoints), torch.from_numpy(visible)
    together = best(lambda: codec.encode_batch(points, seen)) / count
    decode = best(lambda: codec.batch_decode(heatmaps)) / count
    torch.set_num_threads(1)  # as in a worker of a data loader
    alone = best(lambda: codec.encode(keypoints[:1], visible[:1]))
    torch.set_num_threads(THREADS)
    return alone, together, decode


def shares() -> str:
    """How much of the time of inference, and of training, the codec takes.

    All times are those of the fastest turn: other work of the machine would not lengthen short
    and long runs by the same factor.
    """
    from inference import FRAMES_PER_TURN, PEOPLE, make_runs  # needs mmdet, what is above does not

    batch = MODELS[MODEL][1]
    ours, _ = make_runs()
    inference = best(ours['PyTorch'], SHARE_TURNS) / (FRAMES_PER_TURN * PEOPLE)
    training = min(measure('ours', MODEL)['seconds'] for _ in range(SHARE_TURNS)) / batch
    rows = []
    for variant in STOCK:
        alone, together, decode = codec_seconds(variant, batch)
        rows.append(
            [
                variant,
                *(1e3 * t for t in (alone, together, decode)),
                100 * (together + decode) / inference,
                100 * alone / training,
            ]
        )
    columns = [
        'ms per instance',
        'encode one by one',
        f'encode {batch} at once',
        f'decode {batch} at once',
        f'both at once, % of inference (goal: {INFERENCE_GOAL})',
        f'encode one by one, % of training (goal: {TRAINING_GOAL})',
    ]
    return (
        f'Of what {MODEL}, 256x192, takes per instance: {cell(1e3 * inference)} ms of inference '
        '(PoseInferencer on a clip, from image to keypoints, boxes given, no flip test) and '
        f'{cell(1e3 * training)} ms of training (forward, backward and optimizer of {batch} '
        'instances). Inference decodes a batch at once; in training, each worker of the data '
        f'loader encodes one by one, with one thread.\n\n{table(columns, rows)}'
    )


def main() -> None:
    use_threads()
    disable_malloc_trim()  # for both sides, as `mim train hrnet_plugin` and `hrnet-plugin predict`
    ratios: dict[str, Ratio] = {}
    for variant in STOCK:
        ratios |= compare_with_stock(variant)
    print('## Codec\n')
    print(__doc__, '\n')
    print(f'{INSTANCES} instances, NumPy in and out:\n')
    print(ratio_table(dict(sorted(ratios.items(), reverse=True))))
    print(floors())
    print(shares())


if __name__ == '__main__':
    main()
