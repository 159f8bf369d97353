"""`hrnet-plugin train`: its options, and what interruptions say."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import hrnet_plugin.apis.training.train as training
from hrnet_plugin import apis
from hrnet_plugin.commands import INTERRUPTED, OK
from hrnet_plugin.commands.cli import main
from hrnet_plugin.commands.train import add, auto, input_size
from hrnet_plugin.models.families import ARCH_NAMES, find_arch


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each call of `apis.train`, which trains nothing."""
    calls: list[dict[str, Any]] = []

    def train(data: str, **options: Any) -> None:
        calls.append(dict(data=data, **options))

    monkeypatch.setattr(apis, 'train', train)
    return calls


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(arguments)


def test_all_options_reach_the_function(given: list[dict[str, Any]]) -> None:
    options = '--val v.json --arch lite-18 --input 128x96 --weights w.pth --epochs 3 --batch auto '
    options += '--codec udp --amp --images i --metainfo m.py --logger tensorboard,mlflow --seed 7 '
    options += '--work-dir w --resume --device cpu --launcher pytorch'
    assert main(['train', 'kites', *options.split()]) == OK
    assert given == [
        dict(
            data='kites',
            val='v.json',
            arch='lite-18',
            input_size=(128, 96),
            weights='w.pth',
            epochs=3,
            batch_size=None,
            codec='udp',
            amp=True,
            images='i',
            metainfo='m.py',
            logger=('tensorboard', 'mlflow'),
            seed=7,
            work_dir='w',
            resume=True,
            device='cpu',
            launcher='pytorch',
        )
    ]


def test_defaults_are_those_of_the_function(given: list[dict[str, Any]]) -> None:
    import inspect

    assert main(['train', 'kites']) == OK
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(training.train).parameters.items()
        if name not in ('data', 'report')
    }
    assert given == [dict(data='kites', **defaults)]


def test_width_comes_first() -> None:
    assert input_size('192x256') == (192, 256)
    for text in ('192', '192x', 'x256', '192*256', '-192x256'):
        with pytest.raises(argparse.ArgumentTypeError, match='width x height in pixels'):
            input_size(text)


def test_numbers_or_auto() -> None:
    assert (auto('auto'), auto('12')) == (None, 12)
    with pytest.raises(argparse.ArgumentTypeError, match="'0' is not a whole number"):
        auto('0')


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def train(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(apis, 'train', train)
    assert main(['train', 'kites']) == INTERRUPTED
    assert 'The same command resumes the training' in capsys.readouterr().out


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['train', str(tmp_path), '--arch', 'hrnet-w32']) == 2
    error = capsys.readouterr().err
    assert error.startswith("hrnet-plugin: error: unknown arch 'hrnet-w32'; did you mean")
    assert main(['train', str(tmp_path), '--work-dir', str(tmp_path / 'w')]) == 2
    assert 'has no annotations' in capsys.readouterr().err


def test_one_table_of_architectures() -> None:
    """Of all three families, each under a name of its own."""
    assert {'w32', 'w18-small-v1', 'lite-18', 'naive-18', 'hrformer-small'} <= ARCH_NAMES.keys()
    assert len(ARCH_NAMES) == 9 + 4 + 3
    family, arch = find_arch('hrformer-base')
    assert (family.name, arch) == ('HRFormer', 'base')
    with pytest.raises(ValueError, match="unknown arch 'lite18'; did you mean 'lite-18'"):
        find_arch('lite18')
