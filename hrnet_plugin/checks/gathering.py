"""Check whether stock metrics can gather the results of several processes through files."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, get_world_size, is_main_process
from mmengine.evaluator import BaseMetric


def unshared_folders(metrics: Iterable[Any]) -> list[str]:
    """Find the metrics that cannot gather their results; MMEngine would fail after evaluating.

    Args:
        metrics: The metrics of the run, the same in all processes.

    Returns:
        One sentence for each, the same in all processes.
    """
    if get_world_size() == 1:
        return []
    problems = []
    for metric in metrics:
        uses_files = (
            type(metric).evaluate is BaseMetric.evaluate and metric.collect_device == 'cpu'
        )
        folder = Path(metric.collect_dir or '.') if uses_files else None
        if folder is not None and not _is_shared(folder):
            problems.append(
                f'{type(metric).__name__} gathers the results of all processes through files in '
                f'{folder.absolute()}, which not all nodes share: give it collect_device="gpu", '
                'which needs no files and works without a GPU, too, or start the run in a folder '
                'that all nodes share'
            )
    return problems


def _is_shared(folder: Path) -> bool:
    """Return whether all processes see a file that the first one writes into a folder."""
    with ExitStack() as stack:
        names = ['']
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(NamedTemporaryFile(prefix='.shared', dir=folder))
            names = [Path(file.name).name]
        broadcast_object_list(names)
        return all(all_gather_object((folder / names[0]).exists()))
