"""OpenVINO IR of exported models: ``*.xml``, and its weights beside it in ``*.bin``."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .onnx_file import HEATMAP_TOLERANCES
from .runtime import KEY, open_session, parse_metadata, read_metadata

INSTALL = 'pip install openvino'


def onnx_to_openvino(source: str | Path, path: str | Path, overwrite: bool = False) -> int:
    """Convert an exported ONNX file to OpenVINO IR, with the same metadata.

    The files are written after OpenVINO has computed from them what ONNX Runtime does.

    Args:
        source: File that :func:`export_onnx` has written.
        path: The file to write, ``*.xml``; its weights go into ``*.bin``.
        overwrite: Replaces existing files.

    Returns:
        Size of both files in bytes.

    Raises:
        FileExistsError: A file exists, and ``overwrite`` is False.
        ImportError: OpenVINO or ONNX Runtime is not installed.
        RuntimeError: OpenVINO computes something else than ONNX Runtime.
        ValueError: ``source`` is not a pose model of this package.
    """
    core = open_core('exporting as OpenVINO IR')
    openvino = import_openvino('exporting as OpenVINO IR')
    path = Path(path)
    weights = path.with_suffix('.bin')
    check_targets(path, overwrite)
    session = open_session(source, providers=['CPUExecutionProvider'])
    metadata = read_metadata(source, session)
    model = core.read_model(str(source))
    model.set_rt_info(session.get_modelmeta().custom_metadata_map[KEY], [KEY])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.') as folder:
        partial = Path(folder, path.name)
        openvino.save_model(model, partial, compress_to_fp16=False)
        check_outputs(metadata, session, compile_model(core, core.read_model(partial)))
        size = partial.stat().st_size + partial.with_suffix('.bin').stat().st_size
        path.unlink(missing_ok=True)  # so that there is never one file with another's weights
        os.replace(partial.with_suffix('.bin'), weights)
        os.replace(partial, path)
    return size


def check_targets(path: str | Path, overwrite: bool) -> None:
    """Raise a FileExistsError if the model or its weights exist, unless they may be replaced."""
    for file in (Path(path), Path(path).with_suffix('.bin')):
        if file.exists() and not overwrite:
            raise FileExistsError(f'{file} exists already: give another name, or overwrite=True')


def check_outputs(metadata: dict[str, Any], session: Any, compiled: Any) -> None:
    """Compare heatmaps, or the scores that are their maxima, of two runtimes on random crops.

    Keypoints are not compared: between pixels that are nearly equally high, rounding decides.

    Raises:
        RuntimeError: They differ by more than a precision may.
    """
    width, height = metadata['input_size']
    generator = np.random.default_rng(0)
    if metadata['normalizes']:
        crops = generator.integers(0, 256, (2, height, width, 3), np.uint8)
    else:
        crops = generator.normal(size=(2, 3, height, width)).astype(np.float32)
    name = 'scores' if metadata['outputs'] == 'keypoints' else 'heatmaps'
    (expected,) = session.run([name], {'crops': crops})
    difference = np.abs(compiled(crops)[name] - expected).max() / np.abs(expected).max()
    allowed = HEATMAP_TOLERANCES[metadata['precision']]
    if not difference <= allowed:  # nan is a difference, too
        raise RuntimeError(
            f'{name} of OpenVINO differ from those of ONNX Runtime by {difference:.2g} of the '
            f'largest; {allowed:g} is allowed; no file was written'
        )


def compile_model(core: Any, model: Any, hint: str = 'f32', threads: int = 0) -> Any:
    """Compile a model for the CPU.

    OpenVINO computes in bfloat16 where the CPU has it, unless it is told not to.

    Args:
        core: OpenVINO's core.
        model: The model.
        hint: Precision of float32 layers: ``'f32'`` or ``'bf16'``.
        threads: Number of threads; 0 leaves it to OpenVINO.
    """
    options = {'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': threads}
    return core.compile_model(model, 'CPU', options)


def read_openvino(
    core: Any, path: str | Path, kind: str = 'pose model'
) -> tuple[Any, dict[str, Any]]:
    """Read a model of this package: OpenVINO IR or an ONNX file.

    Args:
        core: OpenVINO's core.
        path: The file.
        kind: What is expected: ``'pose model'`` or ``'detector'``.

    Returns:
        The model of OpenVINO, and what the file says about it.

    Raises:
        FileNotFoundError: There is no such file, or no weights beside it.
        ValueError: The file is not OpenVINO IR, or not such a model of this package.
    """
    path = Path(path)
    if path.suffix.lower() != '.xml':
        metadata = read_metadata(path, open_session(path), kind)
        return core.read_model(str(path)), metadata
    for file in (path, path.with_suffix('.bin')):
        if not file.is_file():
            raise FileNotFoundError(
                f'{file}: there is no such file; expected an exported model, *.xml and its *.bin'
            )
    try:
        model = core.read_model(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f'{path} is not OpenVINO IR that can be opened: {reason}') from error
    text = model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None
    return model, parse_metadata(path, text, kind)


def import_openvino(what: str) -> Any:
    """Import OpenVINO.

    Args:
        what: What needs it, for the error.

    Raises:
        ImportError: It is not installed; with the command that installs it.
    """
    try:
        import openvino
    except ImportError as error:
        raise ImportError(f'{what} needs OpenVINO: {INSTALL}') from error
    return openvino


def open_core(what: str) -> Any:
    """Return the one core of OpenVINO of this process.

    Args:
        what: What needs it, for the error.

    Raises:
        ImportError: OpenVINO is not installed; with the command that installs it.
    """
    import_openvino(what)
    return _core()


@cache
def _core() -> Any:
    # One for good: a core gives the thread a stack for signals, and when it ends, restores the one
    # before. After two that do not end in reverse order that is freed memory, and the next signal
    # ends the process: Ctrl-C, or a data loader's worker that has finished.
    import openvino

    return openvino.Core()
