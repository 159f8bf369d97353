"""Find out what a training can start from, before it starts."""

from contextlib import ExitStack
from pathlib import Path

from torch import nn

from ...checkpoints.convert import convert_checkpoint, convert_file
from ...checkpoints.files import read_checkpoint
from ...checkpoints.pretrained import PretrainedBackbone
from ...models.families import find_arch
from ...utils.errors import unknown_name
from ...utils.model_index import MIM, models_of
from ..inference.model_files import download
from .config_file import HERE
from .settings import Weights

COPY = 'pretrained.pth'
FINAL_LAYER = ('head.final_layer.weight', 'head.final_layer.bias')


def starting_weights(
    given: str | None, arch: str, num_keypoints: int, work_dir: Path, write: bool = True
) -> Weights:
    """Find out what a training starts from.

    A whole pose model whose head is one convolution is converted to ``pretrained.pth`` in the
    work folder. Of anything else, the backbone is taken as it is.

    Args:
        given: File, or name of a model in the plugin's metafiles; None for random weights.
        arch: Architecture that the training is of, a key of ``ARCH_NAMES``.
        num_keypoints: K of the data.
        work_dir: Work folder of the training.
        write: Whether to write ``pretrained.pth``.

    Raises:
        OSError: The file is not there, or cannot be fetched.
        ValueError: The name is unknown, or the weights are of another architecture.
    """
    if given is None:
        return Weights()
    path = find_weights(given)
    checkpoint = read_checkpoint(path)
    family, name = find_arch(arch)
    try:
        conversion = convert_checkpoint(checkpoint)
    except ValueError:  # an unknown head; the backbone may do
        return _backbone_weights(given, path, arch)
    model = conversion.model
    if (model.family, model.arch) != (family.name, name):
        raise ValueError(
            f'--weights {given} are of {model}, not of --arch {arch}: choose weights and '
            'architecture that belong together'
        )
    state = conversion.state_dict
    head = [key for key in state if key.startswith('head.')]
    if sorted(head) != sorted(FINAL_LAYER) or state[FINAL_LAYER[0]].shape[2:] != (1, 1):
        return _backbone_weights(given, path, arch)
    if write:
        work_dir.mkdir(parents=True, exist_ok=True)
        convert_file(path, work_dir / COPY, overwrite=True)
    differs = model.keypoints != num_keypoints
    layer = (
        f'a new final layer, for {num_keypoints} keypoints instead of {model.keypoints}'
        if differs
        else 'its final layer, too'
    )
    return Weights(
        load_from=f'{HERE}/{COPY}',
        new_final_layer=differs,
        description=f'{given} ({model}), with {layer}',
    )


def _backbone_weights(given: str, path: Path, arch: str) -> Weights:
    """Check that a backbone can be loaded, and say what is taken."""
    family, name = find_arch(arch)
    backbone: nn.Module = family.build(name)
    try:
        what, *_ = PretrainedBackbone(str(path)).load(backbone)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f'--weights {given}: {error}') from error
    return Weights(
        backbone=str(path), description=f'the backbone of {given} ({what}), with a new head'
    )


def find_weights(given: str) -> Path:
    """Return the file of weights, which is fetched if the name is one of the metafiles.

    Raises:
        OSError: It cannot be fetched.
        ValueError: There is neither such a file nor such a name.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path.absolute()
    urls = {name: url for name, (_, url) in models_of(MIM).items() if url}
    if given not in urls:
        if path.suffix or len(path.parts) > 1:
            raise FileNotFoundError(f'--weights {given}: there is no such file')
        raise ValueError(unknown_name('name of weights', given, sorted(urls)))
    with ExitStack() as stack:
        try:
            return download(str(urls[given]), stack)
        except Exception as error:  # many kinds, by the way in which the network fails
            raise OSError(
                f'--weights {given} cannot be fetched from {urls[given]} ({error}): download it '
                'elsewhere, and give the file'
            ) from error
