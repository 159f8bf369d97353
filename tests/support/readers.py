"""Readers of users' files, one function for each kind, which give them mutated files."""

import contextlib
import copy
import io
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mmpose
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.datasets import CocoDataset
from scipy.io import savemat

from hrnet_plugin.apis.inference.model_files import load_weights
from hrnet_plugin.checks import (
    ImageRecord,
    check_boxes,
    check_coco,
    check_images,
    check_mpii,
)
from hrnet_plugin.checks.config import check_config
from hrnet_plugin.commands.cli import main
from hrnet_plugin.datasets.synthetic import synthesize
from hrnet_plugin.evaluation import OKSMetric
from hrnet_plugin.models import HRNet

from .imports import place
from .mutations import mutated_bytes, mutated_json, mutated_value, odd_tensors, pick

NAMES = ['nose', 'left_eye', 'right_eye']
METAINFO = dict(
    dataset_name='faces',
    keypoint_info={
        i: dict(name=name, id=i, swap={1: NAMES[2], 2: NAMES[1]}.get(i, ''))
        for i, name in enumerate(NAMES)
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.05] * 3,
)
SIZES = dict(input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
PIPELINE: list[Any] = [
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(type='GenerateTarget', encoder=dict(type='MSRAHeatmap', **SIZES)),
]
ABSENT = object()
NAN = math.nan
# Part of the annotations, and what one of its entries is changed to
LIKELY: list[tuple[str, dict[str, Any]]] = [
    *[
        ('annotations', dict(keypoints=value))
        for value in (
            [], None, ABSENT, [0] * 9, [20, 30, 2] * 3, [20, 30, 2] * 2, [[20, 30, 2]] * 3,
            [20, 30] * 3, [NAN, NAN, 0, 40, 50, 1, 0, 0, 0], [None, None, 0, 40, 50, 1, 0, 0, 0],
            [NAN, 30, 2] * 3, [None, 1, 1] * 3, [20, 30, None] * 3, [NAN, NAN, 0] * 3,
            [-5, -6, 2] * 3, [500, 30, 2] * 3, ['20', '30', '2'] * 3, [0, 0, 2] * 3,
            [20, 30, 1.5] * 3,
        )
    ],
    *[
        ('annotations', dict(bbox=value))
        for value in (
            [], None, ABSENT, [0, 0, 0, 0], [10, 10, 0, 50], [200, 10, 4, 5], [-20, -20, 30, 30],
            ['1', '2', '3', '4'], [1, 2, 3], [NAN, 1, 2, 3], [99, 10, 4, 5], [1, 2, None, 4],
        )
    ],
    *[
        ('annotations', {name: value})
        for name, values in dict(
            num_keypoints=[0, ABSENT, None, 3, '2', 2.0, NAN],
            iscrowd=[1, ABSENT, None, True],
            area=[0, ABSENT, None, 'big', -3, NAN, [1]],
            category_id=[2, ABSENT, '1'],
            image_id=[2, 9, '1', 1.0],
            id=[ABSENT, 11, 'a', 10.0],
        ).items()
        for value in values
    ],
    ('annotations', dict(keypoints=[], bbox=[0, 0, 0, 0], num_keypoints=0, area=0)),
    ('annotations', dict(keypoints=[], num_keypoints=ABSENT)),
    ('annotations', dict(keypoints=ABSENT, bbox=ABSENT, num_keypoints=ABSENT)),
    ('images', dict(width=ABSENT)), ('images', dict(height='80')), ('images', dict(id=1)),
    ('images', dict(file_name=ABSENT)), ('categories', dict(id=ABSENT)),
    ('categories', dict(keypoints=ABSENT)),
]  # fmt: skip
MARK = 'hrnet-plugin: error: '


def annotations() -> dict[str, Any]:
    """Two images with two instances each, one of them without keypoints."""
    instances = [
        dict(
            id=10 + i,
            image_id=1 + i // 2,
            category_id=1,
            bbox=[10, 10, 40, 50],
            area=900.0,
            iscrowd=0,
            num_keypoints=2,
            keypoints=[20 + i, 30, 2, 40, 50, 1, 0, 0, 0],
        )
        for i in range(4)
    ]
    instances[3].update(keypoints=[], num_keypoints=0)
    cage = dict(id=2, name='cage')
    category = dict(id=1, name='person', keypoints=NAMES, skeleton=[[1, 2], ['nose', 'right_eye']])
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=100, height=80) for i in (1, 2)],
        annotations=instances,
        categories=[category, cage],
    )


def detections() -> list[dict[str, Any]]:
    return [
        dict(image_id=i, file_name=f'{i}.png', category_id=1, bbox=[10, 10, 30, 40], score=0.9)
        for i in (1, 1, 2)
    ]


def mpii_people() -> list[dict[str, Any]]:
    return [
        dict(
            image=f'{i:09}.jpg',
            center=[50, 40],
            scale=0.3,
            joints=[[20, 30], [40, 50], [-1, -1]],
            joints_vis=[1, 1, 0],
        )
        for i in range(3)
    ]


def run(path: Path, *arguments: object) -> int:
    """Run a command; its error must be one line that names the file. Return the exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, arguments)])
    lines = [line for line in err.getvalue().splitlines() if MARK in line]
    assert code in (0, 1, 2), code
    assert len(lines) == (code == 2), err.getvalue()
    assert code != 2 or path.name in lines[0], lines
    return code


def read_metainfo(folder: Path, rng: np.random.Generator) -> None:
    path, out = folder / 'people.json', folder / 'people.py'
    path.write_bytes(mutated_json(annotations(), rng))
    run(path, 'metainfo', path, out, '--overwrite')
    good, again = folder / 'good.json', annotations()
    for instance in again['annotations']:
        instance['keypoints'] = [v + 1 for v in instance['keypoints']]
    again['annotations'][0]['keypoints'][8] = 2
    good.write_text(json.dumps(again))
    pair = (path, good) if rng.random() < 0.5 else (good, path)
    run(path, 'metainfo', pair[0], out, '--overwrite', '--repeated', pair[1])


def check_annotations(folder: Path, rng: np.random.Generator) -> None:
    path = folder / 'people.json'
    path.write_bytes(mutated_json(annotations(), rng))
    assert_agrees(path)


def check_likely_annotations(folder: Path, rng: np.random.Generator) -> None:
    """Annotations as tools write them: most are right, or nearly."""
    path, content = folder / 'people.json', annotations()
    for _ in range(int(rng.integers(1, 4))):
        part, changes = pick(rng, LIKELY)
        row = pick(rng, content[part])
        row.update(copy.deepcopy(changes))
        for name in [name for name, value in changes.items() if value is ABSENT]:
            del row[name]
    path.write_text(json.dumps(content))
    assert_agrees(path)


def assert_agrees(path: Path) -> bool:
    """Assert that MMPose and the metric use the same instances as the check, if it passes."""
    checked = check_coco(path, len(NAMES))
    if any(finding.is_error for finding in checked.findings):
        return False
    with (
        contextlib.redirect_stdout(io.StringIO()),
        DefaultScope.overwrite_default_scope('mmpose'),
    ):
        dataset = CocoDataset(
            ann_file=str(path), metainfo=METAINFO, serialize_data=False, pipeline=PIPELINE
        )
        # An instance without a box is left out of training; only the evaluation needs it.
        if not any('no bbox' in finding.message for finding in checked.findings):
            OKSMetric(str(path)).dataset_meta = dataset.metainfo
    usable = [checked.content['annotations'][i]['id'] for i in checked.usable]
    rows = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert sorted(map(str, usable)) == sorted(str(row['id']) for row in rows)
    for row in rows:
        image = dict(img=np.zeros((80, 100, 3), np.uint8), img_shape=(80, 100))
        sample = dataset.pipeline({**row, **image})
        assert np.isfinite(sample['heatmaps']).all()
        assert np.isfinite(sample['keypoint_weights']).all()
    return True


def check_detections(folder: Path, rng: np.random.Generator) -> None:
    path, good = folder / 'boxes.json', folder / 'people.json'
    path.write_bytes(mutated_json(detections(), rng))
    good.write_text(json.dumps(annotations()))
    check_boxes(path, check_coco(good, len(NAMES)))


def check_mpii_files(folder: Path, rng: np.random.Generator) -> None:
    path, heads = folder / 'mpii.json', folder / 'heads.mat'
    path.write_bytes(mutated_json(mpii_people(), rng))
    savemat(heads, dict(headboxes_src=np.ones((2, 2, 3))), do_compression=bool(rng.random() < 0.5))
    heads.write_bytes(mutated_bytes(heads.read_bytes(), rng))
    check_mpii(path, len(NAMES), str(heads))


def check_image_files(folder: Path, rng: np.random.Generator) -> None:
    name = ('1.png', '1.jpg')[int(rng.integers(2))]
    cv2.imwrite(str(folder / name), np.full((16, 16, 3), 7, np.uint8))
    (folder / name).write_bytes(mutated_bytes((folder / name).read_bytes(), rng))
    check_images(folder, [ImageRecord(1, name, (16, 16))])


def pose_config(folder: Path) -> dict[str, Any]:
    """A config of a small model, with its annotations."""
    path = folder / 'people.json'
    path.write_text(json.dumps(annotations()))
    codec = dict(type='UDPHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='TopdownAffine', input_size=(64, 64), use_udp=True),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs'),
    ]
    dataset = dict(
        type='CocoDataset',
        ann_file=str(path),
        data_prefix=dict(img=str(folder)),
        metainfo=METAINFO,
        pipeline=pipeline,
    )
    loader = dict(batch_size=1, num_workers=0, dataset=dataset)
    return dict(
        default_scope='mmpose',
        model=dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='AlexNet'),
            head=dict(
                type='HeatmapHead', in_channels=4, out_channels=3, deconv_out_channels=None,
                loss=dict(type='KeypointMSELoss'), decoder=codec,
            ),
            test_cfg=dict(flip_test=True),
        ),
        train_dataloader=loader,
        val_dataloader=dict(loader, dataset=dict(dataset, test_mode=True)),
        test_dataloader=dict(loader, dataset=dict(dataset, test_mode=True, data_mode='topdown')),
        val_evaluator=dict(type='hrnet_plugin.OKSMetric', ann_file=str(path)),
        load_from=None,
    )  # fmt: skip


def check_configs(folder: Path, rng: np.random.Generator) -> None:
    if rng.random() < 0.2:
        path = folder / 'config.json'
        path.write_bytes(mutated_json(pose_config(folder), rng))
        run(path, 'check', path, '--no-images')
        return
    mutated = mutated_value(pose_config(folder), rng)
    if isinstance(mutated, dict) and all(isinstance(key, str) for key in mutated):
        check_config(Config(mutated), read_images=False)


def read_config(folder: Path, rng: np.random.Generator) -> None:
    """The weights are missing: a config that can be used ends with that."""
    path, image, boxes = folder / 'config.json', folder / '1.png', folder / 'boxes.json'
    cv2.imwrite(str(image), np.zeros((80, 100, 3), np.uint8))
    boxes.write_text(json.dumps(detections()))
    path.write_bytes(mutated_json(pose_config(folder), rng))
    weights = folder / 'config.json.pth'  # which has the name of the file, too
    options = ['--boxes', boxes, '--weights', weights, '--device', 'cpu']
    assert run(path, 'predict', image, '--config', path, *options) == 2


def read_boxes(folder: Path, rng: np.random.Generator) -> None:
    """Boxes are read before the models are built: of a config that is not there."""
    path, image = folder / 'boxes.json', folder / '1.png'
    cv2.imwrite(str(image), np.zeros((80, 100, 3), np.uint8))
    content = annotations() if rng.random() < 0.5 else detections()
    path.write_bytes(mutated_json(content, rng))
    config = folder / 'boxes.json.py'  # which has the name of the file, too
    assert run(path, 'predict', image, '--config', config, '--boxes', path, '--device', 'cpu') == 2


_SMALL: dict[str, torch.Tensor] = {}


def checkpoint() -> dict[str, Any]:
    """One layer of each part of a model, as official HRNet and MMPose name them."""
    if not _SMALL:
        state = HRNet(arch='w18-small-v1').state_dict()
        keep = [name for name in state if name.startswith(('conv1', 'stage2.0.fuse', 'stage4.0'))]
        _SMALL.update({name: state[name][:2].clone() for name in keep if state[name].ndim})
    state = {f'module.{name}': tensor for name, tensor in list(_SMALL.items())[::9]}
    state['module.stage2.0.branches.0.0.conv1.weight'] = torch.ones(2, 2, 1, 1)
    state['module.final_layer.weight'] = torch.ones(3, 2, 1, 1)
    state['module.final_layer.bias'] = torch.ones(3)
    for part in 'qkv':
        state[f'module.stage2.0.branches.0.0.attn.attn.{part}_proj.weight'] = torch.ones(2, 2)
    return dict(epoch=1, meta=dict(dataset_meta=dict(num_keypoints=3)), state_dict=state)


def write_checkpoint(path: Path, rng: np.random.Generator) -> None:
    content = checkpoint()
    by_bytes = rng.random() < 0.4
    if not by_bytes:
        content = mutated_value(content, rng, odd_tensors())
        if rng.random() < 0.05 and isinstance(content, dict):
            content['state_dict'] = content  # in a circle
    torch.save(content, path, _use_new_zipfile_serialization=bool(rng.random() < 0.7))
    if by_bytes:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))


def read_checkpoints(folder: Path, rng: np.random.Generator) -> None:
    path = folder / 'weights.pth'
    write_checkpoint(path, rng)
    options: list[object] = ['--num-keypoints', 5] if rng.random() < 0.3 else []
    bias = ['--position-bias', ('keep', 'zero', 'drop')[int(rng.integers(3))]]
    run(path, 'convert', path, folder / 'out.pth', '--overwrite', *options, *bias)


def read_weights(folder: Path, rng: np.random.Generator) -> None:
    path = folder / 'weights.pth'
    write_checkpoint(path, rng)
    model = torch.nn.ModuleDict(dict(conv1=torch.nn.Conv2d(3, 2, 3)))
    with contextlib.suppress(ValueError, OSError):
        load_weights('weights', model, path)


def read_manifest(folder: Path, rng: np.random.Generator) -> None:
    out = folder / 'data'
    path = out / 'synthetic.json'
    if not path.exists():
        synthesize(out, 2, image_size=(64, 64), num_workers=1)
        (folder / 'good.json').write_bytes(path.read_bytes())
    path.write_bytes(mutated_json(json.loads((folder / 'good.json').read_text()), rng))
    code = run(out, 'synth', out, '--images', 2, '--size', '64x64', '--workers', 1)
    assert code in (0, 2)


# Annotations of other tools: fixture, the file that is mutated, format and images
SOURCES = [
    ('coco_cvat.json', '', 'coco', ['sky/1.png', 'sea/1.png']),
    ('coco_label_studio.json', '', 'coco', ['a b.png']),
    ('cvat.xml', '', 'cvat', ['sky/1.png', 'sky/2.png', 'sea/1.png']),
    ('label_studio.json', '', 'label-studio', ['bird one.png', 'two.png']),
    ('labelme', 'a.json', 'labelme', ['a.png', 'b.png']),
    ('yolo-pose', 'data.yaml', 'yolo-pose', ['images/train/1.png', 'images/val/2.png']),
    ('yolo-pose', 'labels/val/2.txt', 'yolo-pose', ['images/train/1.png', 'images/val/2.png']),
    (
        'multi-animal',
        'labeled-data/pen/CollectedData_ann.csv',
        'deeplabcut',
        ['labeled-data/pen/img1.png'],
    ),
]


def import_annotations(folder: Path, rng: np.random.Generator) -> None:
    """Import a mutated file of another tool, or an archive: wholly, or with an error."""
    shutil.rmtree(folder / 'source', ignore_errors=True)
    shutil.rmtree(folder / 'data', ignore_errors=True)
    fixture, name, kind, images = pick(rng, SOURCES)
    given = place(fixture, folder / 'source', images)
    path = given / name if name else given
    if path.suffix == '.json' and rng.random() < 0.7:
        path.write_bytes(mutated_json(json.loads(path.read_text()), rng))
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    if rng.random() < 0.1:
        with zipfile.ZipFile(folder / 'a.zip', 'w') as archive:
            archive.write(path, path.name)
        path = given = folder / f'{path.name}.zip'
        given.write_bytes(mutated_bytes((folder / 'a.zip').read_bytes(), rng))
    arguments: list[object] = ['--no-flip-pairs', '--no-images', '--format', kind]
    code = run(path, 'import', given, '--out', folder / 'data', *arguments)
    assert (folder / 'data').exists() == (code != 2)
    assert not [*folder.glob('data*.part')]


READERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    'metainfo': read_metainfo,
    'convert': read_checkpoints,
    'predict --boxes': read_boxes,
    'predict --weights': read_weights,
    'predict --config': read_config,
    'check, annotations': check_annotations,
    'check, likely annotations': check_likely_annotations,
    'check, bbox_file': check_detections,
    'check, MPII': check_mpii_files,
    'check, images': check_image_files,
    'check, config': check_configs,
    'synth': read_manifest,
    'import': import_annotations,
}
assert mmpose.__version__  # registers what configs name
