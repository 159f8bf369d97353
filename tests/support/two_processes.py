"""Evaluate in two processes on the CPU, as a distributed run does."""

import pickle
from datetime import timedelta
from pathlib import Path

import torch
import torch.multiprocessing
from mmengine.evaluator import metric as mmengine_metric

from hrnet_plugin.evaluation import OKSMetric


def evaluate_in_two_processes(cases: list[dict], folder: Path) -> list[list]:
    """Return what each process has of each case: values, or an error as text.

    Args:
        cases: Cases with ``options`` of the metric, ``meta``, ``samples`` and ``batch``.
        folder: Empty folder for the exchange.
    """
    (folder / 'cases').write_bytes(pickle.dumps(cases))
    torch.multiprocessing.spawn(_work, (folder,), nprocs=2)
    return [pickle.loads((folder / f'results{rank}').read_bytes()) for rank in range(2)]


def _work(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store',
        rank=rank,
        world_size=2,
        timeout=timedelta(minutes=5),
    )
    # Results must not be collected as pickled dicts.
    for module, name in (
        (mmengine_metric, 'collect_results'),
        (torch.distributed, 'all_gather_object'),
        (torch.distributed, 'gather_object'),
    ):
        setattr(module, name, None)
    cases = pickle.loads((folder / 'cases').read_bytes())
    results = [_evaluate(rank, **case) for case in cases]
    (folder / f'results{rank}').write_bytes(pickle.dumps(results))
    torch.distributed.destroy_process_group()


def _evaluate(rank: int, options: dict, meta: dict, samples: list, batch: int) -> dict | str:
    metric = OKSMetric(**options)
    metric.dataset_meta = meta
    mine = samples[rank::2]
    if len(samples) > 1:  # else the second process has nothing
        mine = mine + samples[: -(-len(samples) // 2) - len(mine)]  # the sampler pads
    for start in range(0, len(mine), batch):
        metric.process(None, mine[start : start + batch])
    try:
        return metric.evaluate(len(samples))
    except ValueError as error:
        return str(error)
