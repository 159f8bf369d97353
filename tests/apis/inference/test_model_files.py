"""Errors about the files of models, when the inferencer is built."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from support.random_models import DETECTOR, POSE, build

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference.detector import Detector, check_cat_ids
from hrnet_plugin.apis.inference.model_files import read_model_config


def assert_refused(error, message, pose2d=POSE, pose2d_weights=None, **options):
    with pytest.raises(error, match=message):
        PoseInferencer(pose2d, pose2d_weights, device='cpu', **options)


@pytest.fixture
def pose(weights) -> str:
    return str(weights / 'pose.pth')


@pytest.fixture
def detector(weights) -> str:
    return str(weights / 'detector.pth')


class Unsafe:
    """Not among the types that the safe loader knows."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A function that serves a checkpoint on this machine, and returns its URL."""
    (tmp_path / 'www').mkdir()
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / 'www'))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def serve(checkpoint) -> str:
            torch.save(checkpoint, tmp_path / 'www/served.pth')
            return f'http://127.0.0.1:{server.server_port}/served.pth'

        yield serve
        server.shutdown()


class TestPose:
    def test_no_such_config_file(self):
        assert_refused(FileNotFoundError, "pose2d='configs/no.py': there is no", 'configs/no.py')

    def test_misspelled_names(self):
        assert_refused(
            ValueError, "did you mean 'litehrnet-18_coco-256x192'", 'litehrnet-18_coco_256x192'
        )
        assert_refused(ValueError, "did you mean 'human'", 'humann')

    def test_names_of_both_packages(self):
        for name in ('litehrnet-18_coco-256x192', 'td-hm_res50_8xb64-210e_coco-256x192'):
            config, weights = read_model_config('pose2d', name, ['mmpose', 'hrnet_plugin'])
            assert config.model.head.out_channels == 17
            assert weights.startswith('https://')

    def test_a_checkpoint_is_no_config(self, detector):
        assert_refused(ValueError, 'is a checkpoint; expected a config', detector)

    def test_a_detector_is_no_pose_model(self):
        assert_refused(
            ValueError,
            'top-down pose estimator: it is .* of MMDetection .* model RTMDet',
            DETECTOR,
        )

    def test_a_classifier_is_no_pose_model(self):
        """Whichever command is given it: predict, export and bench all read it here."""
        config = Config(dict(default_scope='mmpretrain', model=dict(type='ImageClassifier')))
        message = 'MMPretrain .* ImageClassifier.*, not of pose .* `mim train hrnet_plugin CONFIG`'
        assert_refused(ValueError, message, config)

    def test_a_package_that_the_config_builds_on_is_missing(self, tmp_path, monkeypatch):
        path = tmp_path / 'segmentation.py'
        path.write_text("_base_ = 'mmseg::_base_/default_runtime.py'")
        monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
        message = f"pose2d='{path}' needs mmseg.*pip install mmsegmentation==1.2.2 .* installs"
        assert_refused(ImportError, message, str(path))

    @pytest.mark.parametrize(
        ('name', 'content', 'message'),
        [
            ('a.json', '{"model": ', r'a\.json.* cannot be used: .*delimiter|Expecting'),
            ('a.py', 'model = dict(', r"a\.py' cannot be used: SyntaxError: "),
            ('a.json', '[1]', r"a\.json' cannot be used: "),
            ('a.json', '{"test_dataloader": 3}', r"a\.json' cannot be used: AttributeError: "),
            (
                'a.json',
                '{"data_mode": "topdown", "test_dataloader": {"dataset": {"pipeline": []}}, '
                '"model": {"type": "Nothing"}, "default_scope": "mmpose"}',
                r"a\.json' cannot be used: KeyError: Nothing is not in the ",
            ),
            (
                'a.json',
                '{"data_mode": "topdown", "test_dataloader": {"dataset": {"pipeline": []}}, '
                '"default_scope": [1]}',
                r"a\.json' cannot be used: its default_scope is not the name",
            ),
        ],
    )
    def test_a_config_that_cannot_be_used(self, tmp_path, name, content, message):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=message) as caught:
            PoseInferencer(str(tmp_path / name), 'no.pth', device='cpu')
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        'checkpoint', [dict(state_dict=3), dict(state_dict=dict(a=1)), {1: torch.ones(1)}, [1]]
    )
    def test_a_checkpoint_of_another_shape(self, tmp_path, checkpoint):
        torch.save(checkpoint, tmp_path / 'a.pth')
        assert_refused(ValueError, 'a.pth.* holds no state dict', POSE, str(tmp_path / 'a.pth'))

    def test_weights_are_never_random(self):
        assert_refused(ValueError, 'pose2d_weights is missing')

    def test_no_such_checkpoint(self):
        assert_refused(FileNotFoundError, "pose2d_weights='no.pth': there is no", POSE, 'no.pth')

    def test_weights_of_a_detector(self, detector):
        message = (
            'another kind of model: it has backbone, bbox_head, neck, expected backbone, head'
        )
        assert_refused(ValueError, message, POSE, detector)

    def test_truncated(self, pose, tmp_path):
        path = tmp_path / 'cut.pth'
        path.write_bytes(Path(pose).read_bytes()[:-1000])
        assert_refused(ValueError, 'cut.pth is cut short', POSE, str(path))

    def test_another_number_of_keypoints(self, pose, tmp_path):
        state = torch.load(pose)['state_dict']
        state['head.final_layer.weight'] = torch.ones(21, 32, 1, 1)
        state['head.final_layer.bias'] = torch.ones(21)
        torch.save(dict(state_dict=state), tmp_path / '21.pth')
        message = 'the checkpoint has 21 keypoints .*head.out_channels=17'
        assert_refused(ValueError, message, POSE, str(tmp_path / '21.pth'))

    def test_head_and_dataset_differ(self, pose, tmp_path):
        config = Config.fromfile(POSE)
        config.model.head.out_channels = 21
        torch.save(dict(state_dict=build(config, 'mmpose').state_dict()), tmp_path / '21.pth')
        message = 'head.out_channels=21, but the dataset has 17 keypoints'
        assert_refused(ValueError, message, config, str(tmp_path / '21.pth'))

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (lambda s: s.pop('backbone.conv1.weight'), r'1 tensors are missing \(backbone.conv1'),
            (lambda s: s.update({'backbone.x': torch.ones(1)}), r'1 tensors are not of the model'),
            (lambda s: s.update({'backbone.conv1.weight': torch.ones(1)}), 'size mismatch'),
            (lambda s: s.clear(), 'holds no state dict'),
        ],
    )
    def test_other_tensors(self, pose, tmp_path, change, message):
        checkpoint = torch.load(pose)
        change(checkpoint['state_dict'])
        torch.save(checkpoint, tmp_path / 'other.pth')
        assert_refused(ValueError, message, POSE, str(tmp_path / 'other.pth'))

    def test_weights_that_a_wrapper_saved(self, pose, tmp_path):
        state = {f'module.{n}': t for n, t in torch.load(pose)['state_dict'].items()}
        torch.save(state, tmp_path / 'wrapped.pth')
        inferencer = PoseInferencer(POSE, str(tmp_path / 'wrapped.pth'), device='cpu')
        weight = inferencer.pose.model.head.final_layer.weight
        assert weight.equal(state['module.head.final_layer.weight'])

    def test_weights_from_a_url(self, pose, served):
        inferencer = PoseInferencer(POSE, served(torch.load(pose)), device='cpu')
        weight = inferencer.pose.model.head.final_layer.weight
        assert weight.equal(torch.load(pose)['state_dict']['head.final_layer.weight'])

    def test_a_url_is_loaded_safely(self, served, monkeypatch):
        """Even if MMEngine's loader would load it, as onedl-mmengine's does."""
        monkeypatch.setattr('mmengine.runner.checkpoint.load_from_http', pytest.fail)
        message = 'served.pth holds .*Unsafe, which the safe loader refuses'
        assert_refused(ValueError, message, POSE, served(dict(meta=Unsafe())))

    def test_no_such_url(self, served):
        url = served({}).replace('served', 'missing')
        assert_refused(OSError, "missing.pth' cannot be fetched .*404", POSE, url)

    def test_the_config_is_left_as_it_was(self, pose):
        config = Config.fromfile(POSE)
        PoseInferencer(config, pose, device='cpu')
        assert config.to_dict() == Config.fromfile(POSE).to_dict()


class TestDetector:
    @pytest.mark.parametrize(
        ('model', 'message'),
        [
            ('no.py', "det_model='no.py': there is no"),
            ('rtmdet_s', "did you mean 'rtmdet-s'"),
            (POSE, 'is of a pose estimator'),
        ],
    )
    def test_configs(self, detector, model, message):
        with pytest.raises((OSError, ValueError), match=message):
            Detector(model, detector, None, 'cpu')

    def test_weights(self, pose):
        with pytest.raises(ValueError, match='det_weights is missing'):
            Detector(DETECTOR, None, None, 'cpu')
        with pytest.raises(
            ValueError, match=r"det_weights='.*pose.pth' is of another kind of mod"
        ):
            Detector(DETECTOR, pose, None, 'cpu')

    def test_weights_without_a_config(self, pose, detector):
        assert_refused(ValueError, 'need det_model', POSE, pose, det_weights=detector)

    def test_unknown_classes(self, detector):
        with pytest.raises(ValueError, match="has 3; expected indices of the detector's classes"):
            Detector(DETECTOR, detector, [0, 3], 'cpu')

    @pytest.mark.parametrize(
        ('cat_ids', 'classes', 'expected'),
        [
            (None, ['cat'], [0]),
            (None, ['cat', 'person'], [1]),
            (0, ['cat', 'person'], [0]),
            ((0, 1), ['cat', 'person'], [0, 1]),
        ],
    )
    def test_classes(self, cat_ids, classes, expected):
        assert check_cat_ids(cat_ids, classes) == expected

    def test_which_class_is_unclear(self):
        with pytest.raises(ValueError, match=r'det_cat_ids is missing; .* 0 cat, 1 dog'):
            check_cat_ids(None, ['cat', 'dog'])


class TestWorkFolder:
    """The work folder of a training in the place of a config."""

    @pytest.fixture
    def folder(self, tmp_path, pose):
        Config.fromfile(POSE).dump(tmp_path / 'config.py')
        (tmp_path / 'best_coco_AP_epoch_10.pth').write_bytes(Path(pose).read_bytes())
        for name in ('best_coco_AP_epoch_9.pth', 'epoch_11.pth', 'pretrained.pth'):
            (tmp_path / name).write_bytes(b'another')
        return tmp_path

    @pytest.fixture
    def pose(self, weights) -> str:
        return str(weights / 'pose.pth')

    def test_config_and_best_checkpoint(self, folder):
        inferencer = PoseInferencer(str(folder), device='cpu')
        assert inferencer.pose.num_keypoints == 17
        (folder / 'resolved_config.py').write_text('')  # of MMEngine, beside ours
        config, weights = read_model_config('pose2d', folder, ['mmpose'])
        assert config.filename == str(folder / 'config.py')
        assert weights == str(folder / 'best_coco_AP_epoch_10.pth')

    def test_given_weights_come_first(self, folder, pose):
        (folder / 'best_coco_AP_epoch_10.pth').write_bytes(b'broken')
        PoseInferencer(str(folder), pose, device='cpu')

    def test_without_a_best_one_the_last(self, folder):
        for path in folder.glob('best_*'):
            path.unlink()
        (folder / 'epoch_9.pth').touch()
        _, weights = read_model_config('pose2d', folder, ['mmpose'])
        assert weights == str(folder / 'epoch_11.pth')

    def test_of_mim(self, folder):
        """MMEngine's name of the config is that of the file that it was trained with."""
        (folder / 'config.py').rename(folder / 'td-hm_mine.py')
        config, _ = read_model_config('pose2d', folder, ['mmpose'])
        assert config.filename == str(folder / 'td-hm_mine.py')
        (folder / 'other.py').touch()
        assert_refused(ValueError, r'several configs, other\.py, td-hm_mine\.py', str(folder))

    def test_nothing_there(self, folder):
        for path in folder.glob('*.pth'):
            path.unlink()
        assert_refused(FileNotFoundError, 'but no checkpoint yet', str(folder))
        (folder / 'config.py').unlink()
        assert_refused(
            FileNotFoundError, 'is a folder without a config; expected config.py', str(folder)
        )
