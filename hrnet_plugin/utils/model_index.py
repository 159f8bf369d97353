"""Lookup of configs by their names in model indexes and metafiles."""

from pathlib import Path

from mmengine.fileio import load

from .errors import unknown_name

MIM = Path(__file__).parents[1] / '.mim'


def find_config(name: str) -> Path:
    """Find a config of the plugin, or any config file.

    Args:
        name: Path of a file; or file name of a config of the plugin, with or without ``.py``; or
            its alias, such as ``'hrnet-w32_coco-256x192'``.

    Returns:
        Path of the config.

    Raises:
        ValueError: There is no such config; the message has the closest name.
    """
    if Path(name).is_file():
        return Path(name)
    names = config_names()
    if name.removesuffix('.py') in names:
        return names[name.removesuffix('.py')]
    if Path(name).name != name:
        raise ValueError(f'the config {name} does not exist')
    raise ValueError(unknown_name('config', name, sorted(names)))


def config_names() -> dict[str, Path]:
    """Return the file of each config of the plugin by its names and aliases."""
    files = {path.stem: path for path in MIM.glob('configs/**/*.py') if '_base_' not in path.parts}
    return files | {name: config for name, (config, _) in models_of(MIM).items()}


def named_models(scope: str) -> dict[str, tuple[Path, str | None]]:
    """Return the models in a package's metafiles by their names and aliases, in lower case.

    Args:
        scope: Name of the package, such as ``'mmpose'``.

    Returns:
        Path of the config and address of the weights, if there are any, of each model.
    """
    from mmengine.infer import BaseInferencer  # slow to import

    models = models_of(Path(BaseInferencer._get_repo_or_mim_dir(scope)))
    return {name.lower(): model for name, model in models.items()}


def models_of(root: Path) -> dict[str, tuple[Path, str | None]]:
    """Return the models in a folder's metafiles by their names and aliases.

    Args:
        root: Folder of ``model-index.yml``.

    Returns:
        Path of the config and address of the weights, if there are any, of each model.
    """
    models = {}
    for metafile in load(root / 'model-index.yml')['Import']:
        for model in load(root / metafile)['Models']:
            alias, weights = model.get('Alias', []), model.get('Weights')
            entry = root / model['Config'], weights[0] if isinstance(weights, list) else weights
            for name in [model['Name'], *([alias] if isinstance(alias, str) else alias)]:
                models[name] = entry
    return models
