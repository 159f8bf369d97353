"""Imports as a whole: images, archives, flips, what is written, and what is refused."""

import json
import os
import random
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets import CocoDataset
from support.imports import SIZE, place, points_of, rows_of, write_images
from support.paths import ROOT

from hrnet_plugin.apis import export_dataset, import_dataset
from hrnet_plugin.commands import import_
from hrnet_plugin.commands.cli import main
from hrnet_plugin.datasets.importers import writer
from hrnet_plugin.datasets.importers.formats import FORMATS
from hrnet_plugin.datasets.importers.images import locate_images
from hrnet_plugin.datasets.importers.labels import Image

SKY = ['sky/1.png', 'sky/2.png', 'sea/1.png']


def coco(names: list[str], **changes: Any) -> dict[str, Any]:
    """Annotations with one instance in each image."""
    return dict(
        images=[
            dict(id=n, file_name=name, width=SIZE[0], height=SIZE[1])
            for n, name in enumerate(names)
        ],
        categories=[
            dict(id=1, name='fox', keypoints=['nose', 'ear_l', 'ear_r'], skeleton=[[1, 2]])
            | changes
        ],
        annotations=[
            dict(
                id=n,
                image_id=n,
                category_id=1,
                bbox=[1, 2, 30, 30],
                area=500 + n,
                iscrowd=0,
                num_keypoints=2,
                keypoints=[5 + n, 6, 2, 0, 0, 0, 7, 8, 1],
            )
            for n in range(len(names))
        ],
    )


def write_coco(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_images_of_one_name_stay_distinct(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    result = import_dataset(path, tmp_path / 'data', val=0)
    assert {'sky/1.png', 'sea/1.png'} < points_of(result.folder).keys()
    for name in SKY:
        linked = result.folder / 'images' / name
        assert linked.is_symlink()
        assert linked.read_bytes() == (tmp_path / 'source' / name).read_bytes()


def test_copies_do_not_need_the_source(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    result = import_dataset(path, tmp_path / 'data', copy=True)
    shutil.rmtree(tmp_path / 'source')
    for name in SKY:
        assert cv2.imread(str(result.folder / 'images' / name)).shape == (48, 64, 3)


def test_images_elsewhere(tmp_path: Path) -> None:
    """Folders and escapes of names need not be those of the files."""
    names = ['C:\\data\\one.jpg', 'https://host/d/t%20wo.jpg?x=1', '/x/y/three.jpg']
    path = write_coco(tmp_path / 'labels/all.json', coco(names))
    write_images(tmp_path / 'images/deep', ['one.jpg', 't wo.jpg', 'three.jpg', 'other.jpg'])
    with pytest.raises(FileNotFoundError, match=r'none of 3 images is there.*--images'):
        import_dataset(path, tmp_path / 'data')
    result = import_dataset(path, tmp_path / 'data', images=tmp_path / 'images')
    assert points_of(result.folder).keys() == {'one.jpg', 't wo.jpg', 'three.jpg'}
    with pytest.raises(NotADirectoryError, match='expected the folder of images'):
        import_dataset(path, tmp_path / 'b', images=path)


def test_missing_images_are_counted(tmp_path: Path) -> None:
    names = ['cam1/a.jpg', 'cam2/a.jpg', 'b.jpg', 'c.jpg']
    path = write_coco(tmp_path / 'all.json', coco(names))
    write_images(tmp_path, ['cam2/a.jpg', 'b.jpg'])
    (tmp_path / 'c.jpg').write_bytes(b'no image')
    content = json.loads(path.read_text())
    del content['images'][3]['width']
    write_coco(path, content)
    result = import_dataset(path, tmp_path / 'data')
    assert points_of(result.folder).keys() == {'cam2/a.jpg', 'b.jpg'}
    assert result.left_out == [
        'images that are not there: 1x (cam1/a.jpg)',  # cam2's is another image
        'images that cannot be read: 1x (c.jpg)',
    ]
    assert result.found == (4, 4, 8)


def test_ambiguous_images_are_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path / 'labels/all.json', coco(['x/a.jpg']))
    write_images(tmp_path, ['one/a.jpg', 'two/a.jpg'])
    with pytest.raises(ValueError, match=r"'x/a.jpg' may be .*one/a.jpg or .*two/a.jpg.*--images"):
        import_dataset(path, tmp_path / 'data', images=tmp_path)


def test_an_image_is_annotated_once(tmp_path: Path) -> None:
    write_images(tmp_path, ['a.jpg'])
    for name in ('one', 'two'):
        write_coco(tmp_path / f'{name}.json', coco(['a.jpg']))
    with pytest.raises(ValueError, match=r'a.jpg is annotated twice, .*one.json.*two.json'):
        import_dataset(tmp_path, tmp_path / 'data')


def test_many_images_are_found_in_the_time_of_few() -> None:
    """No comparison of each image with each: of 2,000 names, that is 4e6."""
    images = [Image(f'{n}.jpg', Path('a.json'), file=Path(f'/x/{n}.jpg')) for n in range(2_000)]
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == 'call'

    sys.setprofile(count)
    try:
        locate_images(images, [])
    finally:
        sys.setprofile(None)
    assert 0 < calls < 200 * len(images)


def test_turned_images_are_named_by_the_check(tmp_path: Path) -> None:
    """MMPose turns images by their EXIF orientation: annotations have to be of turned images."""
    write_images(tmp_path, ['a.jpg', 'b.jpg'])
    data = (tmp_path / 'a.jpg').read_bytes()
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    (tmp_path / 'a.jpg').write_bytes(data[:2] + segment + data[2:])
    path = write_coco(tmp_path / 'all.json', coco(['a.jpg', 'b.jpg']))
    result = import_dataset(path, tmp_path / 'data')
    (finding,) = (each for each in result.findings if each.is_error)
    assert 'turned by its EXIF orientation' in str(finding)
    assert main(['import', str(path), '--out', str(tmp_path / 'b')]) == 1


def make_zip(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, file.relative_to(folder))
    return path


def test_zip_is_its_folder(tmp_path: Path) -> None:
    place('cvat.xml', tmp_path / 'source', [f'images/{name}' for name in SKY])
    path = make_zip(tmp_path / 'source', tmp_path / 'task.zip')
    expected = import_dataset(tmp_path / 'source', tmp_path / 'folder')
    result = import_dataset(path, tmp_path / 'archive')
    assert points_of(result.folder) == points_of(expected.folder)
    assert (
        result.left_out[0].endswith('(1x (' + str(path) + ')') or str(path) in result.left_out[0]
    )
    for name in SKY:
        assert not (result.folder / 'images' / name).is_symlink()
    assert sorted(os.listdir(tmp_path)) == ['archive', 'folder', 'source', 'task.zip']


@pytest.mark.parametrize('name', ['../evil.txt', '/evil.txt', 'a/../../evil.txt', 'C:\\evil.txt'])
def test_zip_with_members_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(name, 'x')
    with pytest.raises(ValueError, match=r'a.zip has the member .*evil.txt.*outside'):
        import_dataset(path, tmp_path / 'deep/data')
    assert [*tmp_path.rglob('*evil*')] == []


def test_damaged_zip_is_named(tmp_path: Path) -> None:
    place('cvat.xml', tmp_path / 'source', SKY)
    path = make_zip(tmp_path / 'source', tmp_path / 'task.zip')
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r'task.zip cannot be read as a zip archive'):
        import_dataset(path, tmp_path / 'data')


def test_errors_in_archives_name_the_archive(tmp_path: Path) -> None:
    place('cvat.xml', tmp_path / 'source')
    path = make_zip(tmp_path / 'source', tmp_path / 'task.zip')
    with pytest.raises(OSError, match=r'none of 3 images .*task.zip/cvat.xml'):
        import_dataset(path, tmp_path / 'data')
    assert sorted(os.listdir(tmp_path)) == ['source', 'task.zip']


def test_flip_pairs_are_asked_for(tmp_path: Path) -> None:
    write_images(tmp_path, ['a.jpg'])
    names = ['left_ear', 'beak', 'tail']
    path = write_coco(tmp_path / 'a.json', coco(['a.jpg'], keypoints=names))
    with pytest.raises(ValueError, match=r"no counterpart: 'left_ear'.*--flip-pairs.*--no-flip-"):
        import_dataset(path, tmp_path / 'data')
    arguments = ['import', str(path), '--out', str(tmp_path / 'data')]
    assert main([*arguments, '--no-flip-pairs']) == 0
    assert "'swap': ''" in (tmp_path / 'data/metainfo.py').read_text()
    shutil.rmtree(tmp_path / 'data')
    assert main([*arguments, '--flip-pairs', 'left_ear:tail']) == 0
    info = Config.fromfile(tmp_path / 'data/metainfo.py').dataset_info
    assert [info.keypoint_info[n].swap for n in range(3)] == ['tail', '', 'left_ear']
    shutil.rmtree(tmp_path / 'data')
    assert main([*arguments, '--flip-pairs', 'left_ear:tial']) == 2


def test_a_wrong_flip_pair_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path, ['a.jpg'])
    path = write_coco(tmp_path / 'a.json', coco(['a.jpg']))
    arguments = ['import', str(path), '--out', str(tmp_path / 'data'), '--flip-pairs']
    for pairs, message in (
        (['nose:ear'], "unknown keypoint 'ear'"),
        (['nose:nose'], "'nose' is in several pairs, or paired with itself"),
        (['nose:ear_l', 'ear_l:ear_r'], "'ear_l' is in several pairs"),
    ):
        assert main([*arguments, *pairs]) == 2
        assert message in capsys.readouterr().err
        assert sorted(os.listdir(tmp_path)) == ['a.jpg', 'a.json']
    with pytest.raises(SystemExit):
        main([*arguments, 'nose'])
    assert "'nose' is not A:B" in capsys.readouterr().err


def test_a_second_import_is_refused(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    data = tmp_path / 'data'
    data.mkdir()  # empty
    import_dataset(path, data)
    before = {file: file.read_bytes() for file in data.rglob('*') if file.is_file()}
    assert len(before) == 6
    with pytest.raises(FileExistsError, match='is not empty, and its files are left alone'):
        import_dataset(path, data)
    assert before == {file: file.read_bytes() for file in data.rglob('*') if file.is_file()}
    again = import_dataset(path, tmp_path / 'again').folder
    for file, content in before.items():
        other = (again / file.relative_to(data)).read_bytes()
        assert other.replace(b"'again'", b"'data'") == content  # the name of the dataset


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_interrupted_import_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    writes = 0

    def interrupted(*args: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise error
        original(*args)

    original = writer.write_atomically
    monkeypatch.setattr(writer, 'write_atomically', interrupted)
    with pytest.raises(error):
        import_dataset(path, tmp_path / 'data')
    assert writes == 2
    assert os.listdir(tmp_path) == ['source']


def test_a_lost_point_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever loses a point on the way: nothing is written."""
    path = place('cvat.xml', tmp_path / 'source', SKY)
    original = writer.annotation_row

    def lossy(*args: Any) -> dict[str, Any]:
        row = original(*args)
        return dict(row, keypoints=[*row['keypoints'][:3], 0, 0, 0, *row['keypoints'][6:]])

    monkeypatch.setattr(writer, 'annotation_row', lossy)
    with pytest.raises(
        ValueError, match=r'5 labelled points.* but .*3 labelled points were writt'
    ):
        import_dataset(path, tmp_path / 'data')
    assert os.listdir(tmp_path) == ['source']


@pytest.mark.parametrize('val', [-0.1, 1, 1.5])
def test_val_is_a_share(tmp_path: Path, val: float) -> None:
    with pytest.raises(ValueError, match='expected a share of the images'):
        import_dataset(tmp_path, tmp_path / 'data', val=val)


def test_a_category_is_chosen(tmp_path: Path) -> None:
    write_images(tmp_path, ['a.jpg', 'b.jpg'])
    content = coco(['a.jpg', 'b.jpg'])
    content['categories'].append(dict(id=2, name='leaf', keypoints=['base', 'apex']))
    content['annotations'][1].update(category_id=2, keypoints=[1, 2, 2, 3, 4, 2])
    path = write_coco(tmp_path / 'a.json', content)
    with pytest.raises(ValueError, match=r'fox: nose, ear_l, ear_r; leaf: base, apex.*--category'):
        import_dataset(path, tmp_path / 'data')
    with pytest.raises(ValueError, match="unknown category 'lef'; did you mean 'leaf'"):
        import_dataset(path, tmp_path / 'data', category='lef')
    result = import_dataset(path, tmp_path / 'data', category='leaf')
    assert points_of(result.folder)['b.jpg'] == [('leaf', {'base': (1, 2, 2), 'apex': (3, 4, 2)})]
    assert result.left_out == ["instances of other categories ('fox'): 1x (a.jpg)"]


def test_keypoints_are_chosen_in_order(tmp_path: Path) -> None:
    write_images(tmp_path, ['a.jpg'])
    path = write_coco(tmp_path / 'a.json', coco(['a.jpg']))
    names = ['ear_r', 'ear_l']
    result = import_dataset(path, tmp_path / 'data', keypoint_names=names)
    assert rows_of(result.folder, 'train', 'categories')[0]['keypoints'] == names
    assert rows_of(result.folder, 'train')[0]['keypoints'] == [7, 8, 1, 0, 0, 0]
    assert result.left_out == ["points of other keypoints ('nose'): 1x (a.jpg)"]
    with pytest.raises(ValueError, match="unknown keypoint 'earl'; did you mean 'ear_l'"):
        import_dataset(path, tmp_path / 'b', keypoint_names=['earl'])


def test_crowds_and_boxes_without_points_are_kept(tmp_path: Path) -> None:
    write_images(tmp_path, ['a.jpg', 'b.jpg', 'c.jpg'])
    content = coco(['a.jpg', 'b.jpg', 'c.jpg'])
    content['annotations'][1].update(iscrowd=1, keypoints=[0] * 9, num_keypoints=0)
    content['annotations'][2].update(keypoints=[0] * 9, num_keypoints=0, bbox=None)
    path = write_coco(tmp_path / 'a.json', content)
    result = import_dataset(path, tmp_path / 'data', val=0)
    rows = rows_of(result.folder, 'train')
    assert [row['iscrowd'] for row in rows] == [0, 1]
    assert result.left_out == ['instances without labelled points and without a box: 1x (c.jpg)']
    assert any(note.startswith('1 instances have a box and no labelled') for note in result.notes)


def test_mmpose_reads_what_is_written(tmp_path: Path) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    result = import_dataset(path, tmp_path / 'data', val=0)
    dataset = CocoDataset(
        ann_file='annotations/train.json',
        data_root=str(result.folder),
        data_prefix=dict(img='images'),
        metainfo=dict(from_file=str(result.metainfo)),
    )
    assert dataset.metainfo['dataset_name'] == 'data'
    assert dataset.metainfo['flip_indices'] == [0, 2, 1]
    assert dataset.metainfo['sigmas'].tolist() == pytest.approx([0.05] * 3)
    rows = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [row['keypoints_visible'].tolist() for row in rows] == [[[1, 1, 0]], [[1, 1, 1]]]
    assert all(Path(row['img_path']).is_file() for row in rows)


def test_command_prints_numbers_in_and_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place('cvat.xml', tmp_path / 'source', SKY)
    data = tmp_path / 'data'
    assert main(['import', str(path), '--out', str(data), '--val', '0', '--no-images']) == 0
    out = capsys.readouterr().out
    assert 'read (cvat): 3 images, 2 instances, 5 labelled points' in out
    assert f'wrote {data}/annotations/train.json: 3 images, 2 instances, 5 labelled' in out
    assert 'left out: shapes that are no keypoints (polygon): 1x' in out
    assert 'note: every sigma is 0.05' in out
    assert f'metainfo=dict(from_file={str(data / "metainfo.py")!r})' in out


def test_command_knows_all_formats() -> None:
    assert tuple(FORMATS) == import_.FORMATS


# Kites of docs/custom_keypoints.md


@pytest.fixture(scope='module')
def kites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the demo's kites, as tools export them: odd, and without their splits."""
    sys.path.insert(0, str(ROOT / 'demo'))
    try:
        import kites as demo
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp('kites')
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(6):
        image, points = demo.draw(rng)
        name = f'sky {number}.png'
        (folder / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(folder / 'images' / name), image)
        images.append(dict(id=str(number), file_name=f'images/{name.replace(" ", "%20")}'))
        row = demo.annotation(number, points)
        row.update(image_id=str(number), category_id=2)
        row['keypoints'][2::3] = [2.0] * 5
        for field in ('area', 'num_keypoints', 'iscrowd'):
            del row[field]
        annotations.append(row)
    categories = [
        dict(id=1, name='cloud', supercategory=''),
        dict(id=2, name='kite', supercategory='', keypoints=demo.KEYPOINTS),
    ]
    write_coco(
        folder / 'kites.json',
        dict(images=images, annotations=annotations, categories=categories),
    )
    return folder


def test_kites_of_an_odd_export(kites: Path, tmp_path: Path) -> None:
    result = import_dataset(kites, tmp_path / 'kites')
    assert not result.findings.has_errors
    assert result.keypoints == ('tip', 'left_wing', 'right_wing', 'keel', 'tail_end')
    expected = json.loads((kites / 'kites.json').read_text())['annotations']
    rows = [row for split in ('train', 'val') for row in rows_of(result.folder, split)]
    assert sorted(tuple(row['keypoints']) for row in rows) == sorted(
        tuple(row['keypoints']) for row in expected
    )
    assert [len(rows_of(result.folder, split, 'images')) for split in ('train', 'val')] == [5, 1]
    info = Config.fromfile(result.metainfo).dataset_info
    assert info.keypoint_info[1].swap == 'right_wing'


# Round trips


def random_dataset(folder: Path, seed: int) -> Path:
    """A dataset with hidden and unlabelled points, empty boxes, folders and names that clash."""
    rng = random.Random(seed)
    names = ['nose', 'left ear', 'right ear', 'tail:tip'][: rng.randint(2, 4)]
    if 'left ear' in names and 'right ear' not in names:
        names = ['nose', 'mouth']
    files = ['a.png', 'a.jpg', 'cam1/a.png', 'cam1/b c.jpg', 'cam 2/a.png', 'ä.png']
    write_images(folder / 'images', files)
    contents = {}
    number = 0
    for split, own in (('train', files[:4]), ('val', files[4:])):
        images, annotations = [], []
        for name in own:
            image_id = files.index(name) + 1
            images.append(dict(id=image_id, file_name=name, width=SIZE[0], height=SIZE[1]))
            for _ in range(rng.randint(1, 3)):
                number += 1
                keypoints: list[float] = []
                for _ in names:
                    v = rng.choice((0, 1, 2))
                    x, y = rng.uniform(0.1, 63), rng.uniform(0.1, 47)
                    keypoints += [x, y, v] if v else [0, 0, 0]
                x, y = rng.uniform(0, 20), rng.uniform(0, 20)
                annotations.append(
                    dict(
                        id=number,
                        image_id=image_id,
                        category_id=rng.choice((1, 2)),
                        keypoints=keypoints,
                        num_keypoints=sum(v > 0 for v in keypoints[2::3]),
                        bbox=[x, y, rng.uniform(5, 40), rng.uniform(5, 27)],
                        iscrowd=0,
                        area=rng.uniform(10, 500),
                    )
                )
        annotations[0]['keypoints'] = [3.5, 4.25, 2] + [5.5, 6, 1] * (len(names) - 1)
        annotations[0]['num_keypoints'] = len(names)
        contents[split] = dict(images=images, annotations=annotations)
    used = {row['category_id'] for each in contents.values() for row in each['annotations']}
    for split, content in contents.items():
        for row in content['annotations'] if len(used) == 1 else ():
            row['category_id'] = 1
        content['categories'] = [
            dict(id=n, name=name, keypoints=names, skeleton=[[1, 2]])
            for n, name in ((1, 'cat'), (2, 'dog'))[: len(used)]
        ]
        write_coco(folder / f'annotations/{split}.json', content)
    return folder


def labels_by_content(data: Path) -> dict[bytes, list[Any]]:
    """Return split and instances of each image, by what is in its file."""
    found = {}
    for path in sorted((data / 'annotations').glob('*.json')):
        content = json.loads(path.read_text())
        categories = {c['id']: c for c in content['categories']}
        for image in content['images']:
            key = (data / 'images' / image['file_name']).read_bytes()
            assert key not in found
            own = [row for row in content['annotations'] if row['image_id'] == image['id']]
            found[key] = [
                path.stem,
                [
                    (
                        categories[row['category_id']]['name'],
                        categories[row['category_id']]['keypoints'],
                        row['keypoints'],
                        row['bbox'],
                    )
                    for row in own
                ],
            ]
    return found


@pytest.mark.parametrize('format', ['coco', 'labelme', 'yolo-pose'])
@pytest.mark.parametrize('seed', range(6))
def test_round_trip_loses_nothing(tmp_path: Path, format: str, seed: int) -> None:
    first = import_dataset(random_dataset(tmp_path / 'source', seed), tmp_path / 'data').folder
    counts, left_out = export_dataset(first, tmp_path / 'exported', format)
    assert left_out == []
    again = import_dataset(tmp_path / 'exported', tmp_path / 'again')
    assert again.format == format
    assert again.found == counts
    assert again.left_out == []
    expected, found = labels_by_content(first), labels_by_content(again.folder)
    assert len(expected) == 6
    assert found.keys() == expected.keys()
    for key, (split, instances) in expected.items():
        assert found[key][0] == split
        for (category, names, keypoints, bbox), other in zip(
            instances, found[key][1], strict=True
        ):
            assert other[:2] == (category, names)
            # Fractions of the image's size are rounded to the last bits
            np.testing.assert_allclose(other[2], keypoints, rtol=0, atol=1e-11)
            np.testing.assert_allclose(other[3], bbox, rtol=0, atol=1e-11)
            assert other[2][2::3] == keypoints[2::3]
    metainfo = [(data / 'metainfo.py').read_text() for data in (first, again.folder)]
    swaps = [text.count("'swap': ''") for text in metainfo]
    assert swaps[0] == swaps[1]


def test_areas_skeletons_and_crowds_survive_coco(tmp_path: Path) -> None:
    source = random_dataset(tmp_path / 'source', 0)
    content = json.loads((source / 'annotations/train.json').read_text())
    content['annotations'][-1].update(iscrowd=1, segmentation=[[1, 1, 5, 1, 5, 5]])
    write_coco(source / 'annotations/train.json', content)
    first = import_dataset(source, tmp_path / 'data').folder
    export_dataset(first, tmp_path / 'exported', 'coco', copy=True)
    for part in ('annotations', 'categories'):
        assert rows_of(tmp_path / 'exported', 'train', part) == rows_of(first, 'train', part)
    row = rows_of(first, 'train')[-1]
    assert row['segmentation'] == [[1, 1, 5, 1, 5, 5]]
    assert row['area'] == content['annotations'][-1]['area']
    _, left_out = export_dataset(first, tmp_path / 'labelme', 'labelme')
    assert left_out[0].startswith('crowds: 1x')


def test_given_flip_pairs_survive_yolo_pose(tmp_path: Path) -> None:
    write_images(tmp_path / 'source', ['a.jpg'])
    path = write_coco(tmp_path / 'source/a.json', coco(['a.jpg']))
    first = import_dataset(path, tmp_path / 'data', flip_pairs=[('nose', 'ear_r')]).folder
    export_dataset(first, tmp_path / 'yolo', 'yolo-pose')
    assert 'flip_idx: [2, 1, 0]' in (tmp_path / 'yolo/data.yaml').read_text()
    again = import_dataset(tmp_path / 'yolo', tmp_path / 'again')
    info = Config.fromfile(again.metainfo).dataset_info
    assert [info.keypoint_info[n].swap for n in range(3)] == ['ear_r', '', 'nose']
    assert any('the source swaps other keypoints' in note for note in again.notes)


def test_unknown_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown format 'yolo'; did you mean 'yolo-pose'"):
        export_dataset(tmp_path, tmp_path / 'out', 'yolo')


def test_annotations_without_metainfo_are_exported(tmp_path: Path) -> None:
    """Flip pairs are then those by the names."""
    write_images(tmp_path / 'source', ['a.jpg', 'a.png'])
    write_coco(tmp_path / 'source/a.json', coco(['a.jpg', 'a.png']))
    counts, _ = export_dataset(tmp_path / 'source', tmp_path / 'yolo', 'yolo-pose', copy=True)
    assert counts == (2, 2, 4)
    assert 'flip_idx: [0, 2, 1]' in (tmp_path / 'yolo/data.yaml').read_text()
    labels = sorted(path.name for path in (tmp_path / 'yolo/labels/train').iterdir())
    assert labels == ['a.txt', 'a_2.txt']  # a.png would share its labels with a.jpg
