"""The command `hrnet-plugin`: what it prints and how it exits."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hrnet_plugin.cli import main

SMALL = ['--size', '96x96', '--workers', '1']


def test_synth_writes_and_a_second_run_does_nothing(tmp_path, capsys):
    out = str(tmp_path / 'data')
    assert main(['synth', out, '--images', '4', '--seed', '1', *SMALL]) == 0
    first = capsys.readouterr().out
    assert first.startswith('wrote 4 images with ')
    assert first.rstrip().endswith(out)
    assert main(['synth', out, '--images', '4', '--seed', '1', *SMALL]) == 0
    assert capsys.readouterr().out.startswith('nothing to do, there are already 4 images')


def test_other_parameters_need_overwrite(tmp_path, capsys):
    assert main(['synth', str(tmp_path), '--images', '4', *SMALL]) == 0
    assert main(['synth', str(tmp_path), '--images', '3', *SMALL]) == 2
    assert 'num_images 4 there, 3 asked for' in capsys.readouterr().err
    assert main(['synth', str(tmp_path), '--images', '3', '--overwrite', *SMALL]) == 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--images', '-3'], 'num_images is -3'),
        (['--images', '4', '--val-fraction', '1.5'], 'val_fraction is 1.5'),
        (['--images', '4', '--seed', '-1'], 'seed is -1'),
    ],
)
def test_bad_values_exit_with_2(tmp_path, capsys, arguments, message):
    assert main(['synth', str(tmp_path / 'out'), *arguments]) == 2
    captured = capsys.readouterr()
    assert f'hrnet-plugin: error: {message}' in captured.err
    assert 'Traceback' not in captured.err


def test_out_must_not_be_a_file(tmp_path, capsys):
    (tmp_path / 'out').write_text('')
    assert main(['synth', str(tmp_path / 'out'), '--images', '4']) == 2
    assert 'is a file' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['synth', 'out', '--images', '4', '--sed', '1'], "did you mean '--seed'?"),
        (['synth', 'out', '--image', '4'], '--images'),
        (['synth', 'out', 'more', '--images', '4'], "unexpected argument 'more'"),
        (['synth', 'out'], '--images'),
        (['synth', 'out', '--images', '4', '--size', '320'], 'WIDTHxHEIGHT'),
        (['synht'], 'synth'),
        ([], 'COMMAND'),
    ],
)
def test_wrong_usage_names_what_is_right(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('hrnet_plugin.cli.synthesize', interrupted)
    assert main(['synth', 'out', '--images', '4']) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == 'interrupted'


def hears_ctrl_c():
    """What a shell runs in the background ignores SIGINT, and so do its children: not this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_all_workers(tmp_path):
    command = [sys.executable, '-m', 'hrnet_plugin', 'synth', str(tmp_path / 'out')]
    process = subprocess.Popen(
        [*command, '--images', '5000', '--workers', '2'],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / 'out').rglob('*.jpg')):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    assert errors.strip().endswith('interrupted')
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
