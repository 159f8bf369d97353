"""Names of the plugin's configs, as its model index lists them."""

from pathlib import Path

from mmengine.fileio import load

from ..errors import unknown_name

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
    for metafile in load(MIM / 'model-index.yml')['Import']:
        for model in load(MIM / metafile)['Models']:
            files.update(dict.fromkeys(model['Alias'], MIM / model['Config']))
    return files
