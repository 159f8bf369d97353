"""What users do, from the first image to the drawn skeleton, on a small scale."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest
from support.doc_blocks import RUN, Block, all_blocks, code_cells
from support.paths import ROOT
from support.plausible_predictions import plausible_predictions
from support.random_models import save_random_weights
from support.shell import run

from hrnet_plugin.utils.model_index import named_models

POSE = 'td-hm_hrnet-w18-small-v1_demo.py'


def accept_ctrl_c() -> None:
    """Accept SIGINT: what a shell runs in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


OPTIONS = ['--images', '40', '--epochs', '2']


def demo(
    work_dir: str = 'work_dirs/demo', options: list[str] = OPTIONS, variables: Sequence[str] = ()
) -> list[str]:
    """What `make demo` runs, with options."""
    line = subprocess.run(
        ['make', '--dry-run', '--silent', 'demo', *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split('\n')[-2]
    _, script, *arguments = line.split()
    return [sys.executable, str(ROOT / script), *arguments, '--work-dir', work_dir, *options]


class Interrupted(NamedTuple):
    """What an interrupted demo leaves."""

    home: Path
    code: int
    error: str
    processes: list[str]


def processes_in(folder: Path) -> list[str]:
    """The processes that work in a folder, or below it."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        try:
            if (process / 'cwd').readlink().is_relative_to(folder):
                found.append((process / 'cmdline').read_text())
        except OSError:
            continue  # it has ended
    return found


@pytest.fixture(scope='module')
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """The demo on few images, interrupted after the first of two epochs."""
    home = tmp_path_factory.mktemp('my home, with blanks')
    (home / 'configs').symlink_to(ROOT / 'configs')
    with subprocess.Popen(
        demo(), cwd=home, stderr=subprocess.PIPE, text=True, preexec_fn=accept_ctrl_c
    ) as process:
        # Written after the checkpoint
        while not (home / 'work_dirs/demo/pose/last_checkpoint').exists():
            assert process.poll() is None
            time.sleep(0.05)
        assert processes_in(home)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    patience = time.monotonic() + 10
    while processes_in(home) and time.monotonic() < patience:
        time.sleep(0.05)
    return Interrupted(home, process.returncode, error, processes_in(home))


class Continued(NamedTuple):
    """A demo that was interrupted, and what it said when the same command was given again."""

    home: Path
    output: str


@pytest.fixture(scope='module')
def continued(interrupted: Interrupted) -> Continued:
    return Continued(interrupted.home, run(demo(), cwd=interrupted.home))


@pytest.fixture(scope='module')
def home(continued: Continued) -> Path:
    """A folder in which the demo has run."""
    return continued.home


@pytest.mark.slow
class TestDemo:
    def test_stops_at_ctrl_c(self, interrupted: Interrupted) -> None:
        assert interrupted.code == 1
        assert 'interrupted; re-run the command to resume' in interrupted.error
        assert 'Traceback' not in interrupted.error
        assert not interrupted.processes

    def test_continues_where_it_stopped(self, continued: Continued) -> None:
        assert continued.output.count('done before') == 1
        log = (continued.home / 'work_dirs/demo/logs/train_pose.log').read_text()
        assert 'resumed epoch: 1' in log
        assert 'resumed epoch: 0' not in log

    def test_leaves_images_and_a_table(self, home: Path) -> None:
        out = home / 'work_dirs/demo'
        for name in ('skeletons.jpg', 'heatmaps.jpg', 'training.png'):
            assert cv2.imread(str(out / name)) is not None
        assert len(list((out / 'skeletons').glob('*.jpg'))) == 12
        table = (out / 'summary.md').read_text()
        assert re.search(r'\| ground-truth boxes \|( \d\.\d{3} \|){4}', table)
        assert re.search(r"\| the detector's boxes \|( \d\.\d{3} \|){4}", table)
        for images in ('held-out', 'new'):
            assert re.search(rf'In the {images} images, \d+ of \d+ people are found', table)
        state, report = (
            json.loads((out / name).read_text()) for name in ('state.json', 'report/report.json')
        )
        numbers = report['models'][0]['metrics']
        tested = state['results']['test_detected']['coco/AP']
        assert numbers['coco/AP']['value'] == pytest.approx(tested, abs=1e-6)
        assert report['images']['problems'] == []
        assert (out / 'report' / 'report.html').exists()

    def test_predictions_have_17_keypoints(self, home: Path) -> None:
        files = sorted((home / 'work_dirs/demo/predictions').glob('*.json'))
        assert len(files) == 12
        for file in files:
            for person in json.loads(file.read_text()):
                assert len(person['keypoints']) == len(person['keypoint_scores']) == 17

    def test_second_run_does_nothing_again(self, home: Path) -> None:
        commands = home / 'work_dirs/demo/commands.txt'
        before = commands.read_text()
        assert run(demo(), cwd=home).count('done before') == 8
        assert commands.read_text() == before

    def test_other_settings_do_not_pass_for_these(self, home: Path) -> None:
        command = demo(options=['--images', '41', '--epochs', '2'])
        result = subprocess.run(command, cwd=home, capture_output=True, text=True)
        assert result.returncode == 1
        assert 'was made with other images; delete it, or name another folder' in result.stderr

    def test_commands_can_be_typed_again(self, home: Path) -> None:
        lines = (home / 'work_dirs/demo/commands.txt').read_text().splitlines()
        tests = [line for line in lines if ' mim test mmpose ' in line]
        assert len(tests) == 2
        assert 'coco/AP' in run(tests[0], cwd=home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arch', 'config'), [('lite-18', 'litehrnet-18'), ('hrformer-tiny', 'hrformer-tiny')]
)
def test_demo_of_other_backbones(arch: str, config: str, tmp_path: Path) -> None:
    out = run(demo('demo', variables=[f'ARCH={arch}']), cwd=tmp_path)
    assert re.search(r'\| ground-truth boxes \|( \d\.\d{3} \|){4}', out)
    assert f'td-hm_{config}_demo.py' in (tmp_path / 'demo/commands.txt').read_text()
    assert cv2.imread(str(tmp_path / 'demo/skeletons.jpg')) is not None


def test_demo_names_the_backbones_it_knows(tmp_path: Path) -> None:
    command = demo('demo', variables=['ARCH=lite-81'])
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert "'w18-small-v1', 'lite-18', 'hrformer-tiny'" in result.stderr


PUBLISHED = {  # names in examples: where their weights come from, and the registry of the models
    'hrnet-w32_coco-256x192': 'hrnet_plugin',
    'rtmdet-m': 'mmdet',
}


@pytest.fixture(scope='module')
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of PyTorch in which random weights lie in the place of published ones."""
    folder = tmp_path_factory.mktemp('torch')
    (folder / 'hub/checkpoints').mkdir(parents=True)
    for name, scope in PUBLISHED.items():
        config, url = named_models(scope)[name]
        assert url is not None
        save_random_weights(config, scope, folder / 'hub/checkpoints' / url.rpartition('/')[2])
    return folder


ANNOTATIONS = 'annotations/person_keypoints_val2017.json'


class Ran(NamedTuple):
    """A page whose blocks have run, in order."""

    folder: Path
    printed: str


def blocks_of(page: str) -> list[Block]:
    """Blocks of a page that run where the demo has run."""
    return [
        block
        for block in all_blocks()
        if block.page == page and block.language in RUN and block.mark in ('', 'quick')
    ]


def run_page(page: str, home: Path, folder: Path, torch_home: Path) -> Ran:
    """Run the blocks of a page in a copy of a folder in which the demo has run."""
    shutil.copytree(home, folder, symlinks=True)
    demo = folder / 'work_dirs/demo'
    annotations = json.loads((demo / 'data' / ANNOTATIONS).read_text())
    # So short a training finds nobody, and leaves nothing to evaluate.
    predictions = json.dumps(plausible_predictions(annotations, seed=0))
    (demo / 'pose/detected.keypoints.json').write_text(predictions)
    printed = ''
    for block in blocks_of(page):
        if block.file_name:
            (folder / block.file_name).write_text(block.code)
            continue
        is_python = block.language == 'python'
        command = [sys.executable, '-c', block.code] if is_python else f'set -e\n{block.code}'
        printed += run(command, cwd=folder, TORCH_HOME=str(torch_home))
    return Ran(folder, printed)


OWN_CHECKS = ('README.md', 'docs/openmmlab.md', 'docs/export.md', 'docs/evaluation.md')
OTHERS = sorted({block.page for block in all_blocks() if blocks_of(block.page)} - {*OWN_CHECKS})


@pytest.mark.slow
class TestPages:
    """Blocks of code of README.md and docs/ run as pasted; the first ones leave what they say."""

    @pytest.fixture
    def ran(
        self, request: pytest.FixtureRequest, home: Path, tmp_path: Path, torch_home: Path
    ) -> Ran:
        return run_page(request.param, home, tmp_path / 'home', torch_home)

    @pytest.mark.parametrize('ran', ['README.md'], indirect=True)
    def test_readme(self, ran: Ran) -> None:
        assert len(list((ran.folder / 'work_dirs/published').glob('*.jpg'))) == 12

    @pytest.mark.parametrize('ran', ['docs/openmmlab.md'], indirect=True)
    def test_three_ways(self, ran: Ran, home: Path) -> None:
        work_dirs = ran.folder / 'work_dirs'
        assert (work_dirs / 'mine/epoch_1.pth').exists()
        assert len(list((work_dirs / 'images').glob('*.jpg'))) == 12
        assert list((work_dirs / 'project').glob('epoch_*.pth'))
        assert len(re.findall(r'^\d+ people', ran.printed, re.MULTILINE)) == 12

    @pytest.mark.parametrize('ran', ['docs/export.md'], indirect=True)
    def test_export(self, ran: Ran) -> None:
        assert len(list((ran.folder / 'work_dirs/exported').glob('*.jpg'))) == 12
        assert '(1, 17, 2) nose' in ran.printed

    @pytest.mark.parametrize('ran', ['docs/evaluation.md'], indirect=True)
    def test_evaluation(self, ran: Ran) -> None:
        assert '</html>' in (ran.folder / 'work_dirs/report/report.html').read_text()
        assert len(re.findall('expected calibration error', ran.printed)) >= 2
        assert json.loads((ran.folder / 'calibration.json').read_text())['method'] == 'isotonic'

    @pytest.mark.parametrize('ran', OTHERS, indirect=True)
    def test_others(self, ran: Ran) -> None:
        assert (ran.folder / 'work_dirs/demo').is_dir()

    @pytest.mark.parametrize('ran', ['docs/inference.md'], indirect=True)
    def test_exported_models_detect_what_pytorch_does(self, ran: Ran) -> None:
        folder = ran.folder / 'work_dirs'
        assert len(list((folder / 'predictions').glob('*.jpg'))) == 12
        found = json.loads((folder / 'predictions/results.json').read_text())
        (export,) = (b.code for b in blocks_of('docs/export.md') if 'export --config' in b.code)
        run(f'set -e\n{export}', cwd=ran.folder)
        exported = json.loads((folder / 'exported/results.json').read_text())
        assert [e['file_name'] for e in exported] == [f['file_name'] for f in found]

    def test_notebook(self, home: Path, tmp_path: Path) -> None:
        shutil.copytree(home, tmp_path / 'home', symlinks=True)
        code = '\n'.join(code_cells(ROOT / 'demo/first_steps.ipynb'))
        printed = run([sys.executable, '-c', code], cwd=tmp_path / 'home', MPLBACKEND='Agg')
        assert re.search(r'^AP 0\.\d{3}$', printed, re.MULTILINE)
        assert (tmp_path / 'home/work_dirs/first_steps/pose.onnx').exists()

    def test_predict_uses_given_boxes(self, home: Path) -> None:
        (line,) = (
            b.code for b in blocks_of('docs/inference.md') if b.code.startswith('hrnet-plugin')
        )
        folder, boxes = 'val2017', ANNOTATIONS
        line = line.replace('work_dirs/demo/images', f'work_dirs/demo/data/{folder}')
        line = re.sub(
            r'--det \S+[\s\\]+--det-weights \S+', f'--boxes work_dirs/demo/data/{boxes}', line
        )
        run(line.replace('work_dirs/predictions', 'work_dirs/annotated'), cwd=home)
        known = json.loads((home / 'work_dirs/demo/data' / boxes).read_text())
        names = {image['id']: image['file_name'] for image in known['images']}
        found = json.loads((home / 'work_dirs/annotated/results.json').read_text())
        assert len(found) > 4
        assert Counter(person['file_name'] for person in found) == Counter(
            names[person['image_id']] for person in known['annotations']
        )
        assert all(len(person['keypoints']) == 17 * 3 for person in found)
        assert all(
            cv2.imread(str(home / 'work_dirs/annotated' / x)) is not None for x in names.values()
        )
