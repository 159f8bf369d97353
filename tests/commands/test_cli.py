"""The command `hrnet-plugin`: output and exit codes."""

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch

from hrnet_plugin.commands.cli import main
from hrnet_plugin.models import HRNet

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
    assert 'num_images 4 there, 3 requested' in capsys.readouterr().err
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
        (['check'], 'CONFIG'),
        (['check', 'a.py', '--no-image'], "did you mean '--no-images'?"),
        (['convert', 'in.pth'], 'OUT'),
        (['convert', 'in.pth', 'out.pth', '--num-keypoint', '5'], "mean '--num-keypoints'?"),
        (['convert', 'in.pth', 'out.pth', '--num-keypoints', '0'], "'0' is not a number of"),
        (['convert', 'in.pth', 'out.pth', '--position-bias', 'none'], "'keep', 'zero', 'drop'"),
        (['doctor', 'all'], "unexpected argument 'all'"),
        ([], 'COMMAND'),
    ],
)
def test_usage_errors_name_the_valid_option(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('hrnet_plugin.datasets.synthetic.synthesize', interrupted)
    assert main(['synth', 'out', '--images', '4']) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == 'interrupted'


def test_noise_is_hidden_only_while_a_command_runs(monkeypatch):
    message = 'pkg_resources is deprecated as an API'

    def noisy(*args, **kwargs):
        warnings.warn(message, stacklevel=1)
        raise ValueError('end of the test')

    monkeypatch.setattr('hrnet_plugin.datasets.synthetic.synthesize', noisy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert main(['synth', 'out', '--images', '4']) == 2
        assert not [warning for warning in caught if str(warning.message) == message]
        warnings.warn(message, stacklevel=1)
        assert str(caught[-1].message) == message


def accept_ctrl_c():
    """Undo that background jobs of a shell, and their children, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_all_workers(tmp_path):
    command = [sys.executable, '-m', 'hrnet_plugin', 'synth', str(tmp_path / 'out')]
    process = subprocess.Popen(
        [*command, '--images', '5000', '--workers', '2'],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=accept_ctrl_c,
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


@pytest.fixture
def official(tmp_path):
    """A checkpoint as the HRNet pose repository writes it in training."""
    state = {f'module.{n}': t for n, t in HRNet(arch='w18-small-v1').state_dict().items()}
    state['module.final_layer.weight'] = torch.ones(17, 16, 1, 1)
    state['module.final_layer.bias'] = torch.ones(17)
    path = tmp_path / 'official.pth'
    torch.save(dict(epoch=210, model='pose_hrnet', state_dict=state), path)
    return path


def test_convert_prints_layout_and_model(official, tmp_path, capsys):
    out = tmp_path / 'out.pth'
    assert main(['convert', str(official), str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'official HRNet pose model: HRNet w18-small-v1, 17 keypoints, 350 tensors',
        f'wrote {out}',
    ]
    assert main(['convert', str(out), str(out), '--num-keypoints', '5', '--overwrite']) == 0
    assert capsys.readouterr().out.splitlines() == [
        'MMPose 1.x model: HRNet w18-small-v1, 5 keypoints, 350 tensors',
        '- re-initialised the final layer: 5 keypoints instead of 17',
        f'wrote {out}',
    ]
    assert torch.load(out)['state_dict']['head.final_layer.bias'].shape == (5,)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def unsafe(path):
    torch.save(dict(state_dict={}, args=_Unknown()), path)


def unknown(path):
    torch.save({'layer4.0.conv1.weight': torch.ones(1)}, path)


class _Unknown:
    """Not one of the types that checkpoints need."""


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (cut, 'official.pth is cut short, corrupt'),
        (unsafe, '_Unknown, which the safe loader refuses'),
        (unknown, 'official.pth: not a known checkpoint'),
        (os.remove, 'No such file'),
        (lambda path: path.with_name('out.pth').touch(), 'exists already; --overwrite'),
    ],
)
def test_convert_errors_exit_with_2(official, capsys, spoil, message):
    spoil(official)
    files = sorted(official.parent.iterdir())
    assert main(['convert', str(official), str(official.with_name('out.pth'))]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith('hrnet-plugin: error: ')
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ''
    assert sorted(official.parent.iterdir()) == files


def test_convert_zeroes_or_keeps_position_biases(official, tmp_path, capsys):
    state = torch.load(official)['state_dict']
    state = {n.replace('module.', 'backbone.'): t for n, t in state.items() if 'final' not in n}
    attention = 'backbone.stage2.0.branches.0.0.attn.attn'
    state |= {f'{attention}.{p}_proj.weight': torch.ones(1, 1) for p in 'kvq'}
    state[f'{attention}.relative_position_bias_table'] = torch.ones(169, 1)
    torch.save(state, official)
    out = tmp_path / 'out.pth'
    for options, value in (([], 0), (['--position-bias', 'keep', '--overwrite'], 1)):
        assert main(['convert', str(official), str(out), *options]) == 0
        assert ('zeroed the position biases (1 tensor)' in capsys.readouterr().out) == (value == 0)
        table = torch.load(out)['state_dict'][f'{attention}.relative_position_bias_table']
        assert table.eq(value).all()
