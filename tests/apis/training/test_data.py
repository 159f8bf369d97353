"""Where annotations, images and metainfo are found, and how annotations are split."""

import json
from pathlib import Path
from typing import Any

import pytest

from hrnet_plugin.apis.training.data import (
    find_images,
    find_metainfo,
    find_source,
    read_annotations,
    split_annotations,
)
from hrnet_plugin.functional import COCO_SIGMAS

CATEGORY = dict(id=1, name='kite', keypoints=['left_wing', 'right_wing'])


def annotation(number: int, **changes: Any) -> dict[str, Any]:
    return dict(
        id=number,
        image_id=number,
        category_id=1,
        iscrowd=0,
        bbox=[0, 0, 30, 60],
        area=900,
        num_keypoints=2,
        keypoints=[3, 4, 2, 8, 4, 2],
    ) | dict(changes)


def content(images: int = 4, **changes: Any) -> dict[str, Any]:
    ids = range(1, images + 1)
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=80, height=80) for i in ids],
        annotations=[annotation(i) for i in ids],
        categories=[CATEGORY],
    ) | dict(changes)


def write(path: Path, value: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content() if value is None else value))
    return path


class TestSource:
    def names(self, folder: Path, *names: str) -> tuple[str, str | None]:
        for name in names:
            write(folder / name)
        source = find_source(folder)
        return source.train.name, source.val and source.val.name

    def test_as_import_writes_it(self, tmp_path: Path) -> None:
        names = ('annotations/train.json', 'annotations/val.json', 'annotations/train_again.json')
        assert self.names(tmp_path, *names) == ('train.json', 'val.json')

    def test_as_coco_writes_it(self, tmp_path: Path) -> None:
        kinds = ('instances', 'person_keypoints', 'captions')
        names = [f'annotations/{k}_{s}2017.json' for k in kinds for s in ('train', 'val')]
        assert self.names(tmp_path, *names) == (
            'person_keypoints_train2017.json',
            'person_keypoints_val2017.json',
        )

    def test_one_file(self, tmp_path: Path) -> None:
        assert self.names(tmp_path, 'annotations/instances_default.json') == (
            'instances_default.json',
            None,
        )

    def test_beside_the_images(self, tmp_path: Path) -> None:
        assert self.names(tmp_path, 'kites_train.json', 'kites_val.json') == (
            'kites_train.json',
            'kites_val.json',
        )

    def test_unclear(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r'several files of annotations, a\.json, b\.json'):
            self.names(tmp_path, 'annotations/a.json', 'annotations/b.json')

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match='has no annotations: expected annotations/tr'):
            find_source(tmp_path)
        with pytest.raises(FileNotFoundError, match='there is no such file or folder'):
            find_source(tmp_path / 'nowhere')

    def test_given_files(self, tmp_path: Path) -> None:
        train, val = write(tmp_path / 'annotations/a.json'), write(tmp_path / 'b.json')
        source = find_source(train, val)
        assert (source.train, source.val, source.root) == (train, val, tmp_path)
        with pytest.raises(FileNotFoundError, match=r'--val .*no\.json'):
            find_source(train, tmp_path / 'no.json')


class TestImages:
    NAMES = ('1.jpg', '2.jpg')

    def find(self, root: Path, **options: Any) -> Path:
        return find_images(self.NAMES, root / 'annotations/person_train.json', root, **options)

    @pytest.mark.parametrize('folder', ['images/train', 'train', 'images', '.', 'annotations'])
    def test_usual_places(self, tmp_path: Path, folder: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / '2.jpg').touch()
        assert self.find(tmp_path) == (tmp_path / folder)

    def test_the_most(self, tmp_path: Path) -> None:
        """Another folder, such as that of validation, may have some files of the same names."""
        for name in ('images/train/1.jpg', 'train/1.jpg', 'train/2.jpg'):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        assert self.find(tmp_path) == tmp_path / 'train'

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r'1\.jpg and other images .* --images'):
            self.find(tmp_path)

    def test_given(self, tmp_path: Path) -> None:
        (tmp_path / 'elsewhere').mkdir()
        (tmp_path / 'elsewhere/1.jpg').touch()
        assert self.find(tmp_path, given=tmp_path / 'elsewhere') == tmp_path / 'elsewhere'
        with pytest.raises(FileNotFoundError, match='nowhere'):
            self.find(tmp_path, given=tmp_path / 'nowhere')


class TestAnnotations:
    def read(self, folder: Path, value: Any) -> Any:
        (folder / '1.jpg').touch()
        return read_annotations(write(folder / 'train.json', value), folder)

    def test_facts(self, tmp_path: Path) -> None:
        changed = [
            annotation(1),
            annotation(2, iscrowd=1),
            annotation(3, bbox=[0, 0, 40, 40]),
            annotation(4, keypoints=[0] * 6),
        ]
        read = self.read(tmp_path, content(annotations=changed))
        assert (read.num_images, read.num_instances, read.num_keypoints) == (4, 2, 2)
        assert read.aspect == 0.75  # between 0.5 and 1

    def test_nothing_usable(self, tmp_path: Path) -> None:
        value = content(1, annotations=[annotation(1, bbox=[0, 0, 0, 0])])
        with pytest.raises(ValueError, match=r'train\.json: none of its 1 annotations has a box'):
            self.read(tmp_path, value)


class TestSplit:
    def test_by_image(self, tmp_path: Path) -> None:
        """Both people of an image are on the same side; images without any are not held out."""
        value = content(20)
        value['annotations'] += [annotation(100 + i, image_id=i) for i in range(1, 21)]
        value['images'].append(dict(id=99, file_name='99.jpg', width=80, height=80))
        paths = split_annotations(write(tmp_path / 'all.json', value), tmp_path / 'parts', 0)
        train, val = (json.loads(path.read_text()) for path in paths)
        assert [len(part['images']) for part in (train, val)] == [19, 2]
        assert [len(part['annotations']) for part in (train, val)] == [36, 4]
        assert train['images'][-1]['id'] == 99
        for part in (train, val):
            assert part['categories'] == [CATEGORY]
            assert {a['image_id'] for a in part['annotations']} <= {
                i['id'] for i in part['images']
            }

    def test_too_few(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='1 annotated image cannot be split'):
            split_annotations(write(tmp_path / 'all.json', content(1)), tmp_path, 0)


class TestMetainfo:
    SOURCE = (
        "dataset_info = dict(dataset_name='mine', keypoint_info={0: dict(name='a', id=0)}, "
        'skeleton_info={}, joint_weights=[1.0], sigmas=[0.07])'
    )

    def test_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / 'metainfo.py').write_text(self.SOURCE)
        info, reason = find_metainfo(write(tmp_path / 'train.json'), tmp_path)
        assert (info['sigmas'], type(info), reason) == ([0.07], dict, f'{tmp_path}/metainfo.py')

    def test_given(self, tmp_path: Path) -> None:
        (tmp_path / 'metainfo.py').write_text('')
        (tmp_path / 'other.py').write_text(self.SOURCE)
        info, _ = find_metainfo(tmp_path / 'train.json', tmp_path, tmp_path / 'other.py')
        assert info['sigmas'] == [0.07]
        with pytest.raises(ValueError, match=r'metainfo\.py has no dataset_info'):
            find_metainfo(tmp_path / 'train.json', tmp_path)
        with pytest.raises(FileNotFoundError, match=r'--metainfo .*no\.py'):
            find_metainfo(tmp_path / 'train.json', tmp_path, tmp_path / 'no.py')

    def test_fails(self, tmp_path: Path) -> None:
        (tmp_path / 'metainfo.py').write_text('dataset_info = 1 / 0')
        with pytest.raises(ValueError, match=r'metainfo\.py cannot be read: ZeroDivisionError'):
            find_metainfo(tmp_path / 'train.json', tmp_path)

    def test_of_the_categories(self, tmp_path: Path) -> None:
        info, reason = find_metainfo(write(tmp_path / 'train.json'), tmp_path)
        assert [k['swap'] for k in info['keypoint_info'].values()] == ['right_wing', 'left_wing']
        assert info['sigmas'] == [0.05, 0.05]
        assert 'every sigma is 0.05' in reason

    def test_of_people(self, tmp_path: Path) -> None:
        """COCO's 17 keypoints have published sigmas, which are not guessed."""
        from hrnet_plugin.datasets.synthetic.body import KEYPOINTS

        person = dict(id=1, name='person', keypoints=list(KEYPOINTS))
        path = write(tmp_path / 'train.json', content(categories=[person]))
        info, reason = find_metainfo(path, tmp_path)
        assert info['sigmas'] == list(COCO_SIGMAS)
        assert 'COCO' in reason

    def test_without_names(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'train.json', content(categories=[dict(id=1, name='kite')]))
        with pytest.raises(ValueError, match=r'no category .* Or give a file of metainfo'):
            find_metainfo(path, tmp_path)
