"""PoseInferencer: stock's results, batched; files; options and their errors."""

import json
import math
from itertools import chain

import cv2
import numpy as np
import pytest
from mmpose.apis import MMPoseInferencer
from support.random_models import DETECTOR, POSE
from support.video_files import damage, save_gif, save_video

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.registry import INFERENCERS

BOXES = [
    [[20, 30, 120, 220], [100, 20, 200, 230], [150, 40, 300, 200]],
    [],
    [[10, 10, 150, 230]],
    [[60, 20, 160, 220], [5, 5, 90, 200]],
]


@pytest.fixture
def forwards(inferencer, monkeypatch) -> list[int]:
    """The number of instances in each forward pass of the pose model."""
    sizes: list[int] = []
    predictor = inferencer.pose.predictor

    class Counting:
        def predict(self, crops, heatmaps):
            sizes.append(len(crops))
            return predictor.predict(crops, heatmaps)

    monkeypatch.setattr(inferencer.pose, 'predictor', Counting())
    return sizes


def instances_of(results) -> list[list[dict]]:
    return [result['predictions'][0] for result in results]


def assert_same(ours, theirs, pixels=1e-3):
    assert [len(p) for p in ours] == [len(p) for p in theirs]
    assert sum(map(len, ours)) > 0
    for a, b in zip(chain(*ours), chain(*theirs)):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(a['keypoints'], b['keypoints'], atol=pixels)
        np.testing.assert_allclose(a['keypoint_scores'], b['keypoint_scores'], atol=1e-5)
        np.testing.assert_allclose(a['bbox'], b['bbox'], atol=pixels)
        assert a['bbox_score'] == pytest.approx(b['bbox_score'], abs=1e-5)


class TestResults:
    def test_stock_finds_the_same(self, inferencer, weights, folder):
        stock = MMPoseInferencer(
            pose2d=POSE,
            pose2d_weights=str(weights / 'pose.pth'),
            det_model=DETECTOR,
            det_weights=str(weights / 'detector.pth'),
            det_cat_ids=[0],
            device='cpu',
        )
        expected = list(stock(str(folder), return_vis=True))
        results = list(inferencer(str(folder), return_vis=True))
        assert len(results) == 4
        assert_same(instances_of(results), instances_of(expected))
        # Random weights, but not a random test: poses differ from each other.
        assert np.std([p['keypoints'] for p in instances_of(results)[0]], axis=0).min() > 1
        for ours, theirs in zip(results, expected):
            assert ours.keys() == theirs.keys()
            np.testing.assert_array_equal(ours['visualization'][0], theirs['visualization'][0])

    @pytest.mark.parametrize('batch_size', [1, 4, 64])
    def test_instances_are_batched_across_images(self, inferencer, images, forwards, batch_size):
        predictions = instances_of(inferencer(images, bboxes=BOXES, batch_size=batch_size))
        assert len(forwards) == math.ceil(6 / batch_size)
        assert sum(forwards) == 6
        alone = [instances_of(inferencer(x, bboxes=[b]))[0] for x, b in zip(images, BOXES)]
        assert_same(predictions, alone)

    def test_boxes_are_used_as_they_are(self, inferencer, images):
        boxes = [[[20, 30, 120, 220, 0.1], [21, 30, 120, 220, 0.05]]]
        (predictions,) = instances_of(inferencer(images[0], bboxes=boxes))
        assert [p['bbox'][0] for p in predictions] == [b[:4] for b in boxes[0]]
        assert [p['bbox_score'] for p in predictions] == pytest.approx([0.1, 0.05])
        (again,) = instances_of(inferencer(images[0], bboxes=np.array(boxes[0])))
        assert again == predictions

    def test_boxes_of_a_file(self, weights, boxes_only, images, tmp_path):
        path = tmp_path / 'boxes.json'
        names = [dict(id=3, name='dog'), dict(id=4, name='person'), dict(id=5, name='car')]
        box = dict(image_id=0, category_id=4, bbox=[20, 30, 100, 190])
        others = [dict(box, category_id=3), dict(box, category_id=5), dict(box, score=0.1)]
        listed = [dict(id=i, file_name=f'{i:06}.jpg') for i in range(4)]
        outside = dict(box, image_id=1, bbox=[-50, 0, 40, 90])
        path.write_text(
            json.dumps(dict(images=listed, categories=names, annotations=[box, *others, outside]))
        )
        with pytest.warns(UserWarning, match='boxes skipped') as warned:
            predictions = instances_of(boxes_only(images, bboxes=str(path)))
        messages = '\n'.join(str(w.message) for w in warned)
        assert [len(p) for p in predictions] == [1, 0, 0, 0]
        assert "(3 'dog': 1x, 5 'car': 1x)" in messages
        assert '1 of 2 boxes skipped: the bbox is outside of the image (000001.jpg' in messages
        pose = str(weights / 'pose.pth')
        dogs = PoseInferencer(POSE, pose, device='cpu', box_categories=['dog', 5])
        predictions = instances_of(dogs(images, bboxes=path))
        assert [len(p) for p in predictions] == [2, 0, 0, 0]

    def test_given_boxes_that_are_not_in_the_image(self, inferencer, images):
        boxes = [[400, 0, 500, 90], [20, 30, 120, 220], [5, 5, 5.5, 90]]
        with pytest.warns(UserWarning, match='bboxes: 1 of 3 boxes skipped') as warned:
            (predictions,) = instances_of(inferencer(images[0], bboxes=[boxes]))
        assert [p['bbox'][0] for p in predictions] == [boxes[1]]
        assert len([w for w in warned if '1 of 3 boxes skipped' in str(w.message)]) == 2

    def test_the_detector_gets_batches_of_images(self, inferencer, images, monkeypatch):
        sizes = []
        detect = inferencer.detector.model.predict

        def predict(inputs, samples, **options):
            sizes.append(len(inputs))
            return detect(inputs, samples, **options)

        monkeypatch.setattr(inferencer.detector.model, 'predict', predict)
        predictions = instances_of(inferencer(images))
        assert sizes == [2, 1, 1]  # the third is of another shape
        assert_same(predictions, [instances_of(inferencer(image))[0] for image in images])

    def test_images_without_instances_have_empty_results(
        self, inferencer, images, tmp_path, forwards
    ):
        results = list(
            inferencer(images[:2], bbox_thr=0.999, return_vis=True, pred_out_dir=str(tmp_path))
        )
        assert instances_of(results) == [[], []]
        assert forwards == []
        np.testing.assert_array_equal(results[0]['visualization'][0], images[0][..., ::-1])
        assert json.loads((tmp_path / '000001.json').read_text()) == []

    def test_images_without_instances_do_not_pile_up(self, inferencer, images, forwards):
        def many():
            for number in range(40):
                taken.append(number)
                yield [[20, 30, 120, 220]] if number == 0 else []

        taken: list[int] = []
        predictions = inferencer([images[0]] * 40, bboxes=many(), batch_size=4)
        assert len(next(predictions)['predictions'][0]) == 1
        assert len(taken) < 20
        assert len(list(predictions)) == 39
        assert forwards == [1]

    @pytest.mark.parametrize('spelling', ['whole_image', 'whole-image'])
    def test_whole_images(self, weights, images, spelling):
        inferencer = PoseInferencer(
            POSE, str(weights / 'pose.pth'), device='cpu', det_model=spelling
        )
        (predictions,) = instances_of(inferencer(images[2]))
        assert [p['bbox'][0] for p in predictions] == [[0, 0, 160, 240]]

    def test_data_samples(self, inferencer, images):
        (result,) = inferencer(images[0], return_datasamples=True, draw_heatmap=True)
        (sample,) = result['predictions']
        assert sample.pred_instances.keypoints.shape[1:] == (17, 2)
        assert sample.pred_fields.heatmaps.shape == (17, 240, 320)

    def test_pose_based_nms_drops_the_worse_of_two(self, inferencer, images):
        boxes = [[[20, 30, 120, 220, 0.5], [20, 30, 120, 220, 0.9], [190, 40, 300, 200, 0.4]]]
        (predictions,) = instances_of(inferencer(images[0], bboxes=boxes, pose_based_nms=True))
        assert sorted(p['bbox_score'] for p in predictions) == pytest.approx([0.4, 0.9])

    def test_registered(self):
        assert INFERENCERS.get('hrnet_plugin.PoseInferencer') is PoseInferencer


class TestFiles:
    def test_drawn_images_and_predictions(self, inferencer, folder, tmp_path):
        out = tmp_path / 'out'
        predictions = instances_of(inferencer(str(folder), out_dir=str(out), draw_bbox=True))
        names = [f'{i:012}' for i in range(4)]
        drawn = sorted(out.glob('visualizations/*'))
        assert [path.name for path in drawn] == [f'{name}.png' for name in names]
        assert (cv2.imread(str(drawn[0])) != cv2.imread(str(folder / drawn[0].name))).any()
        for name, expected in zip(names, predictions):
            saved = json.loads((out / 'predictions' / f'{name}.json').read_text())
            assert [p['keypoints'] for p in saved] == [p['keypoints'] for p in expected]

    def test_video(self, boxes_only, clip, tmp_path):
        options = dict(bboxes=[BOXES[0]] * 11, out_dir=str(tmp_path), batch_size=5)
        results = list(boxes_only(str(clip), **options))
        assert len(results) == 11
        saved = json.loads((tmp_path / 'predictions/clip.json').read_text())
        assert [frame['frame_id'] for frame in saved] == list(range(11))
        assert len(saved[7]['instances']) == len(results[7]['predictions'][0]) == 3
        video = cv2.VideoCapture(str(tmp_path / 'visualizations/clip.mp4'))
        assert video.get(cv2.CAP_PROP_FPS) == 25
        sizes = []
        while (frame := video.read())[0]:
            sizes.append(frame[1].shape)
        assert sizes == [(240, 320, 3)] * 11

    def test_heatmaps_without_instances_keep_the_size_of_the_video(
        self, inferencer, clip, tmp_path
    ):
        boxes = [[[20, 30, 120, 220]] if i % 2 else [] for i in range(11)]
        options = dict(bboxes=boxes, draw_heatmap=True, vis_out_dir=str(tmp_path / 'drawn.mp4'))
        assert len(list(inferencer(str(clip), **options))) == 11
        video = cv2.VideoCapture(str(tmp_path / 'drawn.mp4'))
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 11
        assert video.get(cv2.CAP_PROP_FRAME_HEIGHT) == 480

    def test_closing_early_keeps_what_is_done(self, boxes_only, clip, tmp_path):
        options = dict(bboxes=[BOXES[2]] * 11, out_dir=str(tmp_path), batch_size=2)
        predictions = boxes_only(str(clip), **options)
        next(predictions)
        predictions.close()
        done = json.loads((tmp_path / 'predictions/clip.json').read_text())
        assert 1 <= len(done) < 11
        video = cv2.VideoCapture(str(tmp_path / 'visualizations/clip.mp4'))
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == len(done)

    def test_shown_in_order(self, boxes_only, clip, monkeypatch):
        shown = []
        monkeypatch.setattr(
            'mmpose.visualization.PoseLocalVisualizer.show',
            lambda self, drawn, **options: shown.append((drawn.shape, options['win_name'])),
        )
        assert len(list(boxes_only(str(clip), bboxes=[BOXES[2]] * 11, show=True))) == 11
        assert shown == [((240, 320, 3), str(clip))] * 11


class TestTracking:
    def boxes(self):
        """An instance that moves with the image, and in some frames another one before it."""
        for i in range(11):
            moving = [20 + 3 * i, 30, 120 + 3 * i, 220]
            yield [[230, 50, 310, 200], moving] if i % 3 == 2 else [moving]

    def test_track_ids_persist(self, inferencer, clip):
        predictions = instances_of(inferencer(str(clip), bboxes=self.boxes(), track=True))
        assert [[p['track_id'] for p in frame] for frame in predictions] == [
            [2, 1] if i % 3 == 2 else [1] for i in range(11)
        ]

    def test_smoothing_uses_timestamps(self, inferencer, tmp_path, monkeypatch):
        times = []
        monkeypatch.setattr(
            'hrnet_plugin.apis.inference.inferencer.TrackSmoother.update',
            lambda self, sample, timestamp: times.append(timestamp),
        )
        path = str(save_gif(tmp_path / 'a.gif', [100, 300, 200]))
        list(inferencer(path, bboxes=[[]] * 3, track=True, smooth=True))
        assert times == pytest.approx([0, 0.1, 0.4])

    def test_smoothing_calms_keypoints(self, inferencer, clip):
        def steps(**options):
            predictions = instances_of(
                inferencer(str(clip), bboxes=self.boxes(), track=True, **options)
            )
            poses = [np.array(frame[-1]['keypoints']) for frame in predictions]
            return np.abs(np.diff(poses, n=2, axis=0)).mean()

        assert steps(smooth=True) < 0.8 * steps()


FIVE_BOXES = [[[5 * i, 0, 60 + 5 * i, 40, 0.1 * i]] for i in range(1, 6)]


class TestUnreadable:
    """By default an error, after the results of the images before; or skipped with a warning."""

    @pytest.fixture
    def files(self, tmp_path, images):
        for i in range(5):
            cv2.imwrite(str(tmp_path / f'{i}.png'), images[0])
        (tmp_path / '3.png').write_bytes((tmp_path / '3.png').read_bytes()[:500])
        return [str(tmp_path / f'{i}.png') for i in range(5)]

    @pytest.mark.parametrize('batch_size', [1, 16])
    def test_results_before_an_error(self, inferencer, files, tmp_path, batch_size):
        out = tmp_path / 'out'
        predictions = inferencer(files, bboxes=FIVE_BOXES, out_dir=str(out), batch_size=batch_size)
        first = [p[0]['bbox_score'] for p in instances_of(next(predictions) for _ in range(3))]
        assert first == pytest.approx([0.1, 0.2, 0.3])
        with pytest.raises(ValueError, match=r'3.png cannot be read as an image'):
            next(predictions)
        for folder in ('visualizations', 'predictions'):
            assert [p.stem for p in sorted((out / folder).iterdir())] == ['0', '1', '2']

    def test_results_before_an_error_within_a_batch_of_the_detector(self, inferencer, files):
        predictions = inferencer(files)
        whole = [instances_of([next(predictions)])[0] for _ in range(3)]
        assert_same(whole, instances_of(inferencer(files[:3])))
        with pytest.raises(ValueError, match=r'3.png cannot be read as an image'):
            next(predictions)

    def test_boxes_are_those_of_the_images_left(self, inferencer, files, tmp_path):
        options = dict(bboxes=FIVE_BOXES, skip_unreadable=True, pred_out_dir=str(tmp_path / 'out'))
        with pytest.warns(UserWarning, match=r'skipped: .*3.png cannot be read as an image'):
            results = list(inferencer(files, return_datasamples=True, **options))
        samples = [result['predictions'][0] for result in results]
        assert [sample.img_path for sample in samples] == [*files[:3], files[4]]
        assert [sample.frame_id for sample in samples] == [0, 1, 2, 4]
        scores = [sample.pred_instances.bbox_scores[0] for sample in samples]
        assert scores == pytest.approx([0.1, 0.2, 0.3, 0.5])
        saved = json.loads((tmp_path / 'out/4.json').read_text())
        assert saved[0]['bbox_score'] == pytest.approx(0.5)
        assert not (tmp_path / 'out/3.json').exists()

    def test_damaged_frames(self, inferencer, tmp_path):
        path = str(damage(save_video(tmp_path / 'a.avi', 5), 2))
        options = dict(bboxes=FIVE_BOXES, return_datasamples=True)
        predictions = inferencer(path, **options)
        assert [next(predictions)['predictions'][0].frame_id for _ in range(2)] == [0, 1]
        with pytest.raises(ValueError, match='frame 2 cannot be decoded'):
            next(predictions)
        options |= dict(skip_unreadable=True, out_dir=str(tmp_path / 'out'))
        with pytest.warns(UserWarning, match='4 of 5 frames were read; frame 2 cannot be decoded'):
            samples = [result['predictions'][0] for result in inferencer(path, **options)]
        assert [sample.timestamp for sample in samples] == pytest.approx([0, 0.2, 0.6, 0.8])
        scores = [sample.pred_instances.bbox_scores[0] for sample in samples]
        assert scores == pytest.approx([0.1, 0.2, 0.4, 0.5])
        saved = json.loads((tmp_path / 'out/predictions/a.json').read_text())
        assert [(f['frame_id'], f['timestamp']) for f in saved] == [
            (0, 0.0),
            (1, 0.2),
            (3, 0.6),
            (4, 0.8),
        ]


CHECKED = [
    (dict(bboxes=[[]]), 'bboxes are for 1 images, but there are 4'),
    (dict(bboxes=[[[1, 2, 3]], [], [], []]), r'image 0 have shape \(1, 3\)'),
    (dict(bboxes=[[], [[9, 9, 3, 3]], [], []]), 'of image 1 has no area'),
    (dict(batch_size=0), 'batch_size=0; expected 1 or more'),
    (dict(skeleton_style='openpos'), "did you mean 'openpose'"),
    (dict(smooth=True), 'smooth=True needs track=True'),
    (dict(vis_out_dir='out.mp4'), 'expected a folder'),
]


class TestErrors:
    @pytest.mark.parametrize(('options', 'message'), CHECKED)
    def test_impossible_options_of_a_call(self, inferencer, images, options, message):
        with pytest.raises(ValueError, match=message):  # before the first result
            inferencer(images, **options)

    def test_misspelled_options(self, inferencer, images, weights):
        with pytest.raises(TypeError, match="did you mean 'kpt_thr'"):
            inferencer(images, kpt_tr=0.5)
        with pytest.raises(TypeError, match="did you mean 'pose2d_weights'"):
            PoseInferencer(POSE, pose2d_weigths=str(weights / 'pose.pth'))

    def test_neither_boxes_nor_a_detector(self, boxes_only, images):
        with pytest.raises(ValueError, match='give bboxes=, or build the inferencer with det_mod'):
            boxes_only(images)
        assert len(instances_of(boxes_only(images[0], bboxes=BOXES[0]))[0]) == 3

    def test_a_video_longer_than_its_boxes(self, inferencer, clip):
        predictions = inferencer(str(clip), bboxes=iter([[[20, 30, 120, 220]]] * 5))
        with pytest.raises(ValueError, match='bboxes end after 5 images'):
            list(predictions)

    def test_inputs_are_not_overwritten(self, inferencer, folder, clip, images, tmp_path):
        with pytest.raises(ValueError, match=r'000000000000.png would be overwritten'):
            inferencer(str(folder), vis_out_dir=str(folder))
        with pytest.raises(ValueError, match=r'clip.mp4 would be overwritten'):
            inferencer(str(clip), vis_out_dir=str(clip.parent))
        (tmp_path / 'more').mkdir()
        cv2.imwrite(str(tmp_path / 'more/000000000001.jpg'), images[0])
        both = [str(folder), str(tmp_path / 'more')]
        assert len(list(inferencer(both, bboxes=[[]] * 5, out_dir=str(tmp_path / 'out')))) == 5
        assert sorted(p.name for p in (tmp_path / 'out/predictions').iterdir()) == [
            f'{0:012}.json',
            *(f'{1:012}.{ending}.json' for ending in ('jpg', 'png')),
            *(f'{i:012}.json' for i in (2, 3)),
        ]
        with pytest.raises(ValueError, match=r'000000000001.png is given twice'):
            inferencer([str(folder / '000000000001.png')] * 2, pred_out_dir=str(tmp_path))
