"""`hrnet-plugin evaluate`: output, files, exit codes and errors."""

import json
import re

import pytest
from mmengine.config import Config
from support.random_models import POSE, save_pose
from support.report_data import kites, report_data

from hrnet_plugin.commands.cli import main
from hrnet_plugin.functional import evaluate_coco_keypoints

FEW = ['--resamples', '10', '--gallery', '6']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return report_data(tmp_path_factory.mktemp('data'), images=8)


def run(*arguments):
    return main(['evaluate', *map(str, arguments)])


def test_writes_and_prints_the_numbers(data, tmp_path, capsys):
    out = tmp_path / 'out'
    images = ['--images', data.images]
    assert run(data.annotations, data.worse, data.better, *images, '--out', out, *FEW) == 0
    printed = capsys.readouterr().out
    ap = evaluate_coco_keypoints(data.annotations, data.worse).ap
    assert f'coco/AP        {ap:6.3f}'.split() == printed.splitlines()[1].split()[:2]
    assert 'difference in AP' in printed
    assert f'wrote {out / "report.html"}' in printed
    content = json.loads((out / 'report.json').read_text())
    assert content['models'][0]['metrics']['coco/AP']['value'] == ap
    assert (out / 'report.html').read_text().startswith('<!DOCTYPE html>')
    assert sorted(path.name for path in out.iterdir()) == ['report.html', 'report.json']
    # Again, of another run: both are replaced.
    assert run(data.annotations, data.better, '--out', out, *FEW) == 0
    assert json.loads((out / 'report.json').read_text())['comparison'] is None
    assert 'worse.json' not in (out / 'report.html').read_text()


def test_work_folder_of_a_training(data, tmp_path, capsys):
    """Its model predicts in the annotated boxes."""
    folder = tmp_path / 'mine'
    folder.mkdir()
    Config.fromfile(POSE).dump(folder / 'config.py')
    save_pose(folder / 'best_coco_AP_epoch_1.pth')
    out = tmp_path / 'out'
    images = ['--images', data.images]
    assert run(data.annotations, folder, data.better, *images, '--out', out, *FEW) == 0
    results = json.loads((out / 'mine.keypoints.json').read_text())
    annotated = [a['image_id'] for a in data.coco['annotations']]
    assert sorted(r['image_id'] for r in results) == sorted(annotated)
    content = json.loads((out / 'report.json').read_text())
    assert [model['name'] for model in content['models']] == ['mine', 'better']
    capsys.readouterr()
    assert run(data.annotations, folder, '--out', out, *FEW) == 2
    assert f'{folder} is a folder: give --images' in capsys.readouterr().err


def test_images_that_cannot_be_shown_are_listed_and_exit_with_3(data, tmp_path, capsys):
    (tmp_path / 'images').mkdir()
    images = ['--images', tmp_path / 'images']
    assert run(data.annotations, data.worse, *images, '--out', tmp_path / 'out', *FEW) == 3
    assert 'not shown: ' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'report.html').exists()


def test_metainfo_that_metainfo_writes(tmp_path, capsys):
    annotations, results = kites(tmp_path)
    coco = json.loads(annotations.read_text())
    coco['categories'][0]['keypoints'] = ['tip', 'left', 'right', 'keel', 'tail']
    annotations.write_text(json.dumps(coco))
    assert main(['metainfo', str(annotations), str(tmp_path / 'kite.py')]) == 0
    bare = json.loads(annotations.read_text())
    bare['categories'] = [dict(id=1, name='kite')]
    annotations.write_text(json.dumps(bare))
    options = ['--out', tmp_path / 'out', '--metainfo', tmp_path / 'kite.py', *FEW]
    assert run(annotations, results, *options) == 0
    content = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert content['skeleton']['names'][1] == 'left'
    assert content['skeleton']['flip_pairs'] == [[1, 2]]
    assert content['skeleton']['sigmas'] == [0.05] * 5
    assert run(annotations, results, *options, '--sigmas', '0.1') == 0
    content = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert content['skeleton']['sigmas'] == [0.1] * 5


def test_areas_that_are_missing_are_noted(data, tmp_path, capsys):
    coco = data.coco
    for annotation in coco['annotations']:
        del annotation['area']
    path = tmp_path / 'no_area.json'
    path.write_text(json.dumps(coco))
    assert run(path, data.worse, '--out', tmp_path / 'out', *FEW) == 0
    assert re.search('note: .*no usable area', capsys.readouterr().out)
    assert 'no usable area' in (tmp_path / 'out' / 'report.html').read_text()


def as_dict(results):
    return dict(results=results)


def of_other_images(results):
    return [dict(each, image_id=5) for each in results]


def of_fewer_keypoints(results):
    return [dict(each, keypoints=each['keypoints'][:9]) for each in results]


def with_nan(results):
    return [dict(each, score=float('nan')) for each in results]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (as_dict, 'it holds a dict; expected a list of COCO results'),
        (of_other_images, 'image 5 of the predictions is not among the annotations'),
        (of_fewer_keypoints, 'keypoints'),
        (with_nan, 'NaN or infinite'),
    ],
)
def test_results_that_do_not_fit(data, tmp_path, capsys, change, message):
    path = tmp_path / 'odd.json'
    path.write_text(json.dumps(change(json.loads(data.worse.read_text()))))
    assert run(data.annotations, path, '--out', tmp_path / 'out', *FEW) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error
    assert 'Traceback' not in error
    assert not (tmp_path / 'out').exists()


def test_arguments_that_do_not_fit(data, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'bad.py').write_text('dataset_info = dict(')
    (tmp_path / 'none.py').write_text('a = 1')
    files, out = (data.annotations, data.worse), ('--out', tmp_path / 'out')
    for arguments, message in (
        ((tmp_path / 'anotations.json', data.worse, *out), 'anotations.json does not exist'),
        ((data.annotations, data.images, *out), 'is a folder: give --images'),
        (
            (data.annotations, data.images, *out, '--images', data.images),
            'is a folder without a config; expected config.py',
        ),
        ((data.images, data.worse, *out), 'is a folder; expected a JSON file'),
        ((*files, data.worse, data.worse, *out), '3 files of results; expected one, or two'),
        ((*files, '--out', tmp_path / 'file'), 'is a file; expected a folder'),
        ((*files, *out, '--images', tmp_path / 'imgs'), 'the folder of the images, does not'),
        ((*files, *out, '--metainfo', tmp_path / 'no.py'), 'there is no metainfo file'),
        ((*files, *out, '--metainfo', tmp_path / 'bad.py'), 'cannot be read: '),
        ((*files, *out, '--metainfo', tmp_path / 'none.py'), 'has no dict `dataset_info`'),
        ((*files, *out, '--sigmas', '0.1', '0.2'), 'there are 17 keypoints, but 2 sigmas'),
    ):
        assert run(*arguments, *FEW) == 2, arguments
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match='2'):
        run(*files, *out, '--sigmas', '-1')
    assert "'-1' is not a number above 0" in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_another_number_of_keypoints_than_annotated(data, tmp_path, capsys):
    _, results = kites(tmp_path)
    assert run(data.annotations, results, '--out', tmp_path / 'out') == 2
    assert 'there are 17 sigmas' in capsys.readouterr().err
