"""A few mutations of each kind of file; ``make fuzz`` runs many."""

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.readers import READERS, assert_agrees, check_likely_annotations

from hrnet_plugin.commands.cli import main


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', READERS)
def test_mutated_files_are_named_errors(name: str, tmp_path: Path) -> None:
    for seed in range(20):
        try:
            READERS[name](tmp_path, np.random.default_rng(seed))
        except Exception as error:
            pytest.fail(f'{name}, seed {seed}: {error!r}')


@pytest.mark.filterwarnings('ignore')
def test_likely_annotations_pass_and_fail(tmp_path: Path) -> None:
    """Otherwise the test above would not cover annotations that pass."""
    passed = 0
    for seed in range(60):
        check_likely_annotations(tmp_path, np.random.default_rng(seed))
        passed += assert_agrees(tmp_path / 'people.json')
    assert 10 < passed < 50


@pytest.mark.parametrize('command', ['metainfo', 'predict', 'convert', 'check'])
def test_a_large_file_of_another_kind(command: str, tmp_path: Path) -> None:
    """Two gigabytes whose first bytes are those of another kind."""
    path, image, out = tmp_path / 'video.mp4', tmp_path / '1.png', tmp_path / 'out.py'
    with path.open('wb') as file:
        file.write(b'\0\0\0 ftypisom')
        file.truncate(2 << 30)
    cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    arguments = dict(
        metainfo=[path, out],
        predict=[image, '--config', out, '--boxes', path],
        convert=[path, tmp_path / 'out.pth'],
        check=[path],
    )[command]
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        assert main([command, *map(str, arguments)]) == 2
    (line,) = err.getvalue().splitlines()
    assert line.startswith('hrnet-plugin: error: ')
    assert 'video.mp4' in line


def test_no_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr('hrnet_plugin.datasets.synthetic.synthesize', no_memory)
    assert main(['synth', str(tmp_path / 'out'), '--images', '4']) == 2
    assert capsys.readouterr().err == 'hrnet-plugin: error: not enough memory\n'
