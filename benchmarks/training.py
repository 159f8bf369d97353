"""Training steps on a CPU, as `mim train hrnet_plugin` and `mim train mmpose` make them.

Forward, backward and optimizer, of random pictures. Each side has processes of its own, by turns:
how memory is kept is a matter of the process.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

from timing import Ratio, ratio_table, table, use_threads

# Config, and people in a batch
MODELS = {
    'HRNet-W32': ('td-hm_hrnet-w32_8xb64-210e_coco-256x192.py', 8),
    'Lite-HRNet-18': ('td-hm_litehrnet-18_8xb64-210e_coco-256x192.py', 16),
}
SCOPES = {'ours': 'hrnet_plugin', 'stock': 'mmpose'}
TURNS, WARM_UP, STEPS = 3, 3, 4


def train(side: str, name: str) -> dict[str, float]:
    """Seconds of a step, and MB of this process at its highest."""
    import torch
    from mmengine.config import Config
    from mmpose.models import build_pose_estimator
    from mmpose.utils import register_all_modules

    from hrnet_plugin.utils.allocator import disable_malloc_trim

    use_threads()
    register_all_modules()
    if side == 'ours':
        disable_malloc_trim()
    file, batch = MODELS[name]
    base = f'{SCOPES[side]}::body_2d_keypoint/topdown_heatmap/coco/{file}'
    config = Config.fromstring(f'_base_ = {base!r}', '.py')
    model = build_pose_estimator(config.model).train()
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.rand(batch, 3, 256, 192)
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        loss = model.head(model.extract_feat(images)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return dict(seconds=statistics.median(seconds[WARM_UP:]), memory=memory)


def measure(side: str, name: str) -> dict[str, float]:
    command = [sys.executable, __file__, side, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # after what MMEngine says


def main() -> None:
    ratios, memory = {}, []
    for name, (_, batch) in MODELS.items():
        turns = [(measure('ours', name), measure('stock', name)) for _ in range(TURNS)]
        step = f'{name}, a step of {batch} people'
        ratios[step] = Ratio.of([(a['seconds'], b['seconds']) for a, b in turns])
        memory.append(
            [name, *(statistics.median(run['memory'] for run in s) for s in zip(*turns))]
        )
    print('## Training\n')
    print(__doc__.splitlines()[0], '\n')
    print(ratio_table(ratios))
    print(table(['memory at its highest', 'ours (MB)', 'stock (MB)'], memory))


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(train(*sys.argv[1:])))
    else:
        main()
