"""COCO results: the image that each is of, and results from Python."""

import inspect
import json
from types import SimpleNamespace

import numpy as np
import pytest

from hrnet_plugin.apis import write_coco_results
from hrnet_plugin.apis.inference.coco_results import CocoTask, ResultLocations
from hrnet_plugin.apis.inputs.images import Images
from hrnet_plugin.apis.inputs.report import InputReport
from hrnet_plugin.evaluation import OKSMetric
from hrnet_plugin.functional.coco.scoring import KEYPOINT_SCORE_THRESHOLD


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
def test_or_running_numbers(names):
    assert ids([images(*names)]) == [[1, 2]]


def test_ids_of_several_sources_are_unique():
    sources = [images('3.jpg', '4.jpg'), video('x.mp4'), video('y.mp4')]
    assert ids(sources) == [[1, 2], [3, 4, 5, 6], [7, 8, 9, 10]]
    assert ids([video('5.mp4'), video('6.mp4')]) == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_skipped_frames_and_images_leave_gaps():
    first, second = video('x.mp4'), video('y.mp4')
    locate = ResultLocations([first, second])
    locations = [locate(first, i, i / 3) for i in (0, 2)] + [locate(second, 1, None)]
    assert locations == [
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


def test_scores_are_those_of_the_metric():
    """Keypoints count for the score of a result as they do for OKSMetric."""
    default = inspect.signature(OKSMetric).parameters['keypoint_score_thr'].default
    assert default == KEYPOINT_SCORE_THRESHOLD


class TestFromPython:
    """As a list or a file; that the file is the command's, tests of the command assert."""

    def test_results_are_those_of_a_call(self, inferencer, images):
        results = inferencer.to_coco(images[:2], bbox_thr=0.35)
        (first, second) = inferencer(images[:2], bbox_thr=0.35)
        expected = [*first['predictions'][0], *second['predictions'][0]]
        assert len(results) == len(expected) > len(second['predictions'][0]) > 0
        for ours, other in zip(results, expected):
            keypoints = np.reshape(ours['keypoints'], (17, 3))
            np.testing.assert_allclose(keypoints[:, :2], other['keypoints'], atol=1e-3)
            np.testing.assert_allclose(keypoints[:, 2], other['keypoint_scores'], atol=1e-3)
            x, y, w, h = ours['bbox']
            np.testing.assert_allclose([x, y, x + w, y + h], other['bbox'][0], atol=2e-3)

    def test_arrays_and_given_boxes(self, boxes_only, images):
        boxes = [[[20, 30, 120, 220]], [], [[10, 10, 150, 230]], []]
        results = boxes_only.to_coco(images, bboxes=boxes)
        assert [(r['image_id'], r['file_name'], r['bbox']) for r in results] == [
            (0, '000000.jpg', [20, 30, 100, 190]),
            (2, '000002.jpg', [10, 10, 140, 220]),
        ]

    def test_interrupted(self, boxes_only, folder, tmp_path):
        def interrupted(*args, **options):
            for number, result in enumerate(boxes_only(*args, **options)):
                if number == 2:
                    raise KeyboardInterrupt
                yield result

        boxes = tmp_path / 'boxes.json'
        known = [dict(image_id=i, bbox=[20, 30, 100, 190]) for i in range(4)]
        boxes.write_text(json.dumps(known))
        path = tmp_path / 'new/results.json'
        task = CocoTask(folder, InputReport(), boxes, path=path)
        with pytest.raises(KeyboardInterrupt):
            task.write(interrupted)
        assert [r['image_id'] for r in json.loads(path.read_text())] == [0, 1]
        assert (task.num_images, task.num_instances) == (2, 2)

    def test_unreadable_images_are_reported(self, boxes_only, folder, tmp_path):
        (folder / f'{1:012}.png').write_bytes(b'\x89PNG\r\n\x1a\n')
        path, boxes = tmp_path / 'results.json', [[]] * 4
        with pytest.raises(ValueError, match=r'001.png cannot be read as an image'):
            write_coco_results(boxes_only, folder, path, bboxes=boxes)
        with pytest.warns(UserWarning, match=r'skipped: .*001.png cannot be read'):
            summary = write_coco_results(
                boxes_only, folder, path, bboxes=boxes, skip_unreadable=True
            )
        assert summary[:3] == (path, 3, 0)
        assert '001.png' in summary.unreadable[0]
        assert json.loads(path.read_text()) == []

    def test_errors(self, boxes_only, folder, clip, tmp_path):
        path = tmp_path / 'results.json'
        path.write_text('kept')
        for options, error, message in (
            (dict(bboxes=[[]] * 4, smooth=True), ValueError, 'smooth=True needs track=True'),
            (dict(bboxes=[[]] * 3), ValueError, 'bboxes are for 3 images, but there are 4'),
            (dict(bboxs=[[]]), TypeError, "did you mean 'bboxes'"),
            (dict(), ValueError, 'nothing says where instances are'),
        ):
            with pytest.raises(error, match=message):
                write_coco_results(boxes_only, folder, path, **options)
        with pytest.raises(ValueError, match='the inputs are 2 sources'):
            boxes_only.to_coco([folder, clip], bboxes=[[]] * 4)
        with pytest.raises(TypeError, match="did you mean 'bboxes'"):
            boxes_only.to_coco(folder, boxes=[[]] * 4)
        image = folder / f'{0:012}.png'
        with pytest.raises(ValueError, match=r'000.png would be overwritten; choose another path'):
            write_coco_results(boxes_only, folder, image, bboxes=[[]] * 4)
        with pytest.raises(ValueError, match=r'overwritten; choose another vis_out_dir'):
            write_coco_results(boxes_only, folder, path, bboxes=[[]] * 4, vis_out_dir=folder)
        assert path.read_text() == 'kept'

    def test_nothing_can_be_read(self, boxes_only, tmp_path):
        (tmp_path / 'x.jpg').write_bytes(b'')
        with (
            pytest.warns(UserWarning, match='x.jpg is empty'),
            pytest.raises(ValueError, match='none of the inputs could be read'),
        ):
            boxes_only.to_coco(tmp_path, bboxes=[[]], skip_unreadable=True)
