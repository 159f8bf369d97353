"""Configs of MMPose 0.x, which today's tools fail on without saying why."""

import ast
import re
from pathlib import Path

# Names that only configs of MMPose 0.x set, and what says the same today
TODAY = {
    'channel_cfg': "the dataset's metainfo",
    'checkpoint_config': 'default_hooks.checkpoint',
    'data': 'train_dataloader, val_dataloader and test_dataloader',
    'data_cfg': 'codec and the options of the pipeline',
    'dist_params': 'env_cfg.dist_cfg',
    'evaluation': 'val_evaluator, train_cfg.val_interval and default_hooks.checkpoint.save_best',
    'log_config': 'default_hooks.logger and vis_backends',
    'lr_config': 'param_scheduler',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper',
    'resume_from': 'resume=True and load_from',
    'total_epochs': 'train_cfg.max_epochs',
    'workflow': 'train_cfg and val_cfg',
}
# Any of them alone may well be somebody's variable.
ENOUGH = 3
NEW = {'train_dataloader', 'test_dataloader', 'optim_wrapper', 'train_cfg', 'default_hooks'}


def check_version(path: str | Path, recipes: list[str]) -> None:
    """Refuse a config of MMPose 0.x.

    Args:
        recipes: names of configs of today, of which the closest is proposed.

    Raises:
        ValueError: it is one; with what its settings are called today.
    """
    path = Path(path)
    if path.suffix != '.py':
        return
    names = assigned(path)
    old = sorted(names & set(TODAY))
    if len(old) < ENOUGH or names & NEW:
        return
    lines = [f'{path} is a config of MMPose 0.x; this is MMPose 1.x, which calls']
    lines += [f'  {name:18} {TODAY[name]}' for name in old]
    if recipes:
        words = _words(path.name)
        closest = max(sorted(recipes), key=lambda name: len(words & _words(name)))
        lines.append(f'Of the configs here, the closest is {closest}: start from it')
    raise ValueError('\n'.join(lines))


def _words(name: str) -> set[str]:
    return set(re.split(r'[-_]', Path(name).stem))


def assigned(path: Path) -> set[str]:
    """Names that a Python file assigns at its top level.

    Its bases are not read: those of an old config are mostly not there any more.
    """
    names = set()
    for node in ast.parse(path.read_text(), str(path)).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
