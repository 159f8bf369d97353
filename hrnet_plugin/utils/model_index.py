"""Names of the plugin's configs, as its model index lists them."""

from pathlib import Path

from mmengine.fileio import load

from .errors import unknown_name

MIM = Path(__file__).parents[1] / '.mim'


def find_config(name: str) -> Path:
    """The config of a name: a file, or one of the plugin's.

    Args:
        name: a path; or a config's file name, with or without ``.py``; or its alias, such as
            ``'hrnet-w32_coco-256x192'``.

    Raises:
        ValueError: there is none; the message names the closest.
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
    """Every name and alias of the plugin's configs -> its file."""
    files = {path.stem: path for path in MIM.glob('configs/**/*.py') if '_base_' not in path.parts}
    return files | {name: config for name, (config, _) in models_of(MIM).items()}


def named_models(scope: str) -> dict[str, tuple[Path, str | None]]:
    """Config and weights by name and by alias, in lower case, as a package's metafiles say."""
    from mmengine.infer import BaseInferencer  # only names need it, and what it imports

    models = models_of(Path(BaseInferencer._get_repo_or_mim_dir(scope)))
    return {name.lower(): found for name, found in models.items()}


def models_of(root: Path) -> dict[str, tuple[Path, str | None]]:
    """Config and weights by name and by alias, as the metafiles in a folder say."""
    models = {}
    for metafile in load(root / 'model-index.yml')['Import']:
        for model in load(root / metafile)['Models']:
            alias, weights = model.get('Alias', []), model.get('Weights')
            found = root / model['Config'], weights[0] if isinstance(weights, list) else weights
            for name in [model['Name'], *([alias] if isinstance(alias, str) else alias)]:
                models[name] = found
    return models
