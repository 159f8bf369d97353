"""benchmarks/gpu.py runs, small and without a GPU, and measures all that it is to measure."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support.model_checks import image, macs
from support.paths import ROOT

FOLDER = ROOT / 'benchmarks'
SCRIPT = FOLDER / 'gpu.py'
NETWORKS = [
    f'small {family}, batch {batch}'
    for family in ('HRNet', 'LiteHRNet', 'HRFormer')
    for batch in (1, 2)
]
# Entries by section, those with CUDA graphs left out
MEASURED = {
    'ceilings': 5,
    'codec': 6,
    'crops': 2,
    'training, small HRNet, batch 2': 7,
    **dict.fromkeys(NETWORKS, 12),
    'small HRNet, batch 2, torch.compile': 2,
}
CUDA_GRAPHS = 4
MAY_BE_0 = ('difference_%', 'mean_difference', 'largest_difference')


def run(out: Path, *arguments: str, without: str = '') -> dict[str, Any]:
    """What the script writes, and that its table does not lack a section."""
    code = (
        f'import runpy, sys; sys.path.insert(0, {str(FOLDER)!r})\n'
        f'sys.modules.update(dict.fromkeys({without.split()!r}))\n'
        f'runpy.run_path({str(SCRIPT)!r}, run_name="__main__")'
    )
    command = [sys.executable, '-W', 'ignore', '-c', code, '--small', '--out', str(out)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((out / 'gpu.json').read_text())
    tables = (out / 'gpu.md').read_text()
    for section, entries in content['sections'].items():
        assert f'### {section}\n' in tables
        assert all(entry['name'] in tables and entry['name'] in done.stderr for entry in entries)
    return content


def measured(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if not {'error', 'skipped'} & entry.keys()]


def assert_positive(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        numbers = {key: value for key, value in entry.items() if key != 'name'}
        assert numbers
        for key, value in numbers.items():
            assert math.isfinite(value), (entry['name'], key)
            assert value > 0 or (value == 0 and key in MAY_BE_0), (entry['name'], key)


def test_everything_is_measured(tmp_path: Path) -> None:
    sections = ('ceilings', 'codecs', 'crops', 'training', 'networks', 'compiled')
    content = run(tmp_path, *sections)
    sections_of = content['sections']
    assert {name: len(measured(entries)) for name, entries in sections_of.items()} == MEASURED
    others = [e for entries in sections_of.values() for e in entries if e not in measured(entries)]
    assert len(others) == CUDA_GRAPHS * len(NETWORKS)
    assert {entry.get('skipped') for entry in others} == {'needs CUDA'}
    for entries in sections_of.values():
        assert_positive(measured(entries))
        assert len({entry['name'] for entry in entries}) == len(entries)
    assert content['missing'] == {}
    for section in NETWORKS:
        by_name = {entry['name']: entry for entry in sections_of[section]}
        assert by_name['ours fp32']['difference_%'] < 1e-3
        assert 1e-3 < by_name['ours bf16']['difference_%'] < 10
    assert all(entry['mean_difference'] < 1 for entry in sections_of['crops'])


@pytest.mark.slow
def test_video(tmp_path: Path) -> None:
    entries = run(tmp_path, 'video')['sections']['video']
    assert len(entries) == 1
    assert_positive(entries)


@pytest.mark.slow
def test_without_mmpose_our_backbones_are_measured(tmp_path: Path) -> None:
    content = run(tmp_path, without='mmpose mmdet')
    assert list(content['missing']) == ['mmpose', 'mmdet']
    sections = content['sections']
    ours = {section: len(measured(sections[section])) for section in NETWORKS}
    assert ours == dict.fromkeys(NETWORKS, 8)
    assert len(measured(sections['crops'])) == MEASURED['crops']
    for section in ('codec', 'video', 'training, small HRNet, batch 2'):
        assert all('ModuleNotFoundError' in entry['error'] for entry in sections[section])


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Modules of the benchmarks, which find each other in their folder only."""
    names = ('timing', 'guarded', 'networks', 'gpu')
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import gpu
    import guarded
    import networks

    result = dict(gpu=gpu, guarded=guarded, networks=networks)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return result


def test_operations_are_counted_as_for_the_readme(modules: dict[str, ModuleType]) -> None:
    """And those of attention, whose products of matrices are no modules, on top."""
    for model in modules['networks'].SMALL_MODELS:
        backbone, x = model.build_backbone().double().eval(), image((64, 64))
        with torch.no_grad():
            ratio = modules['gpu'].count_flops(backbone, x) / (2 * macs(backbone, x))
        if model.family == 'HRFormer':
            assert 1.01 < ratio < 1.5
        else:
            assert ratio == 1


def fail() -> None:
    raise RuntimeError('CUDA out of memory\n  in a long message')


def test_what_fails_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    report = modules['guarded'].Report(tmp_path / 'r.json', minutes=1, facts=dict(device='x'))
    assert report.attempt('a', 'fails', fail) is None
    assert report.attempt('a', 'works', lambda: report.attempt('b', 'inside', fail) or 7) == 7
    report.add('a', 'works', ms=1.5)
    content = json.loads((tmp_path / 'r.json').read_text())
    message = 'RuntimeError: CUDA out of memory in a long message'
    assert content['device'] == 'x'
    assert content['sections'] == dict(
        a=[dict(name='fails', error=message), dict(name='works', ms=1.5)],
        b=[dict(name='inside', error=message)],
    )
    assert f'- fails: error: {message}' in report.tables()
    assert '| works | 1.5 |' in report.tables()


def test_what_takes_too_long_is_stopped_and_the_rest_skipped(
    tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    """Also inside another attempt, and where all ordinary exceptions are caught."""
    report = modules['guarded'].Report(tmp_path / 'r.json', minutes=0.3 / 60, facts={})

    def long() -> None:
        try:
            time.sleep(60)
        except Exception:
            pytest.fail('taken for a failure')

    assert report.attempt('a', 'outer', lambda: report.attempt('a', 'long', long)) is None
    assert report.attempt('a', 'next', fail) is None
    assert report.content['sections']['a'] == [
        dict(name='long', skipped='stopped, out of time'),
        dict(name='next', skipped='out of time'),
    ]
    time.sleep(0.01)  # no alarm is left


@pytest.mark.parametrize('step', ['setitimer', 'disarm'])
def test_no_alarm_outlives_its_function(
    tmp_path: Path, modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Where a busy machine lets it come before the function begins, or as it ends."""
    guarded = modules['guarded']
    report = guarded.Report(tmp_path / 'r.json', minutes=1, facts={})
    owner = guarded.signal if step == 'setitimer' else report
    original = getattr(owner, step)
    calls = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if step == 'setitimer':
            original(*arguments)
        if len(calls) == 1:
            raise guarded.OutOfTime
        return original(*arguments)

    monkeypatch.setattr(owner, step, interrupted)
    assert report.attempt('a', 'x', lambda: None) is None
    assert report.content['sections']['a'] == [dict(name='x', skipped='stopped, out of time')]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is not guarded.stop
    assert not report.is_armed
