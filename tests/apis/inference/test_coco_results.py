"""Which image each result is of."""

from types import SimpleNamespace

import pytest

from hrnet_plugin.apis.inference.coco_results import ResultLocations
from hrnet_plugin.apis.inputs.images import Images


def images(*names):
    return Images(list(names))


def video(name):
    return SimpleNamespace(names=[name], labels=[name], is_video=True)


def ids(sources, frames=4):
    locate = ResultLocations(sources)
    return [
        [
            locate(source, i, None)['image_id']
            for i in range(frames if source.is_video else len(source))
        ]
        for source in sources
    ]


def test_ids_are_the_numbers_of_the_files():
    assert ids([images('a/000012.jpg', 'b/7.png')]) == [[12, 7]]


@pytest.mark.parametrize(
    'names', [('a/1.jpg', 'b/1.jpg'), ('1.jpg', '01.png'), ('1.jpg', 'x.jpg'), ('x.jpg', 'y.jpg')]
)
def test_or_they_count(names):
    assert ids([images(*names)]) == [[1, 2]]


def test_no_two_are_equal_in_a_call():
    sources = [images('3.jpg', '4.jpg'), video('x.mp4'), video('y.mp4')]
    assert ids(sources) == [[1, 2], [3, 4, 5, 6], [7, 8, 9, 10]]
    assert ids([video('5.mp4'), video('6.mp4')]) == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_frames_and_images_that_were_left_out_leave_gaps():
    first, second = video('x.mp4'), video('y.mp4')
    locate = ResultLocations([first, second])
    found = [locate(first, i, i / 3) for i in (0, 2)] + [locate(second, 1, None)]
    assert found == [
        dict(image_id=1, file_name='x.mp4', frame=0, timestamp=0.0),
        dict(image_id=3, file_name='x.mp4', frame=2, timestamp=0.666667),
        dict(image_id=5, file_name='y.mp4', frame=1),
    ]
    numbered = images('8.jpg', '9.jpg', '10.jpg')
    assert ResultLocations([numbered])(numbered, 2, None) == dict(image_id=10, file_name='10.jpg')


def test_file_names_tell_folders_apart():
    both = images('/d/a/1.jpg', '/d/b/1.jpg')
    locate = ResultLocations([both])
    assert [locate(both, i, None)['file_name'] for i in range(2)] == ['a/1.jpg', 'b/1.jpg']
