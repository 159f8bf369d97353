"""Which boxes of a file are used for which images, and what is noted of the rest."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from hrnet_plugin.apis.boxes.box_file import BoxFile
from hrnet_plugin.apis.boxes.given_boxes import GivenBoxes, given_boxes
from hrnet_plugin.apis.inputs.sources import Source, open_inputs

BOX = [10, 20, 30, 40]
CORNERS = [10, 20, 40, 60]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images of 100 x 80 pixels in three others."""
    monkeypatch.chdir(tmp_path)
    for folder in 'abc':
        (tmp_path / folder).mkdir()
        for name in ('1.png', '02.png', 'x.png', 'x.bmp'):
            cv2.imwrite(f'{folder}/{name}', np.zeros((80, 100, 3), np.uint8))
    return tmp_path


def read(content: Any, categories: Any = None) -> BoxFile:
    Path('boxes.json').write_text(content if isinstance(content, str) else json.dumps(content))
    return BoxFile('boxes.json', 0.3, categories)


def boxes_of_images(given: GivenBoxes, source: Source) -> list[list[list[float]]]:
    return [given.of(frame).tolist() for frame in source]


def boxes(content: Any, inputs: Any) -> tuple[list[list[list[float]]], list[str]]:
    """Boxes of each image, and everything that is said."""
    file, source = read(content), open_inputs(inputs)
    (given,) = file.of([source])
    return boxes_of_images(given, source), [*file.notes, *given.notes()]


def result(**changes: Any) -> dict[str, Any]:
    return {**dict(image_id=1, category_id=1, bbox=BOX, score=0.9), **changes}


def dataset(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    names = ['a/1.png', 'a/02.png']
    images = [dict(id=i, file_name=n, width=100, height=80) for i, n in enumerate(names, 11)]
    return dict(images=images, annotations=list(annotations), **changes)


def test_numbers_and_names(here: Path) -> None:
    content = [result(), result(image_id='2'), result(image_id=None, file_name='x.bmp')]
    inputs = ['a/1.png', 'a/02.png', 'a/x.bmp', 'a/x.png']
    score = np.float32(0.9).item()
    one = [[*CORNERS, score]]
    assert boxes(content, inputs) == (
        [one, one, one, []],
        [
            'boxes.json: it does not name 1 of 4 inputs, which get no instances: a/x.png',
        ],
    )


def test_folders_tell_images_apart(here: Path) -> None:
    content = [
        result(file_name='b/x.png'),
        result(file_name='a/x.png', bbox=[0, 0, 9, 9]),
        result(file_name='c/x.png', bbox=[0, 0, 8, 8]),
    ]
    several, notes = boxes(content, ['a/x.png', 'b/x.png'])
    assert [b[0][2] for b in several] == [9, 40]
    assert notes == []
    with pytest.raises(
        ValueError, match=r"boxes.json: file_name 'x.png' may be any of a/x.png, b"
    ):
        boxes([result(file_name='x.png')], ['a/x.png', 'b/x.png'])
    with pytest.raises(ValueError, match=r'image_id 1 may be any of a/1.png, b/1.png'):
        boxes([result()], ['a/1.png', 'b/1.png'])


def test_other_folders_are_noted(here: Path) -> None:
    several, (note,) = boxes([result(file_name='elsewhere/x.png')], ['a/x.png'])
    assert len(several[0]) == 1
    assert 'it names 1 inputs with other folders' in note
    assert 'a/x.png as elsewhere/x.png' in note


def test_annotations(here: Path) -> None:
    content = dataset(
        dict(image_id=11, category_id='9', bbox=BOX),
        dict(image_id=12, category_id=9, bbox=BOX, score=None),
        dict(image_id=11, category_id=7, bbox=BOX),
        dict(image_id=99, category_id=9, bbox=BOX),
        dict(image_id=11, category_id=9, bbox=[]),
        dict(image_id=11, category_id=9, bbox=[5, 5, 0, 9]),
        categories=[dict(id=7, name='chair'), dict(id=9, name='person')],
    )
    several, notes = boxes(content, ['a/1.png', 'a/02.png', 'b/1.png'])
    assert several == [[[*CORNERS, 1]], [[*CORNERS, 1]], []]
    assert [note.removeprefix('boxes.json: ') for note in notes] == [
        "1 of 6 boxes skipped: their image_id is not among its 'images'",
        "1 of 5 boxes skipped: they are of other categories (7 'chair': 1x); "
        '--box-categories, or box_categories= selects them',
        '1 of 4 boxes skipped: it has no bbox',
        '1 of 4 boxes skipped: it has no area',
        'it does not name 1 of 3 inputs, which get no instances: b/1.png',
    ]


def test_an_image_without_boxes_is_known(here: Path) -> None:
    content = dataset(dict(image_id=11, category_id=1, bbox=BOX))
    assert boxes(content, ['a/02.png']) == ([[]], [])


def test_null_is_no_score(here: Path) -> None:
    content = [result(score=None), result(score=0.2), result(bbox=[0, 0, 9, 9], score=0.5)]
    several, notes = boxes(content, 'a/1.png')
    assert [b[4] for b in several[0]] == [1, 0.5]
    assert 'boxes.json: 1 of 3 boxes have no score; 1 is used' in notes
    assert any('1 of 3 boxes skipped: its score is at most 0.3' in note for note in notes)


def test_boxes_outside_of_the_image(here: Path) -> None:
    content = [
        result(),
        result(bbox=[100, 0, 30, 40]),
        result(bbox=[10, 20, 0.5, 40]),
        result(bbox=[-9, 20, 9.5, 40]),
        result(bbox=[99999, 20, 1e-9, 40]),
    ]
    several, notes = boxes(content, 'a/1.png')
    assert [b[:4] for b in several[0]] == [CORNERS]
    assert notes == [
        'boxes.json: 2 of 5 boxes skipped: the bbox is outside of the image (a/1.png: '
        '[100.0, 0.0, 30.0, 40.0], a/1.png: [99999.0, 20.0, 0.0, 40.0])',
        'boxes.json: 2 of 5 boxes skipped: the bbox is smaller than a pixel within the image '
        '(a/1.png: [10.0, 20.0, 0.5, 40.0], a/1.png: [-9.0, 20.0, 9.5, 40.0])',
    ]


def test_fractions_are_refused(here: Path) -> None:
    content = [result(bbox=[0.1, 0.2, 0.3, 0.4]), result(image_id=2, bbox=[0.5, 0.1, 0.3, 0.9])]
    with pytest.raises(ValueError, match=r'boxes.json: the boxes are in fractions.*2 of 2 boxes'):
        boxes(content, ['a/1.png', 'a/02.png'])


@pytest.mark.parametrize('with_sizes', [True, False])
def test_corners_are_suspected(here: Path, with_sizes: bool) -> None:
    content = dataset(*(dict(image_id=11, bbox=[50 + i, 40, 90 + i, 70]) for i in range(3)))
    for image in content['images']:
        image.update(dict(width=100, height=80) if with_sizes else dict(width=None))
    _, notes = boxes(content, 'a/1.png')
    assert len([n for n in notes if 'seem to be x1, y1, x2, y2' in n and '3 of 3' in n]) == 1


def test_images_of_another_size(here: Path) -> None:
    content = dataset(dict(image_id=11, bbox=BOX))
    content['images'][0].update(width=1000, height=800)
    several, (note,) = boxes(content, 'a/1.png')
    assert several == [[[*CORNERS, 1]]]
    assert '1 images differ in size (w, h) from what it states' in note
    assert 'a/1.png: (100, 80), not (1000, 800)' in note


def test_videos(clip: Path, here: Path) -> None:
    frames = [result(image_id=None, file_name='clip.mp4', frame=f) for f in (2, 2, 5, 11, 40)]
    source = open_inputs(str(clip))
    file = read([*frames, result(file_name='x.png', frame=3)])
    video, images = file.of([source, open_inputs('a/x.png')])
    assert [len(b) for b in boxes_of_images(video, source)] == [0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0]
    assert video.notes() == [
        'boxes.json: boxes of 2 frames are not used, the first in frame 11: 11 frames '
        'were read, counted from 0'
    ]
    assert boxes_of_images(images, open_inputs('a/x.png')) == [[]]
    assert file.notes == ['boxes.json: boxes of 1 frames skipped: the input is an image']
    with pytest.raises(ValueError, match=r'2 boxes without a frame for the video .*clip.mp4;'):
        read([result(file_name='clip.mp4')] * 2).of([source])


def test_a_name_of_two_sources(clip: Path, here: Path) -> None:
    (here / 'a/clip.mp4').symlink_to(clip)
    sources = [open_inputs(str(clip)), open_inputs('a/clip.mp4')]
    with pytest.raises(ValueError, match=r"'clip.mp4' may be any of .*clip.mp4, a/clip.mp4"):
        read([result(file_name='clip.mp4', frame=0)]).of(sources)
    first, second = read([result(file_name='a/clip.mp4', frame=0)]).of(sources)
    frame = next(iter(sources[1]))
    assert (len(first.of(frame)), len(second.of(frame))) == (0, 1)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[{', 'boxes.json cannot be read as JSON: line 1, column 3: it ends too early'),
        ('{"images": [1], "annotations": []}', "'images' lists a int"),
        ('{"images": [{"id": 1}], "annotations": []}', "no 'file_name'"),
        ('{"images": [], "annotations": {}}', 'its boxes are a dict'),
        ('"x"', r'boxes.json cannot be read as JSON: it begins with .*expected a dict'),
        ('{"images": [], "annotations": "x"}', 'its boxes are a str'),
        ([result(), 3], 'entry 1 is a int'),
        ([result(bbox=[1, 2, 3])], r'entry 0 has bbox=\[1, 2, 3\]'),
        ([result(bbox=[1, 2, 3, None])], 'entry 0 has bbox='),
        ('[{"image_id": 1, "bbox": [1, 2, 3, NaN]}]', r'bbox=\[1, 2, 3, nan\]'),
        ([result(score='0.9')], "entry 0 has score='0.9'"),
        ([result(frame=-1)], 'entry 0 has frame=-1'),
        ([result(category_id=[])], r'entry 0 has category_id=\[\]'),
        ([result(image_id=None)], 'entry 0 has neither file_name nor image_id'),
        ([result(file_name='')], "entry 0 has file_name=''"),
        ([], 'has no usable boxes: it lists none'),
        ([result(score=0.3)], '1 of 1 boxes skipped: its score is at most 0.3'),
        ([result(iscrowd=1)], '1 of 1 boxes skipped: it is a crowd'),
        (
            [result(category_id=3), result(category_id=4)],
            'boxes.json: it is not clear which boxes',
        ),
    ],
)
def test_files_that_are_not_boxes(here: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(content)


def test_names_of_categories_in_results(here: Path) -> None:
    """As SAHI writes them: ids from 0, with their names."""
    content = [
        result(category_id=0, category_name='person'),
        result(category_id=1, category_name='bicycle', bbox=[0, 0, 9, 9]),
    ]
    several, (note,) = boxes(content, 'a/1.png')
    assert [b[:4] for b in several[0]] == [CORNERS]
    assert re.search("1 'bicycle': 1x", note)


def test_a_byte_order_mark_is_skipped(here: Path) -> None:
    assert len(read('\ufeff' + json.dumps([result()])).images) == 1


def test_boxes_of_skipped_images_are_skipped(here: Path) -> None:
    source = open_inputs(['a/1.png', 'a/02.png', 'a/x.png'])
    given = given_boxes([[[0, 0, n, 9]] for n in (7, 8, 9)], source)
    first, _, last = source
    assert [given.of(frame)[0, 2] for frame in (first, last)] == [7, 9]


@pytest.mark.parametrize('orientation', [1, 6])
def test_sizes_are_those_of_turned_images(here: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new('RGB', (100, 80)).save('turned.jpg', exif=exif)
    source = open_inputs('turned.jpg')
    (frame,) = source
    assert source.image_size(0) == frame.image.shape[1::-1]
    assert source.image_size(0) == ((100, 80) if orientation == 1 else (80, 100))


def test_sizes_of_other_inputs(clip: Path, here: Path) -> None:
    assert open_inputs(str(clip)).image_size(0) == (320, 240)
    assert open_inputs(np.zeros((8, 9, 3), np.uint8)).image_size(0) == (9, 8)
    assert open_inputs('https://host/1.jpg').image_size(0) is None
