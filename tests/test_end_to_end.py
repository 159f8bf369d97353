"""What users do, from the first picture to the drawn skeleton, small."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parent.parent
POSE = 'td-hm_hrnet-w18-small-v1_demo.py'
COCO_SAMPLE = os.environ.get('COCO_SAMPLE')


def run(command: list[str] | str, cwd: Path, **env: str) -> str:
    """Run a command line of a user whose environment is active; its output."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'} | env,
        shell=isinstance(command, str),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `make demo` has run, on few pictures and for one epoch."""
    home = tmp_path_factory.mktemp('home')
    (home / 'configs').symlink_to(ROOT / 'configs')
    demo(home)
    return home


def demo(home: Path) -> str:
    options = ['--work-dir', 'work_dirs/demo', '--images', '40', '--epochs', '1']
    return run([sys.executable, str(ROOT / 'demo' / 'run.py'), *options], cwd=home)


class TestDemo:
    def test_leaves_pictures_and_a_table(self, home: Path) -> None:
        out = home / 'work_dirs/demo'
        for name in ('skeletons.jpg', 'heatmaps.jpg', 'training.png'):
            assert cv2.imread(str(out / name)) is not None
        assert len(list((out / 'skeletons').glob('*.jpg'))) == 12
        table = (out / 'summary.md').read_text()
        assert re.search(r'\| ground-truth boxes \|( \d\.\d{3} \|){4}', table)
        assert re.search(r"\| the detector's boxes \|( \d\.\d{3} \|){4}", table)

    def test_predictions_are_people_with_17_keypoints(self, home: Path) -> None:
        files = sorted((home / 'work_dirs/demo/predictions').glob('*.json'))
        assert len(files) == 12
        for file in files:
            for person in json.loads(file.read_text()):
                assert len(person['keypoints']) == len(person['keypoint_scores']) == 17

    def test_second_run_does_nothing_again(self, home: Path) -> None:
        commands = home / 'work_dirs/demo/commands.txt'
        before = commands.read_text()
        assert demo(home).count('done before') == 7
        assert commands.read_text() == before

    def test_commands_can_be_typed_again(self, home: Path) -> None:
        lines = (home / 'work_dirs/demo/commands.txt').read_text().splitlines()
        tests = [line for line in lines if ' mim test mmpose ' in line]
        assert len(tests) == 2
        assert 'coco/AP' in run(tests[0], cwd=home)

    def test_training_resumes(self, home: Path) -> None:
        out = run(
            f'mim train mmpose configs/demo/{POSE} --work-dir work_dirs/demo/pose --resume '
            '--cfg-options train_cfg.max_epochs=2',
            cwd=home,
            COCO_ROOT='work_dirs/demo/data',
        )
        assert 'resumed epoch: 1' in out
        assert 'Epoch(train) [2]' in out
        assert 'Epoch(train) [1]' not in out


def readme_examples() -> list[tuple[str, str]]:
    """(language, code) of the examples under 'Three doors'."""
    section = (ROOT / 'README.md').read_text().split('## Three doors')[1].split('\n## ')[0]
    return re.findall(r'```(sh|python)\n(.*?)```', section, flags=re.DOTALL)


class TestReadme:
    def test_examples_run_as_pasted(self, home: Path) -> None:
        examples = readme_examples()
        assert [language for language, _ in examples] == ['sh', 'python', 'python', 'sh']
        for language, code in examples:
            named = re.match(r'# (\w+\.py)', code)
            if named:
                (home / named[1]).write_text(code)
            elif language == 'python':
                run([sys.executable, '-c', code], cwd=home)
            else:
                run(f'set -e\n{code}', cwd=home)
        assert list((home / 'work_dirs/mine').glob('epoch_*.pth'))
        assert len(list((home / 'work_dirs/pictures').glob('*.jpg'))) == 12
        assert list((home / 'work_dirs/project').glob('epoch_*.pth'))


@pytest.mark.skipif(
    COCO_SAMPLE is None,
    reason="COCO_SAMPLE does not name a folder with MMPose's tests/data/coco: four real pictures",
)
def test_real_pictures_are_learnt_by_heart(tmp_path: Path) -> None:
    """The short form of `python demo/real.py FOLDER`, which goes on to an AP of 0.9."""
    script = ROOT / 'demo' / 'real.py'
    options = ['--work-dir', str(tmp_path), '--epochs', '60']
    out = run([sys.executable, str(script), str(COCO_SAMPLE), *options], cwd=tmp_path)
    (gt,) = re.findall(r'ground-truth boxes: AP (\S+),', out)
    (detected,) = re.findall(r'detector boxes .*: AP (\S+),', out)
    assert float(gt) > 0.3
    assert float(detected) > 0.2
