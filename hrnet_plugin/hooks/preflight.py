"""Hook that compares pipelines and model before a run starts."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..checks.gathering import unshared_folders
from ..checks.pipelines import disagreements, flip_warning
from ..registry import HOOKS, strict_options


@HOOKS.register_module()
@strict_options
class PreflightHook(Hook):
    """Refuse a run whose pipelines and model do not fit together, before its first iteration.

    Of every pipeline of the run, and of the head, it compares: which of ``TopdownAffine`` and the
    codecs follow UDP, the sizes of the input and of targets, the number of keypoints, channels
    between backbone and head, the flip test, and flips of keypoints whose names differ by left
    and right without being swapped. Most of these mistakes cost accuracy without any error. A
    warning is logged where images are mirrored although no keypoints are swapped at all. With
    several processes, it also checks that stock metrics can gather their results.

    Raises:
        ValueError: Something does not fit; the message lists everything.
    """

    def before_run(self, runner: Any) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        problems = []
        # A loop that this run does not use is still a config, without a data loader.
        for phase in ('train', 'val', 'test'):
            loader = getattr(getattr(runner, f'_{phase}_loop'), 'dataloader', None)
            if loader is not None:
                problems += [f'{phase}: {p}' for p in disagreements(loader.dataset, model)]
                if warning := flip_warning(loader.dataset, model):
                    runner.logger.warning(f'{phase}: {warning}')
        if problems:
            raise ValueError('\n'.join(['pipelines and model do not agree:', *problems]))
        loops = [runner._val_loop, runner._test_loop]
        evaluators = [loop.evaluator for loop in loops if hasattr(loop, 'evaluator')]
        problems = unshared_folders(metric for e in evaluators for metric in e.metrics)
        if problems:
            raise ValueError('\n'.join(problems))
