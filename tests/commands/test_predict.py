"""`hrnet-plugin predict`: results, drawn files, messages and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from support.random_models import DETECTOR, POSE
from support.video_files import damage, save_video

from hrnet_plugin.apis import PoseInferencer, write_coco_results
from hrnet_plugin.apis.inference.batches import CropBatches
from hrnet_plugin.commands.cli import main
from hrnet_plugin.functional import Calibration
from hrnet_plugin.functional.coco.calibration import CalibrationFit, ScoreMap

BUILT: dict[str, PoseInferencer] = {}


@pytest.fixture
def options(weights, tmp_path) -> list[str]:
    return [
        *('--config', POSE, '--weights', str(weights / 'pose.pth')),
        *('--out', str(tmp_path / 'out'), '--device', 'cpu'),
    ]


@pytest.fixture(autouse=True)
def _build_once(monkeypatch):
    """Build each inferencer once for all tests: that takes longer than most of them."""
    monkeypatch.setattr('hrnet_plugin.apis.PoseInferencer', build_inferencer)


def build_inferencer(*args, **options):
    key = repr((args, options))
    if key not in BUILT:
        BUILT[key] = PoseInferencer(*args, **options)
    return BUILT[key]


@pytest.fixture
def boxes(tmp_path):
    def write(content) -> list[str]:
        path = tmp_path / 'boxes.json'
        path.write_text(json.dumps(content))
        return ['--boxes', str(path)]

    return write


def results(tmp_path) -> list[dict]:
    return results_of(tmp_path / 'out')


def results_of(folder) -> list[dict]:
    return json.loads((folder / 'results.json').read_text())


def test_folder_and_video_with_a_detector(folder, clip, options, weights, tmp_path, capsys):
    detector = ['--det', DETECTOR, '--det-weights', str(weights / 'detector.pth')]
    few = ['--bbox-thr', '0.35']
    assert main(['predict', str(folder), str(clip), *options, *detector, *few, '--smooth']) == 0
    saved = results(tmp_path)
    last = capsys.readouterr().out.splitlines()[-1]
    out = tmp_path / 'out'
    assert last == (
        f'{len(saved)} instances in 15 images, drawn in {out}; all in {out / "results.json"}'
    )
    assert {p.name for p in out.iterdir()} == {
        *(p.name for p in folder.iterdir()),
        'clip.mp4',
        'results.json',
    }
    video = [person for person in saved if person['file_name'] == 'clip.mp4']
    assert {person['frame'] for person in video} == set(range(11))
    assert all(person['track_id'] >= 1 for person in video)


def test_results_are_of_coco_format(folder, options, boxes, tmp_path):
    known = boxes(
        [
            dict(image_id=0, bbox=[20, 30, 100, 190], score=0.5),
            dict(image_id=3, bbox=[60, 20, 100, 200], score=0.9),
            dict(image_id=3, bbox=[60, 20, 100, 200], score=0.1),  # not above --bbox-thr
        ]
    )
    assert main(['predict', str(folder), *options, *known]) == 0
    saved = results(tmp_path)
    assert [(p['image_id'], p['file_name']) for p in saved] == [
        (0, f'{0:012}.png'),
        (3, f'{3:012}.png'),
    ]
    assert saved[0]['bbox'] == [20, 30, 100, 190]
    coco = COCO()
    coco.dataset = dict(images=[dict(id=i) for i in range(4)], categories=[dict(id=1)], info={})
    coco.createIndex()
    loaded = coco.loadRes(str(tmp_path / 'out/results.json'))
    assert [len(a['keypoints']) for a in loaded.anns.values()] == [51, 51]


def test_boxes_by_file_name_and_frame(clip, options, boxes, tmp_path):
    place = dict(file_name='clip.mp4', bbox=[20, 30, 100, 190])
    known = boxes([dict(place, frame=2), dict(place, frame=5)])
    assert main(['predict', str(clip), *options, *known]) == 0
    assert [(p['frame'], p['image_id']) for p in results(tmp_path)] == [(2, 3), (5, 6)]


def test_boxes_of_annotations(folder, options, boxes, tmp_path):
    person = dict(image_id=7, bbox=[20, 30, 100, 190])
    images = [dict(id=7, file_name=f'{1:012}.png')]
    known = boxes(dict(images=images, annotations=[person, dict(person, iscrowd=1)]))
    assert main(['predict', str(folder), *options, *known]) == 0
    assert [p['image_id'] for p in results(tmp_path)] == [1]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([dict(image_id=99, bbox=[1, 2, 3, 4])], 'has no boxes for'),
        ([dict(image_id=0)], 'it has no bbox'),
        (dict(dataset=[]), "no 'images'"),
        ([dict(image_id=0, bbox=[1, 2, 0, 4])], 'has no area'),
    ],
)
def test_files_that_are_not_boxes(folder, options, boxes, capsys, content, message):
    assert main(['predict', str(folder), *options, *boxes(content)]) == 2
    assert message in capsys.readouterr().err


PERSON = dict(image_id=0, bbox=[20, 30, 100, 190])


def test_boxes_of_other_categories_are_skipped(folder, options, boxes, tmp_path, capsys):
    known = boxes(
        [
            dict(PERSON, category_id=1, score=None),
            dict(PERSON, category_id=3, bbox=[60, 20, 100, 200]),
            dict(PERSON, category_id=62, bbox=[10, 20, 50, 60]),
            dict(PERSON, category_id=1, bbox=[900, 20, 50, 60]),
            dict(PERSON, category_id=1, bbox=[0.2, 0.2, 0.5, 0.6]),
        ]
    )
    assert main(['predict', str(folder), *options, *known]) == 0
    assert [p['bbox'] for p in results(tmp_path)] == [[20, 30, 100, 190]]
    notes = capsys.readouterr().err
    assert '2 of 5 boxes skipped: they are of other categories (3: 1x, 62: 1x)' in notes
    assert '1 of 3 boxes skipped: the bbox is outside of the image' in notes
    assert '1 of 3 boxes skipped: the bbox is smaller than a pixel' in notes
    chosen = ['--box-categories', '62', '3']
    assert main(['predict', str(folder), *options, *known, *chosen]) == 0
    assert [p['bbox'] for p in results(tmp_path)] == [[60, 20, 100, 200], [10, 20, 50, 60]]


@pytest.mark.parametrize(
    ('entries', 'more', 'message'),
    [
        ([dict(category_id=3), dict(category_id=4)], [], 'there are 3: 1x, 4: 1x'),
        ([dict(category_id=3)], ['--box-categories', '4'], "unknown category of boxes '4'"),
        ([dict(bbox=[0.1, 0.2, 0.5, 0.6])], [], 'the boxes are in fractions of the image'),
    ],
)
def test_no_box_is_left(folder, options, boxes, tmp_path, capsys, entries, more, message):
    known = boxes([PERSON | entry for entry in entries])
    assert main(['predict', str(folder), *options, *known, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_boxes_of_images_in_folders(images, options, boxes, tmp_path, capsys):
    for name in 'ab':
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / '1.png'), images[0])
    inputs = [str(tmp_path / 'b/1.png')]
    known = boxes([PERSON | dict(file_name='a/1.png'), PERSON | dict(file_name='b/1.png')] * 2)
    assert main(['predict', *inputs, *options, *known]) == 0
    assert len(results(tmp_path)) == 2
    inputs.append(str(tmp_path / 'a/1.png'))
    assert main(['predict', *inputs, *options, *known]) == 0
    saved = results(tmp_path)
    assert [p['file_name'] for p in saved] == ['b/1.png'] * 2 + ['a/1.png'] * 2
    known = boxes(saved[:3])  # results of one run are boxes of the next
    assert main(['predict', *inputs, *options, *known, '--bbox-thr', '-1']) == 0
    assert [p['file_name'] for p in results(tmp_path)] == ['b/1.png'] * 2 + ['a/1.png']
    known = boxes([PERSON | dict(image_id=1)])
    assert main(['predict', *inputs, *options, *known]) == 2
    assert f'image_id 1 may be any of {inputs[0]}, {inputs[1]}' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda a: [*a, '--box-categories', 'person'], '--box-categories selects boxes of a file'),
        (lambda a: a[:-2], 'nothing says where instances are: give a detector with --det'),
        (lambda a: [a[0], 'none.jpg', *a[2:]], 'none.jpg'),
        (lambda a: [*a, '--config', 'no.py'], "pose2d='no.py': there is no such config file"),
        (lambda a: [*a, '--calibration', 'none.json'], 'none.json'),
        (lambda a: [*a, '--calibration', __file__], 'test_predict.py cannot be read as JSON'),
        (lambda a: [*a, '--runtime', 'auto'], '--runtime auto runs an exported model: give one'),
    ],
)
def test_bad_input_exits_with_2(folder, options, capsys, change, message):
    arguments = ['predict', str(folder), *options, '--det', 'whole_image']
    assert main(change(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith('hrnet-plugin: error: ')
    assert message in captured.err


def test_calibrated_scores(folder, options, tmp_path):
    """Instances get probabilities in the order of their scores, of 1e-6 to each side of 0.7."""
    fit = CalibrationFit(9, 9, 0.2, 0.1)
    always = ScoreMap(0, 1, None, (0.5,), (0.7,))
    calibration = Calibration('isotonic', 0.5, 0.5, 'wrong', 0, 5, 5, always, always, fit, fit)
    calibration.to_json(tmp_path / 'calibration.json')
    arguments = ['predict', str(folder), *options, '--det', 'whole_image']
    assert main(arguments) == 0
    before = [result['score'] for result in results(tmp_path)]
    assert main([*arguments, '--calibration', str(tmp_path / 'calibration.json')]) == 0
    after = [result['score'] for result in results(tmp_path)]
    assert after == pytest.approx([0.7] * len(before), abs=1e-6)
    assert np.argsort(after).tolist() == np.argsort(before).tolist()
    assert len(set(before)) > 2


def test_whole_image(folder, options, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        'hrnet_plugin.utils.allocator.disable_malloc_trim', lambda: kept.append(True)
    )
    assert main(['predict', str(folder / '*0002.png'), *options, '--det', 'whole_image']) == 0
    assert [p['bbox'] for p in results(tmp_path)] == [[0, 0, 160, 240]]
    assert kept == [True], 'it runs on a CPU'


WHOLE = ['--det', 'whole_image']


class TestNothingIsLost:
    def test_videos_and_images_of_one_name(self, options, tmp_path):
        paths = [save_video(tmp_path / name, n) for name, n in (('x/c.avi', 2), ('y/c.avi', 3))]
        cv2.imwrite(str(tmp_path / 'c.png'), np.full((48, 64, 3), 100, np.uint8))
        inputs = [str(tmp_path / 'c.png'), *map(str, paths)]
        assert main(['predict', *inputs, *options, *WHOLE]) == 0
        saved = results(tmp_path)
        assert [(p['image_id'], p['file_name'], p.get('frame')) for p in saved] == [
            (1, 'c.png', None),
            *((2 + i, 'x/c.avi', i) for i in range(2)),
            *((4 + i, 'y/c.avi', i) for i in range(3)),
        ]
        assert [p['timestamp'] for p in saved[1:]] == pytest.approx([0, 0.2, 0, 0.2, 0.4])
        lengths = [
            cv2.VideoCapture(str(tmp_path / f'out/{folder}/c.mp4')).get(cv2.CAP_PROP_FRAME_COUNT)
            for folder in 'xy'
        ]
        assert lengths == [2, 3]
        assert (tmp_path / 'out/c.png').is_file()

    def test_videos_of_one_stem(self, options, tmp_path):
        paths = [str(save_video(tmp_path / name, n)) for name, n in (('c.avi', 1), ('c.mkv', 2))]
        assert main(['predict', *paths, *options, *WHOLE]) == 0
        for name, length in (('c.avi.mp4', 1), ('c.mkv.mp4', 2)):
            drawn = cv2.VideoCapture(str(tmp_path / 'out' / name))
            assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == length
        assert [p['file_name'] for p in results(tmp_path)] == ['c.avi', 'c.mkv', 'c.mkv']

    def test_unreadable_inputs_are_skipped_and_listed(self, folder, options, tmp_path, capsys):
        bad = folder / f'{1:012}.png'
        bad.write_bytes(bad.read_bytes()[:500])
        damage(save_video(folder / 'a.avi', 4), 2)
        assert main(['predict', str(folder), *options, *WHOLE]) == 3
        saved = results(tmp_path)
        assert [(p['file_name'][-8:], p.get('frame')) for p in saved] == [
            *((f'000{i}.png', None) for i in (0, 2, 3)),
            *(('a.avi', i) for i in (0, 1, 3)),
        ]
        captured = capsys.readouterr()
        assert captured.out.splitlines()[-1].startswith('6 instances in 6 images')
        assert captured.err.splitlines()[-3:] == [
            '2 inputs could not be read completely:',
            f'  {bad} cannot be read as an image: the file is truncated',
            f'  {folder / "a.avi"}: 3 of 4 frames were read; frame 2 cannot be decoded',
        ]

    def test_strict_stops_but_keeps_what_is_done(self, folder, options, tmp_path, capsys):
        (folder / f'{2:012}.png').write_bytes(b'\x89PNG\r\n\x1a\n')
        assert main(['predict', str(folder), *options, *WHOLE, '--strict']) == 2
        assert [p['image_id'] for p in results(tmp_path)] == [0, 1]
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith('hrnet-plugin: error: ')
        assert f'{2:012}.png cannot be read as an image' in error

    def test_nothing_readable_is_an_error(self, options, tmp_path, capsys):
        (tmp_path / 'x.jpg').write_bytes(b'')
        assert main(['predict', str(tmp_path / 'x.jpg'), *options, *WHOLE]) == 2
        assert 'x.jpg is empty' in capsys.readouterr().err

    def test_skipped_files_of_folders_are_reported(self, folder, options, tmp_path, capsys):
        (folder / '1.heic').write_bytes(b'')
        (folder / 'sub').mkdir()
        cv2.imwrite(str(folder / 'sub/0.bmp'), np.full((48, 64, 3), 100, np.uint8))
        arguments = ['predict', str(folder), *options, *WHOLE]
        assert main(arguments) == 0
        error = capsys.readouterr().err
        assert 'skipped: 1 .heic (1.heic), 1 subfolder (sub)' in error
        assert len(results(tmp_path)) == 4
        assert main([*arguments, '--recursive']) == 0
        assert 'subfolder' not in capsys.readouterr().err
        assert {p['file_name'] for p in results(tmp_path)} >= {'0.bmp', f'{0:012}.png'}


class TestFolderNames:
    def test_dots_spaces_and_letters(self, folder, weights, tmp_path, options):
        moved = folder.rename(tmp_path / 'Löwen v1.2 [x].jpg')
        out = tmp_path / 'läufe 2026.11.26.mp4'
        changed = [str(out) if text.endswith('/out') else text for text in options]
        assert main(['predict', str(moved / '*.png'), *changed, *WHOLE]) == 0
        assert len(list(out.glob('*.png'))) == len(results_of(out)) == 4

    @pytest.mark.parametrize('name', ['file', 'file/below'])
    def test_out_is_a_file(self, folder, options, tmp_path, capsys, name):
        (tmp_path / 'file').write_text('kept')
        changed = [str(tmp_path / name) if text.endswith('/out') else text for text in options]
        assert main(['predict', str(folder), *changed, *WHOLE]) == 2
        assert 'file is a file; give the name of a folder' in capsys.readouterr().err
        assert (tmp_path / 'file').read_text() == 'kept'

    def test_results_are_no_folder(self, folder, options, tmp_path, capsys):
        (tmp_path / 'out/results.json').mkdir(parents=True)
        assert main(['predict', str(folder), *options, *WHOLE]) == 2
        assert 'results.json cannot be written: a folder has that name' in capsys.readouterr().err

    def test_inputs_and_boxes_are_not_overwritten(self, folder, options, tmp_path, capsys):
        out = ['--out', str(folder)]
        assert main(['predict', str(folder), *options, *WHOLE, *out]) == 2
        assert '0000.png would be overwritten; choose another --out' in capsys.readouterr().err
        known = tmp_path / 'out/results.json'
        known.parent.mkdir()
        known.write_text(json.dumps([dict(image_id=0, bbox=[20, 30, 100, 190])]))
        assert main(['predict', str(folder), *options, '--boxes', str(known)]) == 2
        assert 'results.json would be overwritten' in capsys.readouterr().err


def test_the_file_is_that_of_python(folder, clip, options, boxes, boxes_only, tmp_path):
    """``write_coco_results`` writes it byte by byte, and ``to_coco`` returns what it has."""
    known = [dict(image_id=i, bbox=[20, 30, 100, 190]) for i in range(4)]
    known += [dict(file_name='clip.mp4', frame=i, bbox=[20 + i, 30, 100, 190]) for i in range(9)]
    known_boxes = boxes(known)
    assert main(['predict', str(folder), str(clip), *options, *known_boxes, '--smooth']) == 0
    path = tmp_path / 'python/results.json'
    chosen = dict(bboxes=known_boxes[1], track=True, smooth=True)
    summary = write_coco_results(
        boxes_only, [folder, clip], path, vis_out_dir=path.parent, draw_bbox=True, **chosen
    )
    assert path.read_bytes() == (tmp_path / 'out/results.json').read_bytes()
    assert summary == (path, 15, 13, [])
    assert boxes_only.to_coco([folder, clip], **chosen) == results(tmp_path)
    drawn = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    assert drawn == {p.name: p.read_bytes() for p in (tmp_path / 'out').iterdir()}


def test_an_interruption_keeps_what_is_done(folder, options, tmp_path, monkeypatch, capsys):
    add, added = CropBatches.add, []

    def interrupted(self, frame, boxes):
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(frame.name)
        return add(self, frame, boxes)

    monkeypatch.setattr(CropBatches, 'add', interrupted)
    assert main(['predict', str(folder), *options, *WHOLE, '--batch-size', '1']) == 130
    captured = capsys.readouterr()
    assert [p['image_id'] for p in results(tmp_path)] == [0, 1]
    assert captured.out.startswith('2 instances in 2 images')
    assert captured.err.strip().endswith('interrupted')
    assert cv2.imread(str(tmp_path / f'out/{1:012}.png')) is not None


def take_sigint():
    """Take SIGINT, which children of a shell's background job ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_done(images, options, tmp_path):
    (tmp_path / 'many').mkdir()
    for i in range(1000):
        cv2.imwrite(str(tmp_path / f'many/{i:012}.jpg'), images[2])
    command = [sys.executable, '-m', 'hrnet_plugin', 'predict', str(tmp_path / 'many')]
    process = subprocess.Popen(
        [*command, *options, '--det', 'whole_image', '--batch-size', '2'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {'PYTHONWARNINGS': 'ignore'},
        preexec_fn=take_sigint,
    )
    deadline = time.monotonic() + 300
    while len(list((tmp_path / 'out').glob('*.jpg'))) < 8:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    assert errors.strip().endswith('interrupted')
    saved = results(tmp_path)
    assert 1 <= len(saved) < 1000
    assert out.startswith(f'{len(saved)} instances in {len(saved)} images')
    drawn = sorted((tmp_path / 'out').glob('*.jpg'))
    assert len(drawn) >= len(saved)
    assert all(cv2.imread(str(path)) is not None for path in drawn)
